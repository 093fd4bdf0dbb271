//! A disk that fills up, and one that fails: nothing is acknowledged that is not recorded.

use crate::books::{self, Promises};
use crate::worker::Worker;
use tempfile::TempDir;
use tollbook_ledger::Durability;
use tollbook_store::EventStore;

/// Runs the worker in this role and looks at what it left.
fn run(role: &str, settings: &[(&str, &str)]) -> Option<String> {
    let place = TempDir::new().unwrap();
    let root = place.path().canonicalize().unwrap();
    let (dir, acks, control) = (root.join("data"), root.join("acks"), root.join("control"));
    let variable = if role == "full" { "FAULTFS_FULL" } else { "FAULTFS_EIO" };
    let worker = Worker::new(role, &dir, &acks).under_watch(&dir).set(variable, &control);
    settings.iter().fold(worker, |worker, (name, value)| worker.set(name, value)).run();
    let promises = Promises::read(&std::fs::read_to_string(&acks).unwrap());
    let books = books::open(&dir, Durability::Full).unwrap();
    let mut faults = books::faults(&books, &promises);
    faults.extend(books::problems(&books));
    assert!(faults.is_empty(), "{faults:#?}");
    assert_eq!(books.report.notes, Vec::<String>::new());
    books::still_records(&books);
    assert!(books.store.position().unwrap().applied >= promises.count() as u64);
    std::fs::read_to_string(control.with_extension("summary")).ok()
}

#[test]
fn soak_a_full_disk_is_said_the_journal_goes_on_and_recording_resumes() {
    let rooms: &[&str] =
        if crate::is_soak() { &["0", "1000", "30000", "70001", "200000"] } else { &["0", "30001"] };
    for room in rooms {
        let summary = run("full", &[("FAULTFS_FULL_AFTER", room)]).unwrap();
        println!("full after {room} bytes: {summary}");
    }
}

#[test]
fn after_a_failed_fsync_nothing_is_acknowledged_any_more() {
    run("eio", &[]);
}
