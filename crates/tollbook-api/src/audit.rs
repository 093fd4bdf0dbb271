//! `GET /api/v1/audit`: who did what, latest first.

use crate::access::ADMINS;
use crate::code::{self, Code};
use crate::doc::{self, Content, Doc, Tag};
use crate::params::{Params, invalid};
use crate::problem::Problem;
use crate::question;
use crate::routes::{Route, route};
use crate::shared::Shared;
use crate::wire::AuditView;
use axum::Json;
use axum::extract::State;
use http::{Method, Uri};
use serde::Serialize;
use std::sync::Arc;
use tollbook_ledger::{AuditQuery, audit_page};
use utoipa::ToSchema;

/// Records on a page, unless asked for fewer or more.
const LIMIT_DEFAULT: usize = 50;
const LIMIT_MAX: usize = 1_000;
/// No id of a record is longer.
const CURSOR_BYTES_MAX: usize = 64;

/// What its routes are grouped by.
const TAG: Tag = Tag { name: "audit", about: "Who did what." };

/// Its routes.
pub fn routes() -> Vec<Route> {
    let listing = Doc::new(TAG, "List acts")
        .about("What was changed or taken out, by whom, on what, when and from where; latest first.")
        .query("from", "The first day or instant, or `7d`; all time unless said.", doc::text())
        .query("to", "The last day, or the first instant after.", doc::text())
        .query("tz", "The IANA zone of the days.", doc::text())
        .query("actor", "An id, or `key`, `member`, `local`.", doc::text())
        .query("limit", "Records on a page, 50 unless said.", doc::whole(1, LIMIT_MAX as u64))
        .query("cursor", "`next_cursor` of the page before; the rest unchanged.", doc::text())
        .gives(200, "A page of records.", [Content::json::<Page>()])
        .refuses(&[Code::ParameterInvalid, Code::CursorInvalid])
        .refuses(code::READ);
    vec![route(Method::GET, "/api/v1/audit", ADMINS, list, listing)]
}

/// A page of the audit log.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditLog)]
struct Page {
    data: Vec<AuditView>,
    has_more: bool,
    /// Where the next page begins.
    next_cursor: Option<String>,
}

/// Lists acts.
async fn list(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Json<Page>, Problem> {
    let mut params = Params::of(&uri)?;
    let limit = match params.take("limit")? {
        None => LIMIT_DEFAULT,
        Some(text) => match text.parse() {
            Ok(limit @ 1..=LIMIT_MAX) => limit,
            _ => return Err(invalid(format!("limit is a number from 1 to {LIMIT_MAX}"))),
        },
    };
    let before = params.take("cursor")?;
    if before.as_ref().is_some_and(|id| !id.starts_with("aud_") || id.len() > CURSOR_BYTES_MAX) {
        return Err(Problem::new(Code::CursorInvalid, "the cursor is of another question; leave it out"));
    }
    let actor = params.take("actor")?;
    let zone = params.zone(&shared.options.zone)?.zone;
    let (from, to) = (params.take("from")?, params.take("to")?);
    let range = question::range(from.as_deref(), to.as_deref(), &zone, shared.clock.now());
    if !params.is_empty() {
        return Err(invalid("known are from, to, tz, actor, limit and cursor"));
    }
    let query = AuditQuery { range: range.map_err(invalid)?, actor, before, limit };
    let page = shared.read(move |store| Ok(audit_page(store, &query))).await??;
    Ok(Json(Page {
        data: page.records.into_iter().map(AuditView::of).collect(),
        has_more: page.next.is_some(),
        next_cursor: page.next,
    }))
}
