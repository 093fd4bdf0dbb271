//! `GET /api/v1/calls`, one call, and why it costs what it costs.

use crate::access::{Caller, READERS, Scope};
use crate::captured::{captured_of, may_read};
use crate::code::{self, Code};
use crate::doc::{self, Content, Doc, Tag};
use crate::etag;
use crate::params::{Params, invalid};
use crate::problem::Problem;
use crate::question;
use crate::routes::{Route, route};
use crate::shared::Shared;
use crate::wire::{self, CallView, Explanation};
use axum::extract::{Path, State};
use axum::response::Response;
use axum::{Extension, Json};
use data_encoding::BASE64URL_NOPAD;
use http::{HeaderMap, Method, Uri};
use serde::Serialize;
use std::sync::Arc;
use tollbook_store::{CallsCursor, CallsOrder, CallsQuery, Store, StoreError, StoredCall};
use tollbook_types::{CardId, Digest, RateCard};
use utoipa::ToSchema;

/// Calls on a page, unless asked for fewer or more.
const LIMIT_DEFAULT: usize = 50;
const LIMIT_MAX: usize = 1_000;
/// The first byte of a cursor: its form.
const CURSOR_FORM: u8 = 1;

/// What its routes are grouped by.
pub const TAG: Tag = Tag { name: "queries", about: "Calls, what one costs and why, sums." };

/// Its routes.
pub fn routes() -> Vec<Route> {
    let listing = etag::tagged(Doc::new(TAG, "List calls"))
        .query("from", "The first day or instant, or `7d`; all time unless said.", doc::text())
        .query("to", "The last day, or the first instant after.", doc::text())
        .query("tz", "The IANA zone of the days.", doc::text())
        .query(
            "sort",
            "Latest first, dearest first, or oldest record first.",
            doc::words(&["time", "cost", "recorded"]),
        )
        .query("limit", "Calls on a page, 50 unless said.", doc::whole(1, LIMIT_MAX as u64))
        .query("cursor", "`next_cursor` of the page before; the rest unchanged.", doc::text())
        .dimensions()
        .gives(200, "A page of calls.", [Content::json::<Page>()])
        .refuses(&[Code::ParameterInvalid, Code::CursorInvalid, Code::RangeTooLarge])
        .refuses(code::READ);
    let found = |summary| {
        Doc::new(TAG, summary)
            .path("id", "The id that the call was recorded under.")
            .query("project", "Of which project, where several have the id.", doc::text())
            .query("source", "Where it came in, where several have the id.", doc::text())
            .refuses(&[Code::ParameterInvalid, Code::NotFound, Code::AmbiguousId])
            .refuses(code::READ)
    };
    let one_call = found("Show one call in full").gives(200, "The call.", [Content::json::<CallView>()]);
    let explained = found("Explain what a call costs")
        .about("The provider's own words, meters, price, and each line as an integer product.")
        .gives(200, "The explanation.", [Content::json::<Explanation>()]);
    vec![
        route(Method::GET, "/api/v1/calls", READERS, list, listing),
        route(Method::GET, "/api/v1/calls/{id}", READERS, one, one_call),
        route(Method::GET, "/api/v1/calls/{id}/explain", READERS, explain, explained),
    ]
}

/// A page of calls.
#[derive(Serialize, ToSchema)]
#[schema(as = Calls)]
pub struct Page {
    data: Vec<CallView>,
    has_more: bool,
    /// Where the next page begins.
    next_cursor: Option<String>,
}

/// Lists calls.
pub async fn list(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let mut params = Params::of(&uri)?;
    let limit = params.limit(LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT);
    let cursor = params.take("cursor")?;
    let question = params.digest();
    let words =
        [("time", CallsOrder::Newest), ("cost", CallsOrder::Costliest), ("recorded", CallsOrder::Recorded)];
    let order = params.word("sort", &words)?.unwrap_or(CallsOrder::Newest);
    let zone = params.zone(&shared.options.zone)?.zone;
    let (from, to) = (params.take("from")?, params.take("to")?);
    let range = question::range(from.as_deref(), to.as_deref(), &zone, shared.clock.now());
    let after = cursor.map(|text| read_cursor(&text, question)).transpose()?;
    let query = CallsQuery {
        range: range.map_err(invalid)?,
        filters: params.filters(&caller.scope())?,
        order,
        after,
        limit,
    };
    let asked = ("calls", query.clone(), question);
    let ask = move |store: &dyn Store| {
        let page = store.calls(&query)?;
        Ok(serde_json::to_vec(&Page {
            data: page.calls.iter().map(CallView::of).collect(),
            has_more: page.next.is_some(),
            next_cursor: page.next.map(|next| write_cursor(next, question)),
        }))
    };
    etag::answer(&shared, &headers, &asked, ask).await
}

