//! `/api/v1/members`: people who sign in, and their one-time links.

use crate::access::{ADMINS, Caller};
use crate::body::{self, Encoding};
use crate::code::{self, Code};
use crate::doc::{Content, Doc, Tag};
use crate::idempotency::{self, Asked, Outcome};
use crate::object::Object;
use crate::problem::Problem;
use crate::routes::{Route, route};
use crate::shared::Shared;
use crate::wire::{LinkView, MemberView, NewMemberView};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::{HeaderMap, Method, StatusCode, header};
use serde::Serialize;
use std::sync::Arc;
use tollbook_ledger::{By, MemberChange, NewMember};
use tollbook_types::{Member, Role};
use utoipa::ToSchema;

/// Who may sign in is for admins, a link for one person; neither is for caches.
const NO_STORE: [(header::HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];

/// What its routes are grouped by.
pub const TAG: Tag = Tag { name: "members", about: "People who sign in, and their sessions." };

/// Its routes.
pub fn routes() -> Vec<Route> {
    let id = "The member's id: `mem_…`.";
    let listing = Doc::new(TAG, "List members").about("Everybody who was not removed, oldest first.").gives(
        200,
        "All members.",
        [Content::json::<Members>()],
    );
    let adding = Doc::new(TAG, "Add a member")
        .about("They sign in by a one-time link, made for them afterwards.")
        .takes([Content::json::<NewMemberView>()])
        .once()
        .gives(201, "The member.", [Content::json::<MemberView>()])
        .refuses(code::BODY)
        .refuses(code::JSON)
        .refuses(code::MEMBERS)
        .refuses(code::WRITE);
    let changing = Doc::new(TAG, "Change a member")
        .about("What they may do changes at once, also where they are signed in.")
        .path("id", id)
        .takes([Content::json::<NewMemberView>()])
        .gives(200, "The member as they are now.", [Content::json::<MemberView>()])
        .refuses(&[Code::NotFound])
        .refuses(code::BODY)
        .refuses(code::JSON)
        .refuses(code::MEMBERS)
        .refuses(code::WRITE);
    let removing = Doc::new(TAG, "Remove a member")
        .about("On return their sessions and their link have ended.")
        .path("id", id)
        .gives(204, "They are removed.", [])
        .refuses(&[Code::NotFound])
        .refuses(code::WRITE);
    let linking = Doc::new(TAG, "Make a sign-in link")
        .about("Good once, for fifteen minutes; one that was made before is of no use any more.")
        .path("id", id)
        .gives(201, "The link, in this answer and in no other.", [Content::json::<LinkView>()])
        .refuses(&[Code::NotFound])
        .refuses(code::WRITE);
    vec![
        route(Method::GET, "/api/v1/members", ADMINS, list, listing),
        route(Method::POST, "/api/v1/members", ADMINS, add, adding),
        route(Method::PATCH, "/api/v1/members/{id}", ADMINS, change, changing),
        route(Method::DELETE, "/api/v1/members/{id}", ADMINS, remove, removing),
        route(Method::POST, "/api/v1/members/{id}/link", ADMINS, link, linking),
    ]
}

/// All members.
#[derive(Serialize, ToSchema)]
struct Members {
    data: Vec<MemberView>,
    has_more: bool,
    next_cursor: Option<String>,
}

fn unknown() -> Problem {
    Problem::not_found("there is no such member")
}

async fn list(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let data = shared.ledger.members().iter().map(|member| MemberView::of(member)).collect();
    (NO_STORE, Json(Members { data, has_more: false, next_cursor: None }))
}

async fn add(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Extension(by): Extension<By>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let encoding = Encoding::of(&headers)?;
    let bytes = body::read(&headers, body).await?;
    let asked = Asked::of(&headers, &caller, "POST /api/v1/members", &bytes)?;
    let added = shared.write_once(asked, move |ledger| {
        let change = read(&body::decode(encoding, bytes)?, true)?;
        let new = NewMember {
            name: change.name.unwrap_or_default(),
            role: change.role.unwrap_or(Role::Member),
            user: change.user.flatten(),
            project: change.project.flatten(),
        };
        let member = ledger.add_member(&by, new)?;
        let id = member.id.clone();
        Ok((member, id))
    });
    match added.await? {
        Outcome::Done(member) => {
            Ok((StatusCode::CREATED, NO_STORE, Json(MemberView::of(&member))).into_response())
        }
        Outcome::Before(id) => {
            let members = shared.ledger.members();
            let member = members.iter().find(|member| member.id == id).ok_or_else(unknown)?;
            let view = Json(MemberView::of(member));
            Ok((StatusCode::CREATED, NO_STORE, [idempotency::REPLAYED], view).into_response())
        }
    }
}

async fn change(
    State(shared): State<Arc<Shared>>,
    Extension(by): Extension<By>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<impl IntoResponse, Problem> {
    let encoding = Encoding::of(&headers)?;
    let bytes = body::read(&headers, body).await?;
    let changed = shared.write(move |ledger| {
        let change = read(&body::decode(encoding, bytes)?, false)?;
        Ok(ledger.change_member(&by, &id, change)?)
    });
    let member = changed.await?.ok_or_else(unknown)?;
    Ok((NO_STORE, Json(MemberView::of(&member))))
}

async fn remove(
    State(shared): State<Arc<Shared>>,
    Extension(by): Extension<By>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let removed = shared.write(move |ledger| Ok(ledger.remove_member(&by, &id)?)).await?;
    removed.map(|_| StatusCode::NO_CONTENT).ok_or_else(unknown)
}

async fn link(
    State(shared): State<Arc<Shared>>,
    Extension(by): Extension<By>,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let made = shared.write(move |ledger| Ok(ledger.link_member(&by, &id)?)).await?;
    let (text, expires_at) = made.ok_or_else(unknown)?;
    Ok((StatusCode::CREATED, NO_STORE, Json(LinkView::of(text, expires_at))))
}

/// Reads what a member is to be; everything that is wrong is told at once.
fn read(text: &[u8], is_new: bool) -> Result<MemberChange, Problem> {
    let mut reader = Object::read(text)?;
    let name = reader.text("name");
    let told_role = reader.text("role");
    let role = told_role.as_deref().and_then(Role::from_name).filter(|role| Member::ROLES.contains(role));
    if told_role.is_some() && role.is_none() {
        reader.fault("role", Code::FieldInvalid, "is admin, viewer or member");
    }
    let user = reader.has("user").then(|| reader.text("user"));
    let project = reader.has("project").then(|| reader.text("project"));
    for (member, is_there) in [("name", name.is_some()), ("role", told_role.is_some())] {
        if is_new && !is_there {
            reader.missing(member);
        }
    }
    reader.finish()?;
    Ok(MemberChange { name, role, user, project })
}
