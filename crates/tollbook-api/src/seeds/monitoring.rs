//! `/api/monitoring/chat`: tokens and costs of the last hour, day, week or month, by domain.
//!
//! A period is the time up to now: the last 1, 24, 168 or 720 hours. A domain is a customer.

use super::{Number, Question, date, finish, key, refusals};
use crate::access::{Caller, READERS};
use crate::body::{self, Encoding};
use crate::code::{self, Code};
use crate::doc::{self, Content, Doc, Tag};
use crate::params::Params;
use crate::problem::{Fault, Problem};
use crate::question;
use crate::routes::{Route, route};
use crate::shared::Shared;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::{HeaderMap, Method, Uri};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::sync::Arc;
use tollbook_budget::BudgetForm;
use tollbook_ledger::By;
use tollbook_ledger::budgets::BudgetError;
use tollbook_store::{Dimension, Interval, Measures};
use tollbook_types::{Money, Role, TimeRange};
use utoipa::ToSchema;

/// What the endpoints of other systems are grouped by.
pub const TAG: Tag =
    Tag { name: "seeds", about: "The shapes of the systems that Tollbook takes the place of." };

const PATH: &str = "/api/monitoring/chat";
const PERIODS: [(&str, u64); 4] = [("hour", 1), ("day", 24), ("week", 168), ("month", 720)];

/// Its routes.
pub fn routes() -> Vec<Route> {
    let words = PERIODS.map(|(word, _)| word);
    let reading = refusals(Doc::new(TAG, "Tokens and costs of a period"))
        .query("period", "The last hour, day (unless said), week or month.", doc::words(&words))
        .query("domain", "Only this customer's calls.", doc::text())
        .gives(200, "The figures.", [Content::json::<Figures>()]);
    let acting = Doc::new(TAG, "Set an alert, get a summary, clean up")
        .about("`set-alert` and `cleanup` are for admins. An alert is a budget that warns.")
        .takes([Content::json::<Act>()])
        .gives(200, "What was done, or the summary.", [Content::any("application/json")])
        .refuses(&[Code::Forbidden, Code::RangeTooLarge])
        .refuses(code::BODY)
        .refuses(code::JSON)
        .refuses(code::MEMBERS)
        .refuses(code::WRITE);
    vec![route(Method::GET, PATH, READERS, read, reading), route(Method::POST, PATH, READERS, act, acting)]
}

/// Tokens and costs.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = MonitoringFigures)]
struct Figures {
    token_metrics: TokenMetrics,
    cost_analytics: CostAnalytics,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct TokenMetrics {
    total_input_tokens: u64,
    total_output_tokens: u64,
    avg_tokens_per_request: Number,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CostAnalytics {
    total_cost: Number,
    avg_cost: Number,
    min_cost: Number,
    max_cost: Number,
    projected_daily_cost: Number,
    projected_monthly_cost: Number,
}

impl Figures {
    fn of(sums: &Measures, hours: u64) -> Figures {
        let (input, output) = (sums.meters.input_tokens(), sums.meters.output_tokens());
        Figures {
            token_metrics: TokenMetrics {
                total_input_tokens: input,
                total_output_tokens: output,
                avg_tokens_per_request: Number::ratio(input.saturating_add(output), sums.calls),
            },
            cost_analytics: CostAnalytics {
                total_cost: Number::cost(sums),
                avg_cost: Number::share(sums.cost, 1, sums.calls),
                min_cost: sums.cost_min.unwrap_or_default().into(),
                max_cost: sums.cost_max.unwrap_or_default().into(),
                projected_daily_cost: Number::share(sums.cost, 24, hours),
                projected_monthly_cost: Number::share(sums.cost, 24 * 30, hours),
            },
        }
    }
}

async fn read(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Json<Figures>, Problem> {
    let mut params = Params::of(&uri)?;
    let hours = params.word("period", &PERIODS)?.unwrap_or(24);
    let domain = params.take("domain")?;
    finish(&params)?;
    let back = jiff::Span::new().hours(i64::try_from(hours).unwrap_or(24));
    let from = shared.clock.now().checked_sub(back).ok();
    let asked = Question::new(&shared, &caller.scope(), TimeRange { from, to: None });
    let [report] = asked.only(Dimension::Customer, domain).sums(&shared, [(Interval::None, &[])]).await?;
    Ok(Json(Figures::of(&report.total, hours)))
}

/// What is to be done.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Act {
    /// `set-alert`, `get-summary` or `cleanup`.
    #[schema(pattern = "^(set-alert|get-summary|cleanup)$")]
    action: String,
    domain: Option<String>,
    /// `hourly`, `daily`, `weekly` or `monthly`.
    alert_type: Option<String>,
    /// A number, or decimal text.
    #[schema(value_type = Option<Number>)]
    threshold_usd: Option<Box<RawValue>>,
    /// For the summary: 7 unless said.
    days: Option<u32>,
    older_than_days: Option<u32>,
}

async fn act(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Extension(by): Extension<By>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let encoding = Encoding::of(&headers)?;
    let bytes = body::read(&headers, body).await?;
    let text = body::decode(encoding, bytes)?;
    let told: Act = serde_json::from_slice(&text).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => Problem::new(
            Code::FieldInvalid,
            format!("a member is not as it should be, in line {}", error.line()),
        ),
        _ => Problem::new(Code::JsonInvalid, format!("no JSON, in line {}", error.line())),
    })?;
    let is_admin = caller.0.may(Role::Admin);
    let admins_only = || Problem::new(Code::Forbidden, "this needs a key with the role admin");
    match told.action.as_str() {
        "get-summary" => summary(&shared, &caller, told).await,
        "set-alert" if is_admin => set_alert(&shared, by, told).await,
        "cleanup" if is_admin => clean_up(&shared, by, told).await,
        "set-alert" | "cleanup" => Err(admins_only()),
        _ => Err(fault("action", "is set-alert, get-summary or cleanup")),
    }
}