/// One call in full.
pub async fn one(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Json<CallView>, Problem> {
    let wanted = Wanted::of(id, &uri, caller.scope())?;
    let ledger = may_read(&caller).then(|| shared.ledger.clone());
    let view = shared.read(move |store| {
        let found = match wanted.find(store)? {
            Ok(found) => found,
            Err(problem) => return Ok(Err(problem)),
        };
        let place = ledger.as_ref().and_then(|ledger| ledger.captures());
        let captured = place.map(|place| captured_of(&**place, &found)).transpose()?.flatten();
        Ok(Ok(CallView { captured, ..CallView::of(&found) }))
    });
    Ok(Json(view.await??))
}

/// Why it costs what it costs.
pub async fn explain(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Json<Explanation>, Problem> {
    let wanted = Wanted::of(id, &uri, caller.scope())?;
    let explained = shared.read(move |store| {
        let found = match wanted.find(store)? {
            Ok(found) => found,
            Err(problem) => return Ok(Err(problem)),
        };
        wire::explain(&found, |id| card(store, id)).map(Ok)
    });
    Ok(Json(explained.await??))
}

/// A recorded rate card.
pub fn card(store: &dyn Store, id: CardId) -> Result<Option<RateCard>, StoreError> {
    let found = store.control(&format!("card/{id}"))?;
    Ok(found.and_then(|control| control.body).and_then(|body| serde_json::from_str(&body).ok()))
}

/// Which call is meant.
pub(crate) struct Wanted {
    pub id: String,
    pub project: Option<String>,
    pub source: Option<String>,
    pub scope: Scope,
}

impl Wanted {
    pub fn of(id: String, uri: &Uri, scope: Scope) -> Result<Wanted, Problem> {
        let mut params = Params::of(uri)?;
        let (project, source) = (params.take("project")?, params.take("source")?);
        if !params.is_empty() {
            return Err(invalid("the parameters here are project and source"));
        }
        Ok(Wanted { id, project, source, scope })
    }

    /// The one call that is meant and that the caller may see. One that the caller may not see is
    /// as one that is not there.
    pub fn find(&self, store: &dyn Store) -> Result<Result<StoredCall, Problem>, StoreError> {
        let mut found = store.calls_by_id(&self.id)?;
        found.retain(|call| self.is_meant(call) && self.scope.admits(&call.corrected().attribution));
        Ok(match found.len() {
            1 => Ok(found.swap_remove(0)),
            0 => Err(Problem::not_found("there is no such call")),
            _ => {
                let names = found.iter().map(|call| {
                    let project = call.corrected().attribution.project;
                    let project = project.map_or(String::new(), |project| format!(" in project {project}"));
                    format!("{}{project}", call.entry.event.source)
                });
                let names: Vec<String> = names.collect();
                let detail = format!(
                    "several calls have this id: from {}; add source= and project=",
                    names.join(", from ")
                );
                Err(Problem::new(Code::AmbiguousId, detail))
            }
        })
    }

    fn is_meant(&self, call: &StoredCall) -> bool {
        let own = call.entry.event.identity();
        let mut identities = std::iter::once(&own).chain(call.joined.iter().map(|(identity, _)| identity));
        identities.any(|identity| {
            identity.id == self.id
                && self.project.as_ref().is_none_or(|project| identity.project.as_ref() == Some(project))
                && self.source.as_ref().is_none_or(|source| identity.source == *source)
        })
    }
}

/// A cursor only goes on with the question that it came from.
fn write_cursor(next: CallsCursor, question: Digest) -> String {
    let mut bytes = vec![CURSOR_FORM];
    bytes.extend(question.short().to_be_bytes());
    bytes.extend(next.key.to_be_bytes());
    bytes.extend(next.seq.to_be_bytes());
    BASE64URL_NOPAD.encode(&bytes)
}

fn read_cursor(text: &str, question: Digest) -> Result<CallsCursor, Problem> {
    let wrong = || {
        let detail = "the cursor is not one that this question gave; leave it out to begin anew";
        Problem::new(Code::CursorInvalid, detail)
    };
    let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| wrong())?;
    let (head, rest) = bytes.split_first_chunk::<9>().ok_or_else(wrong)?;
    let (key, seq) = rest.split_first_chunk::<16>().ok_or_else(wrong)?;
    let seq: [u8; 8] = seq.try_into().map_err(|_| wrong())?;
    if head[0] != CURSOR_FORM || head[1..] != question.short().to_be_bytes() {
        return Err(wrong());
    }
    Ok(CallsCursor { key: i128::from_be_bytes(*key), seq: u64::from_be_bytes(seq) })
}
