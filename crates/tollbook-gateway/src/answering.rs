//! A call's answer on its way in, metered as it passes. When the caller leaves, it is read on for
//! its usage.

use crate::cache::{self, CacheKey, Cached};
use crate::call::{Call, Ending, Outcome};
use crate::core::Plane;
use crate::exchange::drain_place;
use crate::patience::Patience;
use crate::pool::Lease;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::Body;
use hyper::body::Incoming;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::time::{Instant, timeout_at};
use tollbook_ledger::Durable;
use tollbook_types::{CacheHit, Money, Timestamp};
use tollbook_usage::{Api, End};

/// What an answer's body brings next.
pub(crate) enum Step {
    Data(Bytes),
    Trailers(HeaderMap),
    /// It is whole; what the call came to, unless that could not be recorded.
    End(Option<Outcome>),
    /// It broke off, or took too long.
    Failed {
        is_late: bool,
        why: String,
    },
}

/// An answer that is to be kept in the cache once it is whole.
pub(crate) struct Keep {
    pub key: CacheKey,
    pub headers: HeaderMap,
    pub body: BytesMut,
    pub expires_at: Timestamp,
}

/// An answer on its way in. Dropped before its end, it is read on for its usage.
pub(crate) struct Answering {
    flow: Option<Flow>,
    /// What is given out once the call's record is fsynced.
    waiting: Option<(Durable, Step)>,
}

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
    /// The answer as far as it came, to be kept.
    keep: Option<Box<Keep>>,
}

impl Answering {
    pub fn new(plane: &Arc<Plane>, call: Call, lease: Lease, body: Incoming) -> Answering {
        let timeouts = &plane.core.timeouts;
        let end = Instant::now() + timeouts.answer;
        let flow = Flow {
            left: body.size_hint().exact(),
            patience: Patience::new(timeouts.answer_idle, Some(end)),
            plane: plane.clone(),
            call,
            body,
            lease: Some(lease),
            is_drain: false,
            outcome: None,
            keep: None,
        };
        Answering { flow: Some(flow), waiting: None }
    }

    /// The same, whose caller has left.
    pub fn unattended(mut self) -> Answering {
        if let Some(flow) = &mut self.flow {
            flow.is_drain = true;
        }
        self
    }

    /// Whether its call is told of when it ends.
    pub fn is_call(&self) -> bool {
        self.flow.as_ref().is_some_and(|flow| flow.call.is_open())
    }

    /// The family of what was asked, while the call has not ended.
    pub fn api(&self) -> Option<Api> {
        Some(self.flow.as_ref()?.call.request()?.api)
    }

    /// Keeps the answer once it is whole.
    pub fn keep(&mut self, keep: Keep) {
        if let Some(flow) = &mut self.flow {
            flow.keep = Some(Box::new(keep));
        }
    }

    /// Bytes that are still to come, where the length is told.
    pub fn left(&self) -> Option<u64> {
        self.flow.as_ref().map_or(Some(0), |flow| flow.left)
    }

    /// Whether nothing more comes.
    pub fn is_over(&self) -> bool {
        self.waiting.is_none() && self.flow.as_ref().is_none_or(|flow| flow.body.is_end_stream())
    }

    /// Ends the call before its body's end: what is still to come says nothing.
    pub fn end_call(&mut self) -> Option<Outcome> {
        let flow = self.flow.as_mut()?;
        flow.complete();
        flow.outcome.clone()
    }