fn fault(name: &str, detail: &str) -> Problem {
    let fault =
        Fault { pointer: Some(format!("/{name}")), code: Code::FieldInvalid, detail: detail.to_owned() };
    Problem::of_faults(vec![fault]).unwrap_or_else(Problem::internal)
}

/// The last days, whole, by model and by day.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    days: u32,
    domain: Option<String>,
    total_requests: u64,
    #[serde(flatten)]
    figures: Figures,
    by_model: Vec<Part>,
    by_day: Vec<Part>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    date: Option<String>,
    requests: u64,
    total_tokens: u64,
    total_cost: Number,
}

async fn summary(shared: &Shared, caller: &Caller, told: Act) -> Result<Response, Problem> {
    let days = told.days.unwrap_or(7).clamp(1, 36_500);
    let range = question::last_days(days, &shared.options.zone.zone, shared.clock.now())
        .map_err(|detail| fault("days", &detail))?;
    let asked = Question::new(shared, &caller.scope(), range).only(Dimension::Customer, told.domain.clone());
    let by_model: &[Dimension] = &[Dimension::Model];
    let [models, per_day] = asked.sums(shared, [(Interval::None, by_model), (Interval::Day, &[])]).await?;
    let part = |model, date, sums: &Measures| Part {
        model,
        date,
        requests: sums.calls,
        total_tokens: sums.meters.total_tokens(),
        total_cost: Number::cost(sums),
    };
    let summary = Summary {
        days,
        domain: told.domain,
        total_requests: models.total.calls,
        figures: Figures::of(&models.total, u64::from(days) * 24),
        by_model: models.rows.iter().map(|row| part(key(row, 0), None, &row.measures)).collect(),
        by_day: per_day
            .rows
            .iter()
            .map(|row| part(None, Some(date(shared, row.bucket)), &row.measures))
            .collect(),
    };
    Ok(Json(summary).into_response())
}

/// An alert, as a budget that warns.
#[derive(Serialize)]
struct Alert {
    success: bool,
    budget_id: String,
    domain: Option<String>,
    alert_type: String,
    threshold_usd: Number,
}

async fn set_alert(shared: &Shared, by: By, told: Act) -> Result<Response, Problem> {
    let window = match told.alert_type.as_deref() {
        Some("hourly") => "hour",
        Some("daily") => "day",
        Some("weekly") => "week",
        Some("monthly") => "month",
        _ => return Err(fault("alert_type", "is hourly, daily, weekly or monthly")),
    };
    let text = told.threshold_usd.as_ref().map(|raw| raw.get().trim_matches('"').to_owned());
    let threshold: Option<Money> = text.and_then(|text| text.parse().ok());
    let Some(threshold) = threshold.filter(|amount| !amount.is_negative()) else {
        return Err(fault("threshold_usd", "is an amount of dollars, not below 0"));
    };
    let alert_type = told.alert_type.unwrap_or_default();
    let whose = told.domain.clone().unwrap_or_else(|| "all domains".to_owned());
    let form = BudgetForm {
        name: format!("{alert_type} alert for {whose}"),
        matches: told.domain.iter().map(|domain| ("customer".to_owned(), domain.clone())).collect(),
        limit_usd: Some(threshold.to_string()),
        window: window.to_owned(),
        at_limit: Some("warn".to_owned()),
        ..BudgetForm::default()
    };
    let zone = shared.zone();
    let made = shared
        .write(move |ledger| {
            ledger.create_budget(&by, form, &zone).map_err(|error| match error {
                BudgetError::Ledger(error) => Problem::from(error),
                _ => fault("domain", "is no name that a budget can be for"),
            })
        })
        .await?;
    let answer = Alert {
        success: true,
        budget_id: made.id.clone(),
        domain: told.domain,
        alert_type,
        threshold_usd: threshold.into(),
    };
    Ok(Json(answer).into_response())
}

/// What a cleaning did.
#[derive(Serialize)]
struct Cleaned {
    success: bool,
    deleted: u64,
    before: String,
}

async fn clean_up(shared: &Shared, by: By, told: Act) -> Result<Response, Problem> {
    let Some(days) = told.older_than_days.filter(|days| (1..=36_500).contains(days)) else {
        return Err(fault("older_than_days", "is a number of days from 1 to 36500"));
    };
    // Today is one of the days that stay.
    let range = question::last_days(days, &shared.options.zone.zone, shared.clock.now())
        .map_err(|detail| fault("older_than_days", &detail))?;
    let Some(cutoff) = range.from else { return Err(Problem::internal()) };
    let purged = shared.write(move |ledger| Ok(ledger.purge(&by, cutoff)?)).await?;
    tracing::info!(calls = purged.calls, cutoff = %purged.cutoff, "calls were dropped on an admin's word");
    let answer = Cleaned { success: true, deleted: purged.calls, before: purged.cutoff.to_string() };
    Ok(Json(answer).into_response())
}
