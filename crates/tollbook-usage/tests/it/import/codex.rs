//! Codex's logs: running totals become calls, copies and inherited history do not.

use super::{now, total};
use serde_json::{Value, json};
use tollbook_types::Meter;
use tollbook_usage::import::codex::Codex;
use tollbook_usage::import::{FileReader, Import, code};

type Counts = [u64; 4];

fn usage_of(counts: Counts) -> Value {
    json!({"input_tokens":counts[0],"cached_input_tokens":counts[1],"output_tokens":counts[2],
        "reasoning_output_tokens":counts[3],"total_tokens":counts[0] + counts[2]})
}

fn tokens(at: &str, total: Counts, last: Option<Counts>) -> String {
    let mut info = json!({"total_token_usage":usage_of(total),"model_context_window":272_000});
    if let Some(last) = last {
        info["last_token_usage"] = usage_of(last);
    }
    json!({"timestamp":at,"type":"event_msg","payload":{"type":"token_count","info":info}}).to_string()
}

fn meta(id: &str, forked: Option<&str>) -> String {
    json!({"timestamp":"2026-05-01T10:00:00.000Z","type":"session_meta",
        "payload":{"id":id,"cwd":"/home/u/proj","forked_from_id":forked}})
    .to_string()
}

fn turn(model: &str) -> String {
    json!({"timestamp":"2026-05-01T10:00:01.000Z","type":"turn_context","payload":{"model":model}})
        .to_string()
}

fn codex(files: &[(&str, Vec<String>)]) -> Import {
    let mut reader = Codex::new(now());
    for (name, lines) in files {
        reader.read(name, lines.join("\n").as_bytes());
    }
    reader.finish()
}

fn by_day(import: &Import, day: &str) -> [u64; 4] {
    let mut sums = [0; 4];
    for event in import.events.iter().filter(|event| event.occurred_at.to_string().starts_with(day)) {
        for (sum, meter) in
            sums.iter_mut().zip([Meter::Input, Meter::CacheRead, Meter::Output, Meter::Reasoning])
        {
            *sum += total(event, meter);
        }
    }
    sums
}

pub fn rollout() -> Vec<String> {
    let null = json!({"timestamp":"2026-05-01T10:00:02Z","type":"event_msg",
        "payload":{"type":"token_count","info":null,"rate_limits":null}});
    vec![
        meta("aaa", None),
        turn("gpt-5"),
        null.to_string(),
        tokens("2026-05-01T10:00:03Z", [1000, 200, 100, 40], Some([1000, 200, 100, 40])),
        tokens("2026-05-01T10:00:03.5Z", [1000, 200, 100, 40], Some([1000, 200, 100, 40])),
        tokens("2026-05-01T10:00:05Z", [2500, 1200, 150, 40], Some([1500, 1000, 50, 0])),
        tokens("2026-05-02T10:00:05Z", [3500, 2200, 160, 40], None),
    ]
}

#[test]
fn running_totals_become_calls() {
    let import = codex(&[("rollout-aaa.jsonl", rollout())]);
    assert_eq!(import.events.len(), 3);
    // Output stands beside reasoning here: 110 + 40 are the 150 that were written.
    assert_eq!(by_day(&import, "2026-05-01"), [1_300, 1_200, 110, 40]);
    assert_eq!(by_day(&import, "2026-05-02"), [0, 1_000, 10, 0]);
    let event = &import.events[0];
    assert_eq!((event.provider.as_str(), event.model.as_str()), ("openai", "gpt-5"));
    assert_eq!(event.attribution.session.as_deref(), Some("aaa"));
    assert_eq!(import.counts.repeated, 1);
}

#[test]
fn copies_of_a_log_count_once() {
    let alone = codex(&[("sessions/rollout-aaa.jsonl", rollout())]);
    let both = codex(&[
        ("sessions/rollout-aaa.jsonl", rollout()),
        ("archived_sessions/rollout-aaa.jsonl", rollout()),
    ]);
    assert_eq!(alone.events, both.events);
    let mut grown = rollout();
    grown.push(tokens("2026-05-02T10:00:09Z", [3600, 2200, 170, 40], None));
    let later = codex(&[("archived_sessions/rollout-aaa.jsonl", grown)]);
    assert_eq!(later.events[..3], alone.events[..]);
    assert_eq!(later.events.len(), 4);
}

