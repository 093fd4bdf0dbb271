//! `/api/esa-agents/token-usage`: what agents used, by day.

use super::monitoring::TAG;
use super::{Number, Question, between, date, finish, key, refusals};
use crate::access::{Caller, READERS};
use crate::doc::{self, Content, Doc};
use crate::params::Params;
use crate::problem::Problem;
use crate::routes::{Route, route};
use crate::shared::Shared;
use axum::extract::State;
use axum::{Extension, Json};
use http::{Method, Uri};
use serde::Serialize;
use std::sync::Arc;
use tollbook_store::{Dimension, Interval};
use utoipa::ToSchema;

/// Its routes.
pub fn routes() -> Vec<Route> {
    let reading = refusals(Doc::new(TAG, "What agents used, by day"))
        .query("startDate", "The first day; all time unless said.", doc::text())
        .query("endDate", "The last day.", doc::text())
        .query("agentId", "Only this agent's calls.", doc::text())
        .query("userId", "Only this user's calls.", doc::text())
        .gives(200, "A row for each day and agent.", [Content::json::<Rows>()]);
    vec![route(Method::GET, "/api/esa-agents/token-usage", READERS, read, reading)]
}

#[derive(Serialize, ToSchema)]
#[schema(as = AgentRows)]
struct Rows {
    success: bool,
    data: Vec<Row>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AgentRow)]
struct Row {
    date: String,
    agent_id: Option<String>,
    total_input_tokens: u64,
    total_output_tokens: u64,
    total_cost: Number,
    request_count: u64,
}

async fn read(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Json<Rows>, Problem> {
    let mut params = Params::of(&uri)?;
    let range = between(&mut params, &shared, "startDate", "endDate")?;
    let (agent, user) = (params.take("agentId")?, params.take("userId")?);
    finish(&params)?;
    let asked = Question::new(&shared, &caller.scope(), range)
        .only(Dimension::Agent, agent)
        .only(Dimension::User, user);
    let by_agent: &[Dimension] = &[Dimension::Agent];
    let [report] = asked.sums(&shared, [(Interval::Day, by_agent)]).await?;
    let data = report.rows.iter().map(|row| Row {
        date: date(&shared, row.bucket),
        agent_id: key(row, 0),
        total_input_tokens: row.measures.meters.input_tokens(),
        total_output_tokens: row.measures.meters.output_tokens(),
        total_cost: Number::cost(&row.measures),
        request_count: row.measures.calls,
    });
    Ok(Json(Rows { success: true, data: data.collect() }))
}
