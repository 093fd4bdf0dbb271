//! The baseline of the ledger: the same rows into one plain table, with no index and no sums.

use crate::books::text;
use rusqlite::{Connection, params};
use std::path::Path;
use tollbook_pricing::{Book, rate};
use tollbook_types::{Event, Meter, Rating};

/// A call as a plain row shows it.
pub struct Row {
    event: Event,
    rating: Rating,
    tags: String,
    tokens: [Option<i64>; 4],
}

impl Row {
    /// The row of an event, rated beforehand.
    pub fn of(book: &Book, event: &Event) -> Row {
        let total = event.usage.as_ref().map(tollbook_types::Usage::total);
        let tokens = [
            total.as_ref().map(|meters| meters.input_tokens() as i64),
            total.as_ref().map(|meters| meters.output_tokens() as i64),
            total.as_ref().map(|meters| meters.cache_read_tokens() as i64),
            total.as_ref().and_then(|meters| meters.get(Meter::Reasoning)).map(|tokens| tokens as i64),
        ];
        Row {
            event: event.clone(),
            rating: rate(book, event).rating,
            tags: serde_json::to_string(&event.attribution.tags).unwrap_or_default(),
            tokens,
        }
    }
}

/// The table.
pub struct Bare {
    connection: Connection,
    with_raw: bool,
}

const TABLE: &str = "CREATE TABLE calls (
    id TEXT, source TEXT, occurred_at INTEGER, provider TEXT, model TEXT, request_model TEXT, api TEXT,
    status TEXT, http_status INTEGER, error TEXT, evidence TEXT, project TEXT, customer TEXT, user TEXT,
    agent TEXT, agent_name TEXT, operation TEXT, operation_id TEXT, session TEXT, key TEXT, tags TEXT,
    input_tokens INTEGER, output_tokens INTEGER, cache_read_tokens INTEGER, reasoning_tokens INTEGER,
    cost_picos INTEGER, input_cost INTEGER, output_cost INTEGER, other_cost INTEGER, price_id TEXT,
    latency_ms INTEGER, ttft_ms INTEGER, provider_response_id TEXT, raw_usage TEXT)";
const INSERT: &str = "INSERT INTO calls VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14,
    ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34)";

impl Bare {
    /// A new table; `with_raw` keeps the raw usage object, too.
    pub fn open(path: &Path, with_raw: bool) -> Result<Bare, String> {
        let connection = Connection::open(path).map_err(text)?;
        let mode: String =
            connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(text)?;
        if mode != "wal" {
            return Err(format!("no write-ahead log here, only {mode}"));
        }
        connection.pragma_update(None, "synchronous", "FULL").map_err(text)?;
        connection.pragma_update(None, "cache_size", -65_536).map_err(text)?;
        connection.execute_batch(TABLE).map_err(text)?;
        Ok(Bare { connection, with_raw })
    }

    /// One transaction.
    pub fn insert(&mut self, rows: &[Row]) -> Result<(), String> {
        let transaction = self.connection.transaction().map_err(text)?;
        {
            let mut statement = transaction.prepare_cached(INSERT).map_err(text)?;
            for Row { event, rating, tags, tokens } in rows {
                let who = &event.attribution;
                let money = |amount: Option<tollbook_types::Money>| amount.map(|m| m.picos() as i64);
                let values = params![
                    event.id,
                    event.source,
                    event.occurred_at.as_microsecond(),
                    event.provider,
                    event.model,
                    event.request_model,
                    event.api,
                    event.status.name(),
                    event.http_status,
                    event.error,
                    event.evidence.name(),
                    who.project,
                    who.customer,
                    who.user,
                    who.agent,
                    who.agent_name,
                    who.operation,
                    who.operation_id,
                    who.session,
                    who.key,
                    tags,
                    tokens[0],
                    tokens[1],
                    tokens[2],
                    tokens[3],
                    money(rating.cost),
                    money(rating.input_cost),
                    money(rating.output_cost),
                    money(rating.other_cost),
                    rating.price_id,
                    event.latency_ms.map(|ms| ms as i64),
                    event.time_to_first_token_ms.map(|ms| ms as i64),
                    event.provider_response_id,
                    event.raw_usage.as_deref().filter(|_| self.with_raw),
                ];
                statement.execute(values).map_err(text)?;
            }
        }
        transaction.commit().map_err(text)
    }
}
