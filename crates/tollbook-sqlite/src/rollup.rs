//! Rollups: sums that are kept up to date with the entries.
//!
//! What there is of them is the table [`SHAPES`]: what time a row spans, and by which combinations
//! it is. Two of them are made from entries; the others are coarser views of those two, so that a
//! question reads few rows. Each row packs one [`Sums`] of the corrected state and ends with a
//! checksum over its key, with the combinations resolved, and its sums.
//!
//! Rows count the entries up to the position `rolled` in `meta`. What came after it is few, and
//! whoever asks adds it: see [`crate::pending`]. What one call adds comes from
//! [`tollbook_store::fold`]; this module must never decide that itself.

use crate::fault::Db;
use crate::fold::day_span;
use crate::pack::{Packer, Unpacker, damaged};
use crate::quick::QuickMap;
use crate::sums::Sums;
use crate::terms::{Class, Named};
use rusqlite::{CachedStatement, Connection, OptionalExtension};
use std::collections::hash_map::Entry;
use std::hash::{Hash, Hasher};
use std::sync::LazyLock;
use tollbook_store::{StoreError, Zone};

/// The time that one row spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// An hour, by its number since the epoch.
    Hour,
    /// A quarter of an hour, by its number since the epoch.
    Quarter,
    /// A day of the store's zone, by its first second since the epoch.
    Day,
}

/// A rollup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Rollup {
    Hours,
    Quarters,
    Days,
    /// As [`Rollup::Days`], as billed, for days whose adjusted entries were purged.
    BilledDays,
    /// Days by account only: what most reports over long times are by.
    DayAccounts,
    /// Days by everything but the account.
    DayWorks,
}

/// What a rollup is.
#[derive(Debug)]
pub(crate) struct Shape {
    pub rollup: Rollup,
    pub table: &'static str,
    pub unit: Unit,
    /// The combinations that a row is by, with their columns.
    pub by: &'static [(&'static str, Class)],
    /// The rollup that it is a coarser view of, and which of its combinations it keeps.
    from: Option<(Rollup, &'static [usize])>,
}

/// All rollups, in the order of [`Rollup`].
pub(crate) const SHAPES: [Shape; 6] = [
    Shape {
        rollup: Rollup::Hours,
        table: "hours",
        unit: Unit::Hour,
        by: &[("model", Class::Model)],
        from: Some((Rollup::Quarters, &[1])),
    },
    Shape {
        rollup: Rollup::Quarters,
        table: "quarters",
        unit: Unit::Quarter,
        by: &[("project", Class::Project), ("model", Class::Model)],
        from: None,
    },
    Shape {
        rollup: Rollup::Days,
        table: "days",
        unit: Unit::Day,
        by: &[("who", Class::Who), ("what", Class::What), ("call", Class::Call)],
        from: None,
    },
    Shape {
        rollup: Rollup::BilledDays,
        table: "billed_days",
        unit: Unit::Day,
        by: &[("who", Class::Who), ("what", Class::What), ("call", Class::Call)],
        from: None,
    },
    Shape {
        rollup: Rollup::DayAccounts,
        table: "day_accounts",
        unit: Unit::Day,
        by: &[("who", Class::Who)],
        from: Some((Rollup::Days, &[0])),
    },
    Shape {
        rollup: Rollup::DayWorks,
        table: "day_works",
        unit: Unit::Day,
        by: &[("what", Class::What), ("call", Class::Call)],
        from: Some((Rollup::Days, &[1, 2])),
    },
];

impl Unit {
    const fn column(self) -> &'static str {
        match self {
            Unit::Hour => "hour",
            Unit::Quarter => "quarter",
            Unit::Day => "day",
        }
    }

    /// Microseconds between two numbers of this unit.
    pub(crate) const fn micros(self) -> i64 {
        match self {
            Unit::Hour => 3_600_000_000,
            Unit::Quarter => 900_000_000,
            Unit::Day => 1_000_000,
        }
    }

    /// The number of the unit that begins at or after an instant in microseconds.
    pub(crate) fn from(self, at: i64) -> i64 {
        at.div_euclid(self.micros()) + i64::from(at.rem_euclid(self.micros()) != 0)
    }

    /// The first microsecond of the unit with this number.
    pub(crate) fn start(self, number: i64) -> i64 {
        number.saturating_mul(self.micros())
    }
}

