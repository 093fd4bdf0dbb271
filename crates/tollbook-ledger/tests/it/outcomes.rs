//! What becomes of an event: accepted, duplicate, conflict, joined. In journal order, for ever.

use crate::rig::{Rig, event, with};
use std::sync::Arc;
use tollbook_ledger::{LedgerError, Outcome};
use tollbook_store::{ControlStore, EventStore};
use tollbook_types::{CostBasis, Event, Evidence, Meter, Meters, Money, OpenCall, Status, Usage};

fn words(outcomes: &[Outcome]) -> Vec<&'static str> {
    outcomes
        .iter()
        .map(|outcome| match outcome {
            Outcome::Accepted { .. } => "accepted",
            Outcome::Duplicate { .. } => "duplicate",
            Outcome::Conflict { .. } => "conflict",
            Outcome::Joined { adjusted: true, .. } => "joined, adjusted",
            Outcome::Joined { adjusted: false, .. } => "joined",
            Outcome::Applied { .. } => "applied",
            Outcome::Stale { .. } => "stale",
            Outcome::AlreadyInRun => "already in run",
            Outcome::BeforeCutoff => "before cutoff",
        })
        .collect()
}

fn gateway(id: &str, response: &str, input: u64) -> Event {
    with(event(id, input, 10), |event| {
        event.source = "gateway".to_owned();
        event.provider_response_id = Some(response.to_owned());
    })
}

