//! `/healthz` and `/readyz`: whether the process lives, and whether it records.

use crate::access::{Access, Caller};
use crate::routes::{Route, route};
use crate::shared::Shared;
use axum::extract::State;
use axum::{Extension, Json};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;
use tollbook_ledger::Health;

/// Its routes.
pub fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/healthz", Access::Anyone, health),
        route(Method::GET, "/readyz", Access::Anyone, ready),
    ]
}

/// The process lives: it answers.
pub async fn health() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

/// Whether calls are recorded. `ready`: all is well. `degraded`: the store fails, and the journal
/// takes what the gateway lets pass (200), or calls pass without a record (503). `unavailable`: the
/// process is about to end (503). What the store says of its failure is told to those with a key.
pub async fn ready(
    State(shared): State<Arc<Shared>>,
    caller: Option<Extension<Caller>>,
) -> (StatusCode, Json<Value>) {
    let now = shared.ledger.status();
    let records = now.has_room() && now.unrecorded_pending == 0;
    let (word, store, reason) = match &now.health {
        Health::Ok if records => ("ready", "ok", None),
        Health::Ok => ("degraded", "ok", None),
        Health::StoreDown(reason) => ("degraded", "down", Some(reason)),
        Health::Fatal(reason) => ("unavailable", "down", Some(reason)),
    };
    let records = records && word != "unavailable";
    let status = if records { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "status": word,
        "records": records,
        "reason": reason.filter(|_| caller.is_some()),
        "store": {
            "state": store,
            "applied": now.applied,
            "behind": now.lag(),
            "last_applied_at": now.last_applied_at,
        },
        "journal": {
            "recorded": now.recorded,
            "durable": now.durable,
            "room_bytes": now.room_bytes,
            "has_spare": now.has_spare,
        },
        "unrecorded": {"calls": now.unrecorded_calls, "in_no_gap_yet": now.unrecorded_pending},
    });
    (status, Json(body))
}
