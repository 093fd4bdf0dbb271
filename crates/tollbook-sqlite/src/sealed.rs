//! Small documents in rows of their own, each with a checksum: adjustments, joins, open calls,
//! controls, gaps, seals.

use crate::amount::SqlAmount;
use crate::fault::Db;
use crate::row::{instant, micros, seq_of, seq_value};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::borrow::Borrow;
use std::sync::Arc;
use tollbook_store::{Control, Gap, Join, Seal, StoreError};
use tollbook_types::{Adjustment, Content, Digest, Erasure, Identity, OpenCall, Seq};

/// A checksum over parts and where they end.
pub(crate) fn checksum(parts: &[&[u8]]) -> i64 {
    let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
        bytes.extend_from_slice(part);
    }
    Digest::of(&bytes).short().cast_signed()
}

fn json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Invalid(error.to_string()))
}

fn parsed<T: DeserializeOwned>(body: &str, what: &str, seq: i64) -> Result<T, StoreError> {
    serde_json::from_str(body).map_err(|_| wrong(what, seq))
}

fn wrong(what: &str, seq: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(format!("{what} {seq} is damaged"))
}

/// Reads all rows of a statement.
pub(crate) fn collect<T>(
    connection: &Connection,
    sql: &'static str,
    values: impl rusqlite::Params,
    mut read: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = connection.prepare_cached(sql).db()?;
    let mut rows = statement.query(values).db()?;
    let mut all = Vec::new();
    while let Some(row) = rows.next().db()? {
        all.push(read(row)?);
    }
    Ok(all)
}

/// An adjustment with the position and digest of its record.
pub(crate) type Adjusted = (Seq, Digest, Adjustment);

pub(crate) fn put_adjustment(
    connection: &Connection,
    seq: Seq,
    digest: Digest,
    adjustment: &Adjustment,
    occurred: i64,
) -> Result<(), StoreError> {
    let (seq, entry) = (seq_value(seq)?, seq_value(adjustment.entry)?);
    let body = json(adjustment)?;
    let sum = adjustment_sum(seq, occurred, &digest.0, &body);
    let sql = "INSERT INTO adjustments (seq, entry, version, occurred, at, run, digest, body, sum)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let at = micros(adjustment.at);
    let values = params![seq, entry, adjustment.version, occurred, at, adjustment.run, digest.0, body, sum];
    connection.prepare_cached(sql).db()?.execute(values).db()?;
    Ok(())
}

fn adjustment_sum(seq: i64, occurred: i64, digest: &[u8], body: &str) -> i64 {
    checksum(&[b"adjustment", &seq.to_le_bytes(), &occurred.to_le_bytes(), digest, body.as_bytes()])
}

macro_rules! adjustment_columns {
    () => {
        "SELECT seq, entry, version, occurred, at, run, digest, body, sum FROM adjustments "
    };
}

fn adjustment(row: &Row<'_>) -> Result<Adjusted, StoreError> {
    let seq: i64 = row.get(0).db()?;
    let damaged = || wrong("adjustment", seq);
    let digest: [u8; 16] = row.get(6).map_err(|_| damaged())?;
    let body: String = row.get(7).map_err(|_| damaged())?;
    let sum: i64 = row.get(8).db()?;
    if adjustment_sum(seq, row.get(3).db()?, &digest, &body) != sum {
        return Err(damaged());
    }
    let read: Adjustment = parsed(&body, "adjustment", seq)?;
    let columns: (i64, u32, i64, Option<String>) = (
        row.get(1).db()?,
        row.get(2).map_err(|_| damaged())?,
        row.get(4).db()?,
        row.get(5).map_err(|_| damaged())?,
    );
    if columns != (seq_value(read.entry)?, read.version, micros(read.at), read.run.clone()) {
        return Err(damaged());
    }
    Ok((seq_of(seq)?, Digest(digest), read))
}

/// All adjustments of an entry, oldest first.
pub(crate) fn adjustments_of(connection: &Connection, entry: Seq) -> Result<Vec<Adjusted>, StoreError> {
    let sql = concat!(adjustment_columns!(), "WHERE entry = ?1 ORDER BY version");
    collect(connection, sql, [seq_value(entry)?], adjustment)
}

