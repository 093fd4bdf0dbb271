//! Rollups: sums that are kept up to date with the entries, in the same transaction.
//!
//! * `hours`: UTC hour × provider and model;
//! * `quarters`: UTC quarter of an hour × project × provider and model;
//! * `days`: day of the store's zone × `who` × `what` × `call`.
//!
//! Each row packs one [`Sums`] of the corrected state and ends with a checksum over its key, with
//! the combinations resolved, and its sums. What one call adds comes from
//! [`tollbook_store::fold`]; this module must never decide that itself.

use crate::fault::Db;
use crate::pack::{Packer, Unpacker, damaged};
use crate::quick::QuickMap;
use crate::terms::Named;
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};
use std::collections::hash_map::Entry;
use tollbook_store::{Measures, StoreError};
use tollbook_types::{Meter, Meters, Money};

pub(crate) const MICROS_PER_HOUR: i64 = 3_600_000_000;
pub(crate) const MICROS_PER_QUARTER: i64 = 900_000_000;
const METERS: usize = 32;
const _: () = assert!(Meter::ALL.len() <= METERS, "every meter has a place");

/// [`Measures`] of a fixed size, quick to add.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    counts: [u64; COUNTS],
    meters: [u64; METERS],
    /// The meters that were reported, by code.
    reported: u64,
    cost: i128,
    input: i128,
    output: i128,
    other: i128,
    saved: i128,
    min: Option<i128>,
    max: Option<i128>,
}

const COUNTS: usize = 8;

fn too_large() -> StoreError {
    StoreError::Invalid("a sum does not fit".to_owned())
}

impl Sums {
    pub(crate) fn of(measures: &Measures) -> Sums {
        let mut sums = Sums {
            counts: [
                measures.calls,
                measures.errors,
                measures.unpriced_calls,
                measures.estimated_calls,
                measures.unknown_calls,
                measures.cache_hits,
                measures.latency_count,
                measures.latency_sum_ms,
            ],
            cost: measures.cost.picos(),
            input: measures.input_cost.picos(),
            output: measures.output_cost.picos(),
            other: measures.other_cost.picos(),
            saved: measures.saved.picos(),
            min: measures.cost_min.map(Money::picos),
            max: measures.cost_max.map(Money::picos),
            ..Sums::default()
        };
        for (meter, quantity) in measures.meters.iter() {
            sums.meters[usize::from(meter.code())] = quantity;
            sums.reported |= 1 << meter.code();
        }
        sums
    }

    pub(crate) fn measures(&self) -> Measures {
        let reported = Meter::ALL.iter().filter(|meter| self.reported >> meter.code() & 1 == 1);
        let quantity = |meter: &Meter| (*meter, self.meters[usize::from(meter.code())]);
        let [
            calls,
            errors,
            unpriced_calls,
            estimated_calls,
            unknown_calls,
            cache_hits,
            latency_count,
            latency,
        ] = self.counts;
        Measures {
            calls,
            errors,
            meters: Meters::from_pairs(reported.map(quantity)),
            cost: Money::from_picos(self.cost),
            input_cost: Money::from_picos(self.input),
            output_cost: Money::from_picos(self.output),
            other_cost: Money::from_picos(self.other),
            unpriced_calls,
            estimated_calls,
            unknown_calls,
            cache_hits,
            saved: Money::from_picos(self.saved),
            cost_min: self.min.map(Money::from_picos),
            cost_max: self.max.map(Money::from_picos),
            latency_sum_ms: latency,
            latency_count,
        }
    }

    pub(crate) fn add(&mut self, more: &Sums) -> Result<(), StoreError> {
        for (mine, theirs) in self.counts.iter_mut().zip(&more.counts) {
            *mine = mine.checked_add(*theirs).ok_or_else(too_large)?;
        }
        let mut rest = more.reported;
        while rest != 0 {
            let code = rest.trailing_zeros() as usize;
            self.meters[code] = self.meters[code].saturating_add(more.meters[code]);
            rest &= rest - 1;
        }
        self.reported |= more.reported;
        self.add_amounts([more.cost, more.input, more.output, more.other, more.saved])?;
        self.bounds(more.min, more.max);
        Ok(())
    }

    fn bounds(&mut self, min: Option<i128>, max: Option<i128>) {
        self.min = [self.min, min].into_iter().flatten().min();
        self.max = [self.max, max].into_iter().flatten().max();
    }

