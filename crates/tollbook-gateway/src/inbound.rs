//! A request's body as it comes in, with a bound on how long its client may pause. What nobody wants
//! of it is read all the same, within bounds: most clients look for an answer only once they have
//! sent everything, and a connection that is closed before takes the answer with it.

use crate::patience::Patience;
use bytes::Bytes;
use http::{HeaderMap, Version, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// How much is read of a body that nobody wants, and for how long.
const UNWANTED_BYTES_MAX: u64 = 64 * 1024 * 1024;
const UNWANTED_TIME_MAX: Duration = Duration::from_secs(10);

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
    /// There until it is dropped.
    body: Option<Incoming>,
    patience: Patience,
    /// Whether its client sends the rest whatever is answered. Over HTTP/2 it is told to stop, and who
    /// asks first waits to be told to begin.
    comes_anyway: bool,
}

impl Inbound {
    pub(crate) fn new(body: Incoming, idle: Duration, version: Version, headers: &HeaderMap) -> Inbound {
        let comes_anyway = version < Version::HTTP_2 && !headers.contains_key(header::EXPECT);
        Inbound { body: Some(body), patience: Patience::new(idle, None), comes_anyway }
    }
}

impl Drop for Inbound {
    fn drop(&mut self) {
        let Some(body) = self.body.take() else { return };
        let is_bounded = body.size_hint().lower() <= UNWANTED_BYTES_MAX;
        if self.comes_anyway
            && is_bounded
            && !body.is_end_stream()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(tokio::time::timeout(UNWANTED_TIME_MAX, pass_over(body)));
        }
    }
}

/// Reads what comes, as far as it goes.
async fn pass_over(mut body: Incoming) {
    let mut read = 0;
    while let Some(Ok(frame)) = body.frame().await {
        read += frame.data_ref().map_or(0, Bytes::len) as u64;
        if read > UNWANTED_BYTES_MAX {
            return;
        }
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
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        match Pin::new(body).poll_frame(cx) {
            Poll::Ready(frame) => {
                this.patience.moved();
                Poll::Ready(frame.map(|frame| frame.map_err(InboundError::from)))
            }
            Poll::Pending if this.patience.poll_over(cx) => {
                // Who has stopped sending sends no rest that has to be read.
                this.comes_anyway = false;
                Poll::Ready(Some(Err(InboundError::Idle)))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}
