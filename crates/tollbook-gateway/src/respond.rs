//! The way back: an answer's head, and what becomes of its body.

use crate::answer::Answer;
use crate::answering::{Answering, Keep, Step};
use crate::ask::Hider;
use crate::cache::{CacheKey, Cached};
use crate::call::{self, Outcome};
use crate::cost::{self, COST_STATUS, Comment};
use crate::heads;
use crate::pipeline::Way;
use crate::prepare::Back;
use crate::refusal::{self, Reason, Refusal};
use crate::stream::{Shape, Stream};
use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode, Version};
use std::sync::Arc;
use std::time::Duration;
use tollbook_types::{Attribution, Digest, Evidence, FreeReason, Status};
use tollbook_usage::{Api, Request as Facts};
use uuid::Uuid;

/// Longest answer that is held until its cost is known, so that its headers can tell it.
const HELD_ANSWER_BYTES: u64 = 64 * 1024;

pub(crate) const CALL_ID: HeaderName = HeaderName::from_static("x-tollbook-call-id");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// As Anthropic names it.
const PLAIN_REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const CACHE: HeaderName = HeaderName::from_static("x-tollbook-cache");
const REMAINING: HeaderName = HeaderName::from_static("x-tollbook-budget-remaining-usd");
/// The model that a budget had the call go to, instead of the one that it asked for.
const MODEL: HeaderName = HeaderName::from_static("x-tollbook-model");
/// The tokens out that a budget had the call cut to.
const MAX_TOKENS: HeaderName = HeaderName::from_static("x-tollbook-max-tokens");
const LITELLM_CALL_ID: HeaderName = HeaderName::from_static("x-litellm-call-id");
const LITELLM_MODEL_ID: HeaderName = HeaderName::from_static("x-litellm-model-id");