    fn pack(&self, out: &mut Packer) {
        let amounts = [self.cost.wrapping_sub(self.input).wrapping_sub(self.output), self.input, self.output];
        let amounts = [amounts[0], amounts[1], amounts[2], self.other.wrapping_sub(amounts[0]), self.saved];
        let mut mask = 0;
        for (at, count) in self.counts[1..].iter().enumerate() {
            mask |= u64::from(*count != 0) << at;
        }
        for (at, amount) in amounts.iter().enumerate() {
            mask |= u64::from(*amount != 0) << (7 + at);
        }
        mask |=
            u64::from(self.min.is_some()) << 12 | u64::from(self.max.is_some() && self.max != self.min) << 13;
        out.uint(mask);
        out.uint(self.counts[0]);
        for count in self.counts[1..].iter().filter(|count| **count != 0) {
            out.uint(*count);
        }
        for amount in amounts.iter().filter(|amount| **amount != 0) {
            out.int(*amount);
        }
        if let Some(min) = self.min {
            out.int(min);
            if let Some(max) = self.max.filter(|max| *max != min) {
                out.int(max);
            }
        }
        out.uint(self.reported);
        let mut rest = self.reported;
        while rest != 0 {
            out.uint(self.meters[rest.trailing_zeros() as usize]);
            rest &= rest - 1;
        }
    }

    /// Adds what [`Sums::pack`] wrote.
    fn add_packed(&mut self, from: &mut Unpacker<'_>) -> Result<(), StoreError> {
        let mask = from.uint()?;
        for at in 0..COUNTS {
            if at == 0 || mask >> (at - 1) & 1 == 1 {
                self.counts[at] = self.counts[at].checked_add(from.uint()?).ok_or_else(too_large)?;
            }
        }
        let mut amounts = [0_i128; 5];
        for (at, amount) in amounts.iter_mut().enumerate() {
            if mask >> (7 + at) & 1 == 1 {
                *amount = from.int()?;
            }
        }
        let [rest, input, output, other, saved] = amounts;
        let cost = rest.wrapping_add(input).wrapping_add(output);
        self.add_amounts([cost, input, output, other.wrapping_add(rest), saved])?;
        if mask >> 12 & 1 == 1 {
            let min = Some(from.int()?);
            let max = if mask >> 13 & 1 == 1 { Some(from.int()?) } else { min };
            self.bounds(min, max);
        }
        let mut rest = from.uint()?;
        if rest >> METERS != 0 {
            return Err(damaged());
        }
        self.reported |= rest;
        while rest != 0 {
            let code = rest.trailing_zeros() as usize;
            self.meters[code] = self.meters[code].saturating_add(from.uint()?);
            rest &= rest - 1;
        }
        if from.is_empty() { Ok(()) } else { Err(damaged()) }
    }

    fn add_amounts(&mut self, amounts: [i128; 5]) -> Result<(), StoreError> {
        let mine = [&mut self.cost, &mut self.input, &mut self.output, &mut self.other, &mut self.saved];
        for (mine, theirs) in mine.into_iter().zip(amounts) {
            *mine = mine.checked_add(theirs).ok_or_else(too_large)?;
        }
        Ok(())
    }
}

/// One row of a rollup: which, when, of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Cell {
    /// Hours since the epoch.
    Hour { hour: i64, model: Named },
    /// Quarters of an hour since the epoch.
    Quarter { quarter: i64, project: Named, model: Named },
    /// The day's first second since the epoch, in the store's zone.
    Day { day: i64, who: Named, what: Named, call: Named },
    /// The same, as billed, for days whose adjusted entries were purged.
    BilledDay { day: i64, who: Named, what: Named, call: Named },
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
        let (tag, parts) = match self {
            Cell::Hour { hour, model } => (1, [*hour, model.hash, 0, 0]),
            Cell::Quarter { quarter, project, model } => (2, [*quarter, project.hash, model.hash, 0]),
            Cell::Day { day, who, what, call } => (3, [*day, who.hash, what.hash, call.hash]),
            Cell::BilledDay { day, who, what, call } => (4, [*day, who.hash, what.hash, call.hash]),
        };
        let mut key = [0; 33];
        key[0] = tag;
        for (at, part) in parts.iter().enumerate() {
            key[1 + at * 8..9 + at * 8].copy_from_slice(&part.to_le_bytes());
        }
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&key);
        hasher.update(packed);
        hasher.finalize()
    }

    pub(crate) fn words(&self) -> String {
        match self {
            Cell::Hour { hour, model } => format!("hour {hour}, model {}", model.id),
            Cell::Quarter { quarter, project, model } => {
                format!("quarter {quarter}, project {}, model {}", project.id, model.id)
            }
            Cell::Day { day, who, what, call } | Cell::BilledDay { day, who, what, call } => {
                format!("day {day}, who {}, what {}, call {}", who.id, what.id, call.id)
            }
        }
    }

    fn load(&self, connection: &Connection) -> Result<Option<Vec<u8>>, StoreError> {
        let body = |row: &rusqlite::Row<'_>| row.get(0);
        let found = match self {
            Cell::Hour { hour, model } => connection
                .prepare_cached("SELECT body FROM hours WHERE hour = ?1 AND model = ?2")
                .db()?
                .query_row(params![hour, model.id], body),
            Cell::Quarter { quarter, project, model } => connection
                .prepare_cached(
                    "SELECT body FROM quarters WHERE quarter = ?1 AND project = ?2 AND model = ?3",
                )
                .db()?
                .query_row(params![quarter, project.id, model.id], body),
            Cell::Day { day, who, what, call } => connection
                .prepare_cached(
                    "SELECT body FROM days WHERE day = ?1 AND who = ?2 AND what = ?3 AND call = ?4",
                )
                .db()?
                .query_row(params![day, who.id, what.id, call.id], body),
            Cell::BilledDay { day, who, what, call } => connection
                .prepare_cached(
                    "SELECT body FROM billed_days WHERE day = ?1 AND who = ?2 AND what = ?3 AND call = ?4",
                )
                .db()?
                .query_row(params![day, who.id, what.id, call.id], body),
        };
        found.optional().db()
    }

    fn store(&self, putting: &mut Putting<'_>, body: &[u8]) -> Result<(), StoreError> {
        let done = match self {
            Cell::Hour { hour, model } => putting.hours.execute(params![hour, model.id, body]),
            Cell::Quarter { quarter, project, model } => {
                putting.quarters.execute(params![quarter, project.id, model.id, body])
            }
            Cell::Day { day, who, what, call } => {
                putting.days.execute(params![day, who.id, what.id, call.id, body])
            }
            Cell::BilledDay { day, who, what, call } => {
                putting.billed_days.execute(params![day, who.id, what.id, call.id, body])
            }
        };
        done.map(drop).db()
    }

    fn remove(&self, connection: &Connection) -> Result<(), StoreError> {
        let done = match self {
            Cell::Hour { hour, model } => connection
                .prepare_cached("DELETE FROM hours WHERE hour = ?1 AND model = ?2")
                .db()?
                .execute(params![hour, model.id]),
            Cell::Quarter { quarter, project, model } => connection
                .prepare_cached("DELETE FROM quarters WHERE quarter = ?1 AND project = ?2 AND model = ?3")
                .db()?
                .execute(params![quarter, project.id, model.id]),
            Cell::Day { day, who, what, call } => connection
                .prepare_cached("DELETE FROM days WHERE day = ?1 AND who = ?2 AND what = ?3 AND call = ?4")
                .db()?
                .execute(params![day, who.id, what.id, call.id]),
            Cell::BilledDay { .. } => Ok(0),
        };
        done.map(drop).db()
    }
}

