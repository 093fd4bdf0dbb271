//! Which rollups answer a query, and which stretches of time are left to be read call by call.
//!
//! A rollup row serves when it lies within the range and within one bucket of the answer; whatever
//! is cut by an end of the range or by a bucket's end is read from a finer rollup, and at last from
//! the entries. This module must never know what is summed.

use crate::fold::day_span;
use crate::parts::{Home, home};
use crate::rollup::{Rollup, Unit};
use crate::row::{instant, micros};
use tollbook_store::{Dimension, Interval, StoreError, UsageQuery, Zone, bucket_end, bucket_start};
use tollbook_types::{TimeRange, Timestamp};

/// A half-open stretch of microseconds.
pub(crate) type Span = (i64, i64);

/// The whole microseconds of a range.
pub(crate) fn span_of(range: TimeRange) -> Span {
    let ceiling = |at: Timestamp| {
        let nanos = at.as_nanosecond();
        // Every timestamp fits: its range is ±10,000 years.
        (nanos.div_euclid(1_000) + i128::from(nanos.rem_euclid(1_000) != 0)) as i64
    };
    (range.from.map_or(i64::MIN, ceiling), range.to.map_or(i64::MAX, ceiling))
}

/// The rollups that answer, each for what the one before cuts; none if the entries have to.
pub(crate) fn choose(query: &UsageQuery, (from, to): Span, zone: &Zone) -> &'static [Rollup] {
    let filtered = query.filters.iter().map(|filter| &filter.dimension);
    let asked = || query.group_by.iter().chain(filtered.clone());
    if asked().any(|d| home(d) == Home::Own || *d == Dimension::AgentName) {
        return &[];
    }
    let of_model = |d: &Dimension| matches!(d, Dimension::Provider | Dimension::Model);
    let by_model = asked().all(of_model);
    let by_project = asked().all(|d| of_model(d) || *d == Dimension::Project);
    let are_hours_whole = [from, to].into_iter().all(|at| {
        let offset = instant(at).map_or(0, |at| query.zone.to_offset(at).seconds());
        offset % 3_600 == 0
    });
    // Of the days of other zones only those at the ends of weeks and months are cut.
    let days_serve = match query.interval {
        Interval::None | Interval::Week | Interval::Month => true,
        Interval::Hour => false,
        Interval::Day => query.zone == *zone,
    };
    let is_by_account = asked().all(|d| home(d) == Home::Who);
    let is_by_work = asked().all(|d| home(d) != Home::Who);
    match () {
        () if by_model && query.interval == Interval::Hour && !are_hours_whole => &[Rollup::Quarters],
        () if by_model => &[Rollup::Hours, Rollup::Quarters],
        () if by_project && is_by_account && days_serve => &[Rollup::DayAccounts, Rollup::Quarters],
        () if by_project => &[Rollup::Quarters],
        () if !days_serve => &[],
        () if is_by_account => &[Rollup::DayAccounts],
        () if is_by_work => &[Rollup::DayWorks],
        () => &[Rollup::Days],
    }
}

/// The stretch that whole rows of a rollup cover, and what is left of the range at its ends.
pub(crate) fn cut(rollup: Rollup, (from, to): Span, zone: &Zone) -> Result<(Span, Vec<Span>), StoreError> {
    let floor = |at: i64| match rollup.shape().unit {
        Unit::Day => day_span(at, zone).map(|(start, end)| (start, end - start)),
        unit => Ok((unit.start(at.div_euclid(unit.micros())), unit.micros())),
    };
    let mut whole = (from, to);
    if from != i64::MIN {
        let (start, length) = floor(from)?;
        whole.0 = if start == from { from } else { start + length };
    }
    if to != i64::MAX {
        whole.1 = floor(to)?.0;
    }
    if whole.0 >= whole.1 {
        return Ok(((from, from), vec![(from, to)]));
    }
    let ends = [(from, whole.0), (whole.1, to)];
    Ok((whole, ends.into_iter().filter(|(start, end)| start < end).collect()))
}

/// The bucket of an answer that instants fall into, remembered from one to the next.
#[derive(Debug)]
pub(crate) struct Buckets<'a> {
    interval: Interval,
    zone: &'a Zone,
    now: Span,
}

impl Buckets<'_> {
    pub(crate) fn new(query: &UsageQuery) -> Buckets<'_> {
        let now = if query.interval == Interval::None { (i64::MIN, i64::MAX) } else { (0, 0) };
        Buckets { interval: query.interval, zone: &query.zone, now }
    }

    /// The bucket of an instant.
    pub(crate) fn of(&mut self, at: i64) -> Result<Span, StoreError> {
        if at < self.now.0 || at >= self.now.1 {
            let at = instant(at)?;
            let start = bucket_start(at, self.interval, self.zone).map_or(i64::MIN, micros);
            let end = bucket_end(at, self.interval, self.zone).map_or(i64::MAX, micros);
            self.now = (start, end);
        }
        Ok(self.now)
    }
}
