//! Where windows begin and end: zones whose offsets have half hours and quarters, clocks that go forward
//! and back (at midnight, by half an hour, by two), days and months of every length. The instants come from
//! another implementation of the time zone rules (Python's `zoneinfo`), which looked for them minute by
//! minute.

use crate::rig::{budget, call, cents, instant, stands};
use tollbook_budget::{Engine, Start};
use tollbook_types::Timestamp;

/// Zone, window (a week from a weekday, Monday being 0; a month from a day), now, start, end.
const CASES: &[(&str, &str, &str, &str, &str)] = &[
    ("UTC", "day", "2026-02-28T23:59:59Z", "2026-02-28T00:00Z", "2026-03-01T00:00Z"),
    ("Asia/Kolkata", "day", "2026-11-22T18:29:59Z", "2026-11-21T18:30Z", "2026-11-22T18:30Z"),
    ("Asia/Kolkata", "day", "2026-11-22T18:30Z", "2026-11-22T18:30Z", "2026-11-23T18:30Z"),
    ("Asia/Kathmandu", "day", "2026-11-22T18:15Z", "2026-11-22T18:15Z", "2026-11-23T18:15Z"),
    ("Australia/Eucla", "month 1", "2026-10-31T15:15Z", "2026-10-31T15:15Z", "2026-11-30T15:15Z"),
    ("Pacific/Chatham", "day", "2026-09-26T14:00Z", "2026-09-26T11:15Z", "2026-09-27T10:15Z"),
    ("Pacific/Chatham", "day", "2026-04-04T14:00Z", "2026-04-04T10:15Z", "2026-04-05T11:15Z"),
    ("America/St_Johns", "day", "2026-03-08T05:00Z", "2026-03-08T03:30Z", "2026-03-09T02:30Z"),
    ("America/St_Johns", "week 0", "2026-11-01T12:00Z", "2026-10-26T02:30Z", "2026-11-02T03:30Z"),
    ("Asia/Yangon", "month 31", "2026-02-28T17:30Z", "2026-02-27T17:30Z", "2026-03-30T17:30Z"),
    ("Australia/Adelaide", "day", "2026-10-04T02:00Z", "2026-10-03T14:30Z", "2026-10-04T13:30Z"),
    ("Australia/Lord_Howe", "day", "2026-10-03T15:40Z", "2026-10-03T13:30Z", "2026-10-04T13:00Z"),
    ("Australia/Lord_Howe", "day", "2026-04-04T16:00Z", "2026-04-04T13:00Z", "2026-04-05T13:30Z"),
    ("Europe/Berlin", "day", "2026-03-29T01:00Z", "2026-03-28T23:00Z", "2026-03-29T22:00Z"),
    ("Europe/Berlin", "day", "2026-10-25T00:30Z", "2026-10-24T22:00Z", "2026-10-25T23:00Z"),
    ("Europe/Berlin", "day", "2026-10-25T23:00Z", "2026-10-25T23:00Z", "2026-10-26T23:00Z"),
    ("America/New_York", "week 6", "2026-03-08T04:59:59Z", "2026-03-01T05:00Z", "2026-03-08T05:00Z"),
    ("America/New_York", "week 6", "2026-03-08T05:00Z", "2026-03-08T05:00Z", "2026-03-15T04:00Z"),
    ("America/New_York", "day", "2026-11-01T05:30Z", "2026-11-01T04:00Z", "2026-11-02T05:00Z"),
    ("America/New_York", "day", "2026-11-01T06:30Z", "2026-11-01T04:00Z", "2026-11-02T05:00Z"),
    ("America/Santiago", "day", "2026-09-06T12:00Z", "2026-09-06T04:00Z", "2026-09-07T03:00Z"),
    ("America/Santiago", "month 5", "2026-04-05T03:30Z", "2026-03-05T03:00Z", "2026-04-05T04:00Z"),
    ("America/Asuncion", "day", "2023-10-01T12:00Z", "2023-10-01T04:00Z", "2023-10-02T03:00Z"),
    ("Asia/Beirut", "day", "2026-03-29T12:00Z", "2026-03-28T22:00Z", "2026-03-29T21:00Z"),
    ("Africa/Cairo", "day", "2026-04-24T12:00Z", "2026-04-23T22:00Z", "2026-04-24T21:00Z"),
    ("America/Havana", "day", "2024-11-03T04:30Z", "2024-11-03T04:00Z", "2024-11-04T05:00Z"),
    ("Africa/Casablanca", "month 1", "2026-02-28T23:30Z", "2026-01-31T23:00Z", "2026-03-01T00:00Z"),
    ("Europe/London", "month 29", "2026-02-28T00:00Z", "2026-02-28T00:00Z", "2026-03-29T00:00Z"),
    ("Europe/London", "month 29", "2024-02-29T00:00Z", "2024-02-29T00:00Z", "2024-03-29T00:00Z"),
    ("Europe/London", "month 30", "2026-03-29T23:30Z", "2026-03-29T23:00Z", "2026-04-29T23:00Z"),
    ("Asia/Tehran", "month 31", "2026-04-29T20:30Z", "2026-04-29T20:30Z", "2026-05-30T20:30Z"),
    ("America/Los_Angeles", "month 31", "2026-12-31T08:00Z", "2026-12-31T08:00Z", "2027-01-31T08:00Z"),
    ("America/Los_Angeles", "month 31", "2027-01-31T07:59:59Z", "2026-12-31T08:00Z", "2027-01-31T08:00Z"),
    ("Pacific/Apia", "week 0", "2026-11-22T11:00Z", "2026-11-22T11:00Z", "2026-11-29T11:00Z"),
    ("Pacific/Apia", "day", "2011-12-30T09:00Z", "2011-12-29T10:00Z", "2011-12-30T10:00Z"),
    ("Pacific/Kiritimati", "day", "2026-12-31T10:00Z", "2026-12-31T10:00Z", "2027-01-01T10:00Z"),
    ("Pacific/Marquesas", "day", "2026-11-22T09:29Z", "2026-11-21T09:30Z", "2026-11-22T09:30Z"),
    ("Antarctica/Troll", "day", "2026-03-29T01:30Z", "2026-03-29T00:00Z", "2026-03-29T22:00Z"),
    ("Asia/Tokyo", "month 15", "2026-11-14T15:00Z", "2026-11-14T15:00Z", "2026-12-14T15:00Z"),
];

