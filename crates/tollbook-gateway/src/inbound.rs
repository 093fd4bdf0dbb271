//! A request's body as it comes in, with a bound on how long its client may pause.

use crate::patience::Patience;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// Why a request's body did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum InboundError {
    /// Its client paused for too long.
    #[error("the request's body did not come in time")]
    Idle,
    /// Its connection failed, or what came is no HTTP.
    #[error("the request's body was cut: {0}")]
    Cut(#[from] hyper::Error),
}

/// A request's body as it comes in.
#[derive(Debug)]
pub struct Inbound {
    body: Incoming,
    patience: Patience,
}

impl Inbound {
    pub(crate) fn new(body: Incoming, idle: Duration) -> Inbound {
        Inbound { body, patience: Patience::new(idle, None) }
    }
}

impl Body for Inbound {
    type Data = Bytes;
    type Error = InboundError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, InboundError>>> {
        let this = self.get_mut();
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(frame) => {
                this.patience.moved();
                Poll::Ready(frame.map(|frame| frame.map_err(InboundError::from)))
            }
            Poll::Pending if this.patience.poll_over(cx) => Poll::Ready(Some(Err(InboundError::Idle))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