impl Way<'_> {
    /// The answer as it goes to the caller.
    pub async fn respond(
        &self,
        response: Response<()>,
        mut answering: Answering,
        back: Back,
    ) -> Result<Response<Answer>, Refusal> {
        let (mut parts, ()) = response.into_parts();
        parts.version = Version::HTTP_11;
        let headers = &mut parts.headers;
        heads::backward(headers);
        if let Some(key) = back.cache_key {
            self.keep(key, parts.status, headers, &mut answering);
            headers.insert(CACHE, HeaderValue::from_static("miss"));
        }
        let content_type = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let is_stream = content_type.is_some_and(call::is_stream);
        let is_events = content_type.is_some_and(|kind| kind.starts_with("text/event-stream"));
        let is_coded = headers.contains_key(header::CONTENT_ENCODING);
        let is_call = answering.is_call();
        self.head(headers, &back);
        let is_small = answering.left().is_some_and(|left| left <= HELD_ANSWER_BYTES);
        if is_call && is_small && !is_stream {
            let compat = self.plane.core.compat;
            let tells_usage = compat.usage_cost && !is_coded && answering.api().is_some_and(is_openai_shaped);
            let (mut body, outcome) = collect(&mut answering).await?;
            if let Some(outcome) = outcome {
                cost::tell(headers, &outcome, compat);
                if tells_usage && let Some(telling) = cost::in_usage(&body, &outcome) {
                    headers.remove(header::CONTENT_LENGTH);
                    body = Bytes::from(telling);
                }
            }
            return Ok(Response::from_parts(parts, Answer::whole(body)));
        }
        if is_call {
            headers.insert(COST_STATUS, HeaderValue::from_static("pending"));
        }
        let shape = self.shape(is_events, is_coded, &back);
        if !shape.is_plain() {
            headers.remove(header::CONTENT_LENGTH);
        }
        Ok(Response::from_parts(parts, Answer::stream(Stream::new(answering, shape))))
    }

    fn shape(&self, is_events: bool, is_coded: bool, back: &Back) -> Shape {
        if !is_events {
            return Shape::default();
        }
        let comment = || Comment::new(self.id.to_string());
        Shape {
            errors: Some(self.errors),
            hider: (back.hides_usage && !is_coded).then(Hider::new),
            comment: (back.includes_cost && !is_coded).then(comment),
        }
    }

    /// Headers that every answer carries.
    fn head(&self, headers: &mut HeaderMap, back: &Back) {
        let mut text = Uuid::encode_buffer();
        let id = self.id.hyphenated().encode_lower(&mut text);
        let Ok(id) = HeaderValue::from_str(id) else { return };
        if !headers.contains_key(&REQUEST_ID) && !headers.contains_key(&PLAIN_REQUEST_ID) {
            let is_plain = self.errors == refusal::ErrorShape::Anthropic;
            headers.insert(if is_plain { PLAIN_REQUEST_ID } else { REQUEST_ID }, id.clone());
        }
        if self.plane.core.compat.litellm {
            headers.insert(LITELLM_CALL_ID, id.clone());
            if let Ok(name) = HeaderValue::from_str(&self.route.upstream.name) {
                headers.insert(LITELLM_MODEL_ID, name);
            }
        }
        headers.insert(CALL_ID, id);
        let left = back.admitted.remaining_usd.map(|left| left.to_string());
        if let Some(left) = left.and_then(|left| HeaderValue::try_from(left).ok()) {
            headers.insert(REMAINING, left);
        }
        let model = back.admitted.model.as_deref().map(HeaderValue::try_from);
        if let Some(Ok(model)) = model {
            headers.insert(MODEL, model);
        }
        if let Some(most) = back.admitted.max_tokens {
            headers.insert(MAX_TOKENS, HeaderValue::from(most));
        }
    }

    /// Keeps the answer for whoever asks the very same, once it is whole.
    fn keep(&self, key: CacheKey, status: StatusCode, headers: &HeaderMap, answering: &mut Answering) {
        let ttl = self.route.upstream.cache_ttl_s.map(u64::from);
        if let (StatusCode::OK, Some(ttl)) = (status, ttl)
            && let Ok(expires_at) = self.at.checked_add(Duration::from_secs(ttl))
        {
            let mut headers = headers.clone();
            let own: Vec<HeaderName> =
                headers.keys().filter(|name| is_of_one_answer(name)).cloned().collect();
            for name in &own {
                headers.remove(name);
            }
            answering.keep(Keep { key, headers, body: BytesMut::new(), expires_at });
        }
    }

    /// The answer to the very same request, if there is one.
    pub fn cached(&self, key: &CacheKey) -> Option<Arc<Cached>> {
        let core = &self.plane.core;
        let found = core.cache.as_ref()?.get(key, self.at);
        let counted = if found.is_some() { &core.counters.cache_hits } else { &core.counters.cache_misses };
        counted.add(1);
        found
    }

    /// Answers from the cache and records that nothing was spent.
    pub fn answer_from_cache(
        &self,
        cached: &Cached,
        facts: &Facts,
        attribution: Attribution,
        hides_usage: bool,
    ) -> Response<Answer> {
        let mut event = facts.blank_event();
        event.id = self.id.to_string();
        call::SOURCE.clone_into(&mut event.source);
        event.occurred_at = self.at;
        event.provider.clone_from(&self.route.upstream.provider);
        event.request_model = facts.model.clone().filter(|asked| *asked != cached.model);
        event.model.clone_from(&cached.model);
        event.status = Status::Ok;
        event.http_status = Some(StatusCode::OK.as_u16());
        event.evidence = Evidence::ProviderUsage;
        event.free = Some(FreeReason::CacheHit);
        event.cache_hit = Some(cached.hit.clone());
        event.attribution = attribution;
        event.latency_ms = u64::try_from(self.started.elapsed().as_millis()).ok();
        event.content = Digest(self.id.into_bytes());
        let outcome = call::record(self.plane, event);
        let mut body = cached.body.clone();
        let is_coded = cached.headers.contains_key(header::CONTENT_ENCODING);
        let mut response = Response::new(());
        let headers = response.headers_mut();
        headers.clone_from(&cached.headers);
        if hides_usage && !is_coded {
            let (mut hider, mut pieces) = (Hider::new(), Vec::new());
            hider.push(body, &mut pieces);
            hider.finish(&mut pieces);
            body = Bytes::from(pieces.concat());
            headers.remove(header::CONTENT_LENGTH);
        }
        self.head(headers, &Back::default());
        headers.insert(CACHE, HeaderValue::from_static("hit"));
        if let Some(outcome) = outcome {
            cost::tell(headers, &outcome, self.plane.core.compat);
        }
        response.map(|()| Answer::whole(body))
    }
}

/// Headers that belong to one answer and to whoever got it.
fn is_of_one_answer(name: &HeaderName) -> bool {
    let name = name.as_str();
    matches!(name, "set-cookie" | "date" | "age" | "alt-svc" | "cf-ray")
        || name.ends_with("request-id")
        || name.ends_with("requestid")
        || name.contains("ratelimit")
}

/// Whether answers there have OpenAI's usage object at their top.
const fn is_openai_shaped(api: Api) -> bool {
    matches!(api, Api::Chat | Api::Completions | Api::Responses | Api::Embeddings)
}

/// Holds a whole answer.
async fn collect(answering: &mut Answering) -> Result<(Bytes, Option<Outcome>), Refusal> {
    let mut held = Bytes::new();
    let mut grown = BytesMut::new();
    loop {
        match answering.next().await {
            Step::Data(data) if held.is_empty() && grown.is_empty() => held = data,
            Step::Data(data) => {
                if grown.is_empty() {
                    grown.extend_from_slice(&held);
                }
                grown.extend_from_slice(&data);
            }
            Step::Trailers(_) => {}
            Step::End(outcome) => {
                let body = if grown.is_empty() { held } else { grown.freeze() };
                return Ok((body, outcome));
            }
            Step::Failed { is_late: true, why } => return Err(Refusal::new(Reason::UpstreamTimeout, why)),
            Step::Failed { is_late: false, .. } => {
                let message = "the provider broke off in the middle of its answer";
                return Err(Refusal::new(Reason::UpstreamUnavailable, message));
            }
        }
    }
}
