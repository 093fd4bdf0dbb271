//! Answers that are sent while they are made. What is held is bounded, a caller who takes nothing is
//! left. It must never know what the answers say.
//!
//! An answer is whole when its maker has said so, and breaks off otherwise, also when its maker is simply
//! gone: nobody takes a part for the whole.

use axum::body::{Body, Bytes};
use axum::response::Response;
use http::{HeaderValue, header};
use http_body::Frame;
use serde::Serialize;
use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tollbook_store::StoreError;

/// The media type of JSON Lines.
pub const JSON_LINES: &str = "application/x-ndjson";
/// Bytes that are gathered before they are sent.
const PIECE_BYTES: usize = 64 * 1024;
/// Pieces that wait for the caller.
const PIECES_MAX: usize = 4;
/// How long a caller may take nothing.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why an answer ends before its last byte.
#[derive(Debug)]
pub enum Cut {
    /// The caller has gone, or takes nothing.
    Left,
    /// The store failed, or gave what cannot be said.
    Failed(String),
}

impl From<StoreError> for Cut {
    fn from(error: StoreError) -> Cut {
        Cut::Failed(error.to_string())
    }
}

impl From<io::Error> for Cut {
    fn from(error: io::Error) -> Cut {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Cut::Left,
            _ => Cut::Failed(error.to_string()),
        }
    }
}

/// What an answer is handed over in.
enum Piece {
    /// Some of it.
    Some(Bytes),
    /// There is no more.
    Whole,
}

/// The answer as it comes.
struct Pieces {
    pieces: Receiver<Piece>,
    is_over: bool,
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let piece = ready!(self.pieces.poll_recv(context));
        self.is_over = !matches!(piece, Some(Piece::Some(_)));
        Poll::Ready(match piece {
            Some(Piece::Some(bytes)) => Some(Ok(Frame::data(bytes))),
            Some(Piece::Whole) => None,
            None => Some(Err(io::Error::other("cut"))),
        })
    }
}

/// Where an answer goes. Writing waits for the caller; to one who has gone it is a broken pipe.
pub struct Sink {
    sender: Sender<Piece>,
    runtime: tokio::runtime::Handle,
    gathered: Vec<u8>,
}

impl Sink {
    /// Sends a line of JSON, with others.
    pub fn line(&mut self, value: &impl Serialize) -> Result<(), Cut> {
        serde_json::to_writer(&mut *self, value).map_err(io::Error::from)?;
        Ok(self.write_all(b"\n")?)
    }

    fn send(&mut self) -> io::Result<()> {
        let piece = Piece::Some(Bytes::from(std::mem::take(&mut self.gathered)));
        self.hand_over(piece)
    }

    fn end(mut self) -> io::Result<()> {
        self.send()?;
        self.hand_over(Piece::Whole)
    }

    fn hand_over(&mut self, piece: Piece) -> io::Result<()> {
        let sent = async { tokio::time::timeout(PATIENCE, self.sender.send(piece)).await };
        match self.runtime.block_on(sent) {
            Ok(Ok(())) => Ok(()),
            _ => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PIECE_BYTES);
        self.gathered.extend_from_slice(&bytes[..taken]);
        if self.gathered.len() >= PIECE_BYTES {
            self.send()?;
        }
        Ok(taken)
    }

    /// Nothing: what is gathered goes with the next piece, or at the answer's end.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An answer that `write` makes, on a thread that may wait. One that is cut breaks off, so that nobody
/// takes it for whole. `turn` is given back at its end.
pub fn answer<T: Send + 'static>(
    turn: T,
    media: &'static str,
    write: impl FnOnce(&mut Sink) -> Result<(), Cut> + Send + 'static,
) -> Response {
    let (sender, pieces) = mpsc::channel(PIECES_MAX);
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || {
        let mut sink = Sink { sender, runtime, gathered: Vec::with_capacity(PIECE_BYTES) };
        let written = write(&mut sink).and_then(|()| Ok(sink.end()?));
        if let Err(Cut::Failed(error)) = written {
            tracing::error!("an answer is cut: {error}");
        }
        drop(turn);
    });
    let mut response = Response::new(Body::new(Pieces { pieces, is_over: false }));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[test]
    fn an_answer_is_whole_only_if_its_maker_says_so() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.unwrap();
        let all = |write: fn(&mut Sink) -> Result<(), Cut>| {
            runtime.block_on(async move { answer((), JSON_LINES, write).into_body().collect().await })
        };
        let long = |sink: &mut Sink| Ok(sink.write_all(&[b'x'; 3 * PIECE_BYTES + 1])?);
        // A maker who is done at once: the answer may be asked for before, while and after it is made.
        for _ in 0..3_000 {
            let body = all(|sink| sink.line(&"made")).unwrap().to_bytes();
            assert_eq!(body, "\"made\"\n");
        }
        assert_eq!(all(long).unwrap().to_bytes().len(), 3 * PIECE_BYTES + 1);
        assert_eq!(all(|_| Ok(())).unwrap().to_bytes(), "");
        assert!(all(|sink| sink.line(&1).and(Err(Cut::Failed("the disk".to_owned())))).is_err());
        assert!(all(|sink| sink.line(&1).and(Err(Cut::Left))).is_err());
        assert!(all(|_| panic!("a maker that fails")).is_err());
    }
}
