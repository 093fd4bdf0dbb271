//! The tables, and how a file gets from one format to the next. This module must never know a
//! query.
//!
//! | table | a row is |
//! |---|---|
//! | `entries` | one entry, by its position; see [`crate::row`] |
//! | `identities`, `responses` | index keys of ids, see [`crate::key`]; a hit is compared with the entry |
//! | `identity_twins`, `response_twins` | further records with a key that was taken already |
//! | `joins` | a further identity of an entry |
//! | `adjustments` | a later state of an entry, as JSON |
//! | `opens`, `controls`, `gaps`, `seals` | what their names say |
//! | `hours`, `quarters`, `days`, `day_…` | rollups, see [`crate::rollup`]; `day_spans` has each day's end |
//! | `billed_days` | days as they were billed, kept when a purge takes adjusted entries away |
//! | `term_…` | combinations of values, see [`crate::terms`] |
//! | `erasures` | an erasure that was applied, as JSON |
//! | `altered` | the digest of what an entry holds that is no longer all that its record says |
//! | `meta` | one row: position, ledger, zone |
//!
//! `calls` is a view for people with the `sqlite3` shell.

use crate::fault::Db;
use crate::rollup::SHAPES;
use crate::terms::Class;
use rusqlite::{Connection, TransactionBehavior};
use tollbook_store::StoreError;

/// `TolB`: what `file` and `PRAGMA application_id` show.
pub(crate) const APPLICATION_ID: i32 = 0x546f_6c42;
/// The format that this code writes.
pub(crate) const FORMAT: u32 = 2;

/// One step from a format to the next, in its own transaction.
type Step = fn(&Connection) -> Result<(), StoreError>;

/// `STEPS[n]` leads from format n to n + 1.
const STEPS: &[Step] = &[first_format, with_erasures];

