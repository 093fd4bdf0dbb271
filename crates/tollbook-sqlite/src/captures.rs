//! Captured words in a file of their own, beside the store: dropping the file loses no figure.
//!
//! What is dropped is overwritten, and the log is emptied after it. This module must never know what
//! the words are, or whether they may be kept.

use crate::connection::{self, FileKey, Readers, lock};
use crate::fault::Db;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};
use std::path::Path;
use std::sync::Mutex;
use tollbook_store::{Captures, StoreError};
use tollbook_types::{Capture, Captured, Timestamp};

/// The form of the file.
const FORMAT: u32 = 1;
/// Frames of the log (4 KiB each) at which SQLite empties it by itself.
const LOG_FRAMES: u32 = 1_000;
/// Ids in one statement.
const IDS_AT_ONCE: usize = 500;

const SCHEMA: &str = "
    CREATE TABLE captures (
        id TEXT NOT NULL UNIQUE,
        at_micros INTEGER NOT NULL,
        user TEXT,
        project TEXT,
        prompt TEXT,
        prompt_is_cut INTEGER NOT NULL,
        answer TEXT,
        answer_is_cut INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX captures_at ON captures (at_micros);
    CREATE INDEX captures_user ON captures (user) WHERE user IS NOT NULL;
    PRAGMA user_version = 1;";

/// Captures in one SQLite file (with `-wal` and `-shm` beside it while it is open).
#[derive(Debug)]
pub struct SqliteCaptures {
    readers: Readers,
    /// Absent when the file was opened to be read.
    writer: Option<Mutex<Connection>>,
}

impl SqliteCaptures {
    /// Opens the file to write it; an absent one is made, for its owner's eyes only. There must be no other
    /// writer.
    pub fn open(path: &Path, key: Option<FileKey>) -> Result<SqliteCaptures, StoreError> {
        connection::check_library()?;
        let mut connection = connection::open_writer(path, true, key.as_ref())?;
        // Before anything is written: free places hold nothing then.
        connection.pragma_update(None, "secure_delete", true).db()?;
        let format = format(&connection)?;
        connection::begin_writing(&connection)?;
        let _: i64 = connection
            .query_row(&format!("PRAGMA wal_autocheckpoint = {LOG_FRAMES}"), [], |row| row.get(0))
            .db()?;
        if format == 0 {
            let transaction = connection.transaction().db()?;
            transaction.execute_batch(SCHEMA).db()?;
            transaction.commit().db()?;
        }
        Ok(SqliteCaptures { readers: Readers::new(path, key), writer: Some(Mutex::new(connection)) })
    }

    /// Opens the file to read it, also beside a process that writes it; `None` where there is none.
    pub fn open_read_only(path: &Path, key: Option<FileKey>) -> Result<Option<SqliteCaptures>, StoreError> {
        connection::check_library()?;
        if !path.try_exists().map_err(|error| StoreError::Io(error.to_string()))? {
            return Ok(None);
        }
        let captures = SqliteCaptures { readers: Readers::new(path, key), writer: None };
        // One that is being made has nothing yet.
        let format = captures.readers.read(|connection, _| format(connection))?;
        Ok((format != 0).then_some(captures))
    }

    fn write<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let Some(writer) = &self.writer else {
            return Err(StoreError::Invalid("the captures were opened to be read".to_owned()));
        };
        let mut connection = lock(writer);
        let transaction = connection.transaction().db()?;
        let done = work(&transaction).db()?;
        transaction.commit().db()?;
        Ok(done)
    }

    /// Drops some, and takes them out of the log.
    fn delete(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<usize>) -> Result<u64, StoreError> {
        let dropped = self.write(work)?;
        if let (true, Some(writer)) = (dropped > 0, &self.writer) {
            // A reader in the way leaves it to the next time.
            let _: i64 =
                lock(writer).query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).db()?;
        }
        Ok(dropped as u64)
    }
}

