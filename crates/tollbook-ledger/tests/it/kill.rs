//! A process that is killed at any moment has kept what it acknowledged, and doubled nothing.

use crate::books::{self, Promises};
use crate::worker::Worker;
use std::time::Duration;
use tempfile::TempDir;
use tollbook_ledger::Durability;

#[test]
fn soak_kills_take_nothing_that_was_acknowledged() {
    let rounds = if crate::is_soak() { 100 } else { 10 };
    let place = TempDir::new().unwrap();
    let mut random = crate::random(17);
    let mut promised = 0;
    for round in 0..rounds {
        // Several lives of one directory, then another directory.
        let dir = place.path().join(format!("data-{}", round / 5));
        let acks = place.path().join(format!("acks-{}", round / 5));
        let heard = std::fs::read_to_string(&acks).unwrap_or_default().lines().count();
        let mut running = Worker::new("busy", &dir, &acks).set("WORKER_ROUND", format!("r{round}")).start();
        if random.chance(70) {
            running.wait_for(&acks, heard + 1);
        }
        // Else it may be making the store, or replaying.
        std::thread::sleep(Duration::from_micros(random.below(400_000)));
        running.kill();
        let lines = std::fs::read_to_string(&acks).unwrap_or_default();
        let promises = Promises::read(&lines);
        let books = books::open(&dir, Durability::Full).unwrap();
        let mut faults = books::faults(&books, &promises);
        faults.extend(books::problems(&books));
        assert!(faults.is_empty(), "round {round}: {faults:#?}");
        books::still_records(&books);
        promised += lines.lines().count() - heard;
    }
    println!("{rounds} kills, {promised} promises made and kept");
}
