//! Recorded calls at the prices in force now, over HTTP.

use crate::matrix::Row;
use crate::rig::Rig;
use http::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tollbook_ledger::{By, Scope};

/// Who may use its routes.
pub const ROWS: &[Row] = &[
    ("POST", "/api/v1/rerate", [401, 200, 403, 403, 403, 403]),
    ("GET", "/api/v1/rerate", [401, 404, 403, 403, 403, 403]),
];

const PATH: &str = "/api/v1/rerate";

/// Books with three calls that have no price, in two projects, and then a price for them.
fn priced_late() -> Rig {
    let rig = Rig::new();
    for (id, project, model) in [("a", "web", "house"), ("b", "web", "house"), ("c", "shop", "house")] {
        let event = json!({"id": id, "provider": "acme", "model": model, "project": project,
            "usage": {"input_tokens": 1_000_000, "output_tokens": 0}});
        let answer = rig.call(Method::POST, "/api/v1/events", &rig.keys.admin, event.to_string()).json();
        assert_eq!(answer["unpriced"], 1, "{answer}");
    }
    let price = r#"{"provider":"acme","model":"house","input":"0.30","output":"1.20"}"#;
    assert_eq!(rig.call(Method::POST, "/api/v1/prices", &rig.keys.admin, price).status, 201);
    rig
}

fn ask(rig: &Rig, body: &Value) -> (u16, Value) {
    let answer = rig.call(Method::POST, PATH, &rig.keys.admin, body.to_string());
    (answer.status.as_u16(), answer.json())
}

fn total(rig: &Rig) -> Value {
    rig.get("/api/v1/usage?from=7d", &rig.keys.admin).json()
}

/// The latest run, once it has ended.
fn ended(rig: &Rig) -> Value {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let latest = rig.get(PATH, &rig.keys.admin).json();
        if latest["ended_at"] != Value::Null {
            return latest;
        }
        assert!(Instant::now() < deadline, "{latest}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_difference_is_shown_then_applied_by_a_run() {
    let rig = priced_late();
    let web = json!({"unpriced": true, "match": {"model": "house", "project": "web"}});
    let (status, plan) = ask(&rig, &web);
    assert_eq!((status, &plan["run"], &plan["ended_at"]), (200, &Value::Null, &Value::Null), "{plan}");
    let models =
        json!([{"provider": "acme", "model": "house", "calls": 2, "before_usd": null, "after_usd": "0.6"}]);
    let changes =
        json!({"looked_at": 2, "calls": 2, "before_usd": "0", "after_usd": "0.6", "models": models});
    assert_eq!(plan["changes"], changes);
    assert_eq!(total(&rig)["total"]["unpriced_calls"], 3, "nothing has changed");

    let mut applied = web.clone();
    applied["apply"] = json!(true);
    let (status, begun) = ask(&rig, &applied);
    assert_eq!((status, &begun["match"]), (202, &web["match"]), "{begun}");
    let ended = ended(&rig);
    assert_eq!((&ended["run"], &ended["changes"]), (&begun["run"], &changes));
    let report = total(&rig);
    assert_eq!(
        (&report["total"]["unpriced_calls"], &report["total"]["cost_usd"]),
        (&json!(1), &json!("0.6"))
    );
    assert_eq!(report.get("run_in_progress"), None);
    let why = rig.get("/api/v1/calls/a", &rig.keys.admin).json();
    assert_eq!(why["adjustments"][0]["run"], begun["run"], "{why}");
    // Applied again it has nothing to do.
    assert_eq!(ask(&rig, &web).1["changes"]["looked_at"], 0);
}

#[test]
fn reports_say_that_costs_are_changing_and_no_other_run_begins() {
    let rig = priced_late();
    let mut rerating = rig.ledger.begin_rerate(&By::local(), rig.ledger.book(), Scope::default()).unwrap();
    let run = json!(rerating.run().run);
    assert_eq!(total(&rig)["run_in_progress"], run);
    assert_eq!(rig.get("/api/v1/stats?from=7d", &rig.keys.admin).json()["run_in_progress"], run);
    assert_eq!(rig.get(PATH, &rig.keys.admin).json()["changes"], Value::Null);
    let (status, refused) = ask(&rig, &json!({"apply": true}));
    assert_eq!((status, &refused["code"]), (409, &json!("run_in_progress")), "{refused}");
    assert_eq!(ask(&rig, &json!({})).0, 200, "what would change may be asked");
    rig.ledger.rerate_to_its_end(&mut rerating).unwrap();
    assert_eq!(total(&rig).get("run_in_progress"), None);
}

#[test]
fn what_makes_no_sense_is_refused_with_all_that_is_wrong() {
    let rig = Rig::new();
    let cases = [
        (json!({"match": {"colour": "red"}, "apply": 1}), "/match /apply"),
        (json!({"match": ["model"]}), "/match"),
        (json!({"from": "2026-11-02", "to": "2026-11-01"}), "/from"),
        (json!({"tz": "Mars/Base", "scope": "all"}), "/tz /scope"),
    ];
    for (body, wanted) in cases {
        let (status, problem) = ask(&rig, &body);
        let faults = problem["errors"].as_array().unwrap();
        let pointers: Vec<&str> = faults.iter().filter_map(|fault| fault["pointer"].as_str()).collect();
        assert_eq!((status, pointers.join(" ").as_str()), (422, wanted), "{problem}");
    }
}
