//! Answers that are sent while they are made. What is held is bounded, a caller who takes nothing is
//! left. It must never know what the answers say.

use axum::body::{Body, Bytes};
use axum::response::Response;
use http::{HeaderValue, header};
use http_body_util::channel::{Channel, Sender};
use serde::Serialize;
use std::io::{self, Write};
use std::time::Duration;
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

/// Where an answer goes. Writing waits for the caller; to one who has gone it is a broken pipe.
pub struct Sink {
    sender: Sender<Bytes, io::Error>,
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
        let piece = Bytes::from(std::mem::take(&mut self.gathered));
        let sent = async { tokio::time::timeout(PATIENCE, self.sender.send_data(piece)).await };
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
    let (sender, body) = Channel::<Bytes, io::Error>::new(PIECES_MAX);
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || {
        let mut sink = Sink { sender, runtime, gathered: Vec::with_capacity(PIECE_BYTES) };
        let written = write(&mut sink).and_then(|()| Ok(sink.send()?));
        if let Err(cut) = written {
            if let Cut::Failed(error) = cut {
                tracing::error!("an answer is cut: {error}");
            }
            sink.sender.abort(io::Error::other("cut"));
        }
        drop(turn);
    });
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
