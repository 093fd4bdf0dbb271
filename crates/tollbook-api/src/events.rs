//! `POST /api/v1/events`: calls made elsewhere. What is acknowledged is durable and in every sum.

use crate::access::{Caller, SENDERS};
use crate::body::{self, Encoding};
use crate::cloudevents;
use crate::code::{self, Code};
use crate::doc::{Content, Doc, Tag};
use crate::metrics::Ingest;
use crate::problem::{Fault, Problem};
use crate::routes::{Route, route};
use crate::shared::Shared;
use crate::wire::schema::{self, CloudEvent, CloudEvents, Events};
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value};
use std::sync::Arc;
use tollbook_ledger::{Ledger, Outcome};
use tollbook_store::StoreError;
use tollbook_types::json::{self, Items};
use tollbook_types::limits::{BATCH_EVENTS_MAX, JSON_TREE_BYTES_MAX};
use tollbook_types::{CostBasis, Event, Key, Money, Role, Seq, Timestamp};
use tollbook_usage::import::{self, Context, Window, native};
use utoipa::ToSchema;

/// Where events from here come in.
const SOURCE: &str = "api";
/// How far from the present an event may be. An admin's may be of any past.
pub(crate) const WINDOW: Window = Window { past_seconds: 35 * 86_400, future_seconds: 5 * 60 };

/// The preference of callers who need no summary.
const RETURN_MINIMAL: &str = "return=minimal";

/// How events stand in a request. An object with the member `specversion` is a CloudEvent in any of them.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    /// One object, or an array of them.
    Json,
    /// One object a line.
    Lines,
    /// One CloudEvent.
    CloudEvent,
    /// An array of CloudEvents.
    CloudEvents,
    /// One CloudEvent whose attributes are headers; the body is its data.
    Binary(Map<String, Value>),
}

/// One event of a request.
struct Item {
    /// The line, where events are lines.
    line: Option<usize>,
    told: Told,
}

enum Told {
    Event(Box<Event>),
    /// An event that went to the ledger.
    Sent {
        id: String,
    },
    Refused {
        id: Option<String>,
        problems: Vec<import::Problem>,
    },
    Forbidden {
        id: String,
    },
}

