//! A call that was let go and whose end nobody saw is in the books, as what it is: unknown.

use crate::books::{self, call};
use crate::worker::Worker;
use tempfile::TempDir;
use tollbook_ledger::Durability;
use tollbook_store::EventStore;
use tollbook_types::{CostBasis, Evidence, Status};

#[test]
fn a_long_call_outlives_ten_thousand_short_ones_and_a_kill() {
    let place = TempDir::new().unwrap();
    let (dir, acks) = (place.path().join("data"), place.path().join("acks"));
    let mut running = Worker::new("open_call", &dir, &acks).start();
    running.wait_for(&acks, 1);
    running.kill();

    let books = books::open(&dir, Durability::Full).unwrap();
    assert_eq!(books.report.interrupted, 1);
    let long = books.store.calls_by_id("long").unwrap();
    let [long] = long.as_slice() else { panic!("{long:#?}") };
    let event = &long.entry.event;
    assert_eq!((event.evidence, event.status), (Evidence::Unknown, Status::Interrupted));
    assert_eq!(event.identity(), call("long").identity());
    assert_eq!((event.usage.as_ref(), long.entry.rating.cost), (None, None));
    assert_eq!(long.entry.rating.basis, CostBasis::UnknownUsage);
    let total = books::usage(&books.store, Vec::new()).unwrap().total;
    assert_eq!((total.calls, total.unknown_calls, total.errors), (10_001, 1, 1));
    let ids = books::ids(&books.store);
    assert!((0..10_000).all(|number| ids.contains(&format!("short-{number}"))));
    assert_eq!(books.store.open_calls().unwrap(), Vec::new());
    assert_eq!(books::problems(&books), Vec::<String>::new());
    books.ledger.close().unwrap();

    let again = books::open(&dir, Durability::Full).unwrap();
    assert_eq!((again.report.interrupted, again.report.replayed), (0, 0));
    assert_eq!(books::usage(&again.store, Vec::new()).unwrap().total.calls, 10_001);
}
