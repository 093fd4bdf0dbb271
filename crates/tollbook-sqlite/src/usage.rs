//! Sums: from rollups where they serve, from entries where they do not.

use crate::fault::Db;
use crate::grouping::{Grouping, check_rows};
use crate::meta::{Meta, zone_of};
use crate::parts::Memo;
use crate::pending::each_newest_row;
use crate::plan::{Span, choose, cut, span_of};
use crate::rollup::{Cell, Rollup, Unit};
use crate::row::{RawRow, micros};
use crate::sums::Sums;
use crate::terms::{Class, Named, Shelves};
use crate::touched::each_row;
use rusqlite::{Connection, OptionalExtension, params};
use std::cmp::Reverse;
use tollbook_store::{Dimension, StoreError, UsageQuery, UsageReport, UsageRow, View};

/// A query on its way to an answer.
struct Summing<'a> {
    connection: &'a Connection,
    shelves: &'a mut Shelves,
    query: &'a UsageQuery,
    grouping: Grouping<'a>,
    /// By number of the group.
    sums: Vec<Sums>,
    /// What rollup rows could not answer.
    left: Vec<Span>,
    rolled: bool,
}

/// Answers a query. At most `raw_rows_max` entries are read one by one.
pub(crate) fn usage(
    connection: &Connection,
    shelves: &mut Shelves,
    query: &UsageQuery,
    raw_rows_max: u64,
) -> Result<UsageReport, StoreError> {
    let meta = Meta::of(connection)?;
    let mut summing = Summing {
        connection,
        shelves,
        query,
        grouping: Grouping::new(query),
        sums: Vec::new(),
        left: Vec::new(),
        rolled: false,
    };
    summing.run(&meta, raw_rows_max)?;
    summing.report()
}

