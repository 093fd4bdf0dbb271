//! Bodies of requests that are read before they are forwarded, within bounds.

use crate::core::{Core, Place};
use crate::inbound::{Inbound, InboundError};
use crate::refusal::{Reason, Refusal};
use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;
use std::time::Duration;

/// Bytes of a form that are held to read its small fields.
const FORM_BYTES: usize = 64 * 1024;

/// Bytes of one body for which no room is asked: so many connections cannot hold much.
const FREE_BYTES: usize = 64 * 1024;
/// How long a body that is held may take to come.
const WHOLE_BODY: Duration = Duration::from_secs(120);

/// A whole body, and the memory that is counted for it.
pub(crate) async fn whole(body: Inbound, core: &Core) -> Result<(Bytes, Option<Place>), Refusal> {
    let late = || Refusal::new(Reason::RequestTimeout, "the request's body took too long");
    tokio::time::timeout(WHOLE_BODY, hold(body, core)).await.map_err(|_| late())?
}

async fn hold(mut body: Inbound, core: &Core) -> Result<(Bytes, Option<Place>), Refusal> {
    let told = body.size_hint().exact().and_then(|told| usize::try_from(told).ok());
    if told.is_some_and(|told| told > core.limits.body_bytes) {
        return Err(too_large(core));
    }
    // Room is taken as bytes come: what is only announced takes none.
    let mut place: Option<Place> = None;
    let mut held = Bytes::new();
    let mut grown = BytesMut::new();
    while let Some(data) = next(&mut body).await? {
        let before = held.len() + grown.len();
        let total = before + data.len();
        if total > core.limits.body_bytes {
            return Err(too_large(core));
        }
        if total > FREE_BYTES {
            let has_room = match &mut place {
                Some(place) => place.grow(data.len()),
                none => {
                    *none = core.held_bytes.take(total);
                    none.is_some()
                }
            };
            if !has_room {
                return Err(no_room());
            }
        }
        if before == 0 {
            held = data;
            continue;
        }
        if grown.is_empty() {
            grown.extend_from_slice(&std::mem::take(&mut held));
        }
        grown.extend_from_slice(&data);
    }
    let body = if grown.is_empty() { held } else { grown.freeze() };
    Ok((body, place))
}

/// The beginning of a body, for its small fields.
pub(crate) async fn beginning(body: &mut Inbound) -> Result<Bytes, Refusal> {
    let mut held = BytesMut::new();
    while held.len() < FORM_BYTES
        && let Some(data) = next(body).await?
    {
        held.extend_from_slice(&data);
    }
    Ok(held.freeze())
}

async fn next(body: &mut Inbound) -> Result<Option<Bytes>, Refusal> {
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => {
                if let Ok(data) = frame.into_data()
                    && !data.is_empty()
                {
                    return Ok(Some(data));
                }
            }
            Err(error @ InboundError::Idle) => {
                return Err(Refusal::new(Reason::RequestTimeout, error.to_string()));
            }
            Err(InboundError::Cut(_)) => {
                return Err(Refusal::new(Reason::BadRequest, "the request's body was cut"));
            }
        }
    }
    Ok(None)
}

fn too_large(core: &Core) -> Refusal {
    let message = format!("a request to a model has at most {} bytes here", core.limits.body_bytes);
    Refusal::new(Reason::BodyTooLarge, message)
}

fn no_room() -> Refusal {
    Refusal::new(Reason::BodyTooLarge, "too many large requests at once; try again later")
}
