//! A request's body as it goes out: held, or passed on as it comes.

use crate::core::Place;
use crate::inbound::{Inbound, InboundError};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};

/// A request's body as it goes out.
#[derive(Debug)]
pub(crate) struct Outbound {
    /// What has been read of it already.
    held: Option<Bytes>,
    /// What is still to come.
    rest: Option<Box<Inbound>>,
    /// The memory that is counted for it.
    _place: Option<Place>,
}

impl Outbound {
    /// A body that is at hand.
    pub fn whole(body: Bytes) -> Outbound {
        Outbound { held: (!body.is_empty()).then_some(body), rest: None, _place: None }
    }

    /// Gives the memory that is counted for it back when it is gone.
    pub fn counted(self, place: Option<Place>) -> Outbound {
        Outbound { _place: place, ..self }
    }

    /// A body of which only the beginning is at hand.
    pub fn partly(head: Bytes, rest: Inbound) -> Outbound {
        let rest = (!rest.is_end_stream()).then(|| Box::new(rest));
        Outbound { held: (!head.is_empty()).then_some(head), rest, _place: None }
    }
}

impl Body for Outbound {
    type Data = Bytes;
    type Error = InboundError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, InboundError>>> {
        let this = self.get_mut();
        if let Some(held) = this.held.take() {
            return Poll::Ready(Some(Ok(Frame::data(held))));
        }
        match &mut this.rest {
            Some(rest) => Pin::new(&mut **rest).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_none() && self.rest.as_ref().is_none_or(|rest| rest.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let held = self.held.as_ref().map_or(0, |held| held.len() as u64);
        let Some(rest) = &self.rest else { return SizeHint::with_exact(held) };
        let rest = rest.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(held.saturating_add(rest.lower()));
        if let Some(upper) = rest.upper() {
            hint.set_upper(held.saturating_add(upper));
        }
        hint
    }
}
