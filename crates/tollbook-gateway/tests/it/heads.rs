//! Who is let in, and what of a head goes on.

use crate::rig::{CHAT, PROVIDER_KEY, Rig, make_key};
use tollbook_types::{Attribution, Role};

/// A request's headers, and the status that it gets.
type Case<'a> = (&'a str, Vec<(&'a str, String)>, u16);

#[test]
fn a_key_is_taken_wherever_an_sdk_puts_it() {
    let rig = Rig::new();
    let (key, other) = (rig.key.clone(), make_key(&rig.ledger, Role::Gateway, Attribution::default()));
    let viewer = make_key(&rig.ledger, Role::Viewer, Attribution::default());
    let bearer = |key: &str| format!("Bearer {key}");
    let path = "/openai/v1/chat/completions";
    let cases: Vec<Case<'_>> = vec![
        (path, vec![("authorization", bearer(&key))], 200),
        (path, vec![("x-api-key", key.clone())], 200),
        (path, vec![("x-goog-api-key", key.clone())], 200),
        (path, vec![("api-key", key.clone())], 200),
        (path, vec![("x-tollbook-key", key.clone())], 200),
        (path, vec![("x-litellm-api-key", bearer(&key))], 200),
        (path, vec![("x-portkey-api-key", key.clone())], 200),
        (path, vec![("helicone-auth", bearer(&key)), ("authorization", bearer("sk-theirs"))], 200),
        (path, vec![("authorization", bearer(&key)), ("x-api-key", key.clone())], 200),
        (path, vec![("authorization", bearer(&key)), ("x-tollbook-key", other)], 400),
        (path, vec![("authorization", bearer("tb_nobody"))], 401),
        (path, vec![("authorization", bearer("sk-theirs"))], 401),
        (path, vec![("authorization", bearer(&"tb_".repeat(2_000)))], 401),
        (path, vec![], 401),
        (path, vec![("authorization", bearer(&viewer))], 403),
    ];
    let mut answered = 0;
    for (path, headers, status) in &cases {
        let mut client = rig.client();
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        client.request("POST", path, &headers, CHAT.as_bytes());
        let reply = client.reply();
        assert_eq!(reply.status, *status, "{headers:?}: {reply:?}");
        if *status == 200 {
            answered += 1;
        } else {
            assert_eq!(reply.header("x-should-retry"), Some("false"), "{reply:?}");
            assert!(reply.json()["error"]["message"].is_string());
        }
    }
    let served = rig.upstream.served();
    assert_eq!(served.len(), answered);
    for request in &served {
        assert_eq!(request.header("authorization"), Some(format!("Bearer {PROVIDER_KEY}").as_str()));
        let theirs =
            request.headers.iter().any(|(_, value)| value.contains("tb_") || value.contains("sk-theirs"));
        assert!(!theirs, "{request:?}");
    }
    assert_eq!(rig.entries(answered).len(), answered, "a refusal is no call");
}

