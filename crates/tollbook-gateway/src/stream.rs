//! An upstream's body on its way to the caller, as it comes.

use crate::answering::{Answering, Step};
use crate::ask::Hider;
use crate::cost::Comment;
use crate::refusal;
use bytes::Bytes;
use http_body::Frame;
use std::collections::VecDeque;
use std::task::{Context, Poll};

/// What is done to a stream of server-sent events on its way. All else passes as it is.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    /// The shape in which an error is told; absent where the body is no such stream.
    pub errors: Option<refusal::ErrorShape>,
    /// Takes out what the usage question brought.
    pub hider: Option<Hider>,
    /// Tells the cost before the end.
    pub comment: Option<Comment>,
}

impl Shape {
    /// Whether bytes pass as they are.
    pub fn is_plain(&self) -> bool {
        self.hider.is_none() && self.comment.is_none()
    }
}

/// Why a body ends before its end: the connection is closed then.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Broken(pub String);

/// The next piece of a body.
pub(crate) type Piece = Poll<Option<Result<Frame<Bytes>, Broken>>>;

/// An upstream's body on its way to the caller.
pub(crate) struct Stream {
    answering: Answering,
    shape: Shape,
    /// Pieces that go out before anything else.
    ready: VecDeque<Bytes>,
    /// The next piece begins a line.
    at_line: bool,
    state: State,
}

enum State {
    Running,
    /// What is ready goes out, then that was all.
    Ended,
    /// What is ready goes out and is flushed, then the connection is closed.
    Failed(String),
    Closing(String),
}

impl Stream {
    pub fn new(answering: Answering, shape: Shape) -> Stream {
        Stream { answering, shape, ready: VecDeque::new(), at_line: true, state: State::Running }
    }

    /// Whether nothing more comes.
    pub fn is_over(&self) -> bool {
        let is_over = match self.state {
            State::Running => self.answering.is_over(),
            State::Ended => true,
            State::Failed(_) | State::Closing(_) => false,
        };
        is_over && self.ready.is_empty()
    }

    /// Bytes that are still to come, where that is known.
    pub fn left(&self) -> Option<u64> {
        self.answering.left().filter(|_| self.shape.is_plain() && self.ready.is_empty())
    }

    /// The next piece.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Piece {
        loop {
            while let Some(ready) = self.ready.pop_front() {
                if !ready.is_empty() {
                    return Poll::Ready(Some(Ok(Frame::data(ready))));
                }
            }
            match &mut self.state {
                State::Running => {}
                State::Ended => return Poll::Ready(None),
                State::Failed(why) => {
                    // What has been given out is flushed only when nothing more is at hand.
                    self.state = State::Closing(std::mem::take(why));
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                State::Closing(why) => return Poll::Ready(Some(Err(Broken(std::mem::take(why))))),
            }
            match std::task::ready!(self.answering.poll_next(cx)) {
                Step::Data(data) if self.shape.is_plain() => {
                    if self.shape.errors.is_some() && says_done(&data, &mut self.at_line) {
                        self.answering.end_call();
                    }
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Step::Data(data) => self.reshape(data),
                Step::Trailers(trailers) => return Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
                Step::End(_) => {
                    self.flush();
                    self.state = State::Ended;
                }
                Step::Failed { why, .. } => {
                    self.flush();
                    let event = self.shape.errors.map(|shape| refusal::stream_error(shape, &why));
                    self.ready.extend(event);
                    self.state = State::Failed(why);
                }
            }
        }
    }

    fn reshape(&mut self, data: Bytes) {
        let mut pieces = Vec::new();
        match &mut self.shape.hider {
            Some(hider) => hider.push(data, &mut pieces),
            None => pieces.push(data),
        }
        self.pass(pieces);
    }

    fn pass(&mut self, pieces: Vec<Bytes>) {
        let Stream { answering, shape, ready, at_line, .. } = self;
        for piece in pieces {
            match &mut shape.comment {
                Some(comment) => comment.push(piece, &mut || answering.end_call(), ready),
                None => {
                    if says_done(&piece, at_line) {
                        answering.end_call();
                    }
                    ready.push_back(piece);
                }
            }
        }
    }

    /// What is held back for more that does not come.
    fn flush(&mut self) {
        let mut pieces = Vec::new();
        if let Some(hider) = &mut self.shape.hider {
            hider.finish(&mut pieces);
        }
        self.pass(pieces);
        if let Some(comment) = &mut self.shape.comment {
            comment.finish(&mut self.ready);
        }
    }
}

/// Whether a piece ends a stream of server-sent events, so that a caller may leave after it: its last
/// line that is not blank is the one that says so.
fn says_done(data: &[u8], at_line: &mut bool) -> bool {
    let began_line = *at_line;
    let Some(last) = data.last() else { return false };
    *at_line = matches!(last, b'\n' | b'\r');
    let text = data.trim_ascii_end();
    let before = text.strip_suffix(b"data: [DONE]").or_else(|| text.strip_suffix(b"data:[DONE]"));
    before.is_some_and(|before| before.last().map_or(began_line, |last| matches!(last, b'\n' | b'\r')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_said_on_a_line_of_its_own() {
        let cases: [(&[&str], bool); 6] = [
            (&["data: {}\n\ndata: [DONE]\n\n"], true),
            (&["data: {}\n\n", "data: [DONE]"], true),
            (&["data:[DONE]\r\n"], true),
            (&["data: {\"x\":\"data: [DONE]"], false),
            (&["data: {\"x\":\"", "data: [DONE]"], false),
            (&["data: [DONE]\n\ndata: {}\n\n"], false),
        ];
        for (pieces, wanted) in cases {
            let mut at_line = true;
            let found = pieces.iter().map(|piece| says_done(piece.as_bytes(), &mut at_line)).last();
            assert_eq!(found, Some(wanted), "{pieces:?}");
        }
    }
}
