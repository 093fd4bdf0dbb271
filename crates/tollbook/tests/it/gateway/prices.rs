//! Prices that are set while the server runs: in force at once, after a start, and on the command line.

use super::running::{Running, call_id, chat};
use serde_json::json;
use std::time::{Duration, Instant};
use tollbook_testkit::Call;

#[test]
fn a_price_that_is_set_is_the_same_everywhere_and_stays() {
    let mut running = Running::start();
    let post = |running: &Running, body: serde_json::Value| {
        let call = Call::post("/api/v1/prices", &body).bearer(&running.admin);
        let answer = running.caller().call(&call).unwrap();
        assert_eq!(answer.status, 201, "{}", answer.text());
    };
    // A call is in the store a moment after its answer.
    let cost_of = |running: &Running, id: &str| {
        let since = Instant::now();
        loop {
            let call = Call::get(&format!("/api/v1/calls/{id}")).bearer(&running.admin);
            let answer = running.caller().call(&call).unwrap();
            if answer.status == 200 {
                return answer.json()["cost_usd"].clone();
            }
            assert!(since.elapsed() < Duration::from_secs(20), "{}", answer.text());
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    let event = json!({"id": "early", "provider": "acme", "model": "house",
        "usage": {"input_tokens": 2_000_000, "output_tokens": 0}});
    assert_eq!(running.call(Call::post("/api/v1/events", &event)).status, 200);
    post(&running, json!({"provider": "acme", "model": "house", "input": "0.25", "output": "1"}));
    post(&running, json!({"markup": {"provider": "openai", "model": "gpt-4o-mini", "percent": "100"}}));
    let answer = running.call(chat(false));
    let known = running.place.json(&["price", "match", "house", "--provider", "acme"]);
    assert_eq!(known["matched"], true, "{known}");
    running.end();
    running.restart();
    // The same call costs the same after a start, which is twice what the book alone says.
    let again = running.call(chat(false));
    let [before, after] = [&answer, &again].map(|answer| cost_of(&running, &call_id(answer)));
    assert!(before.is_string() && before == after, "{before} {after}");
    let shown = running.place.json(&["rerate", "--unpriced"]);
    assert_eq!((&shown["would_change"], &shown["after_usd"]), (&json!(1), &json!("0.5")), "{shown}");
    // Beside the running server it is the server that books it, and the command waits for its end.
    let done = running.place.json(&["rerate", "--unpriced", "-f", "model=house", "--apply"]);
    assert_eq!((&done["applied"], &done["after_usd"]), (&json!(1), &json!("0.5")), "{done}");
    assert_eq!(cost_of(&running, "early"), json!("0.5"));
    assert_eq!(running.place.json(&["rerate", "--unpriced", "--apply"])["applied"], json!(0));
    running.end();
    running.place.run(&["verify"]).ok();
}
