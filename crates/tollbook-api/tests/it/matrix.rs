//! Who may use which route: every role at every route, and what is not a route.

use crate::rig::{Rig, bound, event, request};
use crate::session::Signed;
use crate::{
    alerts, audit, budgets, dashboard, demo, document, events, exports, keys, live, otlp, prices, privacy,
    probes, queries, rerate, seeds, session,
};
use axum::body::Body;
use http::Method;
use tollbook_api::{Access, Api};
use tollbook_types::Role;

/// A method and path, and the statuses of no key, admin, member, gateway, ingest, viewer.
pub type Row = (&'static str, &'static str, [u16; 6]);

/// Each module of tests has the rows of the routes that it is about.
fn rows() -> Vec<Row> {
    [
        alerts::ROWS,
        budgets::ROWS,
        dashboard::ROWS,
        demo::ROWS,
        events::ROWS,
        otlp::ROWS,
        queries::ROWS,
        exports::ROWS,
        keys::ROWS,
        prices::ROWS,
        rerate::ROWS,
        privacy::ROWS,
        probes::ROWS,
        live::ROWS,
        document::ROWS,
        seeds::ROWS,
        session::ROWS,
        audit::ROWS,
    ]
    .concat()
}

#[test]
fn every_role_at_every_route() {
    let rig = Rig::new();
    assert_eq!(rig.ingest(event("theirs", r#","user":"bob""#)).status, 200);
    let (keys, rows) = (&rig.keys, rows());
    let callers = ["", &keys.admin, &keys.member, &keys.gateway, &keys.ingest, &keys.viewer];
    for listed in Api::routes() {
        let row =
            rows.iter().find(|(method, path, _)| *method == listed.method.as_str() && *path == listed.path);
        let (method, path, wanted) = row.unwrap_or_else(|| panic!("{listed:?} has no row"));
        let method: Method = method.parse().unwrap();
        for (key, status) in callers.iter().zip(wanted) {
            let body = if *path == "/api/v1/events" { "[]" } else { "{}" };
            let answer = rig.call(method.clone(), &path.replace("{id}", "theirs"), key, body);
            assert_eq!(answer.status.as_u16(), *status, "{method} {path} by {key:?}: {}", answer.text());
            // People with a link see a page, whatever becomes of it.
            if *status >= 400 && *path != "/welcome" {
                assert_eq!(answer.headers["content-type"], "application/problem+json");
                assert_eq!(answer.json()["status"], *status);
            }
            assert_eq!(answer.headers.contains_key("www-authenticate"), *status == 401);
        }
    }
    assert_eq!(rows.len(), Api::routes().len(), "a row without a route");
}

/// Roles that members have, with their places in a row.
const MEMBERS: [(Role, usize); 3] = [(Role::Admin, 1), (Role::Member, 2), (Role::Viewer, 5)];

#[test]
fn a_session_may_what_a_key_of_its_role_may_if_it_says_its_token() {
    let rig = Rig::new();
    assert_eq!(rig.ingest(event("theirs", r#","user":"bob""#)).status, 200);
    for (method, path, wanted) in rows() {
        let method: Method = method.parse().unwrap();
        let listed = Api::routes();
        let access =
            listed.iter().find(|listed| listed.method == method && listed.path == path).unwrap().access;
        let target = path.replace("{id}", "theirs");
        let body = if path == "/api/v1/events" { "[]" } else { "{}" };
        for (role, place) in MEMBERS {
            let session = Signed::new(&rig, role, None);
            let answer = session.send(&rig, method.clone(), &target, &session.token(&rig), body);
            assert_eq!(
                answer.status.as_u16(),
                wanted[place],
                "{method} {path} by {role:?}: {}",
                answer.text()
            );
            if method.is_safe() || access == Access::Anyone {
                continue;
            }
            let session = Signed::new(&rig, role, None);
            for token in [&[][..], &[("x-tollbook-csrf", "0".repeat(32))]] {
                let answer = session.send(&rig, method.clone(), &target, token, body);
                assert_eq!(
                    answer.verdict(),
                    "403 csrf_invalid",
                    "{method} {path} by {role:?} without a token"
                );
            }
        }
    }
}

#[test]
fn nothing_of_others_shows_through_any_route() {
    let rig = Rig::new();
    let theirs = r#","user":"bob-marker","project":"secret-marker","tags":{"team":"ops-marker"}"#;
    assert_eq!(rig.ingest(event("theirs-marker", theirs)).status, 200);
    assert_eq!(rig.ingest(event("mine", r#","user":"ann","project":"web""#)).status, 200);
    let bound_viewer = rig.key(&[Role::Viewer], bound(|binding| binding.project = Some("web".into())));
    let session = Signed::new(&rig, Role::Viewer, Some("web"));
    for listed in Api::routes() {
        if listed.method != Method::GET {
            continue;
        }
        let is_call = listed.path.starts_with("/api/v1/calls/");
        let target = |id: &str| listed.path.replace("{id}", id);
        let others = [
            rig.get(&target("theirs-marker"), &rig.keys.member),
            rig.get(&target("theirs-marker"), &bound_viewer),
            session.send(&rig, Method::GET, &target("theirs-marker"), &[], ""),
        ];
        let none = rig.get(&target("no-such-call"), &rig.keys.member);
        for answer in others {
            assert!(!answer.text().contains("marker"), "{}: {}", listed.path, answer.text());
            if is_call {
                assert_eq!(
                    (answer.verdict(), answer.json()["detail"].clone()),
                    (none.verdict(), none.json()["detail"].clone()),
                    "{}",
                    listed.path
                );
            }
        }
        if is_call {
            assert_eq!(rig.get(&target("mine"), &bound_viewer).status, 200, "{}", listed.path);
        }
    }
    for key in [&rig.keys.member, &bound_viewer] {
        assert_eq!(rig.get("/api/v1/calls", key).json()["data"].as_array().unwrap().len(), 1);
        assert_eq!(rig.get("/api/v1/usage?from=30d", key).json()["total"]["calls"], 1);
    }
}

#[test]
fn every_route_is_documented() {
    let pages = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/api");
    let pages =
        std::fs::read_dir(pages).unwrap().map(|page| std::fs::read_to_string(page.unwrap().path()).unwrap());
    let text: String = pages.collect();
    for listed in Api::routes() {
        let words = format!("`{} {}`", listed.method, listed.path);
        assert!(text.contains(&words), "{words} is on no page of docs/reference/api");
    }
}

#[test]
fn what_no_route_is_for_is_a_problem_too() {
    let rig = Rig::new();
    for (method, path, verdict) in [
        (Method::GET, "/api/v1/nothing", "404 not_found"),
        (Method::GET, "/v1/../api/v1/keys", "404 not_found"),
        (Method::DELETE, "/api/v1/events", "405 method_not_allowed"),
        (Method::PUT, "/api/v1/keys", "405 method_not_allowed"),
    ] {
        let answer = rig.call(method, path, &rig.keys.admin, "");
        assert_eq!(answer.verdict(), verdict, "{path}");
    }
    let answer = rig.call(Method::PUT, "/api/v1/keys", "", "");
    assert_eq!(answer.headers["allow"], "GET,HEAD,POST");
}

#[test]
fn keys_come_in_several_headers() {
    let rig = Rig::new();
    let (viewer, ingest) = (rig.keys.viewer.as_str(), rig.keys.ingest.as_str());
    let bearer = format!("bearer  {viewer}");
    let long = "x".repeat(8_192);
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[("x-tollbook-key", viewer)], "200 "),
        (&[("x-api-key", viewer)], "200 "),
        (&[("authorization", &bearer)], "200 "),
        (&[("x-tollbook-key", viewer), ("x-api-key", viewer)], "200 "),
        (&[("x-tollbook-key", viewer), ("x-api-key", ingest)], "400 two_keys"),
        (&[("authorization", "Basic dTpw")], "401 invalid_key"),
        (&[("x-api-key", "' OR 1=1--")], "401 invalid_key"),
        (&[("x-api-key", &long)], "401 invalid_key"),
        (&[("x-api-key", "")], "401 invalid_key"),
        (&[], "401 key_missing"),
    ];
    for (headers, verdict) in cases {
        let answer = rig.send(request(Method::GET, "/api/v1/calls", "", headers, Body::empty()));
        assert_eq!(answer.verdict(), *verdict, "{headers:?}");
        assert!(!answer.text().contains(viewer) && !answer.text().contains("OR 1=1"));
    }
}

#[test]
fn every_answer_has_an_id() {
    let rig = Rig::new();
    let send = |id: &str| {
        rig.send(request(Method::GET, "/api/v1/calls", "", &[("x-request-id", id)], Body::empty()))
    };
    let answer = send("mine-1");
    assert_eq!(
        (&answer.headers["x-request-id"], &answer.json()["request_id"]),
        (&"mine-1".parse().unwrap(), &"mine-1".into())
    );
    for strange in ["a b", "<script>", "", &"x".repeat(129)] {
        let answer = send(strange);
        let id = answer.headers["x-request-id"].to_str().unwrap().to_owned();
        assert!(id.starts_with("req_") && answer.json()["request_id"] == id, "{strange}: {id}");
    }
    assert!(rig.get("/healthz", "").headers.contains_key("x-request-id"));
}
