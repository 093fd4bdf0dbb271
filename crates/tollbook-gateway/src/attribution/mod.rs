//! On whose account a call goes: what its key is bound to, and what its headers and body say, in
//! Tollbook's own words and in those of other gateways, SDKs and agents.
//!
//! Nothing here fails a call: what is too long is cut, what makes no sense is passed over. Bodies
//! pass byte for byte; members that only another gateway would understand (`litellm_metadata`,
//! `tags` in `metadata`) are read and left in place, for the provider to judge.

mod body;
mod draft;
mod headers;

pub use headers::is_gateway_header;

use draft::Draft;
use http::HeaderMap;
use tollbook_types::{Attribution, Key};
use tollbook_usage::Request;

/// The attribution of a call: the key's binding, then Tollbook's headers, those of other gateways,
/// the body, `baggage`, and the client's name. What is stronger is never replaced.
pub fn attribution(key: &Key, headers: &HeaderMap, body: Option<&[u8]>, request: &Request) -> Attribution {
    let mut draft = Draft::default();
    headers::read(&mut draft, headers);
    if let Some(body) = body {
        body::read(&mut draft, body, &request.provider);
    }
    draft.finish(key)
}

#[cfg(test)]
mod tests;
