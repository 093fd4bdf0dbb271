//! Who may use which route: every role at every route, and what is not a route.

use crate::rig::{Rig, event, request};
use crate::{budgets, document, events, keys, live, otlp, privacy, probes, queries, seeds};
use axum::body::Body;
use http::Method;
use tollbook_api::Api;

/// A method and path, and the statuses of no key, admin, member, gateway, ingest, viewer.
pub type Row = (&'static str, &'static str, [u16; 6]);

/// Each module of tests has the rows of the routes that it is about.
fn rows() -> Vec<Row> {
    [
        budgets::ROWS,
        events::ROWS,
        otlp::ROWS,
        queries::ROWS,
        keys::ROWS,
        privacy::ROWS,
        probes::ROWS,
        live::ROWS,
        document::ROWS,
        seeds::ROWS,
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
            if *status >= 400 {
                assert_eq!(answer.headers["content-type"], "application/problem+json");
                assert_eq!(answer.json()["status"], *status);
            }
            assert_eq!(answer.headers.contains_key("www-authenticate"), *status == 401);
        }
    }
    assert_eq!(rows.len(), Api::routes().len(), "a row without a route");
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
        (Method::GET, "/", "404 not_found"),
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
