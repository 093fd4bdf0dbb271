//! The way of a request: whom it is for, whether it may go, out, and back.

use crate::admission::{Admitted, Ask};
use crate::answer::{Answer, Stream};
use crate::attribution::attribution;
use crate::call::{self, Call, Outcome, Plan};
use crate::core::{Phase, Place, Plane, Route};
use crate::exchange::{self, Answering, Step};
use crate::guard::Watched;
use crate::heads::{self, ContentType, Head};
use crate::hold;
use crate::inbound::Inbound;
use crate::multipart;
use crate::options::Compat;
use crate::outbound::Outbound;
use crate::path;
use crate::refusal::{self, Reason, Refusal};
use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, Version};
use hyper::body::Incoming;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;
use tollbook_types::{Key, Role, Timestamp};
use tollbook_usage::{Api, Request as Facts};
use uuid::Uuid;

/// Longest answer that is held until its cost is known, so that its headers can tell it.
const HELD_ANSWER_BYTES: u64 = 64 * 1024;

const CALL_ID: HeaderName = HeaderName::from_static("x-tollbook-call-id");
const COST: HeaderName = HeaderName::from_static("x-tollbook-cost-usd");
const COST_STATUS: HeaderName = HeaderName::from_static("x-tollbook-cost-status");
const TOKENS: HeaderName = HeaderName::from_static("x-tollbook-tokens");
const LITELLM_CALL_ID: HeaderName = HeaderName::from_static("x-litellm-call-id");
const LITELLM_MODEL_ID: HeaderName = HeaderName::from_static("x-litellm-model-id");
const LITELLM_COST: HeaderName = HeaderName::from_static("x-litellm-response-cost");
const REMAINING: HeaderName = HeaderName::from_static("x-tollbook-budget-remaining-usd");

/// Answers a request, whatever happens on the way.
pub(crate) async fn serve(
    plane: Arc<Plane>,
    watched: Arc<Watched>,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Response<Answer> {
    let in_flight = watched.answering();
    let is_ambiguous = watched.take_is_ambiguous();
    let version = request.version();
    let mut way = pin!(answer(&plane, is_ambiguous, peer, request));
    let answered =
        std::future::poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| way.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Some),
            Err(_) => Poll::Ready(None),
        });
    let mut response = answered.await.unwrap_or_else(|| {
        plane.core.counters.panics.add(1);
        refuse(&plane, "openai", Refusal::new(Reason::Internal, "a fault of the gateway's own"), "")
    });
    if plane.core.phase() != Phase::Serving && version < Version::HTTP_2 {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response.map(|body| body.held_by(in_flight, &plane))
}

async fn answer(
    plane: &Arc<Plane>,
    is_ambiguous: bool,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Response<Answer> {
    let (parts, body) = request.into_parts();
    let body = Inbound::new(body, plane.core.timeouts.request_idle);
    let here = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let (name, rest) = path::split(here);
    let place = plane.core.by_name.get(name).copied();
    let found = place.and_then(|place| Some((place, plane.core.routes.get(place)?)));
    let dialect = found.map_or("openai", |(_, route)| route.upstream.dialect.as_str());
    if let Some(refusal) = malformed(&parts, is_ambiguous, here) {
        return refuse(plane, dialect, refusal, "");
    }
    let Some((place, route)) = found else {
        return plane.core.control.call(Request::from_parts(parts, body), peer).await.map(Answer::control);
    };
    let rest = if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") };
    let started = Instant::now();
    let at = plane.core.clock.now();
    let id = plane.ids.make(at);
    let way = Way { plane, route, place, at, started, id };
    match way.go(parts, body, rest).await {
        Ok(response) => response,
        Err(refusal) => refuse(plane, dialect, refusal, &id.to_string()),
    }
}

/// What no server answers, whoever asks.
fn malformed(parts: &Parts, is_ambiguous: bool, here: &str) -> Option<Refusal> {
    if parts.method == Method::CONNECT {
        return Some(Refusal::new(Reason::MethodNotAllowed, "nothing is tunnelled here"));
    }
    if is_ambiguous && parts.headers.contains_key(header::TRANSFER_ENCODING) {
        let message = "a request has a content-length or a transfer-encoding, never both";
        return Some(Refusal::new(Reason::BadRequest, message));
    }
    if parts.version == Version::HTTP_11 && !parts.headers.contains_key(header::HOST) {
        return Some(Refusal::new(Reason::BadRequest, "a request names its host"));
    }
    path::is_devious(here).then(|| Refusal::new(Reason::NotFound, "there is nothing at this path"))
}

fn refuse(plane: &Plane, dialect: &str, refusal: Refusal, call_id: &str) -> Response<Answer> {
    plane.core.counters.refused(refusal.reason);
    let mut response = refusal::answer(dialect, &refusal, call_id).map(Answer::whole);
    if let Ok(id) = HeaderValue::from_str(call_id)
        && !id.is_empty()
    {
        response.headers_mut().insert(CALL_ID, id);
    }
    response
}

/// One request's way to its upstream and back.
struct Way<'a> {
    plane: &'a Arc<Plane>,
    route: &'a Route,
    place: usize,
    at: Timestamp,
    started: Instant,
    id: Uuid,
}

