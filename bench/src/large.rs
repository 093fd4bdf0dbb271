//! The large store: filled once through the ledger, as calls come in.

use crate::books::{Books, text};
use crate::figure::{grouped, say, timed};
use crate::run::Run;
use crate::scratch::Scratch;
use crate::workload::Workload;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tollbook_store::Position;
use tollbook_types::{Event, TimeRange};

/// The seed of its workload.
pub const SEED: u64 = 10;
/// Bytes that a call needs on the disk at most: store, journal, and files for comparison.
const BYTES_A_CALL: u64 = 2_800;
const BATCH: usize = 1_000;

/// The open books, and the workload behind its last call.
pub struct Large {
    pub books: Books,
    pub work: Workload,
    pub fill: Fill,
}

/// What filling and opening it took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fill {
    /// Absent when it was there already.
    pub took: Option<Duration>,
    /// Opening it again, with its whole journal.
    pub reopened: Duration,
    /// Bytes of the write-ahead log when the last call was in.
    pub wal_bytes: u64,
}

impl Large {
    /// Opens it; fills it first when it is not there.
    pub fn open(run: &Run) -> Result<Large, String> {
        let path = match &run.data {
            Some(path) => Scratch::kept(path)?.path().to_owned(),
            None => run.scratch.path().join("large"),
        };
        let mut fill = Fill::default();
        let books = Books::open(&path)?;
        let there = calls(&books)?;
        let mut work = Workload::new(SEED, run.calls);
        if there == 0 {
            run.scratch.need(run.calls * BYTES_A_CALL)?;
            say(&format!("filling the large store with {} calls", grouped(run.calls as f64)));
            let (took, done) = timed(|| fill_with(&books, work, run.calls));
            work = done?;
            fill.took = Some(took);
            fill.wal_bytes = std::fs::metadata(path.join("store.db-wal")).map_or(0, |found| found.len());
            say(&format!("filled in {:.0} s", took.as_secs_f64()));
        } else {
            // Other calls than those that are there, and later.
            work = Workload::new(SEED + there, run.calls).after(there);
        }
        books.close()?;
        let (reopened, books) = timed(|| Books::open(&path));
        fill.reopened = reopened;
        Ok(Large { books: books?, work, fill })
    }
}

/// How far the store has come.
pub fn position(books: &Books) -> Result<Position, String> {
    books.ledger.store().position().map_err(text)
}

/// How many calls the books have.
pub fn calls(books: &Books) -> Result<u64, String> {
    let extent = books.ledger.store().extent(TimeRange::ALL).map_err(text)?;
    Ok(extent.map_or(0, |(_, _, calls)| calls))
}

fn fill_with(books: &Books, mut work: Workload, calls: u64) -> Result<Workload, String> {
    let (sender, receiver) = sync_channel::<(i64, Vec<Event>)>(4);
    let receiver = Mutex::new(receiver);
    let (done, start) = (AtomicU64::new(0), Instant::now());
    let next = || receiver.lock().unwrap_or_else(PoisonError::into_inner).recv().ok();
    let submit = |now: i64, batch: Vec<Event>| -> Result<(), String> {
        let count = batch.len() as u64;
        books.clock.set(now);
        books.submit(batch)?;
        let before = done.fetch_add(count, Ordering::Relaxed);
        if (before + count) * 20 / calls > before * 20 / calls {
            let rate = (before + count) as f64 / start.elapsed().as_secs_f64();
            say(&format!("  {} calls, {} a second", grouped((before + count) as f64), grouped(rate)));
        }
        Ok(())
    };
    let call = || {
        let mut all = Ok(());
        // After a failure the rest is only taken off the channel, so that its maker comes to an end.
        while let Some((now, batch)) = next() {
            all = all.and_then(|()| submit(now, batch));
        }
        all
    };
    std::thread::scope(|scope| {
        let maker = scope.spawn(move || {
            while work.made() < calls {
                let batch = work.batch(BATCH.min((calls - work.made()) as usize));
                if sender.send((work.now_micros(), batch)).is_err() {
                    break;
                }
            }
            work
        });
        // Two callers, so that one rates while the other waits; their batches keep nearly in order.
        for caller in [scope.spawn(call), scope.spawn(call)] {
            caller.join().unwrap_or_else(|_| Err("a caller panicked".to_owned()))?;
        }
        maker.join().map_err(|_| "the maker of calls panicked".to_owned())
    })
}