/// The latest adjustment of an entry that was made at or before an instant in microseconds.
pub(crate) fn adjustment_at(
    connection: &Connection,
    entry: Seq,
    at: i64,
) -> Result<Option<Adjusted>, StoreError> {
    let sql = concat!(adjustment_columns!(), "WHERE entry = ?1 AND at <= ?2 ORDER BY version DESC LIMIT 1");
    Ok(collect(connection, sql, params![seq_value(entry)?, at], adjustment)?.pop())
}

/// Hands every adjustment to `each`, in order of position.
pub(crate) fn each_adjustment(
    connection: &Connection,
    mut each: impl FnMut(Result<Adjusted, StoreError>),
) -> Result<(), StoreError> {
    let sql = concat!(adjustment_columns!(), "ORDER BY seq");
    collect(connection, sql, [], |row| {
        each(adjustment(row));
        Ok(())
    })
    .map(drop)
}

pub(crate) fn put_join(connection: &Connection, join: &Join) -> Result<(), StoreError> {
    let (seq, entry) = (seq_value(join.seq)?, seq_value(join.entry)?);
    let body = json(&(&join.identity, join.content))?;
    let sum = join_sum(seq, entry, &body);
    let sql = "INSERT INTO joins (seq, entry, body, sum) VALUES (?1, ?2, ?3, ?4)";
    connection.prepare_cached(sql).db()?.execute(params![seq, entry, body, sum]).db()?;
    Ok(())
}

fn join_sum(seq: i64, entry: i64, body: &str) -> i64 {
    checksum(&[b"join", &seq.to_le_bytes(), &entry.to_le_bytes(), body.as_bytes()])
}

fn join(row: &Row<'_>) -> Result<Join, StoreError> {
    let (seq, entry): (i64, i64) = (row.get(0).db()?, row.get(1).db()?);
    let body: String = row.get(2).map_err(|_| wrong("join", seq))?;
    if join_sum(seq, entry, &body) != row.get::<_, i64>(3).db()? {
        return Err(wrong("join", seq));
    }
    let (identity, content): (Identity, Content) = parsed(&body, "join", seq)?;
    Ok(Join { seq: seq_of(seq)?, identity, content, entry: seq_of(entry)? })
}

/// The joined identities of an entry, oldest first.
pub(crate) fn joins_of(connection: &Connection, entry: Seq) -> Result<Vec<Join>, StoreError> {
    let sql = "SELECT seq, entry, body, sum FROM joins WHERE entry = ?1 ORDER BY seq";
    collect(connection, sql, [seq_value(entry)?], join)
}

/// The join of a record.
pub(crate) fn join_at(connection: &Connection, seq: i64) -> Result<Option<Join>, StoreError> {
    let sql = "SELECT seq, entry, body, sum FROM joins WHERE seq = ?1";
    Ok(collect(connection, sql, [seq], join)?.pop())
}

/// Hands every join to `each`.
pub(crate) fn each_join(
    connection: &Connection,
    mut each: impl FnMut(Result<Join, StoreError>),
) -> Result<(), StoreError> {
    collect(connection, "SELECT seq, entry, body, sum FROM joins ORDER BY seq", [], |row| {
        each(join(row));
        Ok(())
    })
    .map(drop)
}

/// Puts another form of an adjustment in its place, under the digest of its record.
pub(crate) fn replace_adjustment(
    connection: &Connection,
    seq: Seq,
    adjustment: &Adjustment,
) -> Result<(), StoreError> {
    let (seq, body) = (seq_value(seq)?, json(adjustment)?);
    let sql = "SELECT occurred, digest FROM adjustments WHERE seq = ?1";
    let (occurred, digest): (i64, [u8; 16]) =
        connection.prepare_cached(sql).db()?.query_row([seq], |row| Ok((row.get(0)?, row.get(1)?))).db()?;
    let sum = adjustment_sum(seq, occurred, &digest, &body);
    let sql = "UPDATE adjustments SET body = ?2, sum = ?3 WHERE seq = ?1";
    connection.prepare_cached(sql).db()?.execute(params![seq, body, sum]).db().map(drop)
}

/// Puts another identity in the place of a join's.
pub(crate) fn replace_join(connection: &Connection, join: &Join) -> Result<(), StoreError> {
    let seq = seq_value(join.seq)?;
    connection.prepare_cached("DELETE FROM joins WHERE seq = ?1").db()?.execute([seq]).db()?;
    put_join(connection, join)
}

/// Remembers the digest of what an entry holds that is no longer all that its record says.
pub(crate) fn put_altered(connection: &Connection, seq: i64, digest: Digest) -> Result<(), StoreError> {
    let sql = "INSERT OR REPLACE INTO altered (seq, digest) VALUES (?1, ?2)";
    connection.prepare_cached(sql).db()?.execute(params![seq, digest.0]).db().map(drop)
}

