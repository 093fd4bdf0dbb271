//! `/api/v1/channels`: where alerts go. Their secrets come in and never go out again.

mod registry;

pub use registry::{ChannelError, Channels, Known};

use crate::access::{ADMINS, Access, Caller};
use crate::alerts::test_message;
use crate::body::{self, Encoding};
use crate::code::{self, Code};
use crate::doc::{Content, Doc, Tag};
use crate::idempotency::{self, Asked, Outcome};
use crate::problem::{Fault, Problem};
use crate::routes::{Route, route};
use crate::shared::Shared;
use crate::wire::{ChannelTestView, ChannelView, NewChannelView};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::{HeaderMap, Method, StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value};
use std::sync::Arc;
use tollbook_ledger::By;
use tollbook_notify::{ChannelForm, new_secret};
use tollbook_types::Role;
use tollbook_usage::import;
use utoipa::ToSchema;

/// Who sees channels: those who read all the books.
const READERS: Access = Access::Roles(&[Role::Viewer]);
/// A secret is for who made the channel, not for caches.
const NO_STORE: [(header::HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];

/// What its routes are grouped by.
const TAG: Tag = Tag { name: "channels", about: "Where alerts go." };

/// Its routes.
pub fn routes() -> Vec<Route> {
    let name = "The channel's name.";
    let listing = Doc::new(TAG, "List channels").gives(
        200,
        "All channels, those of the configuration too, without their secrets.",
        [Content::json::<AllChannels>()],
    );
    let making = Doc::new(TAG, "Make a channel")
        .about("A webhook without a secret gets one, which is in this answer and in no other.")
        .takes([Content::json::<NewChannelView>()])
        .once()
        .gives(201, "The channel.", [Content::json::<ChannelView>()])
        .refuses(&[Code::ChannelExists])
        .refuses(code::BODY)
        .refuses(code::JSON)
        .refuses(code::MEMBERS)
        .refuses(code::WRITE);
    let ending = Doc::new(TAG, "Take a channel away")
        .about("What was to go there and has not is given up.")
        .path("name", name)
        .gives(204, "It is gone.", [])
        .refuses(&[Code::NotFound, Code::ChannelConfigured])
        .refuses(code::WRITE);
    let testing = Doc::new(TAG, "Send a test message")
        .about("One attempt, now.")
        .path("name", name)
        .gives(200, "What became of it.", [Content::json::<ChannelTestView>()])
        .refuses(&[Code::NotFound]);
    vec![
        route(Method::GET, "/api/v1/channels", READERS, list, listing),
        route(Method::POST, "/api/v1/channels", ADMINS, create, making),
        route(Method::DELETE, "/api/v1/channels/{name}", ADMINS, remove, ending),
        route(Method::POST, "/api/v1/channels/{name}/test", ADMINS, test, testing),
    ]
}

/// All channels: there are so few that they need no pages.
#[derive(Serialize, ToSchema)]
#[schema(as = Channels)]
struct AllChannels {
    data: Vec<ChannelView>,
    has_more: bool,
    next_cursor: Option<String>,
}

async fn list(State(shared): State<Arc<Shared>>) -> Json<AllChannels> {
    let data = shared.channels.list().iter().map(|known| shown(known)).collect();
    Json(AllChannels { data, has_more: false, next_cursor: None })
}

async fn create(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Extension(by): Extension<By>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let encoding = Encoding::of(&headers)?;
    let bytes = body::read(&headers, body).await?;
    let asked = Asked::of(&headers, &caller, "POST /api/v1/channels", &bytes)?;
    let (now, commands, channels) = (shared.clock.now(), shared.commands.clone(), shared.channels.clone());
    let outcome = shared
        .write(move |ledger| {
            let mut form = read(&body::decode(encoding, bytes)?)?;
            let is_unsigned = form.kind == "webhook" && form.secret.is_none();
            let made = is_unsigned.then(new_secret).transpose().map_err(|_| Problem::internal())?;
            form.secret = form.secret.or_else(|| made.clone());
            commands.once(ledger, asked, now, || {
                let known = channels.create(ledger, &by, form, now).map_err(problem)?;
                let name = known.channel.name.clone();
                Ok(((known, made), name))
            })
        })
        .await?;
    match outcome {
        Outcome::Done((known, made)) => {
            Ok((StatusCode::CREATED, NO_STORE, Json(shown(&known).shown_once(made))).into_response())
        }
        Outcome::Before(name) => {
            let known = shared.channels.get(&name).ok_or_else(unknown)?;
            Ok((StatusCode::CREATED, NO_STORE, [idempotency::REPLAYED], Json(shown(&known))).into_response())
        }
    }
}

async fn remove(
    State(shared): State<Arc<Shared>>,
    Extension(by): Extension<By>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    let channels = shared.channels.clone();
    let removed = shared.write(move |ledger| channels.remove(ledger, &by, &name).map_err(problem)).await?;
    removed.then_some(StatusCode::NO_CONTENT).ok_or_else(unknown)
}

/// Sends a message there, once.
async fn test(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
) -> Result<Json<ChannelTestView>, Problem> {
    let known = shared.channels.get(&name).ok_or_else(unknown)?;
    let now = shared.clock.now();
    let sent = shared.sender.send(&known.channel, &test_message(now), now).await;
    Ok(Json(ChannelTestView { delivered: sent.is_ok(), error: sent.err().map(|failed| failed.why) }))
}

fn shown(known: &Known) -> ChannelView {
    ChannelView::of(&known.channel, known.is_configured)
}

/// The members of a channel, all of which are known and of their types.
fn read(text: &[u8]) -> Result<ChannelForm, Problem> {
    let value = tollbook_types::json::parse(text)
        .map_err(|error| Problem::of_input(vec![import::Problem::of_json(&error, text)]))?;
    let Value::Object(mut members) = value else {
        return Err(Problem::new(Code::JsonInvalid, "the body is an object"));
    };
    members.retain(|_, value| !value.is_null());
    let mut faults = Vec::new();
    for (name, value) in &members {
        // One member alone tells whether it is known and of its type.
        let alone = Value::Object(Map::from_iter([(name.clone(), value.clone())]));
        if serde_json::from_value::<ChannelForm>(alone).is_err() {
            let is_known = ChannelForm::MEMBERS.contains(&name.as_str());
            let (code, detail) = match is_known {
                true => (Code::FieldInvalid, "is not of the type that it has to be"),
                false => (Code::UnknownMember, "is not known"),
            };
            faults.push(fault(&name.chars().take(64).collect::<String>(), code, detail));
        }
    }
    if let Some(problem) = Problem::of_faults(faults) {
        return Err(problem);
    }
    serde_json::from_value(Value::Object(members)).map_err(|_| Problem::internal())
}

fn fault(name: &str, code: Code, detail: &str) -> Fault {
    Fault { pointer: Some(format!("/{name}")), code, detail: detail.to_owned() }
}

fn unknown() -> Problem {
    Problem::not_found("there is no such channel")
}

fn problem(error: ChannelError) -> Problem {
    match error {
        ChannelError::Faults(found) => {
            let faults = found.iter().map(|found| fault(found.member, Code::FieldInvalid, &found.detail));
            Problem::of_faults(faults.collect()).unwrap_or_else(Problem::internal)
        }
        ChannelError::Exists => Problem::new(Code::ChannelExists, "there is a channel with this name"),
        ChannelError::TooMany => {
            let detail = "there are as many channels as there may be; take one away first";
            Problem::of_faults(vec![fault("name", Code::FieldInvalid, detail)])
                .unwrap_or_else(Problem::internal)
        }
        ChannelError::Configured => {
            Problem::new(Code::ChannelConfigured, "the channel stands in the configuration: change it there")
        }
        ChannelError::Ledger(error) => Problem::from(error),
    }
}
