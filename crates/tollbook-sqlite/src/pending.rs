//! The newest entries, which no rollup row counts yet.
//!
//! Most rollup rows of a day change with every few hundred calls, so writing them with each batch
//! would cost more than the calls themselves. The writer holds their sums back until they are of
//! some thousand entries and then writes each row once. The position `rolled` in `meta` says how far
//! the rows count and changes in the same transaction, so every reader, also in another process or
//! after a crash, knows which entries to add itself. This module must never know a query.

use crate::fault::Db;
use crate::rollup::{Cells, with_coarser};
use crate::row::{RawRow, row_columns};
use crate::touched::corrected;
use crate::writer::Writer;
use rusqlite::Connection;
use tollbook_store::StoreError;

/// What the rollups do not count yet. Only what entries make themselves; the coarser rollups follow.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    pub cells: Cells,
    pub entries: usize,
    /// Set when the rows must not wait: what was dropped is only known by them.
    pub is_urgent: bool,
}

impl Pending {
    /// What the store has, and its rollups have not.
    pub(crate) fn load(writer: &mut Writer) -> Result<Pending, StoreError> {
        let mut pending = Pending::default();
        let Writer { connection, folder, shelves, meta, .. } = writer;
        each_newest_row(connection, meta.rolled, |row| {
            let (event, place, state) = corrected(connection, folder, shelves, row)?;
            pending.entries += 1;
            folder.fold(connection, place, &event, &state, &mut pending.cells)
        })?;
        Ok(pending)
    }

    /// Whether the rows should be written now, when so many entries may be held back.
    pub(crate) fn is_due(&self, held_back_max: usize) -> bool {
        self.entries > held_back_max || self.is_urgent
    }
}

impl Writer {
    /// Takes what is pending out of memory, or out of the store after a failure.
    pub(crate) fn take_pending(&mut self) -> Result<Pending, StoreError> {
        match self.pending.take() {
            Some(pending) => Ok(pending),
            None => Pending::load(self),
        }
    }

    /// Lets the rows know every entry that the store has, within the transaction of a batch that ends
    /// at `through`, those of this batch too.
    pub(crate) fn roll_all(&mut self, through: i64, pending: &mut Pending) -> Result<(), StoreError> {
        let applied = std::mem::replace(&mut self.meta.applied, through);
        let rolled = self.roll(pending);
        self.meta.applied = applied;
        rolled?;
        pending.is_urgent = true;
        Ok(())
    }

    /// Writes the rows of what is pending, within a transaction.
    pub(crate) fn roll(&mut self, pending: &mut Pending) -> Result<(), StoreError> {
        let Pending { cells, .. } = std::mem::take(pending);
        self.rollups.merge(&self.connection, with_coarser(cells)?)?;
        self.meta.rolled = self.meta.applied;
        Ok(())
    }

    /// Writes the rows of what is pending.
    pub(crate) fn settle(&mut self) -> Result<(), StoreError> {
        let mut pending = self.take_pending()?;
        if pending.entries > 0 {
            self.transact(|writer| writer.roll(&mut pending))?;
        }
        self.pending = Some(pending);
        Ok(())
    }
}

/// Hands every row after a position to `each`, in order.
pub(crate) fn each_newest_row(
    connection: &Connection,
    rolled: i64,
    mut each: impl FnMut(&RawRow<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let sql = concat!("SELECT ", row_columns!(), " FROM entries e WHERE e.seq > ?1 ORDER BY e.seq");
    let mut statement = connection.prepare_cached(sql).db()?;
    let mut rows = statement.query([rolled]).db()?;
    while let Some(row) = rows.next().db()? {
        each(&RawRow::read(row)?)?;
    }
    Ok(())
}
