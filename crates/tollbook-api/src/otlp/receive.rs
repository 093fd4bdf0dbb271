//! Bodies of telemetry: larger than other bodies, since prompts travel in them, and therefore bounded
//! together as well as each.

use super::answer::Format;
use crate::body::Encoding;
use crate::code::Code;
use crate::problem::Problem;
use axum::body::Body;
use flate2::write::MultiGzDecoder;
use http::HeaderMap;
use http_body_util::BodyExt;
use std::io::{self, Write};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tollbook_types::limits::{TELEMETRY_BYTES_AT_ONCE_MAX, TELEMETRY_BYTES_MAX};

/// Room is taken in such steps.
const STEP_BYTES: usize = 64 * 1024;

/// Room for all bodies that are in memory at once.
pub struct Room(Arc<Semaphore>);

impl Default for Room {
    fn default() -> Room {
        Room::of(TELEMETRY_BYTES_AT_ONCE_MAX)
    }
}

impl Room {
    fn of(bytes: usize) -> Room {
        Room(Arc::new(Semaphore::new(bytes / STEP_BYTES)))
    }
}

/// Bytes that grow as long as there is room; what they took is free again when they are dropped.
pub struct Bytes {
    room: Arc<Semaphore>,
    taken: Vec<OwnedSemaphorePermit>,
    bytes: Vec<u8>,
}

/// Why bytes cannot grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Full {
    /// The body is larger than any may be.
    Own,
    /// Others take the room.
    Others,
}

impl Bytes {
    fn new(room: &Room) -> Bytes {
        Bytes { room: room.0.clone(), taken: Vec::new(), bytes: Vec::new() }
    }

    /// The bytes so far.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    fn push(&mut self, more: &[u8]) -> Result<(), Full> {
        let wanted = self.bytes.len().saturating_add(more.len());
        if wanted > TELEMETRY_BYTES_MAX {
            return Err(Full::Own);
        }
        while self.taken.len() * STEP_BYTES < wanted {
            let permit = self.room.clone().try_acquire_owned().map_err(|_| Full::Others)?;
            self.taken.push(permit);
            // Exactly what was taken: a vector that grows by itself would take twice that.
            self.bytes.reserve_exact(self.taken.len() * STEP_BYTES - self.bytes.len());
        }
        self.bytes.extend_from_slice(more);
        Ok(())
    }
}

impl From<Full> for Problem {
    fn from(full: Full) -> Problem {
        match full {
            Full::Own => {
                let detail = format!(
                    "a body of telemetry has at most {TELEMETRY_BYTES_MAX} bytes, decoded too; send smaller batches"
                );
                Problem::new(Code::BodyTooLarge, detail)
            }
            Full::Others => {
                let problem = Problem::new(Code::Busy, "too much to do; try again");
                Problem { retry_after_s: Some(2), ..problem }
            }
        }
    }
}

/// The encoding that the headers tell: none or gzip.
pub fn encoding(headers: &HeaderMap) -> Result<Encoding, Problem> {
    match Encoding::of(headers) {
        Ok(encoding @ (Encoding::Identity | Encoding::Gzip)) => Ok(encoding),
        _ => {
            let detail = "content-encoding is gzip or absent, once";
            Err(Problem::new(Code::UnsupportedEncoding, detail))
        }
    }
}

/// Reads a body, decoding it as it comes.
pub async fn read(room: &Room, encoding: Encoding, mut body: Body) -> Result<Bytes, Problem> {
    let mut sink = match encoding {
        Encoding::Identity => Sink::Plain(Bytes::new(room)),
        _ => Sink::Gzip(Box::new(MultiGzDecoder::new(Gunzipped { bytes: Bytes::new(room), full: None }))),
    };
    while let Some(frame) = body.frame().await {
        let frame = frame
            .map_err(|_| Problem::new(Code::BodyIncomplete, "the request's body did not come to its end"))?;
        if let Ok(data) = frame.into_data() {
            sink.push(&data)?;
        }
    }
    sink.finish()
}

enum Sink {
    Plain(Bytes),
    Gzip(Box<MultiGzDecoder<Gunzipped>>),
}

/// What comes out of the decoder, which knows errors of I/O only.
struct Gunzipped {
    bytes: Bytes,
    full: Option<Full>,
}

impl Write for Gunzipped {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        match self.bytes.push(more) {
            Ok(()) => Ok(more.len()),
            Err(full) => {
                self.full = Some(full);
                Err(io::ErrorKind::StorageFull.into())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink {
    fn push(&mut self, data: &[u8]) -> Result<(), Problem> {
        match self {
            Sink::Plain(bytes) => Ok(bytes.push(data)?),
            Sink::Gzip(decoder) => {
                decoder.write_all(data).map_err(|_| decoder.get_ref().full.map_or_else(broken, Problem::from))
            }
        }
    }

    fn finish(self) -> Result<Bytes, Problem> {
        match self {
            Sink::Plain(bytes) => Ok(bytes),
            Sink::Gzip(mut decoder) => {
                let done = decoder.try_finish();
                let full = decoder.get_ref().full;
                match (done, full, decoder.finish()) {
                    (Ok(()), None, Ok(out)) => Ok(out.bytes),
                    (_, full, _) => Err(full.map_or_else(broken, Problem::from)),
                }
            }
        }
    }
}

fn broken() -> Problem {
    Problem::new(Code::EncodingInvalid, "the body is not what its content-encoding says")
}

/// How the body is written, and so is the answer.
pub fn format(headers: &HeaderMap) -> Result<Format, Problem> {
    let told =
        headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let name = told.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match name.as_str() {
        "application/x-protobuf" | "application/protobuf" => Ok(Format::Protobuf),
        "application/json" => Ok(Format::Json),
        _ => {
            let detail = "content-type is application/x-protobuf or application/json";
            Err(Problem::new(Code::UnsupportedMediaType, detail))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_bounded_together_and_leave_room_again() {
        let room = Room::of(3 * STEP_BYTES);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let take = |bytes: usize| runtime.block_on(read(&room, Encoding::Identity, vec![7; bytes].into()));
        let first = take(2 * STEP_BYTES).map_err(|problem| problem.code).unwrap();
        let refused = take(STEP_BYTES + 1).map(|_| ()).unwrap_err();
        assert_eq!((refused.code, refused.retry_after_s), (Code::Busy, Some(2)));
        assert!(take(STEP_BYTES).is_ok());
        drop(first);
        assert!(take(3 * STEP_BYTES).is_ok_and(|body| body.as_slice() == vec![7; 3 * STEP_BYTES]));
        let refused = runtime.block_on(read(
            &Room::default(),
            Encoding::Identity,
            vec![7; TELEMETRY_BYTES_MAX + 1].into(),
        ));
        assert_eq!(refused.map(|_| ()).unwrap_err().code, Code::BodyTooLarge);
    }
}
