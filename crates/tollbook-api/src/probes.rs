//! `/healthz` and `/readyz`: whether the process lives, and whether it records.

use crate::access::Caller;
use crate::problem::Problem;
use crate::shared::Shared;
use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;
use tollbook_ledger::Health;

/// The process lives: it answers.
pub async fn health() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

/// Whether calls are recorded: `ready`; `degraded` while the store fails and the journal takes what
/// the gateway lets pass; 503 and `unavailable` when nothing can be recorded. Why is told to those
/// who have a key.
pub async fn ready(
    State(shared): State<Arc<Shared>>,
    caller: Option<Extension<Caller>>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let (status, word, store, reason) = match shared.ledger.health() {
        Health::Ok => (StatusCode::OK, "ready", "ok", None),
        Health::StoreDown(reason) => (StatusCode::OK, "degraded", "down", Some(reason)),
        Health::Fatal(reason) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "down", Some(reason)),
    };
    let reason = reason.filter(|_| caller.is_some());
    let body = json!({"status": word, "store": store, "reason": reason});
    Ok((status, Json(body)))
}
