//! Asks the books each minute what the present hour came to, and once an hour what is usual of it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tollbook_budget::rules::{Rule, UnusualHour};
use tollbook_ledger::{LedgerError, without_demo};
use tollbook_season::{HOURS_MAX, Usual, usual};
use tollbook_store::{Dimension, Filter, Interval, Measures, Store, UsageQuery, UsageReport, View, Zone};
use tollbook_types::{Money, Period, TimeRange, Timestamp};

/// How long an hour is still looked at after its end: what ends with it is recorded a little later.
const LATE: Duration = Duration::from_secs(120);
/// How often it is looked, in seconds.
const EVERY_S: i64 = 60;
const HOUR_S: i64 = 3_600;
/// Values of a dimension that are looked at, the dearest of the weeks before.
const VALUES_MAX: usize = 20;
/// Less than this within an hour wakes nobody.
const USD_MIN: Money = Money::from_picos(1_000_000_000_000);
const TOKENS_MIN: i128 = 100_000;
/// What is usual is told to the cent.
const PICOS_PER_CENT: i128 = 10_000_000_000;

/// Looks whether an hour is out of line.
pub struct Unusual {
    by: Vec<Dimension>,
    times: u32,
    zone: Zone,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    looked: Option<Timestamp>,
    /// The hour that what is usual was found for.
    hour: Option<Timestamp>,
    scopes: Vec<Scope>,
}

/// Whose hours are looked at: everybody's, or those of a dimension's value.
struct Scope {
    whose: Option<(Dimension, String)>,
    usd: Option<Usual>,
    tokens: Option<Usual>,
}

/// What each of the hours before came to.
struct Hours {
    usd: Vec<i128>,
    tokens: Vec<i128>,
}

impl Unusual {
    /// As the rule says, with hours of the zone.
    pub fn new(rule: &Rule, zone: Zone) -> Unusual {
        Unusual { by: rule.by.clone(), times: rule.times, zone, state: Mutex::default() }
    }

    /// What is out of line now; nothing within a minute of the look before.
    pub fn look(&self, store: &dyn Store, now: Timestamp) -> Result<Vec<UnusualHour>, LedgerError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let since = state.looked.map(|looked| now.as_second() - looked.as_second());
        if since.is_some_and(|since| (0..EVERY_S).contains(&since)) {
            return Ok(Vec::new());
        }
        // What fails now is tried again in a minute.
        state.looked = Some(now);
        let at = now.checked_sub(LATE).unwrap_or(now);
        let hour = Period::Hour.start(at, &self.zone);
        let real = without_demo(store)?;
        if state.hour != Some(hour) {
            state.scopes = self.learn(store, hour, &real)?;
            state.hour = Some(hour);
        }
        let present = TimeRange { from: Some(hour), to: Some(Period::Hour.end(at, &self.zone)) };
        let mut by: BTreeMap<&Dimension, UsageReport> = BTreeMap::new();
        let mut found = Vec::new();
        let known = state.scopes.iter().filter(|scope| scope.usd.is_some() || scope.tokens.is_some());
        for scope in known {
            let measures = match &scope.whose {
                None => self.sums(store, present, Interval::None, None, real.clone())?.total,
                Some((dimension, value)) => {
                    if !by.contains_key(dimension) {
                        let sums =
                            self.sums(store, present, Interval::None, Some(dimension), real.clone())?;
                        by.insert(dimension, sums);
                    }
                    by.get(dimension).map(|report| of_value(report, value)).unwrap_or_default()
                }
            };
            found.extend(scope.look(&measures, at));
        }
        Ok(found)
    }

    /// What is usual of the hour, for everybody and for those who use most.
    fn learn(&self, store: &dyn Store, hour: Timestamp, real: &[Filter]) -> Result<Vec<Scope>, LedgerError> {
        let hours = i64::try_from(HOURS_MAX).unwrap_or(i64::MAX);
        let from = hour.as_second().saturating_sub(hours.saturating_mul(HOUR_S));
        let range = TimeRange { from: Timestamp::from_second(from).ok(), to: Some(hour) };
        let mut whose = vec![None];
        for dimension in &self.by {
            let report = self.sums(store, range, Interval::None, Some(dimension), real.to_vec())?;
            let rows = report.rows.into_iter().take(VALUES_MAX);
            let values = rows.filter_map(|row| row.keys.into_iter().next().flatten());
            whose.extend(values.map(|value| Some((dimension.clone(), value))));
        }
        let mut scopes = Vec::new();
        for whose in whose {
            let mut filters = real.to_vec();
            filters.extend(whose.iter().map(|(dimension, value)| Filter::is(dimension.clone(), value)));
            let hours = Hours::of(&self.sums(store, range, Interval::Hour, None, filters)?, hour);
            let (usd, tokens) = (usual(&hours.usd, self.times), usual(&hours.tokens, self.times));
            scopes.push(Scope { whose, usd, tokens });
        }
        Ok(scopes)
    }

    fn sums(
        &self,
        store: &dyn Store,
        range: TimeRange,
        interval: Interval,
        by: Option<&Dimension>,
        filters: Vec<Filter>,
    ) -> Result<UsageReport, LedgerError> {
        Ok(store.usage(&UsageQuery {
            range,
            interval,
            zone: self.zone.clone(),
            group_by: by.cloned().into_iter().collect(),
            filters,
            view: View::Corrected,
        })?)
    }
}

