//! `KEY=VALUE` filters, and the stretch of time that a command looks at.

use crate::cli::{FilterArgs, RangeArgs, ViewArgs, ViewKind};
use crate::config::NamedZone;
use crate::failure::Failure;
use tollbook_api::question;
use tollbook_store::{Dimension, Filter, View, Zone};
use tollbook_types::{TimeRange, Timestamp, parse_instant};

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
        question::last_days(args.days.unwrap_or(DAYS_DEFAULT), &zone.zone, now).map_err(Failure::usage)?
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
    question::range(since, until, zone, now).map_err(Failure::usage)
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
    let mut pairs = Vec::new();
    for text in &args.filter {
        pairs.push(text.split_once('=').ok_or_else(|| {
            Failure::usage(format!("{text:?} is no filter: write KEY=VALUE, such as model=gpt-4o"))
        })?);
    }
    let user = args.user.iter().map(|user| ("user", user.as_str()));
    let operation = args.operation.iter().map(|operation| ("operation", operation.as_str()));
    question::filters(pairs.into_iter().chain(user).chain(operation)).map_err(Failure::usage)
}

/// The dimension with this name.
pub fn dimension(name: &str) -> Result<Dimension, Failure> {
    name.parse().map_err(Failure::usage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_become_filters() {
        let args = FilterArgs {
            filter: vec!["model=a".into(), "model=b=c".into(), "tag.team=".into()],
            user: Some("123".into()),
            operation: Some("x".into()),
        };
        let filters = filters(&args).unwrap();
        assert_eq!(filters.len(), 4);
        assert_eq!(filters[0].values, [Some("a".to_owned()), Some("b=c".to_owned())]);
        let wrong =
            |text: &str| super::filters(&FilterArgs { filter: vec![text.into()], ..FilterArgs::default() });
        assert!(wrong("nonsense=1").is_err() && wrong("model").is_err());
    }
}
