//! Single calls, and pages of them.

use crate::fault::Db;
use crate::identity::{Index, with_row};
use crate::parts::{Home, Part};
use crate::plan::span_of;
use crate::row::{RawRow, row_columns, seq_of, seq_value};
use crate::sealed::{adjustment_at, adjustments_of, join_at, joins_of};
use crate::terms::Shelves;
use rusqlite::{Connection, params};
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use tollbook_store::fold::admits;
use tollbook_store::{CallsCursor, CallsOrder, CallsPage, CallsQuery, State, StoreError, StoredCall};
use tollbook_types::Seq;

/// At most so many calls are found by one id.
const CALLS_BY_ID_MAX: usize = 32;

/// A row with everything that was said about it.
pub(crate) fn stored(
    connection: &Connection,
    shelves: &mut Shelves,
    row: &RawRow<'_>,
) -> Result<StoredCall, StoreError> {
    let adjustments = if row.version == 0 { Vec::new() } else { adjustments_of(connection, row.seq)? };
    if row.version != adjustments.len() as i64 {
        return Err(StoreError::Corrupt(format!("entry {} has lost an adjustment", row.seq)));
    }
    let joined = joins_of(connection, row.seq)?.into_iter().map(|join| (join.identity, join.content));
    Ok(StoredCall {
        seq: row.seq,
        digest: row.digest,
        entry: row.entry(connection, shelves)?,
        adjustments,
        joined: joined.collect(),
    })
}

/// The call at a position.
pub(crate) fn call(
    connection: &Connection,
    shelves: &mut Shelves,
    seq: Seq,
) -> Result<Option<StoredCall>, StoreError> {
    let Ok(seq) = seq_value(seq) else { return Ok(None) };
    with_row(connection, seq, |row| stored(connection, shelves, row))
}

/// The calls with an id, oldest record first.
pub(crate) fn calls_by_id(
    connection: &Connection,
    shelves: &mut Shelves,
    id: &str,
) -> Result<Vec<StoredCall>, StoreError> {
    let mut entries = BTreeSet::new();
    for seq in Index::Identities.records(connection, id)? {
        match with_row(connection, seq, |row| Ok(row.has_id(id)))? {
            Some(true) => {
                entries.insert(seq_of(seq)?);
            }
            Some(false) => {}
            None => {
                let join = join_at(connection, seq)?.filter(|join| join.identity.id == id);
                entries.extend(join.map(|join| join.entry));
            }
        }
    }
    let mut found = Vec::new();
    for entry in entries.into_iter().take(CALLS_BY_ID_MAX) {
        found.extend(call(connection, shelves, entry)?);
    }
    Ok(found)
}

/// The filters of a query, asked of rows before they are decoded.
struct Sieve<'a> {
    query: &'a CallsQuery,
    who: Part,
    what: Part,
    kind: Part,
    own: Part,
}

