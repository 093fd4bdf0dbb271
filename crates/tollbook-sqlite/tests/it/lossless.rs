//! Whatever an entry holds, it comes back to the last byte, and so does its digest.

use crate::suite::made;
use proptest::prelude::*;
use std::sync::Arc;
use tollbook_store::conformance::Workload;
use tollbook_store::{Batch, EventStore, Op, entry_digest};
use tollbook_types::{Entry, Money, Timestamp};

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,12}",
        Just(String::new()),
        Just("\u{0}\u{1}\u{2}".to_owned()),
        Just("019aa000-0000-7000-8000-00000000000a".to_owned()),
        Just("019AA000-0000-7000-8000-00000000000A".to_owned()),
        "[a-z]{3}_[0-9a-f]{16}",
        "[-_A-Za-z0-9]{0,40}",
    ]
}

fn raw() -> impl Strategy<Value = String> {
    prop_oneof![text(), "[{\\[][0-9a-z.:,\" -]{0,60}[}\\]]", Just("{\"a\":1.50e-07,\"b\":-0}".to_owned())]
}

/// What is put into an entry in place of what it had.
#[derive(Clone, Debug)]
struct Odd {
    texts: Vec<String>,
    maybe: Vec<Option<String>>,
    raw: Option<String>,
    amounts: Vec<Option<i128>>,
    latency: Option<u64>,
    nanos: i64,
    float: f64,
}

fn odd() -> impl Strategy<Value = Odd> {
    let texts = prop::collection::vec(text(), 8);
    let maybe = prop::collection::vec(prop::option::of(text()), 9);
    let amounts = prop::collection::vec(prop::option::of(any::<i128>()), 8);
    let rest = (prop::option::of(raw()), prop::option::of(any::<u64>()), 0_i64..2_000_000, any::<f64>());
    (texts, maybe, amounts, rest).prop_map(|(texts, maybe, amounts, (raw, latency, nanos, float))| Odd {
        texts,
        maybe,
        raw,
        amounts,
        latency,
        nanos,
        float,
    })
}

fn change(entry: &mut Entry, odd: &Odd) {
    let later = |at: Timestamp| at + std::time::Duration::from_nanos(odd.nanos.unsigned_abs());
    let event = &mut entry.event;
    [&mut event.id, &mut event.source, &mut event.provider, &mut event.model]
        .into_iter()
        .zip(&odd.texts)
        .for_each(|(member, text)| member.clone_from(text));
    let who = &mut event.attribution;
    [
        &mut who.project,
        &mut who.session,
        &mut who.operation_id,
        &mut who.agent,
        &mut event.error,
        &mut event.hold_id,
        &mut event.provider_response_id,
        &mut event.request_model,
        &mut entry.rating.note,
    ]
    .into_iter()
    .zip(&odd.maybe)
    .for_each(|(member, text)| member.clone_from(text));
    who.tags.insert(odd.texts[4].clone(), odd.texts[5].clone());
    who.metadata =
        Some(serde_json::json!({ odd.texts[6].as_str(): [odd.float, -0.0, 1e300], "n": u64::MAX }));
    event.flags = odd.texts[6..].to_vec();
    event.raw_usage.clone_from(&odd.raw);
    event.latency_ms = odd.latency;
    event.occurred_at = later(event.occurred_at);
    entry.recorded_at = later(entry.recorded_at);
    let rating = &mut entry.rating;
    let first = rating.legs.first_mut().map(|leg| &mut leg.output_cost);
    // Far from the bounds: rollups add these up.
    let amounts = odd.amounts.iter().map(|amount| amount.map(|amount| Money::from_picos(amount >> 16)));
    [&mut rating.cost, &mut rating.input_cost, &mut rating.book_cost, &mut rating.worst_case]
        .into_iter()
        .chain(first)
        .chain([&mut event.worst_case])
        .zip(amounts)
        .for_each(|(member, amount)| *member = amount);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn entries_come_back_to_the_last_byte(seed: u64, odds in prop::collection::vec(odd(), 1..12)) {
        let directory = tempfile::tempdir().unwrap();
        let store = made(&directory.path().join("store"));
        let mut work = Workload::new(seed);
        let mut ops = Vec::new();
        for (at, odd) in odds.iter().enumerate() {
            let seq = at as u64 + 1;
            let mut entry = work.entry();
            change(&mut entry, odd);
            // Identities must differ.
            entry.event.id.push_str(&seq.to_string());
            ops.push(Op::Entry { seq, digest: entry_digest(seq, &entry), entry: Arc::new(entry) });
        }
        store.append(&Batch { ops: ops.clone(), through: ops.len() as u64 }).unwrap();
        for op in &ops {
            let Op::Entry { seq, digest, entry } = op else { continue };
            let call = store.call(*seq).unwrap().unwrap();
            prop_assert_eq!(serde_json::to_string(&call.entry).unwrap(), serde_json::to_string(&**entry).unwrap());
            prop_assert_eq!(&call.entry, &**entry);
            prop_assert_eq!(call.digest, *digest);
        }
        prop_assert_eq!(store.audit().unwrap().problems, Vec::<String>::new());
    }
}
