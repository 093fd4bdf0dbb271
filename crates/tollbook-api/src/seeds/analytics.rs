//! `/api/v1/metrics/summary` and `/reports/cost-analysis`: messages, tokens and costs by agent, by
//! model and by day.

use super::monitoring::TAG;
use super::{Number, Question, between, date, finish, key, refusals};
use crate::access::{Caller, READERS, Scope};
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
use tollbook_store::{Dimension, Interval, Measures, UsageRow};
use tollbook_types::TimeRange;
use utoipa::ToSchema;

/// A session with a call in so many minutes is active.
const ACTIVE_MINUTES: i64 = 30;

/// Its routes.
pub fn routes() -> Vec<Route> {
    let summing = Doc::new(TAG, "Sums of all time, by agent and by model")
        .about("Also at `/metrics`, with `accept: application/json`.");
    let summing = refusals(summing).gives(200, "The sums.", [Content::json::<Overview>()]);
    let analysing = refusals(Doc::new(TAG, "Costs by day and by model"))
        .query("start_date", "The first day; all time unless said.", doc::text())
        .query("end_date", "The last day.", doc::text())
        .query("agent_id", "Only this agent's calls.", doc::text())
        .gives(200, "The sums.", [Content::json::<Analysis>()]);
    vec![
        route(Method::GET, "/api/v1/metrics/summary", READERS, read_summary, summing),
        route(Method::GET, "/reports/cost-analysis", READERS, read_analysis, analysing),
    ]
}

/// Sums of all time.
#[derive(Serialize, ToSchema)]
pub struct Overview {
    summary: Summary,
    agents: Vec<AgentSums>,
    models: Vec<ModelSums>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = OverviewSums)]
struct Summary {
    total_messages: u64,
    total_tokens: u64,
    total_cost_usd: Number,
    /// Sessions with a call in the last 30 minutes.
    active_sessions: usize,
}

#[derive(Serialize, ToSchema)]
struct AgentSums {
    agent_id: Option<String>,
    message_count: u64,
    total_tokens: u64,
    total_cost_usd: Number,
}

#[derive(Serialize, ToSchema)]
struct ModelSums {
    model: Option<String>,
    message_count: u64,
    total_tokens: u64,
    total_cost_usd: Number,
}

async fn read_summary(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Json<Overview>, Problem> {
    finish(&Params::of(&uri)?)?;
    overview(&shared, &caller.scope()).await.map(Json)
}

/// The sums of what is in this scope.
pub async fn overview(shared: &Shared, scope: &Scope) -> Result<Overview, Problem> {
    let asked = Question::new(shared, scope, TimeRange::ALL);
    let (agent, model): (&[Dimension], &[Dimension]) = (&[Dimension::Agent], &[Dimension::Model]);
    let [agents, models] = asked.sums(shared, [(Interval::None, agent), (Interval::None, model)]).await?;
    let since = shared.clock.now().checked_sub(jiff::Span::new().minutes(ACTIVE_MINUTES)).ok();
    let lately = Question::new(shared, scope, TimeRange { from: since, to: None });
    let session: &[Dimension] = &[Dimension::Session];
    let [sessions] = lately.sums(shared, [(Interval::None, session)]).await?;
    let total = &agents.total;
    Ok(Overview {
        summary: Summary {
            total_messages: total.calls,
            total_tokens: total.meters.total_tokens(),
            total_cost_usd: Number::cost(total),
            active_sessions: sessions.rows.iter().filter(|row| key(row, 0).is_some()).count(),
        },
        agents: agents
            .rows
            .iter()
            .map(|row| AgentSums {
                agent_id: key(row, 0),
                message_count: row.measures.calls,
                total_tokens: row.measures.meters.total_tokens(),
                total_cost_usd: Number::cost(&row.measures),
            })
            .collect(),
        models: model_sums(models.rows.iter()),
    })
}

fn model_sums<'a>(rows: impl Iterator<Item = &'a UsageRow>) -> Vec<ModelSums> {
    let of = |row: &UsageRow| ModelSums {
        model: key(row, 0),
        message_count: row.measures.calls,
        total_tokens: row.measures.meters.total_tokens(),
        total_cost_usd: Number::cost(&row.measures),
    };
    rows.map(of).collect()
}

/// Costs of a time.
#[derive(Serialize, ToSchema)]
#[schema(as = CostAnalysis)]
struct Analysis {
    total_messages: u64,
    total_tokens: u64,
    total_cost_usd: Number,
    daily: Vec<DaySums>,
    models: Vec<ModelSums>,
}

#[derive(Serialize, ToSchema)]
struct DaySums {
    date: String,
    message_count: u64,
    total_tokens: u64,
    total_cost_usd: Number,
    models: Vec<ModelSums>,
}

async fn read_analysis(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Json<Analysis>, Problem> {
    let mut params = Params::of(&uri)?;
    let range = between(&mut params, &shared, "start_date", "end_date")?;
    let agent = params.take("agent_id")?;
    finish(&params)?;
    let asked = Question::new(&shared, &caller.scope(), range).only(Dimension::Agent, agent);
    let model: &[Dimension] = &[Dimension::Model];
    let splits = [(Interval::None, model), (Interval::Day, &[]), (Interval::Day, model)];
    let [models, per_day, both] = asked.sums(&shared, splits).await?;
    let day = |row: &UsageRow| {
        let Measures { calls, meters, .. } = &row.measures;
        DaySums {
            date: date(&shared, row.bucket),
            message_count: *calls,
            total_tokens: meters.total_tokens(),
            total_cost_usd: Number::cost(&row.measures),
            models: model_sums(both.rows.iter().filter(|other| other.bucket == row.bucket)),
        }
    };
    let total = &models.total;
    Ok(Json(Analysis {
        total_messages: total.calls,
        total_tokens: total.meters.total_tokens(),
        total_cost_usd: Number::cost(total),
        daily: per_day.rows.iter().map(day).collect(),
        models: model_sums(models.rows.iter()),
    }))
}
