//! What a budget's calls have used so far in its window, read from the store once.
//!
//! Sums come from the store's own sums where these know the budget's conditions, and from the calls
//! where they do not: a model goes by the name that was asked for, too, and a short rolling window is
//! finer than any sum. A long one begins with whole hours, each counted until its end has passed.

use super::follow::unsettled;
use crate::demo;
use crate::error::LedgerError;
use tollbook_budget::{Budget, Limit, Start, Subject, Sums, Window};
use tollbook_store::{
    CallsOrder, CallsQuery, Dimension, Filter, Interval, Measures, State, Store, StoredCall, UsageQuery,
    View, Zone, fold,
};
use tollbook_types::{Evidence, TimeRange, Timestamp};

/// Calls of one page.
const PAGE_CALLS: usize = 1_000;
/// Calls that are read one by one for a budget.
const CALLS_MAX: usize = 2_000_000;
/// Rolling windows up to this are counted call by call.
const FINE_MINUTES: u32 = 6 * 60;

/// What counts at `now`, up to the store's position, which must not change meanwhile.
pub(super) fn start(store: &dyn Store, budget: &Budget, now: Timestamp) -> Result<Start, LedgerError> {
    let mut start = Start { through: store.position()?.applied, used: Vec::new() };
    let range = TimeRange { to: None, ..budget.window.range(now, &budget.zone.1) };
    let (by_model, mut others) = filters(budget);
    others.extend(demo::without_demo(store)?);
    let is_fine = matches!(budget.window, Window::Rolling { minutes } if minutes <= FINE_MINUTES);
    if by_model || is_fine {
        each_call(store, range, others, |call| start.used.extend(used(budget, call)))?;
        return Ok(start);
    }
    let interval = match budget.window {
        Window::Rolling { .. } => Interval::Hour,
        _ => Interval::None,
    };
    let report = store.usage(&UsageQuery {
        range,
        interval,
        zone: Zone::UTC,
        group_by: budget.scope.each.iter().cloned().collect(),
        filters: others.clone(),
        view: View::Corrected,
    })?;
    for row in &report.rows {
        let instance = row.keys.first().cloned().flatten();
        let at = row.bucket.map_or(now, |hour| last_instant_of(hour).min(now));
        start.used.push((
            instance,
            at,
            Sums { spent: spent(budget.limit, &row.measures), ..Sums::default() },
        ));
    }
    if matches!(budget.limit, Limit::Usd(_)) && report.total.unknown_calls > 0 {
        let unknown = Filter::is(Dimension::Evidence, Evidence::Unknown.name());
        let filters = others.into_iter().chain([unknown]).collect();
        each_call(store, range, filters, |call| {
            let picos = unsettled(&call.corrected()).picos();
            let sums = Sums { unsettled: picos, ..Sums::default() };
            start.used.push((instance(budget, call), call.entry.event.occurred_at, sums));
        })?;
    }
    Ok(start)
}

/// Whether the budget looks at the model, and its conditions on anything else.
fn filters(budget: &Budget) -> (bool, Vec<Filter>) {
    let scope = &budget.scope;
    let by_model = scope.each == Some(Dimension::Model) || scope.matches.contains_key(&Dimension::Model);
    let others = scope.matches.iter().filter(|(dimension, _)| **dimension != Dimension::Model);
    (by_model, others.map(|(dimension, value)| Filter::is(dimension.clone(), value.clone())).collect())
}

/// Every call in the range that passes, oldest record first.
fn each_call(
    store: &dyn Store,
    range: TimeRange,
    filters: Vec<Filter>,
    mut take: impl FnMut(&StoredCall),
) -> Result<(), LedgerError> {
    let mut query =
        CallsQuery { range, filters, order: CallsOrder::Recorded, after: None, limit: PAGE_CALLS };
    let mut read = 0;
    loop {
        let page = store.calls(&query)?;
        read += page.calls.len();
        page.calls.iter().for_each(&mut take);
        match page.next {
            None => return Ok(()),
            Some(_) if read >= CALLS_MAX => {
                return Err(LedgerError::Invalid(format!(
                    "the budget's window has more than {CALLS_MAX} calls that have to be read one by one: choose a \
                     shorter window, or leave the model out"
                )));
            }
            next => query.after = next,
        }
    }
}

/// What one call counts as.
fn used(budget: &Budget, call: &StoredCall) -> Vec<(Option<String>, Timestamp, Sums)> {
    let (event, state) = (&call.entry.event, call.corrected());
    let items = fold::call_measures(event, &state);
    let counted = items.iter().filter(|(model, _)| budget.scope.admits(&subject(call, &state, model)));
    let sums = counted.map(|(model, measures)| {
        let is_usd = matches!(budget.limit, Limit::Usd(_)) && measures.calls > 0;
        let unsettled = if is_usd { unsettled(&state).picos() } else { 0 };
        let sums = Sums { spent: spent(budget.limit, measures), unsettled, ..Sums::default() };
        let instance = budget.scope.instance(&subject(call, &state, model)).map(str::to_owned);
        (instance, event.occurred_at, sums)
    });
    sums.collect()
}

fn instance(budget: &Budget, call: &StoredCall) -> Option<String> {
    let state = call.corrected();
    budget.scope.instance(&subject(call, &state, &call.entry.event.model)).map(str::to_owned)
}

fn subject<'a>(call: &'a StoredCall, state: &'a State, model: &'a str) -> Subject<'a> {
    let event = &call.entry.event;
    Subject {
        provider: &event.provider,
        request_model: event.request_model.as_deref(),
        model: Some(model),
        who: &state.attribution,
    }
}

fn spent(limit: Limit, measures: &Measures) -> i128 {
    match limit {
        Limit::Usd(_) => measures.cost.picos(),
        Limit::Tokens(_) => i128::from(measures.meters.total_tokens()),
        Limit::Calls(_) => i128::from(measures.calls),
    }
}

/// The last second of an hour.
fn last_instant_of(hour: Timestamp) -> Timestamp {
    Timestamp::from_second(hour.as_second() + 3_599).unwrap_or(hour)
}
