//! `tollbook restore`: a backup, or the whole journal, in place of the store.

use crate::cli::RestoreArgs;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::open;
use crate::out::Out;
use serde_json::json;
use std::path::{Path, PathBuf};
use tollbook_ledger::{Act, By, DataDir, DirLock, LedgerError, Restored};
use tollbook_sqlite::FileKey;

pub fn run(args: &RestoreArgs, config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    let lock = open::lock(config)?;
    let dir = open::dir_to_write(config, &lock, args.file.as_deref())?;
    let restored = match &args.file {
        Some(backup) => put_in_place(config, &lock, &dir, backup)?,
        None => {
            let (ledger_id, restored) = tollbook_ledger::restore_from_journal(&lock, &dir)?;
            drop(open::open_store(config, &dir, Some(&ledger_id))?);
            restored
        }
    };
    let ledger = open::open_locked(config, lock, out)?;
    if args.from_journal {
        ledger.store().sync()?;
    } else {
        ledger.seal_backup(restored.applied)?;
    }
    let position = ledger.store().position()?;
    ledger.audit(&By::local(), Act::new("store.restore").told("from", restored.applied))?;
    ledger.close()?;
    if out.json {
        out.json(&json!({
            "from": restored.applied, "journal_last": restored.journal_last, "applied": position.applied,
            "replaced_store": restored.moved_to,
        }))?;
        return Ok(Exit::Ok);
    }
    out.line(&format!("the store has everything up to journal record {}", position.applied))?;
    if let Some(path) = restored.moved_to {
        out.line(&format!("the store that was there before is now {}", path.display()))?;
    }
    out.note("run `tollbook verify` to compare it with the journal");
    Ok(Exit::Ok)
}

/// Puts a backup in place, under the key of the directory, whatever it was made under.
fn put_in_place(config: &Config, lock: &DirLock, dir: &DataDir, backup: &Path) -> Result<Restored, Failure> {
    let key = open::store_key(dir)?;
    let inspect = |path: &Path| open::inspect(path, key.clone());
    match made_under(config, &key, backup)? {
        Under::Same => Ok(tollbook_ledger::restore(lock, dir, backup, inspect)?),
        Under::Other(other) => {
            let converted = Converted(dir.path().join("store.converted"));
            let _ = std::fs::remove_file(&converted.0);
            tollbook_sqlite::convert(backup, other.as_ref(), &converted.0, key.as_ref())?;
            Ok(tollbook_ledger::restore(lock, dir, &converted.0, inspect)?)
        }
    }
}

/// What a backup is encrypted with.
enum Under {
    /// As the directory is.
    Same,
    /// With another key, or not at all.
    Other(Option<FileKey>),
}

fn made_under(config: &Config, key: &Option<FileKey>, backup: &Path) -> Result<Under, Failure> {
    let is_plain = tollbook_sqlite::is_plain(backup)?;
    match (&config.encryption, key) {
        (Some(secret), Some(_)) if !is_plain => {
            // An older key wrapped the same one: then what is beside the backup is not needed.
            if open::inspect(backup, key.clone()).is_ok() {
                return Ok(Under::Same);
            }
            match DataDir::key_of_backup(backup, secret)? {
                Some(other) => Ok(Under::Other(Some(FileKey::new(other.for_store()?)))),
                None => Err(Failure::new(format!("{} is encrypted with another key", backup.display()))
                    .hint("put the `.key` file that was written with it beside it")),
            }
        }
        (_, Some(_)) => Ok(Under::Other(None)),
        _ if !is_plain && DataDir::has_key_beside(backup) => {
            Err(LedgerError::Encrypted(backup.to_owned()).into())
        }
        _ => Ok(Under::Same),
    }
}

/// A copy that goes once it is no longer needed.
struct Converted(PathBuf);

impl Drop for Converted {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