/// The digest of what an entry holds, if that is not all that its record says.
pub(crate) fn altered_digest(connection: &Connection, seq: i64) -> Result<Option<Digest>, StoreError> {
    let sql = "SELECT digest FROM altered WHERE seq = ?1";
    let found = connection.prepare_cached(sql).db()?.query_row([seq], |row| row.get(0)).optional();
    found.map(|digest| digest.map(Digest)).map_err(|_| wrong("the digest of entry", seq))
}

/// The entries in a range that hold less than their records say.
pub(crate) fn altered(connection: &Connection, first: i64, last: i64) -> Result<Vec<Seq>, StoreError> {
    let sql = "SELECT seq FROM altered WHERE seq BETWEEN ?1 AND ?2 ORDER BY seq";
    collect(connection, sql, [first, last], |row| seq_of(row.get(0).db()?))
}

fn erasure_sum(seq: i64, body: &str) -> i64 {
    checksum(&[b"erasure", &seq.to_le_bytes(), body.as_bytes()])
}

/// Remembers that an erasure was applied, and that what it took out is still to be overwritten.
pub(crate) fn put_erasure(connection: &Connection, seq: Seq, erasure: &Erasure) -> Result<(), StoreError> {
    let (seq, body) = (seq_value(seq)?, json(erasure)?);
    let sql = "INSERT INTO erasures (id, seq, body, sum, scrubbed) VALUES (?1, ?2, ?3, ?4, 0)";
    let values = params![erasure.id, seq, body, erasure_sum(seq, &body)];
    connection.prepare_cached(sql).db()?.execute(values).db().map(drop)
}

/// Whether an erasure was applied.
pub(crate) fn has_erasure(connection: &Connection, id: &str) -> Result<bool, StoreError> {
    connection.prepare_cached("SELECT 1 FROM erasures WHERE id = ?1").db()?.exists([id]).db()
}

/// The erasures that were applied, in order of their records.
pub(crate) fn erasures(connection: &Connection) -> Result<Vec<Arc<Erasure>>, StoreError> {
    collect(connection, "SELECT seq, body, sum FROM erasures ORDER BY seq, id", [], |row| {
        let seq: i64 = row.get(0).db()?;
        let body: String = row.get(1).map_err(|_| wrong("erasure", seq))?;
        if erasure_sum(seq, &body) != row.get::<_, i64>(2).db()? {
            return Err(wrong("erasure", seq));
        }
        parsed(&body, "erasure", seq).map(Arc::new)
    })
}

/// Whether what an erasure took out is still to be overwritten.
pub(crate) fn is_unscrubbed(connection: &Connection) -> Result<bool, StoreError> {
    connection.prepare_cached("SELECT 1 FROM erasures WHERE scrubbed = 0").db()?.exists([]).db()
}

/// Notes that everything taken out so far is overwritten.
pub(crate) fn note_scrubbed(connection: &Connection) -> Result<(), StoreError> {
    let sql = "UPDATE erasures SET scrubbed = 1 WHERE scrubbed = 0";
    connection.prepare_cached(sql).db()?.execute([]).db().map(drop)
}

pub(crate) fn put_open(connection: &Connection, seq: Seq, call: &OpenCall) -> Result<(), StoreError> {
    let (seq, body) = (seq_value(seq)?, json(call)?);
    let sum = checksum(&[b"open", &seq.to_le_bytes(), body.as_bytes()]);
    let sql = "INSERT INTO opens (seq, body, sum) VALUES (?1, ?2, ?3)";
    connection.prepare_cached(sql).db()?.execute(params![seq, body, sum]).db()?;
    Ok(())
}

pub(crate) fn take_open(connection: &Connection, seq: i64) -> Result<(), StoreError> {
    connection.prepare_cached("DELETE FROM opens WHERE seq = ?1").db()?.execute([seq]).db()?;
    Ok(())
}

/// Open calls with their positions, oldest first.
pub(crate) fn opens(connection: &Connection) -> Result<Vec<(Seq, OpenCall)>, StoreError> {
    collect(connection, OPENS, [], open)
}

/// As [`opens`], without those that are damaged: nobody can tell whose they are.
pub(crate) fn sound_opens(connection: &Connection) -> Result<Vec<(Seq, OpenCall)>, StoreError> {
    let all = collect(connection, OPENS, [], |row| Ok(open(row).ok()))?;
    Ok(all.into_iter().flatten().collect())
}

