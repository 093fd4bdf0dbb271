//! Rollup rows that an adjustment touches are made anew from their entries, never patched.

use crate::fault::Db;
use crate::fold::Place;
use crate::meta::zone_of;
use crate::rollup::{Cell, Cells, Unit, with_coarser};
use crate::row::{RawRow, row_columns};
use crate::sealed::adjustment_at;
use crate::terms::Class;
use crate::writer::Writer;
use rusqlite::Connection;
use std::collections::{BTreeMap, HashSet};
use tollbook_store::{State, StoreError};
use tollbook_types::Event;

/// The rows to make anew.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    cells: HashSet<Cell>,
}

impl Touched {
    pub(crate) fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Touches every row in which a call in some state counts.
    pub(crate) fn call(
        &mut self,
        writer: &mut Writer,
        event: &Event,
        state: &State,
    ) -> Result<(), StoreError> {
        let place = writer.folder.place(&writer.connection, event, state)?;
        let mut cells = Cells::default();
        writer.folder.fold(&writer.connection, place, event, state, &mut cells)?;
        self.cells.extend(with_coarser(cells)?.into_keys());
        Ok(())
    }

    /// Makes all touched rows anew, once the rollups count every entry.
    pub(crate) fn recompute(self, writer: &mut Writer) -> Result<(), StoreError> {
        if self.cells.is_empty() {
            return Ok(());
        }
        let zone = zone_of(&writer.meta.time_zone)?;
        // Cells by the span of time that their entries lie in.
        let mut spans: BTreeMap<(i64, i64), Vec<Cell>> = BTreeMap::new();
        for cell in self.cells {
            let span = cell.span(&zone)?;
            // What was purged cannot be read again; such rows stay as they are.
            if writer.is_kept(span.0) {
                spans.entry(span).or_default().push(cell);
            }
        }
        for (span, cells) in spans {
            let sums = fold_span(writer, span, &cells.iter().copied().collect())?;
            for cell in cells {
                let sums = sums.get(&cell).map(|sums| &**sums);
                writer.rollups.replace(&writer.connection, cell, sums)?;
            }
        }
        Ok(())
    }
}

/// Folds the corrected state of the entries of a span of time that count in some cells.
fn fold_span(
    writer: &mut Writer,
    (from, to): (i64, i64),
    wanted: &HashSet<Cell>,
) -> Result<Cells, StoreError> {
    // When only days are wanted, what is of other accounts and other work need not be decoded.
    let only_days = wanted.iter().all(|cell| cell.rollup.shape().unit == Unit::Day);
    let (mut accounts, mut works) = (HashSet::new(), HashSet::new());
    for cell in wanted {
        for ((_, class), named) in cell.rollup.shape().by.iter().zip(&cell.by) {
            match class {
                Class::Who => accounts.insert(named.id),
                Class::What => works.insert(named.id),
                _ => false,
            };
        }
    }
    let Writer { connection, folder, shelves, .. } = writer;
    let mut all = Cells::default();
    let mut part = Cells::default();
    each_row(connection, from, to, |row| {
        let is_near = accounts.contains(&row.who) || works.contains(&row.what);
        if only_days && row.version == 0 && !is_near {
            return Ok(());
        }
        let (event, place, state) = corrected(connection, folder, shelves, row)?;
        folder.fold(connection, place, &event, &state, &mut part)?;
        for (cell, sums) in with_coarser(std::mem::take(&mut part))? {
            if wanted.contains(&cell) {
                all.entry(cell).or_default().add(&sums)?;
            }
        }
        Ok(())
    })?;
    Ok(all)
}

/// The event, place and corrected state behind a row.
pub(crate) fn corrected(
    connection: &Connection,
    folder: &mut crate::fold::Folder,
    shelves: &mut crate::terms::Shelves,
    row: &RawRow<'_>,
) -> Result<(Event, Place, State), StoreError> {
    if row.version > 0 {
        let latest = adjustment_at(connection, row.seq, i64::MAX)?;
        let missing = || StoreError::Corrupt(format!("entry {} has lost its adjustments", row.seq));
        let (_, _, adjustment) = latest.ok_or_else(missing)?;
        let event = row.entry(connection, shelves)?.event;
        let state = State::of_adjustment(&adjustment);
        let place = folder.place(connection, &event, &state)?;
        return Ok((event, place, state));
    }
    let (mut event, mut state) = row.sums(connection, shelves)?;
    let who = shelves.who.get(connection, row.who)?;
    let what = shelves.what.get(connection, row.what)?;
    event.source.clone_from(&shelves.kind.get(connection, row.kind)?.value.call.source);
    state.attribution.project.clone_from(&who.value.project);
    let place = Place {
        at: row.at,
        who: crate::terms::Named { id: row.who, hash: who.hash },
        what: crate::terms::Named { id: row.what, hash: what.hash },
    };
    Ok((event, place, state))
}

/// Hands every row of a span of time to `each`.
pub(crate) fn each_row(
    connection: &Connection,
    from: i64,
    to: i64,
    mut each: impl FnMut(&RawRow<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let sql = concat!("SELECT ", row_columns!(), " FROM entries e WHERE e.at >= ?1 AND e.at < ?2");
    let mut statement = connection.prepare_cached(sql).db()?;
    let mut rows = statement.query([from, to]).db()?;
    while let Some(row) = rows.next().db()? {
        each(&RawRow::read(row)?)?;
    }
    Ok(())
}
