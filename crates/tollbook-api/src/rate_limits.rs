//! `/api/v1/rate-limits`: how fast calls may come.

use crate::access::{ADMINS, Access, Caller};
use crate::budgets::{fault, faults, object, of_faults, problem, version};
use crate::code::{self, Code};
use crate::doc::{Content, Doc, Tag};
use crate::idempotency::{Asked, Outcome, REPLAYED};
use crate::problem::Problem;
use crate::routes::{Route, route};
use crate::shared::Shared;
use crate::wire::{NewRateLimitView, RateLimitView};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use tollbook_budget::RateLimitForm;
use tollbook_ledger::By;
use tollbook_ledger::budgets::RateDefined;
use tollbook_types::Role;
use utoipa::ToSchema;

/// Who reads rate limits: those who read all the books.
const READERS: Access = Access::Roles(&[Role::Viewer]);
/// What its routes are grouped by.
const TAG: Tag = Tag { name: "budgets", about: "Limits on what calls may use, and asking first." };

/// Its routes.
pub fn routes() -> Vec<Route> {
    let id = "The rate limit's id.";
    let shown = || [Content::json::<RateLimitView>()];
    let writes =
        |doc: Doc| doc.refuses(code::BODY).refuses(code::JSON).refuses(code::MEMBERS).refuses(code::WRITE);
    let changes = |doc: Doc| {
        writes(doc).path("id", id).header("if-match", "The `etag` that it must still have.").refuses(&[
            Code::NotFound,
            Code::BudgetConfigured,
            Code::PreconditionFailed,
        ])
    };
    let listing = Doc::new(TAG, "List rate limits")
        .gives(200, "All rate limits, those of the configuration too.", [Content::json::<RateLimits>()])
        .refuses(code::READ);
    let making = writes(Doc::new(TAG, "Make a rate limit"))
        .takes([Content::json::<NewRateLimitView>()])
        .once()
        .gives(201, "The rate limit; it holds.", shown());
    let reading = Doc::new(TAG, "Show a rate limit")
        .path("id", id)
        .gives(200, "The rate limit.", shown())
        .refuses(&[Code::NotFound])
        .refuses(code::READ);
    let changing = changes(Doc::new(TAG, "Change a rate limit"))
        .about("Members that are there replace those that were; `null` takes one out. It begins anew.")
        .takes([Content::json::<RateLimitChanges>()])
        .gives(200, "The rate limit as it is now.", shown());
    let ending = changes(Doc::new(TAG, "Take a rate limit away")).gives(204, "It is gone.", []);
    vec![
        route(Method::GET, "/api/v1/rate-limits", READERS, list, listing),
        route(Method::POST, "/api/v1/rate-limits", ADMINS, create, making),
        route(Method::GET, "/api/v1/rate-limits/{id}", READERS, one, reading),
        route(Method::PATCH, "/api/v1/rate-limits/{id}", ADMINS, change, changing),
        route(Method::DELETE, "/api/v1/rate-limits/{id}", ADMINS, remove, ending),
    ]
}

/// All rate limits: there are so few that they need no pages.
#[derive(Serialize, ToSchema)]
struct RateLimits {
    data: Vec<RateLimitView>,
    has_more: bool,
    next_cursor: Option<String>,
}

/// What is to be changed of a rate limit; `null` takes a member out.
#[derive(ToSchema)]
struct RateLimitChanges(#[expect(dead_code, reason = "a shape for the document")] BTreeMap<String, Value>);

async fn list(State(shared): State<Arc<Shared>>) -> Result<Json<RateLimits>, Problem> {
    let all = shared.write(|ledger| Ok(ledger.rate_limits())).await?;
    let data = all.iter().map(|limit| RateLimitView::of(limit)).collect();
    Ok(Json(RateLimits { data, has_more: false, next_cursor: None }))
}

async fn create(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Extension(by): Extension<By>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (members, bytes) = object(&headers, body).await?;
    let asked = Asked::of(&headers, &caller, "POST /api/v1/rate-limits", &bytes)?;
    let form = form(members)?;
    let making = shared.write_once(asked, move |ledger| {
        let made = ledger.create_rate_limit(&by, form).map_err(problem)?;
        Ok((shown(&made), made.id.clone()))
    });
    let view = match making.await? {
        Outcome::Done(view) => view,
        Outcome::Before(id) => {
            let mut view = shown(&*shared.ledger.rate_limit(&id).ok_or_else(unknown)?);
            view.headers_mut().insert(REPLAYED.0, REPLAYED.1);
            view
        }
    };
    Ok((StatusCode::CREATED, view).into_response())
}

async fn one(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Result<Response, Problem> {
    let found = shared.write(move |ledger| Ok(ledger.rate_limit(&id))).await?;
    found.map(|limit| shown(&limit)).ok_or_else(unknown)
}

async fn change(
    State(shared): State<Arc<Shared>>,
    Extension(by): Extension<By>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let version = version(&headers)?;
    let (changes, _) = object(&headers, body).await?;
    let changed = shared.write(move |ledger| {
        let Some(known) = ledger.rate_limit(&id) else { return Ok(None) };
        let Ok(Value::Object(mut members)) = serde_json::to_value(&known.form) else {
            return Err(Problem::internal());
        };
        for (name, value) in changes {
            match value {
                Value::Null => drop(members.remove(&name)),
                value => drop(members.insert(name, value)),
            }
        }
        // Between the two readings it must not have become another.
        let version = version.or(Some(known.version));
        ledger.change_rate_limit(&by, &id, version, form(members)?).map_err(problem)
    });
    changed.await?.map(|limit| shown(&limit)).ok_or_else(unknown)
}

async fn remove(
    State(shared): State<Arc<Shared>>,
    Extension(by): Extension<By>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let version = version(&headers)?;
    let was_there = shared.write(move |ledger| ledger.remove_rate_limit(&by, &id, version).map_err(problem));
    was_there.await?.then_some(StatusCode::NO_CONTENT).ok_or_else(unknown)
}

/// A rate limit, with the tag of its version.
fn shown(limit: &RateDefined) -> Response {
    let mut response = Json(RateLimitView::of(limit)).into_response();
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", limit.version)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

fn form(members: Map<String, Value>) -> Result<RateLimitForm, Problem> {
    let found = faults::<RateLimitForm>(&members, RateLimitForm::MEMBERS);
    if !found.is_empty() {
        return Err(of_faults(found));
    }
    let form: RateLimitForm =
        serde_json::from_value(Value::Object(members)).map_err(|_| Problem::internal())?;
    match form.read("") {
        Ok(_) => Ok(form),
        Err(found) => {
            let found = found.iter().map(|found| fault(found.member, Code::FieldInvalid, &found.detail));
            Err(of_faults(found.collect()))
        }
    }
}

fn unknown() -> Problem {
    Problem::not_found("there is no such rate limit")
}
