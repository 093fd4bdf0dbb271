//! `POST /api/v1/admit`: whether a call may be made that does not go through the gateway, and the
//! hold that is kept for it.

use crate::access::{Access, Caller};
use crate::body::{self, Encoding};
use crate::object::Object;
use crate::problem::Problem;
use crate::routes::{Route, route};
use crate::shared::Shared;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::{Extension, Json};
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;
use tollbook_budget::{Denied, Limits, Reason};
use tollbook_ledger::budgets::HoldRequest;
use tollbook_types::{Attribution, Conditions, Key, Role, Timestamp, canonical_provider};
use tollbook_usage::import::code;

/// Who asks: programs that call models, or tell of calls.
const CALLERS: Access = Access::Roles(&[Role::Gateway, Role::Ingest]);
/// How long a hold lasts, unless said, in seconds.
const TTL_S: u64 = 300;
/// How long it may last.
const TTL_S_MAX: u64 = 3_600;

/// Its routes.
pub fn routes() -> Vec<Route> {
    vec![
        route(Method::POST, "/api/v1/admit", CALLERS, admit),
        route(Method::DELETE, "/api/v1/holds/{id}", CALLERS, give_back),
    ]
}

/// Holds money for a call, or says which budget is in the way.
async fn admit(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let encoding = Encoding::of(&headers)?;
    let bytes = body::read(&headers, body).await?;
    let now = shared.clock.now();
    let request = read(&body::decode(encoding, bytes)?, &caller.0, now)?;
    let expires_at = request.expires_at;
    let promised = shared.write(move |ledger| Ok(ledger.promise(&request)?)).await?;
    let promised = promised.map_err(|denied| problem(&denied))?;
    let admitted = promised.granted.admitted;
    Ok(Json(json!({
        "decision": "allow",
        "hold_id": promised.id,
        "expires_at": expires_at,
        "held_usd": admitted.held,
        "left_usd": admitted.left,
    })))
}

/// Gives a hold back.
async fn give_back(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    let was_there = shared.write(move |ledger| Ok(ledger.give_back(&id)?)).await?;
    let unknown = || Problem::not_found("there is no such hold: it was settled, given back, or is over");
    was_there.then_some(StatusCode::NO_CONTENT).ok_or_else(unknown)
}

fn read(text: &[u8], key: &Key, now: Timestamp) -> Result<HoldRequest, Problem> {
    let mut object = Object::read(text)?;
    let mut told = Attribution {
        project: object.text("project"),
        customer: object.text("customer"),
        user: object.text("user"),
        agent: object.text("agent"),
        agent_name: object.text("agent_name"),
        operation: object.text("operation"),
        operation_id: object.text("operation_id"),
        session: object.text("session"),
        ..Attribution::default()
    };
    told.tags = object.tags();
    let mut required = |name: &str| {
        object.text(name).unwrap_or_else(|| {
            object.missing(name);
            String::new()
        })
    };
    let (provider, model) = (required("provider"), required("model"));
    let input_tokens = object.whole("input_tokens");
    let output_tokens = object.whole("max_output_tokens");
    let mut conditions = Conditions::new();
    if let Some(tier) = object.text("service_tier") {
        conditions.insert("service_tier".to_owned(), tier.to_ascii_lowercase());
    }
    let ttl_s = object.whole("ttl_s").unwrap_or(TTL_S);
    if !(1..=TTL_S_MAX).contains(&ttl_s) {
        object.fault("ttl_s", code::FIELD_INVALID, &format!("is 1 to {TTL_S_MAX} seconds"));
    }
    object.finish()?;
    // What a key is bound to cannot be said otherwise.
    let mut who = key.binding.clone();
    who.fill_from(&told);
    who.key = Some(key.id.clone());
    let seconds = jiff::Span::new().seconds(i64::try_from(ttl_s).unwrap_or(0));
    let expires_at = now.checked_add(seconds).unwrap_or(now);
    let provider = canonical_provider(&provider);
    Ok(HoldRequest { provider, model, who, conditions, input_tokens, output_tokens, at: now, expires_at })
}

fn problem(denied: &Denied) -> Problem {
    let (status, code) = match denied.reason {
        Reason::Spent | Reason::Downgrade { .. } => (StatusCode::PAYMENT_REQUIRED, "budget_exceeded"),
        Reason::Throttled { .. } => (StatusCode::TOO_MANY_REQUESTS, "rate_limited"),
        Reason::NoBound(Limits::Unpriced) => (StatusCode::FORBIDDEN, "model_unpriced"),
        Reason::NoBound(Limits::Unbounded) => (StatusCode::FORBIDDEN, "unbounded_call"),
    };
    let retry_after_s = match denied.reason {
        Reason::Throttled { retry_after_s } => Some(retry_after_s),
        _ => None,
    };
    Problem { retry_after_s, ..Problem::new(status, code, denied.to_string()) }
}