/// What became of an event.
enum Fate {
    Accepted { cost: Option<Money>, tokens: u64, unpriced: bool },
    Duplicate { code: Option<&'static str>, cost: Option<Money>, tokens: u64 },
    Rejected { code: Code, detail: String, pointer: Option<String> },
}

/// What became of all of them. Sums are of those that were accepted.
#[derive(Default, Serialize, ToSchema)]
#[schema(as = Recorded)]
pub struct Answer {
    accepted: u64,
    duplicates: u64,
    rejected: Vec<Rejected>,
    #[schema(value_type = schema::Usd)]
    cost_usd: Money,
    total_tokens: u64,
    /// Accepted ones that no price matched.
    unpriced: u64,
    /// What became of each, in the order in which they came.
    results: Vec<Verdict>,
}

/// An event that was refused.
#[derive(Serialize, ToSchema)]
struct Rejected {
    /// Its place among those that came, from 0.
    index: usize,
    /// Its line, from 1, where events are lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    id: Option<String>,
    code: Code,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<String>,
}

/// What became of an event.
#[derive(Serialize, ToSchema)]
struct Verdict {
    id: Option<String>,
    /// `accepted`, `duplicate` or `rejected`.
    result: &'static str,
    /// Why it was rejected; `joined`: told by another source before.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Usd>)]
    cost_usd: Option<Option<Money>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_tokens: Option<u64>,
}

/// What its routes are grouped by.
pub const TAG: Tag = Tag { name: "events", about: "Calls made elsewhere, sent in." };

/// Its routes.
pub fn routes() -> Vec<Route> {
    let recording = Doc::new(TAG, "Record calls")
        .about(
            "One event, an array of them, or one a line; at most 1,000. The answer comes when they are durable \
             and in every sum. A batch is answered 200 with what is refused in `rejected`; an event on its own \
             gets the refusal itself. Sending the same again is always safe: it counts once.",
        )
        .takes([
            Content::of::<Events>("application/json"),
            Content::text("application/x-ndjson"),
            Content::text("application/ndjson"),
            Content::text("application/jsonl"),
            Content::of::<CloudEvent>("application/cloudevents+json"),
            Content::of::<CloudEvents>("application/cloudevents-batch+json"),
        ])
        .header("prefer", "`return=minimal`: 204 where nothing is refused.")
        .gives(200, "What became of each.", [Content::json::<Answer>()])
        .gives(204, "All are recorded, and the caller prefers no summary.", [])
        .refuses(&[Code::UnsupportedMediaType, Code::BatchTooLarge, Code::IdConflict, Code::BeforeCutoff])
        .refuses(&[Code::IdInvalid, Code::UsageInconsistent, Code::TimestampFuture, Code::TimestampTooOld])
        .refuses(code::BODY)
        .refuses(code::JSON)
        .refuses(code::MEMBERS)
        .refuses(code::WRITE);
    vec![route(Method::POST, "/api/v1/events", SENDERS, post, recording)]
}

/// Records what the body says.
pub async fn post(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (form, encoding) = (Form::of(&headers)?, Encoding::of(&headers)?);
    let bytes = body::read(&headers, body).await?;
    let now = shared.clock.now();
    let answer = shared
        .write(move |ledger| {
            let text = body::decode(encoding, bytes)?;
            take(ledger, &caller.0, form, &text, now)
        })
        .await?;
    shared.counts.ingested(Ingest::New, answer.accepted);
    shared.counts.ingested(Ingest::Duplicate, answer.duplicates);
    shared.counts.ingested(Ingest::Rejected, answer.rejected.len() as u64);
    if answer.rejected.is_empty() && wants_minimal(&headers) {
        let mut response = StatusCode::NO_CONTENT.into_response();
        response.headers_mut().insert("preference-applied", HeaderValue::from_static(RETURN_MINIMAL));
        return Ok(response);
    }
    Ok(Json(answer).into_response())
}

/// Whether the caller prefers not to be told what went as it should.
fn wants_minimal(headers: &HeaderMap) -> bool {
    let told = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let mut preferences = told.flat_map(|value| value.split(','));
    preferences.any(|preference| preference.trim().eq_ignore_ascii_case(RETURN_MINIMAL))
}

impl Form {
    fn of(headers: &HeaderMap) -> Result<Form, Problem> {
        let told = headers.get(header::CONTENT_TYPE);
        let told = told.map_or("application/json", |told| told.to_str().unwrap_or_default());
        let name = told.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match name.as_str() {
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Ok(Form::Lines),
            "application/cloudevents+json" => Ok(Form::CloudEvent),
            "application/cloudevents-batch+json" => Ok(Form::CloudEvents),
            _ if cloudevents::is_json(&name) => {
                let attributes = cloudevents::attributes(headers);
                let attributes = attributes.map_err(|problem| Problem::of_input(vec![problem]))?;
                match attributes {
                    Some(attributes) => Ok(Form::Binary(attributes)),
                    None if name == "application/json" => Ok(Form::Json),
                    None => Err(Form::unknown()),
                }
            }
            _ => Err(Form::unknown()),
        }
    }

    /// What the body has to be.
    fn expected(&self) -> &'static str {
        match self {
            Form::CloudEvent => "the body is a CloudEvent; several are application/cloudevents-batch+json",
            Form::CloudEvents => "the body is an array of CloudEvents",
            _ => "the body is an event, or an array of events",
        }
    }

    fn unknown() -> Problem {
        Problem::new(
            Code::UnsupportedMediaType,
            "content-type is application/json, application/x-ndjson, application/cloudevents+json or \
             application/cloudevents-batch+json",
        )
    }
}

fn take(ledger: &Ledger, key: &Key, form: Form, text: &[u8], now: Timestamp) -> Result<Answer, Problem> {
    let window = (!key.may(Role::Admin)).then_some(WINDOW);
    let ctx = Context { window, ..Context::new(SOURCE, now) };
    let (mut items, is_single) = read(form, text, &ctx)?;
    for item in &mut items {
        bind(item, key);
    }
    if is_single && let [item] = items.as_slice() {
        refuse_single(item)?;
    }
    let events = items.iter_mut().filter_map(Item::take_event).collect();
    let mut outcomes = ledger.submit(events)?.into_iter();
    let mut answer = Answer::default();
    for (index, item) in items.into_iter().enumerate() {
        let (id, fate) = match item.told {
            Told::Event(_) => return Err(Problem::internal()),
            Told::Sent { id } => (Some(id), fate(ledger, outcomes.next())?),
            Told::Forbidden { id } => (Some(id), forbidden()),
            Told::Refused { id, mut problems } => {
                let problem = problems.swap_remove(0);
                (
                    id,
                    Fate::Rejected {
                        detail: problem.detail.clone(),
                        pointer: problem.pointer.clone(),
                        code: problem.into(),
                    },
                )
            }
        };
        if is_single && let Fate::Rejected { code, detail, .. } = fate {
            return Err(Problem::new(code, detail));
        }
        answer.add(index, item.line, id, fate);
    }
    Ok(answer)
}