    /// What the body brings next.
    pub async fn next(&mut self) -> Step {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// What the body brings next. The call has been recorded before the last of it is given out.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        if let Some((durable, _)) = &mut self.waiting {
            if let Err(error) = ready!(Pin::new(durable).poll(cx)) {
                tracing::error!(%error, "nothing can be made durable any more");
            }
            return self.waiting.take().map_or(Poll::Pending, |(_, step)| Poll::Ready(step));
        }
        let Some(flow) = &mut self.flow else { return Poll::Ready(Step::End(None)) };
        let step = match Pin::new(&mut flow.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                flow.patience.moved();
                if flow.patience.is_past_end() {
                    self.fail(true, "the answer took too long")
                } else {
                    match frame.into_data() {
                        Ok(data) if flow.pass(&data) => {
                            return self.once_durable(cx, Step::Data(data));
                        }
                        Ok(data) => return Poll::Ready(Step::Data(data)),
                        Err(frame) => {
                            return Poll::Ready(Step::Trailers(frame.into_trailers().unwrap_or_default()));
                        }
                    }
                }
            }
            Poll::Ready(None) => self.finish(),
            Poll::Ready(Some(Err(error))) => self.fail(false, &error.to_string()),
            Poll::Pending if flow.patience.poll_over(cx) => {
                self.fail(true, "the provider did not go on with its answer in time")
            }
            Poll::Pending => return Poll::Pending,
        };
        self.once_durable(cx, step)
    }

    fn finish(&mut self) -> Step {
        let Some(flow) = &mut self.flow else { return Step::End(None) };
        flow.complete();
        flow.put();
        flow.give_back();
        Step::End(flow.outcome.clone())
    }

    fn fail(&mut self, is_late: bool, why: &str) -> Step {
        let Some(flow) = &mut self.flow else { return Step::End(None) };
        let ending = match (flow.is_drain, is_late) {
            (true, _) => Ending::ClientGone(End::Cut),
            (false, true) => Ending::Timeout(why.to_owned()),
            (false, false) => Ending::Broken(why.to_owned()),
        };
        flow.outcome = flow.call.end(ending);
        Step::Failed { is_late, why: why.to_owned() }
    }

    /// Gives a last step out: at once, or when the call's record is fsynced where that is wanted.
    fn once_durable(&mut self, cx: &mut Context<'_>, step: Step) -> Poll<Step> {
        let Some(flow) = &self.flow else { return Poll::Ready(step) };
        let core = &flow.plane.core;
        let seq = flow.outcome.as_ref().filter(|_| core.is_strict).map(|outcome| outcome.seq);
        let durable = seq.and_then(|seq| core.ledger.durable(seq).ok());
        if !matches!(step, Step::Data(_)) {
            self.flow = None;
        }
        match durable {
            None => Poll::Ready(step),
            Some(durable) => {
                self.waiting = Some((durable, step));
                self.poll_next(cx)
            }
        }
    }
}

impl Flow {
    /// Meters what passes; whether it was the last of it.
    fn pass(&mut self, data: &Bytes) -> bool {
        self.call.read(data);
        if let Some(keep) = &mut self.keep {
            if keep.body.len() + data.len() <= cache::BODY_BYTES_MAX {
                keep.body.extend_from_slice(data);
            } else {
                self.keep = None;
            }
        }
        let Some(left) = &mut self.left else { return false };
        *left = left.saturating_sub(data.len() as u64);
        let is_last = *left == 0;
        if is_last {
            self.complete();
            self.put();
        }
        is_last
    }

    fn complete(&mut self) {
        if self.call.is_open() {
            let ending = if self.is_drain { Ending::ClientGone(End::Complete) } else { Ending::Complete };
            self.outcome = self.call.end(ending);
        }
    }

    /// Puts the whole answer into the cache.
    fn put(&mut self) {
        let (Some(keep), Some(outcome)) = (self.keep.take(), &self.outcome) else { return };
        let Some(cache) = &self.plane.core.cache else { return };
        if outcome.is_error {
            return;
        }
        let saved_tokens = outcome.input.saturating_add(outcome.output);
        let hit = CacheHit { saved: outcome.cost.unwrap_or(Money::ZERO), saved_tokens };
        let Keep { key, headers, body, expires_at } = *keep;
        cache.put(
            key,
            Cached { headers, body: body.freeze(), model: outcome.model.clone(), hit },
            expires_at,
        );
    }

    fn give_back(&mut self) {
        if let Some(lease) = self.lease.take() {
            self.plane.pool.keep(lease);
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let Some(mut flow) = self.flow.take() else { return };
        if flow.left == Some(0) || flow.body.is_end_stream() {
            // Its last byte has been given out.
            flow.complete();
            flow.give_back();
            return;
        }
        let Some((plane, place)) = drain_place(&mut flow.call) else { return };
        flow.is_drain = true;
        tokio::spawn(async move {
            let _place = place;
            let until = Instant::now() + plane.core.timeouts.drain;
            drain(Answering { flow: Some(flow), waiting: None }, until).await;
        });
    }
}

/// Reads an answer on whose caller has left, for its usage.
pub(crate) async fn drain(mut answering: Answering, until: Instant) {
    let Some(plane) = answering.flow.as_ref().map(|flow| flow.plane.clone()) else { return };
    let read_on = async { while let Step::Data(_) | Step::Trailers(_) = answering.next().await {} };
    tokio::select! {
        _ = timeout_at(until, read_on) => {}
        () = plane.cut() => {}
    }
    if let Some(mut flow) = answering.flow.take() {
        flow.call.end(Ending::ClientGone(End::Cut));
    }
}
