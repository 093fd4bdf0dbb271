//! Answers that are not made again while nothing changed: strong entity tags from what was asked and
//! the version of the books, so that a question about the same costs no query (RFC 9110, §8.8.3 and
//! §13.1.2). It must never know what is asked.

use crate::doc::Doc;
use crate::problem::Problem;
use crate::shared::Shared;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};
use std::fmt::Debug;
use tollbook_store::{Store, StoreError};
use tollbook_types::Digest;

/// Kept by nobody but the caller, and asked for anew each time.
const CACHING: HeaderValue = HeaderValue::from_static("private, no-cache");

/// What a route with tags says of itself.
pub fn tagged(doc: Doc) -> Doc {
    doc.header("if-none-match", "The `etag` of an answer at hand: 304 while it is still that one.").gives(
        304,
        "Still the answer that has this `etag`.",
        [],
    )
}

/// Answers a question about the books with JSON, or tells that the caller's answer still holds. What
/// the answer follows from, beside the books, is all in `asked`.
pub async fn answer(
    shared: &Shared,
    headers: &HeaderMap,
    asked: &impl Debug,
    ask: impl FnOnce(&dyn Store) -> Result<serde_json::Result<Vec<u8>>, StoreError> + Send + 'static,
) -> Result<Response, Problem> {
    let before = shared.ledger.store().version();
    let tag = before.and_then(|version| tag(shared, version, asked));
    if let Some(tag) = tag.clone().filter(|tag| is_at_hand(headers, tag)) {
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, tag), (CACHE_CONTROL, CACHING)]).into_response());
    }
    let text = shared.read(ask).await?.map_err(|error| {
        tracing::error!("an answer could not be written: {error}");
        Problem::internal()
    })?;
    let headers = [(CONTENT_TYPE, HeaderValue::from_static("application/json")), (CACHE_CONTROL, CACHING)];
    let mut response = (headers, text).into_response();
    // What was written meanwhile may be in the answer, or not: it has no name.
    if let Some(tag) = tag.filter(|_| shared.ledger.store().version() == before) {
        response.headers_mut().insert(ETAG, tag);
    }
    Ok(response)
}

fn tag(shared: &Shared, version: u64, asked: &impl Debug) -> Option<HeaderValue> {
    let digest = Digest::of(format!("{} {version} {asked:?}", shared.run).as_bytes());
    HeaderValue::try_from(format!("\"{digest}\"")).ok()
}

/// Whether the caller says that it has the answer with this tag.
pub fn is_at_hand(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let told = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    told.flat_map(|value| value.split(',')).map(str::trim).any(|told| {
        // A proxy that compresses makes tags weak; for this question that is no difference.
        told == "*" || told.strip_prefix("W/").unwrap_or(told).as_bytes() == tag.as_bytes()
    })
}