const OPENS: &str = "SELECT seq, body, sum FROM opens ORDER BY seq";

fn open(row: &Row<'_>) -> Result<(Seq, OpenCall), StoreError> {
    let seq: i64 = row.get(0).db()?;
    let body: String = row.get(1).map_err(|_| wrong("open call", seq))?;
    let sum = checksum(&[b"open", &seq.to_le_bytes(), body.as_bytes()]);
    if sum != row.get::<_, i64>(2).db()? {
        return Err(wrong("open call", seq));
    }
    Ok((seq_of(seq)?, parsed(&body, "open call", seq)?))
}

fn control_sum(key: &str, seq: i64, version: u32, body: Option<&str>, at: i64) -> i64 {
    let there = [u8::from(body.is_some())];
    checksum(&[
        b"control",
        key.as_bytes(),
        &seq.to_le_bytes(),
        &version.to_le_bytes(),
        &there,
        body.unwrap_or_default().as_bytes(),
        &at.to_le_bytes(),
    ])
}

pub(crate) fn put_control(connection: &Connection, control: &Control) -> Result<(), StoreError> {
    let (seq, at) = (seq_value(control.seq)?, micros(control.at));
    let sum = control_sum(&control.key, seq, control.version, control.body.as_deref(), at);
    let sql = "INSERT OR REPLACE INTO controls (key, seq, version, body, at, sum)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let values = params![control.key, seq, control.version, control.body, at, sum];
    connection.prepare_cached(sql).db()?.execute(values).db()?;
    Ok(())
}

fn control(row: &Row<'_>) -> Result<Control, StoreError> {
    let key: String = row.get(0).db()?;
    let damaged = || wrong("control", &key);
    let (seq, at): (i64, i64) = (row.get(1).db()?, row.get(4).db()?);
    let version: u32 = row.get(2).map_err(|_| damaged())?;
    let body: Option<String> = row.get(3).map_err(|_| damaged())?;
    if control_sum(&key, seq, version, body.as_deref(), at) != row.get::<_, i64>(5).db()? {
        return Err(damaged());
    }
    Ok(Control { seq: seq_of(seq)?, version, body, at: instant(at)?, key })
}

pub(crate) fn control_of(connection: &Connection, key: &str) -> Result<Option<Control>, StoreError> {
    let sql = "SELECT key, seq, version, body, at, sum FROM controls WHERE key = ?1";
    Ok(collect(connection, sql, [key], control)?.pop())
}

/// The controls from `prefix` on that start with it, in key order.
pub(crate) fn controls_from(connection: &Connection, prefix: &str) -> Result<Vec<Control>, StoreError> {
    let sql = "SELECT key, seq, version, body, at, sum FROM controls WHERE key >= ?1 ORDER BY key";
    let mut statement = connection.prepare_cached(sql).db()?;
    let mut rows = statement.query([prefix]).db()?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().db()? {
        let control = control(row)?;
        if !control.key.starts_with(prefix) {
            break;
        }
        found.push(control);
    }
    Ok(found)
}

/// The controls before `before` that start with `prefix`, the last first.
pub(crate) fn controls_before(
    connection: &Connection,
    prefix: &str,
    before: &str,
    limit: usize,
) -> Result<Vec<Control>, StoreError> {
    let sql = "SELECT key, seq, version, body, at, sum FROM controls WHERE key >= ?1 AND key < ?2
               ORDER BY key DESC";
    let mut statement = connection.prepare_cached(sql).db()?;
    let mut rows = statement.query([prefix, before]).db()?;
    let mut found = Vec::new();
    while found.len() < limit
        && let Some(row) = rows.next().db()?
    {
        let control = control(row)?;
        // Behind those with the prefix come others that are greater than it.
        if control.key.starts_with(prefix) {
            found.push(control);
        }
    }
    Ok(found)
}

fn gap_sum(seq: i64, starts: i64, ends: i64, calls: i64, reason: &str) -> i64 {
    let numbers = [seq, starts, ends, calls].map(i64::to_le_bytes).concat();
    checksum(&[b"gap", &numbers, reason.as_bytes()])
}