/// The events in a body, and whether it is one object rather than a batch.
fn read(form: Form, text: &[u8], ctx: &Context<'_>) -> Result<(Vec<Item>, bool), Problem> {
    let unreadable =
        |error: serde_json::Error| Problem::of_input(vec![import::Problem::of_json(&error, text)]);
    match form {
        Form::Lines => {
            let items: Vec<Item> = lines(text).map(|(line, text)| Item::of_line(line, text, ctx)).collect();
            if items.len() > BATCH_EVENTS_MAX { Err(too_many()) } else { Ok((items, false)) }
        }
        Form::Binary(mut envelope) => {
            let data = json::parse_within(text, JSON_TREE_BYTES_MAX).map_err(unreadable)?;
            envelope.insert("data".to_owned(), data);
            let told = Told::of_envelope(&Value::Object(envelope), ctx);
            Ok((vec![Item { line: None, told }], true))
        }
        Form::Json | Form::CloudEvent | Form::CloudEvents => {
            let told = if form == Form::Json { Told::of } else { Told::of_envelope };
            let is_object = text.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
            let items = json::parse_items(text, BATCH_EVENTS_MAX, JSON_TREE_BYTES_MAX, |value| {
                let told = told(&value, ctx);
                if is_object { told } else { told.with_one_problem() }
            });
            let (told, is_single) = match (items.map_err(unreadable)?, form) {
                (Items::TooMany, _) => return Err(too_many()),
                (Items::One(told), Form::Json | Form::CloudEvent) if is_object => (vec![told], true),
                (Items::Many(told), Form::Json | Form::CloudEvents) => (told, false),
                (_, form) => return Err(Problem::new(Code::JsonInvalid, form.expected())),
            };
            Ok((told.into_iter().map(|told| Item { line: None, told }).collect(), is_single))
        }
    }
}

/// The lines that hold something, with their numbers from 1; one more than may be is enough.
fn lines(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let numbered = text.split(|byte| *byte == b'\n').enumerate();
    let told = numbered.filter(|(_, line)| !line.iter().all(u8::is_ascii_whitespace));
    told.map(|(place, line)| (place + 1, line)).take(BATCH_EVENTS_MAX + 1)
}

fn too_many() -> Problem {
    let detail = format!("a request has at most {BATCH_EVENTS_MAX} events");
    Problem::new(Code::BatchTooLarge, detail)
}

impl Told {
    /// What an item tells, whichever kind of event it is.
    fn of(value: &Value, ctx: &Context<'_>) -> Told {
        match value {
            Value::Object(members) if cloudevents::is_envelope(members) => Told::of_envelope(value, ctx),
            _ => Told::new(native::parse_value(value, ctx), value),
        }
    }

    fn of_envelope(value: &Value, ctx: &Context<'_>) -> Told {
        Told::new(cloudevents::read(value, ctx), value)
    }

    /// As one of a batch, of which only the first problem is told: the others take no memory.
    fn with_one_problem(mut self) -> Told {
        if let Told::Refused { problems, .. } = &mut self {
            problems.truncate(1);
            problems.shrink_to_fit();
        }
        self
    }

    fn new(read: Result<Event, Vec<import::Problem>>, value: &Value) -> Told {
        match read {
            Ok(event) => Told::Event(Box::new(event)),
            Err(problems) => {
                // An id that is itself refused is not repeated.
                let is_good = problems.iter().all(|problem| problem.code != import::code::ID_INVALID);
                let id = value.get("id").and_then(Value::as_str).filter(|_| is_good);
                Told::Refused { id: id.map(str::to_owned), problems }
            }
        }
    }
}

impl Item {
    fn of_line(line: usize, text: &[u8], ctx: &Context<'_>) -> Item {
        let told = match json::parse_within(text, JSON_TREE_BYTES_MAX) {
            Ok(value) => Told::of(&value, ctx).with_one_problem(),
            Err(error) => Told::Refused { id: None, problems: vec![import::Problem::of_json(&error, text)] },
        };
        Item { line: Some(line), told }
    }

    /// The event on its way to the ledger.
    fn take_event(&mut self) -> Option<Event> {
        let Told::Event(event) = &self.told else { return None };
        let sent = Told::Sent { id: event.id.clone() };
        match std::mem::replace(&mut self.told, sent) {
            Told::Event(event) => Some(*event),
            _ => None,
        }
    }
}

