//! `KEY=VALUE` filters, and the stretch of time that a command looks at.

use crate::cli::{FilterArgs, RangeArgs, ViewArgs, ViewKind};
use crate::config::NamedZone;
use crate::failure::Failure;
use jiff::civil::Date;
use tollbook_store::{Dimension, Filter, Interval, View, Zone, bucket_start};
use tollbook_types::{TimeRange, Timestamp, canonical_provider, parse_instant};

/// Days that are looked at when nothing is said.
const DAYS_DEFAULT: u32 = 7;

/// A stretch of time, with the zone that its days are meant in.
#[derive(Clone, Debug)]
pub struct Period {
    /// The stretch.
    pub range: TimeRange,
    /// The zone.
    pub zone: NamedZone,
}

/// The zone that an option names, or the configured one.
pub fn zone(tz: Option<&str>, configured: &NamedZone) -> Result<NamedZone, Failure> {
    match tz {
        None => Ok(configured.clone()),
        Some(name) => NamedZone::find(name).map_err(Failure::usage),
    }
}

/// The period that options name.
pub fn period(args: &RangeArgs, configured: &NamedZone, now: Timestamp) -> Result<Period, Failure> {
    let zone = zone(args.tz.as_deref(), configured)?;
    let range = if args.all {
        TimeRange::ALL
    } else if args.since.is_some() || args.until.is_some() {
        since_until(args.since.as_deref(), args.until.as_deref(), &zone.zone, now)?
    } else {
        last_days(args.days.unwrap_or(DAYS_DEFAULT), &zone.zone, now)?
    };
    Ok(Period { range, zone })
}

/// From `since` to `until`, which may be absent.
pub fn since_until(
    since: Option<&str>,
    until: Option<&str>,
    zone: &Zone,
    now: Timestamp,
) -> Result<TimeRange, Failure> {
    let from = since.map(|text| bound(text, zone, now, false)).transpose()?;
    let to = until.map(|text| bound(text, zone, now, true)).transpose()?;
    if let (Some(from), Some(to)) = (from, to)
        && from >= to
    {
        return Err(Failure::usage("--since is not before --until"));
    }
    Ok(TimeRange { from, to })
}

/// The last `days` calendar days, today being the last.
fn last_days(days: u32, zone: &Zone, now: Timestamp) -> Result<TimeRange, Failure> {
    let today = zone.to_datetime(now).date();
    let back = jiff::Span::new().try_days(i64::from(days.max(1)) - 1);
    let first = back.and_then(|back| today.checked_sub(back)).unwrap_or(Date::MIN);
    let to = today.tomorrow().ok().map(|date| day_start(date, zone)).transpose()?;
    Ok(TimeRange { from: Some(day_start(first, zone)?), to })
}

/// A day (its start, or its end) or an instant, or `7d`: so many days before now.
fn bound(text: &str, zone: &Zone, now: Timestamp, is_end: bool) -> Result<Timestamp, Failure> {
    let wrong = || {
        Failure::usage(format!(
            "{text:?} is neither a day like 2026-11-22, nor an instant like 2026-11-22T10:30:00Z, nor 7d"
        ))
    };
    if let Some(days) = text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok()) {
        let hours = jiff::Span::new().hours(i64::from(days.min(400_000)) * 24);
        return now.checked_sub(hours).map_err(|_| wrong());
    }
    if text.len() == 10 {
        let date: Date = text.parse().map_err(|_| wrong())?;
        let date = if is_end { date.tomorrow().map_err(|_| wrong())? } else { date };
        return day_start(date, zone);
    }
    parse_instant(text).map_err(|_| wrong())
}

/// The first instant of a day in a zone.
pub fn day_start(date: Date, zone: &Zone) -> Result<Timestamp, Failure> {
    // Noon exists on every day, but for a day that a zone left out altogether; then the day after is meant.
    let noon = date.at(12, 0, 0, 0).to_zoned(zone.clone()).map(|noon| noon.timestamp());
    noon.ok()
        .and_then(|noon| bucket_start(noon, Interval::Day, zone))
        .ok_or_else(|| Failure::usage(format!("{date} is out of range")))
}

/// An instant that an option names.
pub fn instant(text: &str, option: &str) -> Result<Timestamp, Failure> {
    parse_instant(text).map_err(|problem| Failure::usage(format!("{option}: {problem}")))
}

