//! A ledger on SQLite as a process opens it, what it was heard to promise, and whether it keeps that.

use crate::rig::{event, plain_book, with};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tollbook_ledger::{DataDir, DataKey, Durability, Ledger, OpenReport, Options};
use tollbook_sqlite::{FileKey, SqliteStore};
use tollbook_store::{
    CallsOrder, CallsQuery, ControlStore, Dimension, EventStore, Interval, StoredCall, UsageQuery,
    UsageReport, View, Zone,
};
use tollbook_types::{Clock, Digest, Event, Seq, TimeRange, Timestamp};

/// The smallest segments that the journal makes, so that there are several.
pub const SEGMENT_BYTES: u64 = 1;

/// A clock that moves a little each time it is looked at.
pub struct TickingClock(AtomicI64);

impl TickingClock {
    pub fn new() -> TickingClock {
        TickingClock(AtomicI64::new(1_790_000_000_000_000))
    }
}

impl Clock for TickingClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_microsecond(self.0.fetch_add(1_000, Ordering::Relaxed)).unwrap()
    }
}

pub struct Books {
    pub data: DataDir,
    pub store: Arc<SqliteStore>,
    pub ledger: Ledger,
    pub report: OpenReport,
}

/// A data directory: an encrypted one where the build can encrypt.
pub fn data_dir(path: &Path) -> DataDir {
    match tollbook_sqlite::CAN_ENCRYPT {
        true => DataDir::sealed(path, DataKey::new([7; 32])),
        false => DataDir::new(path),
    }
}

/// The key of its store.
pub fn store_key(data: &DataDir) -> Option<FileKey> {
    data.key().map(|key| FileKey::new(key.for_store().unwrap()))
}

/// Opens the books as the program does: a store that is missing beside a journal is refused.
pub fn open(dir: &Path, durability: Durability) -> Result<Books, String> {
    let data = data_dir(dir);
    let lock = data.lock().map_err(|error| error.to_string())?;
    let newest = tollbook_ledger::journal::newest(&data.journal()).map_err(|error| error.to_string())?;
    if !data.store().exists() && newest.is_some() {
        return Err("the store is missing, the journal is not".to_owned());
    }
    let how = match newest {
        // A process that ended before its first record may have left half a store.
        None => tollbook_sqlite::Options::creating(Zone::UTC, "ledger-1"),
        Some(_) => tollbook_sqlite::Options::new(Zone::UTC),
    };
    let how = tollbook_sqlite::Options { key: store_key(&data), ..how };
    let store = Arc::new(SqliteStore::open(&data.store(), how).map_err(|error| error.to_string())?);
    let options = Options { durability, segment_bytes: SEGMENT_BYTES };
    let clock = Arc::new(TickingClock::new());
    let (ledger, report) = Ledger::open(lock, data.clone(), store.clone(), plain_book(), clock, options)
        .map_err(|error| error.to_string())?;
    Ok(Books { data, store, ledger, report })
}

/// The event of this id: everything in it follows from the id.
pub fn call(id: &str) -> Event {
    let number = Digest::of(id.as_bytes()).short();
    with(event(id, number % 100_000, number % 7_919), |event| {
        let minutes = i64::try_from(number % 40_000).unwrap();
        let start: Timestamp = "2026-09-01T00:00:00Z".parse().unwrap();
        event.occurred_at = Timestamp::from_second(start.as_second() + minutes * 60).unwrap();
        event.attribution.project = Some(format!("project-{}", number % 5));
        event.attribution.user = Some(format!("user-{}", number % 23));
        event.provider_response_id = Some(format!("response-{id}"));
    })
}

/// The document that a version of a key has.
pub fn document(key: &str, version: u32) -> String {
    format!("{{\"key\":\"{key}\",\"version\":{version}}}")
}

/// What was acknowledged, read from the lines that were written after each acknowledgement.
#[derive(Clone, Debug, Default)]
pub struct Promises {
    pub events: BTreeMap<String, Seq>,
    pub controls: BTreeMap<String, u32>,
    pub adjustments: BTreeMap<Seq, u32>,
}

impl Promises {
    pub fn read(text: &str) -> Promises {
        let mut promises = Promises::default();
        for line in text.lines() {
            promises.hear(line);
        }
        promises
    }

    /// One line: `event ID SEQ`, `control KEY VERSION` or `adjust SEQ VERSION`.
    pub fn hear(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["event", id, seq] => {
                let seq = seq.parse().unwrap();
                let before = self.events.insert(id.to_owned(), seq);
                assert!(before.is_none_or(|before| before == seq), "{id} was promised twice");
            }
            ["control", key, version] => {
                let newest = self.controls.entry(key.to_owned()).or_default();
                *newest = (*newest).max(version.parse().unwrap());
            }
            ["adjust", seq, version] => {
                let newest = self.adjustments.entry(seq.parse().unwrap()).or_default();
                *newest = (*newest).max(version.parse().unwrap());
            }
            _ => panic!("no such promise: {line:?}"),
        }
    }

    pub fn count(&self) -> usize {
        self.events.len() + self.controls.len() + self.adjustments.len()
    }
}

