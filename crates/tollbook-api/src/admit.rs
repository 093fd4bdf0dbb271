//! `POST /api/v1/admit`: whether a call may be made that does not go through the gateway, and the
//! hold that is kept for it.

use crate::access::{Access, Caller};
use crate::body::{self, Encoding};
use crate::code::{self, Code};
use crate::doc::{Content, Doc, Tag};
use crate::object::Object;
use crate::problem::Problem;
use crate::routes::{Route, route};
use crate::shared::Shared;
use crate::wire::schema;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::{Extension, Json};
use http::{HeaderMap, Method, StatusCode};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use tollbook_budget::{Limits, Reason, Refused};
use tollbook_ledger::budgets::HoldRequest;
use tollbook_types::{Attribution, Conditions, Key, Money, Role, Timestamp, canonical_provider};
use utoipa::ToSchema;

/// Who asks: programs that call models, or tell of calls.
const CALLERS: Access = Access::Roles(&[Role::Gateway, Role::Ingest]);
/// What its routes are grouped by.
const TAG: Tag = Tag { name: "budgets", about: "Limits on what calls may use, and asking first." };
/// How long a hold lasts, unless said, in seconds.
const TTL_S: u64 = 300;
/// How long it may last.
const TTL_S_MAX: u64 = 3_600;

/// Its routes.
pub fn routes() -> Vec<Route> {
    let asking = Doc::new(TAG, "Ask whether a call may be made")
        .about("For calls that do not go through the gateway. An event with the hold's id settles it.")
        .takes([Content::json::<AskView>()])
        .gives(200, "It may; the money is held.", [Content::json::<Granted>()])
        .refuses(&[Code::BudgetExceeded, Code::ModelUnpriced, Code::UnboundedCall, Code::RateLimited])
        .refuses(code::BODY)
        .refuses(code::JSON)
        .refuses(code::MEMBERS)
        .refuses(code::WRITE);
    let returning = Doc::new(TAG, "Give a hold back")
        .path("id", "The hold's id: `hold_…`.")
        .gives(204, "Nothing is held for it any more.", [])
        .refuses(&[Code::NotFound])
        .refuses(code::WRITE);
    vec![
        route(Method::POST, "/api/v1/admit", CALLERS, admit, asking),
        route(Method::DELETE, "/api/v1/holds/{id}", CALLERS, give_back, returning),
    ]
}

/// A call that somebody else will make, as it is asked.
#[derive(ToSchema)]
#[schema(as = Ask)]
#[expect(dead_code, reason = "members are read one by one, so that all that is wrong is told at once")]
struct AskView {
    provider: String,
    model: String,
    /// The most tokens in; left out: the model's context window.
    input_tokens: Option<u64>,
    /// The most tokens out; left out: the model's context window.
    max_output_tokens: Option<u64>,
    service_tier: Option<String>,
    /// How long the hold lasts: 300 seconds unless said.
    #[schema(minimum = 1, maximum = 3600)]
    ttl_s: Option<u64>,
    project: Option<String>,
    customer: Option<String>,
    user: Option<String>,
    agent: Option<String>,
    agent_name: Option<String>,
    operation: Option<String>,
    operation_id: Option<String>,
    session: Option<String>,
    tags: Option<BTreeMap<String, String>>,
}

/// A hold that was given.
#[derive(Serialize, ToSchema)]
struct Granted {
    /// `allow`
    decision: &'static str,
    /// What an event settles it by.
    hold_id: String,
    /// When it goes by itself.
    #[schema(value_type = schema::Instant)]
    expires_at: Timestamp,
    /// What is held; `null` where no budget in dollars matches.
    #[schema(value_type = Option<schema::Usd>)]
    held_usd: Option<Money>,
    /// What is left of the tightest budget in dollars.
    #[schema(value_type = Option<schema::Usd>)]
    left_usd: Option<Money>,
}

/// Holds money for a call, or says which budget is in the way.
async fn admit(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Granted>, Problem> {
    let encoding = Encoding::of(&headers)?;
    let bytes = body::read(&headers, body).await?;
    let now = shared.clock.now();
    let request = read(&body::decode(encoding, bytes)?, &caller.0, now)?;
    let expires_at = request.expires_at;
    let promised = shared.write(move |ledger| Ok(ledger.promise(&request)?)).await?;
    let promised = promised.map_err(|refused| problem(&refused))?;
    let admitted = promised.granted.admitted;
    let (hold_id, held_usd, left_usd) = (promised.id, admitted.held, admitted.left);
    Ok(Json(Granted { decision: "allow", hold_id, expires_at, held_usd, left_usd }))
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
    told.tags = object.texts("tags");
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
        object.fault("ttl_s", Code::FieldInvalid, &format!("is 1 to {TTL_S_MAX} seconds"));
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

fn problem(refused: &Refused) -> Problem {
    let (code, retry_after_s) = match refused {
        Refused::Rate(limited) => (Code::RateLimited, Some(limited.retry_after_s)),
        Refused::Budget(denied) => match denied.reason {
            Reason::Spent | Reason::Downgrade { .. } => (Code::BudgetExceeded, None),
            Reason::Throttled { retry_after_s } => (Code::RateLimited, Some(retry_after_s)),
            Reason::NoBound(Limits::Unpriced) => (Code::ModelUnpriced, None),
            Reason::NoBound(Limits::Unbounded) => (Code::UnboundedCall, None),
        },
    };
    Problem { retry_after_s, ..Problem::new(code, refused.to_string()) }
}
