//! Claude Code's logs: a message counts once, on its own day, in whichever files it stands.

use super::{now, total};
use serde_json::{Value, json};
use tollbook_types::{Evidence, Meter, Status};
use tollbook_usage::import::claude_code::{ClaudeCode, Growth, growth};
use tollbook_usage::import::{FileReader, Import, code};

/// A line of a session log; `more` is merged into it.
pub fn line(at: &str, id: &str, request: Option<&str>, input: u64, output: u64, more: Value) -> String {
    let mut line = json!({"type":"assistant","timestamp":at,"sessionId":"s1","cwd":"/home/u/proj","isSidechain":false,
        "uuid":format!("{id}-{output}"),
        "message":{"id":id,"model":"claude-sonnet-4-20250514","role":"assistant","content":[],
            "usage":{"input_tokens":input,"output_tokens":output,"cache_creation_input_tokens":0,
                "cache_read_input_tokens":0}}});
    if let Some(request) = request {
        line["requestId"] = json!(request);
    }
    for (name, value) in more.as_object().unwrap() {
        match line[name.as_str()].as_object_mut().zip(value.as_object()) {
            Some((inner, more)) => inner.extend(more.clone()),
            None => line[name.as_str()] = value.clone(),
        }
    }
    line.to_string()
}

fn claude(files: &[(&str, String)]) -> Import {
    let mut reader = ClaudeCode::new(now());
    for (name, text) in files {
        reader.read(name, text.as_bytes());
    }
    reader.finish()
}

/// Calls, input, output.
type Sums = (usize, u64, u64);

fn sums(import: &Import) -> Sums {
    let of = |meter| import.events.iter().map(|event| total(event, meter)).sum();
    (import.events.len(), of(Meter::Input), of(Meter::Output))
}

#[test]
fn a_message_counts_once_however_often_it_is_written() {
    let none = || json!({});
    let a = "2026-05-01T10:00:00Z";
    let b = "2026-05-01T10:00:01Z";
    let c = "2026-05-01T10:00:02Z";
    let sidechain = || json!({"isSidechain":true});
    let cases: Vec<(&str, Vec<String>, Sums)> = vec![
        (
            "growing",
            vec![
                line(a, "m", Some("r"), 100, 5, none()),
                line(b, "m", Some("r"), 100, 50, none()),
                line(c, "m", Some("r"), 100, 100, none()),
            ],
            (1, 100, 100),
        ),
        (
            "shrinking",
            vec![line(a, "m", Some("r"), 100, 100, none()), line(b, "m", Some("r"), 100, 7, none())],
            (1, 100, 100),
        ),
        (
            "without request id",
            vec![line(a, "m", None, 100, 10, none()), line(b, "m", None, 100, 20, none())],
            (1, 100, 20),
        ),
        (
            "request id on one line only",
            vec![line(a, "m", None, 100, 10, none()), line(b, "m", Some("r"), 100, 20, none())],
            (1, 100, 20),
        ),
        (
            "replay in a side chain",
            vec![line(a, "m", Some("r"), 100, 10, none()), line(b, "m", Some("r2"), 100, 10, sidechain())],
            (1, 100, 10),
        ),
        (
            "side chain first",
            vec![line(a, "m", Some("r2"), 100, 10, sidechain()), line(b, "m", Some("r"), 100, 10, none())],
            (1, 100, 10),
        ),
        (
            "two requests",
            vec![line(a, "m", Some("r"), 100, 10, none()), line(b, "m", Some("r2"), 100, 10, none())],
            (2, 200, 20),
        ),
        (
            "no ids",
            vec![
                json!({"timestamp":a,"message":{"usage":{"input_tokens":11,"output_tokens":2},"model":"m"}})
                    .to_string(),
                json!({"timestamp":a,"message":{"usage":{"input_tokens":11,"output_tokens":2},"model":"m"}})
                    .to_string(),
            ],
            (1, 11, 2),
        ),
    ];
    for (what, mut lines, expected) in cases {
        let import = claude(&[("p/s.jsonl", lines.join("\n"))]);
        assert_eq!(sums(&import), expected, "{what}");
        assert!(import.problems.is_empty(), "{what}: {:?}", import.problems);
        // Neither the order of lines nor the file that they stand in matters.
        lines.reverse();
        let files: Vec<(String, String)> =
            lines.into_iter().enumerate().map(|(n, line)| (format!("p/{n}.jsonl"), line)).collect();
        let files: Vec<(&str, String)> =
            files.iter().map(|(name, text)| (name.as_str(), text.clone())).collect();
        let again = claude(&files);
        assert_eq!(again.events, import.events, "{what}");
    }
}

