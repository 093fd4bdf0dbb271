//! Which calls are let go, and what they leave behind.

use crate::rig::{Call, NOW, account, budget, call, cents, engine, instant, standing, stands, verdict};
use tollbook_budget::{Ask, Booking, Bound, Engine, Item, Limits, Reason, Refused, Start, Sums, Turn};
use tollbook_types::{Money, Timestamp};

const STRICT: &str = r#""limit_usd":"1.00","window":"month","mode":"strict""#;

#[test]
fn a_hundred_calls_at_once_admit_what_fits_and_no_more() {
    let mut engine = engine(&[("team", &format!(r#""match":{{"tag.team":"ops"}},{STRICT}"#))]);
    let calls: Vec<Call> = (0..200).map(|n| call(&format!("c{n}"), "tag.team=ops user=ann", 10)).collect();
    let admitted = calls.iter().filter(|call| call.admit(&mut engine).is_ok()).count();
    assert_eq!((admitted, engine.holds()), (10, 10));
    assert_eq!(verdict(&calls[10].admit(&mut engine)), "spent (team)");
    assert_eq!(standing(&engine, "team", NOW), "0/1/0 of 1");
    // Each turns out to cost less: what was held and not needed is there again.
    for (seq, call) in (1..).zip(&calls[..10]) {
        let booked = call.book(&mut engine, seq, cents(4));
        assert!(booked.settled && !booked.exceeded);
    }
    assert_eq!(standing(&engine, "team", NOW), "0.4/0/0 of 1");
    assert_eq!(call("other", "user=ann", 1_000).admit(&mut engine).unwrap().budgets, 0);
}

#[test]
fn all_that_match_bind_and_a_refusal_holds_nothing() {
    let mut engine = engine(&[
        ("all", r#""limit_usd":"10","window":"day","mode":"strict""#),
        ("ann", r#""match":{"user":"ann"},"limit_usd":"1","window":"day","mode":"strict""#),
        ("gpt-x", r#""match":{"model":"gpt-x","provider":"openai"},"limit_calls":2,"window":"day""#),
    ]);
    let admitted = call("a", "user=ann", 60).admit(&mut engine).unwrap();
    assert_eq!((admitted.budgets, admitted.held, admitted.left), (3, Some(cents(60)), Some(cents(40))));
    assert_eq!(verdict(&call("b", "user=ann", 60).admit(&mut engine)), "spent (ann)");
    assert_eq!(verdict(&call("c", "user=bob", 60).admit(&mut engine)), "ok");
    assert_eq!(verdict(&call("d", "user=bob", 1).admit(&mut engine)), "spent (gpt-x)");
    assert_eq!(verdict(&call("e", "user=bob", 1).model("other").admit(&mut engine)), "ok");
    assert_eq!(standing(&engine, "all", NOW), "0/1.21/0 of 10");
    assert_eq!(standing(&engine, "ann", NOW), "0/0.6/0 of 1");
    let applying = engine.applying(&call("f", "user=ann", 1).subject(), instant(NOW));
    let names: Vec<&str> = applying.iter().map(|standing| standing.name.as_str()).collect();
    assert_eq!(names, ["all", "ann", "gpt-x"]);
}

#[test]
fn each_value_has_the_limit_for_itself_and_those_without_one_share_it() {
    let mut engine = engine(&[("users", r#""each":"user","limit_usd":"1","window":"day","mode":"strict""#)]);
    for (who, worst, wanted) in [
        ("user=ann", 90, "ok"),
        ("user=bob", 90, "ok"),
        ("user=ann", 20, "spent (users)"),
        ("", 90, "ok"),
        ("project=web", 20, "spent (users)"),
        ("user=ann", 10, "ok"),
    ] {
        let id = format!("{who}{worst}");
        assert_eq!(verdict(&call(&id, who, worst).admit(&mut engine)), wanted, "{who} {worst}");
    }
    assert_eq!(engine.standings("users", instant(NOW)).len(), 3);
}

#[test]
fn what_has_no_bound_is_refused_by_strict_budgets_and_held_as_nothing_by_others() {
    for (mode, at_limit, why, wanted) in [
        ("strict", "block", Limits::Unpriced, "unpriced (b)"),
        ("strict", "block", Limits::Unbounded, "unbounded (b)"),
        ("strict", "warn", Limits::Unpriced, "ok"),
        ("expected", "block", Limits::Unpriced, "ok"),
        ("expected", "block", Limits::Unbounded, "ok"),
    ] {
        let members = format!(r#""limit_usd":"1","window":"day","mode":"{mode}","at_limit":"{at_limit}""#);
        let mut engine = engine(&[("b", &members)]);
        let call = Call { worst: Err(why), ..call("a", "", 0) };
        assert_eq!(verdict(&call.admit(&mut engine)), wanted, "{mode} {at_limit} {why:?}");
    }
}

#[test]
fn an_unknown_outcome_stays_unsettled_until_it_is_settled() {
    let mut engine = engine(&[("b", STRICT)]);
    let lost = call("lost", "", 70);
    lost.admit(&mut engine).unwrap();
    lost.book_all(&mut engine, 1, Money::ZERO, cents(70));
    assert_eq!(standing(&engine, "b", NOW), "0/0/0.7 of 1");
    let Err(Refused::Budget(denied)) = call("next", "", 40).admit(&mut engine) else {
        panic!("it is let go")
    };
    assert_eq!((denied.needed, denied.standing.left()), (Some(cents(40).picos()), cents(30).picos()));
    // It is settled at 20 cents: the whole new state replaces the old one.
    let items = |cost: i128, unsettled: i128, sign: i128| {
        [Item {
            model: "gpt-x",
            cost: cents(cost * sign),
            tokens: 0,
            calls: 0,
            unsettled: cents(unsettled * sign),
        }]
    };
    for (items, seq) in [(items(0, 70, -1), 2), (items(20, 0, 1), 2)] {
        let booking = Booking {
            seq,
            at: lost.at,
            subject: lost.subject(),
            items: &items,
            hold: None,
            is_typical: false,
        };
        engine.book(&booking, instant(NOW));
    }
    assert_eq!(standing(&engine, "b", NOW), "0.2/0/0 of 1");
    assert_eq!(verdict(&call("next", "", 40).admit(&mut engine)), "ok");
}

#[test]
fn a_bill_above_its_hold_counts_in_full_and_is_told() {
    let mut engine = engine(&[("b", STRICT)]);
    let call = call("a", "", 10);
    call.admit(&mut engine).unwrap();
    assert!(call.book(&mut engine, 1, cents(150)).exceeded);
    assert_eq!(standing(&engine, "b", NOW), "1.5/0/0 of 1");
}

#[test]
fn expected_mode_holds_what_such_calls_usually_cost() {
    let mut engine = engine(&[("b", r#""limit_usd":"2000","window":"month""#)]);
    let mut seq = 0;
    for n in 0..100 {
        let call = call(&format!("c{n}"), "operation=chat", 1_000);
        let held = call.admit(&mut engine).unwrap().held.unwrap();
        // The first ones as their worst case, then as the ninetieth of a hundred.
        assert_eq!(held, if n < 10 { cents(1_000) } else { cents(2) }, "{n}");
        seq += 1;
        call.book(&mut engine, seq, cents(2));
    }
    // 1,500 in flight of a kind that could cost $15,000 at worst: none is refused at $2 spent.
    let refused =
        (0..1_500).filter(|n| call(&format!("p{n}"), "operation=chat", 1_000).admit(&mut engine).is_err());
    assert_eq!(refused.count(), 0);
}

#[test]
fn near_the_limit_calls_are_spaced_out() {
    let mut engine =
        engine(&[("b", r#""limit_usd":"1","window":"hour","at_limit":"throttle","warn_at":[50]"#)]);
    let at = |second: u32, id: &str| call(id, "", 10).at(&format!("2026-11-22T10:30:{second:02}Z"));
    for (second, id, wanted) in [
        (0, "a", "ok"),
        (0, "b", "ok"),
        (1, "c", "ok"),
        (1, "d", "ok"),
        (1, "e", "ok"),
        (2, "f", "ok"), // 50 cents used: this one is let go, the next has to wait.
        (3, "g", "wait 59 (b)"),
        (30, "h", "wait 32 (b)"),
    ] {
        assert_eq!(verdict(&at(second, id).admit(&mut engine)), wanted, "{second} {id}");
    }
    let later = call("i", "", 10).at("2026-11-22T10:31:02Z");
    assert_eq!(verdict(&later.admit(&mut engine)), "ok");
    assert_eq!(verdict(&call("j", "", 41).at("2026-11-22T10:40:00Z").admit(&mut engine)), "wait 60 (b)");
}

#[test]
fn near_the_limit_calls_go_to_the_cheaper_model() {
    let members =
        r#""limit_usd":"1","window":"day","at_limit":"downgrade","downgrade":{"big":"small"},"warn_at":[80]"#;
    let mut engine = engine(&[("b", members)]);
    let mut ask =
        |id: &str, model: &str, worst| verdict(&call(id, "", worst).model(model).admit(&mut engine));
    assert_eq!(ask("a", "big", 80), "ok");
    assert_eq!(ask("b", "big", 10), "use small (b)");
    assert_eq!(ask("c", "small", 10), "ok");
    assert_eq!(ask("d", "third", 5), "ok");
    assert_eq!(ask("e", "third", 50), "spent (b)");
    assert_eq!(ask("f", "small", 50), "ok");
    // A strict limit is one for the other model, too.
    let mut engine = engine_of(&format!(r#"{members},"mode":"strict""#));
    let mut ask = |id: &str, model: &str, worst| {
        let call = call(id, "", worst).model(model);
        let result = call.admit(&mut engine);
        let Err(Refused::Budget(denied)) = &result else { return verdict(&result) };
        let Reason::Downgrade { to } = &denied.reason else { return verdict(&result) };
        verdict(&call.instead(to, worst / 4).admit(&mut engine))
    };
    assert_eq!(ask("a", "big", 80), "ok");
    assert_eq!((ask("b", "big", 40), ask("c", "big", 60)), ("ok".into(), "spent (b)".into()));
    assert_eq!(ask("d", "small", 15), "spent (b)");
}

fn engine_of(members: &str) -> Engine {
    engine(&[("b", members)])
}

#[test]
fn what_is_spent_stops_what_is_not_known_to_be_free() {
    let unknown = |id: &str| Call { worst: Err(Limits::Unpriced), ..call(id, "", 0) };
    let mut engine = engine_of(r#""limit_usd":"1","window":"day""#);
    assert_eq!(verdict(&unknown("a").admit(&mut engine)), "ok");
    assert_eq!(verdict(&unknown("a").pass(&mut engine)), "ok");
    call("b", "", 100).admit(&mut engine).unwrap();
    assert_eq!(verdict(&unknown("c").admit(&mut engine)), "spent (b)");
    assert_eq!(verdict(&unknown("c").pass(&mut engine)), "spent (b)");
    assert_eq!(verdict(&call("free", "", 0).admit(&mut engine)), "ok");
    let mut strict = engine_of(r#""limit_usd":"1","window":"day","mode":"strict""#);
    assert_eq!(verdict(&unknown("a").pass(&mut strict)), "unpriced (b)");
    assert_eq!((engine.holds(), strict.holds()), (3, 0), "nothing is held for what only passes");
}

#[test]
fn windows_begin_anew_and_a_closed_one_never_reopens() {
    let mut engine = engine(&[("b", r#""limit_usd":"1","window":"day","mode":"strict""#)]);
    let late = call("late", "", 90).at("2026-11-22T23:59:59Z");
    late.admit(&mut engine).unwrap();
    let next = call("next", "", 90).at("2026-11-23T00:00:00Z");
    assert_eq!(verdict(&next.admit(&mut engine)), "ok", "a new day has its own limit");
    // The call of yesterday ends today and is yesterday's.
    late.book(&mut engine, 1, cents(90));
    assert_eq!(standing(&engine, "b", "2026-11-23T00:00:01Z"), "0/0.9/0 of 1");
    // The clock is set back by a day: today's limit still binds.
    assert_eq!(verdict(&call("back", "", 20).at("2026-11-22T12:00:00Z").admit(&mut engine)), "spent (b)");
}

#[test]
fn a_clock_that_was_wrong_opens_nothing() {
    // What is asked at these instants, in this order, under a limit of 1.00 a day.
    let cases: &[(&[(&str, i128)], &str)] = &[
        // Far ahead and back: the day that was spent is still spent.
        (
            &[("2026-11-22T12:00:00Z", 90), ("2027-12-27T12:00:00Z", 20), ("2026-11-22T12:01:00Z", 20)],
            "ok ok spent (b)",
        ),
        // Back over midnight: what is used there counts in its own day, and each day has its limit.
        (
            &[
                ("2026-11-22T22:00:00Z", 5),
                ("2026-11-23T00:10:00Z", 40),
                ("2026-11-22T23:10:00Z", 50),
                ("2026-11-22T23:11:00Z", 40),
                ("2026-11-23T00:11:00Z", 70),
                ("2026-11-23T00:12:00Z", 60),
            ],
            "ok ok ok ok spent (b) ok",
        ),
        // Further back than anything that is known: it counts in the present day.
        (
            &[("2026-11-22T12:00:00Z", 60), ("2026-11-01T12:00:00Z", 30), ("2026-11-22T12:01:00Z", 30)],
            "ok ok spent (b)",
        ),
    ];
    for (asked, expected) in cases {
        for is_booked in [true, false] {
            let mut engine = engine_of(r#""limit_usd":"1","window":"day","mode":"strict""#);
            let mut results = Vec::new();
            for (nth, (at, amount)) in asked.iter().enumerate() {
                let id = format!("c{nth}");
                let call = call(&id, "", *amount).at(at);
                engine.tick(at.parse().unwrap());
                results.push(verdict(&call.admit(&mut engine)));
                if is_booked && results.last().unwrap() == "ok" {
                    call.book(&mut engine, 1 + nth as u64, cents(*amount));
                }
            }
            assert_eq!(results.join(" "), *expected, "{asked:?}, booked: {is_booked}");
        }
    }
    // In a rolling window, too, what is admitted while the clock is behind counts.
    let mut engine = engine_of(r#""limit_calls":2,"window":"rolling","minutes":60,"mode":"strict""#);
    for (at, expected) in [("12:00:30", "ok"), ("09:00:00", "ok"), ("09:01:00", "spent (b)")] {
        let at = format!("2026-11-22T{at}Z");
        let call = call(&at, "", 1).at(&at);
        assert_eq!(verdict(&call.admit(&mut engine)), expected, "{at}");
        if expected == "ok" {
            call.book(&mut engine, 1, cents(1));
        }
    }
}

#[test]
fn a_rolling_window_forgets_bit_by_bit() {
    let mut engine = engine(&[("b", r#""limit_calls":2,"window":"rolling","minutes":60,"mode":"strict""#)]);
    let mut ask = |id: &str, at: &str| {
        let call = call(id, "", 1).at(at);
        let result = verdict(&call.admit(&mut engine));
        if result == "ok" {
            call.book(&mut engine, 1, cents(1));
        }
        result
    };
    assert_eq!(ask("a", "2026-11-22T10:00:30Z"), "ok");
    assert_eq!(ask("b", "2026-11-22T10:30:00Z"), "ok");
    assert_eq!(ask("c", "2026-11-22T10:59:00Z"), "spent (b)");
    // A minute that is partly past counts in full.
    assert_eq!(ask("d", "2026-11-22T11:00:59Z"), "spent (b)");
    assert_eq!(ask("e", "2026-11-22T11:01:00Z"), "ok");
    assert_eq!(ask("f", "2026-11-22T11:02:00Z"), "spent (b)");
}

#[test]
fn a_new_budget_counts_what_was_before_it_once() {
    let mut engine = Engine::default();
    let flying = call("flying", "user=ann", 30);
    flying.admit(&mut engine).unwrap();
    let start = Start {
        through: 7,
        used: vec![(None, instant(NOW), Sums { spent: cents(40).picos(), ..Sums::default() })],
    };
    engine.set(budget("b", STRICT), &start, instant(NOW));
    let known = call("known", "user=ann", 1);
    known.book(&mut engine, 7, cents(40)); // In the sums already.
    assert_eq!(standing(&engine, "b", NOW), "0.4/0/0 of 1");
    known.book(&mut engine, 8, cents(10));
    assert_eq!(standing(&engine, "b", NOW), "0.5/0/0 of 1");
    assert_eq!(verdict(&call("next", "", 60).admit(&mut engine)), "spent (b)");
}

#[test]
fn calls_in_flight_are_held_by_a_budget_that_comes_later() {
    let mut engine = engine(&[("old", r#""limit_usd":"100","window":"day","mode":"strict""#)]);
    let flying = call("flying", "user=ann", 70);
    flying.admit(&mut engine).unwrap();
    engine.set(
        budget("new", &format!(r#""match":{{"user":"ann"}},{STRICT}"#)),
        &Start::default(),
        instant(NOW),
    );
    assert_eq!(standing(&engine, "new", NOW), "0/0.7/0 of 1");
    flying.book(&mut engine, 1, cents(20));
    assert_eq!(standing(&engine, "new", NOW), "0.2/0/0 of 1");
    assert_eq!(standing(&engine, "old", NOW), "0.2/0/0 of 100");
    call("next", "user=ann", 30).admit(&mut engine).unwrap();
    engine.remove("old");
    assert_eq!(engine.standings("old", instant(NOW)), []);
    assert_eq!(standing(&engine, "new", NOW), "0.2/0.3/0 of 1");
    engine.release("next", instant(NOW));
    assert_eq!(standing(&engine, "new", NOW), "0.2/0/0 of 1");
}

#[test]
fn a_raise_ends_by_itself() {
    let raised = format!(r#"{STRICT},"raises":[{{"by":"0.50","until":"2026-11-22T12:00:00Z"}}]"#);
    let mut engine = engine(&[("b", &raised)]);
    assert_eq!(verdict(&call("a", "", 150).admit(&mut engine)), "ok");
    assert_eq!(verdict(&call("b", "", 1).at("2026-11-22T12:00:00Z").admit(&mut engine)), "spent (b)");
}

#[test]
fn what_was_refused_is_counted_in_its_window() {
    let mut engine = engine(&[("b", r#""each":"user","limit_usd":"1","window":"day","mode":"strict""#)]);
    let mut refuse = |id: &str, who: &str, at: &str| {
        let call = call(id, who, 101).at(at);
        let refused = call.admit(&mut engine).unwrap_err();
        engine.count_refused(&refused, call.at);
        let all = engine.standings("b", call.at).into_iter();
        let mut all: Vec<_> = all.map(|stands| (stands.instance.unwrap(), stands.sums.refused)).collect();
        all.sort();
        all
    };
    let (today, tomorrow) = (NOW, "2026-11-23T00:00:00Z");
    assert_eq!(refuse("a", "user=ann", today), [("ann".to_owned(), 1)]);
    assert_eq!(refuse("b", "user=bob", today), [("ann".to_owned(), 1), ("bob".to_owned(), 1)]);
    assert_eq!(refuse("c", "user=ann", today), [("ann".to_owned(), 2), ("bob".to_owned(), 1)]);
    assert_eq!(refuse("d", "user=ann", tomorrow)[0], ("ann".to_owned(), 1));
    assert_eq!(engine.holds(), 0);
}

#[test]
fn who_is_refused_under_many_names_takes_no_room() {
    let mut engine = engine(&[("b", r#""each":"user","limit_usd":"1","window":"total","mode":"strict""#)]);
    for n in 0..5_000 {
        let call = call("a", &format!("user=u{n}"), 101);
        let refused = call.admit(&mut engine).unwrap_err();
        engine.count_refused(&refused, call.at);
    }
    assert_eq!(engine.standings("b", instant(NOW)).len(), 4_096);
    assert_eq!(verdict(&call("z", "user=u4999", 100).admit(&mut engine)), "ok");
}

#[test]
fn holds_go_when_they_are_released_or_over() {
    let mut engine = engine(&[("b", STRICT)]);
    let held = call("a", "", 60);
    held.admit(&mut engine).unwrap();
    assert!(engine.release("a", instant(NOW)) && !engine.release("a", instant(NOW)));
    assert_eq!(standing(&engine, "b", NOW), "0/0/0 of 1");
    let bound = tollbook_budget::Bound { cost: held.worst, tokens: None };
    let expires_at = Some(instant("2026-11-22T10:32:00Z"));
    let ask = tollbook_budget::Ask { id: "b", worst: bound, usual: bound, expires_at, ..held.ask() };
    engine.admit(&ask).unwrap();
    engine.tick(instant("2026-11-22T10:31:59Z"));
    assert_eq!(engine.holds(), 1);
    engine.tick(instant("2026-11-22T10:32:00Z"));
    assert_eq!((engine.holds(), standing(&engine, "b", NOW).as_str()), (0, "0/0/0 of 1"));
}

#[test]
fn thresholds_are_told_once_in_each_window() {
    let members = r#""limit_usd":"1","window":"day","warn_at":[50,100],"at_limit":"warn""#;
    let mut engine = engine(&[("b", members)]);
    let mut seq = 0;
    let mut spend = |at: &str, worth: i128| {
        seq += 1;
        call(&format!("c{seq}"), "", worth).at(at).book(&mut engine, seq, cents(worth));
        let told = engine.take_crossings().into_iter().map(|crossing| {
            let word = if crossing.turn == Turn::Firing { "firing" } else { "resolved" };
            format!("{} {word} {}", crossing.percent, crossing.window.unwrap())
        });
        told.collect::<Vec<String>>()
    };
    assert_eq!(spend("2026-11-22T10:00:00Z", 49), [""; 0]);
    assert_eq!(spend("2026-11-22T10:00:01Z", 1), ["50 firing 2026-11-22T00:00:00Z"]);
    assert_eq!(spend("2026-11-22T10:00:02Z", 49), [""; 0]);
    assert_eq!(spend("2026-11-22T10:00:03Z", 10), ["100 firing 2026-11-22T00:00:00Z"]);
    let next = spend("2026-11-23T00:00:00Z", 60);
    let wanted = [
        "50 resolved 2026-11-22T00:00:00Z",
        "100 resolved 2026-11-22T00:00:00Z",
        "50 firing 2026-11-23T00:00:00Z",
    ];
    assert_eq!(next, wanted);
    // An entry of yesterday changes yesterday and fires nothing.
    assert_eq!(spend("2026-11-22T12:00:00Z", 500), [""; 0]);
}

#[test]
fn what_answers_under_another_name_counts_by_either() {
    let mut engine = engine(&[("b", &format!(r#""match":{{"model":"gpt-x"}},{STRICT}"#))]);
    let asked = call("a", "", 50);
    asked.admit(&mut engine).unwrap();
    let who = account("");
    let items =
        [Item { model: "gpt-x-2026-08-01", cost: cents(50), tokens: 1, calls: 1, unsettled: Money::ZERO }];
    let book = |engine: &mut Engine, seq, request_model, hold| {
        let subject = tollbook_budget::Subject { provider: "openai", request_model, model: None, who: &who };
        let at: Timestamp = instant(NOW);
        engine.book(&Booking { seq, at, subject, items: &items, hold, is_typical: false }, at);
    };
    book(&mut engine, 1, Some("gpt-x"), Some("a"));
    assert_eq!(standing(&engine, "b", NOW), "0.5/0/0 of 1");
    book(&mut engine, 2, Some("other"), None);
    assert_eq!(standing(&engine, "b", NOW), "0.5/0/0 of 1");
    let all = engine.standings("b", instant(NOW));
    assert_eq!(all.iter().map(stands).collect::<Vec<_>>(), ["0.5/0/0 of 1"]);
}

#[test]
fn a_large_budget_does_not_refuse_at_a_small_spend() {
    // $2,000 of which $0.15 are spent, and two hundred calls at once that could cost $40 each.
    let mut engine = engine_of(r#""limit_usd":"2000","window":"month""#);
    let usual = |engine: &mut Engine, id: &str, usual_cents: i128| {
        let call = call(id, "operation=chat", 4_000);
        let bound = |cents: i128| Bound { cost: Ok(self::cents(cents)), tokens: Some(1_000_000) };
        let ask = Ask { worst: bound(4_000), usual: bound(usual_cents), ..call.ask() };
        verdict(&engine.admit(&ask))
    };
    for n in 0..200 {
        // Nothing is known of such calls yet: an answer of 16,384 tokens of the dearest model.
        assert_eq!(usual(&mut engine, &format!("first{n}"), 130), "ok");
    }
    for n in 0..200 {
        let call = call(&format!("first{n}"), "operation=chat", 4_000);
        let cost = Money::from_picos(if n < 10 { 15_000_000_000 } else { 0 });
        call.book(&mut engine, n + 1, cost);
    }
    assert_eq!(standing(&engine, "b", NOW), "0.15/0/0 of 2000");
    for n in 0..10_000 {
        assert_eq!(usual(&mut engine, &format!("next{n}"), 130), "ok", "{}", standing(&engine, "b", NOW));
    }
}
