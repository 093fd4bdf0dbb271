//! What changes the books on the command line: it does what it says, and the audit log has it.

use crate::program::Place;
use serde_json::{Value, json};

/// Two old calls, one of yesterday's year, of two people; the raw usage of each is kept.
fn filled() -> Place {
    let place = Place::new();
    let call = |id: &str, user: &str, at: &str| {
        json!({
            "id": id, "occurred_at": at, "provider": "openai", "model": "gpt-4o-mini", "user": user,
            "metadata": {"note": "canary"}, "api": "openai_chat",
            "response": {"id": format!("chatcmpl-{id}"), "object": "chat.completion", "model": "gpt-4o-mini",
                "choices": [], "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}},
        })
        .to_string()
    };
    let calls = [
        call("a", "ann", "2025-01-01T10:00:00Z"),
        call("b", "bob", "2025-01-02T10:00:00Z"),
        call("c", "ann", "2026-06-01T10:00:00Z"),
    ];
    place.run(&["import", "jsonl", &place.file("calls.jsonl", calls.join("\n"))]).ok();
    place
}

/// The audit log's latest record.
fn latest(place: &Place) -> Value {
    place.json(&["audit", "-n", "1"])["data"][0].clone()
}

fn total(place: &Place) -> (Value, Value) {
    let total = place.json(&["usage", "--all"])["total"].clone();
    (total["calls"].clone(), total["cost_usd"].clone())
}

#[test]
fn a_person_is_shown_and_taken_out_and_the_sums_stay() {
    let place = filled();
    let before = total(&place);
    let held = place.run(&["held", "user=ann"]).ok().json_lines();
    let calls = held.iter().filter(|line| line["kind"] == "call").count();
    assert_eq!((calls, held.last().unwrap()["calls"].as_u64()), (2, Some(2)), "{held:?}");

    let preview = place.json(&["erase", "user=ann", "--reason", "asked to"]);
    assert_eq!((&preview["applied"], &preview["calls"]), (&json!(false), &json!(2)));
    assert_eq!(place.json(&["usage", "--all", "-f", "user=ann"])["total"]["calls"], 2, "nothing was done");

    let done = place.json(&["erase", "user=ann", "--reason", "asked to", "--yes"]);
    assert_eq!(done["calls"], 2, "{done}");
    assert_eq!(total(&place), before);
    assert_eq!(place.json(&["usage", "--all", "-f", "user=ann"])["total"]["calls"], 0);
    let held = place.run(&["held", "user=ann"]).ok().json_lines();
    assert!(!held.iter().any(|line| line["kind"] == "call"), "{held:?}");
    place.run(&["verify"]).ok();
    assert_eq!(latest(&place)["act"], "person.erase");
}

#[test]
fn what_is_past_its_time_goes_and_the_rest_agrees() {
    let place = filled();
    let sums = total(&place);
    // So many days are kept that only the calls of 2025, or none, are past them.
    let cases = [("--days", "36500", 3, 3), ("--raw-days", "1", 3, 0), ("--days", "1", 0, 0)];
    for (option, days, calls, with_note) in cases {
        place.run(&["retain", option, days]).ok();
        let kept = place.run(&["export", "--format", "jsonl"]).ok().json_lines();
        let noted = kept.iter().filter(|call| call.to_string().contains("canary")).count();
        assert_eq!((kept.len(), noted), (calls, with_note), "{option} {days}");
        assert_eq!(total(&place), sums, "sums stay: {option} {days}");
        place.run(&["verify"]).ok();
        let told = &latest(&place);
        assert_eq!((&told["act"], &told["actor"]), (&json!("retention.apply"), &json!("local")));
    }
    place.run(&["import", "jsonl", &place.file("late.jsonl", r#"{"id":"late","occurred_at":"2026-06-02T10:00:00Z","provider":"openai","model":"gpt-4o-mini","usage":{"input_tokens":1,"output_tokens":1}}"#)]).code(1);
    assert_eq!(total(&place), sums, "what is before the cut-off does not come back");
}

#[test]
fn every_command_that_changes_the_books_is_recorded() {
    let place = filled();
    let backup = place.path().join("backup.db").display().to_string();
    place.run(&["backup", &backup]).ok();
    let cases: &[(&[&str], &str)] = &[
        (&["key", "create", "ci"], "key.create"),
        (&["member", "add", "Ann"], "member.add"),
        (&["budget", "set", "user=ann", "5/day"], "budget.create"),
        (&["settle", "a", "--cost-usd", "0.5", "--reason", "billed so"], "call.settle"),
        (&["rerate", "--apply"], "calls.rerate"),
        (&["backfill", "--apply"], "calls.backfill"),
        (&["retain", "--raw-days", "36500"], "retention.apply"),
        (&["rebuild"], "store.rebuild"),
        (&["erase", "user=bob", "--reason", "asked to", "--yes"], "person.erase"),
        (&["restore", &backup], "store.restore"),
    ];
    for (args, act) in cases {
        place.run(args).ok();
        let found = latest(&place);
        assert_eq!((&found["act"], &found["actor"]), (&json!(act), &json!("local")), "{args:?}");
    }
}
