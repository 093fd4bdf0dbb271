//! What is asked for, as text: `KEY=VALUE` filters, days and instants, zones, roles. The command line and the API
//! read them with the same words.

use jiff::civil::Date;
use tollbook_store::{Dimension, Filter, Interval, Zone, bucket_start};
use tollbook_types::{Role, TimeRange, Timestamp, canonical_provider, parse_instant};

/// A time zone and what it is called.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedZone {
    /// The name, as it was given.
    pub name: String,
    /// The zone.
    pub zone: Zone,
}

impl Default for NamedZone {
    fn default() -> NamedZone {
        NamedZone { name: "UTC".to_owned(), zone: Zone::UTC }
    }
}

impl NamedZone {
    /// The zone with this IANA name.
    pub fn find(name: &str) -> Result<NamedZone, String> {
        match Zone::get(name) {
            Ok(zone) => Ok(NamedZone { name: zone.iana_name().unwrap_or(name).to_owned(), zone }),
            Err(_) => Err(format!("there is no time zone {name:?}; zones are named like Europe/Berlin")),
        }
    }
}

/// From one bound to another, either of which may be absent.
pub fn range(from: Option<&str>, to: Option<&str>, zone: &Zone, now: Timestamp) -> Result<TimeRange, String> {
    let from = from.map(|text| bound(text, zone, now, false)).transpose()?;
    let to = to.map(|text| bound(text, zone, now, true)).transpose()?;
    match (from, to) {
        (Some(from), Some(to)) if from >= to => Err("the range ends before it begins".to_owned()),
        _ => Ok(TimeRange { from, to }),
    }
}

/// The last `days` calendar days, today being the last.
pub fn last_days(days: u32, zone: &Zone, now: Timestamp) -> Result<TimeRange, String> {
    let today = zone.to_datetime(now).date();
    let back = jiff::Span::new().try_days(i64::from(days.max(1)) - 1);
    let first = back.and_then(|back| today.checked_sub(back)).unwrap_or(Date::MIN);
    let to = today.tomorrow().ok().map(|date| day_start(date, zone)).transpose()?;
    Ok(TimeRange { from: Some(day_start(first, zone)?), to })
}

/// A day (its start, or its end) or an instant, or `7d`: so many days before now.
fn bound(text: &str, zone: &Zone, now: Timestamp, is_end: bool) -> Result<Timestamp, String> {
    let wrong = || {
        format!("{text:?} is neither a day like 2026-11-22, nor an instant like 2026-11-22T10:30:00Z, nor 7d")
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
pub fn day_start(date: Date, zone: &Zone) -> Result<Timestamp, String> {
    // Noon exists on every day, but for a day that a zone left out altogether; then the day after is meant.
    let noon = date.at(12, 0, 0, 0).to_zoned(zone.clone()).map(|noon| noon.timestamp());
    noon.ok()
        .and_then(|noon| bucket_start(noon, Interval::Day, zone))
        .ok_or_else(|| format!("{date} is out of range"))
}

/// The filters that pairs of key and value name. Several values of one key mean any of them; `KEY!`
/// means not; an empty value means absent.
pub fn filters<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Vec<Filter>, String> {
    let mut filters: Vec<Filter> = Vec::new();
    for (key, value) in pairs {
        let (key, negated) = key.strip_suffix('!').map_or((key, false), |key| (key, true));
        let dimension: Dimension = key.parse()?;
        let value = match (&dimension, value) {
            (_, "") => None,
            (Dimension::Provider, name) => Some(canonical_provider(name)),
            (_, value) => Some(value.to_owned()),
        };
        match filters.iter_mut().find(|known| known.dimension == dimension && known.negated == negated) {
            Some(known) => known.values.push(value),
            None => filters.push(Filter { dimension, values: vec![value], negated }),
        }
    }
    Ok(filters)
}

/// The roles in a text such as `gateway+ingest`.
pub fn roles(text: &str) -> Result<Vec<Role>, String> {
    let names: Vec<&str> = Role::ALL.iter().map(|role| role.name()).collect();
    let wrong = || format!("a role is one of {}; several are joined by +", names.join(", "));
    let mut roles = Vec::new();
    for name in text.split('+') {
        let role = Role::from_name(name.trim()).ok_or_else(wrong)?;
        if !roles.contains(&role) {
            roles.push(role);
        }
    }
    Ok(roles)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_days_of_the_zone_and_the_end_is_inclusive() {
        let now = "2026-10-26T00:30:00Z".parse().unwrap();
        let berlin = NamedZone::find("Europe/Berlin").unwrap().zone;
        let text = |range: TimeRange| {
            let text = |at: Option<Timestamp>| at.map_or("-".to_owned(), |at| at.to_string());
            format!("{} {}", text(range.from), text(range.to))
        };
        // The clocks went back on the 25th, which had 25 hours.
        let days = |n| text(last_days(n, &berlin, now).unwrap());
        assert_eq!(days(1), "2026-10-25T23:00:00Z 2026-10-26T23:00:00Z");
        assert_eq!(days(2), "2026-10-24T22:00:00Z 2026-10-26T23:00:00Z");
        let of = |from, to| range(from, to, &berlin, now).map(text);
        let day = of(Some("2026-10-25"), Some("2026-10-25"));
        assert_eq!(day.unwrap(), "2026-10-24T22:00:00Z 2026-10-25T23:00:00Z");
        assert_eq!(of(None, Some("2026-10-25T10:00:00Z")).unwrap(), "- 2026-10-25T10:00:00Z");
        assert_eq!(of(Some("7d"), None).unwrap(), "2026-10-19T00:30:00Z -");
        for bad in ["2026-02-30", "yesterday", "2026-10-25T10:00:00"] {
            assert!(of(None, Some(bad)).is_err(), "{bad}");
        }
        assert!(of(Some("2026-10-25"), Some("2026-10-24")).is_err());
    }

    #[test]
    fn filters_of_one_key_are_alternatives() {
        let pairs = [("model", "a"), ("model", "b"), ("provider!", "aws"), ("tag.team", ""), ("user", "123")];
        let found = filters(pairs.into_iter()).unwrap();
        assert_eq!(found.len(), 4);
        assert_eq!(found[0].values, [Some("a".to_owned()), Some("b".to_owned())]);
        assert!(found[1].negated && found[1].values == [Some("bedrock".to_owned())]);
        assert_eq!(found[2].values, [None]);
        assert!(filters([("nonsense", "1")].into_iter()).is_err());
    }
}
