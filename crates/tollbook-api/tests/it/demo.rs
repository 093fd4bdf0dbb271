//! The demo over HTTP: there once, apart from budgets and metrics, and gone without a trace.

use crate::matrix::Row;
use crate::rig::{Rig, event};
use http::Method;
use serde_json::{Value, json};

/// Who may use its routes.
pub const ROWS: &[Row] = &[
    ("GET", "/api/v1/demo", [401, 200, 403, 403, 403, 403]),
    ("PUT", "/api/v1/demo", [401, 200, 403, 403, 403, 403]),
    ("DELETE", "/api/v1/demo", [401, 200, 403, 403, 403, 403]),
];

const PATH: &str = "/api/v1/demo";

fn ask(rig: &Rig, method: Method) -> Value {
    let answer = rig.call(method, PATH, &rig.keys.admin, "");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn get(rig: &Rig, target: &str) -> Value {
    let answer = rig.get(target, &rig.keys.admin);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[test]
fn a_demo_has_one_spike_and_goes_without_a_trace() {
    let rig = Rig::new();
    assert_eq!(rig.ingest(event("real", r#","user":"ann""#)).status, 200);
    let sums = || get(&rig, "/api/v1/usage?from=100d&group_by=user,model&interval=day");
    let (none, before) = (ask(&rig, Method::GET), sums());
    assert_eq!((&none["present"], &none["calls"], &none["at"]), (&json!(false), &json!(0), &Value::Null));
    assert_eq!(ask(&rig, Method::DELETE), json!({"calls": 0}));

    let made = ask(&rig, Method::PUT);
    assert_eq!((&made["present"], &ask(&rig, Method::GET)), (&json!(true), &made));
    assert_eq!(ask(&rig, Method::PUT), made, "a second time changes nothing");
    let of_demo = get(&rig, "/api/v1/usage?from=100d&source=demo&group_by=project");
    assert_eq!(of_demo["total"]["calls"], made["calls"]);
    assert_eq!(of_demo["rows"].as_array().unwrap().len(), 1);
    assert_eq!(of_demo["rows"][0]["project"], "demo");
    let metrics = rig.get("/metrics", &rig.keys.admin).text();
    assert!(!metrics.contains("claude-sonnet-5"), "no rate counts what never happened");

    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    let (from, to) = (text("spike_from"), text("spike_to"));
    let spike = get(&rig, &format!("/api/v1/usage?from={from}&to={to}&group_by=user,model,session"));
    assert_eq!((&spike["total"]["calls"], spike["rows"].as_array().unwrap().len()), (&json!(37), 1));
    // The models have no price in this book: by tokens, which the spike is high in, too.
    let hours = get(&rig, "/api/v1/usage?from=30d&interval=hour&source=demo");
    let tokens = |sums: &Value| sums["output_tokens"].as_u64().unwrap();
    let most = tokens(&spike["total"]);
    let high = hours["rows"].as_array().unwrap().iter().filter(|row| tokens(row) * 2 > most).count();
    assert_eq!(high, 1, "one spike");

    assert_eq!(ask(&rig, Method::DELETE), json!({"calls": made["calls"]}));
    assert_eq!((ask(&rig, Method::GET), sums()), (none, before));
}
