//! How it looks: widths, colours, hidden characters, streams.

use crate::program::{Place, ran};

fn columns(line: &str) -> usize {
    // The texts of these tests have only narrow characters.
    line.chars().count()
}

#[test]
fn everything_fits_the_width_and_has_no_colours_when_piped() {
    let place = Place::with_examples();
    for width in ["60", "80", "132"] {
        for args in [
            &["usage", "--all"][..],
            &["usage", "--all", "--by", "provider,model"],
            &["usage", "monthly", "--all", "--by", "model,user,operation"],
            &["usage", "--all", "--by", "model", "--chart"],
            &["usage", "--all", "--by", "model,user", "-n", "2"],
            &["usage", "daily", "--all", "--by", "model,user,operation", "--stats"],
            &["calls"],
            &["explain", "book-7"],
            &["price", "list", "gpt-4o"],
        ] {
            let shown = ran(place.command(args).env("COLUMNS", width)).ok();
            assert!(!shown.out.contains('\u{1b}') && !shown.err.contains('\u{1b}'), "{args:?}");
            for line in shown.out.lines() {
                assert!(columns(line) <= width.parse().unwrap(), "{args:?} at {width}: {line:?}");
            }
        }
    }
}

#[test]
fn without_columns_a_pipe_is_80_wide() {
    let place = Place::with_examples();
    let wide = place.run(&["usage", "--all", "--by", "model,user,operation"]).ok();
    assert!(wide.out.lines().all(|line| columns(line) <= 80), "{}", wide.out);
}

#[test]
fn a_call_without_a_price_is_never_shown_as_nothing() {
    let place = Place::with_examples();
    let shown = place.run(&["usage", "--all", "--by", "model", "-f", "model=no-such-model"]).ok().out;
    assert!(shown.contains("unpriced") && !shown.contains("$0"), "{shown}");
    let listed = place.run(&["calls", "-f", "model=no-such-model"]).ok().out;
    assert!(listed.contains("unpriced") && !listed.contains("$0"), "{listed}");
}

#[test]
fn what_a_terminal_would_obey_is_made_visible() {
    let place = Place::new();
    let evil = r#"{"id":"evil\u202e","provider":"openai","model":"a\u2066b","user":"x","usage":{"input_tokens":1,"output_tokens":1}}"#;
    let ran = place.run(&["import", "jsonl", &place.file("evil.jsonl", evil)]);
    if ran.code == 0 {
        let shown = place.run(&["calls"]).ok().out;
        assert!(shown.contains("evil<U+202E>"), "{shown}");
        assert!(!shown.contains('\u{202e}') && !shown.contains('\u{2066}'));
    }
    let echoed = place.run(&["explain", "no\u{1b}[31msuch"]).code(1);
    assert!(!echoed.err.contains('\u{1b}'), "{}", echoed.err);
}

#[test]
fn data_goes_to_stdout_and_talk_to_stderr() {
    let place = Place::with_examples();
    let quiet = place.run(&["calls", "-n", "2", "--quiet"]).ok();
    assert_eq!(quiet.err, "");
    let json = place.run(&["import", "jsonl", &crate::program::example("events.jsonl"), "--json"]).ok();
    assert_eq!(json.json_lines().len(), 10);
    assert!(json.err.contains("duplicates  10"), "{}", json.err);
    let listed = place.json(&["calls", "-n", "3", "--sort", "cost"]);
    assert_eq!(listed["data"].as_array().unwrap().len(), 3);
    assert_eq!(listed["has_more"], true);
}

#[test]
fn completions_know_the_commands() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        assert!(place.run(&["completions", shell]).ok().out.contains("backfill"), "{shell}");
    }
}

#[test]
fn the_doctor_says_what_is_wrong() {
    let place = Place::with_examples();
    let report = place.json(&["doctor"]);
    assert_eq!(report["ok"], true, "{report}");
    use std::os::unix::fs::PermissionsExt;
    let dir = place.path().join("tollbook-data");
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    let shown = place.run(&["doctor"]).code(1);
    assert!(shown.out.contains("✖ data directory") && shown.out.contains("fix: chmod 700"), "{}", shown.out);
}

#[test]
fn every_code_of_refused_input_is_documented() {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/errors.md");
    let text = std::fs::read_to_string(page).unwrap();
    for code in tollbook_usage::import::code::ALL.iter().chain(&["id_conflict", "before_cutoff"]) {
        assert!(text.contains(&format!("| `{code}` |")), "{code} is not in docs/reference/errors.md");
    }
}
