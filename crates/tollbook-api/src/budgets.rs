//! `/api/v1/budgets`: making, changing and reading budgets.

use crate::access::{ADMINS, Access, Caller};
use crate::body::{self, Encoding};
use crate::channels::Channels;
use crate::code::{self, Code};
use crate::doc::{Content, Doc, Tag};
use crate::idempotency::{self, Asked, Outcome};
use crate::problem::{Fault, Problem};
use crate::routes::{Route, route};
use crate::shared::Shared;
use crate::wire::{BudgetView, NewBudgetView, schema};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use tollbook_budget::{BudgetForm, RaiseForm};
use tollbook_ledger::budgets::{BudgetError, Defined};
use tollbook_ledger::{Act, By, Ledger};
use tollbook_types::{Role, Timestamp, parse_instant};
use tollbook_usage::import;
use utoipa::ToSchema;

/// Who reads budgets: those who read all the books.
const READERS: Access = Access::Roles(&[Role::Viewer]);

/// Why a limit is raised, in bytes.
const REASON_BYTES_MAX: usize = 256;

/// What its routes are grouped by.
const TAG: Tag = Tag { name: "budgets", about: "Limits on what calls may use, and asking first." };

/// Its routes.
pub fn routes() -> Vec<Route> {
    let id = "The budget's id.";
    let shown = || [Content::json::<BudgetView>()];
    let writes =
        |doc: Doc| doc.refuses(code::BODY).refuses(code::JSON).refuses(code::MEMBERS).refuses(code::WRITE);
    let changes = |doc: Doc| {
        writes(doc).path("id", id).refuses(&[
            Code::NotFound,
            Code::BudgetConfigured,
            Code::PreconditionFailed,
        ])
    };
    let listing = Doc::new(TAG, "List budgets")
        .gives(200, "All budgets, those of the configuration too.", [Content::json::<Budgets>()])
        .refuses(code::READ);
    let making = writes(Doc::new(TAG, "Make a budget"))
        .once()
        .about("On return it holds, and counts what its window has seen so far.")
        .takes([Content::json::<NewBudgetView>()])
        .gives(201, "The budget, and where it stands.", shown());
    let reading = Doc::new(TAG, "Show a budget")
        .path("id", id)
        .gives(200, "The budget, and where it stands.", shown())
        .refuses(&[Code::NotFound])
        .refuses(code::READ);
    let changing = changes(Doc::new(TAG, "Change a budget"))
        .about("Members that are there replace those that were; `null` takes one out.")
        .header("if-match", "The `etag` that it must still have.")
        .takes([Content::json::<BudgetChanges>()])
        .gives(200, "The budget as it is now.", shown());
    let ending = changes(Doc::new(TAG, "Take a budget away"))
        .header("if-match", "The `etag` that it must still have.")
        .gives(204, "It is gone.", []);
    let raising = changes(Doc::new(TAG, "Raise a limit for a while"))
        .once()
        .takes([Content::json::<RaiseView>()])
        .gives(200, "The budget as it is now.", shown());
    vec![
        route(Method::GET, "/api/v1/budgets", READERS, list, listing),
        route(Method::POST, "/api/v1/budgets", ADMINS, create, making),
        route(Method::GET, "/api/v1/budgets/{id}", READERS, one, reading),
        route(Method::PATCH, "/api/v1/budgets/{id}", ADMINS, change, changing),
        route(Method::DELETE, "/api/v1/budgets/{id}", ADMINS, remove, ending),
        route(Method::POST, "/api/v1/budgets/{id}/raise", ADMINS, raise, raising),
    ]
}

/// All budgets: there are so few that they need no pages.
#[derive(Serialize, ToSchema)]
struct Budgets {
    data: Vec<BudgetView>,
    has_more: bool,
    next_cursor: Option<String>,
}