const TABLES: &str = "
CREATE TABLE meta (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    ledger_id TEXT NOT NULL,
    applied INTEGER NOT NULL,
    rolled INTEGER NOT NULL,
    entries INTEGER NOT NULL,
    cutoff INTEGER,
    time_zone TEXT NOT NULL,
    sum INTEGER NOT NULL
) STRICT;
CREATE TABLE entries (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    who INTEGER NOT NULL,
    what INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    deal INTEGER NOT NULL,
    version INTEGER NOT NULL,
    input_tokens INTEGER,
    output_tokens INTEGER,
    cost ANY,
    id ANY NOT NULL,
    digest BLOB NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE INDEX entries_by_time ON entries (at);
CREATE TABLE identities (key INTEGER PRIMARY KEY, seq INTEGER NOT NULL) STRICT;
CREATE TABLE identity_twins (
    key INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (key, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE responses (key INTEGER PRIMARY KEY, seq INTEGER NOT NULL) STRICT;
CREATE TABLE response_twins (
    key INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (key, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE joins (
    seq INTEGER PRIMARY KEY,
    entry INTEGER NOT NULL,
    body TEXT NOT NULL,
    sum INTEGER NOT NULL
) STRICT;
CREATE INDEX joins_by_entry ON joins (entry);
CREATE TABLE adjustments (
    seq INTEGER PRIMARY KEY,
    entry INTEGER NOT NULL,
    version INTEGER NOT NULL,
    occurred INTEGER NOT NULL,
    at INTEGER NOT NULL,
    run TEXT,
    digest BLOB NOT NULL,
    body TEXT NOT NULL,
    sum INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX adjustments_by_entry ON adjustments (entry, version);
CREATE UNIQUE INDEX adjustments_by_run ON adjustments (run, entry) WHERE run IS NOT NULL;
CREATE INDEX adjustments_by_time ON adjustments (occurred, at);
CREATE TABLE opens (
    seq INTEGER PRIMARY KEY,
    body TEXT NOT NULL,
    sum INTEGER NOT NULL
) STRICT;
CREATE TABLE controls (
    key TEXT PRIMARY KEY,
    seq INTEGER NOT NULL,
    version INTEGER NOT NULL,
    body TEXT,
    at INTEGER NOT NULL,
    sum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE gaps (
    seq INTEGER PRIMARY KEY,
    starts INTEGER NOT NULL,
    ends INTEGER NOT NULL,
    calls INTEGER NOT NULL,
    reason TEXT NOT NULL,
    sum INTEGER NOT NULL
) STRICT;
CREATE TABLE seals (
    number INTEGER PRIMARY KEY,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    entries INTEGER NOT NULL,
    cost ANY NOT NULL,
    digest_sum INTEGER NOT NULL,
    adjustments INTEGER NOT NULL,
    adjustment_digest_sum INTEGER NOT NULL,
    sum INTEGER NOT NULL
) STRICT;
CREATE TABLE day_spans (
    day INTEGER PRIMARY KEY,
    ends INTEGER NOT NULL,
    billed INTEGER NOT NULL
) STRICT;
";

const ERASURES: &str = "
CREATE TABLE erasures (
    id TEXT PRIMARY KEY,
    seq INTEGER NOT NULL,
    body TEXT NOT NULL,
    sum INTEGER NOT NULL,
    scrubbed INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE altered (
    seq INTEGER PRIMARY KEY,
    digest BLOB NOT NULL
) STRICT;
";

const VIEW: &str = "
CREATE VIEW calls AS
SELECT
    e.seq,
    CASE typeof(e.id) WHEN 'blob' THEN lower(substr(hex(e.id), 1, 8) || '-' || substr(hex(e.id), 9, 4)
        || '-' || substr(hex(e.id), 13, 4) || '-' || substr(hex(e.id), 17, 4) || '-' || substr(hex(e.id), 21))
        ELSE e.id END AS id,
    k.body ->> '$.source' AS source,
    strftime('%Y-%m-%dT%H:%M:%S', e.at / 1000000 - (e.at % 1000000 < 0), 'unixepoch')
        || printf('.%06dZ', (e.at % 1000000 + 1000000) % 1000000) AS occurred_at,
    k.body ->> '$.provider' AS provider,
    k.body ->> '$.model' AS model,
    k.body ->> '$.status' AS status,
    coalesce(a.body ->> '$.evidence', k.body ->> '$.evidence') AS evidence,
    w.body ->> '$.project' AS project,
    w.body ->> '$.customer' AS customer,
    w.body ->> '$.user' AS user,
    t.body ->> '$.agent' AS agent,
    t.body ->> '$.operation' AS operation,
    e.input_tokens,
    e.output_tokens,
    CASE WHEN a.seq IS NOT NULL THEN a.body ->> '$.rating.cost'
        WHEN e.cost IS NULL THEN NULL
        WHEN typeof(e.cost) = 'blob' THEN 'picos 0x' || hex(e.cost)
        ELSE rtrim(rtrim(iif(e.cost < 0, '-', '') || printf('%d.%012d', abs(e.cost / 1000000000000),
            abs(e.cost % 1000000000000)), '0'), '.') END AS cost_usd,
    d.body ->> '$.basis' AS cost_basis,
    d.body ->> '$.price_id' AS price_id,
    e.version AS adjustments
FROM entries e
    JOIN term_kind k ON k.id = e.kind
    JOIN term_deal d ON d.id = e.deal
    JOIN term_who w ON w.id = e.who
    JOIN term_what t ON t.id = e.what
    LEFT JOIN adjustments a ON e.version > 0 AND a.entry = e.seq AND a.version = e.version;
";

fn first_format(connection: &Connection) -> Result<(), StoreError> {
    connection.execute_batch(TABLES).db()?;
    for shape in &SHAPES {
        connection.execute_batch(shape.rollup.create_sql()).db()?;
    }
    for class in Class::ALL {
        connection.execute_batch(class.create_sql()).db()?;
    }
    connection.execute_batch(VIEW).db()
}

fn with_erasures(connection: &Connection) -> Result<(), StoreError> {
    connection.execute_batch(ERASURES).db()
}

/// The format of the file; 0 when it is new and empty. Refuses files of others and of the future.
pub(crate) fn format(connection: &Connection) -> Result<u32, StoreError> {
    let application: i32 = connection.query_row("PRAGMA application_id", [], |row| row.get(0)).db()?;
    let format: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).db()?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).db()?;
    let format = u32::try_from(format).unwrap_or(u32::MAX);
    match (application, format, tables) {
        (0, 0, 0) => Ok(0),
        (APPLICATION_ID, 0, _) => Err(StoreError::Corrupt("the store has no format".to_owned())),
        (APPLICATION_ID, format, _) if format > FORMAT => {
            Err(StoreError::TooNew { found: format, known: FORMAT })
        }
        (APPLICATION_ID, format, _) => Ok(format),
        _ => Err(StoreError::Corrupt("the file is not a Tollbook store".to_owned())),
    }
}

/// Brings the file to the present format, step by step, each in a transaction of its own.
pub(crate) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    for (from, step) in STEPS.iter().enumerate().skip(format(connection)? as usize) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).db()?;
        step(&transaction)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID).db()?;
        transaction.pragma_update(None, "user_version", from as u32 + 1).db()?;
        transaction.commit().db()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_reaches_the_present_format_and_stays_there() {
        let mut connection = Connection::open_in_memory().unwrap();
        assert_eq!(format(&connection).unwrap(), 0);
        migrate(&mut connection).unwrap();
        assert_eq!(format(&connection).unwrap(), FORMAT);
        migrate(&mut connection).unwrap();
        connection.execute_batch("SELECT * FROM calls").unwrap();
    }

    #[test]
    fn files_of_the_future_and_of_others_are_refused() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        connection.pragma_update(None, "user_version", FORMAT + 1).unwrap();
        let refused = format(&connection);
        assert!(matches!(refused, Err(StoreError::TooNew { found, known }) if found == known + 1));
        let other = Connection::open_in_memory().unwrap();
        other.execute_batch("CREATE TABLE t (a)").unwrap();
        assert!(matches!(format(&other), Err(StoreError::Corrupt(_))));
    }
}
