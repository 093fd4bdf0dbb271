//! Calendar periods: which stretch of time an instant belongs to, in a zone.
//!
//! Periods of one kind and zone are stretches of real time that follow one another without gap or
//! overlap, whatever the zone's clocks do; so sums over periods add up to the whole. This module
//! must never know what is being counted.
//!
//! * An hour starts where the zone's clocks stand on the hour, in zones at :30 and :45 too, and
//!   where they are moved while not on the hour (by half an hour, say). An hour that the clocks
//!   show twice is two periods.
//! * A day, a week and a month start at the first instant at which the clocks show midnight of the
//!   first day, or a later time where midnight is skipped. Clocks that are set back over midnight
//!   do not reopen the day before.

use crate::time::Timestamp;
use jiff::civil::{Date, Time, Weekday};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

const NANOS_PER_SECOND: i128 = 1_000_000_000;
const NANOS_PER_HOUR: i128 = 3_600 * NANOS_PER_SECOND;

/// The first instant of the first of so many days, the last of which is the day of `now`. `None` for
/// no days, and for more than the calendar has.
///
/// ```
/// use tollbook_types::{Zone, first_of_days};
/// let now = "2026-03-30T10:00:00Z".parse().unwrap();
/// let berlin = Zone::get("Europe/Berlin").unwrap();
/// assert_eq!(first_of_days(2, now, &berlin).unwrap().to_string(), "2026-03-28T23:00:00Z");
/// assert_eq!(first_of_days(0, now, &berlin), None);
/// ```
pub fn first_of_days(days: u32, now: Timestamp, zone: &Zone) -> Option<Timestamp> {
    let back = jiff::Span::new().try_days(i64::from(days.checked_sub(1)?)).ok()?;
    let first = zone.to_datetime(now).date().checked_sub(back).ok()?;
    Some(first_instant(first, zone))
}

/// When the zone's clocks show this hour (0 to 23) of the day that begins at `start`; where they jump
/// over it, an hour later on them, and where they show it twice, the first time.
///
/// ```
/// use tollbook_types::{Zone, hour_of_day};
/// let berlin = Zone::get("Europe/Berlin").unwrap();
/// let day = "2026-03-28T23:00:00Z".parse().unwrap(); // 23 hours: 02:00 is skipped
/// assert_eq!(hour_of_day(day, 8, &berlin).to_string(), "2026-03-29T06:00:00Z");
/// assert_eq!(hour_of_day(day, 2, &berlin).to_string(), "2026-03-29T01:00:00Z");
/// ```
pub fn hour_of_day(start: Timestamp, hour: u8, zone: &Zone) -> Timestamp {
    let date = zone.to_datetime(start).date();
    let time = Time::new(i8::try_from(hour).unwrap_or(0), 0, 0, 0);
    let shown = time.map(|time| zone.to_ambiguous_timestamp(date.to_datetime(time)));
    // A day that begins late has no hour before that.
    shown.and_then(|shown| shown.compatible()).map_or(start, |at| at.max(start))
}

/// A kind of stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Period {
    /// Whole hours.
    Hour,
    /// Calendar days.
    Day,
    /// Weeks from this day.
    Week(Weekday),
    /// Calendar months from this day (1 to 31) on; a shorter month starts on its last day instead.
    Month(u8),
}

impl Period {
    /// Calendar weeks.
    pub const WEEK: Period = Period::Week(Weekday::Monday);
    /// Calendar months.
    pub const MONTH: Period = Period::Month(1);

    /// The first instant of the period that `at` belongs to.
    ///
    /// ```
    /// use tollbook_types::{Period, Zone};
    /// let zone = Zone::get("Asia/Kathmandu").unwrap(); // +05:45
    /// let at = "2026-03-01T10:00:00Z".parse().unwrap();
    /// assert_eq!(Period::Hour.start(at, &zone).to_string(), "2026-03-01T09:15:00Z");
    /// assert_eq!(Period::Month(15).start(at, &zone).to_string(), "2026-02-14T18:15:00Z");
    /// ```
    pub fn start(self, at: Timestamp, zone: &Zone) -> Timestamp {
        match self {
            Period::Hour => hour_start(at, zone),
            _ => first_instant(self.first_day(at, zone), zone),
        }
    }

