//! Bodies of answers to clients.

use crate::control::ControlBody;
use crate::core::Plane;
use crate::guard::{InFlight, Pace};
use crate::stream::{Broken, Piece, Stream};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// The body of an answer.
pub(crate) struct Answer {
    kind: Kind,
    /// The client's connection knows that it waits for us as long as this lives.
    in_flight: Option<InFlight>,
    panics: Option<Arc<Plane>>,
    pace: Option<Pace>,
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
        Answer { kind, in_flight: None, panics: None, pace: None }
    }

    /// Tells the client's connection when it has been passed on.
    pub fn held_by(mut self, in_flight: InFlight, plane: &Arc<Plane>, pace: Option<Pace>) -> Answer {
        self.pace = pace;
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
        if let Some(pace) = &this.pace {
            pace.wanted();
        }
        // Neighbours on the same connection must not feel it.
        let piece = catch_unwind(AssertUnwindSafe(|| this.poll(cx))).unwrap_or_else(|_| {
            if let Some(plane) = &this.panics {
                plane.core.counters.panics.add(1);
            }
            this.kind = Kind::Ended;
            Poll::Ready(Some(Err(Broken("a fault of the gateway's own".to_owned()))))
        });
        if let (Poll::Ready(Some(_)), Some(pace)) = (&piece, &this.pace) {
            pace.given();
        }
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
            Kind::Stream(stream) => stream.left().map_or_else(SizeHint::default, SizeHint::with_exact),
            Kind::Control(body) => body.size_hint(),
            Kind::Ended => SizeHint::with_exact(0),
        }
    }
}
