//! Rating again, filling in, sealing, dropping: the past stays, sums move only by adjustments.

use crate::rig::{Rig, book, event, with};
use tollbook_ledger::{Backfill, By, Outcome, Rerate};
use tollbook_store::{EventStore, Interval, UsageQuery, View, Zone};
use tollbook_types::{Evidence, Money, TimeRange, Timestamp};

fn cost(rig: &Rig, view: View) -> String {
    let query = UsageQuery {
        range: TimeRange::ALL,
        interval: Interval::None,
        zone: Zone::UTC,
        group_by: Vec::new(),
        filters: Vec::new(),
        view,
    };
    rig.store.usage(&query).unwrap().total.cost.to_string()
}

#[test]
fn rating_again_shows_the_difference_first_and_is_one_run() {
    let rig = Rig::new();
    let ledger = rig.open();
    let late = with(event("new-model", 1_000_000, 0), |e| e.model = "gpt-y".into());
    ledger.submit(vec![event("a", 1_000_000, 0), late]).unwrap();
    let before: Timestamp = rig.store.call(2).unwrap().unwrap().entry.recorded_at;
    rig.clock.advance_seconds(60);
    let dearer = book(
        "[[model]]\nid = \"gpt-x\"\n[[model.price]]\ninput = \"3\"\noutput = \"2\"\n\
         [[model]]\nid = \"gpt-y\"\n[[model.price]]\ninput = \"5\"\noutput = \"2\"\n",
    );
    let only_unpriced = Rerate::plan(rig.store.as_ref(), &dearer, TimeRange::ALL, true).unwrap();
    assert_eq!((only_unpriced.looked_at, only_unpriced.differences.len()), (1, 1));
    let plan = Rerate::plan(rig.store.as_ref(), &dearer, TimeRange::ALL, false).unwrap();
    let (from, to) = plan.totals();
    assert_eq!((from.to_string(), to.to_string()), ("1".to_owned(), "8".to_owned()));
    assert_eq!(cost(&rig, View::Corrected), "1", "a plan changes nothing");
    assert_eq!(ledger.rerate(&plan).unwrap(), 2);
    assert_eq!(ledger.rerate(&plan).unwrap(), 0, "a run adjusts an entry once");
    assert_eq!(cost(&rig, View::Corrected), "8");
    assert_eq!(cost(&rig, View::Billed), "1");
    assert_eq!(cost(&rig, View::AsOf(before)), "1");
    assert_eq!(cost(&rig, View::AsOf(tollbook_types::Clock::now(rig.clock.as_ref()))), "8");
    ledger.close().unwrap();
    assert_eq!(rig.verify(), Vec::<String>::new());
}

#[test]
fn missing_usage_is_filled_in_by_what_is_typical() {
    let rig = Rig::new();
    let ledger = rig.open();
    let mut events: Vec<_> = (1..=9).map(|n| event(&format!("e{n}"), n * 100, n)).collect();
    let unknown = |id: &str, model: &str| {
        with(event(id, 0, 0), |e| {
            e.usage = None;
            e.evidence = Evidence::Unknown;
            e.model = model.to_owned();
        })
    };
    events.push(unknown("lost", "gpt-x"));
    events.push(unknown("alone", "gpt-z"));
    ledger.submit(events).unwrap();
    let plan = Backfill::plan(rig.store.as_ref(), &ledger.book(), TimeRange::ALL).unwrap();
    assert_eq!((plan.differences.len(), plan.without_example), (1, 1));
    assert_eq!(ledger.backfill(&plan).unwrap(), 1);
    let state = rig.store.calls_by_id("lost").unwrap().remove(0).corrected();
    assert_eq!((state.meters().input_tokens(), state.meters().output_tokens()), (500, 5));
    assert_eq!(state.evidence, Evidence::Estimated);
    assert_eq!(state.estimator.as_deref(), Some("median of 9 calls"));
    ledger.close().unwrap();
    assert_eq!(rig.verify(), Vec::<String>::new());
}

#[test]
fn a_segment_goes_only_sealed_and_the_seal_vouches_for_it() {
    let rig = Rig::new();
    let ledger = rig.open();
    // Enough to fill two of the smallest segments.
    for group in 0..12 {
        let events = (0..200)
            .map(|n| with(event(&format!("e{group}-{n}"), n, 1), |e| e.error = Some("x".repeat(1_000))));
        ledger.submit(events.collect()).unwrap();
    }
    ledger.close().unwrap();
    let ledger = rig.open();
    assert_eq!(ledger.trim_journal().unwrap(), 0, "nothing is old enough");
    let journal = rig.data().journal();
    let mut segments: Vec<_> = std::fs::read_dir(&journal)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "jsonl"))
        .collect();
    segments.sort();
    assert!(segments.len() >= 3, "{segments:?}");
    let number = |n: usize| -> u64 { segments[n].file_stem().unwrap().to_str().unwrap().parse().unwrap() };
    ledger.close().unwrap();
    // A month later it goes by itself, at the next start.
    let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_780_000_000);
    std::fs::File::options().write(true).open(&segments[0]).unwrap().set_modified(old).unwrap();
    rig.open().close().unwrap();
    assert!(!segments[0].exists());
    let found = tollbook_ledger::verify(&rig.data(), rig.store.as_ref()).unwrap();
    assert_eq!((found.problems.as_slice(), found.seals, found.first), (&[][..], 1, Some(number(1))));
    // What a purge leaves of it is sealed anew.
    let ledger = rig.open();
    assert_eq!(ledger.purge(&By::local(), "2026-09-22T00:00:00Z".parse().unwrap()).unwrap().calls, 2_400);
    ledger.close().unwrap();
    assert_eq!(rig.verify(), Vec::<String>::new());
    // Without its seal the missing segment shows.
    std::fs::remove_file(&segments[1]).unwrap();
    assert_ne!(rig.verify(), Vec::<String>::new());
    // And a store that does not reach the oldest record kept is refused.
    let behind = Rig { store: tollbook_store::MemoryStore::new("ledger-1").into(), ..rig };
    let refused = behind.try_open().map(|(_, report)| report).unwrap_err().to_string();
    assert!(refused.contains("are missing"), "{refused}");
}

#[test]
fn a_purge_keeps_the_books_in_agreement() {
    let rig = Rig::new();
    let ledger = rig.open();
    let on = |id: &str, day: &str| {
        with(event(id, 1_000_000, 0), |e| e.occurred_at = format!("2026-09-{day}T10:00:00Z").parse().unwrap())
    };
    ledger.submit(vec![on("a", "01"), on("b", "02"), on("c", "03")]).unwrap();
    let cutoff = "2026-09-03T00:00:00Z".parse().unwrap();
    assert_eq!(ledger.purge(&By::local(), cutoff).unwrap().calls, 2);
    assert!(rig.store.calls_by_id("a").unwrap().is_empty());
    let late = ledger.submit(vec![on("late", "01"), on("d", "04")]).unwrap();
    assert!(matches!(late[..], [Outcome::BeforeCutoff, Outcome::Accepted { .. }]), "{late:?}");
    assert_eq!(
        cost(&rig, View::Corrected),
        Money::from_picos(4_000_000_000_000).to_string(),
        "sums outlive calls"
    );
    ledger.close().unwrap();
    assert_eq!(rig.verify(), Vec::<String>::new());
}
