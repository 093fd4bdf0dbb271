//! The way of a request: whom it is for, whether it may go, out, and back.

use crate::answer::Answer;
use crate::core::{Phase, Plane, Route};
use crate::exchange;
use crate::guard::{Framing, Watched};
use crate::heads::{self, Head};
use crate::inbound::Inbound;
use crate::path;
use crate::prepare::{Going, Prepared};
use crate::refusal::{self, ErrorShape, Reason, Refusal};
use crate::respond::CALL_ID;
use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;
use tollbook_ledger::KeyRing;
use tollbook_types::{Key, Role, Timestamp};
use uuid::Uuid;

/// Answers a request, whatever happens on the way.
pub(crate) async fn serve(
    plane: Arc<Plane>,
    watched: Arc<Watched>,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Response<Answer> {
    let in_flight = watched.answering();
    let framing = watched.take_framing();
    let version = request.version();
    let mut way = pin!(answer(&plane, framing, peer, request));
    let answered =
        std::future::poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| way.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Some),
            Err(_) => Poll::Ready(None),
        });
    let mut response = answered.await.unwrap_or_else(|| {
        plane.core.counters.panics.add(1);
        refuse(&plane, ErrorShape::OpenAi, Refusal::new(Reason::Internal, "a fault of the gateway's own"), "")
    });
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        watched.upgraded();
    } else if plane.core.phase() != Phase::Serving && version < Version::HTTP_2 {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let pace = (version == Version::HTTP_2).then(|| watched.pace());
    response.map(|body| body.held_by(in_flight, &plane, pace))
}

async fn answer(
    plane: &Arc<Plane>,
    framing: Framing,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Response<Answer> {
    let (parts, body) = request.into_parts();
    let body = Inbound::new(body, plane.core.timeouts.request_idle, parts.version, &parts.headers);
    let here = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let (name, rest) = path::split(here);
    let place = plane.core.by_name.get(name).copied();
    let found = place.and_then(|place| Some((place, plane.core.routes.get(place)?)));
    let shape = found.map_or(ErrorShape::OpenAi, |(_, route)| {
        ErrorShape::of(route.upstream.reads_as(), &route.upstream.dialect, rest)
    });
    if let Some(refusal) = malformed(&parts, framing, here) {
        return refuse(plane, shape, refusal, "");
    }
    let Some((place, route)) = found else {
        return plane.core.control.call(Request::from_parts(parts, body), peer).await.map(Answer::control);
    };
    let rest = if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") };
    let started = Instant::now();
    let at = plane.core.clock.now();
    let id = plane.ids.make(at);
    let way = Way { plane, route, place, at, started, id, errors: shape };
    match way.go(parts, body, rest).await {
        Ok(response) => response,
        Err(refusal) => refuse(plane, shape, refusal, &id.to_string()),
    }
}

/// What no server answers, whoever asks.
fn malformed(parts: &Parts, framing: Framing, here: &str) -> Option<Refusal> {
    if parts.method == Method::CONNECT {
        return Some(Refusal::new(Reason::MethodNotAllowed, "nothing is tunnelled here"));
    }
    // The parser keeps only one of the two; what came behind another request was not looked at.
    if parts.headers.contains_key(header::TRANSFER_ENCODING) && framing != Framing::Encoding {
        let message = "a request has a content-length or a transfer-encoding, never both";
        return Some(Refusal::new(Reason::BadRequest, message));
    }
    if parts.version == Version::HTTP_11 && !parts.headers.contains_key(header::HOST) {
        return Some(Refusal::new(Reason::BadRequest, "a request names its host"));
    }
    path::is_devious(here).then(|| Refusal::new(Reason::NotFound, "there is nothing at this path"))
}

fn refuse(plane: &Plane, shape: ErrorShape, refusal: Refusal, call_id: &str) -> Response<Answer> {
    plane.core.counters.refused(refusal.reason);
    let mut response = refusal::answer(shape, &refusal, call_id).map(Answer::whole);
    if let Ok(id) = HeaderValue::from_str(call_id)
        && !id.is_empty()
    {
        response.headers_mut().insert(CALL_ID, id);
    }
    response
}

/// One request's way to its upstream and back.
pub(crate) struct Way<'a> {
    pub plane: &'a Arc<Plane>,
    pub route: &'a Route,
    /// How errors look at this path.
    pub errors: ErrorShape,
    /// The place of the route.
    pub place: usize,
    /// Its admission.
    pub at: Timestamp,
    pub started: Instant,
    pub id: Uuid,
}

impl Way<'_> {
    async fn go(self, parts: Parts, body: Inbound, rest: String) -> Result<Response<Answer>, Refusal> {
        if self.plane.core.phase() != Phase::Serving {
            return Err(Refusal::new(Reason::ShuttingDown, "the gateway is ending"));
        }
        let keys = self.plane.core.ledger.keys();
        let mut head = Head::read(&parts.headers, &keys);
        if head.is_upgrade && parts.headers.get(header::UPGRADE).is_some_and(is_websocket) {
            return Err(Refusal::new(
                Reason::Upgrade,
                "web sockets are not forwarded: they could not be metered",
            ));
        }
        let rest = match heads::query_keys(&rest, self.route, &keys) {
            Some((kept, keys)) => {
                keys.into_iter().for_each(|key| head.present(key, true));
                kept
            }
            None => rest,
        };
        let key = self.authenticate(&head, &keys)?;
        let going = match self.prepare(&head, &key, parts, body, &rest).await? {
            Prepared::Going(going) => going,
            Prepared::Answered(response) => return Ok(response),
        };
        let Going { call, request, back } = *going;
        let before = self.started.elapsed();
        let (response, answering) = exchange::send(self.plane, self.place, self.route, call, request).await?;
        let answered = Instant::now();
        let response = self.respond(response, answering, back).await?;
        self.plane.core.counters.overhead.observe(before + answered.elapsed());
        Ok(response)
    }

    fn authenticate(&self, head: &Head, keys: &KeyRing) -> Result<Arc<Key>, Refusal> {
        let presented = head.key()?;
        let Some(key) = keys.find(presented, self.at) else {
            let message = "this Tollbook key is not known, or is of no use any more";
            return Err(Refusal::new(Reason::InvalidKey, message));
        };
        if !key.may(Role::Gateway) {
            let message = "this Tollbook key may not call models: it lacks the role gateway";
            return Err(Refusal::new(Reason::KeyNotAllowed, message));
        }
        Ok(key)
    }
}

fn is_websocket(upgrade: &HeaderValue) -> bool {
    upgrade.as_bytes().eq_ignore_ascii_case(b"websocket")
}
