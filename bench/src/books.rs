//! A ledger over SQLite, opened as the program opens it, with a clock that the workload sets.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tollbook_ledger::{DataDir, Ledger, Options, Outcome};
use tollbook_pricing::Book;
use tollbook_sqlite::SqliteStore;
use tollbook_store::Zone;
use tollbook_types::{Clock, Event, Timestamp};

use crate::workload::{START_MICROS, ZONE};

/// Shows what it was last set to.
#[derive(Debug)]
pub struct SetClock(AtomicI64);

impl SetClock {
    /// Shows this instant from now on.
    pub fn set(&self, micros: i64) {
        self.0.store(micros, Ordering::Relaxed);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_microsecond(self.0.load(Ordering::Relaxed)).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

/// An open ledger and its clock.
pub struct Books {
    pub ledger: Ledger,
    pub clock: Arc<SetClock>,
    pub dir: DataDir,
}

impl Books {
    /// Opens the books in a directory; makes them when absent.
    pub fn open(path: &Path) -> Result<Books, String> {
        let dir = DataDir::new(path);
        let lock = dir.lock().map_err(text)?;
        let zone = Zone::get(ZONE).map_err(text)?;
        let options = match dir.store().exists() {
            true => tollbook_sqlite::Options::new(zone),
            false => tollbook_sqlite::Options::creating(zone, "bench"),
        };
        let store = SqliteStore::open(&dir.store(), options).map_err(text)?;
        let clock = Arc::new(SetClock(AtomicI64::new(START_MICROS)));
        let book = Book::embedded();
        let opened =
            Ledger::open(lock, dir.clone(), Arc::new(store), book, clock.clone(), Options::default());
        let (ledger, _) = opened.map_err(text)?;
        Ok(Books { ledger, clock, dir })
    }

    /// Submits and insists that each event became an entry.
    pub fn submit(&self, events: Vec<Event>) -> Result<(), String> {
        let outcomes = self.ledger.submit(events).map_err(text)?;
        match outcomes.iter().find(|outcome| !matches!(outcome, Outcome::Accepted { .. })) {
            None => Ok(()),
            Some(other) => Err(format!("not accepted: {other:?}")),
        }
    }

    /// Ends in order.
    pub fn close(self) -> Result<(), String> {
        self.ledger.close().map_err(text)
    }
}

/// An error in words.
pub fn text<E: std::fmt::Display>(error: E) -> String {
    error.to_string()
}
