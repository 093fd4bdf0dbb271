//! A clock that jumps: no call is lost, doubled or cut, and what is spent stays spent.

use super::running::{Running, Setup, call_id, chat};
use serde_json::json;
use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};
use tollbook_testkit::upstream::{Tokens, canned};
use tollbook_testkit::{Call, preload};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// Sets the server's clock wrong by so many seconds.
fn jump(control: &Path, seconds: i64) {
    let next = control.with_extension("next");
    std::fs::write(&next, seconds.to_string()).unwrap();
    std::fs::rename(&next, control).unwrap();
}

/// A call of the user whose day is spent.
fn of_the_spender() -> Call {
    chat(false).header("x-tollbook-user", "spender")
}

#[test]
fn a_clock_that_jumps_loses_doubles_and_opens_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let control = dir.path().join("clock");
    let mut setup = Setup::default();
    let mut set = |name: &str, value: &Path| {
        setup.environment.push((name.to_owned(), value.display().to_string()));
    };
    set("LD_PRELOAD", &preload::library().unwrap());
    set("FAULTFS_CLOCK", &control);
    // It is noon, so that an hour is of the same day.
    let made = dir.path().metadata().unwrap().modified().unwrap();
    let since_1970 = made.duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    let noon = 12 * HOUR - since_1970 % DAY;
    jump(&control, noon);
    let mut running = Running::with(setup);
    let limit = ["budget", "set", "user=spender", "3 calls/day", "--block", "--strict"];
    running.place.run(&limit).ok();
    let mut ids = HashSet::new();
    let mut take = |id: String| assert!(!id.is_empty() && ids.insert(id.clone()), "{id:?} is told twice");
    let spend = |running: &Running| (0..4).map(|_| running.call(of_the_spender())).collect::<Vec<_>>();
    let told = spend(&running);
    assert_eq!(told.iter().map(|answer| answer.status).collect::<Vec<_>>(), [200, 200, 200, 402]);
    told.iter().take(3).for_each(|answer| take(call_id(answer)));

    for seconds in [HOUR, -HOUR, -DAY, 400 * DAY, 0] {
        // A stream that is under way while the clock jumps.
        let slow = canned::chat_stream("gpt-4o-mini", Tokens::of(7), true).every(Duration::from_millis(60));
        let before = running.upstream.count();
        running.upstream.queue(slow);
        let stream = std::thread::scope(|scope| {
            let stream = scope.spawn(|| running.call(chat(true)));
            assert!(running.upstream.wait_for(before + 1, Duration::from_secs(20)));
            jump(&control, noon + seconds);
            stream.join().unwrap()
        });
        assert!(stream.text().contains("[DONE]"), "{seconds}: {}", stream.text());
        take(call_id(&stream));
        for _ in 0..10 {
            let answer = running.call(chat(false));
            assert_eq!(answer.status, 200, "{seconds}: {}", answer.text());
            take(call_id(&answer));
        }
        // Another hour of the day, or a day that has been: it stays closed. More than a year on is another.
        if seconds < 400 * DAY && running.call(of_the_spender()).status != 402 {
            panic!("a spent day is open again after {seconds} seconds");
        }
        assert_eq!(running.ready().0, 200, "{seconds}: {}", running.ready().1);
    }

    let sent = running.upstream.count();
    running.end();
    assert_eq!(running.books().len(), sent);
    let booked: HashSet<String> = running.books().into_keys().collect();
    assert_eq!(booked, ids, "what was told is what is in the books");
    assert_eq!(running.total()["calls"], json!(sent));
    running.place.run(&["verify"]).ok();
    // Begun anew with a clock that is right, the day counts what is of it, and nothing else.
    running.restart();
    let refused = running.call(of_the_spender());
    assert_eq!(refused.status, 402, "{}", refused.text());
    running.end();
}
