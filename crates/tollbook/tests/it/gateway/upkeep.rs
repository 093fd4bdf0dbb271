//! What the server does by itself, and how it is reached through a proxy.

use super::running::{Running, Setup};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tollbook_testkit::Call;

/// The work of the day begins ten seconds after the start.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn raw_usage_and_metadata_past_their_time_go_by_themselves() {
    let mut setup = Setup::default();
    setup.environment.push(("TOLLBOOK_RETENTION_RAW_DAYS".to_owned(), "30".to_owned()));
    let mut running = Running::with(setup);
    running.end();
    let call = |id: &str, at: Option<&str>| {
        let mut call = json!({
            "id": id, "provider": "openai", "model": "gpt-4o-mini", "metadata": {"note": format!("canary-{id}")},
            "usage": {"input_tokens": 1000, "output_tokens": 100},
        });
        if let Some(at) = at {
            call["occurred_at"] = json!(at);
        }
        call.to_string()
    };
    let calls = [call("old", Some("2025-01-01T10:00:00Z")), call("new", None)].join("\n");
    running.place.run(&["import", "jsonl", &running.place.file("calls.jsonl", calls)]).ok();
    running.restart();
    let latest = || -> Value {
        let ask = Call::get("/api/v1/audit?limit=1").bearer(&running.admin);
        running.caller().call(&ask).unwrap().json()["data"][0]["act"].clone()
    };
    let since = Instant::now();
    while latest() != "retention.apply" {
        assert!(since.elapsed() < PATIENCE, "nothing was dropped\n{}", running.log());
        std::thread::sleep(Duration::from_millis(200));
    }
    running.end();
    let kept = running.place.run(&["export", "--format", "jsonl"]).ok();
    assert_eq!((kept.json_lines().len(), running.total()["calls"].as_u64()), (2, Some(2)), "figures stay");
    assert!(kept.out.contains("canary-new") && !kept.out.contains("canary-old"), "{}", kept.out);
    running.place.run(&["verify"]).ok();
}

#[test]
fn behind_a_proxy_sign_in_leads_to_it_and_its_cookie_is_for_tls() {
    let store = "[server]\npublic_url = \"https://tollbook.example.com\"".to_owned();
    let running = Running::with(Setup { store, ..Setup::default() });
    let mut ask = Call::post("/api/v1/session", &json!({"key": running.admin}));
    ask.headers.push(("origin".to_owned(), "https://tollbook.example.com".to_owned()));
    let answer = running.caller().call(&ask).unwrap();
    let cookie =
        answer.headers.iter().find(|(name, _)| name == "set-cookie").map(|(_, value)| value.as_str());
    assert!(cookie.is_some_and(|cookie| cookie.ends_with("; Secure")), "{cookie:?}: {}", answer.text());
    let added = running.place.json(&["member", "add", "Ann"]);
    let link = running.place.json(&["member", "link", added["id"].as_str().unwrap()]);
    assert!(link.to_string().contains("https://tollbook.example.com/welcome?once="), "{link}");
}
