//! The figures: costs, totals, explanations.

use crate::program::{Place, example};
use serde_json::{Value, json};

/// id, cost, input and output tokens of the example events.
const EVENTS: &[(&str, Option<&str>, u64, u64)] = &[
    ("book-1", Some("0.00230225"), 4_153, 632),
    ("book-2", Some("0.0002775"), 1_250, 150),
    ("book-3", Some("0.0125"), 1_000, 500),
    ("book-4", Some("0.007"), 1_000, 500),
    ("book-5", Some("0.012"), 200, 100),
    ("book-6", Some("0.00024"), 12_000, 0),
    ("book-8", None, 10, 20),
    ("book-9", Some("0.000027"), 100, 20),
];

#[test]
fn the_examples_cost_what_providers_bill() {
    let place = Place::new();
    let rated = place.run(&["import", "jsonl", &example("events.jsonl"), "--dry-run", "--json"]).ok();
    let calls = rated.json_lines();
    assert_eq!(calls.len(), 10);
    for (id, cost, input, output) in EVENTS {
        let call = calls.iter().find(|call| call["id"] == *id).unwrap();
        assert_eq!(call["cost_usd"], cost.map_or(Value::Null, Value::from), "{id}");
        assert_eq!(call["usage"]["input_tokens"], *input, "{id}");
        assert_eq!(call["usage"]["output_tokens"], *output, "{id}");
    }
    assert!(!place.path().join("tollbook-data").exists(), "a dry run leaves nothing behind");
    let unpriced = calls.iter().find(|call| call["id"] == "book-8").unwrap();
    assert_eq!(unpriced["price_id"], Value::Null);
    assert_eq!(unpriced["cost_basis"], "unpriced");
}

#[test]
fn recorded_answers_come_out_in_their_order() {
    let place = Place::new();
    let calls = place
        .run(&["import", "responses", &example("responses.jsonl"), "--dry-run", "--json"])
        .ok()
        .json_lines();
    let of = |id: &str| calls.iter().find(|call| call["id"] == id).unwrap();
    assert_eq!(calls.len(), 12);
    assert_eq!(calls[0]["id"], "openai-chat");
    assert_eq!(of("openai-chat")["usage"]["cache_read_tokens"], 1_000);
    assert_eq!(of("openai-chat")["cost_usd"], "0.0002025");
    assert_eq!(of("openai-chat-stream")["evidence"], "provider_usage");
    assert_eq!(of("openai-chat-cut")["evidence"], "estimated");
    assert_eq!(of("openai-error")["usage"], Value::Null);
    assert_eq!(of("openai-error")["cost_usd"], "0");
    assert_eq!(of("openai-error")["status"], "upstream_error");
    assert_eq!(of("anthropic-count")["cost_usd"], "0");
    assert_eq!(of("anthropic-messages")["usage"]["input_tokens"], 3_000);
    assert_eq!(of("anthropic-messages")["cost_usd"], "0.019125");
    assert_eq!(of("google-generate")["usage"]["output_tokens"], 100);
    assert_eq!(of("ollama-chat")["cost_usd"], "0");
    assert_eq!(of("openrouter-chat")["cost_basis"], "provider");
    assert_eq!(of("openrouter-chat")["cost_usd"], "0.000027");
}

#[test]
fn a_second_import_adds_nothing() {
    let place = Place::with_examples();
    let before = place.json(&["usage", "--all"]);
    let again = place.run(&["import", "jsonl", &example("events.jsonl"), "--json"]).ok().json_lines();
    assert_eq!(again.len(), 10);
    assert!(again.iter().all(|answer| answer["result"] == "duplicate"));
    assert_eq!(again[0]["cost_usd"], "0.00230225");
    assert_eq!(again[0]["total_tokens"], 4_785);
    let summary = place.run(&["import", "responses", &example("responses.jsonl")]).ok();
    assert!(summary.out.contains("accepted    0\nduplicates  12\n"), "{}", summary.out);
    assert_eq!(place.json(&["usage", "--all"]), before);
    place.run(&["verify"]).ok();
}