#[test]
fn forks_do_not_count_what_they_inherited() {
    let mut fork = vec![meta("bbb", Some("aaa")), meta("aaa", None), turn("gpt-5")];
    // The history is copied with the fork's own time, here over more than a second.
    fork.push(tokens("2026-05-03T09:00:00Z", [1000, 200, 100, 40], Some([1000, 200, 100, 40])));
    fork.push(tokens("2026-05-03T09:00:01Z", [2500, 1200, 150, 40], Some([1500, 1000, 50, 0])));
    fork.push(tokens("2026-05-03T09:00:30Z", [3000, 1700, 170, 45], Some([500, 500, 20, 5])));
    let both = codex(&[("a.jsonl", rollout()), ("b.jsonl", fork.clone())]);
    assert_eq!(both.events.len(), 4);
    assert_eq!(by_day(&both, "2026-05-03"), [0, 500, 15, 5]);
    let swapped = codex(&[("b.jsonl", fork.clone()), ("a.jsonl", rollout())]);
    assert_eq!(both.events, swapped.events);
    // The parent may be gone by then: what was inherited keeps the identities it had.
    let alone = codex(&[("b.jsonl", fork)]);
    let known: Vec<_> = both.events.iter().map(|event| (event.identity(), event.content)).collect();
    assert!(alone.events.iter().all(|event| known.contains(&(event.identity(), event.content))));
}

#[test]
fn inherited_totals_stale_totals_and_resets() {
    // A fork whose first report holds totals from before: only `last` is its own.
    let fork = vec![
        meta("f", Some("gone")),
        tokens("2026-05-03T09:00:30Z", [9000, 0, 900, 0], Some([500, 0, 20, 0])),
        tokens("2026-05-03T09:00:31Z", [9100, 0, 910, 0], None),
    ];
    let import = codex(&[("f.jsonl", fork)]);
    assert_eq!(by_day(&import, "2026-05-03"), [600, 0, 30, 0]);
    assert_eq!(import.events[0].model, "unknown");
    let no_last = vec![
        meta("g", Some("gone")),
        tokens("2026-05-03T09:00:30Z", [9000, 0, 900, 0], None),
        tokens("2026-05-03T09:00:31Z", [9100, 0, 910, 0], None),
    ];
    let import = codex(&[("g.jsonl", no_last)]);
    assert_eq!(by_day(&import, "2026-05-03"), [100, 0, 10, 0]);
    let falling = vec![
        meta("h", None),
        tokens("2026-05-03T10:00:00Z", [1000, 0, 100, 0], Some([1000, 0, 100, 0])),
        tokens("2026-05-03T10:00:01Z", [990, 0, 100, 0], Some([990, 0, 100, 0])),
        tokens("2026-05-03T10:00:02Z", [200, 0, 10, 0], Some([200, 0, 10, 0])),
        tokens("2026-05-03T10:00:03Z", [250, 0, 15, 0], None),
    ];
    let import = codex(&[("h.jsonl", falling)]);
    assert_eq!((by_day(&import, "2026-05-03"), import.counts.stale), ([1_250, 0, 115, 0], 1));
}

#[test]
fn impossible_codex_figures_are_kept_and_told() {
    let lines = vec![meta("i", None), tokens("2026-05-03T10:00:00Z", [10, 20, 5, 0], Some([10, 20, 5, 0]))];
    let import = codex(&[("i.jsonl", lines)]);
    let event = &import.events[0];
    assert!(event.inconsistent);
    assert_eq!(event.flags, ["usage_inconsistent: cached_input_tokens (20) exceeds input_tokens (10)"]);
    let bad = vec![
        "{oops".to_owned(),
        r#"{"timestamp":"2026-05-03T10:00:00Z","type":"event_msg","payload":{"type":"token_count","info":{"total_token_usage":{"input_tokens":-5}}}}"#.to_owned(),
        "{\"timestamp\":\"2026".to_owned(),
    ];
    let import = codex(&[("j.jsonl", bad)]);
    let told: Vec<(u64, &str)> =
        import.problems.iter().map(|found| (found.line, found.problem.code)).collect();
    assert_eq!(told, [(1, code::JSON_INVALID), (2, code::FIELD_INVALID)]);
    assert_eq!(import.counts.partial, 1);
}
