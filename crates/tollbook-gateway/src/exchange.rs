//! A call on the wire: its request goes out, its answer comes in and is metered. When the caller
//! leaves, the answer is read on for its usage.

use crate::call::{Call, Ending, Outcome};
use crate::core::{Phase, Plane, Route};
use crate::outbound::Outbound;
use crate::patience::Patience;
use crate::pool::{Lease, Sending};
use crate::refusal::{Reason, Refusal};
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::time::{Instant, timeout, timeout_at};
use tollbook_usage::End;

/// What an answer's body brings next.
pub(crate) enum Step {
    Data(Bytes),
    Trailers(HeaderMap),
    /// It is whole; what the call came to, unless that is known already or could not be recorded.
    End(Option<Outcome>),
    /// It broke off, or took too long.
    Failed {
        is_late: bool,
        why: String,
    },
}

/// Sends a call's request and waits for the head of its answer.
pub(crate) async fn send(
    plane: &Arc<Plane>,
    place: usize,
    route: &Route,
    mut call: Call,
    mut request: Request<Outbound>,
) -> Result<(Response<()>, Answering), Refusal> {
    let Some(target) = &route.target else {
        return Err(Refusal::new(Reason::NotConfigured, "it is not configured where this upstream is"));
    };
    let counters = plane.core.counters.upstreams.get(place);
    let mut lease = plane.pool.lease(place, target).await;
    loop {
        let mut held = match lease {
            Ok(held) => held,
            Err(error) => {
                tracing::info!(upstream = route.upstream.name, %error, "an upstream cannot be reached");
                let is_late = matches!(error, crate::dial::DialError::Timeout(_));
                let reason = if is_late { Reason::UpstreamTimeout } else { Reason::UpstreamUnavailable };
                if let Some(counters) = counters {
                    if is_late { counters.timeouts.add(1) } else { counters.failed.add(1) }
                }
                call.end(Ending::Broken(error.to_string()));
                return Err(Refusal::new(reason, "the provider cannot be reached"));
            }
        };
        if held.fit(&mut request, target).is_err() {
            call.end(Ending::Broken("the request's path cannot be sent".to_owned()));
            return Err(Refusal::new(Reason::BadRequest, "the request's path cannot be sent"));
        }
        call.sent();
        let mut waiting = Waiting(Some(Wait { call, sending: held.send(request), lease: held }));
        let sent = timeout(plane.core.timeouts.answer_head, &mut waiting).await;
        let Some(Wait { call: back, lease: used, .. }) = waiting.0.take() else {
            return Err(Refusal::new(Reason::Internal, "the call has ended"));
        };
        call = back;
        match sent {
            Ok(Ok(response)) => {
                let (parts, body) = response.into_parts();
                if let Some(counters) = counters {
                    counters.answered(parts.status.as_u16());
                }
                call.answered(parts.status.as_u16(), &parts.headers);
                let answering = Answering::new(plane, call, used, body);
                return Ok((Response::from_parts(parts, ()), answering));
            }
            Ok(Err(mut error)) => match error.take_message() {
                Some(back) if used.is_used => {
                    // It was closed while it was kept; nothing has been sent over it.
                    call.not_sent();
                    request = back;
                    lease = plane.pool.new_lease(place, target).await;
                }
                unsent => {
                    if unsent.is_some() {
                        call.not_sent();
                    }
                    if let Some(counters) = counters {
                        counters.failed.add(1);
                    }
                    return Err(failed(call, error.error()));
                }
            },
            Err(_) => {
                if let Some(counters) = counters {
                    counters.timeouts.add(1);
                }
                call.end(Ending::Timeout("no answer in time".to_owned()));
                return Err(Refusal::new(Reason::UpstreamTimeout, "the provider did not answer in time"));
            }
        }
    }
}

/// Ends a call whose request or whose answer's head failed on the way.
fn failed(mut call: Call, error: &hyper::Error) -> Refusal {
    let ours = std::iter::successors(error.source(), |error| (*error).source())
        .find_map(|error| error.downcast_ref::<crate::inbound::InboundError>());
    if let Some(error) = ours {
        call.end(Ending::ClientGone(End::Cut));
        return Refusal::new(Reason::RequestTimeout, error.to_string());
    }
    call.end(Ending::Broken(error.to_string()));
    Refusal::new(Reason::UpstreamUnavailable, "the provider broke off before it answered")
}

/// A request that is out and has no answer yet.
struct Wait {
    call: Call,
    sending: Sending,
    lease: Lease,
}

/// Waits for an answer's head. Dropped before that, the answer is waited for all the same: it may
/// be billed.
struct Waiting(Option<Wait>);

impl Future for Waiting {
    type Output = crate::pool::Sent;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.get_mut().0 {
            Some(wait) => wait.sending.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let Some(Wait { mut call, sending, lease }) = self.0.take() else { return };
        let Some((plane, place)) = drain_place(&mut call) else { return };
        tokio::spawn(async move {
            let _place = place;
            let until = Instant::now() + plane.core.timeouts.drain;
            match timeout_at(until, sending).await {
                Ok(Ok(response)) => {
                    let (parts, body) = response.into_parts();
                    call.answered(parts.status.as_u16(), &parts.headers);
                    drain(Answering::new(&plane, call, lease, body), until).await;
                }
                _ => drop(call.end(Ending::ClientGone(End::Cut))),
            }
        });
    }
}