impl Captures for SqliteCaptures {
    fn put(&self, captures: &[Capture]) -> Result<(), StoreError> {
        self.write(|connection| {
            let mut insert = connection.prepare_cached(
                "INSERT INTO captures (id, at_micros, user, project, prompt, prompt_is_cut, answer, answer_is_cut)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
            )?;
            for capture in captures {
                let parts = |captured: &Option<Captured>| {
                    captured.as_ref().map_or((None, false), |c| (Some(c.text.clone()), c.is_cut))
                };
                let ((prompt, prompt_is_cut), (answer, answer_is_cut)) =
                    (parts(&capture.prompt), parts(&capture.answer));
                let at = capture.at.as_microsecond();
                let Capture { id, user, project, .. } = capture;
                insert
                    .execute(params![id, at, user, project, prompt, prompt_is_cut, answer, answer_is_cut])?;
            }
            Ok(())
        })
    }

    fn get(&self, id: &str) -> Result<Option<Capture>, StoreError> {
        self.readers.read(|connection, _| {
            let mut select = connection
                .prepare_cached(
                    "SELECT id, at_micros, user, project, prompt, prompt_is_cut, answer, answer_is_cut
                     FROM captures WHERE id = ?1",
                )
                .db()?;
            select.query_row([id], capture).optional().db()
        })
    }

    fn users(&self) -> Result<Vec<String>, StoreError> {
        self.readers.read(|connection, _| {
            let mut select = connection
                .prepare_cached("SELECT DISTINCT user FROM captures WHERE user IS NOT NULL")
                .db()?;
            let users = select.query_map([], |row| row.get(0)).db()?;
            users.collect::<rusqlite::Result<_>>().db()
        })
    }

    fn forget(&self, user: &str, project: Option<&str>, before: Timestamp) -> Result<u64, StoreError> {
        self.delete(|connection| {
            connection.execute(
                "DELETE FROM captures
                 WHERE user = ?1 AND (?2 IS NULL OR project = ?2) AND at_micros < ?3",
                params![user, project, before.as_microsecond()],
            )
        })
    }

    fn forget_calls(&self, ids: &[String]) -> Result<u64, StoreError> {
        self.delete(|connection| {
            let mut dropped = 0;
            for ids in ids.chunks(IDS_AT_ONCE) {
                let places = vec!["?"; ids.len()].join(", ");
                let statement = format!("DELETE FROM captures WHERE id IN ({places})");
                dropped += connection.execute(&statement, params_from_iter(ids))?;
            }
            Ok(dropped)
        })
    }

    fn drop_before(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.delete(|connection| {
            connection.execute("DELETE FROM captures WHERE at_micros < ?1", [before.as_microsecond()])
        })
    }

    fn bytes(&self) -> Result<u64, StoreError> {
        self.readers.read(|connection, _| {
            let number = |name: &str| -> rusqlite::Result<i64> {
                connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))
            };
            let used = number("page_count").db()?.saturating_sub(number("freelist_count").db()?);
            Ok(u64::try_from(used.saturating_mul(number("page_size").db()?)).unwrap_or_default())
        })
    }
}

/// The form of the file, 0 for an empty one; one that this build cannot read is refused.
fn format(connection: &Connection) -> Result<u32, StoreError> {
    let found: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).db()?;
    if found > FORMAT {
        return Err(StoreError::TooNew { found, known: FORMAT });
    }
    Ok(found)
}

