//! What strangers send: a clear error for each line, nothing lost beside it.

use crate::program::Place;

const GOOD: &str =
    r#"{"id":"good","provider":"openai","model":"gpt-4o","usage":{"input_tokens":10,"output_tokens":5}}"#;

/// A line of a native file, and the code that it is refused with.
fn lines() -> Vec<(Vec<u8>, &'static str)> {
    let usage = |usage: &str| {
        format!(r#"{{"id":"x","provider":"openai","model":"gpt-4o","usage":{usage}}}"#).into_bytes()
    };
    let with = |member: &str| {
        format!(r#"{{"id":"x","provider":"openai","model":"gpt-4o","usage":{{"input_tokens":1,"output_tokens":1}},{member}}}"#)
            .into_bytes()
    };
    vec![
        (b"{".to_vec(), "json_invalid"),
        (b"null".to_vec(), "field_invalid"),
        (b"[]".to_vec(), "field_invalid"),
        (b"{\"id\":\"x\"}".to_vec(), "field_missing"),
        (GOOD.as_bytes()[..GOOD.len() - 9].to_vec(), "json_invalid"),
        (b"\xef\xbb\xbf{}".to_vec(), "json_invalid"),
        (b"{\"id\":\"\xff\"}".to_vec(), "not_utf8"),
        ("[".repeat(100_000).into_bytes(), "json_too_deep"),
        ("{\"a\":".repeat(100_000).into_bytes(), "json_too_deep"),
        (usage(r#"{"input_tokens":NaN}"#), "json_invalid"),
        (usage(r#"{"input_tokens":1e400}"#), "json_invalid"),
        (usage(r#"{"input_tokens":-1}"#), "field_invalid"),
        (usage(r#"{"input_tokens":1.5}"#), "field_invalid"),
        (usage(r#"{"input_tokens":1e3}"#), "field_invalid"),
        (usage(r#"{"input_tokens":"10"}"#), "field_invalid"),
        (usage(r#"{"input_tokens":null}"#), "field_invalid"),
        (usage(r#"{"input_tokens":9223372036854775807}"#), "field_too_large"),
        (usage(r#"{"input_tokens":18446744073709551616}"#), "field_invalid"),
        (usage(r#"{"input_tokens":5,"input_tokens":6}"#), "json_duplicate_key"),
        (usage(r#"{"input_tokens":5,"cache_read_tokens":6,"output_tokens":1}"#), "usage_inconsistent"),
        (usage(r#"{"input_token":5}"#), "unknown_member"),
        (with(r#""occurred_at":"2026-11-22T10:00:00""#), "timestamp_invalid"),
        (with(r#""occurred_at":"2026-02-30T10:00:00Z""#), "timestamp_invalid"),
        (with(r#""occurred_at":"2999-01-01T00:00:00Z""#), "timestamp_future"),
        (with(r#""provider_cost_usd":"1e-3""#), "field_invalid"),
        (with(r#""provider_cost_usd":"-5""#), "field_invalid"),
    ]
}

#[test]
fn every_bad_line_is_named_and_the_good_ones_are_kept() {
    let place = Place::new();
    let bad = lines();
    let mut file = Vec::new();
    for (line, _) in &bad {
        file.extend_from_slice(line);
        file.push(b'\n');
    }
    file.extend_from_slice(GOOD.as_bytes());
    let path = place.file("bad.jsonl", &file);
    let told = place.run(&["import", "jsonl", &path, "--json"]).code(1);
    let answers = told.json_lines();
    assert_eq!(answers.len(), bad.len() + 1);
    for (nth, (line, code)) in bad.iter().enumerate() {
        let text = String::from_utf8_lossy(&line[..line.len().min(120)]).into_owned();
        assert_eq!(answers[nth]["line"], nth + 1, "{text}");
        assert_eq!(answers[nth]["result"], "rejected", "{text}");
        assert_eq!(answers[nth]["code"], *code, "{text}: {}", answers[nth]);
        let place_of_it = format!("bad.jsonl:{}: {code}: ", nth + 1);
        assert!(told.err.contains(&place_of_it), "{place_of_it} in {}", told.err);
    }
    assert_eq!(answers[bad.len()]["result"], "accepted");
    assert_eq!(answers[bad.len()]["cost_usd"], "0.000075");
    let text = place.run(&["import", "jsonl", &path]).code(1);
    assert!(text.out.contains(&format!("rejected    {}", bad.len())), "{}", text.out);
    assert_eq!(place.json(&["usage", "--all"])["total"]["calls"], 1);
    place.run(&["verify"]).ok();
}

#[test]
fn a_dry_run_names_bad_lines_on_stderr_only() {
    let place = Place::new();
    let path = place.file("bad.jsonl", format!("{{\n{GOOD}\n"));
    let told = place.run(&["import", "jsonl", &path, "--dry-run", "--json"]).code(1);
    assert_eq!(told.json_lines().len(), 1);
    assert!(told.err.contains("bad.jsonl:1: json_invalid: "), "{}", told.err);
}

#[test]
fn an_endless_line_is_not_held() {
    let place = Place::new();
    let mut file = vec![b'x'; tollbook_types::limits::LINE_BYTES_MAX + 2];
    file.push(b'\n');
    file.extend_from_slice(GOOD.as_bytes());
    let path = place.file("long.jsonl", &file);
    let answers = place.run(&["import", "jsonl", &path, "--json"]).code(1).json_lines();
    assert_eq!(answers[0]["code"], "line_too_long");
    assert_eq!(answers[1]["result"], "accepted");
    assert_eq!(answers[1]["line"], 2);
}

#[test]
fn an_id_that_says_something_else_is_a_conflict() {
    let place = Place::new();
    let other = GOOD.replace("\"output_tokens\":5", "\"output_tokens\":6");
    let path = place.file("two.jsonl", format!("{GOOD}\n{other}\n{GOOD}\n"));
    let answers = place.run(&["import", "jsonl", &path, "--json"]).code(1).json_lines();
    let results: Vec<_> = answers.iter().map(|answer| answer["result"].as_str().unwrap()).collect();
    assert_eq!(results, ["accepted", "rejected", "duplicate"]);
    assert_eq!(answers[1]["code"], "id_conflict");
    assert_eq!(place.json(&["call", "good"])["usage"]["output_tokens"], 5);
}

#[test]
fn files_that_are_not_there_and_formats_that_do_not_exist() {
    let place = Place::new();
    let missing = place.run(&["import", "jsonl", "nowhere.jsonl"]).code(1);
    assert!(missing.err.starts_with("error: nowhere.jsonl: there is no such file\n"), "{}", missing.err);
    place.run(&["import", "nonsense", "x"]).code(2);
    place.run(&["import", "jsonl"]).code(2);
    place.run(&["usage", "--by", "nonsense"]).code(2);
    place.run(&["usage", "--tz", "Mars/Phobos"]).code(2);
    place.run(&["usage", "--days", "3", "--all"]).code(2);
    place.run(&["nonsense"]).code(2);
    let nothing = place.run(&["usage"]).code(1);
    assert!(nothing.err.contains("hint: record something first"), "{}", nothing.err);
}

#[test]
fn standard_input_is_a_file_too() {
    let place = Place::new();
    let mut command = place.command(&["import", "jsonl", "-", "--at", "2024-08-01T00:00:00Z"]);
    let ran = crate::program::ran(command.write_stdin(GOOD)).ok();
    assert!(ran.out.contains("accepted    1"), "{}", ran.out);
    assert_eq!(place.json(&["call", "good"])["occurred_at"], "2024-08-01T00:00:00Z");
    assert_eq!(place.json(&["call", "good"])["cost_usd"], "0.000125");
}
