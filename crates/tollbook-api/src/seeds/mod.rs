//! Endpoints in the shapes of the systems that Tollbook takes the place of: thin views over the same
//! sums, with the same keys, so that their pages and scripts go on as they were. Amounts are JSON
//! numbers here, with exactly the digits of the native API's texts.

mod agents;
mod analytics;
mod monitoring;
mod number;
mod search;
mod tokens;

pub use analytics::{Overview, overview};

use crate::access::Scope;
use crate::code::{self, Code};
use crate::doc::Doc;
use crate::params::{Params, invalid};
use crate::problem::Problem;
use crate::question;
use crate::routes::Route;
use crate::shared::Shared;
use number::Number;
use tollbook_store::{Dimension, Filter, Interval, UsageQuery, UsageReport, UsageRow, View, Zone};
use tollbook_types::{TimeRange, Timestamp};

/// Their routes.
pub fn routes() -> Vec<Route> {
    let systems = [monitoring::routes, search::routes, agents::routes, tokens::routes, analytics::routes];
    systems.into_iter().flat_map(|routes| routes()).collect()
}

/// What every question here may be refused with.
fn refusals(doc: Doc) -> Doc {
    doc.refuses(&[Code::ParameterInvalid, Code::RangeTooLarge]).refuses(code::READ)
}

/// A question in the server's zone, as corrected.
struct Question {
    range: TimeRange,
    filters: Vec<Filter>,
    zone: Zone,
}

impl Question {
    /// Of the calls that a caller sees, in a range.
    fn new(shared: &Shared, scope: &Scope, range: TimeRange) -> Question {
        Question { range, filters: scope.filters().collect(), zone: shared.options.zone.zone.clone() }
    }

    /// Only where a dimension has this value, if one is told.
    fn only(mut self, dimension: Dimension, value: Option<String>) -> Question {
        self.filters.extend(value.map(|value| Filter::is(dimension, value)));
        self
    }

    /// The sums of each of these splits, in one turn at the store.
    async fn sums<const N: usize>(
        &self,
        shared: &Shared,
        splits: [(Interval, &[Dimension]); N],
    ) -> Result<[UsageReport; N], Problem> {
        let queries = splits.map(|(interval, group_by)| UsageQuery {
            range: self.range,
            interval,
            zone: self.zone.clone(),
            group_by: group_by.to_vec(),
            filters: self.filters.clone(),
            view: View::Corrected,
        });
        let reports = shared
            .read(move |store| queries.iter().map(|query| store.usage(query)).collect::<Result<Vec<_>, _>>())
            .await?;
        reports.try_into().map_err(|_| Problem::internal())
    }
}

/// The last so many days, today being the last.
fn days(params: &mut Params, shared: &Shared, otherwise: u32) -> Result<(u32, TimeRange), Problem> {
    let days = match params.take("days")? {
        None => otherwise,
        Some(text) => match text.parse() {
            Ok(days @ 1..=36_500) => days,
            _ => return Err(invalid("days is a number from 1 to 36500")),
        },
    };
    let range = question::last_days(days, &shared.options.zone.zone, shared.clock.now()).map_err(invalid)?;
    Ok((days, range))
}

/// From one day or instant to another, both told by these parameters.
fn between(params: &mut Params, shared: &Shared, from: &str, to: &str) -> Result<TimeRange, Problem> {
    let (from, to) = (params.take(from)?, params.take(to)?);
    let zone = &shared.options.zone.zone;
    question::range(from.as_deref(), to.as_deref(), zone, shared.clock.now()).map_err(invalid)
}

/// So many of a list, at most 1,000.
fn limit(params: &mut Params, otherwise: usize) -> Result<usize, Problem> {
    match params.take("limit")? {
        None => Ok(otherwise),
        Some(text) => match text.parse() {
            Ok(limit @ 1..=1_000) => Ok(limit),
            _ => Err(invalid("limit is a number from 1 to 1000")),
        },
    }
}

/// Refuses parameters that nobody took.
fn finish(params: &Params) -> Result<(), Problem> {
    if params.is_empty() { Ok(()) } else { Err(invalid("a parameter is not known here")) }
}

/// The day that a bucket begins, in the server's zone.
fn date(shared: &Shared, bucket: Option<Timestamp>) -> String {
    bucket.map_or_else(String::new, |at| shared.options.zone.zone.to_datetime(at).date().to_string())
}

/// The value of the nth dimension that was split by.
fn key(row: &UsageRow, nth: usize) -> Option<String> {
    row.keys.get(nth).cloned().flatten()
}
