//! Comparing the store with itself: pages, checksums, digests, indexes, and every rollup row with
//! a fold over the entries.

use crate::fault::Db;
use crate::fold::{Folder, Place};
use crate::identity::Index;
use crate::meta::{Meta, zone_of};
use crate::rollup::{Cell, Cells, with_coarser};
use crate::row::{RawRow, row_columns, seq_value};
use crate::sealed;
use crate::sweep::{STEP, each_stored, ended};
use crate::terms::{self, Named, Shelves};
use crate::touched::corrected;
use crate::writer::count;
use rusqlite::Connection;
use std::collections::HashMap;
use tollbook_store::{Audit, StoreError, Zone, entry_digest};
use tollbook_types::{Entry, Usage};

/// Problems that are told one by one.
const PROBLEMS_MAX: usize = 200;

/// Reads everything and compares.
pub(crate) fn audit(connection: &Connection, shelves: &mut Shelves) -> Result<Audit, StoreError> {
    let mut audit = Audit::default();
    let told = check_all(connection, shelves, &mut audit);
    match told {
        // Damage that ends the reading is a finding too.
        Err(StoreError::Corrupt(what)) => note(&mut audit, what),
        Err(other) => return Err(other),
        Ok(()) => {}
    }
    Ok(audit)
}

fn note(audit: &mut Audit, problem: String) {
    match audit.problems.len() {
        0..PROBLEMS_MAX => audit.problems.push(problem),
        PROBLEMS_MAX => audit.problems.push("and more".to_owned()),
        _ => {}
    }
}

fn check_all(connection: &Connection, shelves: &mut Shelves, audit: &mut Audit) -> Result<(), StoreError> {
    check_pages(connection, audit)?;
    let meta = Meta::of(connection)?;
    terms::check_all(connection, &mut audit.problems)?;
    let versions = check_documents(connection, audit)?;
    check_entries(connection, shelves, &meta, versions, audit)
}

/// SQLite's own check: pages, order, and that every index agrees with its table.
fn check_pages(connection: &Connection, audit: &mut Audit) -> Result<(), StoreError> {
    for finding in
        sealed::collect(connection, "PRAGMA integrity_check(20)", [], |row| row.get::<_, String>(0).db())?
    {
        if finding != "ok" {
            note(audit, finding);
        }
    }
    Ok(())
}

/// Everything with a checksum of its own. Returns the number of adjustments by entry.
fn check_documents(connection: &Connection, audit: &mut Audit) -> Result<HashMap<u64, i64>, StoreError> {
    let mut versions: HashMap<u64, i64> = HashMap::new();
    sealed::each_adjustment(connection, |read| match read {
        Ok((seq, _, adjustment)) => {
            audit.adjustments += 1;
            let version = versions.entry(adjustment.entry).or_default();
            *version += 1;
            if i64::from(adjustment.version) != *version {
                note(audit, format!("adjustment {seq} is not the next of entry {}", adjustment.entry));
            }
        }
        Err(error) => note(audit, error.to_string()),
    })?;
    let mut joins = Vec::new();
    sealed::each_join(connection, |read| match read {
        Ok(join) => joins.push(join),
        Err(error) => note(audit, error.to_string()),
    })?;
    for join in joins {
        if !Index::Identities.records(connection, &join.identity.id)?.contains(&seq_value(join.seq)?) {
            note(audit, format!("join {} cannot be found by its id", join.seq));
        }
    }
    for read in [
        sealed::opens(connection).map(drop),
        sealed::gaps(connection).map(drop),
        sealed::seals(connection).map(drop),
        sealed::controls_from(connection, "").map(drop),
        sealed::erasures(connection).map(drop),
    ] {
        if let Err(error) = read {
            note(audit, error.to_string());
        }
    }
    Ok(versions)
}

fn check_entries(
    connection: &Connection,
    shelves: &mut Shelves,
    meta: &Meta,
    mut versions: HashMap<u64, i64>,
    audit: &mut Audit,
) -> Result<(), StoreError> {
    let zone = zone_of(&meta.time_zone)?;
    let mut folder = Folder::new(zone.clone());
    folder.interner.read_only = true;
    let mut comparing =
        Comparing { connection, zone, cells: Cells::default(), settled: i64::MIN, cutoff: meta.cutoff };
    let sql =
        concat!("SELECT ", row_columns!(), ", e.input_tokens, e.output_tokens FROM entries e ORDER BY e.at");
    let mut statement = connection.prepare(sql).db()?;
    let mut rows = statement.query([]).db()?;
    while let Some(row) = rows.next().db()? {
        audit.entries += 1;
        let tokens: (Option<i64>, Option<i64>) = (row.get(11).db()?, row.get(12).db()?);
        let row = RawRow::read(row)?;
        if row.at >= comparing.settled.saturating_add(2 * STEP) {
            comparing.settle(shelves, row.at.div_euclid(STEP) * STEP, audit)?;
        }
        if versions.remove(&row.seq).unwrap_or(0) != row.version {
            note(audit, format!("entry {} has not all its adjustments", row.seq));
        }
        let entry = row.entry(connection, shelves);
        let checked = match &entry {
            Ok(entry) => check_entry(connection, &row, entry, tokens),
            Err(_) => Ok(()),
        };
        if let Err(error) = checked {
            note(audit, format!("entry {}: {error}", row.seq));
        }
        // Later entries the rollups do not count yet.
        let is_rolled = seq_value(row.seq)? <= meta.rolled;
        if let Err(error) = entry.and_then(|entry| {
            let cells = &mut comparing.cells;
            if is_rolled { fold_entry(connection, &mut folder, shelves, &row, &entry, cells) } else { Ok(()) }
        }) {
            note(audit, format!("entry {}: {error}", row.seq));
        }
    }
    comparing.settle(shelves, i64::MAX, audit)?;
    for entry in versions.into_keys() {
        note(audit, format!("an adjustment is of entry {entry}, which is not there"));
    }
    check_counts(connection, meta, audit)
}