/// The view that options name.
pub fn view(args: &ViewArgs) -> Result<View, Failure> {
    match (&args.as_of, args.view) {
        (Some(text), _) => Ok(View::AsOf(instant(text, "--as-of")?)),
        (None, ViewKind::Corrected) => Ok(View::Corrected),
        (None, ViewKind::Billed) => Ok(View::Billed),
    }
}

/// The filters that options name. Several values of one key mean any of them.
pub fn filters(args: &FilterArgs) -> Result<Vec<Filter>, Failure> {
    let mut filters: Vec<Filter> = Vec::new();
    let user = args.user.iter().map(|user| format!("user={user}"));
    let operation = args.operation.iter().map(|operation| format!("operation={operation}"));
    for text in args.filter.iter().cloned().chain(user).chain(operation) {
        let (dimension, value, negated) = parse_filter(&text)?;
        match filters.iter_mut().find(|known| known.dimension == dimension && known.negated == negated) {
            Some(known) => known.values.push(value),
            None => filters.push(Filter { dimension, values: vec![value], negated }),
        }
    }
    Ok(filters)
}

fn parse_filter(text: &str) -> Result<(Dimension, Option<String>, bool), Failure> {
    let Some((key, value)) = text.split_once('=') else {
        return Err(Failure::usage(format!("{text:?} is no filter: write KEY=VALUE, such as model=gpt-4o")));
    };
    let (key, negated) = key.strip_suffix('!').map_or((key, false), |key| (key, true));
    let dimension = dimension(key)?;
    let value = match (&dimension, value) {
        (_, "") => None,
        (Dimension::Provider, name) => Some(canonical_provider(name)),
        (_, value) => Some(value.to_owned()),
    };
    Ok((dimension, value, negated))
}

/// The dimension with this name.
pub fn dimension(name: &str) -> Result<Dimension, Failure> {
    name.parse().map_err(Failure::usage)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin() -> NamedZone {
        NamedZone::find("Europe/Berlin").unwrap()
    }

    #[test]
    fn days_are_days_of_the_zone_and_until_is_inclusive() {
        let now = "2026-10-26T00:30:00Z".parse().unwrap();
        let of = |args: RangeArgs| {
            let range = period(&args, &berlin(), now).unwrap().range;
            let text = |at: Option<Timestamp>| at.map_or("-".to_owned(), |at| at.to_string());
            format!("{} {}", text(range.from), text(range.to))
        };
        // The clocks went back on the 25th, which had 25 hours.
        let days = |n| RangeArgs { days: Some(n), ..RangeArgs::default() };
        assert_eq!(of(days(1)), "2026-10-25T23:00:00Z 2026-10-26T23:00:00Z");
        assert_eq!(of(days(2)), "2026-10-24T22:00:00Z 2026-10-26T23:00:00Z");
        let until = |since: Option<&str>, until: &str| RangeArgs {
            since: since.map(str::to_owned),
            until: Some(until.to_owned()),
            ..RangeArgs::default()
        };
        assert_eq!(of(until(Some("2026-10-25"), "2026-10-25")), "2026-10-24T22:00:00Z 2026-10-25T23:00:00Z");
        assert_eq!(of(until(None, "2026-10-25T10:00:00Z")), "- 2026-10-25T10:00:00Z");
        assert_eq!(of(RangeArgs { all: true, ..RangeArgs::default() }), "- -");
        for bad in ["2026-02-30", "yesterday", "2026-10-25T10:00:00"] {
            assert!(period(&until(None, bad), &berlin(), now).is_err(), "{bad}");
        }
    }

    #[test]
    fn filters_of_one_key_are_alternatives() {
        let args = FilterArgs {
            filter: vec!["model=a".into(), "model=b".into(), "provider!=aws".into(), "tag.team=".into()],
            user: Some("123".into()),
            operation: None,
        };
        let filters = filters(&args).unwrap();
        assert_eq!(filters.len(), 4);
        assert_eq!(filters[0].values, [Some("a".to_owned()), Some("b".to_owned())]);
        assert!(filters[1].negated && filters[1].values == [Some("bedrock".to_owned())]);
        assert_eq!(filters[2].values, [None]);
        assert!(parse_filter("nonsense=1").is_err() && parse_filter("model").is_err());
    }
}
