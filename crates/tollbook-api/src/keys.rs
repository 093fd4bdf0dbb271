//! `/api/v1/keys`: making keys, listing them, ending them.

use crate::access::{ADMINS, Caller};
use crate::body::{self, Encoding};
use crate::code::{self, Code};
use crate::doc::{Content, Doc, Tag};
use crate::idempotency::{self, Asked, Outcome};
use crate::object::Object;
use crate::problem::Problem;
use crate::question;
use crate::routes::{Route, route};
use crate::shared::Shared;
use crate::wire::{KeyView, NewKeyView};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::{HeaderMap, Method, StatusCode, header};
use serde::Serialize;
use std::sync::Arc;
use tollbook_ledger::{By, NewKey};
use tollbook_types::{Attribution, Key, Timestamp};
use utoipa::ToSchema;

/// A key's text is for its owner, not for caches.
const NO_STORE: [(header::HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];

/// What its routes are grouped by.
const TAG: Tag = Tag { name: "keys", about: "Who may use the gateway and the API." };

/// Its routes.
pub fn routes() -> Vec<Route> {
    let id = "The key's id: `key_…`, not its text.";
    let listing = Doc::new(TAG, "List keys")
        .about("Every key, also those that are of no use any more, oldest first.")
        .gives(200, "All keys, without their texts.", [Content::json::<Keys>()]);
    let making = Doc::new(TAG, "Make a key")
        .about("The key's text is in this answer and in no other: only a digest of it is kept.")
        .takes([Content::json::<NewKeyView>()])
        .once()
        .gives(201, "The key, with its text.", [Content::json::<KeyView>()])
        .refuses(code::BODY)
        .refuses(code::JSON)
        .refuses(code::MEMBERS)
        .refuses(code::WRITE);
    let ending = Doc::new(TAG, "End a key")
        .about("On return it opens nothing any more. Ending one that has ended changes nothing.")
        .path("id", id)
        .gives(204, "It has ended.", [])
        .refuses(&[Code::NotFound])
        .refuses(code::WRITE);
    let rotating = Doc::new(TAG, "Give a key another text")
        .about("The old text is of no use from then on. A key that has ended stays so.")
        .path("id", id)
        .once()
        .gives(200, "The key, with its new text.", [Content::json::<KeyView>()])
        .refuses(&[Code::NotFound])
        .refuses(code::WRITE);
    vec![
        route(Method::GET, "/api/v1/keys", ADMINS, list, listing),
        route(Method::POST, "/api/v1/keys", ADMINS, create, making),
        route(Method::DELETE, "/api/v1/keys/{id}", ADMINS, revoke, ending),
        route(Method::POST, "/api/v1/keys/{id}/rotate", ADMINS, rotate, rotating),
    ]
}

/// All keys: there are so few that they need no pages.
#[derive(Serialize, ToSchema)]
struct Keys {
    data: Vec<KeyView>,
    has_more: bool,
    next_cursor: Option<String>,
}

/// Makes a key; its text is in this answer and in no other.
pub async fn create(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Extension(by): Extension<By>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let encoding = Encoding::of(&headers)?;
    let bytes = body::read(&headers, body).await?;
    let asked = Asked::of(&headers, &caller, "POST /api/v1/keys", &bytes)?;
    let now = shared.clock.now();
    let outcome = shared
        .write_once(asked, move |ledger| {
            let new = read(&body::decode(encoding, bytes)?, now)?;
            let (key, text) = ledger.create_key(&by, new)?;
            let id = key.id.clone();
            Ok(((key, text), id))
        })
        .await?;
    shown_once(&shared, outcome, StatusCode::CREATED)
}

/// A key with its new text, or, where the command was done before, as it is now.
fn shown_once(
    shared: &Shared,
    outcome: Outcome<(Key, String)>,
    status: StatusCode,
) -> Result<Response, Problem> {
    match outcome {
        Outcome::Done((key, text)) => {
            Ok((status, NO_STORE, Json(KeyView::shown_once(&key, text))).into_response())
        }
        Outcome::Before(id) => {
            let keys = shared.ledger.keys();
            let key = keys.get(&id).ok_or_else(|| Problem::not_found("there is no such key any more"))?;
            Ok((status, NO_STORE, [idempotency::REPLAYED], Json(KeyView::of(key))).into_response())
        }
    }
}

/// Every key, also those that are of no use any more.
pub async fn list(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let keys = shared.ledger.keys();
    let data: Vec<KeyView> = keys.list().map(|key| KeyView::of(key)).collect();
    (NO_STORE, Json(Keys { data, has_more: false, next_cursor: None }))
}

/// Ends a key: on return it opens nothing any more.
pub async fn revoke(
    State(shared): State<Arc<Shared>>,
    Extension(by): Extension<By>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let found = shared.write(move |ledger| Ok(ledger.revoke_key(&by, &id)?)).await?;
    found.map(|_| StatusCode::NO_CONTENT).ok_or_else(|| Problem::not_found("there is no such key"))
}

/// Gives a key another text.
pub async fn rotate(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Extension(by): Extension<By>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let asked = Asked::of(&headers, &caller, &format!("POST /api/v1/keys/{id}/rotate"), b"")?;
    let outcome = shared
        .write_once(asked, move |ledger| {
            let none = || Problem::not_found("there is no such key, or it was revoked");
            Ok((ledger.rotate_key(&by, &id)?.ok_or_else(none)?, id))
        })
        .await?;
    shown_once(&shared, outcome, StatusCode::OK)
}

/// Reads what key is asked for; everything that is wrong is told at once.
fn read(text: &[u8], now: Timestamp) -> Result<NewKey, Problem> {
    let mut reader = Object::read(text)?;
    let name = reader.text("name");
    let told_roles = reader.text("role");
    let mut binding = Attribution {
        project: reader.text("project"),
        customer: reader.text("customer"),
        user: reader.text("user"),
        agent: reader.text("agent"),
        agent_name: reader.text("agent_name"),
        operation: reader.text("operation"),
        operation_id: reader.text("operation_id"),
        session: reader.text("session"),
        ..Attribution::default()
    };
    binding.tags = reader.texts("tags");
    let expires_at = reader.instant("expires_at", now);
    let roles = match told_roles.as_deref().map(question::roles) {
        Some(Ok(roles)) => roles,
        Some(Err(detail)) => {
            reader.fault("role", Code::FieldInvalid, &detail);
            Vec::new()
        }
        None => {
            reader.missing("role");
            Vec::new()
        }
    };
    let name = name.unwrap_or_else(|| {
        reader.missing("name");
        String::new()
    });
    reader.finish()?;
    Ok(NewKey { name, roles, binding, expires_at })
}
