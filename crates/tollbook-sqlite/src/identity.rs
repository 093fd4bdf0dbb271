//! Finding entries by identity, by id and by response id. The index only says where to look; what
//! is stored decides.

use crate::fault::Db;
use crate::key::local_key;
use crate::row::{RawRow, row_columns, seq_of, seq_value};
use crate::sealed::{collect, join_at};
use crate::terms::Shelves;
use rusqlite::{Connection, params};
use tollbook_store::{Known, StoreError};
use tollbook_types::{Event, Identity, ResponseKey, Seq};

/// Remembers that a record brought an identity, unless the identity is known.
pub(crate) fn put_new_identity(
    connection: &Connection,
    shelves: &mut Shelves,
    identity: &IdentityRef<'_>,
    seq: Seq,
) -> Result<(), StoreError> {
    let values = [local_key(identity.id), seq_value(seq)?];
    let sql = "INSERT INTO identities (key, seq) SELECT ?1, ?2
        WHERE NOT EXISTS (SELECT 1 FROM identities WHERE key = ?1)";
    if connection.prepare_cached(sql).db()?.execute(values).db()? == 1 {
        return Ok(());
    }
    // Another record has the same key: the same identity, or by chance.
    if let Some(known) = find(connection, shelves, identity)? {
        let why = format!("the identity {:?} is known already, as entry {}", identity.id, known.entry);
        return Err(StoreError::Invalid(why));
    }
    let sql = "INSERT INTO identities (key, seq) VALUES (?1, ?2)";
    connection.prepare_cached(sql).db()?.execute(values).db()?;
    Ok(())
}

/// An identity that stands somewhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IdentityRef<'a> {
    pub project: Option<&'a str>,
    pub source: &'a str,
    pub id: &'a str,
}

impl<'a> From<&'a Identity> for IdentityRef<'a> {
    fn from(identity: &'a Identity) -> IdentityRef<'a> {
        IdentityRef { project: identity.project.as_deref(), source: &identity.source, id: &identity.id }
    }
}

impl<'a> From<&'a Event> for IdentityRef<'a> {
    fn from(event: &'a Event) -> IdentityRef<'a> {
        IdentityRef { project: event.attribution.project.as_deref(), source: &event.source, id: &event.id }
    }
}

impl PartialEq<Identity> for IdentityRef<'_> {
    fn eq(&self, other: &Identity) -> bool {
        let other = IdentityRef::from(other);
        (self.project, self.source, self.id) == (other.project, other.source, other.id)
    }
}

/// Remembers an entry's response id.
pub(crate) fn put_response(connection: &Connection, id: &str, seq: Seq) -> Result<(), StoreError> {
    let sql = "INSERT INTO responses (key, seq) VALUES (?1, ?2)";
    connection.prepare_cached(sql).db()?.execute(params![local_key(id), seq_value(seq)?]).db()?;
    Ok(())
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

/// The records whose identity has this id, perhaps with others.
pub(crate) fn candidates(connection: &Connection, id: &str) -> Result<Vec<i64>, StoreError> {
    let sql = "SELECT seq FROM identities WHERE key = ?1 ORDER BY seq";
    collect(connection, sql, [local_key(id)], |row| row.get(0).db())
}

/// What is known of an identity.
pub(crate) fn find(
    connection: &Connection,
    shelves: &mut Shelves,
    identity: &IdentityRef<'_>,
) -> Result<Option<Known>, StoreError> {
    for seq in candidates(connection, identity.id)? {
        let content = with_row(connection, seq, |row| {
            if !row.has_id(identity.id) || !row.is_of(connection, shelves, identity)? {
                return Ok(None);
            }
            row.content(connection, shelves).map(Some)
        })?;
        match content {
            Some(Some(content)) => return Ok(Some(Known { entry: seq_of(seq)?, content, joined: false })),
            Some(None) => {}
            None => {
                let join = join_at(connection, seq)?.filter(|join| *identity == join.identity);
                if let Some(join) = join {
                    return Ok(Some(Known { entry: join.entry, content: join.content, joined: true }));
                }
            }
        }
    }
    Ok(None)
}

/// The first entry with a response key, with its source.
pub(crate) fn find_response(
    connection: &Connection,
    shelves: &mut Shelves,
    key: &ResponseKey,
) -> Result<Option<(Seq, String)>, StoreError> {
    let sql = "SELECT seq FROM responses WHERE key = ?1 ORDER BY seq";
    for seq in collect(connection, sql, [local_key(&key.response_id)], |row| row.get::<_, i64>(0).db())? {
        let source = with_row(connection, seq, |row| {
            let event = row.entry(connection, shelves)?.event;
            Ok((event.response_key().as_ref() == Some(key)).then_some(event.source))
        })?;
        if let Some(Some(source)) = source {
            return Ok(Some((seq_of(seq)?, source)));
        }
    }
    Ok(None)
}