/// The statements that write rows, new or not: replacing is one descent, where an update finds the
/// row first and takes it out.
struct Putting<'a> {
    hours: CachedStatement<'a>,
    quarters: CachedStatement<'a>,
    days: CachedStatement<'a>,
    billed_days: CachedStatement<'a>,
}

impl Putting<'_> {
    fn new(connection: &Connection) -> Result<Putting<'_>, StoreError> {
        let put = |sql: &'static str| connection.prepare_cached(sql).db();
        Ok(Putting {
            hours: put("INSERT OR REPLACE INTO hours (hour, model, body) VALUES (?1, ?2, ?3)")?,
            quarters: put(
                "INSERT OR REPLACE INTO quarters (quarter, project, model, body) VALUES (?1, ?2, ?3, ?4)",
            )?,
            days: put(
                "INSERT OR REPLACE INTO days (day, who, what, call, body) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?,
            billed_days: put(
                "INSERT OR REPLACE INTO billed_days (day, who, what, call, body) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?,
        })
    }
}

/// Sums by cell, waiting to be written; boxed, so that moving and sorting cells is cheap.
pub(crate) type Cells = QuickMap<Cell, Box<Sums>>;

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

    /// Adds sums to their rows.
    pub(crate) fn merge(&mut self, connection: &Connection, cells: Cells) -> Result<(), StoreError> {
        let mut sorted: Vec<(Cell, Box<Sums>)> = cells.into_iter().collect();
        sorted.sort_unstable_by_key(|(cell, _)| *cell);
        if self.rows.len() + sorted.len() > CACHED_ROWS_MAX {
            self.rows.clear();
        }
        let mut putting = Putting::new(connection)?;
        for (cell, mut sums) in sorted {
            match self.rows.entry(cell) {
                Entry::Occupied(mut known) => {
                    let body = known.get_mut();
                    cell.add_sealed(body, &mut sums)?;
                    cell.seal_into(&sums, body);
                    cell.store(&mut putting, body)?;
                }
                Entry::Vacant(place) => {
                    if let Some(before) = cell.load(connection)? {
                        cell.add_sealed(&before, &mut sums)?;
                    }
                    cell.store(&mut putting, place.insert(cell.seal(&sums)))?;
                }
            }
        }
        Ok(())
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
            Some(sums) => cell.store(&mut Putting::new(connection)?, &cell.seal(sums)),
            None => cell.remove(connection),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let cell = Cell::Day { day: -3, who: named(1), what: named(2), call: named(3) };
        let body = cell.seal(&Sums::of(&measures));
        assert_eq!(cell.unseal(&body).unwrap().measures(), measures);
        let other = Cell::Day { day: -3, who: named(9), what: named(2), call: named(3) };
        assert!(other.unseal(&body).is_err());
        for bit in 0..body.len() * 8 {
            let mut flipped = body.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(cell.unseal(&flipped).is_err());
        }
    }
}