pub(crate) fn put_gap(connection: &Connection, gap: &Gap) -> Result<(), StoreError> {
    let (seq, starts, ends) = (seq_value(gap.seq)?, micros(gap.from), micros(gap.to));
    let calls = gap.calls.cast_signed();
    let sum = gap_sum(seq, starts, ends, calls, &gap.reason);
    let sql = "INSERT INTO gaps (seq, starts, ends, calls, reason, sum) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let values = params![seq, starts, ends, calls, gap.reason, sum];
    connection.prepare_cached(sql).db()?.execute(values).db()?;
    Ok(())
}

pub(crate) fn gaps(connection: &Connection) -> Result<Vec<Gap>, StoreError> {
    let sql = "SELECT seq, starts, ends, calls, reason, sum FROM gaps ORDER BY seq";
    collect(connection, sql, [], |row| {
        let [seq, starts, ends, calls] =
            [row.get(0).db()?, row.get(1).db()?, row.get(2).db()?, row.get(3).db()?];
        let reason: String = row.get(4).map_err(|_| wrong("gap", seq))?;
        if gap_sum(seq, starts, ends, calls, &reason) != row.get::<_, i64>(5).db()? {
            return Err(wrong("gap", seq));
        }
        let calls = calls.cast_unsigned();
        Ok(Gap { seq: seq_of(seq)?, from: instant(starts)?, to: instant(ends)?, calls, reason })
    })
}

fn seal_sum(numbers: [i64; 6], cost: i128) -> i64 {
    checksum(&[b"seal", &numbers.map(i64::to_le_bytes).concat(), &cost.to_le_bytes()])
}

pub(crate) fn put_seal(connection: &Connection, seal: &Seal) -> Result<(), StoreError> {
    let numbers = [
        seq_value(seal.first)?,
        seq_value(seal.last)?,
        seal.entries.cast_signed(),
        seal.digest_sum.cast_signed(),
        seal.adjustments.cast_signed(),
        seal.adjustment_digest_sum.cast_signed(),
    ];
    let sql =
        "INSERT INTO seals (first, last, entries, digest_sum, adjustments, adjustment_digest_sum, cost, sum)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let [first, last, entries, digest_sum, adjustments, adjustment_digest_sum] = numbers;
    let sum = seal_sum(numbers, seal.cost_picos);
    let cost = SqlAmount(seal.cost_picos);
    let values = params![first, last, entries, digest_sum, adjustments, adjustment_digest_sum, cost, sum];
    connection.prepare_cached(sql).db()?.execute(values).db()?;
    Ok(())
}

pub(crate) fn seals(connection: &Connection) -> Result<Vec<Seal>, StoreError> {
    let sql = "SELECT first, last, entries, digest_sum, adjustments, adjustment_digest_sum, cost, sum
        FROM seals ORDER BY number";
    collect(connection, sql, [], |row| {
        let mut numbers = [0_i64; 6];
        for (at, number) in numbers.iter_mut().enumerate() {
            *number = row.get(at).db()?;
        }
        let SqlAmount(cost_picos) = row.get(6).db()?;
        if seal_sum(numbers, cost_picos) != row.get::<_, i64>(7).db()? {
            return Err(wrong("seal", numbers[0]));
        }
        Ok(Seal {
            first: seq_of(numbers[0])?,
            last: seq_of(numbers[1])?,
            entries: numbers[2].cast_unsigned(),
            digest_sum: numbers[3].cast_unsigned(),
            adjustments: numbers[4].cast_unsigned(),
            adjustment_digest_sum: numbers[5].cast_unsigned(),
            cost_picos,
        })
    })
}

/// The position and version of the last version of a document.
pub(crate) fn control_version(connection: &Connection, key: &str) -> Result<u32, StoreError> {
    let sql = "SELECT version FROM controls WHERE key = ?1";
    let found = connection.prepare_cached(sql).db()?.query_row([key], |row| row.get(0)).optional();
    Ok(found.db()?.unwrap_or(0))
}

/// Hands `each` the position and digest of every adjustment in a range, in order.
pub(crate) fn adjustment_digests<S: Borrow<i64>>(
    connection: &Connection,
    first: S,
    last: S,
) -> Result<Vec<(Seq, Digest)>, StoreError> {
    let sql = "SELECT seq, digest FROM adjustments WHERE seq >= ?1 AND seq <= ?2 ORDER BY seq";
    collect(connection, sql, [first.borrow(), last.borrow()], |row| {
        let seq = row.get(0).db()?;
        let digest: [u8; 16] = row.get(1).map_err(|_| wrong("adjustment", seq))?;
        Ok((seq_of(seq)?, Digest(digest)))
    })
}
