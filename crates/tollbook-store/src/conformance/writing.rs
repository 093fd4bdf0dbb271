//! Topics about what a store accepts: positions, refusals, identities, joins, open calls.

use super::workload::Workload;
use super::{Backend, Must, adjusted, append, entered, fresh, refused};
use crate::batch::{Batch, Control, Join, Op};
use crate::error::StoreError;
use crate::identity::{IdentityRef, ResponseRef};
use crate::store::{Known, Store};
use crate::stored::State;
use std::sync::Arc;
use tollbook_types::{
    Adjustment, Attribution, Digest, Entry, Identity, OpenCall, ResponseKey, Seq, Timestamp,
};

/// An adjustment that changes nothing but the version.
pub(super) fn adjustment(
    seq: Seq,
    entry: &Entry,
    version: u32,
    run: Option<&str>,
    at: Timestamp,
) -> Adjustment {
    let state = State::of_entry(entry);
    Adjustment {
        entry: seq,
        version,
        run: run.map(str::to_owned),
        at,
        reason: "rerate".to_owned(),
        usage: state.usage,
        evidence: state.evidence,
        free: state.free,
        provider_cost: state.provider_cost,
        conditions: state.conditions,
        attribution: state.attribution,
        flags: state.flags,
        inconsistent: state.inconsistent,
        raw_usage: state.raw_usage,
        estimator: state.estimator,
        rating: state.rating,
    }
}

/// An empty store is at 0; a batch moves it to `through`, also one without changes; nothing moves
/// it back or leaves it where it is.
pub fn positions(backend: &dyn Backend) {
    let store = fresh(backend);
    let start = store.position().must();
    assert_eq!((start.applied, start.cutoff), (0, None));
    assert!(!start.ledger_id.is_empty(), "a store has the name of its ledger");
    refused(&*store, 0, Vec::new());
    append(&*store, 7, Vec::new());
    assert_eq!(store.position().must().applied, 7);
    refused(&*store, 7, Vec::new());
    refused(&*store, 6, Vec::new());
    let entry = Workload::new(1).entry();
    append(&*store, 12, vec![entered(9, &entry)]);
    store.sync().must();
    assert_eq!(store.position().must().applied, 12);
    assert_eq!(store.position().must().ledger_id, start.ledger_id);
    assert_eq!(store.call(9).must().map(|call| call.seq), Some(9));
    assert_eq!(store.call(10).must(), None);
    assert_eq!(store.call(0).must(), None);
}

/// What cannot be true is refused, and a batch of which one change is refused changes nothing.
pub fn refusals(backend: &dyn Backend) {
    let store = fresh(backend);
    let mut work = Workload::new(2);
    let [first, second, third] = [work.entry(), work.entry(), work.entry()];
    let at = first.recorded_at;
    append(&*store, 10, vec![entered(10, &first)]);

    // Positions outside of what the batch covers.
    refused(&*store, 20, vec![entered(10, &second)]);
    refused(&*store, 20, vec![entered(21, &second)]);
    // What is known already, and what is not there.
    refused(&*store, 20, vec![entered(12, &first)]);
    refused(&*store, 20, vec![entered(12, &second), entered(13, &second)]);
    refused(&*store, 20, vec![entered(12, &second), entered(12, &third)]);
    let join = |entry, identity| Op::Join(Join { seq: 15, identity, content: Digest::default(), entry });
    refused(&*store, 20, vec![join(10, first.event.identity())]);
    refused(&*store, 20, vec![join(11, second.event.identity())]);
    refused(&*store, 20, vec![adjusted(15, &adjustment(11, &second, 1, None, at))]);
    // One run adjusts an entry once.
    append(&*store, 20, vec![adjusted(15, &adjustment(10, &first, 1, Some("run"), at))]);
    refused(&*store, 30, vec![adjusted(25, &adjustment(10, &first, 2, Some("run"), at))]);
    // Controls go up by one.
    let control = |version| Op::Control(Control { seq: 25, key: "key/1".into(), version, body: None, at });
    refused(&*store, 30, vec![control(2)]);
    refused(&*store, 30, vec![control(1), control(1)]);
    assert_eq!(store.control("key/1").must(), None);
    stale_versions(&*store, &first);

    // All or nothing: the good changes before a bad one are not there either.
    let all = vec![entered(31, &second), control_at(32), entered(33, &first)];
    refused(&*store, 40, all);
    assert_eq!(store.call(31).must(), None);
    assert_eq!(store.find(&[(&second.event).into()]).must(), vec![None]);
    assert_eq!(store.control("key/2").must(), None);
    append(&*store, 40, vec![entered(31, &second), control_at(32)]);
    assert_eq!(store.control("key/2").must().map(|control| control.version), Some(1));
    assert_eq!(store.audit().must().problems, Vec::<String>::new());
}

