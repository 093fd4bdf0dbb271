//! A call's request on its way out, to the head of its answer.

use crate::answering::{Answering, drain};
use crate::call::{Call, Ending};
use crate::core::{Phase, Place, Plane, Route};
use crate::dial::DialError;
use crate::inbound::InboundError;
use crate::outbound::Outbound;
use crate::pool::{Lease, Sending, Sent};
use crate::refusal::{Reason, Refusal};
use http::{Request, Response};
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::time::{Instant, timeout, timeout_at};
use tollbook_usage::End;

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
                let is_late = matches!(error, DialError::Timeout(_));
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
        .find_map(|error| error.downcast_ref::<InboundError>());
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
    type Output = Sent;

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
            let answered = tokio::select! {
                answered = timeout_at(until, sending) => answered.ok(),
                () = plane.cut() => None,
            };
            match answered {
                Some(Ok(response)) => {
                    let (parts, body) = response.into_parts();
                    call.answered(parts.status.as_u16(), &parts.headers);
                    drain(Answering::new(&plane, call, lease, body).unattended(), until).await;
                }
                _ => drop(call.end(Ending::ClientGone(End::Cut))),
            }
        });
    }
}

/// Room for an answer to be read on after its caller left. Without any, the call ends here.
pub(crate) fn drain_place(call: &mut Call) -> Option<(Arc<Plane>, Drain)> {
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
    // The thread waits for it when the gateway ends.
    let task = plane.tasks.take(1)?;
    Some((plane, Drain { _places: [place, task] }))
}

/// Room for an answer that is read on.
pub(crate) struct Drain {
    _places: [Place; 2],
}
