//! Following: what becomes visible is told once, in journal order, and what was too much is counted.

use crate::rig::{Rig, book, event, with};
use tollbook_ledger::{By, Change, Follower, Ledger, News, Scope};
use tollbook_store::EventStore;
use tollbook_types::Evidence;

/// Everything that a follower is still told, in words, once the ledger has closed.
fn told(follower: &Follower) -> Vec<String> {
    let mut words = Vec::new();
    while let Some(news) = follower.next() {
        match news {
            News::Changes(changes) => words.extend(changes.iter().map(word)),
            News::Skipped(skipped) => {
                words.push(format!("skipped {} {}-{}", skipped.changes, skipped.first, skipped.last));
            }
        }
    }
    words
}

fn word(change: &Change) -> String {
    let cost = |cost: Option<tollbook_types::Money>| cost.map_or("-".to_owned(), |cost| cost.to_string());
    match change {
        Change::Entry { seq, entry, .. } => {
            format!("{seq} {} {}", entry.event.id, cost(entry.rating.cost))
        }
        Change::Adjustment { seq, call, version } => {
            let state = call.corrected();
            assert_eq!(call.version(), *version, "nothing was adjusted twice here");
            format!("{seq} {} v{version} {}", call.entry.event.id, cost(state.rating.cost))
        }
    }
}

/// What a follower of `work` is told.
#[track_caller]
fn check(changes_max: usize, work: impl FnOnce(&Ledger, &Rig), wanted: &[&str]) {
    let rig = Rig::new();
    let ledger = rig.open();
    // The rate card is record 1, the event record 2.
    ledger.submit(vec![event("before", 1_000_000, 0)]).unwrap();
    let follower = ledger.follow(changes_max);
    work(&ledger, &rig);
    ledger.close().unwrap();
    assert_eq!(told(&follower), wanted);
}

fn submit(ledger: &Ledger, ids: &[&str]) {
    ledger.submit(ids.iter().map(|id| event(id, 1_000_000, 0)).collect()).unwrap();
}

#[test]
fn entries_are_told_once_and_in_order() {
    check(100, |_, _| {}, &[]);
    check(100, |ledger, _| submit(ledger, &["a", "b", "a"]), &["3 a 1", "4 b 1"]);
    let work = |ledger: &Ledger, _: &Rig| {
        ledger.control("some/document", Some("{}".into())).unwrap();
        submit(ledger, &["before", "a"]);
        submit(ledger, &["b"]);
    };
    check(100, work, &["5 a 1", "6 b 1"]);
    // What nobody waits for is told, too.
    let work = |ledger: &Ledger, _: &Rig| {
        ledger.record(event("a", 2_000_000, 0)).unwrap();
        ledger.flush().unwrap();
    };
    check(100, work, &["3 a 2"]);
}

#[test]
fn corrections_are_told_with_their_calls() {
    let work = |ledger: &Ledger, _: &Rig| {
        submit(ledger, &["a"]);
        let dearer = book("[[model]]\nid = \"gpt-x\"\n[[model.price]]\ninput = \"3\"\noutput = \"2\"\n");
        ledger.rerate(&By::local(), dearer, Scope::default()).unwrap();
    };
    // Between them are the records of the run's beginning.
    check(100, work, &["3 a 1", "7 before v1 3", "8 a v1 3"]);
    // A report of the same call from another source is no entry of its own: it corrects the one there is.
    let report = |id: &str, source: &str, evidence: Evidence| {
        with(event(id, 1_000_000, 0), |event| {
            event.source = source.to_owned();
            event.evidence = evidence;
            event.provider_response_id = Some("resp-1".to_owned());
        })
    };
    let work = |ledger: &Ledger, _: &Rig| {
        let estimated = report("a", "api", Evidence::Estimated);
        ledger.submit(vec![estimated, report("b", "otlp", Evidence::ProviderUsage)]).unwrap();
        ledger.submit(vec![report("c", "otlp", Evidence::ProviderUsage)]).unwrap();
    };
    check(100, work, &["3 a 1", "4 a v1 1"]);
}

#[test]
fn what_is_too_much_is_counted_in_its_place() {
    let work = |ledger: &Ledger, _: &Rig| {
        submit(ledger, &["a", "b"]);
        submit(ledger, &["c", "d"]);
        submit(ledger, &["e"]);
        submit(ledger, &["f", "g"]);
        submit(ledger, &["h"]);
    };
    check(3, work, &["3 a 1", "4 b 1", "skipped 2 5-6", "7 e 1", "skipped 3 8-10"]);
}

#[test]
fn a_follower_that_goes_is_forgotten_and_one_that_comes_is_told_from_then_on() {
    let rig = Rig::new();
    let ledger = rig.open();
    let (gone, stays) = (ledger.follow(10), ledger.follow(10));
    submit(&ledger, &["a"]);
    drop(gone);
    let late = ledger.follow(10);
    submit(&ledger, &["b"]);
    let first = std::thread::spawn(move || (stays.next().is_some(), told(&stays)));
    submit(&ledger, &["c"]);
    assert!(rig.store.position().unwrap().applied >= 3);
    drop(ledger);
    assert_eq!(first.join().unwrap(), (true, vec!["3 b 1".to_owned(), "4 c 1".to_owned()]));
    assert_eq!(told(&late), ["3 b 1", "4 c 1"]);
}
