//! `GET /api/v1/stats`: how fast, how dear a call, for how many, how well.

use crate::access::{Caller, READERS};
use crate::calls::TAG;
use crate::doc::{self, Content, Doc};
use crate::params::{Params, invalid};
use crate::problem::Problem;
use crate::routes::{Route, route};
use crate::shared::Shared;
use crate::usage::{asked, asks, written};
use crate::wire::StatsView;
use crate::wire::schema::FiguresReport;
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::{Method, Uri};
use std::sync::Arc;
use tollbook_store::StatsQuery;
use tollbook_types::parse_instant;

/// Its routes.
pub fn routes() -> Vec<Route> {
    let saying = asks(Doc::new(TAG, "Say more of calls than sums"))
        .about("Percentiles, averages, persons, sessions and rates, of the calls read one by one: two million at most.")
        .query("at", "When sessions are looked at; now unless said.", doc::instant())
        .gives(200, "The question, rows, and the same of all.", [Content::json::<FiguresReport>()]);
    vec![route(Method::GET, "/api/v1/stats", READERS, report, saying)]
}

/// Says more of calls than sums.
pub async fn report(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Response, Problem> {
    let mut params = Params::of(&uri)?;
    let at = match params.take("at")? {
        Some(text) => parse_instant(&text).map_err(|problem| invalid(format!("at is {problem}")))?,
        None => shared.clock.now(),
    };
    let (usage, zone) = asked(params, &shared, &caller)?;
    let query = StatsQuery { usage, at };
    let text = shared
        .read(move |store| {
            let report = store.stats(&query)?;
            Ok(serde_json::to_vec(&StatsView { query: &query, zone: &zone, report: &report }))
        })
        .await?;
    written(text)
}