#[test]
fn totals_are_the_same_however_they_are_split() {
    let place = Place::with_examples();
    let whole = place.json(&["usage", "--all"]);
    assert_eq!(whole["total"]["calls"], 22);
    assert_eq!(whole["total"]["unpriced_calls"], 1);
    for args in [
        &["usage", "monthly", "--all", "--tz", "Asia/Kathmandu"][..],
        &["usage", "--all", "--by", "provider,model"],
        &["usage", "weekly", "--all", "--by", "user,tag.feature", "--tz", "America/New_York"],
        &["usage", "hourly", "--all"],
        &["usage", "--all", "--by", "source,status,evidence", "--as", "billed"],
    ] {
        let report = place.json(args);
        assert_eq!(report["total"], whole["total"], "{args:?}");
        let picos = |value: &Value| -> i128 {
            value.as_str().unwrap().parse::<tollbook_types::Money>().unwrap().picos()
        };
        let rows = report["rows"].as_array().unwrap();
        let sum: i128 = rows.iter().map(|row| picos(&row["cost_usd"])).sum();
        assert_eq!(sum, picos(&whole["total"]["cost_usd"]), "{args:?}");
        let calls: u64 = rows.iter().map(|row| row["calls"].as_u64().unwrap()).sum();
        assert_eq!(calls, 22, "{args:?}");
    }
}

#[test]
fn filters_and_ranges_choose_calls() {
    let place = Place::with_examples();
    let calls = |args: &[&str]| place.json(args)["total"]["calls"].as_u64().unwrap();
    assert_eq!(calls(&["usage", "--all", "--user", "123", "--operation", "rag_answer"]), 4);
    assert_eq!(calls(&["usage", "--all", "-f", "provider=gcp.gemini"]), 1);
    assert_eq!(calls(&["usage", "--all", "-f", "tag.team=ops"]), 1);
    assert_eq!(calls(&["usage", "--all", "-f", "user=7", "-f", "user=123"]), 11);
    assert_eq!(calls(&["usage", "--all", "-f", "source!=jsonl"]), 12);
    assert_eq!(calls(&["usage", "--since", "2026-11-17", "--until", "2026-11-17"]), 2);
    assert_eq!(
        calls(&["usage", "--since", "2026-11-17", "--until", "2026-11-17", "--tz", "Pacific/Auckland"]),
        3
    );
    assert_eq!(calls(&["usage", "--until", "2024-12-31"]), 1);
    let month = place.json(&["usage", "monthly", "--since", "2024-08-01", "--until", "2024-08-31"]);
    assert_eq!(month["rows"][0]["bucket"], "2024-08-01T00:00:00+00:00");
    assert_eq!(month["interval"], "month");
}

