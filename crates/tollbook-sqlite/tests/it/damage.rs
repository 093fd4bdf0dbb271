//! Flipped bits are reported, or change nothing that anybody sees.

use crate::suite::filled;
use std::path::Path;
use tollbook_sqlite::{Options, SqliteStore};
use tollbook_store::conformance::Random;
use tollbook_store::{
    CallsOrder, CallsPage, CallsQuery, ControlStore, Dimension, EventStore, Interval, StoreError, UsageQuery,
    UsageReport, View, Zone,
};
use tollbook_types::TimeRange;

const FLIPS: u64 = 100;

type Answers = (CallsPage, Vec<UsageReport>, usize);

fn answers(store: &SqliteStore) -> Result<Answers, StoreError> {
    let query = CallsQuery {
        range: TimeRange::ALL,
        filters: Vec::new(),
        order: CallsOrder::Recorded,
        after: None,
        limit: 10_000,
    };
    let mut reports = Vec::new();
    for by in [Dimension::Model, Dimension::Project, Dimension::User, Dimension::Session] {
        reports.push(store.usage(&UsageQuery {
            range: TimeRange::ALL,
            interval: Interval::Day,
            zone: Zone::UTC,
            group_by: vec![by],
            filters: Vec::new(),
            view: View::Corrected,
        })?);
    }
    let rest = store.controls("")?.len() + store.gaps()?.len() + store.seals()?.len();
    Ok((store.calls(&query)?, reports, rest + store.open_calls()?.len()))
}

/// Whether anything said that the file is damaged.
fn is_reported(path: &Path, expected: &Answers) -> Result<bool, String> {
    let store = match SqliteStore::open(path, Options::new(Zone::UTC)) {
        Ok(store) => store,
        Err(_) => return Ok(true),
    };
    match store.audit() {
        Ok(audit) if audit.problems.is_empty() => {}
        _ => return Ok(true),
    }
    match answers(&store) {
        Ok(found) if found == *expected => Ok(false),
        Ok(_) => Err("the audit is content, the answers are not the same".to_owned()),
        Err(error) => Err(format!("the audit is content, but {error}")),
    }
}

#[test]
fn flipped_bits_are_reported_or_harmless() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let (store, _) = filled(&path, 11, 4);
    let expected = answers(&store).unwrap();
    store.sync().unwrap();
    drop(store);
    let sound = std::fs::read(&path).unwrap();
    let mut random = Random::new(12);
    let mut reported = 0;
    for round in 0..FLIPS {
        let bit = random.below(sound.len() as u64 * 8);
        let mut flipped = sound.clone();
        flipped[(bit / 8) as usize] ^= 1 << (bit % 8);
        let path = directory.path().join(format!("flipped-{round}"));
        std::fs::write(&path, &flipped).unwrap();
        match is_reported(&path, &expected) {
            Ok(told) => reported += u64::from(told),
            Err(why) => panic!("bit {bit}: {why}"),
        }
        std::fs::remove_file(&path).unwrap();
    }
    assert!(reported > FLIPS / 4, "{reported} of {FLIPS} flips were noticed");
}
