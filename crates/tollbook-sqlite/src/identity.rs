//! Finding entries by identity, by id and by response id. The index only says where to look; what
//! is stored decides.

use crate::fault::Db;
use crate::key::local_key;
use crate::row::{RawRow, row_columns, seq_of, seq_value};
use crate::sealed::{collect, join_at};
use crate::terms::Shelves;
use rusqlite::{CachedStatement, Connection, Statement};
use tollbook_store::{IdentityRef, Known, ResponseRef, StoreError};
use tollbook_types::Seq;

/// An index from keys to records. Nearly every key has one record; further ones are its twins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Index {
    Identities,
    Responses,
}

impl Index {
    /// The statement that adds a record, and changes nothing when its key has one already.
    pub(crate) fn putting(self, connection: &Connection) -> Result<CachedStatement<'_>, StoreError> {
        let sql = match self {
            Index::Identities => "INSERT OR IGNORE INTO identities (key, seq) VALUES (?1, ?2)",
            Index::Responses => "INSERT OR IGNORE INTO responses (key, seq) VALUES (?1, ?2)",
        };
        connection.prepare_cached(sql).db()
    }

    /// The statement that tells whether a key has a record.
    fn asking(self, connection: &Connection) -> Result<CachedStatement<'_>, StoreError> {
        let sql = match self {
            Index::Identities => "SELECT 1 FROM identities WHERE key = ?1",
            Index::Responses => "SELECT 1 FROM responses WHERE key = ?1",
        };
        connection.prepare_cached(sql).db()
    }

    fn put_twin(self, connection: &Connection, key: i64, seq: i64) -> Result<(), StoreError> {
        let sql = match self {
            Index::Identities => "INSERT INTO identity_twins (key, seq) VALUES (?1, ?2)",
            Index::Responses => "INSERT INTO response_twins (key, seq) VALUES (?1, ?2)",
        };
        connection.prepare_cached(sql).db()?.execute([key, seq]).db()?;
        Ok(())
    }

    /// The statements for a key's first record and for its twins, oldest first.
    const fn reading(self) -> (&'static str, &'static str) {
        match self {
            Index::Identities => (
                "SELECT seq FROM identities WHERE key = ?1",
                "SELECT seq FROM identity_twins WHERE key = ?1 ORDER BY seq",
            ),
            Index::Responses => (
                "SELECT seq FROM responses WHERE key = ?1",
                "SELECT seq FROM response_twins WHERE key = ?1 ORDER BY seq",
            ),
        }
    }

    /// The records whose id has this key, oldest first.
    pub(crate) fn records(self, connection: &Connection, id: &str) -> Result<Vec<i64>, StoreError> {
        let key = local_key(id);
        let (first, twins) = self.reading();
        let mut records: Vec<i64> = collect(connection, first, [key], |row| row.get(0).db())?;
        if !records.is_empty() {
            records.extend(collect(connection, twins, [key], |row| row.get::<_, i64>(0).db())?);
        }
        Ok(records)
    }

    /// What the oldest record with this key gives that gives anything. Twins are read one by one and
    /// only as far as needed: a careless producer gives every call the same id.
    fn find_map<T>(
        self,
        connection: &Connection,
        id: &str,
        mut look: impl FnMut(i64) -> Result<Option<T>, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let key = local_key(id);
        let (first, twins) = self.reading();
        let mut is_first = true;
        for sql in [first, twins] {
            let mut statement = connection.prepare_cached(sql).db()?;
            let mut rows = statement.query([key]).db()?;
            while let Some(row) = rows.next().db()? {
                if let Some(found) = look(row.get(0).db()?)? {
                    return Ok(Some(found));
                }
                is_first = false;
            }
            if is_first {
                break;
            }
        }
        Ok(None)
    }

    /// Whether a record can be found by an id.
    pub(crate) fn has(self, connection: &Connection, id: &str, seq: i64) -> Result<bool, StoreError> {
        let main = match self {
            Index::Identities => "SELECT 1 FROM identities WHERE key = ?1 AND seq = ?2",
            Index::Responses => "SELECT 1 FROM responses WHERE key = ?1 AND seq = ?2",
        };
        let is_main = connection.prepare_cached(main).db()?.exists([local_key(id), seq]).db()?;
        Ok(is_main || self.records(connection, id)?.contains(&seq))
    }

    /// Takes a record out.
    pub(crate) fn drop(self, connection: &Connection, id: &str, seq: i64) -> Result<(), StoreError> {
        let key = local_key(id);
        let (main, twin, next) = match self {
            Index::Identities => (
                "DELETE FROM identities WHERE key = ?1 AND seq = ?2",
                "DELETE FROM identity_twins WHERE key = ?1 AND seq = ?2",
                "SELECT min(seq) FROM identity_twins WHERE key = ?1",
            ),
            Index::Responses => (
                "DELETE FROM responses WHERE key = ?1 AND seq = ?2",
                "DELETE FROM response_twins WHERE key = ?1 AND seq = ?2",
                "SELECT min(seq) FROM response_twins WHERE key = ?1",
            ),
        };
        if connection.prepare_cached(main).db()?.execute([key, seq]).db()? == 0 {
            connection.prepare_cached(twin).db()?.execute([key, seq]).db()?;
            return Ok(());
        }
        // A twin takes its place.
        let next: Option<i64> =
            connection.prepare_cached(next).db()?.query_row([key], |row| row.get(0)).db()?;
        if let Some(next) = next {
            connection.prepare_cached(twin).db()?.execute([key, next]).db()?;
            self.putting(connection)?.execute([key, next]).db()?;
        }
        Ok(())
    }
}

