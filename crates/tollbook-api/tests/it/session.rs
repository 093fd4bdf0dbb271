//! Members, one-time links, sessions: signing in, what ends a session, and what other sites cannot do.

use crate::matrix::Row;
use crate::rig::{Answer, Rig, event, request};
use http::Method;
use serde_json::{Value, json};
use tollbook_api::Options;
use tollbook_ledger::{By, NewMember};
use tollbook_types::{Attribution, Role};

/// Who may use its routes.
pub const ROWS: &[Row] = &[
    ("GET", "/api/v1/members", [401, 200, 403, 403, 403, 403]),
    ("POST", "/api/v1/members", [401, 422, 403, 403, 403, 403]),
    ("PATCH", "/api/v1/members/{id}", [401, 404, 403, 403, 403, 403]),
    ("DELETE", "/api/v1/members/{id}", [401, 404, 403, 403, 403, 403]),
    ("POST", "/api/v1/members/{id}/link", [401, 404, 403, 403, 403, 403]),
    ("POST", "/api/v1/session", [422, 422, 422, 422, 422, 422]),
    ("GET", "/api/v1/session", [401, 200, 200, 200, 200, 200]),
    ("DELETE", "/api/v1/session", [401, 204, 204, 204, 204, 204]),
    ("GET", "/welcome", [200, 200, 200, 200, 200, 200]),
    ("POST", "/welcome", [410, 410, 410, 410, 410, 410]),
];

const PATH: &str = "/api/v1/session";

/// A member who is signed in.
pub struct Signed {
    pub id: String,
    cookie: String,
}

impl Signed {
    /// A new member; with the role member, the user `ann`.
    pub fn new(rig: &Rig, role: Role, project: Option<&str>) -> Signed {
        let user = (role == Role::Member).then(|| "ann".to_owned());
        let new = NewMember { name: "a test".into(), role, user, project: project.map(str::to_owned) };
        let id = rig.ledger.add_member(&By::local(), new).unwrap().id;
        let (link, _) = rig.ledger.link_member(&By::local(), &id).unwrap().unwrap();
        let (text, _) = rig.ledger.redeem_link(None, None, &link).unwrap().unwrap();
        Signed { id, cookie: format!("tollbook_session={text}") }
    }

    /// The header that a request which changes something needs.
    pub fn token(&self, rig: &Rig) -> [(&'static str, String); 1] {
        let token = self.get(rig, PATH).json()["csrf_token"].as_str().unwrap().to_owned();
        [("x-tollbook-csrf", token)]
    }

    pub fn get(&self, rig: &Rig, target: &str) -> Answer {
        self.send(rig, Method::GET, target, &[], "")
    }

    pub fn send(
        &self,
        rig: &Rig,
        method: Method,
        target: &str,
        more: &[(&str, String)],
        body: &str,
    ) -> Answer {
        let mut headers = vec![("cookie", self.cookie.as_str()), ("content-type", "application/json")];
        headers.extend(more.iter().map(|(name, value)| (*name, value.as_str())));
        rig.send(request(method, target, "", &headers, body.to_owned()))
    }
}

/// The session that an answer began.
fn cookie_of(answer: &Answer) -> Signed {
    let cookie = answer.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.contains("; HttpOnly; SameSite=Lax; ") && cookie.contains("; Path=/;"), "{cookie}");
    assert!(!cookie.contains("Secure"), "this server speaks no TLS");
    Signed { id: String::new(), cookie: cookie.split(';').next().unwrap().to_owned() }
}

fn sign_in(rig: &Rig, body: &Value) -> Answer {
    rig.send(request(Method::POST, PATH, "", &[], body.to_string()))
}