/// The statements of one rollup.
#[derive(Debug)]
struct Sql {
    create: String,
    find: String,
    put: String,
    remove: String,
    between: String,
    drop_from: String,
}

static SQL: LazyLock<Vec<Sql>> = LazyLock::new(|| SHAPES.iter().map(Sql::of).collect());

impl Sql {
    fn of(shape: &Shape) -> Sql {
        let (table, time) = (shape.table, shape.unit.column());
        let columns: Vec<&str> =
            std::iter::once(time).chain(shape.by.iter().map(|(name, _)| *name)).collect();
        let listed = columns.join(", ");
        let types: String = columns.iter().map(|name| format!("{name} INTEGER NOT NULL, ")).collect();
        let numbers: Vec<String> = (1..=columns.len() + 1).map(|nth| format!("?{nth}")).collect();
        let is: Vec<String> =
            columns.iter().zip(&numbers).map(|(name, nth)| format!("{name} = {nth}")).collect();
        let (is, numbers) = (is.join(" AND "), numbers.join(", "));
        Sql {
            create: format!(
                "CREATE TABLE {table} ({types}body BLOB NOT NULL, PRIMARY KEY ({listed})) STRICT, WITHOUT ROWID;"
            ),
            find: format!("SELECT body FROM {table} WHERE {is}"),
            put: format!("INSERT OR REPLACE INTO {table} ({listed}, body) VALUES ({numbers})"),
            remove: format!("DELETE FROM {table} WHERE {is}"),
            between: format!(
                "SELECT body, {listed} FROM {table} WHERE {time} >= ?1 AND {time} < ?2 ORDER BY {time}"
            ),
            drop_from: format!("DELETE FROM {table} WHERE {time} >= ?1"),
        }
    }
}

impl Rollup {
    pub(crate) const fn shape(self) -> &'static Shape {
        &SHAPES[self as usize]
    }

    fn sql(self) -> &'static Sql {
        &SQL[self as usize]
    }

    /// Makes its table.
    pub(crate) fn create_sql(self) -> &'static str {
        &self.sql().create
    }

    /// Its rows whose numbers of time lie in a half-open range, in order: the sums, the number, the
    /// combinations.
    pub(crate) fn between_sql(self) -> &'static str {
        &self.sql().between
    }

    /// Drops its rows that begin at or after an instant in microseconds.
    pub(crate) fn drop_from(self, connection: &Connection, at: i64) -> Result<(), StoreError> {
        let first = self.shape().unit.from(at);
        connection.prepare_cached(&self.sql().drop_from).db()?.execute([first]).db().map(drop)
    }
}

/// One row of a rollup: which, when, of what. Combinations that the rollup is not by are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cell {
    pub rollup: Rollup,
    /// The number of the time that it spans, in the rollup's unit.
    pub at: i64,
    pub by: [Named; 3],
}

/// By its numbers: the hash of a combination follows from them.
impl Hash for Cell {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [first, second, third] = self.by.map(|named| named.id);
        // Numbers of combinations are small: two seldom meet in one word.
        state.write_i64(self.at ^ (self.rollup as i64) << 56);
        state.write_i64(first);
        state.write_i64(second ^ third << 32);
    }
}

impl Cell {
    /// The sums of this cell as a stored value.
    pub(crate) fn seal(&self, sums: &Sums) -> Vec<u8> {
        let mut body = Vec::with_capacity(64);
        self.seal_into(sums, &mut body);
        body
    }

    /// As [`Cell::seal`], in place of what was there.
    fn seal_into(&self, sums: &Sums, body: &mut Vec<u8>) {
        body.clear();
        let mut out = Packer { bytes: std::mem::take(body) };
        sums.pack(&mut out);
        let sum = self.checksum(&out.bytes);
        out.bytes.extend_from_slice(&sum.to_le_bytes());
        *body = out.bytes;
    }

    /// The sums in a stored value, if its checksum is that of this cell.
    pub(crate) fn unseal(&self, body: &[u8]) -> Result<Sums, StoreError> {
        let mut sums = Sums::default();
        self.add_sealed(body, &mut sums)?;
        Ok(sums)
    }

