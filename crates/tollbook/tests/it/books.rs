//! Corrections, exports, copies.

use crate::program::{Place, example};
use serde_json::Value;

fn unknown_call(place: &Place) {
    let line = r#"{"id":"lost-1","provider":"openai","model":"gpt-4o-mini","status":"timeout","operation":"rag_answer"}"#;
    let file = place.file("lost.jsonl", line);
    place.run(&["import", "jsonl", &file]).ok();
}

#[test]
fn statistics_hold_the_sums_of_usage() {
    let place = Place::with_examples();
    let by = ["--all", "--by", "provider,model"];
    let answer = |more: &[&str]| place.json(&[&["usage"][..], &by, more].concat());
    let (usage, stats) = (answer(&[]), answer(&["--stats"]));
    let rows = |answer: &Value| answer["rows"].as_array().unwrap().clone();
    assert_eq!(rows(&usage).len(), rows(&stats).len());
    for (sums, figures) in rows(&usage).iter().zip(&rows(&stats)).chain([(&usage["total"], &stats["total"])])
    {
        for (name, value) in sums.as_object().unwrap() {
            assert_eq!(&figures[name], value, "{name}");
        }
    }
    assert_eq!(stats["total"]["success_rate"].as_str().map(|rate| rate.starts_with("0.")), Some(true));
    place.run(&["usage", "--stats", "--chart"]).code(2);
}

#[test]
fn rerating_shows_first_and_changes_only_with_apply() {
    let place = Place::with_examples();
    let before = place.json(&["usage", "--all"])["total"]["cost_usd"].clone();
    place.file("tollbook.toml", "[[prices]]\nfile = \"own.toml\"\n");
    place.file(
        "own.toml",
        "[[price]]\nprovider = \"openai\"\nmodel = \"no-such-model\"\ninput = \"1\"\noutput = \"2\"\n",
    );
    let shown = place.run(&["rerate", "--unpriced"]).ok();
    assert!(shown.out.contains("1 calls looked at, 1 differ: $0 before, $0.00005 after"), "{}", shown.out);
    assert!(shown.err.contains("--apply"), "{}", shown.err);
    assert_eq!(place.json(&["usage", "--all"])["total"]["cost_usd"], before);
    let applied = place.json(&["rerate", "--unpriced", "--apply"]);
    assert_eq!(applied["applied"], 1);
    assert_eq!(place.json(&["rerate", "--unpriced", "--apply"])["applied"], 0);
    assert_eq!(place.json(&["usage", "--all"])["total"]["unpriced_calls"], 0);
    assert_eq!(place.json(&["usage", "--all", "--as", "billed"])["total"]["cost_usd"], before);
    assert_eq!(
        place.json(&["usage", "--all", "--as-of", "2020-01-01T00:00:00Z"])["total"]["cost_usd"],
        before
    );
    let call = place.json(&["call", "book-8"]);
    assert_eq!(call["cost_usd"], "0.00005");
    assert!(call["billed_cost_usd"].is_null());
    assert_eq!(call["adjustments"][0]["version"], 1);
    assert_eq!(place.json(&["explain", "book-8"])["recomputed"], "equal");
    place.run(&["verify"]).ok();
}

#[test]
fn an_unknown_call_is_settled_or_filled_in() {
    let place = Place::with_examples();
    unknown_call(&place);
    let call = place.json(&["call", "lost-1"]);
    assert_eq!(call["evidence"], "unknown");
    assert!(call["cost_usd"].is_null());
    assert_eq!(place.json(&["usage", "--all"])["total"]["unknown_calls"], 1);
    let planned = place.json(&["backfill"]);
    assert_eq!(planned["would_change"], 1);
    place
        .run(&["settle", "lost-1", "--usage", "in=1000,out=100", "--reason", "the provider's export says so"])
        .ok();
    let call = place.json(&["call", "lost-1"]);
    assert_eq!(call["cost_usd"], "0.00021");
    assert_eq!(place.json(&["backfill"])["would_change"], 0);
    place.run(&["settle", "lost-1", "--cost-usd", "-1", "--reason", "x"]).code(2);
    place.run(&["settle", "lost-1", "--reason", "x"]).code(2);
    let none = place.json(&["settle", "lost-1", "--none", "--reason", "never sent"]);
    assert_eq!(none["cost_usd"], "0");
    assert_eq!(none["adjustments"][1]["reason"], "settled: never sent");
    place.run(&["verify"]).ok();
}