    /// The first instant after the period that `at` belongs to.
    pub fn end(self, at: Timestamp, zone: &Zone) -> Timestamp {
        match self {
            Period::Hour => hour_end(at, zone),
            _ => {
                let next = self.next_day(self.first_day(at, zone));
                next.map_or(Timestamp::MAX, |next| first_instant(next, zone))
            }
        }
    }

    /// The first day of the calendar period that `at` belongs to.
    fn first_day(self, at: Timestamp, zone: &Zone) -> Date {
        let today = zone.to_datetime(at).date();
        let first = match self {
            Period::Week(from) => {
                let since = i64::from(today.weekday().since(from));
                today.checked_sub(jiff::Span::new().days(since)).unwrap_or(Date::MIN)
            }
            Period::Month(from) => {
                let this = day_of_month(today, from);
                let before = || today.first_of_month().yesterday().ok().map(|last| day_of_month(last, from));
                if this <= today { this } else { before().unwrap_or(Date::MIN) }
            }
            Period::Hour | Period::Day => today,
        };
        // Where clocks were set back over midnight, the next period has begun although it shows today.
        match self.next_day(first) {
            Some(next) if first_instant(next, zone) <= at => next,
            _ => first,
        }
    }

    /// The first day of the next calendar period.
    fn next_day(self, first: Date) -> Option<Date> {
        match self {
            Period::Week(_) => first.checked_add(jiff::Span::new().days(7)).ok(),
            Period::Month(from) => first.last_of_month().tomorrow().ok().map(|next| day_of_month(next, from)),
            Period::Hour | Period::Day => first.tomorrow().ok(),
        }
    }
}

/// This day of the month that `date` is in, or its last day.
fn day_of_month(date: Date, day: u8) -> Date {
    let days = date.days_in_month();
    let day = i8::try_from(day).unwrap_or(days).clamp(1, days);
    date.with().day(day).build().unwrap_or(date)
}

/// A time zone.
pub type Zone = TimeZone;

/// The first instant at which the zone's clocks show midnight of `date`, or the instant at which
/// they jump over it.
fn first_instant(date: Date, zone: &Zone) -> Timestamp {
    let midnight = date.to_datetime(Time::midnight());
    let out_of_range = if date < Date::constant(1970, 1, 1) { Timestamp::MIN } else { Timestamp::MAX };
    let at = |offset: Offset| offset.to_timestamp(midnight).unwrap_or(out_of_range);
    match zone.to_ambiguous_timestamp(midnight).offset() {
        AmbiguousOffset::Unambiguous { offset } => at(offset),
        AmbiguousOffset::Fold { before, .. } => at(before),
        AmbiguousOffset::Gap { before, .. } => last_change(at(before), zone).unwrap_or_else(|| at(before)),
    }
}

fn hour_start(at: Timestamp, zone: &Zone) -> Timestamp {
    let offset = zone.to_offset(at);
    let start = shifted(at, -into_hour(at, offset));
    if zone.to_offset(start) == offset {
        return start;
    }
    last_change(at, zone).map_or(start, |change| change.max(start))
}

fn hour_end(at: Timestamp, zone: &Zone) -> Timestamp {
    let offset = zone.to_offset(at);
    let end = shifted(at, NANOS_PER_HOUR - into_hour(at, offset));
    if zone.to_offset(shifted(end, -1)) == offset {
        return end;
    }
    let mut changes = zone.following(at).filter(|change| change.offset() != offset);
    changes.next().map_or(end, |change| change.timestamp().min(end))
}

/// Nanoseconds since the clocks at this offset stood on the hour.
fn into_hour(at: Timestamp, offset: Offset) -> i128 {
    (at.as_nanosecond() + i128::from(offset.seconds()) * NANOS_PER_SECOND).rem_euclid(NANOS_PER_HOUR)
}

/// The last instant up to `at` at which the zone's clocks were moved.
fn last_change(at: Timestamp, zone: &Zone) -> Option<Timestamp> {
    let moved = |change: &Timestamp| zone.to_offset(shifted(*change, -1)) != zone.to_offset(*change);
    zone.preceding(shifted(at, 1)).map(|change| change.timestamp()).find(moved)
}