    /// Adds the sums in a stored value, if its checksum is that of this cell.
    pub(crate) fn add_sealed(&self, body: &[u8], sums: &mut Sums) -> Result<(), StoreError> {
        let (packed, sum) = body.split_last_chunk::<4>().ok_or_else(damaged)?;
        if self.checksum(packed) != u32::from_le_bytes(*sum) {
            return Err(StoreError::Corrupt(format!("a rollup row is damaged: {}", self.words())));
        }
        sums.add_packed(&mut Unpacker::new(packed))
    }

    fn checksum(&self, packed: &[u8]) -> u32 {
        let mut key = [0; 33];
        key[0] = self.rollup as u8 + 1;
        let numbers = [self.at, self.by[0].hash, self.by[1].hash, self.by[2].hash];
        for (place, number) in key[1..].chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&key);
        hasher.update(packed);
        hasher.finalize()
    }

    pub(crate) fn words(&self) -> String {
        let shape = self.rollup.shape();
        let by = shape.by.iter().zip(&self.by).map(|((column, _), named)| format!(", {column} {}", named.id));
        format!("{} {}{}", shape.table, self.at, by.collect::<String>())
    }

    /// The time that it spans, in microseconds.
    pub(crate) fn span(&self, zone: &Zone) -> Result<(i64, i64), StoreError> {
        let unit = self.rollup.shape().unit;
        match unit {
            Unit::Hour | Unit::Quarter => Ok((unit.start(self.at), unit.start(self.at.saturating_add(1)))),
            Unit::Day => day_span(unit.start(self.at), zone),
        }
    }

    /// The cell of a coarser rollup that this one counts in.
    fn coarser(&self, shape: &Shape) -> Option<Cell> {
        let (from, kept) = shape.from.filter(|(from, _)| *from == self.rollup)?;
        let mut by = [Named::default(); 3];
        for (place, kept) in by.iter_mut().zip(kept) {
            *place = self.by[*kept];
        }
        let at = match (from.shape().unit, shape.unit) {
            (Unit::Quarter, Unit::Hour) => self.at.div_euclid(4),
            _ => self.at,
        };
        Some(Cell { rollup: shape.rollup, at, by })
    }

    /// The columns of its key.
    fn key(&self) -> ([i64; 4], usize) {
        let [first, second, third] = self.by.map(|named| named.id);
        ([self.at, first, second, third], 1 + self.rollup.shape().by.len())
    }

    fn load(&self, connection: &Connection) -> Result<Option<Vec<u8>>, StoreError> {
        let (key, columns) = self.key();
        let mut find = connection.prepare_cached(&self.rollup.sql().find).db()?;
        find.query_row(rusqlite::params_from_iter(&key[..columns]), |row| row.get(0)).optional().db()
    }

    /// Writes the row, new or not: replacing is one descent, where an update finds the row first and
    /// takes it out. `put` is that of its rollup.
    fn store(&self, put: &mut CachedStatement<'_>, body: &[u8]) -> Result<(), StoreError> {
        let (key, columns) = self.key();
        for (nth, value) in key[..columns].iter().enumerate() {
            put.raw_bind_parameter(nth + 1, value).db()?;
        }
        put.raw_bind_parameter(columns + 1, body).db()?;
        put.raw_execute().db().map(drop)
    }

    fn remove(&self, connection: &Connection) -> Result<(), StoreError> {
        let (key, columns) = self.key();
        let mut remove = connection.prepare_cached(&self.rollup.sql().remove).db()?;
        remove.execute(rusqlite::params_from_iter(&key[..columns])).db().map(drop)
    }
}

/// Sums by cell, waiting to be written; boxed, so that moving and sorting cells is cheap.
pub(crate) type Cells = QuickMap<Cell, Box<Sums>>;

/// Adds to cells that were made from entries the cells of the coarser rollups.
pub(crate) fn with_coarser(cells: Cells) -> Result<Cells, StoreError> {
    let mut all = Cells::with_capacity_and_hasher(cells.len() * 2, Default::default());
    for (cell, sums) in cells {
        for coarser in SHAPES.iter().filter_map(|shape| cell.coarser(shape)) {
            all.entry(coarser).or_default().add(&sums)?;
        }
        all.insert(cell, sums);
    }
    Ok(all)
}