fn capture(row: &Row<'_>) -> rusqlite::Result<Capture> {
    let at: i64 = row.get(1)?;
    let at = Timestamp::from_microsecond(at).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(1, at))?;
    let captured = |text: usize, is_cut: usize| -> rusqlite::Result<Option<Captured>> {
        let Some(text) = row.get::<_, Option<String>>(text)? else { return Ok(None) };
        Ok(Some(Captured { text, is_cut: row.get(is_cut)? }))
    };
    Ok(Capture {
        id: row.get(0)?,
        at,
        user: row.get(2)?,
        project: row.get(3)?,
        prompt: captured(4, 5)?,
        answer: captured(6, 7)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(id: &str, second: i64, user: Option<&str>, project: Option<&str>) -> Capture {
        Capture {
            id: id.to_owned(),
            at: Timestamp::from_second(second).unwrap(),
            user: user.map(str::to_owned),
            project: project.map(str::to_owned),
            prompt: Some(Captured { text: format!("asked by {id}"), is_cut: true }),
            answer: None,
        }
    }

    /// Whether a text stands in any file of a directory.
    fn stands(dir: &Path, text: &str) -> bool {
        std::fs::read_dir(dir).unwrap().any(|file| {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            bytes.windows(text.len()).any(|window| window == text.as_bytes())
        })
    }

    #[test]
    fn captures_are_found_and_leave_no_trace_when_they_go() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("captures.db");
        assert!(SqliteCaptures::open_read_only(&path, None).unwrap().is_none(), "there is none yet");
        let captures = SqliteCaptures::open(&path, None).unwrap();
        let all = [
            of("a", 10, Some("ann"), Some("web")),
            of("b", 20, Some("ann"), Some("lab")),
            of("c", 30, Some("ann"), None),
            of("d", 10, Some("bob"), Some("web")),
            of("e", 10, None, None),
        ];
        captures.put(&all).unwrap();
        captures.put(&[of("a", 99, Some("zed"), None)]).unwrap();
        let reader = SqliteCaptures::open_read_only(&path, None).unwrap().unwrap();
        assert!(reader.put(&all).is_err(), "who reads does not write");
        let left = || -> Vec<String> {
            let ids = all.iter().map(|capture| capture.id.as_str());
            let found = ids.filter_map(|id| reader.get(id).unwrap());
            found.map(|capture| capture.id).collect()
        };
        for capture in &all {
            assert_eq!(reader.get(&capture.id).unwrap().as_ref(), Some(capture));
        }
        assert_eq!(reader.get("f").unwrap(), None);
        assert_eq!(captures.users().unwrap(), ["ann", "bob"]);
        assert!(captures.bytes().unwrap() > 4_096);

        let at = |second| Timestamp::from_second(second).unwrap();
        type Drop<'a> = &'a dyn Fn() -> Result<u64, StoreError>;
        let steps: [(&str, Drop<'_>, u64, &[&str]); 5] = [
            ("another project", &|| captures.forget("ann", Some("x"), at(99)), 0, &["a", "b", "c", "d", "e"]),
            ("one project", &|| captures.forget("ann", Some("web"), at(99)), 1, &["b", "c", "d", "e"]),
            ("up to an instant", &|| captures.forget("ann", None, at(30)), 1, &["c", "d", "e"]),
            ("by id", &|| captures.forget_calls(&["e".to_owned(), "z".to_owned()]), 1, &["c", "d"]),
            ("by age", &|| captures.drop_before(at(30)), 1, &["c"]),
        ];
        for (what, drop, dropped, rest) in steps {
            assert_eq!(
                (drop().unwrap(), left()),
                (dropped, rest.iter().map(|id| (*id).to_owned()).collect()),
                "{what}"
            );
        }
        drop(reader);
        captures.forget("ann", None, at(99)).unwrap();
        assert!(!stands(dir.path(), "asked by"), "what is dropped is overwritten, in the log, too");
    }

    #[test]
    fn a_newer_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("captures.db");
        drop(SqliteCaptures::open(&path, None).unwrap());
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 2).unwrap();
        let found = SqliteCaptures::open(&path, None);
        assert!(matches!(found, Err(StoreError::TooNew { found: 2, known: 1 })), "{found:?}");
        assert!(SqliteCaptures::open_read_only(&path, None).is_err());
    }
}
