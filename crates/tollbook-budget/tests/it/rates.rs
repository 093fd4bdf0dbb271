//! Rate limits: what goes, what waits and for how long.

use crate::rig::{Call, call, cents, engine, instant, limit, verdict};
use tollbook_budget::{Engine, RateLimitForm};
use tollbook_types::Timestamp;

/// Ten o'clock and so many seconds.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(instant("2026-11-22T10:00:00Z").as_second() + seconds).unwrap()
}

/// One call after the other: its account, its model, when, and what becomes of it.
fn check(limits: &[&str], calls: &[(&str, &str, i64, &str)]) -> Engine {
    let mut engine = engine(&[]);
    for (n, members) in limits.iter().enumerate() {
        limit(&mut engine, &format!("l{n}"), members);
    }
    for (n, (who, model, seconds, wanted)) in calls.iter().enumerate() {
        let call = Call { at: at(*seconds), ..call(&format!("c{n}"), who, 1).model(model) };
        assert_eq!(verdict(&call.admit(&mut engine)), *wanted, "call {n} of {calls:?}");
    }
    engine
}

#[test]
fn requests_come_as_fast_as_they_may() {
    // Two at once, then one each half minute.
    check(
        &[r#""match":{"user":"ann"},"requests_per_minute":2"#],
        &[
            ("user=ann", "m", 0, "ok"),
            ("user=ann", "m", 0, "ok"),
            ("user=ann", "m", 0, "Requests, wait 30 (l0)"),
            ("user=bob", "m", 0, "ok"),
            ("user=ann", "m", 29, "Requests, wait 1 (l0)"),
            ("user=ann", "m", 30, "ok"),
            ("user=ann", "m", 31, "Requests, wait 29 (l0)"),
            ("user=ann", "m", 300, "ok"),
            ("user=ann", "m", 300, "ok"),
            ("user=ann", "m", 300, "Requests, wait 30 (l0)"),
        ],
    );
    check(&[r#""requests_per_minute":0"#], &[("", "m", 0, "Requests, wait 60 (l0)")]);
}

#[test]
fn all_that_match_bind_and_the_longest_wait_is_told() {
    check(
        &[r#""each":"user","requests_per_minute":1"#, r#""requests_per_minute":3"#],
        &[
            ("user=ann", "m", 0, "ok"),
            ("user=ann", "m", 0, "Requests, wait 60 (l0)"),
            ("user=bob", "m", 0, "ok"),
            // Without a value, no way around.
            ("", "m", 0, "ok"),
            ("", "m", 0, "Requests, wait 60 (l0)"),
            ("user=eve", "m", 0, "Requests, wait 20 (l1)"),
            ("user=eve", "m", 20, "ok"),
        ],
    );
}

#[test]
fn a_loop_in_a_session_is_broken() {
    check(
        &[r#""each":"session","identical_per_minute":2"#],
        &[
            ("session=a", "again", 0, "ok"),
            ("session=a", "again", 0, "ok"),
            ("session=a", "again", 1, "Identical, wait 29 (l0)"),
            ("session=a", "other", 1, "ok"),
            ("session=b", "again", 1, "ok"),
            ("session=a", "again", 30, "ok"),
        ],
    );
}

#[test]
fn only_so_many_are_under_way_at_once() {
    let mut engine = check(
        &[r#""concurrent_calls":2"#],
        &[("", "m", 0, "ok"), ("", "m", 0, "ok"), ("", "m", 50, "Concurrent, wait 1 (l0)")],
    );
    let ask = |engine: &mut Engine, id: &str| verdict(&call(id, "", 1).admit(engine));
    // One ends, and is booked a little later: that makes one place, not two.
    engine.ended("c0");
    engine.ended("c0");
    assert_eq!(ask(&mut engine, "d0"), "ok");
    call("c0", "", 1).book(&mut engine, 1, cents(1));
    assert_eq!(ask(&mut engine, "d1"), "Concurrent, wait 1 (l0)");
    assert!(engine.release("c1", at(60)));
    assert_eq!(
        (ask(&mut engine, "d1"), ask(&mut engine, "d2")),
        ("ok".into(), "Concurrent, wait 1 (l0)".into())
    );
    for id in ["d0", "d1"] {
        engine.release(id, at(61));
    }
    assert_eq!(engine.holds(), 0);
}

#[test]
fn a_changed_limit_knows_nothing_of_calls_from_before() {
    let mut engine = check(&[r#""concurrent_calls":2"#], &[("", "m", 0, "ok"), ("", "m", 0, "ok")]);
    let ask = |engine: &mut Engine, id: &str| verdict(&call(id, "", 1).admit(engine));
    limit(&mut engine, "l0", r#""concurrent_calls":1"#);
    assert_eq!(ask(&mut engine, "d0"), "ok");
    // Those that went under the limit as it was give nothing back.
    engine.ended("c0");
    engine.release("c1", at(1));
    assert_eq!(ask(&mut engine, "d1"), "Concurrent, wait 1 (l0)");
}

#[test]
fn a_limit_that_is_taken_away_leaves_the_others_as_they_are() {
    let limits = &[r#""concurrent_calls":9"#, r#""concurrent_calls":2"#];
    let mut engine = check(limits, &[("", "m", 0, "ok"), ("", "m", 0, "ok")]);
    let ask = |engine: &mut Engine, id: &str| verdict(&call(id, "", 1).admit(engine));
    engine.remove_rate_limit("l0");
    assert_eq!(ask(&mut engine, "d0"), "Concurrent, wait 1 (l1)");
    engine.ended("c0");
    assert_eq!(ask(&mut engine, "d0"), "ok");
}

#[test]
fn tokens_are_taken_as_expected_and_corrected_when_booked() {
    // Each call is taken to use 1,000 and uses 100.
    let mut engine = check(
        &[r#""tokens_per_minute":2000"#],
        &[("", "m", 0, "ok"), ("", "m", 0, "ok"), ("", "m", 0, "Tokens, wait 30 (l0)")],
    );
    let booked = |engine: &mut Engine, n: u64| {
        let call = Call { at: at(0), ..call(&format!("c{n}"), "", 1).model("m") };
        call.book(engine, n + 1, cents(1));
    };
    booked(&mut engine, 0);
    let left = |engine: &Engine| engine.rates.applying(&call("x", "", 1).subject(), at(0))[0].tokens_left;
    assert_eq!(left(&engine), Some(900));
    booked(&mut engine, 1);
    assert_eq!(left(&engine), Some(1_800));
    // What was never sent is given back in full.
    assert_eq!(verdict(&Call { at: at(0), ..call("d", "", 1) }.admit(&mut engine)), "ok");
    engine.release("d", at(0));
    assert_eq!(left(&engine), Some(1_800));
    // More than a whole minute's goes when nothing else does, and is paid for afterwards.
    let mut engine = engine_with(r#""tokens_per_minute":100"#);
    assert_eq!(verdict(&Call { at: at(0), ..call("a", "", 1) }.admit(&mut engine)), "ok");
    assert_eq!(verdict(&Call { at: at(540), ..call("b", "", 1) }.admit(&mut engine)), "Tokens, wait 60 (l)");
    assert_eq!(verdict(&Call { at: at(600), ..call("b", "", 1) }.admit(&mut engine)), "ok");
}

fn engine_with(members: &str) -> Engine {
    let mut engine = engine(&[]);
    limit(&mut engine, "l", members);
    engine
}

#[test]
fn what_a_budget_refuses_takes_nothing_of_a_rate_and_the_other_way_round() {
    let mut engine = engine(&[("b", r#""limit_calls":1,"window":"total""#)]);
    limit(&mut engine, "l", r#""requests_per_minute":1,"match":{"user":"ann"}"#);
    let mut ask = |id: &str, who: &str| verdict(&call(id, who, 1).admit(&mut engine));
    assert_eq!(ask("a", ""), "ok");
    assert_eq!((ask("b", "user=ann"), ask("c", "user=ann")), ("spent (b)".into(), "spent (b)".into()));
    engine.release("a", at(0));
    let mut ask = |id: &str, who: &str| verdict(&call(id, who, 1).admit(&mut engine));
    assert_eq!((ask("d", "user=ann"), ask("e", "user=ann")), ("ok".into(), "Requests, wait 60 (l)".into()));
    engine.release("d", at(0));
    assert_eq!(verdict(&call("f", "", 1).admit(&mut engine)), "ok", "the refused one holds nothing");
}

#[test]
fn in_no_minute_more_goes_than_two_minutes_worth_and_on_average_no_more_than_the_quota() {
    let quota = 30;
    let mut engine = engine_with(&format!(r#""requests_per_minute":{quota}"#));
    let (mut gone, mut millis, mut seed) = (Vec::new(), 0_i64, 7_u64);
    for n in 0..20_000 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        millis += i64::try_from(seed >> 54).unwrap();
        let now = Timestamp::from_millisecond(at(0).as_millisecond() + millis).unwrap();
        if (Call { at: now, ..call(&format!("c{n}"), "", 1) }).admit(&mut engine).is_ok() {
            gone.push(millis);
        }
        engine.tick(now);
    }
    for (n, first) in gone.iter().enumerate() {
        let within = gone[n..].iter().take_while(|at| **at < first + 60_000).count();
        assert!(within <= 2 * quota, "{within} within a minute");
    }
    let minutes = usize::try_from(millis / 60_000).unwrap();
    assert!(
        gone.len() <= quota * (minutes + 2) && gone.len() >= quota * minutes,
        "{} in {minutes} minutes",
        gone.len()
    );
}

#[test]
fn what_has_run_out_is_forgotten() {
    let mut engine = engine_with(r#""each":"session","requests_per_minute":1,"identical_per_minute":1"#);
    for n in 0..100 {
        let call = Call { at: at(0), ..call(&format!("c{n}"), &format!("session=s{n}"), 1) };
        call.admit(&mut engine).unwrap();
        engine.release(&call.id, at(1));
    }
    engine.tick(at(61));
    let subject = call("x", "session=s1", 1);
    assert_eq!(engine.rates.applying(&subject.subject(), at(61))[0].requests_left, Some(1));
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let form = RateLimitForm {
        each: Some("status".into()),
        matches: [("colour".to_owned(), "red".to_owned())].into(),
        ..RateLimitForm::default()
    };
    let members: Vec<&str> = form.read("l").unwrap_err().iter().map(|fault| fault.member).collect();
    assert_eq!(members, ["name", "match", "each", "requests_per_minute"]);
}
