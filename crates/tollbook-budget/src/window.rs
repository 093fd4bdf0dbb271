//! The stretch of time that a budget counts over.

use tollbook_types::{Period, TimeRange, Timestamp, Zone};

/// What a limit is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// A calendar period; a new one begins with nothing spent.
    Calendar(Period),
    /// The last so many minutes. It is counted in sixtieths, and moves on by one at a time; one that is
    /// partly past counts in full: never too little is counted.
    Rolling {
        /// Its length.
        minutes: u32,
    },
    /// All time.
    Total,
}

impl Window {
    /// The range of instants that counts at `now`. The end is that of the calendar period; a rolling
    /// window and all time have none.
    pub fn range(&self, now: Timestamp, zone: &Zone) -> TimeRange {
        match self {
            Window::Calendar(period) => {
                TimeRange { from: Some(period.start(now, zone)), to: Some(period.end(now, zone)) }
            }
            Window::Rolling { .. } => TimeRange { from: Some(self.key(self.first(now), zone)), to: None },
            Window::Total => TimeRange::ALL,
        }
    }

    /// Under which instant something that happened at `at` is counted: the start of its calendar
    /// period, or of its part of a rolling window.
    pub(crate) fn key(&self, at: Timestamp, zone: &Zone) -> Timestamp {
        match self {
            Window::Calendar(period) => period.start(at, zone),
            Window::Rolling { minutes } => {
                let part = part_seconds(*minutes);
                Timestamp::from_second(at.as_second().div_euclid(part) * part).unwrap_or(Timestamp::MIN)
            }
            Window::Total => Timestamp::MIN,
        }
    }

    /// The first key that counts at `now`.
    pub(crate) fn first_key(&self, now: Timestamp, zone: &Zone) -> Timestamp {
        match self {
            Window::Rolling { .. } => self.key(self.first(now), zone),
            _ => self.key(now, zone),
        }
    }

    /// The last key that counts at `now`: what lies after it belongs to a later window.
    pub(crate) fn last_key(&self, now: Timestamp, zone: &Zone) -> Timestamp {
        match self {
            // What is told to lie a little ahead counts at once.
            Window::Rolling { .. } => Timestamp::MAX,
            _ => self.key(now, zone),
        }
    }

    /// The first instant after `now` at which other keys count.
    pub(crate) fn moves_after(&self, now: Timestamp, zone: &Zone) -> Timestamp {
        match self {
            Window::Calendar(period) => period.end(now, zone),
            Window::Rolling { minutes } => {
                let part = part_seconds(*minutes);
                let next = (now.as_second().div_euclid(part) + 1) * part;
                Timestamp::from_second(next).unwrap_or(Timestamp::MAX)
            }
            Window::Total => Timestamp::MAX,
        }
    }

    fn first(&self, now: Timestamp) -> Timestamp {
        match self {
            Window::Rolling { minutes } => {
                let seconds = now.as_second().saturating_sub(i64::from(*minutes) * 60);
                Timestamp::from_second(seconds).unwrap_or(Timestamp::MIN)
            }
            _ => now,
        }
    }
}

/// A sixtieth of so many minutes is as many seconds.
fn part_seconds(minutes: u32) -> i64 {
    i64::from(minutes).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::Weekday;

    /// Zone, window, now, start, end.
    const CASES: &[(&str, Window, &str, &str, &str)] = &[
        (
            "UTC",
            Window::Calendar(Period::Hour),
            "2026-11-22T10:31Z",
            "2026-11-22T10:00Z",
            "2026-11-22T11:00Z",
        ),
        (
            "Asia/Kathmandu",
            Window::Calendar(Period::Day),
            "2026-11-22T18:14Z",
            "2026-11-21T18:15Z",
            "2026-11-22T18:15Z",
        ),
        (
            "Australia/Eucla",
            Window::Calendar(Period::Day),
            "2026-11-22T15:14Z",
            "2026-11-21T15:15Z",
            "2026-11-22T15:15Z",
        ),
        (
            "Europe/Berlin",
            Window::Calendar(Period::Day),
            "2026-03-29T12:00Z",
            "2026-03-28T23:00Z",
            "2026-03-29T22:00Z",
        ),
        (
            "America/Los_Angeles",
            Window::Calendar(Period::Week(Weekday::Sunday)),
            "2026-11-01T07:00Z",
            "2026-11-01T07:00Z",
            "2026-11-08T08:00Z",
        ),
        (
            "Europe/Berlin",
            Window::Calendar(Period::Month(31)),
            "2026-02-28T12:00Z",
            "2026-02-27T23:00Z",
            "2026-03-30T22:00Z",
        ),
        ("UTC", Window::Rolling { minutes: 1 }, "2026-11-22T10:31:30.9Z", "2026-11-22T10:30:30Z", "-"),
        ("UTC", Window::Rolling { minutes: 5 }, "2026-11-22T10:31:32Z", "2026-11-22T10:26:30Z", "-"),
        ("UTC", Window::Rolling { minutes: 90 }, "2026-11-22T10:32:59Z", "2026-11-22T09:01:30Z", "-"),
        ("UTC", Window::Rolling { minutes: 1_440 }, "2026-11-22T10:31:30Z", "2026-11-21T10:24Z", "-"),
        ("UTC", Window::Total, "2026-11-22T10:31Z", "-", "-"),
    ];

    #[test]
    fn windows_are_the_stated_stretches_of_time() {
        for (zone, window, now, start, end) in CASES {
            let zone = Zone::get(zone).unwrap();
            let range = window.range(now.parse().unwrap(), &zone);
            let instant = |text: &str| (text != "-").then(|| text.parse::<Timestamp>().unwrap());
            assert_eq!((range.from, range.to), (instant(start), instant(end)), "{window:?} {now}");
        }
    }

    #[test]
    fn what_counts_now_lies_between_its_first_and_last_key() {
        for (zone, window, now, _, _) in CASES {
            let (zone, now): (Zone, Timestamp) = (Zone::get(zone).unwrap(), now.parse().unwrap());
            let key = window.key(now, &zone);
            assert!(window.first_key(now, &zone) <= key && key <= window.last_key(now, &zone));
        }
    }
}
