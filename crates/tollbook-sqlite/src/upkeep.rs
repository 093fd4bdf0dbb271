//! What is done to the whole store now and then: making rollups anew, dropping old calls.

use crate::calls::call;
use crate::fault::Db;
use crate::fold::day_span;
use crate::identity::Index;
use crate::meta::{zone_name, zone_of};
use crate::pending::Pending;
use crate::rollup::{Cell, Cells, Rollup, SHAPES, Unit, with_coarser};
use crate::row::{RawRow, micros, row_columns, seq_of, seq_value};
use crate::sealed::joins_of;
use crate::sweep::{STEP, ended};
use crate::terms::{self, Kind};
use crate::touched::{Touched, corrected, each_row};
use crate::writer::Writer;
use rusqlite::Connection;
use std::collections::{BTreeSet, HashSet};
use tollbook_store::{State, StoreError, Zone};
use tollbook_types::{Event, Seq, Timestamp};

impl Writer {
    /// Makes all rollup rows anew that entries are left for. Returns how many there are.
    pub(crate) fn rebuild(&mut self) -> Result<u64, StoreError> {
        self.transact(Writer::rebuild_rows)
    }

    fn rebuild_rows(&mut self) -> Result<u64, StoreError> {
        let zone = zone_of(&self.meta.time_zone)?;
        let from = self.meta.cutoff.unwrap_or(i64::MIN);
        self.pending = None;
        self.drop_rollups(from)?;
        self.rollups.clear();
        self.folder = crate::fold::Folder::new(zone.clone());
        let mut cells = Cells::default();
        let mut written = 0;
        let mut settled = i64::MIN;
        let sql = concat!("SELECT ", row_columns!(), " FROM entries e WHERE e.at >= ?1 ORDER BY e.at");
        let Writer { connection, folder, shelves, rollups, .. } = self;
        let mut statement = connection.prepare(sql).db()?;
        let mut rows = statement.query([from]).db()?;
        let mut settle = |cells: &mut Cells, upto: i64| -> Result<(), StoreError> {
            let mut done = with_coarser(ended(cells, upto, &zone)?)?;
            done.retain(|cell, _| cell.rollup.shape().unit.start(cell.at) >= from);
            written += rollups.merge(connection, done)?;
            Ok(())
        };
        while let Some(row) = rows.next().db()? {
            let row = RawRow::read(row)?;
            if row.at >= STEP.saturating_add(settled) {
                settled = row.at.div_euclid(STEP) * STEP;
                settle(&mut cells, settled)?;
            }
            let (event, place, state) = corrected(connection, folder, shelves, &row)?;
            folder.fold(connection, place, &event, &state, &mut cells)?;
        }
        settle(&mut cells, i64::MAX)?;
        self.meta.rolled = self.meta.applied;
        Ok(written)
    }

    fn drop_rollups(&mut self, from: i64) -> Result<(), StoreError> {
        for shape in SHAPES.iter().filter(|shape| shape.rollup != Rollup::BilledDays) {
            shape.rollup.drop_from(&self.connection, from)?;
        }
        let sql = "DELETE FROM day_spans WHERE day >= ?1";
        self.connection.prepare_cached(sql).db()?.execute([Unit::Day.from(from)]).db()?;
        Ok(())
    }

    /// Writes the whole file anew, without what stands in places that are free. The copy on the way
    /// is a file without a name, not memory.
    pub(crate) fn vacuum(&mut self) -> Result<(), StoreError> {
        self.connection.pragma_update(None, "temp_store", "FILE").db()?;
        let done = self.connection.execute_batch("VACUUM").db();
        self.connection.pragma_update(None, "temp_store", "MEMORY").db()?;
        done
    }

    /// Puts the days of the rollups into another zone.
    pub(crate) fn change_zone(&mut self, zone: &Zone) -> Result<(), StoreError> {
        let name = zone_name(zone)?;
        if name == self.meta.time_zone {
            return Ok(());
        }
        self.transact(|writer| {
            writer.meta.time_zone = name;
            writer.rebuild_rows().map(drop)
        })
    }

    /// Drops the calls that occurred before an instant. Returns how many.
    pub(crate) fn purge(&mut self, cutoff: Timestamp) -> Result<u64, StoreError> {
        let cutoff = micros(cutoff);
        if self.meta.cutoff.is_some_and(|known| cutoff <= known) {
            return Ok(0);
        }
        let mut pending = self.take_pending()?;
        let gone = self.transact(|writer| {
            // Of what goes, only the rows will know.
            writer.roll(&mut pending)?;
            writer.keep_billed_days(cutoff)?;
            let gone = drop_entries(writer, cutoff)?;
            writer.meta.entries -= i64::try_from(gone).unwrap_or(i64::MAX);
            writer.meta.cutoff = Some(cutoff);
            Ok(gone)
        })?;
        self.pending = Some(pending);
        Ok(gone)
    }

