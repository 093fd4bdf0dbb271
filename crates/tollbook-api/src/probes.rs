//! `/healthz` and `/readyz`: whether the process lives, and whether it records.

use crate::access::{Access, Caller};
use crate::doc::{Content, Doc, Tag};
use crate::routes::{Route, route};
use crate::shared::Shared;
use crate::wire::schema;
use axum::extract::State;
use axum::{Extension, Json};
use http::{Method, StatusCode};
use serde::Serialize;
use std::sync::Arc;
use tollbook_ledger::Health;
use tollbook_types::Timestamp;
use utoipa::ToSchema;

/// What its routes are grouped by.
pub const TAG: Tag = Tag { name: "probes", about: "Whether it lives, whether it records, and its figures." };

/// Its routes.
pub fn routes() -> Vec<Route> {
    let living =
        Doc::new(TAG, "Whether the process lives").gives(200, "It lives.", [Content::json::<Living>()]);
    let recording = Doc::new(TAG, "Whether calls are recorded")
        .about("What the store says of its failure, `reason`, is told to those with a key.")
        .gives(200, "Calls are recorded; `degraded` while the store fails.", [Content::json::<Readiness>()])
        .gives(
            503,
            "Calls pass without a record, or the process is about to end.",
            [Content::json::<Readiness>()],
        );
    vec![
        route(Method::GET, "/healthz", Access::Anyone, health, living),
        route(Method::GET, "/readyz", Access::Anyone, ready, recording),
    ]
}

/// A living process.
#[derive(Serialize, ToSchema)]
pub struct Living {
    /// `ok`
    status: &'static str,
}

/// Whether calls are recorded.
#[derive(Serialize, ToSchema)]
pub struct Readiness {
    /// `ready`, `degraded` or `unavailable`.
    status: &'static str,
    /// Whether calls are recorded.
    records: bool,
    /// What the store says of its failure.
    reason: Option<String>,
    store: StoreState,
    journal: JournalState,
    unrecorded: Unrecorded,
}

/// How the store is.
#[derive(Serialize, ToSchema)]
struct StoreState {
    /// `ok` or `down`.
    state: &'static str,
    /// The last record in it.
    applied: u64,
    /// Records that it does not have yet.
    behind: u64,
    /// When something last came into it.
    #[schema(value_type = Option<schema::Instant>)]
    last_applied_at: Option<Timestamp>,
}

/// How the journal is.
#[derive(Serialize, ToSchema)]
struct JournalState {
    /// The last record in it.
    recorded: u64,
    /// The last record that is surely fsynced.
    durable: u64,
    /// Room in the open segment.
    room_bytes: u64,
    /// Whether a further segment is preallocated.
    has_spare: bool,
}

/// Calls that passed without a record.
#[derive(Serialize, ToSchema)]
struct Unrecorded {
    calls: u64,
    /// Those that the journal does not count yet.
    in_no_gap_yet: u64,
}

/// The process lives: it answers.
pub async fn health() -> Json<Living> {
    Json(Living { status: "ok" })
}

/// Whether calls are recorded. `ready`: all is well. `degraded`: the store fails, and the journal
/// takes what the gateway lets pass (200), or calls pass without a record (503). `unavailable`: the
/// process is about to end (503). What the store says of its failure is told to those with a key.
pub async fn ready(
    State(shared): State<Arc<Shared>>,
    caller: Option<Extension<Caller>>,
) -> (StatusCode, Json<Readiness>) {
    let now = shared.ledger.status();
    let records = now.has_room() && now.unrecorded_pending == 0;
    let (word, store, reason) = match &now.health {
        Health::Ok if records => ("ready", "ok", None),
        Health::Ok => ("degraded", "ok", None),
        Health::StoreDown(fault) => ("degraded", "down", Some(&fault.reason)),
        Health::Fatal(reason) => ("unavailable", "down", Some(reason)),
    };
    let records = records && word != "unavailable";
    let status = if records { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = Readiness {
        status: word,
        records,
        reason: reason.filter(|_| caller.is_some()).cloned(),
        store: StoreState {
            state: store,
            applied: now.applied,
            behind: now.lag(),
            last_applied_at: now.last_applied_at,
        },
        journal: JournalState {
            recorded: now.recorded,
            durable: now.durable,
            room_bytes: now.room_bytes,
            has_spare: now.has_spare,
        },
        unrecorded: Unrecorded { calls: now.unrecorded_calls, in_no_gap_yet: now.unrecorded_pending },
    };
    (status, Json(body))
}