#[test]
fn events_in_one_batch_and_across_batches() {
    type Case = (&'static str, Vec<Vec<Event>>, Vec<&'static str>);
    let api =
        |id: &str, response: &str, input| with(gateway(id, response, input), |e| e.source = "api".to_owned());
    let cases: Vec<Case> = vec![
        ("distinct", vec![vec![event("a", 1, 1), event("b", 1, 1)]], vec!["accepted", "accepted"]),
        (
            "same twice in a batch",
            vec![vec![event("a", 1, 1), event("a", 1, 1)]],
            vec!["accepted", "duplicate"],
        ),
        (
            "same in a later batch",
            vec![vec![event("a", 1, 1)], vec![event("a", 1, 1)]],
            vec!["accepted", "duplicate"],
        ),
        (
            "same id, other content",
            vec![vec![event("a", 1, 1)], vec![event("a", 2, 1)]],
            vec!["accepted", "conflict"],
        ),
        (
            "same id in another project is another event",
            vec![
                vec![event("a", 1, 1)],
                vec![with(event("a", 1, 1), |e| e.attribution.project = Some("p".into()))],
            ],
            vec!["accepted", "accepted"],
        ),
        (
            "the provider's response id joins sources",
            vec![vec![gateway("g1", "r1", 5)], vec![api("a1", "r1", 5)], vec![api("a1", "r1", 5)]],
            vec!["accepted", "joined", "duplicate"],
        ),
        (
            "also within one batch",
            vec![vec![gateway("g1", "r1", 5), api("a1", "r1", 5)]],
            vec!["accepted", "joined"],
        ),
        (
            "within a source the ids tell calls apart",
            vec![vec![gateway("g1", "r1", 5), gateway("g2", "r1", 5)]],
            vec!["accepted", "accepted"],
        ),
        (
            "equal evidence with other usage changes nothing but a flag",
            vec![vec![gateway("g1", "r1", 5)], vec![api("a1", "r1", 6)]],
            vec!["accepted", "joined, adjusted"],
        ),
    ];
    for (name, batches, expected) in cases {
        let rig = Rig::new();
        let ledger = rig.open();
        let outcomes: Vec<Outcome> =
            batches.into_iter().flat_map(|batch| ledger.submit(batch).unwrap()).collect();
        assert_eq!(words(&outcomes), expected, "{name}");
        ledger.close().unwrap();
        assert_eq!(rig.verify(), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn better_evidence_replaces_and_absent_attribution_is_filled() {
    let rig = Rig::new();
    let ledger = rig.open();
    let first = with(gateway("g1", "r1", 5), |e| {
        e.evidence = Evidence::Estimated;
        e.attribution.user = Some("ann".into());
    });
    ledger.submit(vec![first]).unwrap();
    let better = with(gateway("x", "r1", 1_000), |e| {
        e.source = "otlp".to_owned();
        e.attribution.user = Some("bob".into());
        e.attribution.session = Some("s1".into());
    });
    let outcome = ledger.submit(vec![better]).unwrap().remove(0);
    let Outcome::Joined { entry, adjusted: true } = outcome else { panic!("{outcome:?}") };
    let call = rig.store.call(entry).unwrap().unwrap();
    let state = call.corrected();
    assert_eq!(state.evidence, Evidence::ProviderUsage);
    assert_eq!(state.meters().get(Meter::Input), Some(1_000));
    assert_eq!(state.attribution.user.as_deref(), Some("ann"), "what is there is kept");
    assert_eq!(state.attribution.session.as_deref(), Some("s1"), "what is absent is filled");
    assert_eq!(state.rating.cost, Some("0.00102".parse::<Money>().unwrap()));
    assert_eq!(call.billed().meters().get(Meter::Input), Some(5), "the entry itself never changes");
    assert_eq!(call.joined.len(), 1);
    ledger.close().unwrap();
    assert_eq!(rig.verify(), Vec::<String>::new());
}

#[test]
fn a_lost_store_is_made_again_from_the_journal_to_the_same_state() {
    let mut rig = Rig::new();
    let ledger = rig.open();
    for n in 0..50 {
        ledger
            .submit(vec![event(&format!("e{n}"), n, 1), gateway(&format!("g{n}"), &format!("r{n}"), n)])
            .unwrap();
        let joined =
            with(gateway(&format!("o{n}"), &format!("r{n}"), n + n % 2), |e| e.source = "otlp".into());
        ledger.submit(vec![joined, event("e1", 1, 1)]).unwrap();
        ledger.control("note/k1", Some(format!("{{\"n\":{n}}}"))).unwrap();
    }
    ledger.close().unwrap();
    let before = rig.store.clone();
    rig.store = Arc::new(tollbook_store::MemoryStore::new("ledger-1"));
    // Another book is in force now: replay must not rate again.
    rig.book =
        crate::rig::book("[[model]]\nid = \"gpt-x\"\n[[model.price]]\ninput = \"9\"\noutput = \"9\"\n");
    let (ledger, report) = rig.try_open().unwrap();
    assert!(report.replayed >= 250, "{report:?}");
    ledger.close().unwrap();
    assert_eq!(rig.verify(), Vec::<String>::new());
    assert_eq!(rig.store.position().unwrap(), before.position().unwrap());
    for seq in 1..=rig.applied() {
        assert_eq!(rig.store.call(seq).unwrap(), before.call(seq).unwrap(), "record {seq}");
    }
    assert_eq!(rig.store.control("note/k1").unwrap().unwrap().version, 50);
}

#[test]
fn cards_are_recorded_once() {
    let rig = Rig::new();
    let ledger = rig.open();
    ledger.submit((0..20).map(|n| event(&format!("e{n}"), n, 1)).collect()).unwrap();
    ledger.close().unwrap();
    let ledger = rig.open();
    ledger.submit((20..40).map(|n| event(&format!("e{n}"), n, 1)).collect()).unwrap();
    ledger.close().unwrap();
    assert_eq!(rig.store.controls("card/").unwrap().len(), 1);
    assert_eq!(rig.applied(), 41);
}

#[test]
fn a_call_that_never_ended_is_an_entry_after_the_next_start() {
    let rig = Rig::new();
    let ledger = rig.open();
    let open = OpenCall {
        id: "long".into(),
        source: "gateway".into(),
        occurred_at: "2026-09-21T10:00:00Z".parse().unwrap(),
        provider: "openai".into(),
        model: "gpt-x".into(),
        attribution: Default::default(),
        hold: None,
        worst_case: Some("1.5".parse().unwrap()),
    };
    ledger.open_call(open.clone()).unwrap();
    ledger.open_call(OpenCall { id: "short".into(), ..open.clone() }).unwrap();
    // A second intent with the same name changes nothing.
    ledger.open_call(open).unwrap();
    ledger.record(with(event("short", 3, 4), |e| e.source = "gateway".into())).unwrap();
    ledger.close().unwrap();
    let (ledger, report) = rig.try_open().unwrap();
    assert_eq!(report.interrupted, 1);
    let call = rig.store.calls_by_id("long").unwrap().remove(0);
    assert_eq!(call.entry.event.status, Status::Interrupted);
    assert_eq!(call.entry.event.evidence, Evidence::Unknown);
    assert_eq!(call.entry.rating.cost, None);
    assert_eq!(call.entry.rating.worst_case, Some("1.5".parse().unwrap()));
    assert_eq!(call.entry.rating.basis, CostBasis::UnknownUsage);
    ledger.close().unwrap();
    assert_eq!(rig.try_open().unwrap().1.interrupted, 0);
    assert_eq!(rig.verify(), Vec::<String>::new());
}

#[test]
fn unrecorded_calls_leave_a_gap() {
    let rig = Rig::new();
    let ledger = rig.open();
    ledger.count_unrecorded("the disk was full");
    rig.clock.advance_seconds(5);
    ledger.count_unrecorded("the disk was full");
    ledger.submit(vec![event("a", 1, 1)]).unwrap();
    let gaps = rig.store.gaps().unwrap();
    assert_eq!(gaps.len(), 1);
    assert_eq!((gaps[0].calls, gaps[0].to.as_second() - gaps[0].from.as_second()), (2, 5));
    ledger.close().unwrap();
    let found = tollbook_ledger::verify(&rig.data(), rig.store.as_ref()).unwrap();
    assert_eq!((found.problems, found.unrecorded_calls), (Vec::new(), 2));
}

#[test]
fn one_writer_at_a_time() {
    let rig = Rig::new();
    let ledger = rig.open();
    match rig.try_open() {
        Err(LedgerError::Locked { pid, .. }) => assert_eq!(pid, std::process::id().to_string()),
        other => panic!("{:?}", other.map(|(_, report)| report)),
    }
    ledger.close().unwrap();
    rig.open().close().unwrap();
}

#[test]
fn many_threads_submit_and_each_gets_its_own_answers() {
    let rig = Rig::new();
    let ledger = Arc::new(rig.open());
    let threads: Vec<_> = (0..8)
        .map(|thread| {
            let ledger = ledger.clone();
            std::thread::spawn(move || {
                for n in 0..100 {
                    let mine = event(&format!("t{thread}-{n}"), n, 1);
                    let shared = event(&format!("shared-{n}"), n, 1);
                    let outcomes = ledger.submit(vec![mine, shared]).unwrap();
                    assert!(matches!(&outcomes[0], Outcome::Accepted { entry, .. }
                        if entry.event.id == format!("t{thread}-{n}")));
                    assert!(matches!(&outcomes[1], Outcome::Accepted { .. } | Outcome::Duplicate { .. }));
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    Arc::into_inner(ledger).unwrap().close().unwrap();
    assert_eq!(rig.store.extent(tollbook_types::TimeRange::ALL).unwrap().unwrap().2, 900);
    assert_eq!(rig.verify(), Vec::<String>::new());
}

#[test]
fn an_unpriced_call_has_no_cost_and_a_settled_one_has() {
    let rig = Rig::new();
    let ledger = rig.open();
    let unpriced = with(event("u", 1, 1), |e| e.model = "never-heard-of".into());
    let unknown = with(event("k", 1, 1), |e| {
        e.usage = None;
        e.evidence = Evidence::Unknown;
    });
    let outcomes = ledger.submit(vec![unpriced, unknown]).unwrap();
    let costs: Vec<_> = outcomes
        .iter()
        .map(|outcome| match outcome {
            Outcome::Accepted { entry, .. } => entry.rating.cost,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(costs, [None, None]);
    let Outcome::Accepted { seq, .. } = outcomes[1] else { panic!() };
    use tollbook_ledger::Settlement;
    let meters = Meters::from_pairs([(Meter::Input, 1_000_000)]);
    let state =
        ledger.settle(seq, &Settlement::Usage(meters.clone()), "read off the provider's page").unwrap();
    assert_eq!((state.rating.cost, state.version), (Some("1".parse().unwrap()), 1));
    assert_eq!(state.usage, Some(Usage::one(meters)));
    let state = ledger.settle(seq, &Settlement::Cost("0.7".parse().unwrap()), "the invoice says so").unwrap();
    assert_eq!((state.rating.cost, state.version), (Some("0.7".parse().unwrap()), 2));
    let state = ledger.settle(seq, &Settlement::None, "refunded").unwrap();
    assert_eq!((state.rating.cost, state.version), (Some(Money::ZERO), 3));
    ledger.close().unwrap();
    assert_eq!(rig.verify(), Vec::<String>::new());
}