    /// Drops every call of a source, within the transaction of a batch that ends at `through`. The
    /// rows that they counted in are touched.
    pub(crate) fn drop_source(
        &mut self,
        source: &str,
        through: i64,
        pending: &mut Pending,
        touched: &mut Touched,
    ) -> Result<(), StoreError> {
        self.roll_all(through, pending)?;
        for seq in self.entries_from(source)? {
            let found = call(&self.connection, &mut self.shelves, seq)?;
            let Some(found) = found else { continue };
            let event = &found.entry.event;
            touched.call(self, event, &found.corrected())?;
            drop_what_belongs(&self.connection, seq, event, found.version() > 0)?;
            let sql = "DELETE FROM entries WHERE seq = ?1";
            self.connection.prepare_cached(sql).db()?.execute([seq_value(seq)?]).db()?;
            self.meta.entries -= 1;
        }
        Ok(())
    }

    fn entries_from(&self, source: &str) -> Result<Vec<Seq>, StoreError> {
        let all = terms::all::<Kind>(&self.connection)?;
        let kinds: HashSet<i64> =
            all.into_iter().filter(|(_, kind)| kind.call.source == source).map(|(id, _)| id).collect();
        if kinds.is_empty() {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        let mut statement = self.connection.prepare("SELECT seq, kind FROM entries ORDER BY seq").db()?;
        let mut rows = statement.query([]).db()?;
        while let Some(row) = rows.next().db()? {
            if kinds.contains(&row.get(1).db()?) {
                found.push(seq_of(row.get(0).db()?)?);
            }
        }
        Ok(found)
    }

    /// Sums up, as they were billed, the days that are about to lose adjusted entries.
    fn keep_billed_days(&mut self, cutoff: i64) -> Result<(), StoreError> {
        let zone = zone_of(&self.meta.time_zone)?;
        let sql = "SELECT occurred FROM adjustments WHERE occurred < ?1";
        let adjusted = crate::sealed::collect(&self.connection, sql, [cutoff], |row| row.get(0).db())?;
        let days: Result<BTreeSet<(i64, i64)>, StoreError> =
            adjusted.into_iter().map(|at| day_span(at, &zone)).collect();
        for span in days? {
            let mut cells = Cells::default();
            let Writer { connection, folder, shelves, .. } = self;
            each_row(connection, span.0, span.1, |row| {
                let entry = row.entry(connection, shelves)?;
                let state = State::of_entry(&entry);
                let place = folder.place(connection, &entry.event, &state)?;
                folder.fold(connection, place, &entry.event, &state, &mut cells)
            })?;
            for (cell, sums) in cells {
                if cell.rollup == Rollup::Days {
                    let cell = Cell { rollup: Rollup::BilledDays, ..cell };
                    self.rollups.replace(&self.connection, cell, Some(&sums))?;
                }
            }
            let sql = "UPDATE day_spans SET billed = 1 WHERE day = ?1";
            let day = span.0.div_euclid(1_000_000);
            self.connection.prepare_cached(sql).db()?.execute([day]).db()?;
        }
        Ok(())
    }
}

fn drop_entries(writer: &mut Writer, cutoff: i64) -> Result<u64, StoreError> {
    let Writer { connection, shelves, .. } = writer;
    let mut gone = 0;
    each_row(connection, i64::MIN, cutoff, |row| {
        gone += 1;
        let event = row.entry(connection, shelves)?.event;
        drop_what_belongs(connection, row.seq, &event, row.version > 0)
    })?;
    connection.prepare_cached("DELETE FROM entries WHERE at < ?1").db()?.execute([cutoff]).db()?;
    Ok(gone)
}

/// Drops everything of an entry but its row.
fn drop_what_belongs(
    connection: &Connection,
    entry: Seq,
    event: &Event,
    is_adjusted: bool,
) -> Result<(), StoreError> {
    let seq = seq_value(entry)?;
    Index::Identities.drop(connection, &event.id, seq)?;
    if let Some(response) = &event.provider_response_id {
        Index::Responses.drop(connection, response, seq)?;
    }
    drop_joins(connection, entry)?;
    connection.prepare_cached("DELETE FROM altered WHERE seq = ?1").db()?.execute([seq]).db()?;
    if is_adjusted {
        let sql = "DELETE FROM adjustments WHERE entry = ?1";
        connection.prepare_cached(sql).db()?.execute([seq]).db()?;
    }
    Ok(())
}

fn drop_joins(connection: &Connection, entry: Seq) -> Result<(), StoreError> {
    for join in joins_of(connection, entry)? {
        let seq = seq_value(join.seq)?;
        Index::Identities.drop(connection, &join.identity.id, seq)?;
        connection.prepare_cached("DELETE FROM joins WHERE seq = ?1").db()?.execute([seq]).db()?;
    }
    Ok(())
}
