//! Rating again, filling in, sealing, dropping: the past stays, sums move only by adjustments.

use crate::rig::{Rig, book, event, with};
use tollbook_ledger::{Backfill, By, LedgerError, Outcome, Rerate, Scope, last_rerate};
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
    let plan = |scope: &Scope| Rerate::plan(rig.store.as_ref(), &dearer, scope, 1).unwrap();
    let only_unpriced = plan(&Scope { unpriced: true, ..Scope::default() });
    assert_eq!((only_unpriced.changes.looked_at, only_unpriced.changes.calls), (1, 1));
    let Rerate { changes, differences } = plan(&Scope::default());
    assert_eq!((changes.before_usd.to_string(), changes.after_usd.to_string()), ("1".into(), "8".into()));
    assert_eq!((changes.calls, differences.len()), (2, 1), "no more are listed than were asked for");
    let model = |name: &str| changes.models.iter().find(|change| change.model == name).unwrap();
    let dollars = |n: i128| Some(Money::from_picos(n * 1_000_000_000_000));
    assert_eq!((model("gpt-x").before_usd, model("gpt-x").after_usd), (dollars(1), dollars(3)));
    assert_eq!((model("gpt-y").before_usd, model("gpt-y").after_usd), (None, dollars(5)), "it had no price");
    assert_eq!(cost(&rig, View::Corrected), "1", "a plan changes nothing");
    let done = ledger.rerate(&By::local(), dearer.clone(), Scope::default()).unwrap();
    assert_eq!(done.changes.as_ref(), Some(&changes), "what was shown is what was done");
    assert_eq!(last_rerate(rig.store.as_ref()).unwrap(), Some(done));
    let again = ledger.rerate(&By::local(), dearer, Scope::default()).unwrap();
    assert_eq!(again.changes.unwrap().calls, 0);
    assert_eq!(cost(&rig, View::Corrected), "8");
    assert_eq!(cost(&rig, View::Billed), "1");
    assert_eq!(cost(&rig, View::AsOf(before)), "1");
    assert_eq!(cost(&rig, View::AsOf(tollbook_types::Clock::now(rig.clock.as_ref()))), "8");
    ledger.close().unwrap();
    assert_eq!(rig.verify(), Vec::<String>::new());
}

#[test]
fn a_run_that_was_interrupted_goes_on_and_counts_everything_once() {
    let rig = Rig::new();
    let ledger = rig.open();
    for page in 0..9 {
        let events = (0..1_000).map(|n| event(&format!("e{page}-{n}"), 1_000_000, 0)).collect();
        ledger.submit(events).unwrap();
    }
    let dearer = book("[[model]]\nid = \"gpt-x\"\n[[model.price]]\ninput = \"3\"\noutput = \"2\"\n");
    ledger.set_book(dearer.clone());
    let mut rerating = ledger.begin_rerate(&By::local(), dearer.clone(), Scope::default()).unwrap();
    assert_eq!(ledger.rerate_on(&mut rerating).unwrap(), None, "the rest is left");
    // What comes later has these prices already, and is none of the run's.
    ledger.submit(vec![event("late", 1_000_000, 0)]).unwrap();
    let other = ledger.rerate(&By::local(), dearer.clone(), Scope::default());
    assert!(matches!(other, Err(LedgerError::RunInProgress(_))), "{other:?}");
    ledger.close().unwrap();

    let (ledger, _) = rig.try_open().unwrap();
    assert!(last_rerate(rig.store.as_ref()).unwrap().is_some_and(|run| run.ended_at.is_none()));
    ledger.set_book(dearer);
    let mut rerating = ledger.open_rerate().unwrap().unwrap();
    let ended = ledger.rerate_to_its_end(&mut rerating).unwrap();
    let changes = ended.changes.unwrap();
    assert_eq!((changes.looked_at, changes.calls), (9_000, 9_000));
    assert_eq!(
        (changes.before_usd.to_string(), changes.after_usd.to_string()),
        ("9000".into(), "27000".into())
    );
    assert_eq!(cost(&rig, View::Corrected), "27003");
    assert_eq!(ledger.open_rerate().unwrap().map(|_| ()), None);
    ledger.close().unwrap();
    assert_eq!(rig.verify(), Vec::<String>::new());
}

#[test]
fn a_run_whose_prices_are_gone_ends_and_says_so() {
    let rig = Rig::new();
    let ledger = rig.open();
    ledger.submit(vec![event("a", 1_000_000, 0)]).unwrap();
    let dearer = book("[[model]]\nid = \"gpt-x\"\n[[model.price]]\ninput = \"3\"\noutput = \"2\"\n");
    ledger.begin_rerate(&By::local(), dearer, Scope::default()).unwrap();
    ledger.close().unwrap();
    let ledger = rig.open();
    assert!(ledger.open_rerate().unwrap().is_none(), "these books are started with other prices");
    let ended = last_rerate(rig.store.as_ref()).unwrap().unwrap();
    assert_eq!(ended.stopped.as_deref(), Some("prices have changed since it began"));
    assert_eq!((ended.ended_at.is_some(), ended.changes), (true, None));
    assert_eq!(cost(&rig, View::Corrected), "1");
    ledger.close().unwrap();
}

#[test]
fn only_calls_of_the_scope_are_rated_again() {
    let rig = Rig::new();
    let ledger = rig.open();
    let other = with(event("b", 1_000_000, 0), |e| e.attribution.project = Some("web".into()));
    ledger.submit(vec![event("a", 1_000_000, 0), other]).unwrap();
    let dearer = book("[[model]]\nid = \"gpt-x\"\n[[model.price]]\ninput = \"3\"\noutput = \"2\"\n");
    let scope = |name: &str, value: &str| Scope {
        matching: [(name.to_owned(), value.to_owned())].into(),
        ..Scope::default()
    };
    let wrong = ledger.rerate(&By::local(), dearer.clone(), scope("colour", "red"));
    assert!(matches!(wrong, Err(LedgerError::Invalid(_))), "{wrong:?}");
    let done = ledger.rerate(&By::local(), dearer, scope("project", "web")).unwrap();
    assert_eq!(done.changes.map(|changes| (changes.looked_at, changes.calls)), Some((1, 1)));
    assert_eq!(cost(&rig, View::Corrected), "4");
    ledger.close().unwrap();
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
