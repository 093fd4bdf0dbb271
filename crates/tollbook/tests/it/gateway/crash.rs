//! Killed under load: what a caller has seen, or a provider has served, is in the books.

use super::running::{Running, call_id, chat};
use super::{is_soak, mixed};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tollbook_testkit::upstream::Tokens;

const CALLERS: usize = 12;

/// What a caller saw of one call.
struct Saw {
    id: String,
    /// The provider's id of the answer, if all of it came.
    whole: Option<String>,
}

#[test]
fn soak_kills_lose_no_call_that_was_answered_or_served() {
    let kills = if is_soak() { 50 } else { 5 };
    let mut running = Running::start();
    let mut saw: Vec<Saw> = Vec::new();
    for kill in 0..kills {
        if kill > 0 {
            running.restart();
        }
        let ending = AtomicBool::new(false);
        let seen = std::thread::scope(|scope| {
            let callers: Vec<_> = (0..CALLERS)
                .map(|nth| {
                    let (running, ending) = (&running, &ending);
                    scope.spawn(move || load(running, nth, ending))
                })
                .collect();
            std::thread::sleep(Duration::from_millis(50 + mixed(kill) % 400));
            running.signal("KILL");
            ending.store(true, Ordering::Relaxed);
            callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect::<Vec<_>>()
        });
        saw.extend(seen);
        running.ended();
    }
    running.restart();
    running.end();
    check(&running, &saw);
    running.place.run(&["verify"]).ok();
}

/// Calls one after the other until the server is gone.
fn load(running: &Running, nth: usize, ending: &AtomicBool) -> Vec<Saw> {
    let mut caller = running.caller();
    let calls = [chat(false).bearer(&running.key), chat(true).bearer(&running.key)];
    let mut saw = Vec::new();
    while !ending.load(Ordering::Relaxed) {
        let Ok(answer) = caller.call(&calls[(nth + saw.len()) % 2]) else { break };
        if answer.status != 200 {
            assert!(answer.status >= 500, "{}", answer.text());
            continue;
        }
        let whole = answer.whole.then(|| answer_id(&answer.text()));
        saw.push(Saw { id: call_id(&answer), whole });
    }
    saw
}

/// The provider's id in a body, streamed or not.
fn answer_id(body: &str) -> String {
    let at = body.find("chatcmpl-").unwrap();
    body[at..at + "chatcmpl-00000000".len()].to_owned()
}

fn check(running: &Running, saw: &[Saw]) {
    let (books, served) = (running.books(), running.upstream.served());
    let by_answer: HashMap<&str, &Value> =
        books.values().filter_map(|call| Some((call["provider_response_id"].as_str()?, call))).collect();
    let seen: HashSet<&str> = saw.iter().map(|saw| saw.id.as_str()).collect();
    assert_eq!(seen.len(), saw.len());
    for saw in saw {
        let call = books.get(&saw.id).unwrap_or_else(|| panic!("{} was seen and is lost", saw.id));
        let Some(answer) = &saw.whole else { continue };
        let nth: u64 = answer["chatcmpl-".len()..].parse().unwrap();
        assert_eq!(call["provider_response_id"], answer.as_str(), "{call}");
        assert_eq!(call["usage"]["input_tokens"], Tokens::of(nth).input, "{call}");
        assert_eq!(call["usage"]["output_tokens"], Tokens::of(nth).output, "{call}");
    }
    // What was served and is not there by its id was open when the server died.
    let is_interrupted = |call: &&Value| call["status"] == "interrupted";
    let interrupted = books.values().filter(is_interrupted).count();
    let unknown = served
        .iter()
        .filter(|served| !by_answer.contains_key(format!("chatcmpl-{:08}", served.nth).as_str()))
        .count();
    println!(
        "{} served, {} seen, {} booked, {interrupted} interrupted, {unknown} of them served",
        served.len(),
        saw.len(),
        books.len()
    );
    assert!(
        unknown <= interrupted,
        "{unknown} served calls have no answer in the books, {interrupted} are interrupted"
    );
    assert!(books.len() >= served.len());
    for call in books.values().filter(is_interrupted) {
        assert_eq!((&call["evidence"], &call["cost_usd"]), (&Value::from("unknown"), &Value::Null), "{call}");
    }
}
