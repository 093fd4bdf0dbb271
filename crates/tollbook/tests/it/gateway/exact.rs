//! Many callers at once: sums are exact to the token and the last digit of money.

use super::is_soak;
use super::running::{Running, call_id, chat};
use std::collections::BTreeMap;
use std::sync::Barrier;
use tollbook_types::Money;

const CALLERS: usize = 200;

#[test]
fn soak_two_hundred_callers_at_once_are_booked_exactly() {
    let rounds = if is_soak() { 100 } else { 5 };
    let mut running = Running::start();
    let (json, stream) = (chat(false).bearer(&running.key), chat(true).bearer(&running.key));
    let barrier = Barrier::new(CALLERS);
    let one = |nth: usize| {
        let mut caller = running.caller();
        let mut seen = Vec::new();
        for round in 0..rounds {
            barrier.wait();
            let is_stream = (nth + round).is_multiple_of(4);
            let answer = caller.call(if is_stream { &stream } else { &json }).unwrap();
            assert_eq!((answer.status, answer.whole), (200, true), "{}", answer.text());
            let cost = answer.header("x-tollbook-cost-usd").map(|cost| cost.parse::<Money>().unwrap());
            assert_eq!(cost.is_some(), !is_stream);
            seen.push((call_id(&answer), cost));
        }
        seen
    };
    let seen: BTreeMap<String, Option<Money>> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS).map(|nth| scope.spawn(move || one(nth))).collect();
        callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect()
    });
    let calls = CALLERS * rounds;
    assert_eq!((seen.len(), running.upstream.count()), (calls, calls));
    running.end();
    let books = running.books();
    assert_eq!(books.len(), calls);
    let mut cost = Money::ZERO;
    for (id, told) in &seen {
        let booked: Money = books[id]["cost_usd"].as_str().unwrap().parse().unwrap();
        assert!(told.is_none_or(|told| told == booked), "{id}: {told:?} told, {booked} in the books");
        cost = cost.checked_add(booked).unwrap();
    }
    let served: Vec<_> = running.upstream.served().iter().map(|served| served.tokens.unwrap()).collect();
    let total = running.total();
    assert_eq!(total["calls"], calls as u64);
    assert_eq!(total["input_tokens"], served.iter().map(|tokens| tokens.input).sum::<u64>());
    assert_eq!(total["output_tokens"], served.iter().map(|tokens| tokens.output).sum::<u64>());
    assert_eq!(total["meters"]["cache_read"], served.iter().map(|tokens| tokens.cached).sum::<u64>());
    assert_eq!(total["meters"]["reasoning"], served.iter().map(|tokens| tokens.reasoning).sum::<u64>());
    assert_eq!(total["cost_usd"].as_str().unwrap().parse::<Money>().unwrap(), cost);
    running.place.run(&["verify"]).ok();
}
