//! Opening files: missing, foreign, of the future, beside a writer.

use crate::suite::{filled, made};
use rusqlite::Connection;
use std::path::Path;
use std::time::Duration;
use tollbook_sqlite::{Bounds, Options, SqliteStore};
use tollbook_store::conformance::Workload;
use tollbook_store::{
    CallsOrder, CallsQuery, Dimension, EventStore, Interval, StatsQuery, StoreError, UsageQuery, View, Zone,
};
use tollbook_types::{TimeRange, Timestamp};

fn everything() -> UsageQuery {
    UsageQuery {
        range: TimeRange::ALL,
        interval: Interval::Day,
        zone: Zone::UTC,
        group_by: vec![Dimension::User],
        filters: Vec::new(),
        view: View::Corrected,
    }
}

#[test]
fn what_is_not_there_is_not_made_unasked() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("none");
    assert!(matches!(SqliteStore::open(&path, Options::new(Zone::UTC)), Err(StoreError::Io(_))));
    assert!(matches!(SqliteStore::open_read_only(&path), Err(StoreError::Io(_))));
    assert!(!path.exists());
}

#[cfg(unix)]
#[test]
fn a_store_its_log_and_its_backup_are_for_their_owner_only() {
    use std::os::unix::fs::MetadataExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let (store, _) = filled(&path, 1, 2);
    store.backup(&directory.path().join("backup")).unwrap();
    for name in ["store", "store-wal", "backup"] {
        let mode = std::fs::metadata(directory.path().join(name)).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn files_of_the_future_and_of_others_are_refused_untouched() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    drop(made(&path));
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 77).unwrap();
    let newer = |store: Result<SqliteStore, StoreError>| {
        assert!(matches!(store, Err(StoreError::TooNew { found: 77, known: 2 })), "{store:?}");
    };
    newer(SqliteStore::open(&path, Options::new(Zone::UTC)));
    newer(SqliteStore::open_read_only(&path));
    let other = directory.path().join("other");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    let before = std::fs::read(&other).unwrap();
    for path in [other.as_path(), Path::new("/proc/self/cmdline")] {
        let refused = SqliteStore::open(path, Options::creating(Zone::UTC, "x"));
        assert!(refused.is_err(), "{refused:?}");
    }
    assert_eq!(std::fs::read(&other).unwrap(), before);
}

#[test]
fn a_file_of_the_first_format_is_taken_along() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let (store, mut work) = filled(&path, 7, 2);
    store.sync().unwrap();
    drop(store);
    let first = "DROP TABLE erasures; DROP TABLE altered; PRAGMA user_version = 1;";
    Connection::open(&path).unwrap().execute_batch(first).unwrap();
    let refused = SqliteStore::open_read_only(&path);
    assert!(matches!(refused, Err(StoreError::Invalid(_))), "{refused:?}");
    let store = SqliteStore::open(&path, Options::new(Zone::UTC)).unwrap();
    assert_eq!(store.erasures().unwrap(), Vec::new());
    store.append(&work.batch(50)).unwrap();
    assert_eq!(store.audit().unwrap().problems, Vec::<String>::new());
}

#[test]
fn a_reader_sees_whole_batches_beside_a_writer() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let (store, mut work) = filled(&path, 5, 3);
    let reader = SqliteStore::open_read_only(&path).unwrap();
    assert_eq!(reader.position().unwrap(), store.position().unwrap());
    for _ in 0..3 {
        let batch = work.batch(60);
        store.append(&batch).unwrap();
        assert_eq!(reader.position().unwrap().applied, batch.through);
        let (read, written) = (reader.usage(&everything()).unwrap(), store.usage(&everything()).unwrap());
        assert_eq!(read, written);
    }
    assert!(matches!(reader.append(&work.batch(3)), Err(StoreError::Invalid(_))));
    assert!(matches!(reader.rebuild(), Err(StoreError::Invalid(_))));
    reader.sync().unwrap();
    store.sync().unwrap();
    drop(store);
    assert_eq!(reader.audit().unwrap().problems, Vec::<String>::new());
}

#[test]
fn another_zone_makes_the_days_anew() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let (store, _) = filled(&path, 6, 3);
    let before = store.usage(&everything()).unwrap();
    drop(store);
    let zone = Zone::get("Asia/Kathmandu").unwrap();
    let store = SqliteStore::open(&path, Options::new(zone.clone())).unwrap();
    assert_eq!(store.audit().unwrap().problems, Vec::<String>::new());
    let after = store.usage(&everything()).unwrap();
    assert_eq!((after.rows, after.total), (before.rows, before.total));
    let local = store.usage(&UsageQuery { zone, ..everything() }).unwrap();
    assert!(local.from_rollups);
}

