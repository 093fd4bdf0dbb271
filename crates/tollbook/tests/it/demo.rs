//! `tollbook demo`, on books that nobody serves and beside a server.

use crate::gateway::running::Running;
use crate::program::Place;
use serde_json::{Value, json};
use tollbook_testkit::Call;

/// Comes and goes in a place that has calls of its own; they stay as they are.
fn check(place: &Place) {
    let sums = || place.json(&["usage", "daily", "--by", "user,model,source", "--all"]);
    let before = sums();
    let none = place.run(&["demo", "--remove"]).ok();
    assert!(none.out.is_empty() && none.err.contains("there is no demo"), "{}", none.err);
    let told = place.run(&["demo"]).ok();
    assert!(told.out.contains("demo calls of 90 days are in the books"), "{}", told.out);
    assert!(place.run(&["demo"]).ok().out.contains("were there already"));
    let demo = place.json(&["demo"]);
    let of_demo = place.json(&["usage", "--all", "-f", "source=demo"]);
    assert_eq!(of_demo["total"]["calls"], demo["calls"]);
    assert_eq!(of_demo["total"]["unpriced_calls"], 0, "{}", of_demo["total"]);
    // What it prints about the spike can be typed as it stands.
    let hint = told.out.lines().find_map(|line| line.split_once("tollbook ")).unwrap().1;
    let mut words: Vec<&str> = hint.split(' ').collect();
    words.extend(["-n", "100"]);
    let calls = place.json(&words);
    let calls = calls["data"].as_array().unwrap();
    assert_eq!(calls.len(), 37);
    assert!(calls.iter().all(|call| call["user"] == "maria" && call["project"] == "demo"));
    let others = place.json(&["usage", "daily", "--by", "user,model,source", "--all", "-f", "source!=demo"]);
    let rows = |report: &Value| report["rows"].clone();
    assert_eq!(rows(&others), rows(&before));
    place.run(&["verify"]).ok();
    assert_eq!(place.json(&["demo", "--remove"])["calls"], demo["calls"]);
    assert_eq!(sums(), before);
    place.run(&["verify"]).ok();
}

#[test]
fn a_demo_comes_and_goes_without_a_server() {
    check(&Place::with_examples());
}

#[test]
fn a_demo_comes_and_goes_beside_a_server() {
    let running = Running::start();
    let usage = json!({"input_tokens": 1_200, "output_tokens": 300});
    let told = json!({"id": "a", "provider": "openai", "model": "gpt-4o", "usage": usage});
    assert_eq!(running.call(Call::post("/api/v1/events", &told)).status, 200);
    check(&running.place);
    let audit = running.place.json(&["audit"]);
    let acts: Vec<&Value> = audit["data"].as_array().unwrap().iter().map(|act| &act["act"]).collect();
    assert!(
        acts.contains(&&Value::from("demo.add")) && acts.contains(&&Value::from("demo.remove")),
        "{acts:?}"
    );
}
