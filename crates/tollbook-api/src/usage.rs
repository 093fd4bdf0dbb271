//! `GET /api/v1/usage`: how much, by what, over time.

use crate::access::{Caller, READERS};
use crate::calls::TAG;
use crate::code::{self, Code};
use crate::doc::{self, Content, Doc};
use crate::etag;
use crate::params::{Params, invalid};
use crate::problem::Problem;
use crate::question;
use crate::routes::{Route, route};
use crate::shared::Shared;
use crate::wire::ReportView;
use crate::wire::schema::Report;
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, Method, Uri};
use std::sync::Arc;
use tollbook_ledger::run_in_progress;
use tollbook_store::{Dimension, Interval, Store, StoreError, UsageQuery, View};
use tollbook_types::limits::ANSWER_ROWS_MAX;
use tollbook_types::parse_instant;

/// Rows of a bucket that may be told to stand alone.
pub const LIMIT_MAX: usize = 1_000;
/// Days that are looked at when nothing is said.
const DAYS_DEFAULT: u32 = 7;

/// Its routes.
pub fn routes() -> Vec<Route> {
    let summing = asks(Doc::new(TAG, "Sum calls"))
        .about("Calls without a price are counted in `unpriced_calls` and are in no sum.")
        .gives(200, "The question, rows and their total.", [Content::json::<Report>()]);
    vec![route(Method::GET, "/api/v1/usage", READERS, report, summing)]
}

/// What a question for calls in groups may say, and be refused with.
pub fn asks(doc: Doc) -> Doc {
    etag::tagged(doc)
        .query("from", "The first day or instant, or `7d`; the last 7 days unless said.", doc::text())
        .query("to", "The last day, or the first instant after.", doc::text())
        .query("tz", "The IANA zone of days and buckets.", doc::text())
        .query("interval", "The length of a bucket.", doc::words(&["none", "hour", "day", "week", "month"]))
        .query("group_by", "Dimensions, separated by commas.", doc::text())
        .query(
            "limit",
            "Only so many rows of a bucket, the dearest; the others become one.",
            doc::whole(1, LIMIT_MAX as u64),
        )
        .query("as", "As corrected since, or as first recorded.", doc::words(&["corrected", "billed"]))
        .query("as_of", "As it was known at an instant; instead of `as`.", doc::instant())
        .dimensions()
        .refuses(&[Code::ParameterInvalid, Code::RangeTooLarge])
        .refuses(code::READ)
}

/// Sums calls.
pub async fn report(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let mut params = Params::of(&uri)?;
    let limit = params.limit(LIMIT_MAX)?;
    let (query, zone) = asked(params, &shared, &caller)?;
    let asked = ("usage", query.clone(), zone.clone(), limit);
    let ask = move |store: &dyn Store| {
        let run = run_in_progress(store)?;
        let report = store.usage(&query)?;
        let report = if let Some(limit) = limit { report.top(limit)? } else { report };
        refuse_more_rows(report.rows.len(), ANSWER_ROWS_MAX)?;
        // Many rows are many bytes: they are written here, where it may take its time.
        let run_in_progress = run.as_deref();
        Ok(serde_json::to_vec(&ReportView { query: &query, zone: &zone, run_in_progress, report: &report }))
    };
    etag::answer(&shared, &headers, &asked, ask).await
}

/// An answer is held in memory, so that there is no more of it than this.
pub fn refuse_more_rows(rows: usize, limit: usize) -> Result<(), StoreError> {
    if rows <= limit { Ok(()) } else { Err(StoreError::TooManyRows { rows, limit }) }
}

/// The question for calls in groups that is asked, within what the caller sees, and its zone's name.
pub fn asked(mut params: Params, shared: &Shared, caller: &Caller) -> Result<(UsageQuery, String), Problem> {
    let zone = params.zone(&shared.options.zone)?;
    let now = shared.clock.now();
    let range = match (params.take("from")?, params.take("to")?) {
        (None, None) => question::last_days(DAYS_DEFAULT, &zone.zone, now),
        (from, to) => question::range(from.as_deref(), to.as_deref(), &zone.zone, now),
    };
    let intervals = [
        ("none", Interval::None),
        ("hour", Interval::Hour),
        ("day", Interval::Day),
        ("week", Interval::Week),
        ("month", Interval::Month),
    ];
    let interval = params.word("interval", &intervals)?.unwrap_or(Interval::None);
    let group_by = params.take("group_by")?.unwrap_or_default();
    let group_by = group_by.split(',').map(str::trim).filter(|name| !name.is_empty());
    let group_by = group_by.map(str::parse).collect::<Result<Vec<Dimension>, String>>().map_err(invalid)?;
    let told = params.word("as", &[("corrected", View::Corrected), ("billed", View::Billed)])?;
    let view = match (told, params.take("as_of")?) {
        (Some(_), Some(_)) => return Err(invalid("give one of as and as_of")),
        (told, None) => told.unwrap_or(View::Corrected),
        (None, Some(text)) => {
            View::AsOf(parse_instant(&text).map_err(|problem| invalid(format!("as_of is {problem}")))?)
        }
    };
    let query = UsageQuery {
        range: range.map_err(invalid)?,
        interval,
        zone: zone.zone,
        group_by,
        filters: params.filters(&caller.scope())?,
        view,
    };
    Ok((query, zone.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Code;

    #[test]
    fn an_answer_has_a_bound() {
        assert!(refuse_more_rows(3, 3).is_ok());
        let problem = Problem::from(refuse_more_rows(4, 3).unwrap_err());
        assert_eq!(problem.code, Code::RangeTooLarge);
        assert!(problem.detail.starts_with("the answer has 4 rows, at most 3"), "{}", problem.detail);
    }
}