impl<'a> Sieve<'a> {
    fn new(query: &'a CallsQuery) -> Sieve<'a> {
        let part = |home| Part::new(home, &[], &query.filters);
        let (who, what, kind, own) = (part(Home::Who), part(Home::What), part(Home::Call), part(Home::Own));
        Sieve { query, who, what, kind, own }
    }

    fn admits(
        &mut self,
        connection: &Connection,
        shelves: &mut Shelves,
        row: &RawRow<'_>,
    ) -> Result<bool, StoreError> {
        use crate::parts::Memo::Entry;
        if self.query.filters.is_empty() {
            return Ok(true);
        }
        if row.version > 0 {
            let call = stored(connection, shelves, row)?;
            return Ok(admits(&call.entry.event, &call.corrected(), &self.query.filters));
        }
        let who = self.who.pick_memo(Entry, row.who, |part| {
            let who = shelves.who.get(connection, row.who)?;
            Ok((part.pick(|dimension| who.value.value(dimension)), who.hash))
        })?;
        let what = self.what.pick_memo(Entry, row.what, |part| {
            let what = shelves.what.get(connection, row.what)?;
            Ok((part.pick(|dimension| what.value.value(dimension)), what.hash))
        })?;
        let kind = self.kind.pick_memo(Entry, row.kind, |part| {
            let kind = shelves.kind.get(connection, row.kind)?;
            let call = &kind.value.call;
            let legs = kind.value.legs.iter().flatten().filter_map(|leg| leg.model.as_deref());
            let passes = part.admits(|dimension| call.value(dimension), legs.chain([call.model.as_str()]));
            Ok((passes.then_some(0), kind.hash))
        })?;
        if who.is_none() || what.is_none() || kind.is_none() {
            return Ok(false);
        }
        if self.own.is_idle() {
            return Ok(true);
        }
        let entry = row.entry(connection, shelves)?;
        Ok(admits(&entry.event, &State::of_entry(&entry), &self.query.filters))
    }
}

/// A page of calls. In the order of cost at most `raw_rows_max` entries are looked at.
pub(crate) fn calls(
    connection: &Connection,
    shelves: &mut Shelves,
    query: &CallsQuery,
    raw_rows_max: u64,
) -> Result<CallsPage, StoreError> {
    match query.order {
        CallsOrder::Newest => newest(connection, shelves, query),
        CallsOrder::Recorded => recorded(connection, shelves, query),
        CallsOrder::Costliest => costliest(connection, shelves, query, raw_rows_max),
    }
}

/// Collects one call more than asked for, to know whether there is a next page.
struct Collected {
    calls: Vec<StoredCall>,
    last: Option<CallsCursor>,
    more: bool,
}

impl Collected {
    fn page(self) -> CallsPage {
        CallsPage { calls: self.calls, next: self.last.filter(|_| self.more) }
    }
}

fn walk(
    connection: &Connection,
    shelves: &mut Shelves,
    query: &CallsQuery,
    mut rows: rusqlite::Rows<'_>,
    key: impl Fn(&RawRow<'_>) -> i128,
) -> Result<CallsPage, StoreError> {
    let mut sieve = Sieve::new(query);
    let mut found = Collected { calls: Vec::new(), last: None, more: false };
    while let Some(row) = rows.next().db()? {
        let row = RawRow::read(row)?;
        if !sieve.admits(connection, shelves, &row)? {
            continue;
        }
        if found.calls.len() == query.limit {
            found.more = true;
            break;
        }
        found.last = Some(CallsCursor { key: key(&row), seq: row.seq });
        found.calls.push(stored(connection, shelves, &row)?);
    }
    Ok(found.page())
}

fn newest(
    connection: &Connection,
    shelves: &mut Shelves,
    query: &CallsQuery,
) -> Result<CallsPage, StoreError> {
    let (from, to) = span_of(query.range);
    let sql = concat!(
        "SELECT ",
        row_columns!(),
        " FROM entries e WHERE e.at >= ?1 AND e.at < ?2 AND e.at <= ?3 AND (e.at < ?3 OR e.seq < ?4)
          ORDER BY e.at DESC, e.seq DESC"
    );
    let at = |key: i128| i64::try_from(key).unwrap_or(if key < 0 { i64::MIN } else { i64::MAX });
    let after = query
        .after
        .map_or((i64::MAX, i64::MAX), |after| (at(after.key), i64::try_from(after.seq).unwrap_or(i64::MAX)));
    let mut statement = connection.prepare_cached(sql).db()?;
    let rows = statement.query(params![from, to, after.0, after.1]).db()?;
    walk(connection, shelves, query, rows, |row| i128::from(row.at))
}

fn recorded(
    connection: &Connection,
    shelves: &mut Shelves,
    query: &CallsQuery,
) -> Result<CallsPage, StoreError> {
    let (from, to) = span_of(query.range);
    let after = match query.after {
        Some(after) => i64::try_from(after.seq).unwrap_or(i64::MAX),
        // Skips to the first position of a late range.
        None if from != i64::MIN => {
            let sql = "SELECT min(seq) FROM entries WHERE at >= ?1 AND at < ?2";
            let mut statement = connection.prepare_cached(sql).db()?;
            let first: Option<i64> = statement.query_row([from, to], |row| row.get(0)).db()?;
            first.map_or(i64::MAX, |first| first - 1)
        }
        None => -1,
    };
    // The plus keeps the walk in the order of positions.
    let sql = concat!(
        "SELECT ",
        row_columns!(),
        " FROM entries e WHERE e.seq > ?3 AND +e.at >= ?1 AND +e.at < ?2 ORDER BY e.seq"
    );
    let mut statement = connection.prepare_cached(sql).db()?;
    let rows = statement.query([from, to, after]).db()?;
    walk(connection, shelves, query, rows, |_| 0)
}

fn costliest(
    connection: &Connection,
    shelves: &mut Shelves,
    query: &CallsQuery,
    raw_rows_max: u64,
) -> Result<CallsPage, StoreError> {
    let (from, to) = span_of(query.range);
    let mut sieve = Sieve::new(query);
    // The cheapest of the best on top, so that it goes first.
    let mut best: BinaryHeap<Reverse<(i128, Seq)>> = BinaryHeap::new();
    let mut read = 0;
    crate::touched::each_row(connection, from, to, |row| {
        read += 1;
        if read > raw_rows_max {
            return Err(StoreError::RangeTooLarge { rows: read, limit: raw_rows_max });
        }
        let mut cost = row.cost;
        if row.version > 0 {
            let latest = adjustment_at(connection, row.seq, i64::MAX)?;
            cost = latest.and_then(|(_, _, adjustment)| adjustment.rating.cost).map(|cost| cost.picos());
        }
        let key = (cost.unwrap_or(i128::MIN), row.seq);
        let is_after = query.after.is_none_or(|after| key < (after.key, after.seq));
        let is_better = best.len() <= query.limit || best.peek().is_some_and(|Reverse(worst)| key > *worst);
        if is_after && is_better && sieve.admits(connection, shelves, row)? {
            best.push(Reverse(key));
            if best.len() > query.limit + 1 {
                best.pop();
            }
        }
        Ok(())
    })?;
    let keys: Vec<(i128, Seq)> = best.into_sorted_vec().into_iter().map(|Reverse(key)| key).collect();
    let mut found = Collected { calls: Vec::new(), last: None, more: keys.len() > query.limit };
    for (key, seq) in keys.into_iter().take(query.limit) {
        found.last = Some(CallsCursor { key, seq });
        found.calls.extend(call(connection, shelves, seq)?);
    }
    Ok(found.page())
}