/// Puts the event on the account that the key is bound to, unless it may not be there.
fn bind(item: &mut Item, key: &Key) {
    let Told::Event(event) = &mut item.told else { return };
    if !put_on_account(event, key) {
        item.told = Told::Forbidden { id: std::mem::take(&mut event.id) };
    }
}

/// Puts an event on the account that the key is bound to. What the key says wins; an event that names
/// another project is another tenant's, and then the answer is no.
pub(crate) fn put_on_account(event: &mut Event, key: &Key) -> bool {
    let told = &mut event.attribution;
    if let (Some(bound), Some(named)) = (&key.binding.project, &told.project)
        && bound != named
    {
        return false;
    }
    let mut bound = key.binding.clone();
    // An admin may report calls that another key made.
    bound.key = Some(key.id.clone()).filter(|_| told.key.is_none() || !key.may(Role::Admin));
    bound.fill_from(told);
    *told = bound;
    true
}

fn forbidden() -> Fate {
    let detail = "the key is bound to another project".to_owned();
    Fate::Rejected { code: Code::Forbidden, detail, pointer: Some("/project".to_owned()) }
}

/// An event on its own gets the refusal itself.
fn refuse_single(item: &Item) -> Result<(), Problem> {
    match &item.told {
        Told::Event(_) | Told::Sent { .. } => Ok(()),
        Told::Refused { problems, .. } => Err(Problem::of_input(problems.clone())),
        Told::Forbidden { .. } => match forbidden() {
            Fate::Rejected { code, detail, pointer } => {
                let problem = Problem::new(code, detail.clone());
                Err(Problem { errors: vec![Fault { pointer, code, detail }], ..problem })
            }
            _ => Ok(()),
        },
    }
}

fn fate(ledger: &Ledger, outcome: Option<Outcome>) -> Result<Fate, Problem> {
    let rejected = |code, detail: &str| Fate::Rejected { code, detail: detail.to_owned(), pointer: None };
    Ok(match outcome {
        Some(Outcome::Accepted { entry, .. }) => Fate::Accepted {
            cost: entry.rating.cost,
            tokens: entry.event.usage.as_ref().map_or(0, |usage| usage.total().total_tokens()),
            unpriced: matches!(entry.rating.basis, CostBasis::Unpriced | CostBasis::Inconsistent),
        },
        Some(Outcome::Duplicate { entry }) => known(ledger, entry, None)?,
        Some(Outcome::Joined { entry, .. }) => known(ledger, entry, Some("joined"))?,
        Some(Outcome::Conflict { .. }) => rejected(
            Code::IdConflict,
            "the id is recorded already and says something else; the first is kept",
        ),
        Some(Outcome::BeforeCutoff) => rejected(Code::BeforeCutoff, "calls of that day are no longer kept"),
        _ => {
            tracing::error!("nothing is known of what became of an event");
            return Err(Problem::internal());
        }
    })
}

/// An event that was recorded before, with what its entry says now.
fn known(ledger: &Ledger, entry: Seq, code: Option<&'static str>) -> Result<Fate, StoreError> {
    let state = ledger.store().call(entry)?.map(|call| call.corrected());
    let tokens = state.as_ref().map_or(0, |state| state.meters().total_tokens());
    Ok(Fate::Duplicate { code, cost: state.and_then(|state| state.rating.cost), tokens })
}

impl Answer {
    fn add(&mut self, index: usize, line: Option<usize>, id: Option<String>, fate: Fate) {
        let (result, code, figures) = match fate {
            Fate::Accepted { cost, tokens, unpriced } => {
                self.accepted += 1;
                self.unpriced += u64::from(unpriced);
                self.total_tokens = self.total_tokens.saturating_add(tokens);
                // A thousand bills of at most a billion dollars fit.
                self.cost_usd =
                    cost.and_then(|cost| self.cost_usd.checked_add(cost)).unwrap_or(self.cost_usd);
                ("accepted", None, Some((cost, tokens)))
            }
            Fate::Duplicate { code, cost, tokens } => {
                self.duplicates += 1;
                ("duplicate", code, Some((cost, tokens)))
            }
            Fate::Rejected { code, detail, pointer } => {
                self.rejected.push(Rejected { index, line, id: id.clone(), code, detail, pointer });
                ("rejected", Some(code.name()), None)
            }
        };
        let (cost_usd, total_tokens) = figures.unzip();
        self.results.push(Verdict { id, result, code, cost_usd, total_tokens });
    }
}
