//! Time buckets: which stretch of time an instant belongs to, in a zone.
//!
//! Buckets of one interval and zone are stretches of real time that follow one another without
//! gap or overlap, whatever the zone's clocks do; so sums over buckets add up to the whole. This
//! module must never know what is being counted.
//!
//! * An hour starts where the zone's clocks stand on the hour, in zones at :30 and :45 too, and
//!   where they are moved while not on the hour (by half an hour, say). An hour that the clocks
//!   show twice is two buckets.
//! * A day, a week (from Monday) and a month start at the first instant at which the clocks show
//!   midnight of the first day, or a later time where midnight is skipped. Clocks that are set
//!   back over midnight do not reopen the day before.

use crate::query::{Interval, Zone};
use jiff::civil::{Date, Time};
use jiff::tz::{AmbiguousOffset, Offset};
use tollbook_types::Timestamp;

const NANOS_PER_SECOND: i128 = 1_000_000_000;
const NANOS_PER_HOUR: i128 = 3_600 * NANOS_PER_SECOND;

/// The first instant of the bucket that `at` belongs to; `None` without an interval.
///
/// ```
/// use tollbook_store::{Interval, Zone, bucket_start};
/// let zone = Zone::get("Asia/Kathmandu").unwrap(); // +05:45
/// let at = "2026-03-01T10:00:00Z".parse().unwrap();
/// let hour = bucket_start(at, Interval::Hour, &zone).unwrap();
/// assert_eq!(hour.to_string(), "2026-03-01T09:15:00Z");
/// ```
pub fn bucket_start(at: Timestamp, interval: Interval, zone: &Zone) -> Option<Timestamp> {
    match interval {
        Interval::None => None,
        Interval::Hour => Some(hour_start(at, zone)),
        Interval::Day | Interval::Week | Interval::Month => {
            Some(first_instant(first_day(at, interval, zone), zone))
        }
    }
}

/// The first instant after the bucket that `at` belongs to; `None` without an interval.
pub fn bucket_end(at: Timestamp, interval: Interval, zone: &Zone) -> Option<Timestamp> {
    match interval {
        Interval::None => None,
        Interval::Hour => Some(hour_end(at, zone)),
        Interval::Day | Interval::Week | Interval::Month => {
            let first = first_day(at, interval, zone);
            Some(next_day(first, interval).map_or(Timestamp::MAX, |next| first_instant(next, zone)))
        }
    }
}

/// The first day of the calendar bucket that `at` belongs to.
fn first_day(at: Timestamp, interval: Interval, zone: &Zone) -> Date {
    let today = zone.to_datetime(at).date();
    let first = match interval {
        Interval::Week => {
            let since_monday = i64::from(today.weekday().to_monday_zero_offset());
            today.checked_sub(jiff::Span::new().days(since_monday)).unwrap_or(Date::MIN)
        }
        Interval::Month => today.first_of_month(),
        Interval::None | Interval::Hour | Interval::Day => today,
    };
    // Where clocks were set back over midnight, the next bucket has begun although it shows today.
    match next_day(first, interval) {
        Some(next) if first_instant(next, zone) <= at => next,
        _ => first,
    }
}

