//! Sums: from rollups where they serve, from entries where they do not.

use crate::fault::Db;
use crate::meta::{Meta, zone_of};
use crate::parts::{Home, Memo, Part, home};
use crate::pending::each_newest_row;
use crate::plan::{Buckets, Span, choose, cut, span_of};
use crate::quick::QuickMap;
use crate::rollup::{Cell, Rollup, Unit};
use crate::row::{RawRow, instant, micros};
use crate::sealed::adjustment_at;
use crate::sums::Sums;
use crate::terms::{Class, Named, Shelves};
use crate::touched::each_row;
use rusqlite::{Connection, OptionalExtension, params};
use std::cmp::Reverse;
use tollbook_store::fold::{call_measures, dimension_value};
use tollbook_store::{Dimension, State, StoreError, UsageQuery, UsageReport, UsageRow, View};
use tollbook_types::Event;

/// A query on its way to an answer.
struct Summing<'a> {
    connection: &'a Connection,
    shelves: &'a mut Shelves,
    query: &'a UsageQuery,
    buckets: Buckets<'a>,
    who: Part,
    what: Part,
    call: Part,
    own: Part,
    groups: QuickMap<(i64, [u32; 4]), usize>,
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
    let part = |wanted| Part::new(wanted, &query.group_by, &query.filters);
    let mut summing = Summing {
        connection,
        shelves,
        query,
        buckets: Buckets::new(query),
        who: part(Home::Who),
        what: part(Home::What),
        call: part(Home::Call),
        own: part(Home::Own),
        groups: QuickMap::default(),
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
        let chosen = choose(self.query, (cutoff, to), &zone)?;
        // Before the cut-off only days are left, and only as they were kept.
        if from < cutoff && chosen.is_some() && !matches!(self.query.view, View::AsOf(_)) {
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
        match chosen {
            Some(rollup) if !self.is_adjusted((cutoff, to))? => {
                let (whole, ends) = cut(rollup, (cutoff, to), &zone)?;
                self.left.extend(ends);
                self.rows(rollup, whole, None)?;
                self.newest(meta, whole)?;
            }
            _ => self.left.push((cutoff, to)),
        }
        self.check_left(meta, raw_rows_max)?;
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

    fn check_left(&self, meta: &Meta, limit: u64) -> Result<(), StoreError> {
        if meta.entries.unsigned_abs() <= limit {
            return Ok(());
        }
        let mut rows = 0;
        for (from, to) in &self.left {
            let sql = "SELECT count(*) FROM entries WHERE at >= ?1 AND at < ?2";
            let mut statement = self.connection.prepare_cached(sql).db()?;
            let found: i64 = statement.query_row([from, to], |row| row.get(0)).db()?;
            rows += found.unsigned_abs();
        }
        if rows > limit { Err(StoreError::RangeTooLarge { rows, limit }) } else { Ok(()) }
    }

    /// The bucket of a rollup row, or `None` if a bucket's end cuts it: then it is left.
    fn bucket(&mut self, (start, end): Span) -> Result<Option<i64>, StoreError> {
        if self.left.last() == Some(&(start, end)) {
            return Ok(None);
        }
        let bucket = self.buckets.of(start)?;
        if end <= bucket.1 {
            return Ok(Some(bucket.0));
        }
        self.left.push((start, end));
        Ok(None)
    }

    /// The sums of a group.
    fn group(&mut self, bucket: i64, places: [u32; 4]) -> &mut Sums {
        let fresh = self.sums.len();
        let at = *self.groups.entry((bucket, places)).or_insert(fresh);
        if at == fresh {
            self.sums.push(Sums::default());
        }
        &mut self.sums[at]
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
            cell.add_sealed(body, self.group(bucket, places))?;
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
        let (connection, shelves) = (self.connection, &mut *self.shelves);
        let mut places = [0; 4];
        for (nth, (_, class)) in cell.rollup.shape().by.iter().enumerate() {
            let id = row.get(nth + 2).db()?;
            let (slot, picked) = match class {
                Class::Project => {
                    let picked = self.who.pick_memo(Memo::Hours, id, |part| {
                        let of = shelves.project.get(connection, id)?;
                        Ok((part.pick(|_| of.value.project.as_deref()), of.hash))
                    });
                    (0, picked?)
                }
                Class::Who => {
                    let picked = self.who.pick_memo(Memo::Days, id, |part| {
                        let who = shelves.who.get(connection, id)?;
                        Ok((part.pick(|dimension| who.value.value(dimension)), who.hash))
                    });
                    (0, picked?)
                }
                Class::What => {
                    let picked = self.what.pick_memo(Memo::Days, id, |part| {
                        let what = shelves.what.get(connection, id)?;
                        Ok((part.pick(|dimension| what.value.value(dimension)), what.hash))
                    });
                    (1, picked?)
                }
                Class::Model => {
                    let picked = self.call.pick_memo(Memo::Hours, id, |part| {
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
                    let picked = self.call.pick_memo(Memo::Days, id, |part| {
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
        let (connection, view) = (self.connection, self.query.view);
        let adjusted = match view {
            View::Billed => None,
            _ if row.version == 0 => None,
            View::Corrected => adjustment_at(connection, row.seq, i64::MAX)?,
            View::AsOf(at) => adjustment_at(connection, row.seq, micros(at))?,
        };
        if let Some((_, _, adjustment)) = &adjusted {
            let entry = row.entry(connection, self.shelves)?;
            return self.whole_entry(row.at, &entry.event, &State::of_adjustment(adjustment));
        }
        let shelves = &mut *self.shelves;
        let who = self.who.pick_memo(Memo::Entry, row.who, |part| {
            let who = shelves.who.get(connection, row.who)?;
            Ok((part.pick(|dimension| who.value.value(dimension)), who.hash))
        })?;
        let what = self.what.pick_memo(Memo::Entry, row.what, |part| {
            let what = shelves.what.get(connection, row.what)?;
            Ok((part.pick(|dimension| what.value.value(dimension)), what.hash))
        })?;
        let Some((who, what)) = who.zip(what) else { return Ok(()) };
        let (who, what) = (who.place, what.place);
        let bucket = self.buckets.of(row.at)?.0;
        let (event, state, own) = if self.own.is_idle() {
            let (event, state) = row.sums(connection, shelves)?;
            (event, state, 0)
        } else {
            let (event, state) = row.sums_and_own(connection, shelves)?;
            let own = self.own.pick(|dimension| dimension_value(dimension, &event, &state, &event.model));
            let Some(own) = own else { return Ok(()) };
            (event, state, own)
        };
        for (at, (model, measures)) in call_measures(&event, &state).iter().enumerate() {
            let shelves = &mut *self.shelves;
            let place = if at == 0 {
                self.call
                    .pick_memo(Memo::Entry, row.kind, |part| {
                        let kind = shelves.kind.get(connection, row.kind)?;
                        Ok((part.pick(|dimension| kind.value.call.value(dimension)), kind.hash))
                    })?
                    .map(|picked| picked.place)
            } else {
                let kind = shelves.kind.get(connection, row.kind)?;
                self.call.pick(|dimension| match dimension {
                    Dimension::Model => Some(model.as_str()),
                    other => kind.value.call.value(other),
                })
            };
            if let Some(call) = place {
                self.group(bucket, [who, what, call, own]).add(&Sums::of(measures))?;
            }
        }
        Ok(())
    }

    fn whole_entry(&mut self, at: i64, event: &Event, state: &State) -> Result<(), StoreError> {
        let bucket = self.buckets.of(at)?.0;
        for (model, measures) in call_measures(event, state) {
            let value = |dimension: &Dimension| dimension_value(dimension, event, state, &model);
            let places =
                [&mut self.who, &mut self.what, &mut self.call, &mut self.own].map(|part| part.pick(value));
            if let [Some(who), Some(what), Some(call), Some(own)] = places {
                self.group(bucket, [who, what, call, own]).add(&Sums::of(&measures))?;
            }
        }
        Ok(())
    }

    fn report(self) -> Result<UsageReport, StoreError> {
        let mut total = Sums::default();
        let mut rows = Vec::with_capacity(self.groups.len());
        let homes: Vec<Home> = self.query.group_by.iter().map(home).collect();
        for ((bucket, [who, what, call, own]), at) in self.groups {
            let mut keys = vec![None; homes.len()];
            let parts =
                [(&self.who, who, Home::Who), (&self.what, what, Home::What), (&self.call, call, Home::Call)];
            for (part, place, of) in parts.into_iter().chain([(&self.own, own, Home::Own)]) {
                if homes.contains(&of) {
                    part.fill(place, &mut keys);
                }
            }
            total.add(&self.sums[at])?;
            let bucket = if bucket == i64::MIN { None } else { Some(instant(bucket)?) };
            rows.push(UsageRow { bucket, keys, measures: self.sums[at].measures() });
        }
        rows.sort_by(|a, b| {
            let by = |row: &UsageRow| (row.bucket, Reverse(row.measures.cost));
            by(a).cmp(&by(b)).then_with(|| a.keys.cmp(&b.keys))
        });
        Ok(UsageReport { rows, total: total.measures(), from_rollups: self.rolled })
    }
}