/// Room for an answer to be read on after its caller left. Without any, the call ends here.
fn drain_place(call: &mut Call) -> Option<(Arc<Plane>, crate::core::Place)> {
    if !call.is_open() {
        return None;
    }
    let plane = call.plane().clone();
    let core = &plane.core;
    if core.phase() == Phase::Cutting || tokio::runtime::Handle::try_current().is_err() {
        call.end(Ending::Shutdown);
        return None;
    }
    core.counters.clients_gone.add(1);
    let Some(place) = core.drains.take(1) else {
        core.counters.drains_refused.add(1);
        call.end(Ending::ClientGone(End::Cut));
        return None;
    };
    Some((plane, place))
}

/// Reads an answer on whose caller has left, for its usage.
async fn drain(mut answering: Answering, until: Instant) {
    while let Ok(Step::Data(_) | Step::Trailers(_)) = timeout_at(until, answering.next()).await {}
    if let Some(mut flow) = answering.0.take() {
        flow.call.end(Ending::ClientGone(End::Cut));
    }
}

/// An answer on its way in. Dropped before its end, it is read on for its usage.
pub(crate) struct Answering(Option<Flow>);

struct Flow {
    plane: Arc<Plane>,
    call: Call,
    body: Incoming,
    lease: Option<Lease>,
    patience: Patience,
    /// Bytes that are still to come, where the length is told.
    left: Option<u64>,
    /// The caller has left.
    is_drain: bool,
    /// What the call came to, once it has ended.
    outcome: Option<Outcome>,
}

impl Answering {
    fn new(plane: &Arc<Plane>, call: Call, lease: Lease, body: Incoming) -> Answering {
        let timeouts = &plane.core.timeouts;
        let end = Instant::now() + timeouts.answer;
        let left = body.size_hint().exact();
        let patience = Patience::new(timeouts.answer_idle, Some(end));
        let plane = plane.clone();
        Answering(Some(Flow {
            plane,
            call,
            body,
            lease: Some(lease),
            patience,
            left,
            is_drain: false,
            outcome: None,
        }))
    }

    /// Whether its call is told of when it ends.
    pub fn is_call(&self) -> bool {
        self.0.as_ref().is_some_and(|flow| flow.call.is_open())
    }

    /// Bytes that are still to come, where the length is told.
    pub fn left(&self) -> Option<u64> {
        self.0.as_ref().map_or(Some(0), |flow| flow.left)
    }

    /// Whether nothing more comes.
    pub fn is_over(&self) -> bool {
        self.0.as_ref().is_none_or(|flow| flow.body.is_end_stream())
    }

    /// Ends the call before its body's end: what is still to come says nothing.
    pub fn end_call(&mut self) -> Option<Outcome> {
        let flow = self.0.as_mut()?;
        flow.complete();
        flow.outcome.clone()
    }

    /// What the body brings next.
    pub async fn next(&mut self) -> Step {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// What the body brings next. The call has ended before its last byte is given out.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        let Some(flow) = &mut self.0 else { return Poll::Ready(Step::End(None)) };
        match Pin::new(&mut flow.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                flow.patience.moved();
                if flow.patience.is_past_end() {
                    return Poll::Ready(self.fail(true, "the answer took too long"));
                }
                Poll::Ready(match frame.into_data() {
                    Ok(data) => Step::Data(flow.pass(data)),
                    Err(frame) => Step::Trailers(frame.into_trailers().unwrap_or_default()),
                })
            }
            Poll::Ready(None) => Poll::Ready(self.finish()),
            Poll::Ready(Some(Err(error))) => Poll::Ready(self.fail(false, &error.to_string())),
            Poll::Pending if flow.patience.poll_over(cx) => {
                Poll::Ready(self.fail(true, "the provider did not go on with its answer in time"))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn finish(&mut self) -> Step {
        let Some(mut flow) = self.0.take() else { return Step::End(None) };
        flow.complete();
        flow.keep();
        Step::End(flow.outcome.take())
    }

    fn fail(&mut self, is_late: bool, why: &str) -> Step {
        let Some(mut flow) = self.0.take() else { return Step::End(None) };
        let ending = match (flow.is_drain, is_late) {
            (true, _) => Ending::ClientGone(End::Cut),
            (false, true) => Ending::Timeout(why.to_owned()),
            (false, false) => Ending::Broken(why.to_owned()),
        };
        flow.call.end(ending);
        Step::Failed { is_late, why: why.to_owned() }
    }
}

impl Flow {
    fn pass(&mut self, data: Bytes) -> Bytes {
        self.call.read(&data);
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(data.len() as u64);
            if *left == 0 {
                self.complete();
            }
        }
        data
    }

    fn complete(&mut self) {
        let ending = if self.is_drain { Ending::ClientGone(End::Complete) } else { Ending::Complete };
        if self.call.is_open() {
            self.outcome = self.call.end(ending);
        }
    }

    fn keep(&mut self) {
        if let Some(lease) = self.lease.take() {
            self.plane.pool.keep(lease);
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let Some(mut flow) = self.0.take() else { return };
        if flow.left == Some(0) || flow.body.is_end_stream() {
            // Its last byte has been given out.
            flow.complete();
            flow.keep();
            return;
        }
        let Some((plane, place)) = drain_place(&mut flow.call) else { return };
        flow.is_drain = true;
        tokio::spawn(async move {
            let _place = place;
            let until = Instant::now() + plane.core.timeouts.drain;
            drain(Answering(Some(flow)), until).await;
        });
    }
}