#[test]
fn explanations_are_exact_and_reproduce() {
    let place = Place::with_examples();
    let told = place.json(&["explain", "book-1"]);
    assert_eq!(told["recomputed"], "equal");
    assert_eq!(told["cost_picos"], "2302250000");
    let lines = told["legs"][0]["lines"].as_array().unwrap();
    assert_eq!(lines[0]["meter"], "input");
    assert_eq!(lines[0]["quantity"], 4_153);
    assert_eq!(lines[0]["cost_usd"], "0.00103825");
    assert_eq!(lines[1]["cost_picos"], "1264000000");
    let text = place.run(&["explain", "book-1"]).ok().out;
    for part in ["4,153 input × $0.25 per 1,000,000 = $0.00103825", "recomputed    equal", "the price book"]
    {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    let text = place.run(&["explain", "book-9"]).ok().out;
    assert!(text.contains("the bill that the provider reported"), "{text}");
    let text = place.run(&["explain", "book-8"]).ok().out;
    assert!(text.contains("absent, not 0") && text.contains("no price for model no-such-model"), "{text}");
    let missing = place.run(&["explain", "nobody"]).code(1);
    assert!(
        missing.err.contains("error: no call has the id") && missing.err.contains("hint: "),
        "{}",
        missing.err
    );
}

#[test]
fn one_id_from_two_sources_has_to_be_chosen() {
    let place = Place::new();
    let event = |project: &str| {
        format!(
            r#"{{"id":"same","provider":"openai","model":"gpt-4o","usage":{{"input_tokens":1,"output_tokens":1}},"project":"{project}"}}"#
        )
    };
    let file = place.file("two.jsonl", format!("{}\n{}\n", event("a"), event("b")));
    place.run(&["import", "jsonl", &file]).ok();
    let unclear = place.run(&["call", "same"]).code(1);
    assert!(unclear.err.contains("--project a") && unclear.err.contains("--project b"), "{}", unclear.err);
    assert_eq!(place.json(&["call", "same", "--project", "b"])["project"], "b");
}

#[test]
fn calc_takes_totals_that_include_their_parts() {
    let place = Place::new();
    let calc =
        place.json(&["price", "calc", "gpt-5-mini", "--input-tokens", "4153", "--output-tokens", "632"]);
    assert_eq!(calc["cost_usd"], "0.00230225");
    assert_eq!(calc["input_cost_usd"], "0.00103825");
    assert_eq!(calc["output_cost_usd"], "0.001264");
    assert_eq!(calc["other_cost_usd"], "0");
    assert_eq!(calc["lines"].as_array().unwrap().len(), 2);
    let cost = |args: &[&str]| {
        let mut all = vec!["price", "calc"];
        all.extend(args);
        place.json(&all)["cost_usd"].as_str().unwrap().to_owned()
    };
    let thousand = ["--input-tokens", "1000", "--output-tokens", "1000"];
    let with = |first: &[&'static str]| [first, &thousand[..]].concat();
    assert_eq!(cost(&with(&["gpt-4o", "--at", "2024-08-01T00:00:00Z"])), "0.02");
    assert_eq!(cost(&with(&["gpt-4o", "--at", "2026-11-01T00:00:00Z"])), "0.0125");
    assert_eq!(cost(&with(&["gpt-4o", "--cache-read-tokens", "1000"])), "0.01125");
    assert_eq!(cost(&with(&["gpt-4"])), "0.09");
    let impossible =
        place.run(&["price", "calc", "gpt-4o", "--input-tokens", "5", "--cache-read-tokens", "6"]).code(2);
    assert!(impossible.err.contains("exceeds"), "{}", impossible.err);
    let unknown = place.run(&["price", "calc", "gpt-4x-nothing", "--input-tokens", "5"]).code(1);
    assert!(unknown.err.contains("hint: "), "{}", unknown.err);
}

#[test]
fn own_prices_count_before_the_book() {
    let place = Place::new();
    place.file("tollbook.toml", format!("[[prices]]\nfile = {}\n", json!(example("my-prices.toml"))));
    let calc =
        place.json(&["price", "calc", "house-model", "--provider", "vllm", "--input-tokens", "1000000"]);
    assert_eq!(calc["cost_usd"], "0.05");
    assert_eq!(calc["cost_basis"], "override");
    let matched = place.run(&["price", "match", "support-deployment", "--provider", "azure"]).ok().out;
    assert!(matched.contains("gpt-4o-mini"), "{matched}");
    place.run(&["price", "check"]).ok();
    place.run(&["price", "check", &example("my-prices.toml")]).ok();
    let bad = place.file("bad.toml", "[[price]]\nmodel = \"x\"\ninputs = \"1\"\n");
    let checked = place.run(&["price", "check", &bad]).code(1);
    assert!(checked.out.contains("bad.toml:3:1"), "{}", checked.out);
    let none = place.run(&["price", "match", "gpt-4o-minni"]).code(1);
    assert!(none.out.contains("gpt-4o-mini"), "{}", none.out);
}

#[test]
fn a_feed_brings_prices_and_rerate_uses_them() {
    let place = Place::with_examples();
    let feed = place.file(
        "feed.json",
        r#"{"no-such-model":{"litellm_provider":"openai","mode":"chat","input_cost_per_token":1e-06,"output_cost_per_token":2e-06}}"#,
    );
    let dry = place.run(&["price", "import", &feed, "--dry-run"]).ok().out;
    assert!(dry.contains("1 new"), "{dry}");
    assert!(place.json(&["rerate", "--unpriced"])["would_change"] == 0);
    place.run(&["price", "import", &feed]).ok();
    let again = place.run(&["price", "import", &feed]).ok().out;
    assert!(again.contains("0 new, 0 changed"), "{again}");
}
