//! Connections: one that writes, a few that read, the settings of each and the key of the file if
//! it has one. This module must never know what is stored.

use crate::amount;
use crate::fault::Db;
use crate::terms::Shelves;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tollbook_store::StoreError;

/// Older versions can lose a write-ahead log while two connections use it.
const SQLITE_OLDEST: i32 = 3_051_003;
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
const CACHED_STATEMENTS: usize = 128;
/// Instructions of SQLite between two looks at the clock: some hundred rows.
const STEPS_A_LOOK: std::ffi::c_int = 4_000;
/// Readers that are kept open while nobody reads.
const IDLE_READERS_MAX: usize = 4;
/// Kibibytes of pages, negative as SQLite wants it.
const WRITER_CACHE: i32 = -65_536;
const READER_CACHE: i32 = -16_384;

/// The key of a store's file: everything in the file and its log is encrypted with it.
#[derive(Clone)]
pub struct FileKey([u8; 32]);

impl FileKey {
    /// The key in these bytes, which must be random.
    pub fn new(bytes: [u8; 32]) -> FileKey {
        FileKey(bytes)
    }

    /// As SQLCipher takes a key that is not derived from words.
    pub(crate) fn literal(&self) -> String {
        let digits: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("x'{digits}'")
    }
}

impl std::fmt::Debug for FileKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FileKey")
    }
}

/// Gives the connection its key, before anything else is asked of it.
pub(crate) fn unlock(connection: &Connection, key: Option<&FileKey>) -> Result<(), StoreError> {
    let Some(key) = key else { return Ok(()) };
    // SQLite itself takes the pragma for one that it does not know, and would write in the open.
    let cipher: Option<String> =
        connection.query_row("PRAGMA cipher_version", [], |row| row.get(0)).optional().db()?;
    if cipher.is_none() {
        return Err(StoreError::Invalid("this build cannot encrypt a store".to_owned()));
    }
    // Else it writes of damage and wrong keys to the terminal by itself; the error says as much.
    connection.pragma_update(None, "cipher_log_level", "NONE").db()?;
    connection.pragma_update(None, "key", key.literal()).db()
}

/// Refuses a library that is known to lose data.
pub(crate) fn check_library() -> Result<(), StoreError> {
    if rusqlite::version_number() < SQLITE_OLDEST {
        let version = rusqlite::version();
        return Err(StoreError::Invalid(format!("SQLite {version} is too old: 3.51.3 or later is needed")));
    }
    Ok(())
}

/// Opens the connection that writes.
pub(crate) fn open_writer(
    path: &Path,
    create: bool,
    key: Option<&FileKey>,
) -> Result<Connection, StoreError> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    flags.set(OpenFlags::SQLITE_OPEN_CREATE, create);
    if create {
        make_private(path)?;
    }
    let connection = Connection::open_with_flags(path, flags).db()?;
    unlock(&connection, key)?;
    prepare(&connection)?;
    connection.pragma_update(None, "cache_size", WRITER_CACHE).db()?;
    Ok(connection)
}

/// Makes an absent file that only its owner can read; SQLite gives its log the same mode.
pub(crate) fn make_private(path: &Path) -> Result<(), StoreError> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let made = options.open(path);
    made.map(drop).map_err(|error| StoreError::Io(format!("{}: {error}", path.display())))
}

/// Settings that change the file: only once it is known to be ours.
pub(crate) fn begin_writing(connection: &Connection) -> Result<(), StoreError> {
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).db()?;
    if mode != "wal" {
        return Err(StoreError::Io(format!("the store cannot use a write-ahead log here, only {mode}")));
    }
    connection.pragma_update(None, "synchronous", "NORMAL").db()?;
    let _: i64 = connection.query_row("PRAGMA wal_autocheckpoint = 0", [], |row| row.get(0)).db()?;
    Ok(())
}

fn open_reader(path: &Path, key: Option<&FileKey>) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).db()?;
    unlock(&connection, key)?;
    prepare(&connection)?;
    connection.pragma_update(None, "cache_size", READER_CACHE).db()?;
    connection.pragma_update(None, "query_only", true).db()?;
    Ok(connection)
}

pub(crate) fn prepare(connection: &Connection) -> Result<(), StoreError> {
    connection.busy_timeout(BUSY_TIMEOUT).db()?;
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    connection.pragma_update(None, "trusted_schema", false).db()?;
    connection.pragma_update(None, "cell_size_check", true).db()?;
    connection.pragma_update(None, "temp_store", "MEMORY").db()?;
    // Else every new value of a parameter may have a statement planned anew, at ten times its cost.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).db()?;
    amount::register(connection).db()
}

/// A connection that reads, with the combinations that it has seen.
#[derive(Debug)]
pub(crate) struct Reader {
    pub connection: Connection,
    pub shelves: Shelves,
}

/// Readers, opened as needed.
#[derive(Debug)]
pub(crate) struct Readers {
    path: PathBuf,
    key: Option<FileKey>,
    idle: Mutex<Vec<Reader>>,
}

impl Readers {
    pub(crate) fn new(path: &Path, key: Option<FileKey>) -> Readers {
        Readers { path: path.to_owned(), key, idle: Mutex::new(Vec::new()) }
    }

    /// The key of the file.
    pub(crate) fn key(&self) -> Option<&FileKey> {
        self.key.as_ref()
    }

    /// Runs a read in one transaction, so that it sees one state of the store.
    pub(crate) fn read<T>(
        &self,
        work: impl FnOnce(&Connection, &mut Shelves) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.read_within(None, work)
    }

    /// The same, interrupted once it has taken so long.
    pub(crate) fn read_within<T>(
        &self,
        time_max: Option<Duration>,
        work: impl FnOnce(&Connection, &mut Shelves) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let idle = lock(&self.idle).pop();
        let mut reader = match idle {
            Some(reader) => reader,
            None => Reader {
                connection: open_reader(&self.path, self.key.as_ref())?,
                shelves: Shelves::default(),
            },
        };
        let end = time_max.map(|time_max| Instant::now() + time_max);
        let is_over = end.map(|end| move || Instant::now() >= end);
        reader.connection.progress_handler(STEPS_A_LOOK, is_over).db()?;
        let answer = {
            let transaction = reader.connection.unchecked_transaction().db()?;
            work(&transaction, &mut reader.shelves)
        };
        // A reader that failed may have met damage: it does not come back.
        if answer.is_ok() {
            let mut idle = lock(&self.idle);
            if idle.len() < IDLE_READERS_MAX {
                idle.push(reader);
            }
        }
        answer
    }
}

/// Locks; what a panicking holder left is still whole, since it is only ever a cache.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