#[test]
fn a_retry_is_flagged_and_has_an_identity_of_its_own() {
    let at = "2026-05-10T10:00:00Z";
    let text =
        [line(at, "m", Some("r1"), 1, 1, json!({})), line(at, "m", Some("r2"), 1, 1, json!({}))].join("\n");
    let import = claude(&[("s.jsonl", text)]);
    let ids: Vec<&str> = import.events.iter().map(|event| event.id.as_str()).collect();
    assert_eq!(ids, ["m", "m:r2"]);
    assert!(import.events[0].flags.is_empty());
    assert!(import.events[1].flags[0].starts_with("possible_retry"));
    assert!(import.events.iter().all(|event| event.provider_response_id.as_deref() == Some("m")));
}

#[test]
fn the_first_line_says_when_and_the_first_session_whose() {
    let text = [
        line("2026-06-01T23:59:59Z", "m1", Some("r1"), 100, 5, json!({})),
        line("2026-06-02T00:00:01Z", "m1", Some("r1"), 100, 100, json!({})),
    ];
    let import = claude(&[("a.jsonl", text.join("\n"))]);
    assert_eq!(import.events[0].occurred_at.to_string(), "2026-06-01T23:59:59Z");
    assert_eq!(total(&import.events[0], Meter::Output), 100);

    let copied =
        |session: &str| line("2026-05-04T10:00:00Z", "m4", Some("r4"), 100, 10, json!({"sessionId":session}));
    let began =
        json!({"type":"user","timestamp":"2026-05-04T09:00:00Z","sessionId":"sB","message":{"role":"user"}});
    let import = claude(&[("a.jsonl", copied("sA")), ("b.jsonl", format!("{began}\n{}", copied("sB")))]);
    assert_eq!(sums(&import), (1, 100, 10));
    let attribution = &import.events[0].attribution;
    assert_eq!(attribution.session.as_deref(), Some("sB"));
    assert_eq!((attribution.agent.as_deref(), attribution.project.as_deref()), (Some("claude-code"), None));
    assert_eq!(attribution.tags["cwd"], "/home/u/proj");
}

#[test]
fn cache_searches_and_conditions_are_read() {
    let usage = json!({"message":{"usage":{"input_tokens":3,"output_tokens":10,"cache_read_input_tokens":7,
        "cache_creation_input_tokens":1_000_000,"service_tier":"priority","speed":"fast",
        "cache_creation":{"ephemeral_5m_input_tokens":400_000,"ephemeral_1h_input_tokens":600_000},
        "server_tool_use":{"web_search_requests":2}}}});
    let import = claude(&[("a.jsonl", line("2026-05-06T10:00:00Z", "m6", Some("r6"), 0, 0, usage))]);
    let event = &import.events[0];
    let meters = [
        (Meter::Input, 3),
        (Meter::CacheRead, 7),
        (Meter::CacheWrite5m, 400_000),
        (Meter::CacheWrite1h, 600_000),
        (Meter::Output, 10),
        (Meter::WebSearch, 2),
    ];
    for (meter, quantity) in meters {
        assert_eq!(total(event, meter), quantity, "{meter}");
    }
    assert_eq!(
        (event.conditions["service_tier"].as_str(), event.conditions["speed"].as_str()),
        ("priority", "fast")
    );
    assert_eq!(event.provider_cost, None);
}