const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

fn members(zone: &str, window: &str) -> String {
    let rest = match window.split_once(' ') {
        Some(("week", first)) => {
            format!(r#""window":"week","first_day":"{}""#, DAYS[first.parse::<usize>().unwrap()])
        }
        Some(("month", day)) => format!(r#""window":"month","reset_day":{day}"#),
        _ => r#""window":"day""#.to_owned(),
    };
    format!(r#""limit_usd":"1","mode":"strict","time_zone":"{zone}",{rest}"#)
}

#[test]
fn windows_begin_and_end_where_the_calendar_of_their_zone_says() {
    let zones: std::collections::BTreeSet<&str> = CASES.iter().map(|(zone, ..)| *zone).collect();
    assert!(zones.len() >= 20);
    for (zone, window, now, start, end) in CASES {
        let mut engine = Engine::default();
        let (now, start, end) = (instant(now), instant(start), instant(end));
        engine.set(budget("b", &members(zone, window)), &Start::default(), now);
        let standing = engine.standings("b", now).remove(0);
        let told = (standing.since, standing.resets_at);
        assert_eq!(told, (Some(start), Some(end)), "{zone} {window} at {now}");
        // The last second of the window before, the first and the last of this one, the first of the next.
        let second = |at: Timestamp, by: i64| Timestamp::from_second(at.as_second() + by).unwrap();
        let spend = |engine: &mut Engine, seq: u64, at: Timestamp, asked: Timestamp| {
            let mut call = call(&format!("c{seq}"), "", 1);
            call.at = at;
            call.book(engine, seq, cents(1));
            engine.tick(asked);
            stands(&engine.standings("b", asked)[0])
        };
        let what = format!("{zone} {window} at {now}");
        assert_eq!(spend(&mut engine, 1, second(start, -1), now), "0/0/0 of 1", "{what}");
        assert_eq!(spend(&mut engine, 2, start, now), "0.01/0/0 of 1", "{what}");
        assert_eq!(spend(&mut engine, 3, second(end, -1), second(end, -1)), "0.02/0/0 of 1", "{what}");
        assert_eq!(spend(&mut engine, 4, end, end), "0.01/0/0 of 1", "{what}");
    }
}

#[test]
fn hours_and_rolling_windows_know_no_calendar() {
    // 01:30 comes twice in Berlin that night, as two hours; in Lord Howe the hour of the change has half of one more.
    for (zone, now, start, end) in [
        ("Europe/Berlin", "2026-10-25T00:30Z", "2026-10-25T00:00Z", "2026-10-25T01:00Z"),
        ("Europe/Berlin", "2026-10-25T01:30Z", "2026-10-25T01:00Z", "2026-10-25T02:00Z"),
        ("Asia/Kathmandu", "2026-11-22T10:31Z", "2026-11-22T10:15Z", "2026-11-22T11:15Z"),
    ] {
        let mut engine = Engine::default();
        let members = format!(r#""limit_usd":"1","window":"hour","time_zone":"{zone}""#);
        engine.set(budget("b", &members), &Start::default(), instant(now));
        let standing = engine.standings("b", instant(now)).remove(0);
        assert_eq!(
            (standing.since, standing.resets_at),
            (Some(instant(start)), Some(instant(end))),
            "{zone} {now}"
        );
    }
}