impl Summing<'_> {
    fn run(&mut self, meta: &Meta, raw_rows_max: u64) -> Result<(), StoreError> {
        let zone = zone_of(&meta.time_zone)?;
        let (from, to) = span_of(self.query.range);
        if from >= to {
            return Ok(());
        }
        let cutoff = meta.cutoff.unwrap_or(i64::MIN).clamp(from, to);
        let chosen = choose(self.query, (cutoff, to), &zone);
        // Before the cut-off only days are left, and only as they were kept.
        if from < cutoff && !chosen.is_empty() && !matches!(self.query.view, View::AsOf(_)) {
            let (whole, _) = cut(Rollup::Days, (from, cutoff), &zone)?;
            match self.query.view {
                View::Billed => {
                    self.rows(Rollup::Days, whole, Some(false))?;
                    self.rows(Rollup::BilledDays, whole, Some(true))?;
                }
                _ => self.rows(Rollup::Days, whole, None)?,
            }
            self.left.clear();
        }
        if cutoff >= to {
            return Ok(());
        }
        self.left.push((cutoff, to));
        if !chosen.is_empty() && !self.is_adjusted((cutoff, to))? {
            for rollup in chosen {
                for span in std::mem::take(&mut self.left) {
                    let (whole, ends) = cut(*rollup, span, &zone)?;
                    self.left.extend(ends);
                    self.rows(*rollup, whole, None)?;
                }
            }
            self.newest(meta, (cutoff, to))?;
        }
        check_rows(self.connection, meta, &self.left, raw_rows_max)?;
        for span in std::mem::take(&mut self.left) {
            self.entries(span)?;
        }
        Ok(())
    }

    /// Whether the view differs from the corrected one anywhere in a span.
    fn is_adjusted(&self, (from, to): Span) -> Result<bool, StoreError> {
        let after = match self.query.view {
            View::Corrected => return Ok(false),
            View::Billed => i64::MIN,
            View::AsOf(at) => micros(at),
        };
        let sql = "SELECT 1 FROM adjustments WHERE occurred >= ?1 AND occurred < ?2 AND at > ?3";
        let mut statement = self.connection.prepare_cached(sql).db()?;
        // An instant before all others is itself not after itself; there is no adjustment at it.
        statement.exists(params![from, to, after]).db()
    }

    /// The bucket of a rollup row, or `None` if a bucket's end cuts it: then it is left.
    fn bucket(&mut self, (start, end): Span) -> Result<Option<i64>, StoreError> {
        let bucket = self.grouping.buckets.of(start)?;
        if end <= bucket.1 {
            return Ok(Some(bucket.0));
        }
        self.left.push((start, end));
        Ok(None)
    }

    /// Adds the rows of a rollup that lie in a span; of days, if wanted, only those that a purge has
    /// kept as billed or only the others.
    fn rows(&mut self, rollup: Rollup, (from, to): Span, billed: Option<bool>) -> Result<(), StoreError> {
        self.rolled |= from < to;
        let unit = rollup.shape().unit;
        let mut statement = self.connection.prepare_cached(rollup.between_sql()).db()?;
        let mut rows = statement.query([unit.from(from), unit.from(to)]).db()?;
        // The number of the rows at hand, and the bucket that they count in, if any.
        let mut now: Option<(i64, Option<i64>)> = None;
        while let Some(row) = rows.next().db()? {
            let at: i64 = row.get(1).db()?;
            let bucket = match now {
                Some((number, bucket)) if number == at => bucket,
                _ => {
                    let bucket = match self.row_span(unit, at, billed)? {
                        Some(span) => self.bucket(span)?,
                        None => None,
                    };
                    now = Some((at, bucket));
                    bucket
                }
            };
            let Some(bucket) = bucket else { continue };
            let mut cell = Cell { rollup, at, by: [Named::default(); 3] };
            let Some(places) = self.places(&mut cell, row)? else { continue };
            let body = row.get_ref(0).db()?.as_blob().map_err(|_| crate::pack::damaged())?;
            let group = self.grouping.group(bucket, places);
            cell.add_sealed(body, sums_at(&mut self.sums, group))?;
        }
        Ok(())
    }

    /// The time that rows of a unit with this number span; `None` if they are not wanted.
    fn row_span(&self, unit: Unit, at: i64, billed: Option<bool>) -> Result<Option<Span>, StoreError> {
        let start = at.checked_mul(unit.micros()).ok_or_else(crate::pack::damaged)?;
        if unit != Unit::Day {
            return Ok(Some((start, start.saturating_add(unit.micros()))));
        }
        let sql = "SELECT ends, billed FROM day_spans WHERE day = ?1";
        let mut statement = self.connection.prepare_cached(sql).db()?;
        let found = statement.query_row([at], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?)));
        let (ends, is_billed) = match found.optional().db()? {
            Some(found) => found,
            None => return Err(StoreError::Corrupt(format!("day {at} is not recorded"))),
        };
        Ok(billed.is_none_or(|billed| billed == is_billed).then_some((start, unit.start(ends))))
    }

    /// Where the combinations of a row count, or `None` if a filter refuses them. Names the cell.
    fn places(&mut self, cell: &mut Cell, row: &rusqlite::Row<'_>) -> Result<Option<[u32; 4]>, StoreError> {
        let Summing { connection, shelves, grouping, .. } = self;
        let mut places = [0; 4];
        for (nth, (_, class)) in cell.rollup.shape().by.iter().enumerate() {
            let id = row.get(nth + 2).db()?;
            let (slot, picked) = match class {
                Class::Project => {
                    let picked = grouping.who.pick_memo(Memo::Hours, id, |part| {
                        let of = shelves.project.get(connection, id)?;
                        Ok((part.pick(|_| of.value.project.as_deref()), of.hash))
                    });
                    (0, picked?)
                }
                Class::Who => {
                    let picked = grouping.who.pick_memo(Memo::Days, id, |part| {
                        let who = shelves.who.get(connection, id)?;
                        Ok((part.pick(|dimension| who.value.value(dimension)), who.hash))
                    });
                    (0, picked?)
                }
                Class::What => {
                    let picked = grouping.what.pick_memo(Memo::Days, id, |part| {
                        let what = shelves.what.get(connection, id)?;
                        Ok((part.pick(|dimension| what.value.value(dimension)), what.hash))
                    });
                    (1, picked?)
                }
                Class::Model => {
                    let picked = grouping.call.pick_memo(Memo::Hours, id, |part| {
                        let model = shelves.model.get(connection, id)?;
                        let place = part.pick(|dimension| match dimension {
                            Dimension::Provider => Some(&model.value.provider),
                            _ => Some(&model.value.model),
                        });
                        Ok((place, model.hash))
                    });
                    (2, picked?)
                }
                _ => {
                    let picked = grouping.call.pick_memo(Memo::Days, id, |part| {
                        let call = shelves.call.get(connection, id)?;
                        Ok((part.pick(|dimension| call.value.value(dimension)), call.hash))
                    });
                    (2, picked?)
                }
            };
            let Some(picked) = picked else { return Ok(None) };
            places[slot] = picked.place;
            cell.by[nth] = Named { id, hash: picked.hash };
        }
        Ok(Some(places))
    }

    /// Adds the entries of a span that no rollup counts yet, but for what is left to be read anyway.
    fn newest(&mut self, meta: &Meta, (from, to): Span) -> Result<(), StoreError> {
        if meta.rolled == meta.applied || from >= to {
            return Ok(());
        }
        each_newest_row(self.connection, meta.rolled, |row| {
            let is_left = self.left.iter().any(|(from, to)| (*from..*to).contains(&row.at));
            if (from..to).contains(&row.at) && !is_left { self.entry(row) } else { Ok(()) }
        })
    }

    fn entries(&mut self, (from, to): Span) -> Result<(), StoreError> {
        each_row(self.connection, from, to, |row| self.entry(row))
    }

    fn entry(&mut self, row: &RawRow<'_>) -> Result<(), StoreError> {
        let Summing { connection, shelves, grouping, sums, .. } = self;
        grouping
            .entry(connection, shelves, row, |item| sums_at(sums, item.group).add(&Sums::of(item.measures)))
    }

    fn report(self) -> Result<UsageReport, StoreError> {
        let mut total = Sums::default();
        let mut rows = Vec::with_capacity(self.sums.len());
        for (bucket, keys, group) in self.grouping.groups()? {
            let sums = &self.sums[group];
            total.add(sums)?;
            rows.push(UsageRow { bucket, keys, rest: 0, measures: sums.measures() });
        }
        rows.sort_by(|a, b| {
            let by = |row: &UsageRow| (row.bucket, Reverse(row.measures.cost));
            by(a).cmp(&by(b)).then_with(|| a.keys.cmp(&b.keys))
        });
        Ok(UsageReport { rows, total: total.measures(), from_rollups: self.rolled })
    }
}

/// The sums of a group.
fn sums_at(sums: &mut Vec<Sums>, group: usize) -> &mut Sums {
    if group == sums.len() {
        sums.push(Sums::default());
    }
    &mut sums[group]
}
