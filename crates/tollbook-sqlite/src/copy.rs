//! Copies of a whole store: under the same key while it is in use, or under another.

use crate::connection::{self, FileKey};
use crate::fault::Db;
use crate::schema;
use rusqlite::Connection;
use rusqlite::backup::Backup;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::time::Duration;
use tollbook_store::StoreError;

/// Pages that are copied at once, and how long is waited where another process is in the way.
const PAGES: std::ffi::c_int = 1_000;
const WAIT: Duration = Duration::from_millis(10);
/// How a file begins that is not encrypted.
const PLAIN_START: &[u8; 16] = b"SQLite format 3\0";

/// Copies what a connection sees into the file at `to`, which is there and empty.
pub(crate) fn backup(from: &Connection, to: &Path, key: Option<&FileKey>) -> Result<(), StoreError> {
    let mut copy = Connection::open(to).db()?;
    connection::unlock(&copy, key)?;
    Backup::new(from, &mut copy).db()?.run_to_completion(PAGES, WAIT, None).db()
}

/// Whether a file is a store that is not encrypted.
pub fn is_plain(path: &Path) -> Result<bool, StoreError> {
    let mut start = [0; PLAIN_START.len()];
    match std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut start)) {
        Ok(()) => Ok(start == *PLAIN_START),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(StoreError::Io(format!("{}: {error}", path.display()))),
    }
}

/// Makes `to` of the store in `from`, each with a key or without: everything is read under the one
/// and written under the other. `to` must not be there; nothing is left of it on failure.
pub fn convert(
    from: &Path,
    from_key: Option<&FileKey>,
    to: &Path,
    to_key: Option<&FileKey>,
) -> Result<(), StoreError> {
    if to.exists() {
        return Err(StoreError::Io(format!("{} is there already", to.display())));
    }
    connection::make_private(to)?;
    let made = export(from, from_key, to, to_key).and_then(|()| {
        let synced = std::fs::File::open(to).and_then(|file| file.sync_all());
        synced.map_err(|error| StoreError::Io(format!("{}: {error}", to.display())))
    });
    if made.is_err() {
        // What is there is no store; that it cannot be removed changes nothing.
        let _ = std::fs::remove_file(to);
    }
    made
}

fn export(
    from: &Path,
    from_key: Option<&FileKey>,
    to: &Path,
    to_key: Option<&FileKey>,
) -> Result<(), StoreError> {
    let copy = Connection::open(to).db()?;
    connection::unlock(&copy, to_key)?;
    connection::prepare(&copy)?;
    let Some(from_name) = from.to_str() else {
        return Err(StoreError::Invalid(format!("{} has a name that is no text", from.display())));
    };
    let literal = from_key.map_or_else(String::new, FileKey::literal);
    copy.execute("ATTACH DATABASE ?1 AS origin KEY ?2", [from_name, &literal]).db()?;
    let format: i64 = copy.query_row("PRAGMA origin.user_version", [], |row| row.get(0)).db()?;
    let application: i32 = copy.query_row("PRAGMA origin.application_id", [], |row| row.get(0)).db()?;
    if application != schema::APPLICATION_ID {
        return Err(StoreError::Corrupt(format!("{} is not a Tollbook store", from.display())));
    }
    copy.query_row("SELECT sqlcipher_export('main', 'origin')", [], |_| Ok(())).db()?;
    copy.pragma_update(None, "application_id", application).db()?;
    copy.pragma_update(None, "user_version", format).db()?;
    copy.execute("DETACH DATABASE origin", []).db()?;
    copy.close().map_err(|(_, error)| error).db()
}