fn check_counts(connection: &Connection, meta: &Meta, audit: &mut Audit) -> Result<(), StoreError> {
    let entries = count(connection, "SELECT count(*) FROM entries NOT INDEXED")?;
    let said = meta.entries.unsigned_abs();
    if audit.entries != entries || entries != said {
        let read = audit.entries;
        note(audit, format!("there are {entries} entries, {read} by time, {said} by the count"));
    }
    let identities = count(connection, "SELECT count(*) FROM identities")?
        + count(connection, "SELECT count(*) FROM identity_twins")?;
    let joins = count(connection, "SELECT count(*) FROM joins")?;
    if identities != entries + joins {
        note(audit, format!("{identities} identities for {entries} entries and {joins} joins"));
    }
    let last = count(connection, "SELECT max(seq) FROM entries")?;
    if last > meta.applied.unsigned_abs() {
        note(audit, format!("entry {last} is past the position {}", meta.applied));
    }
    Ok(())
}

/// Adds the corrected state of an entry that was read to `cells`.
fn fold_entry(
    connection: &Connection,
    folder: &mut Folder,
    shelves: &mut Shelves,
    row: &RawRow<'_>,
    entry: &Entry,
    cells: &mut Cells,
) -> Result<(), StoreError> {
    if row.version > 0 {
        let (event, place, state) = corrected(connection, folder, shelves, row)?;
        return folder.fold(connection, place, &event, &state, cells);
    }
    let named = |id, hash| Named { id, hash };
    let who = named(row.who, shelves.who.get(connection, row.who)?.hash);
    let what = named(row.what, shelves.what.get(connection, row.what)?.hash);
    let kind = named(row.kind, shelves.kind.get(connection, row.kind)?.hash);
    folder.fold_new(connection, Place { at: row.at, who, what }, kind, entry, cells)
}

/// Compares one entry with its digest, its columns with the entry, and looks it up by its ids.
fn check_entry(
    connection: &Connection,
    row: &RawRow<'_>,
    entry: &Entry,
    tokens: (Option<i64>, Option<i64>),
) -> Result<(), StoreError> {
    let wrong = |what: &str| Err(StoreError::Corrupt(what.to_owned()));
    let held = entry_digest(row.seq, entry);
    if held != row.digest && sealed::altered_digest(connection, seq_value(row.seq)?)? != Some(held) {
        return wrong("it is not what its record's digest says");
    }
    let total = entry.event.usage.as_ref().map(Usage::total);
    let shown = |tokens: u64| i64::try_from(tokens).unwrap_or(i64::MAX);
    let expected = (
        total.as_ref().map(|meters| shown(meters.input_tokens())),
        total.as_ref().map(|meters| shown(meters.output_tokens())),
    );
    if tokens != expected {
        return wrong("its token columns are not its tokens");
    }
    let seq = seq_value(row.seq)?;
    if !Index::Identities.has(connection, &entry.event.id, seq)? {
        return wrong("it cannot be found by its id");
    }
    if let Some(response) = &entry.event.provider_response_id
        && !Index::Responses.has(connection, response, seq)?
    {
        return wrong("it cannot be found by its response id");
    }
    Ok(())
}

/// Folded cells on their way to be compared with rows.
struct Comparing<'a> {
    connection: &'a Connection,
    zone: Zone,
    cells: Cells,
    /// Everything that ends up to here has been compared.
    settled: i64,
    cutoff: Option<i64>,
}

impl Comparing<'_> {
    fn settle(&mut self, shelves: &mut Shelves, upto: i64, audit: &mut Audit) -> Result<(), StoreError> {
        let mut folded = with_coarser(ended(&mut self.cells, upto, &self.zone)?)?;
        let (zone, cutoff) = (&self.zone, self.cutoff);
        // What reaches before the cut-off has lost entries: nothing to compare it with.
        let is_kept = |cell: &Cell| match cutoff {
            None => true,
            Some(cutoff) => cell.span(zone).is_ok_and(|span| span.0 >= cutoff),
        };
        each_stored(self.connection, shelves, (self.settled, upto), |read| {
            audit.rollup_rows += 1;
            match read {
                Err(error) => note(audit, error.to_string()),
                Ok((cell, _)) if !is_kept(&cell) => drop(folded.remove(&cell)),
                Ok((cell, sums)) => {
                    if folded.remove(&cell).as_deref() != Some(&sums) {
                        note(audit, format!("rollup {} is not the sum of its entries", cell.words()));
                    }
                }
            }
        })?;
        for cell in folded.keys().filter(|cell| is_kept(cell)) {
            note(audit, format!("rollup {} is missing", cell.words()));
        }
        self.settled = upto;
        Ok(())
    }
}
