//! A server that is told to end finishes what runs, takes nothing new, and loses nothing.

use super::running::{Running, Setup, call_id, chat};
use std::time::{Duration, Instant};
use tollbook_testkit::Call;
use tollbook_testkit::upstream::{Script, Tokens, canned};

/// A stream that takes as long as this.
fn slow(time: Duration) -> Script {
    let script = canned::chat_stream("gpt-4o-mini", Tokens::of(0), true);
    script.every(time / 9)
}

fn with_script(call: Call, running: &Running) -> Call {
    call.bearer(&running.key).header("x-script", "slow")
}

#[test]
fn running_answers_are_finished_and_new_calls_turned_away() {
    let mut running = Running::start();
    running.upstream.named("slow", slow(Duration::from_millis(900)));
    let stream = with_script(chat(true), &running);
    let mut kept = running.caller();
    kept.call(&chat(false).bearer(&running.key)).unwrap();
    let ids: Vec<String> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..20).map(|_| scope.spawn(|| running.caller().call(&stream))).collect();
        assert!(running.upstream.wait_for(21, Duration::from_secs(10)));
        running.signal("TERM");
        std::thread::sleep(Duration::from_millis(100));
        // A kept connection is told, or closed; a new one is not taken.
        if let Ok(answer) = kept.call(&chat(false).bearer(&running.key)) {
            assert_eq!(
                (answer.status, answer.header("connection")),
                (503, Some("close")),
                "{}",
                answer.text()
            );
        }
        let answers = callers.into_iter().map(|caller| caller.join().unwrap().unwrap());
        answers
            .map(|answer| {
                assert!(answer.whole && answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
                call_id(&answer)
            })
            .collect()
    });
    assert!(running.ended().success());
    let books = running.books();
    assert_eq!(books.len(), 21);
    for id in ids {
        assert_eq!(
            (books[&id]["status"].as_str(), books[&id]["usage"]["input_tokens"].as_u64()),
            (Some("ok"), Some(1_000))
        );
    }
}

#[test]
fn what_takes_longer_than_the_grace_is_cut_and_recorded_as_such() {
    let mut running = Running::with(Setup::gateway("shutdown_grace_s = 1"));
    running.upstream.named("slow", slow(Duration::from_secs(60)));
    let stream = with_script(chat(true), &running);
    let since = Instant::now();
    let answer = std::thread::scope(|scope| {
        let caller = scope.spawn(|| running.caller().call(&stream));
        assert!(running.upstream.wait_for(1, Duration::from_secs(10)));
        running.signal("TERM");
        caller.join().unwrap().unwrap()
    });
    assert!(running.ended().success());
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
    let call = &running.books()[&call_id(&answer)];
    assert_eq!(call["status"], "shutdown", "{call}");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut running = Running::start();
    running.upstream.named("slow", slow(Duration::from_secs(60)));
    let stream = with_script(chat(true), &running);
    let (_connection, answer) = running.caller().begin(&stream).unwrap();
    running.signal("TERM");
    std::thread::sleep(Duration::from_millis(300));
    running.signal("TERM");
    let since = Instant::now();
    running.ended();
    assert!(since.elapsed() < Duration::from_secs(2));
    // It had no time to say how the call ended: the next start does.
    running.restart();
    running.end();
    assert_eq!(running.books()[&call_id(&answer)]["status"], "interrupted");
}
