//! Going through all entries in the order of time with their rollup rows: to compare them, or to
//! make them anew.

use crate::fault::Db;
use crate::fold::day_span;
use crate::rollup::{Cell, Cells, MICROS_PER_HOUR, MICROS_PER_QUARTER, Sums};
use crate::terms::{Named, Shelves};
use rusqlite::{Connection, Row, params};
use tollbook_store::{StoreError, Zone};

/// Cells are settled when time has passed this much further.
pub(crate) const STEP: i64 = 24 * MICROS_PER_HOUR;

/// The time that a cell spans.
pub(crate) fn span(cell: &Cell, zone: &Zone) -> Result<(i64, i64), StoreError> {
    let even =
        |cell: i64, unit: i64| (cell.saturating_mul(unit), cell.saturating_add(1).saturating_mul(unit));
    match cell {
        Cell::Hour { hour, .. } => Ok(even(*hour, MICROS_PER_HOUR)),
        Cell::Quarter { quarter, .. } => Ok(even(*quarter, MICROS_PER_QUARTER)),
        Cell::Day { day, .. } | Cell::BilledDay { day, .. } => day_span(day.saturating_mul(1_000_000), zone),
    }
}

/// Takes the cells out that end at or before an instant.
pub(crate) fn ended(cells: &mut Cells, upto: i64, zone: &Zone) -> Result<Cells, StoreError> {
    let mut done = Vec::new();
    for cell in cells.keys() {
        if span(cell, zone)?.1 <= upto {
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
    let bounds = |unit: i64| [from.div_euclid(unit), to.div_euclid(unit)];
    let hours = "SELECT body, hour, model, 0, 0 FROM hours WHERE hour >= ?1 AND hour < ?2";
    let quarters =
        "SELECT body, quarter, project, model, 0 FROM quarters WHERE quarter >= ?1 AND quarter < ?2";
    let days = "SELECT d.body, d.day, d.who, d.what, d.call FROM day_spans s JOIN days d ON d.day = s.day
        WHERE s.ends > ?1 AND s.ends <= ?2";
    for (sql, bounds, kind) in [
        (hours, bounds(MICROS_PER_HOUR), Kind::Hour),
        (quarters, bounds(MICROS_PER_QUARTER), Kind::Quarter),
        (days, bounds(1_000_000), Kind::Day),
    ] {
        let mut statement = connection.prepare_cached(sql).db()?;
        let mut rows = statement.query(params![bounds[0], bounds[1]]).db()?;
        while let Some(row) = rows.next().db()? {
            each(stored_cell(connection, shelves, row, kind));
        }
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Kind {
    Hour,
    Quarter,
    Day,
}

fn stored_cell(
    connection: &Connection,
    shelves: &mut Shelves,
    row: &Row<'_>,
    kind: Kind,
) -> Result<(Cell, Sums), StoreError> {
    let [at, first, second, third] = [1, 2, 3, 4].map(|column| row.get::<_, i64>(column));
    let (at, first, second, third) = (at.db()?, first.db()?, second.db()?, third.db()?);
    let named = |id, hash| Named { id, hash };
    let cell = match kind {
        Kind::Hour => {
            let model = named(first, shelves.model.get(connection, first)?.hash);
            Cell::Hour { hour: at, model }
        }
        Kind::Quarter => {
            let project = named(first, shelves.project.get(connection, first)?.hash);
            let model = named(second, shelves.model.get(connection, second)?.hash);
            Cell::Quarter { quarter: at, project, model }
        }
        Kind::Day => {
            let who = named(first, shelves.who.get(connection, first)?.hash);
            let what = named(second, shelves.what.get(connection, second)?.hash);
            let call = named(third, shelves.call.get(connection, third)?.hash);
            Cell::Day { day: at, who, what, call }
        }
    };
    let body = row.get_ref(0).db()?.as_blob().map_err(|_| crate::pack::damaged())?;
    let sums = cell.unseal(body)?;
    Ok((cell, sums))
}
