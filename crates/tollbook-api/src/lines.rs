//! Answers of JSON Lines that are sent while they are made. What is held is bounded, a caller who
//! takes nothing is left. It must never know what the lines say.

use crate::problem::Problem;
use axum::body::{Body, Bytes};
use axum::response::Response;
use http::{HeaderValue, header};
use http_body_util::channel::{Channel, Sender};
use serde::Serialize;
use std::time::Duration;
use tollbook_store::StoreError;

/// The media type of JSON Lines.
pub const MEDIA: &str = "application/x-ndjson";
/// Bytes that are gathered before they are sent.
const PIECE_BYTES: usize = 64 * 1024;
/// Pieces that wait for the caller.
const PIECES_MAX: usize = 4;
/// How long a caller may take nothing.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why an answer ends before its last line.
#[derive(Debug)]
pub enum Cut {
    /// The caller has gone, or takes nothing.
    Left,
    /// The store failed.
    Store(StoreError),
}

impl From<StoreError> for Cut {
    fn from(error: StoreError) -> Cut {
        Cut::Store(error)
    }
}

/// Where lines go.
pub struct Lines {
    sender: Sender<Bytes, std::io::Error>,
    runtime: tokio::runtime::Handle,
    gathered: Vec<u8>,
}

impl Lines {
    /// Sends a line, with others.
    pub fn line(&mut self, value: &impl Serialize) -> Result<(), Cut> {
        serde_json::to_writer(&mut self.gathered, value)
            .map_err(|error| Cut::Store(StoreError::Invalid(error.to_string())))?;
        self.gathered.push(b'\n');
        if self.gathered.len() < PIECE_BYTES { Ok(()) } else { self.send() }
    }

    fn send(&mut self) -> Result<(), Cut> {
        let piece = Bytes::from(std::mem::take(&mut self.gathered));
        let sent = async { tokio::time::timeout(PATIENCE, self.sender.send_data(piece)).await };
        match self.runtime.block_on(sent) {
            Ok(Ok(())) => Ok(()),
            _ => Err(Cut::Left),
        }
    }
}

/// An answer whose lines `write` makes, on a thread that may wait. One that is cut breaks off, so that
/// nobody takes it for whole. `turn` is given back at its end.
pub fn answer<T: Send + 'static>(
    turn: T,
    write: impl FnOnce(&mut Lines) -> Result<(), Cut> + Send + 'static,
) -> Result<Response, Problem> {
    let (sender, body) = Channel::<Bytes, std::io::Error>::new(PIECES_MAX);
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || {
        let mut lines = Lines { sender, runtime, gathered: Vec::with_capacity(PIECE_BYTES) };
        let written = write(&mut lines).and_then(|()| lines.send());
        if let Err(cut) = written {
            if let Cut::Store(error) = cut {
                tracing::error!("an answer of lines is cut: {error}");
            }
            lines.sender.abort(std::io::Error::other("cut"));
        }
        drop(turn);
    });
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
