//! The store itself: opening it, and the two traits.

use crate::amount::SqlAmount;
use crate::connection::{self, FileKey, Readers, lock};
use crate::fault::{self, Db};
use crate::identity::{find_all, find_all_responses};
use crate::meta::{Meta, zone_name};
use crate::plan::span_of;
use crate::row::{instant, seq_of};
use crate::sealed;
use crate::terms::Shelves;
use crate::writer::Writer;
use crate::{audit, calls, copy, schema, stats, usage};
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tollbook_store::{
    Audit, Batch, CallsPage, CallsQuery, Control, ControlStore, EventStore, Gap, IdentityRef, Known,
    Position, RangeSum, ResponseRef, Seal, StatsQuery, StatsReport, StoreError, StoredCall, UsageQuery,
    UsageReport, Zone,
};
use tollbook_types::{Digest, Erasure, OpenCall, Seq, TimeRange, Timestamp, limits};

/// Frames of the write-ahead log (4 KiB each) at which an append trims it.
const LOG_FRAMES_MAX: i64 = 8_192;
/// How long trimming waits for readers to finish.
const TRIM_TIMEOUT: Duration = Duration::from_millis(100);

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// The zone of the day rollup. A store that has another one is changed, which takes a while.
    pub time_zone: Zone,
    /// Makes the store if it is not there, under this random name of its ledger.
    pub create: Option<String>,
    /// Entries that one query may read one by one.
    pub raw_rows_max: u64,
    /// Entries whose sums the writer may hold back before it writes them to the rollups. Whoever asks
    /// adds those entries, so the answers are the same.
    pub held_back_max: usize,
    /// The key of the file, where it is encrypted.
    pub key: Option<FileKey>,
}

/// What one question for sums, statistics or a page of calls may take.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Entries that it may read one by one.
    pub rows_max: u64,
    /// How long it may take; as long as it takes where there is none.
    pub time_max: Option<Duration>,
}

/// Entries whose sums are held back: a reader adds them within a few milliseconds.
const HELD_BACK_MAX: usize = 8_192;

impl Options {
    /// For a store that is there.
    pub fn new(time_zone: Zone) -> Options {
        let raw_rows_max = limits::RAW_ROWS_MAX;
        Options { time_zone, create: None, raw_rows_max, held_back_max: HELD_BACK_MAX, key: None }
    }

    /// For a store that is there or is to be made, for the ledger of this random name.
    pub fn creating(time_zone: Zone, ledger_id: impl Into<String>) -> Options {
        Options { create: Some(ledger_id.into()), ..Options::new(time_zone) }
    }
}

/// A store in one SQLite file (with `-wal` and `-shm` beside it while it is open).
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    readers: Readers,
    /// Absent when the store was opened to be read.
    writer: Option<Mutex<Writer>>,
    /// The write or sync that failed. Nothing is written after it.
    failed: OnceLock<String>,
    bounds: Bounds,
    /// Odd while something is being written.
    version: AtomicU64,
}

/// A change of the books on its way.
struct Change<'a>(&'a AtomicU64);