#[test]
fn a_key_in_the_query_stays_here() {
    let rig = Rig::new();
    let path = format!("/google/v1beta/models/gemini-2.5-flash:generateContent?alt=json&key={}", rig.key);
    let mut client = rig.client();
    client.request("POST", &path, &[("content-type", "application/json")], br#"{"contents":[]}"#);
    assert_eq!(client.reply().status, 200);
    let served = &rig.upstream.served()[0];
    assert_eq!(served.target, "/v1beta/models/gemini-2.5-flash:generateContent?alt=json");
    assert_eq!(served.header("x-goog-api-key"), Some(PROVIDER_KEY));
}

#[test]
fn a_passing_provider_key_is_left_alone() {
    let rig = Rig::new();
    let path = "/vertex/v1/projects/p/locations/l/publishers/google/models/gemini-2.5-flash:generateContent";
    let headers = [("x-tollbook-key", rig.key.as_str()), ("authorization", "Bearer ya29.theirs")];
    let mut client = rig.client();
    client.request("POST", path, &headers, br#"{"contents":[]}"#);
    assert_eq!(client.reply().status, 200);
    let served = &rig.upstream.served()[0];
    assert_eq!(served.header("authorization"), Some("Bearer ya29.theirs"));
    assert_eq!(served.header("x-tollbook-key"), None);
}

#[test]
fn what_holds_for_one_connection_or_for_a_gateway_does_not_go_on() {
    let rig = Rig::new();
    let here = [
        ("connection", "keep-alive, x-mine"),
        ("x-mine", "1"),
        ("keep-alive", "5"),
        ("te", "trailers"),
        ("proxy-authorization", "x"),
        ("x-tollbook-user", "u1"),
        ("helicone-user-id", "u2"),
        ("x-portkey-metadata", "{}"),
        ("cf-aig-metadata", "{}"),
        ("x-litellm-tags", "a"),
        ("openai-organization", "org"),
        ("x-forwarded-for", "1.2.3.4"),
        ("accept-encoding", "gzip"),
    ];
    let reply = rig.post("/openai/v1/chat/completions?x=%2F&y", &here, CHAT);
    assert_eq!(reply.status, 200);
    let served = &rig.upstream.served()[0];
    let mut names: Vec<&str> = served.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let wanted = [
        "accept-encoding",
        "authorization",
        "content-length",
        "content-type",
        "host",
        "openai-organization",
        "x-forwarded-for",
    ];
    assert_eq!(names, wanted);
    assert_eq!(served.target, "/v1/chat/completions?x=%2F&y");
    assert_eq!(rig.entry().event.attribution.user.as_deref(), Some("u1"));
}

#[test]
fn what_no_server_answers_is_refused() {
    let rig = Rig::new();
    let key = format!("authorization: Bearer {}\r\n", rig.key);
    let cases = [
        ("CONNECT example.com:443 HTTP/1.1\r\nhost: example.com\r\n\r\n".to_owned(), 405),
        (format!("POST /openai/v1/../admin HTTP/1.1\r\nhost: a\r\n{key}content-length: 0\r\n\r\n"), 404),
        (format!("POST /openai/v1/%2e%2e/x HTTP/1.1\r\nhost: a\r\n{key}content-length: 0\r\n\r\n"), 404),
        (format!("POST /openai/v1/chat/completions HTTP/1.1\r\n{key}content-length: 2\r\n\r\n{{}}"), 400),
        (
            format!(
                "POST /openai/v1/chat/completions HTTP/1.1\r\nhost: a\r\n{key}content-length: 2\r\n\
                 transfer-encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n"
            ),
            400,
        ),
        (
            format!(
                "POST /openai/v1/chat/completions HTTP/1.1\r\nhost: a\r\n{key}content-length: 2\r\n\
                 content-length: 3\r\n\r\n{{}}"
            ),
            400,
        ),
        (format!("POST /openai/v1/chat/completions HTTP/1.1\r\nhost: a\r\nx: 1\r\n 2\r\n{key}\r\n"), 400),
        (
            format!("GET /openai/v1/models HTTP/1.1\r\nhost: a\r\n{key}x: {}\r\n\r\n", "y".repeat(64 * 1024)),
            431,
        ),
        (format!("GET /openai/v1/models HTTP/1.1\r\nhost: a\r\n{key}{}\r\n", "x: y\r\n".repeat(101)), 431),
        (
            format!(
                "GET /openai/v1/realtime?model=gpt-realtime HTTP/1.1\r\nhost: a\r\n{key}connection: upgrade\r\n\
                 upgrade: websocket\r\n\r\n"
            ),
            426,
        ),
    ];
    for (request, status) in cases {
        let mut client = rig.client();
        client.send(&request);
        let reply = client.reply();
        assert_eq!(reply.status, status, "{}: {reply:?}", &request[..request.len().min(200)]);
    }
    assert_eq!(rig.upstream.count(), 0);
    let elsewhere = "POST http://example.com/openai/v1/chat/completions HTTP/1.1\r\nhost: example.com\r\n";
    let mut client = rig.client();
    client.send(format!("{elsewhere}{key}content-length: {}\r\n\r\n{CHAT}", CHAT.len()));
    assert_eq!(client.reply().status, 200, "an absolute form is our own route");
    let mut client = rig.client();
    client.request("GET", "/api/v1/calls", &[], b"");
    assert_eq!(client.reply().text(), "control /api/v1/calls");
}

#[test]
fn what_is_not_configured_is_named() {
    let rig = Rig::with(|options| {
        options.upstreams[0].key =
            tollbook_gateway::upstream::ProviderKey::Missing { what: "THE_KEY".to_owned() };
    });
    let reply = rig.post(&format!("/{}/v1/chat/completions", rig.first), &[], CHAT);
    assert_eq!(reply.status, 503);
    assert!(reply.json()["error"]["message"].as_str().unwrap().contains("THE_KEY"), "{reply:?}");
    assert_eq!(rig.entries(0).len(), 0);
}

#[test]
fn an_admin_key_that_looks_like_any_text_does_not_go_on() {
    let rig = Rig::new();
    let chosen = "a-key-that-a-person-has-chosen";
    rig.ledger.trust_local("admin", chosen).unwrap();
    let google =
        "/vertex/v1/projects/p/locations/l/publishers/google/models/gemini-2.5-flash:generateContent";
    let query = format!("{google}?key={chosen}&alt=json");
    let (openai, mine) = ("/openai/v1/chat/completions", || chosen.to_owned());
    let cases: Vec<Case<'_>> = vec![
        (openai, vec![("authorization", format!("Bearer {chosen}"))], 200),
        (openai, vec![("x-litellm-api-key", mine())], 200),
        (openai, vec![("x-api-key", mine()), ("x-tollbook-key", mine())], 200),
        // Where callers bring the provider's own key: this is none, and the configured one goes on.
        (google, vec![("x-tollbook-key", mine()), ("authorization", format!("bearer {chosen}"))], 200),
        (google, vec![("x-tollbook-key", mine()), ("x-goog-api-key", mine())], 200),
        (google, vec![("x-tollbook-key", rig.key.clone()), ("api-key", mine())], 400),
        (&query, vec![("x-tollbook-key", mine()), ("authorization", "Bearer ya29.theirs".to_owned())], 200),
    ];
    for (path, headers, status) in &cases {
        let mut client = rig.client();
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        client.request("POST", path, &headers, CHAT.as_bytes());
        let reply = client.reply();
        assert_eq!(reply.status, *status, "{path} {headers:?}: {reply:?}");
        assert!(!format!("{reply:?}").contains(chosen));
    }
    for request in rig.upstream.served() {
        assert!(!format!("{request:?}").contains(chosen), "{request:?}");
    }
}
