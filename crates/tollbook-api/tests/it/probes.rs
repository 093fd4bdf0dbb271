//! Probes and metrics.

use crate::matrix::Row;
use crate::rig::{Rig, event, request};
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::Method;
use serde_json::json;
use std::net::SocketAddr;
use tollbook_api::Options;

/// Who may use its routes.
pub const ROWS: &[Row] = &[
    ("GET", "/healthz", [200, 200, 200, 200, 200, 200]),
    ("GET", "/readyz", [200, 200, 200, 200, 200, 200]),
    ("GET", "/metrics", [401, 200, 403, 403, 403, 200]),
];

#[test]
fn probes_say_that_all_is_well() {
    let rig = Rig::new();
    assert_eq!(rig.get("/healthz", "").json()["status"], "ok");
    let ready = rig.get("/readyz", "").json();
    assert_eq!((&ready["status"], &ready["records"]), (&json!("ready"), &json!(true)));
    assert_eq!((&ready["store"]["state"], &ready["store"]["behind"]), (&json!("ok"), &json!(0)));
    rig.ledger.count_unrecorded("a test");
    let open = rig.get("/readyz", "");
    assert_eq!(open.status, 503, "a call has passed without a record");
    assert_eq!(
        (&open.json()["status"], &open.json()["unrecorded"]["calls"]),
        (&json!("degraded"), &json!(1))
    );
    rig.ingest(event("a", ""));
    assert_eq!(rig.get("/readyz", "").status, 200, "recording has resumed, the gap is in the journal");
    assert_eq!(rig.get("/readyz", "not a key").status, 200);
}

#[test]
fn metrics_count_and_need_a_key_unless_open() {
    let rig = Rig::new();
    rig.ingest(format!("[{0},{0},{{}}]", event("a", "")));
    let answer = rig.get("/metrics", &rig.keys.viewer);
    assert_eq!(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let text = answer.text();
    for line in [
        "tollbook_ingest_events_total{result=\"new\"} 1",
        "tollbook_ingest_events_total{result=\"duplicate\"} 1",
        "tollbook_ingest_events_total{result=\"rejected\"} 1",
        "tollbook_api_requests_total{method=\"POST\",route=\"/api/v1/events\",status=\"200\"} 1",
        "tollbook_ledger_up 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    let names: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    assert!(names.iter().all(|name| name.starts_with("tollbook_")), "{names:?}");

    let rig = Rig::with(Options { open_metrics: true, ..Options::default() });
    assert_eq!(rig.get("/metrics", "").status, 200);
    let mut from_afar = request(Method::GET, "/metrics", "", &[], Body::empty());
    let peer: SocketAddr = "192.0.2.1:9".parse().unwrap();
    from_afar.extensions_mut().insert(ConnectInfo(peer));
    assert_eq!(rig.send(from_afar).verdict(), "401 key_missing", "open on this machine only");
}
