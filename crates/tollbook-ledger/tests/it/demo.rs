//! A demo comes and goes: apart from all others while it is there, and as if it had never been after.

use crate::books::{self, Books, call};
use crate::rig::{Rig, event, with};
use std::path::Path;
use tempfile::TempDir;
use tollbook_ledger::{By, Durability, ErasureOrder, Settlement, journal};
use tollbook_store::{ControlStore, Dimension, EventStore, Interval, UsageQuery, View, Zone};
use tollbook_types::{DEMO_SOURCE, Event, Meter, Meters, TimeRange};

const CALLS: usize = 1_500;

fn demo(run: &str) -> Vec<Event> {
    let one = |n: usize| {
        with(call(&format!("{run}-{n}")), |event| {
            event.source = DEMO_SOURCE.to_owned();
            event.provider_response_id = None;
        })
    };
    (0..CALLS).map(one).collect()
}

/// Every sum that a demo must leave as it was.
fn sums(books: &Books) -> String {
    let by = |dimensions: Vec<Dimension>| {
        let mut rows = books::usage(&books.store, dimensions).unwrap().rows;
        rows.sort_by(|a, b| (a.bucket, &a.keys).cmp(&(b.bucket, &b.keys)));
        rows
    };
    let asked =
        [vec![], vec![Dimension::Model, Dimension::Project], vec![Dimension::User, Dimension::Source]];
    format!("{:?}", asked.map(by))
}

#[track_caller]
fn assert_sound(books: &Books, what: &str) {
    let problems = tollbook_ledger::verify(&books.data, books.store.as_ref()).unwrap().problems;
    assert_eq!(problems, Vec::<String>::new(), "{what}");
}

/// Seals and removes every closed segment, as if it were old.
fn trim(books: &Books) {
    books.ledger.flush().unwrap();
    let segments = journal::segments(books.data.journal()).unwrap();
    for pair in segments.windows(2) {
        books.ledger.seal_and_remove(pair[0].0, pair[1].0 - 1, &pair[0].1).unwrap();
    }
}

fn filled(dir: &Path) -> Books {
    let books = books::open(dir, Durability::Full).unwrap();
    books.ledger.submit((0..400).map(|n| call(&format!("real-{n}"))).collect()).unwrap();
    books
}

/// A call of the demo that was corrected, so that its adjustment goes, too.
fn correct_one(books: &Books, run: &str) {
    let seq = books.store.calls_by_id(&format!("{run}-7")).unwrap()[0].seq;
    let usage = Settlement::Usage(Meters::from_pairs([(Meter::Input, 7)]));
    books.ledger.settle(seq, &usage, "looked").unwrap();
}

#[test]
fn a_demo_comes_and_goes_and_leaves_no_trace_in_the_figures() {
    let place = TempDir::new().unwrap();
    let books = filled(place.path());
    let (ledger, by) = (&books.ledger, By::local());
    let before = sums(&books);
    assert_eq!(ledger.demo().unwrap(), None);
    assert_eq!(ledger.remove_demo(&by).unwrap(), 0, "there is none");
    for run in ["a", "b"] {
        let added = ledger.add_demo(&by, |_| Ok(demo(run))).unwrap();
        assert_eq!(added, CALLS as u64);
        assert_eq!(ledger.demo().unwrap().map(|demo| demo.calls), Some(added));
        assert_eq!(ledger.add_demo(&by, |_| Ok(demo("more"))).unwrap(), 0, "there is one already");
        correct_one(&books, run);
        assert_ne!(sums(&books), before);
        assert_sound(&books, "while it is there");
        assert_eq!(ledger.remove_demo(&by).unwrap(), added);
        assert_eq!((ledger.demo().unwrap(), sums(&books)), (None, before.clone()), "{run}");
        assert_sound(&books, "after it has gone");
    }
    let acts = books.store.controls("audit/").unwrap();
    let told = |act: &str| acts.iter().filter(|doc| doc.body.as_ref().unwrap().contains(act)).count();
    assert_eq!((told("demo.add"), told("demo.remove")), (2, 2));
}

#[test]
fn what_is_not_marked_is_no_demo() {
    let rig = Rig::new();
    let ledger = rig.open();
    let named = with(event("named", 1, 1), |event| {
        event.source = DEMO_SOURCE.to_owned();
        event.provider_response_id = Some("r".to_owned());
    });
    let added = ledger.add_demo(&By::local(), |_| Ok(vec![event("real", 1, 1), named])).unwrap();
    assert_eq!((added, rig.store.calls_by_id("real").unwrap().len()), (0, 0));
}

#[test]
fn sealed_segments_keep_their_seals() {
    let place = TempDir::new().unwrap();
    let books = filled(place.path());
    let by = By::local();
    let before = sums(&books);
    books.ledger.add_demo(&by, |_| Ok(demo("a"))).unwrap();
    correct_one(&books, "a");
    // An erasure begins another segment, so that the one before it can be sealed.
    let nobody = ErasureOrder { user: "nobody".to_owned(), project: None, reason: "none".to_owned() };
    books.ledger.erase(&by, &nobody).unwrap();
    trim(&books);
    assert!(!books.store.seals().unwrap().is_empty(), "nothing was sealed");
    assert_sound(&books, "sealed");
    assert_eq!(books.ledger.remove_demo(&by).unwrap(), CALLS as u64);
    assert_eq!(sums(&books), before);
    assert_sound(&books, "removed");
    books.ledger.close().unwrap();
    let books = books::open(place.path(), Durability::Full).unwrap();
    assert_eq!(sums(&books), before);
    assert_sound(&books, "opened again");
}

#[test]
fn a_store_made_anew_from_the_journal_has_no_demo_either() {
    let place = TempDir::new().unwrap();
    let books = filled(place.path());
    let by = By::local();
    for run in ["a", "b"] {
        books.ledger.add_demo(&by, |_| Ok(demo(run))).unwrap();
        correct_one(&books, run);
        books.ledger.remove_demo(&by).unwrap();
    }
    books.ledger.submit(vec![call("later")]).unwrap();
    let (before, data) = (sums(&books), books.data.clone());
    books.ledger.close().unwrap();
    drop(books.store);
    {
        let lock = data.lock().unwrap();
        let (ledger_id, _) = tollbook_ledger::restore_from_journal(&lock, &data).unwrap();
        let how = tollbook_sqlite::Options::creating(Zone::UTC, ledger_id);
        let how = tollbook_sqlite::Options { key: books::store_key(&data), ..how };
        drop(tollbook_sqlite::SqliteStore::open(&data.store(), how).unwrap());
    }
    let books = books::open(place.path(), Durability::Full).unwrap();
    assert_eq!(sums(&books), before);
    assert_sound(&books, "restored");
    let all = UsageQuery {
        range: TimeRange::ALL,
        interval: Interval::None,
        zone: Zone::UTC,
        group_by: Vec::new(),
        filters: Vec::new(),
        view: View::Billed,
    };
    assert_eq!(books.store.usage(&all).unwrap().total.calls, 401);
}
