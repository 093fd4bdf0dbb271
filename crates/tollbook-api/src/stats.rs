//! `GET /api/v1/stats`: how fast, how dear a call, for how many, how well.

use crate::access::{Caller, READERS};
use crate::calls::TAG;
use crate::doc::{self, Content, Doc};
use crate::etag;
use crate::params::{Params, invalid};
use crate::problem::Problem;
use crate::routes::{Route, route};
use crate::shared::Shared;
use crate::usage::{LIMIT_MAX, asked, asks, refuse_more_rows};
use crate::wire::StatsView;
use crate::wire::schema::FiguresReport;
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, Method, Uri};
use std::sync::Arc;
use tollbook_ledger::run_in_progress;
use tollbook_store::{StatsQuery, Store};
use tollbook_types::limits::ANSWER_ROWS_MAX;
use tollbook_types::{Timestamp, parse_instant};

/// Its routes.
pub fn routes() -> Vec<Route> {
    let saying = asks(Doc::new(TAG, "Say more of calls than sums"))
        .about("Percentiles, averages, persons, sessions and rates, of the calls read one by one.")
        .query("at", "When sessions are looked at; the end of this minute unless said.", doc::instant())
        .gives(200, "The question, rows, and the same of all.", [Content::json::<FiguresReport>()]);
    vec![route(Method::GET, "/api/v1/stats", READERS, report, saying)]
}

/// Says more of calls than sums.
pub async fn report(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let mut params = Params::of(&uri)?;
    let at = match params.take("at")? {
        Some(text) => parse_instant(&text).map_err(|problem| invalid(format!("at is {problem}")))?,
        None => end_of_minute(shared.clock.now()),
    };
    let limit = params.limit(LIMIT_MAX)?;
    let (usage, zone) = asked(params, &shared, &caller)?;
    let query = StatsQuery { usage, at, limit };
    let asked = ("stats", query.clone(), zone.clone());
    let ask = move |store: &dyn Store| {
        let run = run_in_progress(store)?;
        let report = store.stats(&query)?;
        refuse_more_rows(report.rows.len(), ANSWER_ROWS_MAX)?;
        let run_in_progress = run.as_deref();
        Ok(serde_json::to_vec(&StatsView { query: &query, zone: &zone, run_in_progress, report: &report }))
    };
    etag::answer(&shared, &headers, &asked, ask).await
}

/// The first instant after the minute that an instant belongs to: what is asked again within the
/// minute is the same question.
fn end_of_minute(at: Timestamp) -> Timestamp {
    let minute = at.as_second().div_euclid(60).saturating_add(1);
    Timestamp::from_second(minute.saturating_mul(60)).unwrap_or(at)
}
