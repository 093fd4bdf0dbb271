//! The time bucket of a query that an instant belongs to.

use crate::query::{Interval, Zone};
use tollbook_types::{Period, Timestamp};

impl Interval {
    /// The calendar period that it stands for; `None` without an interval.
    pub fn period(self) -> Option<Period> {
        match self {
            Interval::None => None,
            Interval::Hour => Some(Period::Hour),
            Interval::Day => Some(Period::Day),
            Interval::Week => Some(Period::WEEK),
            Interval::Month => Some(Period::MONTH),
        }
    }
}

/// The first instant of the bucket that `at` belongs to; `None` without an interval.
pub fn bucket_start(at: Timestamp, interval: Interval, zone: &Zone) -> Option<Timestamp> {
    Some(interval.period()?.start(at, zone))
}

/// The first instant after the bucket that `at` belongs to; `None` without an interval.
pub fn bucket_end(at: Timestamp, interval: Interval, zone: &Zone) -> Option<Timestamp> {
    Some(interval.period()?.end(at, zone))
}
