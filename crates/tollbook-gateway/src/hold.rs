//! Bodies of requests that are read before they are forwarded, within bounds.

use crate::core::{Core, Place};
use crate::inbound::{Inbound, InboundError};
use crate::refusal::{Reason, Refusal};
use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;

/// Bytes of a form that are held to read its small fields.
const FORM_BYTES: usize = 64 * 1024;

/// A whole body, and the memory that is counted for it.
pub(crate) async fn whole(mut body: Inbound, core: &Core) -> Result<(Bytes, Option<Place>), Refusal> {
    let told = body.size_hint().exact().and_then(|told| usize::try_from(told).ok());
    if told.is_some_and(|told| told > core.limits.body_bytes) {
        return Err(too_large(core));
    }
    let mut place = core.held_bytes.take(told.unwrap_or(0)).ok_or_else(no_room)?;
    let mut held = Bytes::new();
    let mut grown = BytesMut::new();
    while let Some(data) = next(&mut body).await? {
        if held.is_empty() && grown.is_empty() {
            held = data;
            continue;
        }
        if grown.is_empty() {
            // Whoever tells a length sends the bytes before memory is set aside for them.
            grown.reserve(told.unwrap_or(0).min(held.len().saturating_mul(16)).max(held.len() + data.len()));
            grown.extend_from_slice(&held);
        }
        if grown.len() + data.len() > core.limits.body_bytes {
            return Err(too_large(core));
        }
        if told.is_none() && !place.grow(data.len()) {
            return Err(no_room());
        }
        grown.extend_from_slice(&data);
    }
    let body = if grown.is_empty() { held } else { grown.freeze() };
    Ok((body, Some(place)))
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
