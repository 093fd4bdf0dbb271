//! `/api/v1/alerts`: what was told, whom it has reached, and who has seen to it.

mod courier;
mod unusual;
mod watch;

pub use courier::Courier;
pub(crate) use courier::Sent;
pub(crate) use watch::Watch;

use crate::access::{ADMINS, Access};
use crate::code::{self, Code};
use crate::doc::{self, Content, Doc, Tag};
use crate::params::{Params, invalid};
use crate::problem::Problem;
use crate::routes::{Route, route};
use crate::shared::Shared;
use crate::summaries;
use crate::wire::AlertView;
use axum::extract::{Path, State};
use axum::{Extension, Json};
use http::{Method, Uri};
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;
use tollbook_ledger::By;
use tollbook_ledger::alerts::{Alert, AlertState};
use tollbook_notify::Message;
use tollbook_types::{Role, Timestamp};
use utoipa::ToSchema;

/// Who sees alerts: those who read all the books.
const READERS: Access = Access::Roles(&[Role::Viewer]);
/// Alerts on a page, unless asked for fewer or more.
const LIMIT_DEFAULT: usize = 50;
const LIMIT_MAX: usize = 1_000;

/// What its routes are grouped by.
const TAG: Tag = Tag { name: "alerts", about: "What was told, and whom it has reached." };

/// Its routes.
pub fn routes() -> Vec<Route> {
    let listing = Doc::new(TAG, "List alerts")
        .about("Latest first. Those that are over are kept for 90 days.")
        .query("state", "Only those that still hold, or no more.", doc::words(&["firing", "resolved"]))
        .query("rule", "Only those of this rule: `budget:ID`, a rule's kind, or `summary`.", doc::text())
        .query("limit", "Alerts on a page, 50 unless said.", doc::whole(1, LIMIT_MAX as u64))
        .query("cursor", "`next_cursor` of the page before; the rest unchanged.", doc::text())
        .gives(200, "A page of alerts.", [Content::json::<Page>()])
        .refuses(&[Code::ParameterInvalid, Code::CursorInvalid]);
    let showing = Doc::new(TAG, "Show an alert")
        .path("id", "The alert's id: `alr_…`.")
        .gives(200, "The alert as it is now.", [Content::json::<AlertView>()])
        .refuses(&[Code::NotFound]);
    let seeing = Doc::new(TAG, "Acknowledge an alert")
        .about("Notes that somebody has seen to it. The first one counts.")
        .path("id", "The alert's id: `alr_…`.")
        .gives(200, "The alert as it is now.", [Content::json::<AlertView>()])
        .refuses(&[Code::NotFound])
        .refuses(code::WRITE);
    vec![
        route(Method::GET, "/api/v1/alerts", READERS, list, listing),
        route(Method::GET, "/api/v1/alerts/{id}", READERS, show, showing),
        route(Method::POST, "/api/v1/alerts/{id}/ack", ADMINS, acknowledge, seeing),
    ]
}

/// A page of alerts.
#[derive(Serialize, ToSchema)]
#[schema(as = Alerts)]
struct Page {
    data: Vec<AlertView>,
    has_more: bool,
    /// Where the next page begins.
    next_cursor: Option<String>,
}

async fn list(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Json<Page>, Problem> {
    let mut params = Params::of(&uri)?;
    let limit = match params.take("limit")? {
        None => LIMIT_DEFAULT,
        Some(text) => match text.parse() {
            Ok(limit @ 1..=LIMIT_MAX) => limit,
            _ => return Err(invalid(format!("limit is a number from 1 to {LIMIT_MAX}"))),
        },
    };
    let state = match params.take("state")?.as_deref() {
        None => None,
        Some("firing") => Some(AlertState::Firing),
        Some("resolved") => Some(AlertState::Resolved),
        Some(_) => return Err(invalid("state is firing or resolved")),
    };
    let (rule, cursor) = (params.take("rule")?, params.take("cursor")?);
    if !params.is_empty() {
        return Err(invalid("known are state, rule, limit and cursor"));
    }
    let mut all = shared.ledger.alerts();
    all.reverse();
    let begin = match cursor {
        None => 0,
        Some(id) => {
            let place = all.iter().position(|alert| alert.id == id);
            let gone = || Problem::new(Code::CursorInvalid, "there is no such place any more; begin anew");
            place.ok_or_else(gone)? + 1
        }
    };
    let is_asked = |alert: &&Arc<Alert>| {
        state.is_none_or(|state| alert.state == state)
            && rule.as_ref().is_none_or(|rule| alert.key.rule == *rule)
    };
    let mut found = all[begin..].iter().filter(is_asked);
    let page: Vec<&Arc<Alert>> = found.by_ref().take(limit).collect();
    let has_more = found.next().is_some();
    let next_cursor = page.last().filter(|_| has_more).map(|alert| alert.id.clone());
    Ok(Json(Page {
        data: page.into_iter().map(|alert| AlertView::of(alert)).collect(),
        has_more,
        next_cursor,
    }))
}

async fn show(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Result<Json<AlertView>, Problem> {
    let alert = shared.ledger.alert(&id).ok_or_else(unknown)?;
    Ok(Json(AlertView::of(&alert)))
}

async fn acknowledge(
    State(shared): State<Arc<Shared>>,
    Extension(by): Extension<By>,
    Path(id): Path<String>,
) -> Result<Json<AlertView>, Problem> {
    let found = shared.write(move |ledger| Ok(ledger.acknowledge_alert(&by, &id)?)).await?;
    let alert = found.ok_or_else(unknown)?;
    Ok(Json(AlertView::of(&alert)))
}

fn unknown() -> Problem {
    Problem::not_found("there is no such alert")
}

/// What a channel is told of an alert.
fn message_of(alert: &Alert, tells: AlertState) -> Message {
    if let Some(report) = &alert.report {
        return summaries::message_of(alert, report);
    }
    let view = AlertView::of(alert);
    let mut data = serde_json::to_value(&view).unwrap_or_default();
    data["state"] = json!(tells.name());
    if let Some(data) = data.as_object_mut() {
        // Whom else it reaches is nobody's affair.
        data.remove("deliveries");
    }
    let (id, at, title) = match tells {
        AlertState::Firing => (alert.id.clone(), alert.at, alert.summary.clone()),
        AlertState::Resolved => {
            let at = alert.resolved_at.unwrap_or(alert.at);
            (format!("{}_resolved", alert.id), at, alert.ending_summary())
        }
    };
    let until = alert.until.map(|until| format!("\nIts period ends at {until}.")).unwrap_or_default();
    let text =
        format!("{} at {at}: {}, rule {}.{until}", tells.name(), alert.severity.name(), alert.key.rule);
    Message { id, kind: format!("alert.{}", tells.name()), at, title, text, data }
}

/// What a channel is told by way of trial.
pub(crate) fn test_message(now: Timestamp) -> Message {
    Message {
        id: format!("msg_test_{}", now.as_microsecond()),
        kind: "channel.test".to_owned(),
        at: now,
        title: "A test message from Tollbook".to_owned(),
        text: "If you read this, alerts reach you here.".to_owned(),
        data: json!({}),
    }
}