fn of_value(report: &UsageReport, value: &str) -> Measures {
    let row = report.rows.iter().find(|row| row.keys.iter().any(|key| key.as_deref() == Some(value)));
    row.map(|row| row.measures.clone()).unwrap_or_default()
}

impl Hours {
    /// From the first hour with a call to the one before this.
    fn of(report: &UsageReport, hour: Timestamp) -> Hours {
        let first = report.rows.iter().filter_map(|row| row.bucket).min().unwrap_or(hour);
        let place = |at: Timestamp| usize::try_from((at.as_second() - first.as_second()) / HOUR_S).ok();
        let nothing = vec![0; place(hour).unwrap_or(0).min(HOURS_MAX)];
        let mut hours = Hours { usd: nothing.clone(), tokens: nothing };
        for row in &report.rows {
            let Some(place) = row.bucket.and_then(place) else { continue };
            // Where clocks are moved by half an hour, two stretches may share a place.
            for (series, amount) in [
                (&mut hours.usd, row.measures.cost.picos()),
                (&mut hours.tokens, i128::from(row.measures.meters.total_tokens())),
            ] {
                if let Some(sum) = series.get_mut(place) {
                    *sum = sum.saturating_add(amount);
                }
            }
        }
        hours
    }
}

impl Scope {
    /// Whether the hour is out of line: by its cost, or, where that is not known or as usual, its tokens.
    fn look(&self, measures: &Measures, at: Timestamp) -> Option<UnusualHour> {
        let (cost, tokens) = (measures.cost.picos(), i128::from(measures.meters.total_tokens()));
        let scope = || match &self.whose {
            None => "all".to_owned(),
            Some((dimension, value)) => format!("{dimension}={value}"),
        };
        let cents = |picos: i128| Money::from_picos(picos / PICOS_PER_CENT * PICOS_PER_CENT);
        let usd = self.usd.and_then(|usual| {
            let limit = cents(usual.limit).max(USD_MIN);
            (cost > limit.picos()).then(|| UnusualHour {
                at,
                scope: scope(),
                measured: measures.cost.to_string(),
                expected: cents(usual.expected).to_string(),
                limit: limit.to_string(),
                unit: "usd",
            })
        });
        usd.or_else(|| {
            let usual = self.tokens?;
            let limit = usual.limit.max(TOKENS_MIN);
            (tokens > limit).then(|| UnusualHour {
                at,
                scope: scope(),
                measured: tokens.to_string(),
                expected: usual.expected.to_string(),
                limit: limit.to_string(),
                unit: "tokens",
            })
        })
    }
}
