//! Opening the books: to read, beside whoever writes, or to write, as the only one.

use crate::clock::SystemClock;
use crate::config::Config;
use crate::failure::Failure;
use crate::out::Out;
use crate::prices;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tollbook_ledger::budgets::BudgetError;
use tollbook_ledger::{DataDir, DirLock, Ledger, LedgerError, journal};
use tollbook_sqlite::{Bounds, FileKey, Options, SqliteCaptures, SqliteStore};
use tollbook_store::{EventStore, Position, Store, StoreError};
use tollbook_types::{CardId, RateCard, limits};

/// The books, for reading.
pub type Books = Arc<dyn Store>;

/// The data directory that is configured, opened with its key if it has one.
pub fn dir(config: &Config) -> Result<DataDir, Failure> {
    if let Some(dir) = config.opened.get() {
        return Ok(dir.clone());
    }
    Ok(opened(config, DataDir::open(&config.data_dir.value, config.encryption.as_ref())?))
}

/// As [`dir`], for who is about to write: books that are begun with a key are encrypted ones, as
/// the backup is that they are restored from, if they are.
pub fn dir_to_write(config: &Config, lock: &DirLock, backup: Option<&Path>) -> Result<DataDir, Failure> {
    let dir = dir(config)?;
    match &config.encryption {
        Some(secret) if dir.key().is_none() => Ok(opened(config, dir.encrypted(lock, secret, backup)?)),
        _ => Ok(dir),
    }
}

/// Takes the right to write in the data directory.
pub fn lock(config: &Config) -> Result<DirLock, LedgerError> {
    DataDir::new(&config.data_dir.value).lock()
}

/// Keeps an encrypted directory: opening it again would take as long.
fn opened(config: &Config, dir: DataDir) -> DataDir {
    if dir.key().is_some() {
        let _ = config.opened.set(dir.clone());
    }
    dir
}

/// The key of the store in a data directory, if it has one.
pub fn store_key(dir: &DataDir) -> Result<Option<FileKey>, LedgerError> {
    dir.key().map(|key| Ok(FileKey::new(key.for_store()?))).transpose()
}

/// Opens the store of a data directory to read it.
pub fn reading(dir: &DataDir) -> Result<SqliteStore, Failure> {
    let bounds = Bounds { rows_max: limits::RAW_ROWS_MAX, time_max: None };
    Ok(SqliteStore::open_sealed(&dir.store(), bounds, store_key(dir)?)?)
}

/// Opens the books to read them. What another process records meanwhile is seen by later queries.
/// Where nobody writes and the journal is ahead of the store, the store is brought up to date first.
pub fn read(config: &Config, out: &mut Out) -> Result<Books, Failure> {
    let dir = dir(config)?;
    let is_ahead = |applied: u64| -> Result<bool, Failure> {
        Ok(journal::newest(&dir.journal())?.is_some_and(|newest| newest > applied))
    };
    if !dir.store().exists() {
        if !has_journal(&dir)? {
            return Err(Failure::new(format!("there is nothing in {} yet", dir.path().display()))
                .hint("record something first: `tollbook import FORMAT PATH`; or name another --data-dir"));
        }
        return Err(missing_store(&dir)?);
    }
    let store = reading(&dir)?;
    if !is_ahead(store.position()?.applied)? {
        return Ok(Arc::new(store));
    }
    match dir.lock() {
        // Its owner is about to apply it.
        Err(LedgerError::Locked { .. }) => Ok(Arc::new(store)),
        Err(error) => Err(error.into()),
        Ok(lock) => {
            drop(store);
            open_locked(config, lock, out)?.close()?;
            Ok(Arc::new(reading(&dir)?))
        }
    }
}

/// Opens the books to write in them, as the only process.
pub fn write(config: &Config, out: &mut Out) -> Result<Ledger, Failure> {
    let lock = lock(config)?;
    open_locked(config, lock, out)
}

/// As [`write`], with further prices of the program's own before the user's.
pub fn write_with(config: &Config, out: &mut Out, prices: Option<&str>) -> Result<Ledger, Failure> {
    let ledger = write(config, out)?;
    if let Some(text) = prices {
        let book = ledger.base_book().with_override_file("prices of the demo", text);
        let book = book.map_err(|problems| Failure::config(prices::words(&problems)))?;
        for problem in ledger.set_book(Arc::new(book)) {
            out.note(&format!("a price is not in force: {problem}"));
        }
    }
    Ok(ledger)
}