/// The first day of the next calendar bucket.
fn next_day(first: Date, interval: Interval) -> Option<Date> {
    match interval {
        Interval::Week => first.checked_add(jiff::Span::new().days(7)).ok(),
        Interval::Month => first.last_of_month().tomorrow().ok(),
        Interval::None | Interval::Hour | Interval::Day => first.tomorrow().ok(),
    }
}

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

    const INTERVALS: [Interval; 4] = [Interval::Hour, Interval::Day, Interval::Week, Interval::Month];

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
                for interval in INTERVALS {
                    let start = bucket_start(at, interval, &zone).unwrap();
                    let end = bucket_end(at, interval, &zone).unwrap();
                    let said = format!("{name} {interval:?} {at}: {start}..{end}");
                    assert!(start <= at && at < end, "{said}");
                    for inside in [start, at, shifted(end, -1)] {
                        assert_eq!(bucket_start(inside, interval, &zone), Some(start), "{said} {inside}");
                        assert_eq!(bucket_end(inside, interval, &zone), Some(end), "{said} {inside}");
                    }
                    assert_eq!(bucket_start(end, interval, &zone), Some(end), "{said}");
                }
            }
        }
    }

    #[test]
    fn smaller_calendar_buckets_nest_in_larger_ones() {
        for name in ZONES {
            let zone = zone(name);
            for at in probes(&zone) {
                for (small, large) in [(Interval::Day, Interval::Week), (Interval::Day, Interval::Month)] {
                    let of_instant = bucket_start(at, large, &zone);
                    let of_day = bucket_start(bucket_start(at, small, &zone).unwrap(), large, &zone);
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
                let start = bucket_start(at, Interval::Hour, &zone).unwrap();
                let on_the_hour = into_hour(start, zone.to_offset(start)) == 0;
                assert!(on_the_hour || last_change(start, &zone) == Some(start), "{name} {at} {start}");
            }
        }
    }

    /// Zone, interval, instant, first instant of its bucket, first instant after it.
    const KNOWN: &[(&str, Interval, &str, &str, &str)] = &[
        // 23 and 25 hours.
        ("Europe/Berlin", Interval::Day, "2026-03-29T12:00Z", "2026-03-28T23:00Z", "2026-03-29T22:00Z"),
        ("Europe/Berlin", Interval::Day, "2026-10-25T12:00Z", "2026-10-24T22:00Z", "2026-10-25T23:00Z"),
        ("America/New_York", Interval::Day, "2026-11-01T12:00Z", "2026-11-01T04:00Z", "2026-11-02T05:00Z"),
        // The hour from 02:00 twice.
        ("Europe/Berlin", Interval::Hour, "2026-10-25T00:30Z", "2026-10-25T00:00Z", "2026-10-25T01:00Z"),
        ("Europe/Berlin", Interval::Hour, "2026-10-25T01:30Z", "2026-10-25T01:00Z", "2026-10-25T02:00Z"),
        // Half an hour forward at 02:00, back at 02:00.
        (
            "Australia/Lord_Howe",
            Interval::Hour,
            "2026-10-03T15:45Z",
            "2026-10-03T15:30Z",
            "2026-10-03T16:00Z",
        ),
        (
            "Australia/Lord_Howe",
            Interval::Hour,
            "2026-04-04T15:10Z",
            "2026-04-04T15:00Z",
            "2026-04-04T15:30Z",
        ),
        // No midnight on the first day of summer time.
        ("America/Sao_Paulo", Interval::Day, "2018-11-04T12:00Z", "2018-11-04T03:00Z", "2018-11-05T02:00Z"),
        ("America/Sao_Paulo", Interval::Day, "2018-02-18T01:30Z", "2018-02-17T02:00Z", "2018-02-18T03:00Z"),
        ("Africa/Cairo", Interval::Day, "2026-04-24T10:00Z", "2026-04-23T22:00Z", "2026-04-24T21:00Z"),
        ("America/Havana", Interval::Day, "2024-11-03T12:00Z", "2024-11-03T04:00Z", "2024-11-04T05:00Z"),
        // A day that was left out.
        ("Pacific/Apia", Interval::Day, "2011-12-30T09:59Z", "2011-12-29T10:00Z", "2011-12-30T10:00Z"),
        ("Pacific/Apia", Interval::Day, "2011-12-30T10:00Z", "2011-12-30T10:00Z", "2011-12-31T10:00Z"),
        // One minute past midnight back to one minute past eleven: the new day goes on.
        ("America/St_Johns", Interval::Day, "2010-11-07T03:00Z", "2010-11-07T02:30Z", "2010-11-08T03:30Z"),
        // Weeks from Monday, months from the first.
        ("Asia/Kathmandu", Interval::Week, "2026-11-22T18:14Z", "2026-11-15T18:15Z", "2026-11-22T18:15Z"),
        ("America/New_York", Interval::Month, "2026-11-01T03:59Z", "2026-10-01T04:00Z", "2026-11-01T04:00Z"),
        (
            "Pacific/Kiritimati",
            Interval::Month,
            "2026-02-28T10:00Z",
            "2026-02-28T10:00Z",
            "2026-03-31T10:00Z",
        ),
    ];

    #[test]
    fn known_days_and_hours() {
        for (name, interval, at, start, end) in KNOWN {
            let (zone, at) = (zone(name), instant(at));
            assert_eq!(bucket_start(at, *interval, &zone), Some(instant(start)), "{name} {at} start");
            assert_eq!(bucket_end(at, *interval, &zone), Some(instant(end)), "{name} {at} end");
        }
    }

    #[test]
    fn the_ends_of_time_do_not_panic() {
        for name in ZONES {
            let zone = zone(name);
            for at in [Timestamp::MIN, Timestamp::MAX] {
                for interval in INTERVALS {
                    assert!(bucket_start(at, interval, &zone).unwrap() <= at);
                    assert!(bucket_end(at, interval, &zone).unwrap() >= at);
                }
            }
        }
        assert_eq!(bucket_start(Timestamp::MIN, Interval::None, &Zone::UTC), None);
        assert_eq!(bucket_end(Timestamp::MAX, Interval::None, &Zone::UTC), None);
    }
}
