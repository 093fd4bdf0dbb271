//! `GET /api/v1/usage`: how much, by what, over time.

use crate::access::{Caller, READERS};
use crate::calls::TAG;
use crate::code::{self, Code};
use crate::doc::{self, Content, Doc};
use crate::params::{Params, invalid};
use crate::problem::Problem;
use crate::question;
use crate::routes::{Route, route};
use crate::shared::Shared;
use crate::wire::ReportView;
use crate::wire::schema::Report;
use axum::Extension;
use axum::extract::State;
use axum::response::IntoResponse;
use http::{Method, Uri, header};
use std::sync::Arc;
use tollbook_store::{Dimension, Interval, UsageQuery, View};
use tollbook_types::parse_instant;

/// Days that are looked at when nothing is said.
const DAYS_DEFAULT: u32 = 7;

/// Its routes.
pub fn routes() -> Vec<Route> {
    let summing = Doc::new(TAG, "Sum calls")
        .about("Calls without a price are counted in `unpriced_calls` and are in no sum.")
        .query("from", "The first day or instant, or `7d`; the last 7 days unless said.", doc::text())
        .query("to", "The last day, or the first instant after.", doc::text())
        .query("tz", "The IANA zone of days and buckets.", doc::text())
        .query("interval", "The length of a bucket.", doc::words(&["none", "hour", "day", "week", "month"]))
        .query("group_by", "Dimensions, separated by commas.", doc::text())
        .query("as", "As corrected since, or as first recorded.", doc::words(&["corrected", "billed"]))
        .query("as_of", "As it was known at an instant; instead of `as`.", doc::instant())
        .dimensions()
        .gives(200, "The question, rows and their total.", [Content::json::<Report>()])
        .refuses(&[Code::ParameterInvalid, Code::RangeTooLarge])
        .refuses(code::READ);
    vec![route(Method::GET, "/api/v1/usage", READERS, report, summing)]
}

/// Sums calls.
pub async fn report(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<impl IntoResponse, Problem> {
    let mut params = Params::of(&uri)?;
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
    let text = shared
        .read(move |store| {
            let report = store.usage(&query)?;
            let view = ReportView { query: &query, zone: &zone.name, report: &report };
            // Many rows are many bytes: they are written here, where it may take its time.
            Ok(serde_json::to_vec(&view))
        })
        .await?;
    let text = text.map_err(|error| {
        tracing::error!("a report could not be written: {error}");
        Problem::internal()
    })?;
    Ok(([(header::CONTENT_TYPE, "application/json")], text))
}