#[test]
fn exports_hold_every_call_and_no_formula() {
    let place = Place::with_examples();
    let evil = r#"{"id":"=cmd|' /C calc'!A0","provider":"openai","model":"gpt-4o","user":"+1","usage":{"input_tokens":1,"output_tokens":1}}"#;
    place.run(&["import", "jsonl", &place.file("evil.jsonl", evil)]).ok();
    let csv = place.run(&["export"]).ok().out;
    assert_eq!(csv.lines().count(), 24);
    assert!(csv.contains("\r\n'=cmd|' /C calc'!A0,"), "{csv}");
    assert!(csv.contains(",'+1,"));
    assert_eq!(place.run(&["export", "--format", "jsonl"]).ok().json_lines().len(), 23);
    assert_eq!(
        place
            .run(&[
                "export",
                "--json",
                "-f",
                "provider=openai",
                "--since",
                "2026-11-18",
                "--until",
                "2026-11-18"
            ])
            .ok()
            .json_lines()
            .len(),
        1
    );
    place.run(&["export", "-o", "calls.csv"]).ok();
    assert_eq!(std::fs::read_to_string(place.path().join("calls.csv")).unwrap(), csv);
}

#[test]
fn daily_logs_have_the_lines_of_their_day() {
    let place = Place::with_examples();
    place.run(&["logs", "--dir", "logs", "--all"]).ok();
    let day = std::fs::read_to_string(place.path().join("logs/token_usage_2026-11-19.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> = day.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert!(day.contains(r#""query":null,"model_name":"openai/gpt-4o-mini","prompt_tokens":100,"completion_tokens":20,"total_tokens":120,"cost_estimate":0.000027,"#));
    assert_eq!(lines[1]["success"], false);
    assert!(day.contains(r#""response_time":0.120"#));
}

#[test]
fn a_backup_and_the_journal_restore_everything() {
    let place = Place::with_examples();
    place.run(&["backup", "copy.db"]).ok();
    place.run(&["backup", "copy.db"]).code(1);
    unknown_call(&place);
    let report = place.json(&["usage", "--all", "--by", "model"]);
    std::fs::remove_file(place.path().join("tollbook-data/store.db")).unwrap();
    let missing = place.run(&["usage", "--all"]).code(1);
    assert!(missing.err.contains("restore"), "{}", missing.err);
    place.run(&["restore", "copy.db"]).ok();
    assert_eq!(place.json(&["usage", "--all", "--by", "model"]), report);
    place.run(&["verify"]).ok();
    place.run(&["restore", "--from-journal"]).ok();
    assert_eq!(place.json(&["usage", "--all", "--by", "model"]), report);
    place.run(&["verify"]).ok();
    place.run(&["rebuild"]).ok();
    assert_eq!(place.json(&["usage", "--all", "--by", "model"]), report);
}

#[test]
fn a_backup_alone_makes_books_that_verify() {
    let place = Place::with_examples();
    place.run(&["backup", "copy.db"]).ok();
    let report = place.json(&["usage", "--all", "--by", "model"]);
    let other = |args: &[&str]| place.run(&[&["--data-dir", "other"][..], args].concat());
    let restored = other(&["restore", "copy.db"]).ok();
    assert!(
        restored.err.contains("there is no journal") && !restored.err.contains("lost"),
        "{}",
        restored.err
    );
    let look = || {
        let found = other(&["usage", "--all", "--by", "model", "--json"]).ok();
        assert_eq!(found.json_lines()[0], report);
        other(&["verify"]).ok();
    };
    look();
    // Once more, into what is there now: the journal goes back to right behind the backup.
    other(&["restore", "copy.db"]).ok();
    look();
    // A journal that went missing without a restore is still told of.
    std::fs::remove_dir_all(place.path().join("tollbook-data/journal")).unwrap();
    place.run(&["import", "jsonl", "-"]).ok();
    place.run(&["verify"]).code(4);
}

#[test]
fn damage_is_found_and_has_its_own_exit_code() {
    let place = Place::with_examples();
    let journal = place.path().join("tollbook-data/journal/00000000000000000001.jsonl");
    let mut bytes = std::fs::read(&journal).unwrap();
    let at = bytes.windows(6).position(|window| window == b"book-4").unwrap();
    bytes[at + 5] = b'5';
    std::fs::write(&journal, bytes).unwrap();
    let found = place.run(&["verify"]).code(4);
    assert!(found.out.contains("DIFFERS"), "{}", found.out);
    assert_eq!(place.run(&["verify", "--json"]).code(4).json_lines()[0]["ok"], false);
}

#[test]
fn retention_drops_whole_days_and_refuses_what_is_older() {
    let place = Place::with_examples();
    let nothing = place.run(&["retain"]).ok();
    assert!(nothing.out.contains("no retention is set"), "{}", nothing.out);
    let done = place.json(&["retain", "--days", "400"]);
    assert_eq!(done["calls"], 1);
    let again = place.run(&["import", "jsonl", &example("events.jsonl"), "--json"]).code(1);
    let refused: Vec<_> =
        again.json_lines().into_iter().filter(|answer| answer["result"] == "rejected").collect();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0]["code"], "before_cutoff");
    place.run(&["verify"]).ok();
}
