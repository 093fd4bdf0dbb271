//! The first five minutes of somebody who has just built it, as far as they are typed.

use crate::gateway::running::{Running, chat};
use crate::program::example;
use serde_json::json;
use tollbook_testkit::Call;

#[test]
fn the_first_five_minutes_go_as_they_are_told() {
    let running = Running::start();
    let place = &running.place;
    // An event, and the same again.
    let hello = json!({"id": "hello-1", "provider": "openai", "model": "gpt-4o", "user": "me",
                       "usage": {"input_tokens": 1200, "output_tokens": 300}});
    let send = || running.call(Call::post("/api/v1/events", &hello)).json();
    let (first, again) = (send(), send());
    assert_eq!(
        (&first["accepted"], &first["cost_usd"], &first["total_tokens"]),
        (&json!(1), &json!("0.006"), &json!(1500))
    );
    assert_eq!((&again["accepted"], &again["duplicates"]), (&json!(0), &json!(1)));
    // A program's call through the gateway, then a budget that is spent already.
    assert_eq!(running.call(chat(true).header("x-tollbook-user", "me")).status, 200);
    place.run(&["budget", "set", "user=me", "0.005/day", "--block", "--tz", "Europe/Berlin"]).ok();
    let refused = running.call(chat(false).header("x-tollbook-user", "me"));
    assert_eq!((refused.status, refused.header("x-should-retry")), (402, Some("false")));
    assert_eq!(refused.json()["error"]["code"], "budget_exceeded");
    // The same total on the command line, in the chart, and over HTTP, to the last digit.
    let total = |report: &serde_json::Value| report["total"]["cost_usd"].as_str().unwrap().to_owned();
    let here = place.json(&["usage", "--by", "model"]);
    let there =
        running.caller().call(&Call::get("/api/v1/usage?group_by=model").bearer(&running.admin)).unwrap();
    assert_eq!(total(&here), total(&there.json()));
    let chart = place.run(&["usage", "--by", "model", "--chart"]).ok().out;
    assert!(chart.contains("█") && chart.contains(&format!("${}", total(&here))), "{chart}");
    // History, looked at first.
    // Beside a server nobody else writes; looking is allowed.
    place.run(&["import", "jsonl", &example("events.jsonl"), "--dry-run"]).ok();
    // A demo, its spike, its export; and away with it.
    let before = place.json(&["usage", "daily", "--all"]);
    let demo = place.json(&["demo"]);
    let text = |name: &str| demo[name].as_str().unwrap().to_owned();
    let (from, to) = (text("spike_from"), text("spike_to"));
    let csv = place.run(&["export", "--format", "csv", "--since", &from, "--until", &to]).ok().out;
    assert_eq!(csv.lines().count(), 1 + 37, "a head and the spike's calls");
    assert!(csv.lines().skip(1).all(|row| row.contains("maria") && row.contains("gpt-5.5")));
    place.run(&["demo", "--remove"]).ok();
    assert_eq!(place.json(&["usage", "daily", "--all"]), before);
    for command in ["doctor", "verify"] {
        place.run(&[command]).ok();
    }
}