/// Opens the books whose lock is taken.
pub fn open_locked(config: &Config, lock: DirLock, out: &mut Out) -> Result<Ledger, Failure> {
    let dir = dir_to_write(config, &lock, None)?;
    if !dir.store().exists() && has_journal(&dir)? {
        return Err(missing_store(&dir)?);
    }
    let store = open_store(config, &dir, None)?;
    let captures = open_captures(config, &dir)?;
    let book = prices::base(config)?;
    let options = tollbook_ledger::Options {
        durability: config.durability.value,
        segment_bytes: config.segment_bytes.value,
    };
    let (ledger, report) = Ledger::open(lock, dir, Arc::new(store), book, Arc::new(SystemClock), options)?;
    if let Some(captures) = captures {
        ledger.keep_captures(Arc::new(captures))?;
    }
    if report.replayed > 0 {
        out.note(&format!("applied {} journal records that the store lacked", report.replayed));
    }
    if report.interrupted > 0 {
        out.note(&format!(
            "{} calls were open when the last process ended: their usage is unknown",
            report.interrupted
        ));
    }
    for note in &report.notes {
        out.note(note);
    }
    Ok(ledger)
}

/// Opens the file of captured words to write in it; one that is there also where nothing is captured any
/// more, since what is in it goes with its time and its person.
fn open_captures(config: &Config, dir: &DataDir) -> Result<Option<SqliteCaptures>, Failure> {
    let path = dir.captures();
    if !config.capture.enabled && !path.exists() {
        return Ok(None);
    }
    Ok(Some(SqliteCaptures::open(&path, captures_key(dir)?)?))
}

/// The captured words, for reading, if there are any.
pub fn captured(config: &Config) -> Result<Option<SqliteCaptures>, Failure> {
    let dir = dir(config)?;
    Ok(SqliteCaptures::open_read_only(&dir.captures(), captures_key(&dir)?)?)
}

fn captures_key(dir: &DataDir) -> Result<Option<FileKey>, LedgerError> {
    dir.key().map(|key| Ok(FileKey::new(key.for_captures()?))).transpose()
}

/// Puts the recorded budgets and those of the configuration in force.
pub fn enforce_budgets(ledger: &Ledger, config: &Config) -> Result<(), Failure> {
    let zone = config.zone();
    let failed = |error: BudgetError| match error {
        BudgetError::Ledger(error) => Failure::from(error),
        error => Failure::new(format!("a budget cannot be put in force: {error}")),
    };
    ledger.load_budgets(&zone).map_err(failed)?;
    for set in &config.rate_limits {
        ledger.configure_rate_limit(set.value.clone()).map_err(failed)?;
    }
    config
        .budgets
        .iter()
        .try_for_each(|set| ledger.configure_budget(set.value.clone(), &zone).map_err(failed))
}

/// Opens the store's file to write in it; an absent one is made, with this ledger's name if given.
pub fn open_store(config: &Config, dir: &DataDir, ledger_id: Option<&str>) -> Result<SqliteStore, Failure> {
    let path = &dir.store();
    // Made before the store is, so that nobody else can ever read it.
    let _ = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let name = ledger_id.map_or_else(|| uuid::Uuid::now_v7().to_string(), str::to_owned);
    let options = Options::creating(config.time_zone.value.zone.clone(), name);
    Ok(SqliteStore::open(path, Options { key: store_key(dir)?, ..options })?)
}

/// The books of a ledger that is open, for questions of whoever may ask a server: none of them may
/// take more than its share.
pub fn asked(config: &Config) -> Result<Books, Failure> {
    let time_max = Duration::from_secs(limits::QUESTION_SECONDS_MAX);
    let bounds = Bounds { rows_max: limits::QUESTION_ROWS_MAX, time_max: Some(time_max) };
    let dir = dir(config)?;
    Ok(Arc::new(SqliteStore::open_sealed(&dir.store(), bounds, store_key(&dir)?)?))
}

/// How far a backup has come.
pub fn inspect(path: &Path, key: Option<FileKey>) -> Result<Position, LedgerError> {
    let bounds = Bounds { rows_max: limits::RAW_ROWS_MAX, time_max: None };
    let open = || -> Result<Position, StoreError> { SqliteStore::open_sealed(path, bounds, key)?.position() };
    Ok(open()?)
}

fn has_journal(dir: &DataDir) -> Result<bool, Failure> {
    Ok(journal::newest(&dir.journal())?.is_some())
}

fn missing_store(dir: &DataDir) -> Result<Failure, Failure> {
    let survey = journal::read(&dir.journal(), |_| Ok::<(), LedgerError>(()))?;
    Ok(LedgerError::StoreMissing {
        store: dir.store(),
        first: survey.first.unwrap_or(0),
        last: survey.last.unwrap_or(0),
    }
    .into())
}

/// A recorded rate card.
pub fn card(store: &dyn Store, id: CardId) -> Result<Option<RateCard>, Failure> {
    Ok(tollbook_api::card(store, id)?)
}
