//! `/api/v1/erasures` and `/api/v1/users/{user}/export`: taking a person out of the books, and telling
//! everything that is held on one.

use crate::access::{ADMINS, Access, Caller};
use crate::body::{self, Encoding};
use crate::code::{self, Code};
use crate::doc::{Content, Doc, Tag};
use crate::held::{Person, held_on};
use crate::object::Object;
use crate::problem::Problem;
use crate::routes::{Route, route};
use crate::shared::Shared;
use crate::stream;
use crate::wire::{ErasedView, ErasureView, NewErasureView};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::{HeaderMap, Method, StatusCode};
use serde::Serialize;
use std::sync::Arc;
use tollbook_ledger::{By, ErasureOrder};
use tollbook_types::Role;
use utoipa::ToSchema;

/// What its routes are grouped by.
const TAG: Tag = Tag { name: "privacy", about: "What is held on a person, and taking it out." };
/// The person themselves, and admins.
const THEMSELVES: Access = Access::Roles(&[Role::Member]);

/// Its routes.
pub fn routes() -> Vec<Route> {
    let listing = Doc::new(TAG, "List erasures")
        .about("Every erasure, oldest first. None has the person's name.")
        .gives(200, "All erasures.", [Content::json::<Erasures>()]);
    let erasing = Doc::new(TAG, "Erase a person")
        .about(
            "Everything of what occurred up to now stands under a pseudonym then, in every sum and call; no sum \
             changes. Keys of the person end. What comes in later of that time is erased, too; what occurs later is \
             somebody new's. It cannot be undone.",
        )
        .takes([Content::json::<NewErasureView>()])
        .gives(201, "What was done.", [Content::json::<ErasedView>()])
        .refuses(code::BODY)
        .refuses(code::JSON)
        .refuses(code::MEMBERS)
        .refuses(code::WRITE);
    let telling = Doc::new(TAG, "Export what is held on a person")
        .about(
            "Lines of JSON: who, erasures, keys without their texts, calls with their corrections and captured words, an end.",
        )
        .path("user", "The person, as `user` of their calls.")
        .gives(200, "Everything, one thing a line.", [Content::any(stream::JSON_LINES)])
        .refuses(&[Code::NotFound])
        .refuses(code::READ);
    vec![
        route(Method::GET, "/api/v1/erasures", ADMINS, list, listing),
        route(Method::POST, "/api/v1/erasures", ADMINS, erase, erasing),
        route(Method::GET, "/api/v1/users/{user}/export", THEMSELVES, export, telling),
    ]
}

/// All erasures: there are so few that they need no pages.
#[derive(Serialize, ToSchema)]
struct Erasures {
    data: Vec<ErasureView>,
    has_more: bool,
    next_cursor: Option<String>,
}

/// Lists erasures.
pub async fn list(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let data = shared.ledger.erasures().iter().map(|erasure| ErasureView::of(erasure)).collect();
    Json(Erasures { data, has_more: false, next_cursor: None })
}

/// Erases a person; the answer comes when it outlives power and a restore.
pub async fn erase(
    State(shared): State<Arc<Shared>>,
    Extension(by): Extension<By>,
    headers: HeaderMap,
    body: Body,
) -> Result<impl IntoResponse, Problem> {
    let encoding = Encoding::of(&headers)?;
    let bytes = body::read(&headers, body).await?;
    let erased =
        shared.write(move |ledger| Ok(ledger.erase(&by, &read(&body::decode(encoding, bytes)?)?)?)).await?;
    Ok((StatusCode::CREATED, Json(ErasedView::of(&erased))))
}

/// Tells everything that is held on a person, to them or an admin.
pub async fn export(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path(user): Path<String>,
) -> Result<Response, Problem> {
    let scope = caller.scope();
    if scope.user.as_ref().is_some_and(|own| *own != user) {
        return Err(Problem::not_found("there is no such user"));
    }
    let person = Person { user, project: scope.project };
    let turn = shared.stream_turn().await?;
    let (ledger, now) = (shared.ledger.clone(), shared.clock.now());
    Ok(stream::answer(turn, stream::JSON_LINES, move |sink| {
        let captures = ledger.captures().map(|place| &**place);
        held_on(ledger.store().as_ref(), captures, &person, now, |line| sink.line(line))
    }))
}

/// Reads who is to be erased; everything that is wrong is told at once.
fn read(text: &[u8]) -> Result<ErasureOrder, Problem> {
    let mut reader = Object::read(text)?;
    let (user, project, reason) = (reader.text("user"), reader.text("project"), reader.text("reason"));
    for (name, value) in [("user", &user), ("reason", &reason)] {
        if value.is_none() {
            reader.missing(name);
        }
    }
    reader.finish()?;
    Ok(ErasureOrder { user: user.unwrap_or_default(), project, reason: reason.unwrap_or_default() })
}