#[test]
fn a_key_signs_in_until_it_is_revoked() {
    let rig = Rig::new();
    let made =
        rig.call(Method::POST, "/api/v1/keys", &rig.keys.admin, r#"{"name":"me","role":"viewer"}"#).json();
    let answer = sign_in(&rig, &json!({"key": made["key"]}));
    assert_eq!((answer.status.as_u16(), &answer.json()["id"]), (200, &made["id"]));
    let session = cookie_of(&answer);
    assert_eq!(session.get(&rig, "/api/v1/calls").status, 200);
    assert_eq!(session.get(&rig, PATH).json()["role"], "viewer");
    assert_eq!(session.get(&rig, "/api/v1/keys").verdict(), "403 forbidden");
    let id = made["id"].as_str().unwrap();
    rig.call(Method::DELETE, &format!("/api/v1/keys/{id}"), &rig.keys.admin, "");
    assert_eq!(session.get(&rig, "/api/v1/calls").verdict(), "401 session_ended");
    for (body, verdict) in [
        (json!({}), "422 field_invalid"),
        (json!({"key": "a", "link": "b"}), "422 field_invalid"),
        (json!({"key": "tb_unknown"}), "401 invalid_key"),
        (json!({"link": "tb_unknown"}), "401 link_invalid"),
        (json!({"key": made["key"]}), "401 invalid_key"),
        (json!({"key": rig.keys.admin, "role": "admin"}), "422 unknown_member"),
    ] {
        let answer = sign_in(&rig, &body);
        assert_eq!(answer.verdict(), verdict, "{body}");
        assert!(!answer.headers.contains_key("set-cookie"));
    }
}

#[test]
fn a_link_is_used_once_and_by_the_button_only() {
    let rig = Rig::new();
    let admin = &rig.keys.admin;
    let added =
        rig.call(Method::POST, "/api/v1/members", admin, r#"{"name":"Ann","role":"member","user":"ann"}"#);
    assert_eq!(added.status, 201, "{}", added.text());
    let path = format!("/api/v1/members/{}/link", added.json()["id"].as_str().unwrap());
    let link = || rig.call(Method::POST, &path, admin, "").json();
    let made = link();
    for _ in 0..3 {
        let page = rig.get(made["path"].as_str().unwrap(), "");
        assert_eq!(
            (page.status.as_u16(), &page.headers["cache-control"]),
            (200, &"no-store".parse().unwrap())
        );
        assert!(page.headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
        assert!(!page.headers.contains_key("set-cookie") && !page.text().contains("<script"));
    }
    let press = |text: &str, headers: &[(&str, &str)]| {
        rig.send(request(Method::POST, "/welcome", "", headers, format!("once={text}")))
    };
    let text = made["link"].as_str().unwrap();
    let host = ("host", "127.0.0.1:4680");
    for origin in ["https://evil.example", "null", "http://127.0.0.1:4681"] {
        assert_eq!(press(text, &[host, ("origin", origin)]).verdict(), "403 csrf_invalid", "{origin}");
    }
    let signed_in = press(text, &[host, ("origin", "http://127.0.0.1:4680")]);
    assert_eq!((signed_in.status.as_u16(), &signed_in.headers["location"]), (303, &"/".parse().unwrap()));
    let session = cookie_of(&signed_in);
    assert_eq!(session.get(&rig, PATH).json()["user"], "ann");
    assert_eq!(press(text, &[]).status, 410, "used");
    let (older, newer) = (link(), link());
    assert_eq!(press(older["link"].as_str().unwrap(), &[]).status, 410, "a newer one was made");
    rig.clock.advance_ms(15 * 60_000);
    assert_eq!(press(newer["link"].as_str().unwrap(), &[]).status, 410, "it has ended");
    for odd in ["/welcome?once", "/welcome?once=", "/welcome?once=%22%3E%3Cscript%3E", "/welcome?once=tb_1"] {
        let page = rig.get(odd, "");
        assert!(page.status == 410 && !page.text().contains("<script"), "{odd}");
    }
    // Of two at once, one gets in.
    let text = link()["link"].as_str().unwrap().to_owned();
    let won = std::thread::scope(|scope| {
        let tries: Vec<_> =
            (0..8).map(|_| scope.spawn(|| rig.ledger.redeem_link(None, None, &text).unwrap())).collect();
        tries.into_iter().filter_map(|one| one.join().unwrap()).count()
    });
    assert_eq!(won, 1);
}

#[test]
fn a_session_ends_by_rest_by_age_by_signing_out_and_with_its_member() {
    let rig = Rig::new();
    let hours = |hours: u64| rig.clock.advance_ms(i64::try_from(hours * 3_600_000).unwrap());
    let is_good = |session: &Signed| session.get(&rig, "/api/v1/calls").status == 200;
    let session = Signed::new(&rig, Role::Viewer, None);
    for _ in 0..15 {
        hours(11);
        assert!(is_good(&session));
    }
    hours(3);
    assert_eq!(session.get(&rig, "/api/v1/calls").verdict(), "401 session_ended", "seven days");
    let session = Signed::new(&rig, Role::Viewer, None);
    hours(12);
    assert!(!is_good(&session), "twelve hours at rest");
    let session = Signed::new(&rig, Role::Viewer, None);
    let answer = session.send(&rig, Method::DELETE, PATH, &session.token(&rig), "");
    assert!(answer.status == 204 && answer.headers["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
    assert!(!is_good(&session), "signed out");
    let session = Signed::new(&rig, Role::Admin, None);
    let path = format!("/api/v1/members/{}", session.id);
    let change = |body: &str| rig.call(Method::PATCH, &path, &rig.keys.admin, body.to_owned());
    assert_eq!(session.get(&rig, "/api/v1/keys").status, 200);
    assert_eq!(change(r#"{"role":"viewer"}"#).status, 200);
    assert_eq!(session.get(&rig, "/api/v1/keys").verdict(), "403 forbidden", "at once");
    assert_eq!(change(r#"{"role":"member"}"#).verdict(), "422 field_invalid", "who?");
    assert_eq!(change(r#"{"role":"gateway"}"#).verdict(), "422 field_invalid");
    assert_eq!(change(r#"{"id":"mem_1"}"#).verdict(), "422 unknown_member");
    assert_eq!(rig.call(Method::DELETE, &path, &rig.keys.admin, "").status, 204);
    assert!(!is_good(&session), "removed");
    assert_eq!(change("{}").verdict(), "404 not_found");
    let holders: Vec<Signed> = (0..3).map(|_| Signed::new(&rig, Role::Viewer, None)).collect();
    assert!(holders.iter().all(is_good));
}

#[test]
fn a_key_beside_a_cookie_wins_and_sockets_are_not_for_other_pages() {
    let rig = Rig::new();
    let session = Signed::new(&rig, Role::Viewer, None);
    let key = ("x-tollbook-key", rig.keys.ingest.clone());
    let body = event("a", "");
    assert_eq!(
        session.send(&rig, Method::POST, "/api/v1/events", std::slice::from_ref(&key), &body).status,
        200
    );
    assert_eq!(session.send(&rig, Method::GET, "/api/v1/calls", &[key], "").verdict(), "403 forbidden");
    let host = ("host", "127.0.0.1:4680".to_owned());
    let upgrade = ("upgrade", "websocket".to_owned());
    for (origin, verdict) in
        [("http://127.0.0.1:4680", "200 "), ("http://127.0.0.1:3000", "403 csrf_invalid")]
    {
        let headers = [host.clone(), upgrade.clone(), ("origin", origin.to_owned())];
        assert_eq!(session.send(&rig, Method::GET, "/api/v1/calls", &headers, "").verdict(), verdict);
    }
}

#[test]
fn who_fails_waits_and_nobody_else_does() {
    let rig = Rig::new();
    rig.ledger.trust_local("admin", "correct horse battery staple").unwrap();
    let known = "another text that people chose";
    rig.ledger.trust_local("other", known).unwrap();
    assert_eq!(rig.get("/api/v1/calls", known).status, 200);
    let guess = |text: &str| rig.get("/api/v1/calls", text).verdict();
    let verdicts: Vec<String> = (0..40).map(|index| guess(&format!("guess-{index}"))).collect();
    assert_eq!(verdicts.iter().filter(|verdict| *verdict == "401 invalid_key").count(), 21);
    assert_eq!(verdicts.iter().filter(|verdict| *verdict == "429 too_many_attempts").count(), 19);
    let refused = rig.get("/api/v1/calls", "correct horse battery staple");
    assert_eq!((refused.status.as_u16(), &refused.headers["retry-after"]), (429, &"2".parse().unwrap()));
    assert_eq!(rig.get("/api/v1/calls", &rig.keys.viewer).status, 200, "made here: not to be guessed");
    assert_eq!(rig.get("/api/v1/calls", known).status, 200, "opened from here before");
    rig.clock.advance_ms(2_000);
    assert_eq!(rig.get("/api/v1/calls", "correct horse battery staple").status, 200);
}

#[test]
fn nobody_gains_rights() {
    let rig = Rig::new();
    let bound = Attribution { project: Some("web".into()), ..Attribution::default() };
    let admin = rig.key(&[Role::Admin], bound);
    let elsewhere = r#"{"name":"x","role":"admin","project":"ops"}"#;
    assert_eq!(
        rig.call(Method::POST, "/api/v1/keys", &admin, elsewhere).status,
        201,
        "an admin is one everywhere"
    );
    for member in
        ["id", "hash", "prefix", "roles", "binding", "created_at", "revoked_at", "scope", "allowed_routes"]
    {
        let body = format!(r#"{{"name":"x","role":"viewer","{member}":"admin"}}"#);
        for path in ["/api/v1/keys", "/api/v1/members"] {
            assert_eq!(
                rig.call(Method::POST, path, &admin, body.clone()).verdict(),
                "422 unknown_member",
                "{member}"
            );
        }
    }
    for role in [Role::Member, Role::Viewer] {
        let session = Signed::new(&rig, role, None);
        let path = format!("/api/v1/members/{}", session.id);
        let answer = session.send(&rig, Method::PATCH, &path, &session.token(&rig), r#"{"role":"admin"}"#);
        assert_eq!(answer.verdict(), "403 forbidden", "{role:?}");
    }
}

#[test]
fn behind_a_proxy_that_speaks_tls_the_cookie_is_for_tls_and_the_public_host_is_the_servers_own() {
    let public_host = Some("tollbook.example.com".to_owned());
    let rig = Rig::with(Options { secure_cookies: true, public_host, ..Options::default() });
    let body = json!({"key": rig.keys.admin}).to_string();
    let host = ("host", "127.0.0.1:4680");
    for (origin, verdict) in [
        ("https://tollbook.example.com", 200),
        ("https://TOLLBOOK.example.com", 200),
        ("http://127.0.0.1:4680", 200),
        ("https://tollbook.example.com:8443", 403),
        ("https://tollbook.example.com.evil.example", 403),
        ("https://evil.example", 403),
    ] {
        // What a request says of itself changes nothing.
        let headers = [host, ("origin", origin), ("x-forwarded-host", "evil.example")];
        let answer = rig.send(request(Method::POST, PATH, "", &headers, body.clone()));
        assert_eq!(answer.status, verdict, "{origin}");
        if verdict == 200 {
            let cookie = answer.headers["set-cookie"].to_str().unwrap();
            assert!(cookie.ends_with("; Secure"), "{cookie}");
        }
    }
    let plain = Rig::new();
    let body = json!({"key": plain.keys.admin}).to_string();
    let answer = plain.send(request(Method::POST, PATH, "", &[("x-forwarded-proto", "https")], body));
    assert!(!answer.headers["set-cookie"].to_str().unwrap().contains("Secure"));
}