#[test]
fn reported_costs_are_no_bills_and_synthetic_messages_no_calls() {
    let with_cost = line("2026-06-03T01:00:00Z", "m2", Some("r2"), 1_000_000, 0, json!({"costUSD":0}));
    let synthetic =
        line("2026-06-03T02:00:00Z", "m9", None, 0, 0, json!({"message":{"model":"<synthetic>"}}));
    let failed = line("2026-06-06T01:00:00Z", "m6", Some("r6"), 100, 10, json!({"isApiErrorMessage":true}));
    let import = claude(&[("a.jsonl", [with_cost, synthetic, failed].join("\n"))]);
    assert_eq!(sums(&import), (2, 1_000_100, 10));
    assert_eq!(import.counts.synthetic, 1);
    assert_eq!(
        (import.events[0].provider_cost.clone(), import.events[0].evidence),
        (None, Evidence::ProviderUsage)
    );
    assert_eq!(import.events[1].status, Status::UpstreamError);
}

#[test]
fn bad_lines_are_told_and_good_ones_kept() {
    let good = line("2026-06-05T01:00:00Z", "m4", Some("r4"), 100, 10, json!({}));
    // Real JSON has white space wherever it likes.
    let spaced = good.replace("m4", "m5").replace("\":", "\" : ") + " ";
    let untimed = line("yesterday", "m6", None, 1, 1, json!({}));
    let text = format!("{good}\n{{not json\n{spaced}\n{untimed}\n{{\"summary\":\"x\"}}\n{}", &good[..40]);
    let import = claude(&[("proj/d.jsonl", text)]);
    assert_eq!(sums(&import), (2, 200, 20));
    let told: Vec<(u64, &str)> =
        import.problems.iter().map(|found| (found.line, found.problem.code)).collect();
    assert_eq!(told, [(2, code::JSON_INVALID), (4, code::TIMESTAMP_INVALID)]);
    assert_eq!((import.counts.partial, import.counts.lines), (1, 6));
}

#[test]
fn other_hosts_are_recognised() {
    let at = "2026-06-05T01:00:00Z";
    let named = |id: &str, model: &str| line(at, id, None, 1, 1, json!({"message":{"model":model}}));
    let text = [
        named("msg_01", "claude-opus-4-1"),
        named("msg_bdrk_01", "claude-opus-4-1"),
        named("msg_vrtx_01", "claude-opus-4-1"),
        named("m1", "us.anthropic.claude-opus-4-1-v1:0"),
        named("m2", "glm-4.6"),
    ];
    let import = claude(&[("a.jsonl", text.join("\n"))]);
    let mut found: Vec<(&str, &str)> =
        import.events.iter().map(|event| (event.id.as_str(), event.provider.as_str())).collect();
    found.sort_unstable();
    let expected = [
        ("m1", "bedrock"),
        ("m2", "zai"),
        ("msg_01", "anthropic"),
        ("msg_bdrk_01", "bedrock"),
        ("msg_vrtx_01", "vertex"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_second_import_adds_nothing_and_growth_is_told_from_contradiction() {
    let at = "2026-06-05T01:00:00Z";
    let first = claude(&[("a.jsonl", line(at, "m", Some("r"), 100, 5, json!({})))]);
    let copy = line(at, "m", Some("r"), 100, 5, json!({"sessionId":"other","cwd":"/elsewhere"}));
    let again = claude(&[("b.jsonl", copy)]);
    assert_eq!(first.events[0].identity(), again.events[0].identity());
    assert_eq!(first.events[0].content, again.events[0].content, "whoever owns the line");

    let grown = claude(&[("a.jsonl", line("2026-06-05T01:00:01Z", "m", Some("r"), 100, 50, json!({})))]);
    assert_eq!(first.events[0].identity(), grown.events[0].identity());
    assert_ne!(first.events[0].content, grown.events[0].content);
    let usage = |import: &Import| import.events[0].usage.clone().unwrap();
    assert_eq!(growth(&usage(&first), &usage(&grown)), Growth::Grown);
    assert_eq!(growth(&usage(&first), &usage(&again)), Growth::Same);
    assert_eq!(growth(&usage(&grown), &usage(&first)), Growth::Other);
}
