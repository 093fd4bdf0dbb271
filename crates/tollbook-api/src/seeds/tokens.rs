//! `/api/tokens/…`: one user's own usage.

use super::monitoring::TAG;
use super::{Number, Question, date, finish, key, limit, refusals};
use crate::access::{Caller, READERS};
use crate::doc::{self, Content, Doc};
use crate::params::{Params, invalid};
use crate::problem::Problem;
use crate::question;
use crate::routes::{Route, route};
use crate::shared::Shared;
use crate::wire::schema;
use axum::extract::State;
use axum::{Extension, Json};
use http::{Method, Uri};
use serde::Serialize;
use std::sync::Arc;
use tollbook_store::{CallsOrder, CallsQuery, Dimension, Filter, Interval, Zone};
use tollbook_types::{TimeRange, Timestamp};
use utoipa::ToSchema;

/// Its routes.
pub fn routes() -> Vec<Route> {
    let whose = |doc: Doc| {
        refusals(doc).query(
            "userId",
            "Whose; a member's is always its own, everybody's unless said.",
            doc::text(),
        )
    };
    let stats = whose(Doc::new(TAG, "A user's sums of all time")).gives(
        200,
        "The sums, by operation and by model.",
        [Content::json::<Stats>()],
    );
    let history = whose(Doc::new(TAG, "A user's last calls"))
        .query("limit", "How many; 50 unless said.", doc::whole(1, 1_000))
        .query("operation", "Only calls of this kind.", doc::text())
        .gives(200, "The calls, latest first.", [Content::json::<History>()]);
    let periods = whose(Doc::new(TAG, "A user's usage over time"))
        .query(
            "period",
            "The last 30 days by day (unless said), 12 weeks by week, or 12 months by month.",
            doc::words(&["day", "week", "month"]),
        )
        .gives(200, "A row for each period with calls.", [Content::json::<Periods>()]);
    vec![
        route(Method::GET, "/api/tokens/stats", READERS, read_stats, stats),
        route(Method::GET, "/api/tokens/history", READERS, read_history, history),
        route(Method::GET, "/api/tokens/usage-by-period", READERS, read_periods, periods),
    ]
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TokenStats)]
struct Stats {
    user_id: Option<String>,
    total_input_tokens: u64,
    total_output_tokens: u64,
    total_tokens: u64,
    total_cost: Number,
    by_operation: Vec<OperationStats>,
    by_model: Vec<ModelStats>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OperationStats {
    operation: Option<String>,
    count: u64,
    total_tokens: u64,
    total_cost: Number,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ModelStats {
    provider: Option<String>,
    model: Option<String>,
    total_tokens: u64,
    total_cost: Number,
}

/// Whose usage: the caller's own where its key is bound to a user, else that of the user who is named.
fn whose(caller: &Caller, params: &mut Params) -> Result<Option<String>, Problem> {
    let named = params.take("userId")?;
    Ok(caller.scope().user.or(named))
}

async fn read_stats(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Json<Stats>, Problem> {
    let mut params = Params::of(&uri)?;
    let user = whose(&caller, &mut params)?;
    finish(&params)?;
    let asked = Question::new(&shared, &caller.scope(), TimeRange::ALL).only(Dimension::User, user.clone());
    let operation: &[Dimension] = &[Dimension::Operation];
    let model: &[Dimension] = &[Dimension::Provider, Dimension::Model];
    let [operations, models] =
        asked.sums(&shared, [(Interval::None, operation), (Interval::None, model)]).await?;
    let total = &operations.total;
    Ok(Json(Stats {
        user_id: user,
        total_input_tokens: total.meters.input_tokens(),
        total_output_tokens: total.meters.output_tokens(),
        total_tokens: total.meters.total_tokens(),
        total_cost: Number::cost(total),
        by_operation: operations
            .rows
            .iter()
            .map(|row| OperationStats {
                operation: key(row, 0),
                count: row.measures.calls,
                total_tokens: row.measures.meters.total_tokens(),
                total_cost: Number::cost(&row.measures),
            })
            .collect(),
        by_model: models
            .rows
            .iter()
            .map(|row| ModelStats {
                provider: key(row, 0),
                model: key(row, 1),
                total_tokens: row.measures.meters.total_tokens(),
                total_cost: Number::cost(&row.measures),
            })
            .collect(),
    }))
}

#[derive(Serialize, ToSchema)]
#[schema(as = TokenHistory)]
struct History {
    usage: Vec<Used>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Used {
    id: String,
    operation: Option<String>,
    input_tokens: u64,
    output_tokens: u64,
    /// `null` where it is not known.
    cost: Option<Number>,
    #[schema(value_type = schema::Instant)]
    created_at: Timestamp,
}

async fn read_history(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Json<History>, Problem> {
    let mut params = Params::of(&uri)?;
    let (user, operation) = (whose(&caller, &mut params)?, params.take("operation")?);
    let limit = limit(&mut params, 50)?;
    finish(&params)?;
    let told = [(Dimension::User, user), (Dimension::Operation, operation)].into_iter();
    let named = told.filter_map(|(dimension, value)| Some(Filter::is(dimension, value?)));
    let filters = caller.scope().filters().chain(named).collect();
    let query = CallsQuery { range: TimeRange::ALL, filters, order: CallsOrder::Newest, after: None, limit };
    let page = shared.read(move |store| store.calls(&query)).await?;
    let used = page.calls.iter().map(|call| {
        let (event, state) = (&call.entry.event, call.corrected());
        let meters = state.meters();
        Used {
            id: event.id.clone(),
            operation: state.attribution.operation,
            input_tokens: meters.input_tokens(),
            output_tokens: meters.output_tokens(),
            cost: state.rating.cost.map(Number::from),
            created_at: event.occurred_at,
        }
    });
    Ok(Json(History { usage: used.collect() }))
}

#[derive(Serialize, ToSchema)]
#[schema(as = TokenPeriods)]
struct Periods {
    data: Vec<Period>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = TokenPeriod)]
struct Period {
    /// The day on which it begins.
    date: String,
    tokens: u64,
    cost: Number,
}

async fn read_periods(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Json<Periods>, Problem> {
    let mut params = Params::of(&uri)?;
    let user = whose(&caller, &mut params)?;
    let words = [("day", Interval::Day), ("week", Interval::Week), ("month", Interval::Month)];
    let interval = params.word("period", &words)?.unwrap_or(Interval::Day);
    finish(&params)?;
    let range = range(interval, &shared.options.zone.zone, shared.clock.now())?;
    let asked = Question::new(&shared, &caller.scope(), range).only(Dimension::User, user);
    let [report] = asked.sums(&shared, [(interval, &[])]).await?;
    let data = report.rows.iter().map(|row| Period {
        date: date(&shared, row.bucket),
        tokens: row.measures.meters.total_tokens(),
        cost: Number::cost(&row.measures),
    });
    Ok(Json(Periods { data: data.collect() }))
}

/// Whole periods up to the present one.
fn range(interval: Interval, zone: &Zone, now: Timestamp) -> Result<TimeRange, Problem> {
    let today = zone.to_datetime(now).date();
    let back = match interval {
        Interval::Week => jiff::Span::new().weeks(11),
        Interval::Month => jiff::Span::new().months(11),
        _ => jiff::Span::new().days(29),
    };
    let first = today.checked_sub(back).unwrap_or(today);
    let from = question::day_start(first, zone).map_err(invalid)?;
    let from = interval.period().map(|period| period.start(from, zone));
    Ok(TimeRange { from, to: None })
}