/// What is wrong with the books, given what was promised; each problem in words. Promises that are
/// not kept start with `lost`.
pub fn faults(books: &Books, promises: &Promises) -> Vec<String> {
    let mut faults = Vec::new();
    let calls = every_call(books.store.as_ref()).unwrap();
    let mut by_id: HashMap<&str, &StoredCall> = HashMap::new();
    for stored in &calls {
        let id = stored.entry.event.id.as_str();
        if by_id.insert(id, stored).is_some() {
            faults.push(format!("doubled: event {id}"));
        }
        if stored.entry.event != call(id) && stored.entry.event.usage.is_some() {
            faults.push(format!("changed: event {id}"));
        }
    }
    let identities: Vec<_> = promises.events.keys().map(|id| call(id).identity()).collect();
    let known = books.store.find(&identities.iter().map(Into::into).collect::<Vec<_>>()).unwrap();
    for ((id, seq), known) in promises.events.iter().zip(known) {
        if by_id.get(id.as_str()).map(|stored| stored.seq) != Some(*seq) {
            faults.push(format!("lost: event {id} at {seq}"));
        }
        if known.map(|known| known.entry) != Some(*seq) {
            faults.push(format!("lost: the identity of event {id} at {seq}"));
        }
    }
    for (key, version) in &promises.controls {
        match books.store.control(key).unwrap() {
            Some(found) if found.version >= *version => {
                if found.body != Some(document(key, found.version)) {
                    faults.push(format!("changed: {key}"));
                }
            }
            _ => faults.push(format!("lost: {key} version {version}")),
        }
    }
    for (seq, version) in &promises.adjustments {
        if books.store.call(*seq).unwrap().is_none_or(|stored| stored.version() < *version) {
            faults.push(format!("lost: adjustment {version} of {seq}"));
        }
    }
    let total = usage(books.store.as_ref(), Vec::new()).unwrap().total;
    if total.calls != calls.len() as u64 {
        faults.push(format!("the report counts {} calls of {}", total.calls, calls.len()));
    }
    faults
}

/// What `verify` finds wrong.
pub fn problems(books: &Books) -> Vec<String> {
    match tollbook_ledger::verify(&books.data, books.store.as_ref()) {
        Ok(found) => found.problems,
        Err(error) => vec![error.to_string()],
    }
}

/// Records one more call, as a sign that the ledger is of use.
pub fn still_records(books: &Books) {
    let outcomes = books.ledger.submit(vec![call("one-more")]).unwrap();
    assert_eq!(outcomes.len(), 1);
}

pub fn every_call(store: &SqliteStore) -> Result<Vec<StoredCall>, String> {
    let (mut calls, mut after) = (Vec::new(), None);
    loop {
        let query = CallsQuery {
            range: TimeRange::ALL,
            filters: Vec::new(),
            order: CallsOrder::Recorded,
            after,
            limit: 1_000,
        };
        let page = store.calls(&query).map_err(|error| error.to_string())?;
        calls.extend(page.calls);
        after = page.next;
        if after.is_none() {
            return Ok(calls);
        }
    }
}

pub fn usage(store: &SqliteStore, group_by: Vec<Dimension>) -> Result<UsageReport, String> {
    let query = UsageQuery {
        range: TimeRange::ALL,
        interval: if group_by.is_empty() { Interval::None } else { Interval::Day },
        zone: Zone::UTC,
        group_by,
        filters: Vec::new(),
        view: View::Corrected,
    };
    store.usage(&query).map_err(|error| error.to_string())
}

/// Everything that somebody who asks gets to see.
#[derive(Debug, PartialEq)]
pub struct Sight {
    pub reports: Vec<UsageReport>,
    pub calls: Vec<StoredCall>,
    pub controls: Vec<(String, u32, Option<String>)>,
    pub gaps: u64,
}

/// Asks everything.
pub fn look(store: &SqliteStore) -> Result<Sight, String> {
    let splits = [
        vec![],
        vec![Dimension::Model],
        vec![Dimension::Project, Dimension::Model],
        vec![Dimension::User, Dimension::Status],
    ];
    let reports = splits.into_iter().map(|split| usage(store, split)).collect::<Result<_, _>>()?;
    let controls = store.controls("").map_err(|error| error.to_string())?;
    let gaps = store.gaps().map_err(|error| error.to_string())?;
    Ok(Sight {
        reports,
        calls: every_call(store)?,
        controls: controls.into_iter().map(|c| (c.key, c.version, c.body)).collect(),
        gaps: gaps.iter().map(|gap| gap.calls).sum(),
    })
}

/// The ids of all calls, to say which are there.
pub fn ids(store: &SqliteStore) -> HashSet<String> {
    every_call(store).unwrap().into_iter().map(|stored| stored.entry.event.id).collect()
}