impl<'a> Change<'a> {
    /// Begins one; there is a single writer, so that there is never more than one.
    fn begin(version: &'a AtomicU64) -> Change<'a> {
        version.fetch_add(1, Ordering::SeqCst);
        Change(version)
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl SqliteStore {
    /// Opens a store to write it. There must be no other writer.
    pub fn open(path: &Path, options: Options) -> Result<SqliteStore, StoreError> {
        connection::check_library()?;
        let there = path.try_exists().map_err(|error| StoreError::Io(error.to_string()))?;
        if !there && options.create.is_none() {
            return Err(missing(path));
        }
        let mut connection = connection::open_writer(path, options.create.is_some(), options.key.as_ref())?;
        let found = schema::format(&connection)?;
        if found == 0 && options.create.is_none() {
            return Err(StoreError::Corrupt(format!("{} is empty", path.display())));
        }
        connection::begin_writing(&connection)?;
        schema::migrate(&mut connection)?;
        if let (None, Some(ledger_id)) = (Meta::load(&connection)?, options.create) {
            let time_zone = zone_name(&options.time_zone)?;
            Meta { ledger_id, applied: 0, rolled: 0, entries: 0, cutoff: None, time_zone }
                .save(&connection)?;
        }
        let mut writer = Writer::new(connection, options.held_back_max)?;
        writer.change_zone(&options.time_zone)?;
        let readers = Readers::new(path, options.key);
        let bounds = Bounds { rows_max: options.raw_rows_max, time_max: None };
        let (path, writer) = (path.to_owned(), Some(Mutex::new(writer)));
        Ok(SqliteStore { path, readers, writer, failed: OnceLock::new(), bounds, version: AtomicU64::new(0) })
    }

    /// Opens a store to read it, also beside a process that writes it.
    pub fn open_read_only(path: &Path) -> Result<SqliteStore, StoreError> {
        SqliteStore::open_bounded(path, Bounds { rows_max: limits::RAW_ROWS_MAX, time_max: None })
    }

    /// As [`SqliteStore::open_read_only`], for questions of strangers.
    pub fn open_bounded(path: &Path, bounds: Bounds) -> Result<SqliteStore, StoreError> {
        SqliteStore::open_sealed(path, bounds, None)
    }

    /// As [`SqliteStore::open_bounded`], for a file that may have a key.
    pub fn open_sealed(path: &Path, bounds: Bounds, key: Option<FileKey>) -> Result<SqliteStore, StoreError> {
        connection::check_library()?;
        if !path.try_exists().map_err(|error| StoreError::Io(error.to_string()))? {
            return Err(missing(path));
        }
        let readers = Readers::new(path, key);
        readers.read(|connection, _| match schema::format(connection)? {
            schema::FORMAT => Meta::of(connection).map(drop),
            older => Err(StoreError::Invalid(format!(
                "the store has format {older}: it must be opened for writing once to become format {}",
                schema::FORMAT
            ))),
        })?;
        let path = path.to_owned();
        Ok(SqliteStore {
            path,
            readers,
            writer: None,
            failed: OnceLock::new(),
            bounds,
            version: AtomicU64::new(0),
        })
    }

    fn read<T>(
        &self,
        work: impl FnOnce(&Connection, &mut Shelves) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.readers.read(work)
    }

    /// As [`SqliteStore::read`], for questions that may be as large as whoever asks them likes.
    fn question<T>(
        &self,
        work: impl FnOnce(&Connection, &mut Shelves) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.readers.read_within(self.bounds.time_max, work)
    }

    /// As [`SqliteStore::read`], for who is about to write: the writer has the pages in memory that a
    /// reader loses with each commit.
    fn look_up<T>(
        &self,
        work: impl FnOnce(&Connection, &mut Shelves) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let Some(writer) = &self.writer else { return self.read(work) };
        let mut writer = lock(writer);
        let Writer { connection, shelves, .. } = &mut *writer;
        let transaction = connection.unchecked_transaction().db()?;
        work(&transaction, shelves)
    }

    /// Changes the books.
    fn write<T>(&self, work: impl FnOnce(&mut Writer) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.tend(|writer| {
            let _change = Change::begin(&self.version);
            work(writer)
        })
    }

    /// Works at the file without a change of what is in the books.
    fn tend<T>(&self, work: impl FnOnce(&mut Writer) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let Some(writer) = &self.writer else {
            return Err(StoreError::Invalid("the store was opened to be read".to_owned()));
        };
        let mut writer = lock(writer);
        self.refuse_if_failed()?;
        self.noted(work(&mut writer))
    }

    fn refuse_if_failed(&self) -> Result<(), StoreError> {
        self.failed
            .get()
            .map_or(Ok(()), |why| Err(StoreError::Io(format!("nothing is written any more: {why}"))))
    }

    /// Remembers a failure that nothing may follow.
    fn noted<T>(&self, done: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(error) = &done
            && fault::is_final(error)
        {
            self.failed.get_or_init(|| error.to_string());
        }
        done
    }

    /// Makes the log durable as it stands, with its name in the directory.
    fn sync_log(&self) -> Result<(), StoreError> {
        let synced = |path: &Path| match std::fs::File::open(path) {
            Ok(file) => file.sync_all().map_err(|error| fault::not_written(&error)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(StoreError::Io(error.to_string())),
        };
        synced(&self.log_path())?;
        match self.path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            Some(parent) => synced(parent),
            None => synced(Path::new(".")),
        }
    }

    /// The write-ahead log.
    fn log_path(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push("-wal");
        name.into()
    }
}

fn missing(path: &Path) -> StoreError {
    StoreError::Io(format!("there is no store at {}", path.display()))
}

/// Copies the write-ahead log into the file as far as readers let it, when it has grown.
fn trim_grown(connection: &Connection) -> Result<(), StoreError> {
    let frames: i64 = connection
        .prepare_cached("PRAGMA wal_checkpoint(NOOP)")
        .db()?
        .query_row([], |row| row.get(1))
        .db()?;
    if frames >= LOG_FRAMES_MAX {
        connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).db()?;
    }
    Ok(())
}

impl EventStore for SqliteStore {
    fn position(&self) -> Result<Position, StoreError> {
        self.read(|connection, _| Meta::of(connection)?.position())
    }

    fn version(&self) -> Option<u64> {
        let version = self.version.load(Ordering::SeqCst);
        (self.writer.is_some() && version.is_multiple_of(2)).then_some(version)
    }

    fn find(&self, identities: &[IdentityRef<'_>]) -> Result<Vec<Option<Known>>, StoreError> {
        self.look_up(|connection, shelves| find_all(connection, shelves, identities))
    }

    fn find_responses(&self, keys: &[ResponseRef<'_>]) -> Result<Vec<Option<(Seq, String)>>, StoreError> {
        self.look_up(|connection, shelves| find_all_responses(connection, shelves, keys))
    }

    fn append(&self, batch: &Batch) -> Result<(), StoreError> {
        self.write(|writer| {
            writer.append(batch)?;
            trim_grown(&writer.connection)
        })
    }

    fn sync(&self) -> Result<(), StoreError> {
        if self.writer.is_some() {
            self.tend(Writer::settle)?;
        }
        self.checkpoint().map(drop)
    }

    fn checkpoint(&self) -> Result<bool, StoreError> {
        if self.writer.is_none() {
            return Ok(true);
        }
        self.refuse_if_failed()?;
        // What stands in the log is safe from here on, whether or not readers let it be copied.
        self.noted(self.sync_log())?;
        self.tend(|writer| {
            let connection = &writer.connection;
            connection.busy_timeout(TRIM_TIMEOUT).db()?;
            // Done only when the log is empty: what is left of it would be read again after a crash.
            let is_held = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).db();
            connection.busy_timeout(connection::BUSY_TIMEOUT).db()?;
            is_held.map(|is_held: bool| !is_held)
        })
    }

    fn call(&self, seq: Seq) -> Result<Option<StoredCall>, StoreError> {
        self.read(|connection, shelves| calls::call(connection, shelves, seq))
    }

    fn calls_by_id(&self, id: &str) -> Result<Vec<StoredCall>, StoreError> {
        self.read(|connection, shelves| calls::calls_by_id(connection, shelves, id))
    }

    fn calls(&self, query: &CallsQuery) -> Result<CallsPage, StoreError> {
        self.question(|connection, shelves| calls::calls(connection, shelves, query, self.bounds.rows_max))
    }

    fn usage(&self, query: &UsageQuery) -> Result<UsageReport, StoreError> {
        self.question(|connection, shelves| usage::usage(connection, shelves, query, self.bounds.rows_max))
    }

    fn stats(&self, query: &StatsQuery) -> Result<StatsReport, StoreError> {
        self.question(|connection, shelves| stats::stats(connection, shelves, query, self.bounds.rows_max))
    }

    fn open_calls(&self) -> Result<Vec<(Seq, OpenCall)>, StoreError> {
        self.read(|connection, _| sealed::opens(connection))
    }

    fn gaps(&self) -> Result<Vec<Gap>, StoreError> {
        self.read(|connection, _| sealed::gaps(connection))
    }

    fn seals(&self) -> Result<Vec<Seal>, StoreError> {
        self.read(|connection, _| sealed::seals(connection))
    }

    fn range_sum(&self, first: Seq, last: Seq) -> Result<RangeSum, StoreError> {
        let [first, last] = [first, last].map(|seq| i64::try_from(seq).unwrap_or(i64::MAX));
        self.read(|connection, _| {
            let sql = "SELECT count(*), sum_i128(cost), sum_digests(digest) FROM entries WHERE seq BETWEEN ?1 AND ?2";
            let mut statement = connection.prepare_cached(sql).db()?;
            let (entries, SqlAmount(cost_picos), digest_sum): (i64, _, i64) = statement
                .query_row([first, last], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
                .db()?;
            let sql = "SELECT count(*), sum_digests(digest) FROM adjustments WHERE seq BETWEEN ?1 AND ?2";
            let mut statement = connection.prepare_cached(sql).db()?;
            let (adjustments, adjustment_digest_sum): (i64, i64) =
                statement.query_row([first, last], |row| Ok((row.get(0)?, row.get(1)?))).db()?;
            Ok(RangeSum {
                entries: entries.unsigned_abs(),
                cost_picos,
                digest_sum: digest_sum.cast_unsigned(),
                adjustments: adjustments.unsigned_abs(),
                adjustment_digest_sum: adjustment_digest_sum.cast_unsigned(),
            })
        })
    }

    fn digests(&self, first: Seq, last: Seq) -> Result<Vec<(Seq, Digest)>, StoreError> {
        let [first, last] = [first, last].map(|seq| i64::try_from(seq).unwrap_or(i64::MAX));
        self.read(|connection, _| {
            let sql = "SELECT seq, digest FROM entries WHERE seq BETWEEN ?1 AND ?2";
            let mut digests = sealed::collect(connection, sql, [first, last], |row| {
                let seq = row.get(0).db()?;
                let wrong = |_| StoreError::Corrupt(format!("the digest of entry {seq} is damaged"));
                Ok((seq_of(seq)?, Digest(row.get(1).map_err(wrong)?)))
            })?;
            digests.extend(sealed::adjustment_digests(connection, first, last)?);
            digests.sort_unstable();
            Ok(digests)
        })
    }

    fn audit(&self) -> Result<Audit, StoreError> {
        self.read(audit::audit)
    }

    fn rebuild(&self) -> Result<u64, StoreError> {
        self.write(Writer::rebuild)
    }

    fn purge(&self, cutoff: Timestamp) -> Result<u64, StoreError> {
        self.write(|writer| writer.purge(cutoff))
    }

    fn strip(&self, before: Timestamp, most: usize) -> Result<u64, StoreError> {
        self.write(|writer| writer.strip(before, most))
    }

    fn erasures(&self) -> Result<Vec<Arc<Erasure>>, StoreError> {
        self.read(|connection, _| sealed::erasures(connection))
    }

    fn altered(&self, first: Seq, last: Seq) -> Result<Vec<Seq>, StoreError> {
        let [first, last] = [first, last].map(|seq| i64::try_from(seq).unwrap_or(i64::MAX));
        self.read(|connection, _| sealed::altered(connection, first, last))
    }

    fn scrub(&self) -> Result<bool, StoreError> {
        if !self.read(|connection, _| sealed::is_unscrubbed(connection))? {
            return Ok(true);
        }
        self.write(Writer::vacuum)?;
        // The log still has pages of before until no reader holds it any more.
        if !self.checkpoint()? {
            return Ok(false);
        }
        self.write(|writer| sealed::note_scrubbed(&writer.connection))?;
        Ok(true)
    }

    fn extent(&self, range: TimeRange) -> Result<Option<(Timestamp, Timestamp, u64)>, StoreError> {
        let (from, to) = span_of(range);
        self.read(|connection, _| {
            let one = |sql: &'static str| -> Result<Option<i64>, StoreError> {
                connection.prepare_cached(sql).db()?.query_row([from, to], |row| row.get(0)).db()
            };
            let first = one("SELECT min(at) FROM entries WHERE at >= ?1 AND at < ?2")?;
            let last = one("SELECT max(at) FROM entries WHERE at >= ?1 AND at < ?2")?;
            let Some((first, last)) = first.zip(last) else { return Ok(None) };
            let count = match range {
                TimeRange::ALL => Some(Meta::of(connection)?.entries),
                _ => one("SELECT count(*) FROM entries WHERE at >= ?1 AND at < ?2")?,
            };
            Ok(Some((instant(first)?, instant(last)?, count.unwrap_or(0).unsigned_abs())))
        })
    }

    fn backup(&self, to: &Path) -> Result<(), StoreError> {
        let io = |error: std::io::Error| StoreError::Io(format!("{}: {error}", to.display()));
        if to.exists() {
            return Err(StoreError::Io(format!("{} is there already", to.display())));
        }
        connection::make_private(to)?;
        let copied = self.read(|connection, _| copy::backup(connection, to, self.readers.key()));
        let synced =
            copied.and_then(|()| std::fs::File::open(to).and_then(|file| file.sync_all()).map_err(io));
        if synced.is_err() {
            // What is there is no backup; that it cannot be removed changes nothing.
            let _ = std::fs::remove_file(to);
        }
        synced
    }
}

impl ControlStore for SqliteStore {
    fn control(&self, key: &str) -> Result<Option<Control>, StoreError> {
        self.read(|connection, _| sealed::control_of(connection, key))
    }

    fn controls(&self, prefix: &str) -> Result<Vec<Control>, StoreError> {
        self.read(|connection, _| sealed::controls_from(connection, prefix))
    }

    fn controls_before(&self, prefix: &str, before: &str, limit: usize) -> Result<Vec<Control>, StoreError> {
        self.read(|connection, _| sealed::controls_before(connection, prefix, before, limit))
    }
}
