//! Sums: from rollups where they serve, from entries where they do not.

use crate::fault::Db;
use crate::meta::{Meta, zone_of};
use crate::parts::{Home, Memo, Part, Picked, home};
use crate::plan::{Buckets, Source, Span, choose, cut, span_of};
use crate::quick::QuickMap;
use crate::rollup::{Cell, MICROS_PER_HOUR, MICROS_PER_QUARTER, Sums};
use crate::row::{RawRow, instant, micros};
use crate::sealed::adjustment_at;
use crate::terms::{Named, Shelves};
use crate::touched::each_row;
use rusqlite::{Connection, params};
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
        let source = choose(self.query, (cutoff, to), &zone);
        // Before the cut-off only days are left, and only as they were kept.
        if from < cutoff && source.is_some() && !matches!(self.query.view, View::AsOf(_)) {
            let (whole, _) = cut(Source::Days, (from, cutoff), &zone)?;
            self.days(whole, self.query.view == View::Billed)?;
            self.left.clear();
        }
        if cutoff >= to {
            return Ok(());
        }
        match source {
            Some(source) if !self.is_adjusted((cutoff, to))? => {
                let (whole, ends) = cut(source, (cutoff, to), &zone)?;
                self.left.extend(ends);
                match source {
                    Source::Hours => self.hours(whole)?,
                    Source::Quarters => self.quarters(whole)?,
                    Source::Days => self.days(whole, false)?,
                }
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

    fn hours(&mut self, (from, to): Span) -> Result<(), StoreError> {
        self.rolled |= from < to;
        let sql = "SELECT hour, model, body FROM hours WHERE hour >= ?1 AND hour < ?2 ORDER BY hour";
        let mut statement = self.connection.prepare_cached(sql).db()?;
        let bounds = [from.div_euclid(MICROS_PER_HOUR), hour_after(to, MICROS_PER_HOUR)];
        let mut rows = statement.query(bounds).db()?;
        while let Some(row) = rows.next().db()? {
            let (hour, model): (i64, i64) = (row.get(0).db()?, row.get(1).db()?);
            let Some(bucket) = self.bucket(cell_span(hour, MICROS_PER_HOUR)?)? else { continue };
            let Some(call) = self.model_place(model)? else { continue };
            let cell = Cell::Hour { hour, model: call.named(model) };
            cell.add_sealed(body(row, 2)?, self.group(bucket, [0, 0, call.place, 0]))?;
        }
        Ok(())
    }

    fn quarters(&mut self, (from, to): Span) -> Result<(), StoreError> {
        self.rolled |= from < to;
        let sql = "SELECT quarter, project, model, body FROM quarters
            WHERE quarter >= ?1 AND quarter < ?2 ORDER BY quarter";
        let mut statement = self.connection.prepare_cached(sql).db()?;
        let bounds = [from.div_euclid(MICROS_PER_QUARTER), hour_after(to, MICROS_PER_QUARTER)];
        let mut rows = statement.query(bounds).db()?;
        while let Some(row) = rows.next().db()? {
            let [quarter, project, model]: [i64; 3] = [row.get(0).db()?, row.get(1).db()?, row.get(2).db()?];
            let Some(bucket) = self.bucket(cell_span(quarter, MICROS_PER_QUARTER)?)? else { continue };
            let (connection, shelves) = (self.connection, &mut *self.shelves);
            let who = self.who.pick_memo(Memo::Hours, project, |part| {
                let of = shelves.project.get(connection, project)?;
                Ok((part.pick(|_| of.value.project.as_deref()), of.hash))
            })?;
            let Some((who, call)) = who.zip(self.model_place(model)?) else { continue };
            let cell = Cell::Quarter { quarter, project: who.named(project), model: call.named(model) };
            cell.add_sealed(body(row, 3)?, self.group(bucket, [who.place, 0, call.place, 0]))?;
        }
        Ok(())
    }

    fn model_place(&mut self, id: i64) -> Result<Option<Picked>, StoreError> {
        let (connection, shelves) = (self.connection, &mut *self.shelves);
        self.call.pick_memo(Memo::Hours, id, |part| {
            let model = shelves.model.get(connection, id)?;
            let place = part.pick(|dimension| match dimension {
                Dimension::Provider => Some(&model.value.provider),
                _ => Some(&model.value.model),
            });
            Ok((place, model.hash))
        })
    }

    fn days(&mut self, span: Span, billed: bool) -> Result<(), StoreError> {
        self.rolled |= span.0 < span.1;
        let corrected = "SELECT d.day, s.ends, d.who, d.what, d.call, d.body, 0 FROM day_spans s
            JOIN days d ON d.day = s.day WHERE s.day >= ?1 AND s.ends <= ?2 AND (s.billed = 0 OR ?3 = 0)
            ORDER BY d.day";
        let as_billed = "SELECT d.day, s.ends, d.who, d.what, d.call, d.body, 1 FROM day_spans s
            JOIN billed_days d ON d.day = s.day WHERE s.day >= ?1 AND s.ends <= ?2 AND s.billed = ?3
            ORDER BY d.day";
        self.day_rows(corrected, span, billed)?;
        if billed { self.day_rows(as_billed, span, billed) } else { Ok(()) }
    }

    fn day_rows(&mut self, sql: &'static str, (from, to): Span, billed: bool) -> Result<(), StoreError> {
        let mut statement = self.connection.prepare_cached(sql).db()?;
        let bounds = params![second_from(from), to.div_euclid(1_000_000), billed];
        let mut rows = statement.query(bounds).db()?;
        while let Some(row) = rows.next().db()? {
            let [day, ends, who, what, call] = [0, 1, 2, 3, 4].map(|at| row.get::<_, i64>(at));
            let (day, ends, who, what, call) = (day.db()?, ends.db()?, who.db()?, what.db()?, call.db()?);
            let span = (day.saturating_mul(1_000_000), ends.saturating_mul(1_000_000));
            let Some(bucket) = self.bucket(span)? else { continue };
            let Some(picked) = self.day_places(who, what, call)? else { continue };
            let places = [picked[0].place, picked[1].place, picked[2].place, 0];
            let (who, what, call) = (picked[0].named(who), picked[1].named(what), picked[2].named(call));
            let cell = match row.get::<_, bool>(6).db()? {
                false => Cell::Day { day, who, what, call },
                true => Cell::BilledDay { day, who, what, call },
            };
            cell.add_sealed(body(row, 5)?, self.group(bucket, places))?;
        }
        Ok(())
    }

    fn day_places(&mut self, who: i64, what: i64, call: i64) -> Result<Option<[Picked; 3]>, StoreError> {
        let (connection, shelves) = (self.connection, &mut *self.shelves);
        let who = self.who.pick_memo(Memo::Days, who, |part| {
            let who = shelves.who.get(connection, who)?;
            Ok((part.pick(|dimension| who.value.value(dimension)), who.hash))
        })?;
        let what = self.what.pick_memo(Memo::Days, what, |part| {
            let what = shelves.what.get(connection, what)?;
            Ok((part.pick(|dimension| what.value.value(dimension)), what.hash))
        })?;
        let call = self.call.pick_memo(Memo::Days, call, |part| {
            let call = shelves.call.get(connection, call)?;
            Ok((part.pick(|dimension| call.value.value(dimension)), call.hash))
        })?;
        Ok(match (who, what, call) {
            (Some(who), Some(what), Some(call)) => Some([who, what, call]),
            _ => None,
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

impl Picked {
    fn named(self, id: i64) -> Named {
        Named { id, hash: self.hash }
    }
}

/// The packed sums in a column.
fn body<'a>(row: &'a rusqlite::Row<'_>, column: usize) -> Result<&'a [u8], StoreError> {
    row.get_ref(column).db()?.as_blob().map_err(|_| crate::pack::damaged())
}

/// The first cell that begins at or after an end.
fn hour_after(to: i64, unit: i64) -> i64 {
    if to == i64::MAX { i64::MAX } else { to.div_euclid(unit) }
}

fn cell_span(cell: i64, unit: i64) -> Result<Span, StoreError> {
    let start = cell.checked_mul(unit).ok_or_else(crate::pack::damaged)?;
    Ok((start, start.checked_add(unit).ok_or_else(crate::pack::damaged)?))
}

/// The first whole second at or after an instant.
fn second_from(at: i64) -> i64 {
    at.div_euclid(1_000_000) + i64::from(at.rem_euclid(1_000_000) != 0)
}
