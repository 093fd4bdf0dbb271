//! What is answered to a request, and what goes wrong on the way.

use serde_json::Value;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Stands in bodies where the number of the request goes, in eight digits.
pub const NUMBER: &str = "@@@@@@@@";

/// An answer. Everything has a plain default: 200, the body whole, its length told.
#[derive(Clone, Debug, Default)]
pub struct Script {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) pieces: Vec<Vec<u8>>,
    pub(super) between: Duration,
    pub(super) framing: Framing,
    pub(super) coding: Option<Coding>,
    pub(super) before: Before,
    pub(super) stop: Option<Stop>,
}

/// How the body's end is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Framing {
    #[default]
    Length,
    Chunked,
    /// By the connection's end.
    Close,
}

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    Gzip,
    Deflate,
    /// Stored blocks: a valid stream that is not smaller.
    Brotli,
    Zstd,
}

/// What happens before the head.
#[derive(Clone, Debug, Default)]
pub(super) enum Before {
    #[default]
    Nothing,
    Wait(Duration),
    Gate(Gate),
    /// Nothing is ever sent.
    Never,
    Close,
    Reset,
    /// These bytes instead of an answer, then the end.
    Garbage(Vec<u8>),
}

/// Where the body stops before its end, in bytes as they stand on the wire without framing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stop {
    pub(super) after: u64,
    pub(super) how: How,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum How {
    Close,
    Reset,
    Stall,
    /// A broken chunk header or bytes past the length.
    Garbage,
}

impl Script {
    /// An answer with this body in one piece.
    #[must_use]
    pub fn body(content_type: &str, body: impl Into<Vec<u8>>) -> Script {
        Script {
            status: 200,
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            pieces: vec![body.into()],
            ..Script::default()
        }
    }

    /// A JSON answer.
    #[must_use]
    pub fn json(body: &Value) -> Script {
        Script::body("application/json", body.to_string())
    }

    /// A chunked stream of server-sent events, each text one piece.
    #[must_use]
    pub fn sse<T: AsRef<str>>(events: impl IntoIterator<Item = T>) -> Script {
        let pieces = events.into_iter().map(|event| event.as_ref().as_bytes().to_vec()).collect();
        Script { pieces, ..Script::body("text/event-stream", "") }.chunked()
    }

    /// A chunked stream of JSON lines, each one piece.
    #[must_use]
    pub fn lines(lines: impl IntoIterator<Item = Value>) -> Script {
        let pieces = lines.into_iter().map(|line| format!("{line}\n").into_bytes()).collect();
        Script { pieces, ..Script::body("application/x-ndjson", "") }.chunked()
    }

    /// Nothing is ever answered.
    #[must_use]
    pub fn never() -> Script {
        Script { before: Before::Never, ..Script::body("text/plain", "") }
    }

    /// The connection is closed instead of an answer.
    #[must_use]
    pub fn hangs_up() -> Script {
        Script { before: Before::Close, ..Script::body("text/plain", "") }
    }

    /// The connection is reset instead of an answer.
    #[must_use]
    pub fn resets() -> Script {
        Script { before: Before::Reset, ..Script::body("text/plain", "") }
    }

    /// These bytes instead of an answer.
    #[must_use]
    pub fn garbage(bytes: impl Into<Vec<u8>>) -> Script {
        Script { before: Before::Garbage(bytes.into()), ..Script::body("text/plain", "") }
    }

    #[must_use]
    pub fn status(mut self, status: u16) -> Script {
        self.status = status;
        self
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Script {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// In chunks, the length not told.
    #[must_use]
    pub fn chunked(mut self) -> Script {
        self.framing = Framing::Chunked;
        self
    }

    /// Neither length nor chunks: the connection's end is the body's.
    #[must_use]
    pub fn until_close(mut self) -> Script {
        self.framing = Framing::Close;
        self
    }

    /// The length is told, whatever it was before.
    #[must_use]
    pub fn with_length(mut self) -> Script {
        self.framing = Framing::Length;
        self
    }

    /// Compressed; the content-encoding header is set.
    #[must_use]
    pub fn coded(mut self, coding: Coding) -> Script {
        self.coding = Some(coding);
        self
    }

    /// In pieces of so many bytes instead of those it was made of.
    #[must_use]
    pub fn in_pieces_of(mut self, bytes: usize) -> Script {
        let whole = self.pieces.concat();
        self.pieces = whole.chunks(bytes.max(1)).map(<[u8]>::to_vec).collect();
        self
    }

    /// This long between one piece and the next.
    #[must_use]
    pub fn every(mut self, between: Duration) -> Script {
        self.between = between;
        self
    }

    /// The head comes this late.
    #[must_use]
    pub fn after(mut self, wait: Duration) -> Script {
        self.before = Before::Wait(wait);
        self
    }

    /// The head comes when the gate opens.
    #[must_use]
    pub fn behind(mut self, gate: &Gate) -> Script {
        self.before = Before::Gate(gate.clone());
        self
    }

    /// The connection is closed after so many bytes of the body.
    #[must_use]
    pub fn cut_after(self, bytes: u64) -> Script {
        self.stop(bytes, How::Close)
    }

    /// The connection is reset after so many bytes of the body.
    #[must_use]
    pub fn reset_after(self, bytes: u64) -> Script {
        self.stop(bytes, How::Reset)
    }

    /// Nothing more comes after so many bytes of the body; the connection stays.
    #[must_use]
    pub fn stall_after(self, bytes: u64) -> Script {
        self.stop(bytes, How::Stall)
    }

    /// After so many bytes of the body come bytes that are no HTTP.
    #[must_use]
    pub fn garbage_after(self, bytes: u64) -> Script {
        self.stop(bytes, How::Garbage)
    }

    fn stop(mut self, after: u64, how: How) -> Script {
        self.stop = Some(Stop { after, how });
        self
    }

    /// The body as it is before compression, [`NUMBER`] not filled in.
    #[must_use]
    pub fn plain_body(&self) -> Vec<u8> {
        self.pieces.concat()
    }
}

/// Holds answers back until it is opened.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn new() -> Gate {
        Gate::default()
    }

    /// Lets everybody through, for good.
    pub fn open(&self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.1.notify_all();
    }

    /// Whether it opened within the time.
    pub(super) fn pass(&self, limit: Duration) -> bool {
        let open = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.0.1.wait_timeout_while(open, limit, |open| !*open);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}