/// Remembers that a record brought an identity, unless the identity is known. `putting` is that of
/// [`Index::Identities`].
pub(crate) fn put_new_identity(
    connection: &Connection,
    putting: &mut Statement<'_>,
    shelves: &mut Shelves,
    identity: &IdentityRef<'_>,
    seq: Seq,
) -> Result<(), StoreError> {
    let (key, seq) = (local_key(identity.id), seq_value(seq)?);
    if putting.execute([key, seq]).db()? == 1 {
        return Ok(());
    }
    // Another record has the same key: the same identity, or by chance.
    if let Some(known) = find(connection, shelves, identity)? {
        let why = format!("the identity {:?} is known already, as entry {}", identity.id, known.entry);
        return Err(StoreError::Invalid(why));
    }
    Index::Identities.put_twin(connection, key, seq)
}

/// Remembers an entry's response id. `putting` is that of [`Index::Responses`].
pub(crate) fn put_response(
    connection: &Connection,
    putting: &mut Statement<'_>,
    id: &str,
    seq: Seq,
) -> Result<(), StoreError> {
    let (key, seq) = (local_key(id), seq_value(seq)?);
    if putting.execute([key, seq]).db()? == 1 {
        return Ok(());
    }
    Index::Responses.put_twin(connection, key, seq)
}

/// Runs `work` on the row of an entry, if there is one.
pub(crate) fn with_row<T>(
    connection: &Connection,
    seq: i64,
    work: impl FnOnce(&RawRow<'_>) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let sql = concat!("SELECT ", row_columns!(), " FROM entries e WHERE e.seq = ?1");
    let mut statement = connection.prepare_cached(sql).db()?;
    let mut rows = statement.query([seq]).db()?;
    rows.next().db()?.map(|row| work(&RawRow::read(row)?)).transpose()
}

/// What is known of each identity, in order.
pub(crate) fn find_all(
    connection: &Connection,
    shelves: &mut Shelves,
    identities: &[IdentityRef<'_>],
) -> Result<Vec<Option<Known>>, StoreError> {
    let mut is_there = Index::Identities.asking(connection)?;
    let one = |identity: &IdentityRef<'_>| match is_there.exists([local_key(identity.id)]).db()? {
        true => find(connection, shelves, identity),
        false => Ok(None),
    };
    identities.iter().map(one).collect()
}

/// The first entry with each response key, in order, with its source.
pub(crate) fn find_all_responses(
    connection: &Connection,
    shelves: &mut Shelves,
    keys: &[ResponseRef<'_>],
) -> Result<Vec<Option<(Seq, String)>>, StoreError> {
    let mut is_there = Index::Responses.asking(connection)?;
    let one = |key: &ResponseRef<'_>| match is_there.exists([local_key(key.response_id)]).db()? {
        true => find_response(connection, shelves, key),
        false => Ok(None),
    };
    keys.iter().map(one).collect()
}

/// What is known of an identity.
pub(crate) fn find(
    connection: &Connection,
    shelves: &mut Shelves,
    identity: &IdentityRef<'_>,
) -> Result<Option<Known>, StoreError> {
    Index::Identities.find_map(connection, identity.id, |seq| {
        let content = with_row(connection, seq, |row| {
            if !row.has_id(identity.id) || !row.is_of(connection, shelves, identity)? {
                return Ok(None);
            }
            row.content(connection, shelves).map(Some)
        })?;
        match content {
            Some(Some(content)) => Ok(Some(Known { entry: seq_of(seq)?, content, joined: false })),
            Some(None) => Ok(None),
            None => {
                let join = join_at(connection, seq)?.filter(|join| *identity == (&join.identity).into());
                Ok(join.map(|join| Known { entry: join.entry, content: join.content, joined: true }))
            }
        }
    })
}

/// The first entry with a response key, with its source.
fn find_response(
    connection: &Connection,
    shelves: &mut Shelves,
    key: &ResponseRef<'_>,
) -> Result<Option<(Seq, String)>, StoreError> {
    Index::Responses.find_map(connection, key.response_id, |seq| {
        let source = with_row(connection, seq, |row| {
            let event = row.entry(connection, shelves)?.event;
            Ok((ResponseRef::of(&event).as_ref() == Some(key)).then_some(event.source))
        })?;
        match source {
            Some(Some(source)) => Ok(Some((seq_of(seq)?, source))),
            _ => Ok(None),
        }
    })
}