/// What goes out.
struct Going {
    call: Call,
    request: Request<Outbound>,
    admitted: Admitted,
}

impl Way<'_> {
    async fn go(self, mut parts: Parts, body: Inbound, rest: String) -> Result<Response<Answer>, Refusal> {
        if self.plane.core.phase() != Phase::Serving {
            return Err(Refusal::new(Reason::ShuttingDown, "the gateway is ending"));
        }
        let mut head = Head::read(&parts.headers);
        if head.is_upgrade && parts.headers.get(header::UPGRADE).is_some_and(is_websocket) {
            return Err(Refusal::new(
                Reason::Upgrade,
                "web sockets are not forwarded: they could not be metered",
            ));
        }
        let rest = match heads::query_key(&rest, self.route) {
            Some((kept, key)) => {
                if let Some(key) = key {
                    head.present(key, true);
                }
                kept
            }
            None => rest,
        };
        let key = self.authenticate(&head)?;
        head.forward(&mut parts.headers, self.route)?;
        let going = self.prepare(&head, &key, parts, body, &rest).await?;
        let Going { call, request, admitted } = going;
        let before = self.started.elapsed();
        let (response, answering) = exchange::send(self.plane, self.place, self.route, call, request).await?;
        let back = Instant::now();
        let response = self.respond(response, answering, &admitted).await?;
        self.plane.core.counters.overhead.observe(before + back.elapsed());
        Ok(response)
    }

    fn authenticate(&self, head: &Head) -> Result<Arc<Key>, Refusal> {
        let presented = head.key()?;
        let Some(key) = self.plane.core.ledger.keys().find(presented, self.at) else {
            let message = "this Tollbook key is not known, or is of no use any more";
            return Err(Refusal::new(Reason::InvalidKey, message));
        };
        if !key.may(Role::Gateway) {
            let message = "this Tollbook key may not call models: it lacks the role gateway";
            return Err(Refusal::new(Reason::KeyNotAllowed, message));
        }
        Ok(key)
    }

    /// Reads what has to be read of a request, and asks whether it may go.
    async fn prepare(
        &self,
        head: &Head,
        key: &Key,
        parts: Parts,
        mut body: Inbound,
        rest: &str,
    ) -> Result<Going, Refusal> {
        let provider = self.route.upstream.provider.as_str();
        let method = parts.method.as_str();
        let api = Api::of(provider, rest);
        let starts = api.starts_work(method, rest);
        let is_poll = !starts && parts.method == Method::GET && is_polled(api);
        if !starts && !is_poll {
            let call = Call::untold(self.plane.clone());
            let request = self.request(parts, Outbound::partly(Bytes::new(), body), rest)?;
            return Ok(Going { call, request, admitted: Admitted::default() });
        }
        let mut place: Option<Place> = None;
        let (seen, out) = match head.content_type {
            ContentType::Multipart => {
                let beginning = hold::beginning(&mut body).await?;
                let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
                let fields = multipart::fields(kind.unwrap_or_default(), &beginning);
                (Bytes::from(fields.to_json()), Outbound::partly(beginning, body))
            }
            ContentType::Other => (Bytes::new(), Outbound::partly(Bytes::new(), body)),
            ContentType::Json | ContentType::Untold => {
                let (held, counted) = hold::whole(body, &self.plane.core).await?;
                place = counted;
                (held.clone(), Outbound::whole(held))
            }
        };
        let seen_body = (!seen.is_empty()).then_some(&seen[..]);
        let facts = Facts::facts(provider, method, rest, None, seen_body);
        let attribution = attribution(key, &parts.headers, seen_body, &facts);
        let call_id = self.id.to_string();
        let admitted = self.plane.core.admission.admit(&Ask {
            call_id: &call_id,
            at: self.at,
            provider,
            model: facts.model.as_deref(),
            request: &facts,
            attribution: &attribution,
            key,
        })?;
        self.plane.core.counters.bytes_in.add(seen.len() as u64);
        let request = self.request(parts, out.counted(place), rest)?;
        let plan = Plan {
            id: self.id,
            at: self.at,
            started: self.started,
            request: facts,
            attribution,
            admitted: admitted.clone(),
            is_poll,
        };
        Ok(Going { call: Call::open(self.plane.clone(), plan), request, admitted })
    }

    /// The request as it goes out.
    fn request(&self, parts: Parts, body: Outbound, rest: &str) -> Result<Request<Outbound>, Refusal> {
        let bad = |_| Refusal::new(Reason::BadRequest, "the request's path cannot be sent");
        let path = match &self.route.target {
            Some(target) => target.path(rest).map_err(bad)?,
            None => rest.parse().map_err(bad)?,
        };
        let mut request = Request::new(body);
        *request.method_mut() = parts.method;
        *request.uri_mut() = path.into();
        *request.headers_mut() = parts.headers;
        Ok(request)
    }

    async fn respond(
        &self,
        response: Response<()>,
        mut answering: Answering,
        admitted: &Admitted,
    ) -> Result<Response<Answer>, Refusal> {
        let (mut parts, ()) = response.into_parts();
        parts.version = Version::HTTP_11;
        heads::backward(&mut parts.headers);
        let headers = &mut parts.headers;
        let content_type = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let is_events = content_type.is_some_and(|kind| kind.starts_with("text/event-stream"));
        let is_stream = content_type.is_some_and(call::is_stream);
        let is_call = answering.is_call();
        self.head(headers, admitted);
        let is_small = answering.left().is_some_and(|left| left <= HELD_ANSWER_BYTES);
        if is_call && is_small && !is_stream {
            let (body, outcome) = collect(&mut answering).await?;
            if let Some(outcome) = outcome {
                tell(headers, &outcome, self.plane.core.compat);
            }
            return Ok(Response::from_parts(parts, Answer::whole(body)));
        }
        if is_call {
            headers.insert(COST_STATUS, HeaderValue::from_static("pending"));
        }
        let dialect = is_events.then(|| self.route.upstream.dialect.clone());
        Ok(Response::from_parts(parts, Answer::stream(Stream::new(answering, dialect))))
    }

    /// Headers that every answer carries.
    fn head(&self, headers: &mut HeaderMap, admitted: &Admitted) {
        let mut text = Uuid::encode_buffer();
        let id = self.id.hyphenated().encode_lower(&mut text);
        let Ok(id) = HeaderValue::from_str(id) else { return };
        let has_id = headers.contains_key("x-request-id") || headers.contains_key("request-id");
        if !has_id {
            let name = if self.route.upstream.dialect == "anthropic" { "request-id" } else { "x-request-id" };
            headers.insert(HeaderName::from_static(name), id.clone());
        }
        if self.plane.core.compat.litellm {
            headers.insert(LITELLM_CALL_ID, id.clone());
            if let Ok(name) = HeaderValue::from_str(&self.route.upstream.name) {
                headers.insert(LITELLM_MODEL_ID, name);
            }
        }
        headers.insert(CALL_ID, id);
        if let Some(left) =
            admitted.remaining_usd.and_then(|left| HeaderValue::try_from(left.to_string()).ok())
        {
            headers.insert(REMAINING, left);
        }
    }
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

/// What a call came to, in the headers of its answer.
fn tell(headers: &mut HeaderMap, outcome: &Outcome, compat: Compat) {
    headers.insert(COST_STATUS, HeaderValue::from_static(outcome.status.name()));
    if let Some(cost) = outcome.cost.and_then(|cost| HeaderValue::try_from(cost.to_string()).ok()) {
        if compat.litellm {
            headers.insert(LITELLM_COST, cost.clone());
        }
        headers.insert(COST, cost);
    }
    let Outcome { input, cached, output, reasoning, .. } = outcome;
    let tokens = format!("in={input},cached={cached},out={output},reasoning={reasoning}");
    if let Ok(tokens) = HeaderValue::try_from(tokens) {
        headers.insert(TOKENS, tokens);
    }
}

fn is_websocket(upgrade: &HeaderValue) -> bool {
    upgrade.as_bytes().eq_ignore_ascii_case(b"websocket")
}

/// Whether a `GET` there may bring the usage of work that was started before.
fn is_polled(api: Api) -> bool {
    !matches!(api, Api::Other | Api::CountTokens | Api::Moderation | Api::Realtime)
}
