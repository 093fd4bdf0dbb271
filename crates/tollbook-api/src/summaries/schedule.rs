//! Which period a summary is due for. Pure: the present is an argument.

use super::SummaryOrder;
use tollbook_types::{TimeRange, Timestamp, Zone, hour_of_day};

/// The period that was the last to be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The start of the period before it.
    pub before: Timestamp,
    /// Its start.
    pub from: Timestamp,
    /// The first instant after it.
    pub to: Timestamp,
    /// When the next one is due.
    pub until: Timestamp,
}

impl Due {
    /// The period.
    pub fn range(&self) -> TimeRange {
        TimeRange { from: Some(self.from), to: Some(self.to) }
    }

    /// The one before it.
    pub fn range_before(&self) -> TimeRange {
        TimeRange { from: Some(self.before), to: Some(self.from) }
    }
}

/// The last period that is over, and whose hour has come: each is due at that hour of the day after it.
pub fn due(order: &SummaryOrder, now: Timestamp, zone: &Zone) -> Due {
    let period = order.every.period();
    let before = |at: Timestamp| {
        let last = Timestamp::from_microsecond(at.as_microsecond() - 1).unwrap_or(at);
        period.start(last, zone)
    };
    let this = period.start(now, zone);
    let has_come = hour_of_day(this, order.hour, zone) <= now;
    let to = if has_come { this } else { before(this) };
    let from = before(to);
    Due { before: before(from), from, to, until: hour_of_day(period.end(to, zone), order.hour, zone) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollbook_ledger::alerts::Every;

    /// How often, hour, zone, present; the period's start and end, the start of the one before, and
    /// when the next is due.
    type Case = (Every, u8, &'static str, &'static str, [&'static str; 4]);

    const CASES: &[Case] = &[
        (
            Every::Day,
            8,
            "UTC",
            "2026-11-22T08:00Z",
            ["11-21T00:00", "11-22T00:00", "11-20T00:00", "11-23T08:00"],
        ),
        (
            Every::Day,
            8,
            "UTC",
            "2026-11-22T07:59Z",
            ["11-20T00:00", "11-21T00:00", "11-19T00:00", "11-22T08:00"],
        ),
        (
            Every::Day,
            0,
            "UTC",
            "2026-11-22T00:00Z",
            ["11-21T00:00", "11-22T00:00", "11-20T00:00", "11-23T00:00"],
        ),
        // Days of 23 and of 25 hours: the clocks' hour counts.
        (
            Every::Day,
            8,
            "Europe/Berlin",
            "2026-03-29T06:00Z",
            ["03-27T23:00", "03-28T23:00", "03-26T23:00", "03-30T06:00"],
        ),
        (
            Every::Day,
            8,
            "Europe/Berlin",
            "2026-03-29T05:59Z",
            ["03-26T23:00", "03-27T23:00", "03-25T23:00", "03-29T06:00"],
        ),
        (
            Every::Day,
            8,
            "Europe/Berlin",
            "2026-10-25T07:00Z",
            ["10-23T22:00", "10-24T22:00", "10-22T22:00", "10-26T07:00"],
        ),
        (
            Every::Day,
            23,
            "Asia/Kathmandu",
            "2026-11-22T17:14Z",
            ["11-19T18:15", "11-20T18:15", "11-18T18:15", "11-22T17:15"],
        ),
        // A Sunday; then the Monday at its hour.
        (
            Every::Week,
            8,
            "UTC",
            "2026-11-22T10:00Z",
            ["11-09T00:00", "11-16T00:00", "11-02T00:00", "11-23T08:00"],
        ),
        (
            Every::Week,
            8,
            "UTC",
            "2026-11-23T08:00Z",
            ["11-16T00:00", "11-23T00:00", "11-09T00:00", "11-30T08:00"],
        ),
        (
            Every::Month,
            8,
            "UTC",
            "2026-12-01T07:59Z",
            ["10-01T00:00", "11-01T00:00", "09-01T00:00", "12-01T08:00"],
        ),
        (
            Every::Month,
            8,
            "UTC",
            "2026-12-01T08:00Z",
            ["11-01T00:00", "12-01T00:00", "10-01T00:00", "01-01T08:00"],
        ),
    ];

    #[test]
    fn the_last_period_is_due_whose_hour_has_come() {
        for (every, hour, zone, now, wanted) in CASES {
            let order = SummaryOrder { every: *every, hour: *hour, by: Vec::new(), notify: Vec::new() };
            let due = due(&order, now.parse().unwrap(), &Zone::get(zone).unwrap());
            let found = [due.from, due.to, due.before, due.until].map(|at| at.to_string()[5..16].to_owned());
            assert_eq!(found, wanted.map(str::to_owned), "{every:?} at {hour} in {zone}, {now}");
        }
    }

    #[test]
    fn no_period_is_left_out_and_none_is_due_twice() {
        for zone in ["UTC", "Europe/Berlin", "Australia/Lord_Howe", "America/Sao_Paulo", "Pacific/Apia"] {
            let zone = Zone::get(zone).unwrap();
            for every in Every::ALL {
                let order = SummaryOrder { every: *every, hour: 2, by: Vec::new(), notify: Vec::new() };
                let mut last: Option<Due> = None;
                let start: Timestamp = "2026-01-05T00:00:00Z".parse().unwrap();
                for half_hours in 0..400 * 48 {
                    let now = start + std::time::Duration::from_secs(half_hours * 1_800);
                    let due = due(&order, now, &zone);
                    assert!(due.before < due.from && due.from < due.to && due.to <= now && now < due.until);
                    if let Some(last) = last.filter(|last| *last != due) {
                        assert_eq!((last.to, last.from), (due.from, due.before));
                        assert!(last.until <= now);
                    }
                    last = Some(due);
                }
            }
        }
    }
}