fn control_at(seq: Seq) -> Op {
    let at = Timestamp::UNIX_EPOCH;
    Op::Control(Control { seq, key: "key/2".into(), version: 1, body: Some("{}".into()), at })
}

/// Entry 10 is at version 1: only 2 is next.
fn stale_versions(store: &dyn Store, entry: &Entry) {
    for offered in [0, 1, 3] {
        let op = adjusted(25, &adjustment(10, entry, offered, None, entry.recorded_at));
        match store.append(&Batch { ops: vec![op], through: 30 }) {
            Err(StoreError::Stale { entry: 10, current: 1, offered: said }) => assert_eq!(said, offered),
            other => panic!("version {offered}: expected a refusal as stale, not {other:?}"),
        }
    }
    let next = |seq, version| adjusted(seq, &adjustment(10, entry, version, None, entry.recorded_at));
    append(store, 30, vec![next(25, 2), next(26, 3)]);
    assert_eq!(store.call(10).must().map(|call| call.version()), Some(3));
}

/// Identities differ in project, source and id, byte by byte; joins resolve to their entry.
pub fn identities_and_joins(backend: &dyn Backend) {
    let store = fresh(backend);
    let mut work = Workload::new(3);
    let mut ops = Vec::new();
    let mut identities = Vec::new();
    for project in [None, Some(""), Some("web"), Some("Web")] {
        for source in ["api", "API", "gateway"] {
            for id in ["x", "X", "x ", "é", "e\u{301}", "webapi"] {
                let mut entry = work.entry();
                entry.event.attribution.project = project.map(str::to_owned);
                (entry.event.source, entry.event.id) = (source.to_owned(), id.to_owned());
                identities.push(entry.event.identity());
                ops.push(entered(identities.len() as Seq, &entry));
            }
        }
    }
    let last = identities.len() as Seq;
    append(&*store, last, ops);
    let found = store.find(&identities.iter().map(IdentityRef::from).collect::<Vec<_>>()).must();
    for (at, known) in found.iter().enumerate() {
        let entry = at as Seq + 1;
        let content = store.call(entry).must().map(|call| call.entry.event.content);
        let expected = Known { entry, content: content.unwrap_or_default(), joined: false };
        assert_eq!(known.as_ref(), Some(&expected), "{:?}", identities[at]);
    }
    let absent = Identity { project: None, source: "otlp".into(), id: "x".into() };
    let content = Digest::of(b"joined");
    assert_eq!(store.find(&[(&absent).into(), (&identities[3]).into()]).must()[0], None);
    let (before, by_id) = (store.call(5).must(), store.calls_by_id("x").must());
    assert_eq!(
        by_id.iter().map(|call| call.seq).collect::<Vec<_>>(),
        (0..12).map(|n| n * 6 + 1).collect::<Vec<_>>()
    );

    let join = Op::Join(Join { seq: last + 1, identity: absent.clone(), content, entry: 5 });
    append(&*store, last + 1, vec![join.clone()]);
    let known = store.find(&[(&absent).into()]).must();
    assert_eq!(known, vec![Some(Known { entry: 5, content, joined: true })]);
    let call = store.call(5).must();
    assert_eq!(call.as_ref().map(|call| call.joined.clone()), Some(vec![(absent.clone(), content)]));
    assert_eq!(call.map(|call| call.entry), before.map(|call| call.entry), "the entry stays as it was");
    let by_id: Vec<Seq> = store.calls_by_id("x").must().iter().map(|call| call.seq).collect();
    assert!(by_id.contains(&5) && by_id.is_sorted() && by_id.len() == 13, "{by_id:?}");
    refused(&*store, last + 9, vec![join]);
    let mut entry = work.entry();
    entry.event.attribution.project = None;
    (entry.event.source, entry.event.id) = (absent.source, absent.id);
    refused(&*store, last + 9, vec![entered(last + 2, &entry)]);
    many_calls_of_one_id(&*store, last + 1, &mut work);
}

/// At most 32 calls are found by an id: the first ones.
fn many_calls_of_one_id(store: &dyn Store, position: Seq, work: &mut Workload) {
    let mut ops = Vec::new();
    for n in 1..=40 {
        let mut entry = work.entry();
        (entry.event.id, entry.event.source) = ("popular".to_owned(), format!("import-{n}"));
        ops.push(entered(position + n, &entry));
    }
    append(store, position + 40, ops);
    let seqs: Vec<Seq> = store.calls_by_id("popular").must().iter().map(|call| call.seq).collect();
    assert_eq!(seqs, (position + 1..=position + 32).collect::<Vec<_>>());
    assert_eq!(store.calls_by_id("nobody's").must(), Vec::new());
    assert_eq!(store.find(&[]).must(), Vec::new());
}

