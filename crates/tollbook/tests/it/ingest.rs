//! Events over HTTP into a server that is killed meanwhile: each counts once, to the picodollar.

use crate::gateway::running::Running;
use crate::gateway::{is_soak, mixed};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tollbook_testkit::{Call, Caller};
use tollbook_types::Money;

const CLIENTS: usize = 8;
const BATCH: usize = 100;
/// So often at most is an event sent on purpose; lost answers have it sent again.
const COPIES_MAX: u64 = 5;
const PATH: &str = "/api/v1/events";
/// Tokens of the calls that tell a price.
const PRICED_TOKENS: u64 = 1_000_000;

/// What the nth event tells: a third of them come with a bill that no price explains.
struct Told {
    input: u64,
    output: u64,
    bill: Option<i128>,
}

fn told(nth: u32) -> Told {
    let nth = u64::from(nth);
    let bill = nth.is_multiple_of(3).then(|| i128::from(mixed(nth) % 1_000_000_007));
    Told { input: mixed(nth + 1) % 20_000, output: mixed(nth + 2) % 2_000, bill }
}

fn event(nth: u32) -> Value {
    let Told { input, output, bill } = told(nth);
    json!({
        "id": format!("event-{nth}"), "provider": "openai", "model": "gpt-5-mini",
        "usage": {"input_tokens": input, "output_tokens": output}, "user": format!("user-{}", nth % 97),
        "provider_cost_usd": bill.map(|picos| Money::from_picos(picos).to_string()),
    })
}

/// Every event one to five times, in any order.
fn deliveries(events: u32) -> Vec<u32> {
    let copies = |nth: u32| 1 + mixed(u64::from(nth) * 7 + 3) % COPIES_MAX;
    let mut all: Vec<u32> = (0..events).flat_map(|nth| (0..copies(nth)).map(move |_| nth)).collect();
    for at in (1..all.len()).rev() {
        let other = mixed(at as u64 * 31 + 11) % (at as u64 + 1);
        all.swap(at, usize::try_from(other).unwrap());
    }
    all
}

#[test]
fn soak_events_sent_again_and_again_through_kills_count_once() {
    let (events, kills) = if is_soak() { (1_000_000, 20) } else { (50_000, 2) };
    let mut running = Running::start();
    let prices = [price(&running, PRICED_TOKENS, 0), price(&running, 0, PRICED_TOKENS)];
    let all = deliveries(events);
    let batches: Vec<&[u32]> = all.chunks(BATCH).collect();
    let (next, done, address) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::new(running.address));
    let key = running.key.clone();
    std::thread::scope(|scope| {
        let send = || {
            while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
                deliver(batch, &address, &key);
                done.fetch_add(1, Ordering::Relaxed);
            }
        };
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(send)).collect();
        for kill in 1..=kills {
            let until = batches.len() * kill / (kills + 1);
            while done.load(Ordering::Relaxed) < until {
                assert!(!clients.iter().any(|client| client.is_finished()), "a client gave up");
                std::thread::sleep(Duration::from_millis(1));
            }
            running.signal("KILL");
            running.ended();
            running.restart();
            *address.lock().unwrap_or_else(PoisonError::into_inner) = running.address;
        }
    });
    assert_eq!(done.load(Ordering::Relaxed), batches.len());
    running.end();
    let (mut input, mut output, mut picos) = (PRICED_TOKENS, PRICED_TOKENS, prices.iter().sum::<i128>());
    for nth in 0..events {
        let told = told(nth);
        input += told.input;
        output += told.output;
        let million = i128::from(PRICED_TOKENS);
        let priced = || i128::from(told.input) * prices[0] + i128::from(told.output) * prices[1];
        picos += told.bill.unwrap_or_else(|| priced() / million);
    }
    let total = running.total();
    println!("{} deliveries of {events} events, {kills} kills: {total}", all.len());
    assert_eq!(total["calls"], events + 2);
    assert_eq!((&total["input_tokens"], &total["output_tokens"]), (&json!(input), &json!(output)));
    assert_eq!(total["cost_usd"].as_str().unwrap().parse::<Money>().unwrap().picos(), picos);
    running.place.run(&["verify"]).ok();
}

/// Sends a batch until it is answered, wherever the server is by then.
fn deliver(batch: &[u32], address: &Mutex<SocketAddr>, key: &str) {
    let body: Vec<Value> = batch.iter().map(|nth| event(*nth)).collect();
    let call = Call::post(PATH, &Value::from(body)).bearer(key);
    loop {
        let here = *address.lock().unwrap_or_else(PoisonError::into_inner);
        match Caller::new(here).call(&call) {
            Ok(answer) if answer.whole && answer.status == 200 => {
                let answer = answer.json();
                let known = answer["accepted"].as_u64().unwrap() + answer["duplicates"].as_u64().unwrap();
                assert_eq!((known, &answer["rejected"]), (batch.len() as u64, &json!([])), "{answer}");
                return;
            }
            Ok(answer) if answer.status < 500 && answer.whole => panic!("{}", answer.text()),
            _ => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// What a million tokens cost, in picodollars, as the server prices them.
fn price(running: &Running, input: u64, output: u64) -> i128 {
    let event = json!({
        "id": format!("price-{input}-{output}"), "provider": "openai", "model": "gpt-5-mini",
        "usage": {"input_tokens": input, "output_tokens": output},
    });
    let answer = running.call(Call::post(PATH, &event)).json();
    let cost: Money = answer["cost_usd"].as_str().unwrap().parse().unwrap();
    assert!(cost.picos() > 0 && cost.picos() % i128::from(PRICED_TOKENS) == 0, "{answer}");
    cost.picos()
}