fn shifted(at: Timestamp, nanos: i128) -> Timestamp {
    let bound = if nanos < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_nanosecond(at.as_nanosecond() + nanos).unwrap_or(bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIODS: [Period; 8] = [
        Period::Hour,
        Period::Day,
        Period::WEEK,
        Period::MONTH,
        Period::Week(Weekday::Sunday),
        Period::Week(Weekday::Thursday),
        Period::Month(15),
        Period::Month(31),
    ];

    const ZONES: &[&str] = &[
        "UTC",
        "Europe/Berlin",
        "Europe/London",
        "Europe/Dublin",
        "Europe/Lisbon",
        "America/New_York",
        "America/Los_Angeles",
        "America/St_Johns",
        "America/Sao_Paulo",
        "America/Havana",
        "America/Santiago",
        "America/Asuncion",
        "America/Caracas",
        "Africa/Cairo",
        "Africa/Casablanca",
        "Asia/Kathmandu",
        "Asia/Kolkata",
        "Asia/Tehran",
        "Asia/Beirut",
        "Asia/Gaza",
        "Asia/Pyongyang",
        "Australia/Lord_Howe",
        "Australia/Adelaide",
        "Australia/Eucla",
        "Pacific/Apia",
        "Pacific/Chatham",
        "Pacific/Kiritimati",
        "Pacific/Kwajalein",
        "Antarctica/Troll",
        "Antarctica/Casey",
    ];

    fn zone(name: &str) -> Zone {
        Zone::get(name).unwrap()
    }

    fn instant(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// Instants that are likely to be wrong: around every change of the clocks since 1985, around
    /// local midnights, and an even spread.
    fn probes(zone: &Zone) -> Vec<Timestamp> {
        let mut probes = Vec::new();
        let changes = zone.following(instant("1985-01-01T00:00:00Z"));
        for change in changes.take_while(|change| change.timestamp() < instant("2040-01-01T00:00:00Z")) {
            for minutes in [-1_441, -61, -60, -31, -30, -1, 0, 1, 29, 30, 31, 59, 60, 61, 119, 1_439, 1_500] {
                probes.push(shifted(change.timestamp(), i128::from(minutes) * 60 * NANOS_PER_SECOND));
            }
            probes.push(shifted(change.timestamp(), -1));
        }
        for step in 0..400 {
            probes.push(shifted(instant("2026-01-01T00:00:00Z"), step * 91_237 * NANOS_PER_SECOND));
        }
        probes
    }

    #[test]
    fn every_instant_is_in_exactly_one_bucket_in_every_zone() {
        for name in ZONES {
            let zone = zone(name);
            for at in probes(&zone) {
                for period in PERIODS {
                    let start = period.start(at, &zone);
                    let end = period.end(at, &zone);
                    let said = format!("{name} {period:?} {at}: {start}..{end}");
                    assert!(start <= at && at < end, "{said}");
                    for inside in [start, at, shifted(end, -1)] {
                        assert_eq!(period.start(inside, &zone), start, "{said} {inside}");
                        assert_eq!(period.end(inside, &zone), end, "{said} {inside}");
                    }
                    assert_eq!(period.start(end, &zone), end, "{said}");
                }
            }
        }
    }

    #[test]
    fn smaller_calendar_buckets_nest_in_larger_ones() {
        for name in ZONES {
            let zone = zone(name);
            for at in probes(&zone) {
                for (small, large) in [(Period::Day, Period::WEEK), (Period::Day, Period::MONTH)] {
                    let of_instant = large.start(at, &zone);
                    let of_day = large.start(small.start(at, &zone), &zone);
                    assert_eq!(of_instant, of_day, "{name} {at}");
                }
            }
        }
    }

    #[test]
    fn hours_start_on_the_hour_unless_the_clocks_are_moved_within_it() {
        for name in ZONES {
            let zone = zone(name);
            for at in probes(&zone) {
                let start = Period::Hour.start(at, &zone);
                let on_the_hour = into_hour(start, zone.to_offset(start)) == 0;
                assert!(on_the_hour || last_change(start, &zone) == Some(start), "{name} {at} {start}");
            }
        }
    }

    /// Zone, interval, instant, first instant of its bucket, first instant after it.
    const KNOWN: &[(&str, Period, &str, &str, &str)] = &[
        // 23 and 25 hours.
        ("Europe/Berlin", Period::Day, "2026-03-29T12:00Z", "2026-03-28T23:00Z", "2026-03-29T22:00Z"),
        ("Europe/Berlin", Period::Day, "2026-10-25T12:00Z", "2026-10-24T22:00Z", "2026-10-25T23:00Z"),
        ("America/New_York", Period::Day, "2026-11-01T12:00Z", "2026-11-01T04:00Z", "2026-11-02T05:00Z"),
        // The hour from 02:00 twice.
        ("Europe/Berlin", Period::Hour, "2026-10-25T00:30Z", "2026-10-25T00:00Z", "2026-10-25T01:00Z"),
        ("Europe/Berlin", Period::Hour, "2026-10-25T01:30Z", "2026-10-25T01:00Z", "2026-10-25T02:00Z"),
        // Half an hour forward at 02:00, back at 02:00.
        ("Australia/Lord_Howe", Period::Hour, "2026-10-03T15:45Z", "2026-10-03T15:30Z", "2026-10-03T16:00Z"),
        ("Australia/Lord_Howe", Period::Hour, "2026-04-04T15:10Z", "2026-04-04T15:00Z", "2026-04-04T15:30Z"),
        // No midnight on the first day of summer time.
        ("America/Sao_Paulo", Period::Day, "2018-11-04T12:00Z", "2018-11-04T03:00Z", "2018-11-05T02:00Z"),
        ("America/Sao_Paulo", Period::Day, "2018-02-18T01:30Z", "2018-02-17T02:00Z", "2018-02-18T03:00Z"),
        ("Africa/Cairo", Period::Day, "2026-04-24T10:00Z", "2026-04-23T22:00Z", "2026-04-24T21:00Z"),
        ("America/Havana", Period::Day, "2024-11-03T12:00Z", "2024-11-03T04:00Z", "2024-11-04T05:00Z"),
        // A day that was left out.
        ("Pacific/Apia", Period::Day, "2011-12-30T09:59Z", "2011-12-29T10:00Z", "2011-12-30T10:00Z"),
        ("Pacific/Apia", Period::Day, "2011-12-30T10:00Z", "2011-12-30T10:00Z", "2011-12-31T10:00Z"),
        // One minute past midnight back to one minute past eleven: the new day goes on.
        ("America/St_Johns", Period::Day, "2010-11-07T03:00Z", "2010-11-07T02:30Z", "2010-11-08T03:30Z"),
        // Weeks from Monday, months from the first.
        ("Asia/Kathmandu", Period::WEEK, "2026-11-22T18:14Z", "2026-11-15T18:15Z", "2026-11-22T18:15Z"),
        ("America/New_York", Period::MONTH, "2026-11-01T03:59Z", "2026-10-01T04:00Z", "2026-11-01T04:00Z"),
        ("Pacific/Kiritimati", Period::MONTH, "2026-02-28T10:00Z", "2026-02-28T10:00Z", "2026-03-31T10:00Z"),
        // Weeks from other days, months from other days, and months that are too short for it.
        ("UTC", Period::Week(Weekday::Sunday), "2026-11-22T00:00Z", "2026-11-22T00:00Z", "2026-11-29T00:00Z"),
        ("UTC", Period::Week(Weekday::Sunday), "2026-11-21T23:59Z", "2026-11-15T00:00Z", "2026-11-22T00:00Z"),
        ("Europe/Berlin", Period::Month(15), "2026-03-14T22:59Z", "2026-02-14T23:00Z", "2026-03-14T23:00Z"),
        ("Europe/Berlin", Period::Month(15), "2026-04-01T00:00Z", "2026-03-14T23:00Z", "2026-04-14T22:00Z"),
        ("UTC", Period::Month(31), "2026-02-27T23:59Z", "2026-01-31T00:00Z", "2026-02-28T00:00Z"),
        ("UTC", Period::Month(31), "2026-02-28T00:00Z", "2026-02-28T00:00Z", "2026-03-31T00:00Z"),
        ("UTC", Period::Month(30), "2028-02-29T12:00Z", "2028-02-29T00:00Z", "2028-03-30T00:00Z"),
    ];

    #[test]
    fn known_days_and_hours() {
        for (name, period, at, start, end) in KNOWN {
            let (zone, at) = (zone(name), instant(at));
            assert_eq!(period.start(at, &zone), instant(start), "{name} {at} start");
            assert_eq!(period.end(at, &zone), instant(end), "{name} {at} end");
        }
    }

    #[test]
    fn the_ends_of_time_do_not_panic() {
        for name in ZONES {
            let zone = zone(name);
            for at in [Timestamp::MIN, Timestamp::MAX] {
                for period in PERIODS {
                    assert!(period.start(at, &zone) <= at);
                    assert!(period.end(at, &zone) >= at);
                }
            }
        }
    }
}
