//! `tollbook statusline`: a line whatever is there, and never a failure.

use crate::gateway::running::Running;
use crate::program::Place;
use serde_json::json;
use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tollbook_testkit::Call;

/// The line, with this on standard input. The program must succeed and be silent on stderr.
fn line(place: &Place, told: &str, args: &[&str]) -> String {
    let mut all = vec!["statusline"];
    all.extend(args);
    let mut child = place
        .process(&all)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(told.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 1, "{text:?}");
    text.trim_end().to_owned()
}

const CLAUDE: &str = r#"{"session_id":"s-1","model":{"display_name":"Opus"},"cost":{"total_cost_usd":0.25}}"#;

#[test]
fn without_books_or_with_a_broken_configuration_a_prompt_still_gets_a_line() {
    let place = Place::new();
    assert_eq!(line(&place, "", &[]), "tollbook: no books yet");
    place.file("tollbook.toml", "[nonsense]\n");
    assert!(line(&place, CLAUDE, &[]).starts_with("tollbook: "));
    place.file("tollbook.toml", "");
    // A server that was killed leaves its file behind.
    std::fs::create_dir_all(place.path().join("tollbook-data")).unwrap();
    let gone = json!({"url": "http://127.0.0.1:1", "token": "tb_x", "pid": 1}).to_string();
    place.file("tollbook-data/server.json", gone);
    assert_eq!(line(&place, "", &[]), "tollbook: no books yet");
}

#[test]
fn the_store_alone_tells_today_and_the_session() {
    let place = Place::new();
    let call = |id: &str, session: &str| {
        json!({"id": id, "provider": "openai", "model": "gpt-4o", "session": session,
               "usage": {"input_tokens": 400_000, "output_tokens": 100_000}})
        .to_string()
    };
    let file = place.file("calls.jsonl", [call("a", "s-1"), call("b", "s-2")].join("\n"));
    place.run(&["import", "jsonl", &file]).ok();
    place.run(&["demo"]).ok();
    assert_eq!(
        line(&place, CLAUDE, &["--format", "{today} today|{session}|{budget}|{model}"]),
        "$4.00 today · $2.00 · Opus"
    );
    let other = CLAUDE.replace("s-1", "unknown");
    assert_eq!(line(&place, &other, &["--format", "{session}"]), "$0.2500", "what the program says itself");
    let told = line(&place, "not JSON", &[]);
    assert!(told.starts_with("$4.00 today · ↗ $4.00/h"), "{told}");
    assert!(line(&place, "", &["--format", "{what}"]).contains("the format knows today"));
    let json: serde_json::Value = serde_json::from_str(&line(&place, CLAUDE, &["--json"])).unwrap();
    assert_eq!((&json["today_usd"], &json["session_usd"]), (&json!("4"), &json!("2")));
}

#[test]
fn a_server_tells_the_tightest_budget_too() {
    let running = Running::start();
    let place = &running.place;
    for (scope, limit) in [("all", "100/day"), ("user=ann", "10/day")] {
        place.run(&["budget", "set", scope, limit, "--block"]).ok();
    }
    let call = json!({"id": "a", "provider": "openai", "model": "gpt-4o", "user": "ann",
                      "usage": {"input_tokens": 1_640_000, "output_tokens": 0}});
    assert_eq!(running.call(Call::post("/api/v1/events", &call)).status, 200);
    let told = line(place, "", &[]);
    assert!(told.starts_with("$4.10 today · 41 % of $10.00 · ↗ $4.10/h · resets "), "{told}");
    assert_eq!(line(place, "", &["--format", "{left} left"]), "$5.90 left");
    // A pipe that nobody closes does not hold up a prompt.
    let since = Instant::now();
    let mut command = place.process(&["statusline"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let held = child.stdin.take();
    assert!(child.wait().unwrap().success() && since.elapsed() < Duration::from_secs(10));
    drop(held);
}