/// Rollup rows that the writer wrote lately, so that it need not read them again. Only true while
/// every transaction is committed.
#[derive(Debug, Default)]
pub(crate) struct RollupCache {
    rows: QuickMap<Cell, Vec<u8>>,
}

/// Rows that are remembered.
const CACHED_ROWS_MAX: usize = 150_000;

impl RollupCache {
    pub(crate) fn clear(&mut self) {
        self.rows.clear();
    }

    /// Adds sums to their rows. Returns how many rows that are.
    pub(crate) fn merge(&mut self, connection: &Connection, cells: Cells) -> Result<u64, StoreError> {
        let mut sorted: Vec<(Cell, Box<Sums>)> = cells.into_iter().collect();
        sorted.sort_unstable_by_key(|(cell, _)| *cell);
        if self.rows.len() + sorted.len() > CACHED_ROWS_MAX {
            self.rows.clear();
        }
        let rows = sorted.len() as u64;
        let mut sorted = sorted.into_iter().peekable();
        while let Some(rollup) = sorted.peek().map(|(cell, _)| cell.rollup) {
            let mut put = connection.prepare_cached(&rollup.sql().put).db()?;
            while let Some((cell, mut sums)) = sorted.next_if(|(cell, _)| cell.rollup == rollup) {
                match self.rows.entry(cell) {
                    Entry::Occupied(mut known) => {
                        let body = known.get_mut();
                        cell.add_sealed(body, &mut sums)?;
                        cell.seal_into(&sums, body);
                        cell.store(&mut put, body)?;
                    }
                    Entry::Vacant(place) => {
                        if let Some(before) = cell.load(connection)? {
                            cell.add_sealed(&before, &mut sums)?;
                        }
                        cell.store(&mut put, place.insert(cell.seal(&sums)))?;
                    }
                }
            }
        }
        Ok(rows)
    }

    /// Replaces rows by freshly made sums; a cell without sums loses its row.
    pub(crate) fn replace(
        &mut self,
        connection: &Connection,
        cell: Cell,
        sums: Option<&Sums>,
    ) -> Result<(), StoreError> {
        self.rows.remove(&cell);
        match sums {
            Some(sums) => {
                let mut put = connection.prepare_cached(&cell.rollup.sql().put).db()?;
                cell.store(&mut put, &cell.seal(sums))
            }
            None => cell.remove(connection),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollbook_store::Measures;
    use tollbook_types::{Meter, Meters, Money};

    #[test]
    fn sums_come_back_and_damage_is_noticed() {
        let named = |id| Named { id, hash: id * 7 };
        let measures = Measures {
            calls: 3,
            errors: 1,
            meters: Meters::from_pairs([(Meter::Input, 0), (Meter::Output, 12), (Meter::Requests, u64::MAX)]),
            cost: Money::from_picos(1 << 100),
            input_cost: Money::from_picos(-5),
            other_cost: Money::from_picos(9),
            cost_min: Some(Money::from_picos(-5)),
            cost_max: Some(Money::ZERO),
            latency_sum_ms: 44,
            latency_count: 2,
            ..Measures::default()
        };
        let cell = Cell { rollup: Rollup::Days, at: -3, by: [named(1), named(2), named(3)] };
        let body = cell.seal(&Sums::of(&measures));
        assert_eq!(cell.unseal(&body).unwrap().measures(), measures);
        let other = Cell { rollup: Rollup::Days, at: -3, by: [named(9), named(2), named(3)] };
        assert!(other.unseal(&body).is_err());
        for bit in 0..body.len() * 8 {
            let mut flipped = body.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(cell.unseal(&flipped).is_err());
        }
    }

    #[test]
    fn shapes_stand_in_the_order_of_their_names_and_derive_from_what_entries_make() {
        for (nth, shape) in SHAPES.iter().enumerate() {
            assert_eq!(shape.rollup as usize, nth);
            let Some((from, kept)) = shape.from else { continue };
            assert!(from.shape().from.is_none());
            let classes: Vec<Class> = kept.iter().map(|at| from.shape().by[*at].1).collect();
            assert_eq!(classes, shape.by.iter().map(|(_, class)| *class).collect::<Vec<_>>());
        }
    }
}