/// The first entry with a response key is found, with its source; project and provider count.
pub fn response_keys(backend: &dyn Backend) {
    let store = fresh(backend);
    let mut work = Workload::new(4);
    let mut answered = |project: Option<&str>, provider: &str, source: &str, response: Option<&str>| {
        let mut entry = work.entry();
        entry.event.attribution.project = project.map(str::to_owned);
        (entry.event.provider, entry.event.source) = (provider.to_owned(), source.to_owned());
        entry.event.provider_response_id = response.map(str::to_owned);
        entry
    };
    let entries = [
        answered(None, "openai", "gateway", Some("r1")),
        answered(None, "openai", "api", Some("r1")),
        answered(Some("web"), "openai", "otlp", Some("r1")),
        answered(None, "azure", "jsonl", Some("r1")),
        answered(None, "openai", "api", None),
    ];
    append(&*store, 3, entries[..3].iter().zip(1..).map(|(entry, seq)| entered(seq, entry)).collect());
    append(&*store, 5, entries[3..].iter().zip(4..).map(|(entry, seq)| entered(seq, entry)).collect());
    let key = |project: Option<&str>, provider: &str, response: &str| ResponseKey {
        project: project.map(str::to_owned),
        provider: provider.to_owned(),
        response_id: response.to_owned(),
    };
    let keys = [
        key(None, "azure", "r1"),
        key(None, "openai", "r1"),
        key(Some("web"), "openai", "r1"),
        key(Some(""), "openai", "r1"),
        key(None, "openai", "R1"),
        key(None, "openai", ""),
    ];
    let found = store.find_responses(&keys.iter().map(ResponseRef::from).collect::<Vec<_>>()).must();
    let at = |seq: Seq, source: &str| Some((seq, source.to_owned()));
    assert_eq!(found, vec![at(4, "jsonl"), at(1, "gateway"), at(3, "otlp"), None, None, None]);
    assert_eq!(store.find_responses(&[]).must(), Vec::new());
}

/// Open calls are listed by position until an entry or a join with their identity closes them.
pub fn open_calls(backend: &dyn Backend) {
    let store = fresh(backend);
    let mut work = Workload::new(5);
    let call = |id: &str, project: Option<&str>| OpenCall {
        id: id.to_owned(),
        source: "gateway".to_owned(),
        occurred_at: Timestamp::UNIX_EPOCH,
        provider: "openai".to_owned(),
        model: "gpt-4o".to_owned(),
        attribution: Attribution { project: project.map(str::to_owned), ..Attribution::default() },
        hold: "0.25".parse().ok(),
        worst_case: None,
    };
    let calls = [call("a", None), call("a", Some("web")), call("b", None), call("c", None)];
    let open = |seq: Seq, call: &OpenCall| Op::Open { seq, call: Arc::new(call.clone()) };
    let mut closing = |call: &OpenCall| {
        let mut entry = work.entry();
        (entry.event.id, entry.event.source) = (call.id.clone(), call.source.clone());
        entry.event.attribution.project = call.attribution.project.clone();
        entry
    };
    let entries: Vec<Entry> = calls.iter().map(&mut closing).collect();
    append(&*store, 4, calls.iter().zip(1..).map(|(call, seq)| open(seq, call)).collect());
    let listed: Vec<(Seq, OpenCall)> = (1..).zip(calls.clone()).collect();
    assert_eq!(store.open_calls().must(), listed);
    // An open call is no entry yet, and opens once.
    assert_eq!(store.find(&[(&entries[0].event).into()]).must(), vec![None]);
    refused(&*store, 9, vec![open(5, &calls[2])]);
    append(&*store, 6, vec![entered(5, &entries[1])]);
    assert_eq!(store.open_calls().must(), vec![listed[0].clone(), listed[2].clone(), listed[3].clone()]);
    refused(&*store, 9, vec![open(7, &calls[1])]);
    // Opened and closed in one batch.
    let short = call("d", None);
    let end = closing(&short);
    append(&*store, 9, vec![open(7, &short), entered(8, &end), entered(9, &entries[0])]);
    assert_eq!(store.open_calls().must(), vec![listed[2].clone(), listed[3].clone()]);
    // Its end was reported by another source first: the identity is joined, the call has ended.
    let identity = entries[2].event.identity();
    let join = Join { seq: 10, identity, content: entries[2].event.content, entry: 9 };
    append(&*store, 10, vec![Op::Join(join)]);
    assert_eq!(store.open_calls().must(), vec![listed[3].clone()]);
}