/// What is to be changed of a budget; `null` takes a member out.
#[derive(ToSchema)]
struct BudgetChanges(#[expect(dead_code, reason = "a shape for the document")] BTreeMap<String, Value>);

/// A limit that is to be raised.
#[derive(ToSchema)]
#[schema(as = Raise)]
#[expect(dead_code, reason = "members are read one by one, so that all that is wrong is told at once")]
struct RaiseView {
    /// By how many dollars; for limits in tokens or calls, `by` instead.
    #[schema(value_type = Option<schema::Usd>)]
    by_usd: Option<String>,
    /// By how many tokens or calls, as text.
    by: Option<String>,
    /// Until when.
    #[schema(value_type = schema::Instant)]
    until: Timestamp,
    /// Why.
    reason: String,
}

/// Makes a budget.
async fn create(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Extension(by): Extension<By>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (members, bytes) = object(&headers, body).await?;
    let asked = Asked::of(&headers, &caller, "POST /api/v1/budgets", &bytes)?;
    let form = form(members)?;
    let (zone, channels) = (shared.zone(), shared.channels.clone());
    let outcome = shared
        .write_once(asked, move |ledger| {
            let made = ledger.create_budget(&by, form, &zone).map_err(problem)?;
            let id = made.id.clone();
            Ok((shown(ledger, &made, &channels), id))
        })
        .await?;
    Ok((StatusCode::CREATED, shown_once(&shared, outcome)?).into_response())
}

/// Every budget, also those of the configuration.
async fn list(State(shared): State<Arc<Shared>>) -> Result<Json<Budgets>, Problem> {
    let channels = shared.channels.clone();
    let data = shared
        .write(move |ledger| {
            let view =
                |budget: &Arc<Defined>| BudgetView::of(budget, &ledger.standings(&budget.id), &channels);
            Ok(ledger.budgets().iter().map(view).collect::<Vec<_>>())
        })
        .await?;
    Ok(Json(Budgets { data, has_more: false, next_cursor: None }))
}

async fn one(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let channels = shared.channels.clone();
    let show = move |ledger: &Ledger| Ok(ledger.budget(&id).map(|found| shown(ledger, &found, &channels)));
    let found = shared.write(show).await?;
    found.ok_or_else(unknown)
}

/// Changes the members that are there; `null` takes one out.
async fn change(
    State(shared): State<Arc<Shared>>,
    Extension(by): Extension<By>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<impl IntoResponse, Problem> {
    let version = version(&headers)?;
    let (changes, _) = object(&headers, body).await?;
    let (zone, channels) = (shared.zone(), shared.channels.clone());
    let found = shared
        .write(move |ledger| {
            let Some(known) = ledger.budget(&id) else { return Ok(None) };
            let raises = known.form.raises.clone();
            let written = serde_json::to_value(BudgetForm { raises: Vec::new(), ..known.form.clone() });
            let Ok(Value::Object(mut members)) = written else { return Err(Problem::internal()) };
            for (name, value) in changes {
                match value {
                    Value::Null => drop(members.remove(&name)),
                    value => drop(members.insert(name, value)),
                }
            }
            let form = BudgetForm { raises, ..form(members)? };
            // Between the two readings it must not have become another.
            let version = version.or(Some(known.version));
            let act = Act::new("budget.change");
            let changed = ledger.change_budget(&by, act, &id, version, &zone, |old| *old = form);
            Ok(changed.map_err(problem)?.map(|budget| shown(ledger, &budget, &channels)))
        })
        .await?;
    found.ok_or_else(unknown)
}

async fn remove(
    State(shared): State<Arc<Shared>>,
    Extension(by): Extension<By>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let version = version(&headers)?;
    let was_there =
        shared.write(move |ledger| ledger.remove_budget(&by, &id, version).map_err(problem)).await?;
    was_there.then_some(StatusCode::NO_CONTENT).ok_or_else(unknown)
}

/// Raises a limit for a while.
async fn raise(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Extension(by): Extension<By>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (members, bytes) = object(&headers, body).await?;
    let asked = Asked::of(&headers, &caller, &format!("POST /api/v1/budgets/{id}/raise"), &bytes)?;
    let (raised, reason) = read_raise(&members, shared.clock.now())?;
    let (zone, now, channels) = (shared.zone(), shared.clock.now(), shared.channels.clone());
    let outcome = shared
        .write_once(asked, move |ledger| {
            let act = Act::new("budget.raise").told("by", raised.by.as_str());
            let act = act.told("until", raised.until.to_string()).told("reason", reason);
            let changed = ledger.change_budget(&by, act, &id, None, &zone, |form| {
                form.raises.retain(|raise| raise.until > now);
                form.raises.push(raised);
            });
            let budget = changed.map_err(problem)?.ok_or_else(unknown)?;
            Ok((shown(ledger, &budget, &channels), id))
        })
        .await?;
    shown_once(&shared, outcome)
}

/// A budget as it was made or changed, or, where the command was done before, as it is now.
fn shown_once(shared: &Shared, outcome: Outcome<Response>) -> Result<Response, Problem> {
    match outcome {
        Outcome::Done(response) => Ok(response),
        Outcome::Before(id) => {
            let budget = shared.ledger.budget(&id).ok_or_else(unknown)?;
            Ok(([idempotency::REPLAYED], shown(&shared.ledger, &budget, &shared.channels)).into_response())
        }
    }
}

/// By how much and until when, and why.
fn read_raise(members: &Map<String, Value>, now: Timestamp) -> Result<(RaiseForm, String), Problem> {
    let mut faults = Vec::new();
    let mut text = |name: &str| {
        let text = members.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        if text.is_none() {
            faults.push(fault(name, Code::FieldMissing, "has to be there, as a text"));
        }
        text.unwrap_or_default().to_owned()
    };
    let by = text(if members.contains_key("by") { "by" } else { "by_usd" });
    let (until, reason) = (text("until"), text("reason"));
    if reason.len() > REASON_BYTES_MAX {
        faults.push(fault("reason", Code::FieldTooLarge, "is 256 bytes at most"));
    }
    for name in members.keys().filter(|name| !["by", "by_usd", "until", "reason"].contains(&name.as_str())) {
        faults.push(fault(&name.chars().take(64).collect::<String>(), Code::UnknownMember, "is not known"));
    }
    match parse_instant(&until) {
        Ok(until) if faults.is_empty() && until > now => {
            return Ok((RaiseForm { by, until }, reason));
        }
        Ok(until) if until <= now => faults.push(fault("until", Code::FieldInvalid, "must lie ahead")),
        Err(detail) if !until.is_empty() => faults.push(fault("until", Code::TimestampInvalid, &detail)),
        _ => {}
    }
    Err(of_faults(faults))
}

/// A budget, with the tag of its version.
fn shown(ledger: &Ledger, budget: &Defined, channels: &Channels) -> Response {
    let view = BudgetView::of(budget, &ledger.standings(&budget.id), channels);
    let mut response = Json(view).into_response();
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", budget.version)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

pub(crate) fn version(headers: &HeaderMap) -> Result<Option<u32>, Problem> {
    let Some(told) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let text = told.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let version =
        text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).and_then(|text| text.parse().ok());
    version.map(Some).ok_or_else(stale)
}

/// The members of a body, and the body as it came.
pub(crate) async fn object(
    headers: &HeaderMap,
    body: Body,
) -> Result<(Map<String, Value>, Vec<u8>), Problem> {
    let encoding = Encoding::of(headers)?;
    let bytes = body::read(headers, body).await?;
    let text = body::decode(encoding, bytes.clone())?;
    let value = tollbook_types::json::parse(&text)
        .map_err(|error| Problem::of_input(vec![import::Problem::of_json(&error, &text)]))?;
    match value {
        Value::Object(members) => Ok((members, bytes)),
        _ => Err(Problem::new(Code::JsonInvalid, "the body is an object")),
    }
}

/// The members of a budget, all of which are known and of their types.
fn form(members: Map<String, Value>) -> Result<BudgetForm, Problem> {
    let mut faults = faults::<BudgetForm>(&members, BudgetForm::MEMBERS);
    if members.get("raises").is_some() {
        faults.push(fault("raises", Code::FieldInvalid, "are made at /raise"));
    }
    if !faults.is_empty() {
        return Err(of_faults(faults));
    }
    serde_json::from_value(Value::Object(members)).map_err(|_| Problem::internal())
}

/// Members of a form that are not known, or not of their types.
pub(crate) fn faults<F: DeserializeOwned>(members: &Map<String, Value>, known: &[&str]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (name, value) in members {
        // One member alone tells whether it is known and of its type.
        let alone = Value::Object(Map::from_iter([(name.clone(), value.clone())]));
        if serde_json::from_value::<F>(alone).is_err() {
            let (code, detail) = match known.contains(&name.as_str()) {
                true => (Code::FieldInvalid, "is not of the type that it has to be"),
                false => (Code::UnknownMember, "is not known"),
            };
            faults.push(fault(&name.chars().take(64).collect::<String>(), code, detail));
        }
    }
    faults
}

pub(crate) fn fault(name: &str, code: Code, detail: &str) -> Fault {
    Fault { pointer: Some(format!("/{name}")), code, detail: detail.to_owned() }
}

pub(crate) fn of_faults(faults: Vec<Fault>) -> Problem {
    Problem::of_faults(faults).unwrap_or_else(Problem::internal)
}

fn unknown() -> Problem {
    Problem::not_found("there is no such budget")
}

pub(crate) fn stale() -> Problem {
    let detail = "it was changed by somebody else meanwhile: read it and try again";
    Problem::new(Code::PreconditionFailed, detail)
}

pub(crate) fn problem(error: BudgetError) -> Problem {
    match error {
        BudgetError::Faults(found) => {
            let faults = found.iter().map(|found| fault(found.member, Code::FieldInvalid, &found.detail));
            of_faults(faults.collect())
        }
        BudgetError::Stale => stale(),
        BudgetError::Configured => {
            Problem::new(Code::BudgetConfigured, "it stands in the configuration: change it there")
        }
        BudgetError::Ledger(error) => Problem::from(error),
    }
}