#[test]
fn the_view_is_readable_without_this_program() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let (store, work) = filled(&path, 7, 3);
    drop(store);
    let shell = Connection::open(&path).unwrap();
    let mut statement = shell.prepare("SELECT seq, id, model, cost_usd, occurred_at FROM calls").unwrap();
    let mut rows = statement.query([]).unwrap();
    let mut seen = 0;
    while let Some(row) = rows.next().unwrap() {
        let seq = u64::try_from(row.get::<_, i64>(0).unwrap()).unwrap();
        let call = work.made().iter().find(|made| made.seq == seq).unwrap();
        assert_eq!(row.get::<_, String>(1).unwrap(), call.entry.event.id);
        assert_eq!(row.get::<_, String>(2).unwrap(), call.entry.event.model);
        let cost: Option<String> = row.get(3).unwrap();
        assert_eq!(cost, call.state.rating.cost.map(|cost| cost.to_string()));
        let at: String = row.get(4).unwrap();
        assert_eq!(at.parse::<Timestamp>().unwrap(), call.entry.event.occurred_at);
        seen += 1;
    }
    assert_eq!(seen, work.made().len());
}

#[test]
fn too_large_a_range_is_refused_where_entries_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let options = Options { raw_rows_max: 50, ..Options::creating(Zone::UTC, "small") };
    let store = SqliteStore::open(&path, options).unwrap();
    let mut work = Workload::new(8);
    store.append(&work.batch(200)).unwrap();
    let by_session = UsageQuery { group_by: vec![Dimension::Session], ..everything() };
    let refused = store.usage(&by_session);
    assert!(matches!(refused, Err(StoreError::RangeTooLarge { limit: 50, .. })), "{refused:?}");
    store.usage(&everything()).unwrap();
}

#[test]
fn a_question_that_takes_too_long_is_ended_and_the_next_is_answered() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let (writing, _) = filled(&path, 11, 20);
    let bounds = |time_max| Bounds { rows_max: u64::MAX, time_max };
    let hurried = SqliteStore::open_bounded(&path, bounds(Some(Duration::ZERO))).unwrap();
    let patient = SqliteStore::open_bounded(&path, bounds(Some(Duration::from_secs(600)))).unwrap();
    let usage = UsageQuery { group_by: vec![Dimension::Session], ..everything() };
    let stats = StatsQuery { usage: usage.clone(), at: Timestamp::UNIX_EPOCH, limit: None };
    let calls = CallsQuery {
        range: TimeRange::ALL,
        filters: Vec::new(),
        order: CallsOrder::Costliest,
        after: None,
        limit: 1,
    };
    let is_over = |error: Option<StoreError>| matches!(error, Some(StoreError::TooLong));
    for _ in 0..2 {
        assert!(is_over(hurried.usage(&usage).err()));
        assert!(is_over(hurried.stats(&stats).err()));
        assert!(is_over(hurried.calls(&calls).err()));
        // What is no question of a stranger takes its time.
        assert_eq!(hurried.audit().unwrap().problems, Vec::<String>::new());
    }
    assert_eq!(patient.usage(&usage).unwrap().rows, writing.usage(&usage).unwrap().rows);
    assert_eq!(patient.stats(&stats).unwrap(), writing.stats(&stats).unwrap());
    assert_eq!(patient.calls(&calls).unwrap(), writing.calls(&calls).unwrap());
}

#[test]
fn the_log_is_not_called_empty_while_a_reader_holds_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let (store, mut work) = filled(&path, 9, 2);
    let reader = Connection::open(&path).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM entries;").unwrap();
    store.append(&work.batch(50)).unwrap();
    store.sync().unwrap();
    assert!(!store.checkpoint().unwrap());
    assert!(directory.path().join("store-wal").metadata().unwrap().len() > 0);
    reader.execute_batch("COMMIT").unwrap();
    assert!(store.checkpoint().unwrap());
    assert_eq!(directory.path().join("store-wal").metadata().unwrap().len(), 0);
    store.append(&work.batch(50)).unwrap();
    assert_eq!(store.audit().unwrap().problems, Vec::<String>::new());
}

#[test]
fn nothing_is_written_after_a_sync_that_failed() {
    let directory = tempfile::tempdir().unwrap();
    let (path, log) = (directory.path().join("store"), directory.path().join("store-wal"));
    let (store, mut work) = filled(&path, 10, 2);
    // Something that can be opened and not be synced takes the place of the log for a moment.
    let aside = directory.path().join("aside");
    std::fs::rename(&log, &aside).unwrap();
    std::os::unix::fs::symlink("/proc/self/status", &log).unwrap();
    assert!(matches!(store.sync(), Err(StoreError::Io(_))));
    std::fs::remove_file(&log).unwrap();
    std::fs::rename(&aside, &log).unwrap();
    let batch = work.batch(50);
    for refused in [store.sync(), store.append(&batch), store.checkpoint().map(drop), store.sync()] {
        assert!(matches!(&refused, Err(StoreError::Io(why)) if why.contains("any more")), "{refused:?}");
    }
    assert!(store.rebuild().is_err());
    drop(store);
    let store = SqliteStore::open(&path, Options::new(Zone::UTC)).unwrap();
    store.append(&batch).unwrap();
    store.sync().unwrap();
    assert_eq!(store.audit().unwrap().problems, Vec::<String>::new());
}
