//! `/api/v1/search/token-usage`: what somebody, or everybody, used in the last days.

use super::monitoring::TAG;
use super::{Number, Question, date, days, finish, key, limit, refusals};
use crate::access::{ADMINS, Caller, READERS, Scope};
use crate::doc::{self, Content, Doc};
use crate::params::Params;
use crate::problem::Problem;
use crate::routes::{Route, route};
use crate::shared::Shared;
use crate::wire::schema;
use axum::extract::State;
use axum::{Extension, Json};
use http::{Method, Uri};
use serde::Serialize;
use std::sync::Arc;
use tollbook_store::{CallsOrder, CallsQuery, Dimension, Interval, Measures, StoredCall, UsageReport};
use tollbook_types::{TimeRange, Timestamp, Usage};
use utoipa::ToSchema;

/// Its routes.
pub fn routes() -> Vec<Route> {
    let whole = doc::whole(1, 36_500);
    let of_days = |doc: Doc| {
        refusals(doc)
            .query("days", "So many days, today being the last; 7 unless said.", whole.clone())
            .gives(200, "The sums.", [Content::json::<Sums>()])
    };
    let own = of_days(Doc::new(TAG, "What the caller used"));
    let all = of_days(Doc::new(TAG, "What everybody used"));
    let recent = refusals(Doc::new(TAG, "The caller's last calls"))
        .query("limit", "How many; 20 unless said.", doc::whole(1, 1_000))
        .gives(200, "The calls, latest first.", [Content::json::<Recent>()]);
    vec![
        route(Method::GET, "/api/v1/search/token-usage", READERS, own_sums, own),
        route(Method::GET, "/api/v1/search/token-usage/recent", READERS, recent_calls, recent),
        route(Method::GET, "/api/v1/search/token-usage/all", ADMINS, all_sums, all),
    ]
}

/// Sums of some days.
#[derive(Serialize, ToSchema)]
#[schema(as = SearchSums)]
struct Sums {
    days: u32,
    totals: Figures,
    by_operation: Vec<ByOperation>,
    by_model: Vec<ByModel>,
    by_day: Vec<ByDay>,
    cache: Cache,
}

#[derive(Serialize, ToSchema)]
#[schema(as = SearchFigures)]
struct Figures {
    requests: u64,
    successful_requests: u64,
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    cost_estimate: Number,
}

#[derive(Serialize, ToSchema)]
struct ByOperation {
    operation_type: Option<String>,
    #[serde(flatten)]
    figures: Figures,
}

#[derive(Serialize, ToSchema)]
struct ByModel {
    model_name: Option<String>,
    #[serde(flatten)]
    figures: Figures,
}

#[derive(Serialize, ToSchema)]
struct ByDay {
    date: String,
    #[serde(flatten)]
    figures: Figures,
}

/// What caches did: the provider's own, and answers that were served again.
#[derive(Serialize, ToSchema)]
#[schema(as = SearchCache)]
struct Cache {
    /// Input tokens read from a provider's cache.
    cached_tokens: u64,
    /// They as a share of all input tokens.
    cached_share: Number,
    /// Calls answered without the provider.
    cache_hits: u64,
    /// They as a share of all calls.
    cache_hit_rate: Number,
    /// What those would have cost.
    saved_cost: Number,
}

impl Figures {
    fn of(sums: &Measures) -> Figures {
        Figures {
            requests: sums.calls,
            successful_requests: sums.calls.saturating_sub(sums.errors),
            prompt_tokens: sums.meters.input_tokens(),
            completion_tokens: sums.meters.output_tokens(),
            total_tokens: sums.meters.total_tokens(),
            cost_estimate: Number::cost(sums),
        }
    }
}

async fn own_sums(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Json<Sums>, Problem> {
    sums(&shared, &caller.scope(), &uri).await
}

async fn all_sums(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Json<Sums>, Problem> {
    sums(&shared, &Scope::default(), &uri).await
}

async fn sums(shared: &Shared, scope: &Scope, uri: &Uri) -> Result<Json<Sums>, Problem> {
    let mut params = Params::of(uri)?;
    let (days, range) = days(&mut params, shared, 7)?;
    finish(&params)?;
    let asked = Question::new(shared, scope, range);
    let (operation, model): (&[Dimension], &[Dimension]) = (&[Dimension::Operation], &[Dimension::Model]);
    let splits = [(Interval::None, operation), (Interval::None, model), (Interval::Day, &[])];
    let [operations, models, per_day] = asked.sums(shared, splits).await?;
    let total = &operations.total;
    let each = |report: UsageReport| report.rows.into_iter();
    Ok(Json(Sums {
        days,
        totals: Figures::of(total),
        cache: Cache {
            cached_tokens: total.meters.cache_read_tokens(),
            cached_share: Number::ratio(total.meters.cache_read_tokens(), total.meters.input_tokens()),
            cache_hits: total.cache_hits,
            cache_hit_rate: Number::ratio(total.cache_hits, total.calls),
            saved_cost: total.saved.into(),
        },
        by_operation: each(operations)
            .map(|row| ByOperation { operation_type: key(&row, 0), figures: Figures::of(&row.measures) })
            .collect(),
        by_model: each(models)
            .map(|row| ByModel { model_name: key(&row, 0), figures: Figures::of(&row.measures) })
            .collect(),
        by_day: each(per_day)
            .map(|row| ByDay { date: date(shared, row.bucket), figures: Figures::of(&row.measures) })
            .collect(),
    }))
}

/// The last calls.
#[derive(Serialize, ToSchema)]
struct Recent {
    recent: Vec<Logged>,
}

/// A call as the system logged it.
#[derive(Serialize, ToSchema)]
struct Logged {
    #[schema(value_type = schema::Instant)]
    timestamp: Timestamp,
    user_id: Option<String>,
    operation_type: Option<String>,
    /// Never kept.
    query: Option<String>,
    model_name: String,
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    total_tokens: Option<u64>,
    cost_estimate: Option<Number>,
    /// Seconds.
    response_time: Option<Number>,
    success: bool,
    error_message: Option<String>,
}

impl Logged {
    fn of(call: &StoredCall) -> Logged {
        let (event, state) = (&call.entry.event, call.corrected());
        let meters = state.usage.as_ref().map(Usage::total);
        Logged {
            timestamp: event.occurred_at,
            user_id: state.attribution.user,
            operation_type: state.attribution.operation,
            query: None,
            model_name: event.model.clone(),
            prompt_tokens: meters.as_ref().map(|meters| meters.input_tokens()),
            completion_tokens: meters.as_ref().map(|meters| meters.output_tokens()),
            total_tokens: meters.as_ref().map(|meters| meters.total_tokens()),
            cost_estimate: state.rating.cost.map(Number::from),
            response_time: event.latency_ms.map(Number::seconds),
            success: !event.is_error(),
            error_message: event.error.clone(),
        }
    }
}

async fn recent_calls(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Json<Recent>, Problem> {
    let mut params = Params::of(&uri)?;
    let limit = limit(&mut params, 20)?;
    finish(&params)?;
    let filters = caller.scope().filters().collect();
    let query = CallsQuery { range: TimeRange::ALL, filters, order: CallsOrder::Newest, after: None, limit };
    let page = shared.read(move |store| store.calls(&query)).await?;
    Ok(Json(Recent { recent: page.calls.iter().map(Logged::of).collect() }))
}
