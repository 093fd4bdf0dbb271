//! Bodies of answers to clients.

use crate::control::ControlBody;
use crate::core::Plane;
use crate::exchange::{Answering, Step};
use crate::guard::InFlight;
use crate::refusal;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Why a body ends before its end: the connection is closed then.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Broken(String);

type Piece = Poll<Option<Result<Frame<Bytes>, Broken>>>;

/// The body of an answer.
pub(crate) struct Answer {
    kind: Kind,
    /// The client's connection knows that it waits for us as long as this lives.
    in_flight: Option<InFlight>,
    panics: Option<Arc<Plane>>,
}

enum Kind {
    Whole(Option<Bytes>),
    Stream(Box<Stream>),
    Control(ControlBody),
    Ended,
}

impl Answer {
    /// A body that is at hand.
    pub fn whole(body: Bytes) -> Answer {
        Answer::of(Kind::Whole((!body.is_empty()).then_some(body)))
    }

    /// An upstream's body, as it comes.
    pub fn stream(stream: Stream) -> Answer {
        Answer::of(Kind::Stream(Box::new(stream)))
    }

    /// The control plane's.
    pub fn control(body: ControlBody) -> Answer {
        Answer::of(Kind::Control(body))
    }

    fn of(kind: Kind) -> Answer {
        Answer { kind, in_flight: None, panics: None }
    }

    /// Tells the client's connection when it has been passed on.
    pub fn held_by(mut self, in_flight: InFlight, plane: &Arc<Plane>) -> Answer {
        self.in_flight = Some(in_flight);
        self.panics = Some(plane.clone());
        self
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Piece {
        match &mut self.kind {
            Kind::Whole(body) => Poll::Ready(body.take().map(|body| Ok(Frame::data(body)))),
            Kind::Stream(stream) => stream.poll(cx),
            Kind::Control(body) => Pin::new(body).poll_frame(cx).map_err(|error| Broken(error.to_string())),
            Kind::Ended => Poll::Ready(None),
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Piece {
        let this = self.get_mut();
        // Neighbours on the same connection must not feel it.
        let piece = catch_unwind(AssertUnwindSafe(|| this.poll(cx))).unwrap_or_else(|_| {
            if let Some(plane) = &this.panics {
                plane.core.counters.panics.add(1);
            }
            this.kind = Kind::Ended;
            Poll::Ready(Some(Err(Broken("a fault of the gateway's own".to_owned()))))
        });
        if let Poll::Ready(Some(Ok(frame))) = &piece
            && let (Some(data), Some(plane)) = (frame.data_ref(), &this.panics)
        {
            plane.core.counters.bytes_out.add(data.len() as u64);
        }
        piece
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Whole(body) => body.is_none(),
            Kind::Stream(stream) => stream.is_over(),
            Kind::Control(body) => body.is_end_stream(),
            Kind::Ended => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Whole(body) => SizeHint::with_exact(body.as_ref().map_or(0, |body| body.len() as u64)),
            Kind::Stream(stream) => {
                stream.answering.left().map_or_else(SizeHint::default, SizeHint::with_exact)
            }
            Kind::Control(body) => body.size_hint(),
            Kind::Ended => SizeHint::with_exact(0),
        }
    }
}

/// An upstream's body, as it comes.
pub(crate) struct Stream {
    answering: Answering,
    /// It is one of server-sent events, in this dialect.
    dialect: Option<String>,
    /// Pieces that go out before anything else.
    ready: VecDeque<Bytes>,
    /// It has failed: what is ready goes out, then the connection is closed.
    failed: Option<String>,
}

impl Stream {
    pub fn new(answering: Answering, dialect: Option<String>) -> Stream {
        Stream { answering, dialect, ready: VecDeque::new(), failed: None }
    }

    fn is_over(&self) -> bool {
        self.answering.is_over() && self.ready.is_empty() && self.failed.is_none()
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Piece {
        if let Some(ready) = self.ready.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(ready))));
        }
        if let Some(why) = &mut self.failed {
            // What has been given out is flushed only when nothing more is ready.
            let why = std::mem::take(why);
            if why.is_empty() {
                return Poll::Ready(Some(Err(Broken("the answer was cut".to_owned()))));
            }
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        match std::task::ready!(self.answering.poll_next(cx)) {
            Step::Data(data) => {
                if self.dialect.is_some() && says_done(&data) {
                    self.answering.end_call();
                }
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Step::Trailers(trailers) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            Step::End(_) => Poll::Ready(None),
            Step::Failed { why, .. } => {
                let event = self.dialect.as_ref().map(|dialect| refusal::stream_error(dialect, &why));
                self.failed = Some(why);
                match event {
                    Some(event) => Poll::Ready(Some(Ok(Frame::data(event)))),
                    None => self.poll(cx),
                }
            }
        }
    }
}

/// Whether a piece ends a stream of server-sent events, so that a caller may leave after it.
fn says_done(data: &[u8]) -> bool {
    let tail = data[data.len().saturating_sub(32)..].trim_ascii_end();
    tail.ends_with(b"data: [DONE]") || tail.ends_with(b"data:[DONE]")
}
