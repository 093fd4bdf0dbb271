//! Going through all entries in the order of time with their rollup rows: to compare them, or to
//! make them anew.

use crate::fault::Db;
use crate::pack::damaged;
use crate::rollup::{Cell, Cells, Rollup, SHAPES, Shape, Unit};
use crate::sums::Sums;
use crate::terms::{Class, Named, Shelves};
use rusqlite::{Connection, Row};
use tollbook_store::{StoreError, Zone};

/// Cells are settled when time has passed this much further: whole units of every rollup but days.
pub(crate) const STEP: i64 = 24 * Unit::Hour.micros();

/// Takes the cells out that end at or before an instant.
pub(crate) fn ended(cells: &mut Cells, upto: i64, zone: &Zone) -> Result<Cells, StoreError> {
    let mut done = Vec::new();
    for cell in cells.keys() {
        if cell.span(zone)?.1 <= upto {
            done.push(*cell);
        }
    }
    Ok(done.into_iter().filter_map(|cell| cells.remove(&cell).map(|sums| (cell, sums))).collect())
}

/// Hands `each` every stored rollup row that ends after `from` and at or before `to`.
pub(crate) fn each_stored(
    connection: &Connection,
    shelves: &mut Shelves,
    (from, to): (i64, i64),
    mut each: impl FnMut(Result<(Cell, Sums), StoreError>),
) -> Result<(), StoreError> {
    for shape in SHAPES.iter().filter(|shape| shape.rollup != Rollup::BilledDays) {
        let spans = match shape.unit {
            Unit::Day => days_ending(connection, from, to)?,
            unit => vec![(from.div_euclid(unit.micros()), to.div_euclid(unit.micros()))],
        };
        let mut statement = connection.prepare_cached(shape.rollup.between_sql()).db()?;
        for (first, end) in spans {
            let mut rows = statement.query([first, end]).db()?;
            while let Some(row) = rows.next().db()? {
                each(stored_cell(connection, shelves, row, shape));
            }
        }
    }
    Ok(())
}

/// The numbers of the recorded days that end after `from` and at or before `to`, as ranges of one.
fn days_ending(connection: &Connection, from: i64, to: i64) -> Result<Vec<(i64, i64)>, StoreError> {
    let bounds = [from, to].map(|at| at.div_euclid(Unit::Day.micros()));
    let sql = "SELECT day FROM day_spans WHERE ends > ?1 AND ends <= ?2 ORDER BY day";
    crate::sealed::collect(connection, sql, bounds, |row| {
        let day: i64 = row.get(0).db()?;
        Ok((day, day.saturating_add(1)))
    })
}

/// The cell and sums of a row, whose first column is the sums and the others its key.
pub(crate) fn stored_cell(
    connection: &Connection,
    shelves: &mut Shelves,
    row: &Row<'_>,
    shape: &Shape,
) -> Result<(Cell, Sums), StoreError> {
    let mut cell = Cell { rollup: shape.rollup, at: row.get(1).db()?, by: [Named::default(); 3] };
    for (nth, (_, class)) in shape.by.iter().enumerate() {
        let id = row.get(nth + 2).db()?;
        let hash = match class {
            Class::Model => shelves.model.get(connection, id)?.hash,
            Class::Project => shelves.project.get(connection, id)?.hash,
            Class::Who => shelves.who.get(connection, id)?.hash,
            Class::What => shelves.what.get(connection, id)?.hash,
            _ => shelves.call.get(connection, id)?.hash,
        };
        cell.by[nth] = Named { id, hash };
    }
    let body = row.get_ref(0).db()?.as_blob().map_err(|_| damaged())?;
    let sums = cell.unseal(body)?;
    Ok((cell, sums))
}
