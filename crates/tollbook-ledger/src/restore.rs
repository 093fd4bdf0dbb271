//! `restore`: a backup put in place of the store, and brought up to date from the kept journal.

use crate::dir::{DataDir, DirLock};
use crate::error::{LedgerError, at};
use crate::journal::{self, Survey};
use std::path::{Path, PathBuf};
use tollbook_store::Position;
use tollbook_types::Seq;

/// What a restore put in place. The journal is applied when the ledger is next opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The last record in the backup.
    pub applied: Seq,
    /// The last record in the journal.
    pub journal_last: Seq,
    /// Where the store that was there before is now.
    pub moved_to: Option<PathBuf>,
}

/// Puts a backup in place of the store. `inspect` opens the backup and says its position. Refused
/// when the journal does not follow on the backup or belongs to another ledger.
pub fn restore(
    _lock: &DirLock,
    dir: &DataDir,
    backup: &Path,
    inspect: impl Fn(&Path) -> Result<Position, LedgerError>,
) -> Result<Restored, LedgerError> {
    let position = inspect(backup)?;
    let survey = journal::read(&dir.journal(), |_| Ok::<(), LedgerError>(()))?;
    if let Some(journal) = survey.ledger.as_ref().filter(|journal| **journal != position.ledger_id) {
        return Err(LedgerError::Foreign { journal: journal.clone(), store: position.ledger_id });
    }
    if let Some(oldest) = survey.first.filter(|oldest| *oldest > position.applied + 1) {
        return Err(LedgerError::StoreBehind { applied: position.applied, oldest });
    }
    let incoming = dir.path().join("store.incoming");
    std::fs::copy(backup, &incoming).map_err(at(backup))?;
    std::fs::File::open(&incoming).and_then(|file| file.sync_all()).map_err(at(&incoming))?;
    let moved_to = move_store_aside(dir)?;
    std::fs::rename(&incoming, dir.store()).map_err(at(&incoming))?;
    journal::sync_dir(dir.path())?;
    Ok(Restored { applied: position.applied, journal_last: survey.last.unwrap_or(0), moved_to })
}

/// Prepares for a store made anew from the whole journal: moves what is there aside. The caller then
/// makes an empty store with the returned ledger id and opens the ledger. Refused unless the journal
/// reaches back to its first record.
pub fn restore_from_journal(_lock: &DirLock, dir: &DataDir) -> Result<(String, Restored), LedgerError> {
    let survey: Survey = journal::read(&dir.journal(), |_| Ok::<(), LedgerError>(()))?;
    let (Some(ledger), Some(first), Some(last)) = (survey.ledger, survey.first, survey.last) else {
        return Err(LedgerError::Invalid("there is no journal to restore from".to_owned()));
    };
    if first != 1 {
        return Err(LedgerError::StoreBehind { applied: 0, oldest: first });
    }
    if !survey.missing.is_empty() || !survey.known_lost.is_empty() {
        return Err(LedgerError::Invalid(
            "the journal is damaged in the middle: a store made from it would lack calls; use a backup"
                .to_owned(),
        ));
    }
    let moved_to = move_store_aside(dir)?;
    Ok((ledger, Restored { applied: 0, journal_last: last, moved_to }))
}

fn move_store_aside(dir: &DataDir) -> Result<Option<PathBuf>, LedgerError> {
    let store = dir.store();
    if !store.exists() {
        remove_sidecars(&store)?;
        return Ok(None);
    }
    let free = (1..).map(|n| dir.path().join(format!("store.replaced-{n}.db"))).find(|path| !path.exists());
    let aside = free.unwrap_or_else(|| dir.path().join("store.replaced.db"));
    for suffix in ["-wal", "-shm"] {
        let (from, to) = (with_suffix(&store, suffix), with_suffix(&aside, suffix));
        if from.exists() {
            std::fs::rename(&from, &to).map_err(at(&from))?;
        }
    }
    std::fs::rename(&store, &aside).map_err(at(&store))?;
    Ok(Some(aside))
}

/// A log left beside a store that is gone would be taken for the new one's.
fn remove_sidecars(store: &Path) -> Result<(), LedgerError> {
    for suffix in ["-wal", "-shm"] {
        let path = with_suffix(store, suffix);
        if path.exists() {
            std::fs::remove_file(&path).map_err(at(&path))?;
        }
    }
    Ok(())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
