//! Words of prompts and answers, kept where somebody switched that on.
//!
//! A call hands its words to a queue and goes on; one thread finds them, takes out what looks like a
//! secret, and gives them to the ledger. Without room in the queue they are dropped and counted: a call
//! never waits for them. It must never know SQL, or hold words without a bound.

mod redact;

pub use redact::Redactor;

use crate::core::{Place, Room};
use crate::counters::Count;
use bytes::Bytes;
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tollbook_ledger::{Ledger, LedgerError};
use tollbook_types::limits::{
    CAPTURE_BYTES_MAX, CAPTURED_BYTES_MAX, CAPTURED_BYTES_WAITING_MAX, CAPTURED_MARGIN_BYTES,
};
use tollbook_types::{Attribution, Capture, Captured, Timestamp};
use tollbook_usage::{Words, words_of_request};

/// Words of an answer that are read, beyond what is kept of them.
pub(crate) const READ_BYTES_MAX: usize = CAPTURED_BYTES_MAX + CAPTURED_MARGIN_BYTES;
/// Memory of a waiting call beside its words.
const OVERHEAD_BYTES: usize = 1024;
/// Calls whose words are written at once.
const BATCH: usize = 64;
/// How long is waited before a failed write is tried again, and how often.
const AGAIN: Duration = Duration::from_millis(500);
const TRIES: u32 = 3;

/// Whose words are kept, and what of them is not.
#[derive(Clone, Debug)]
pub struct CaptureOptions {
    /// Only those of calls to these upstreams; empty: to all.
    pub upstreams: Vec<String>,
    /// Only those of calls in these projects; empty: in all, and in none.
    pub projects: Vec<String>,
    /// What is taken out.
    pub redactor: Redactor,
    /// Bytes on the disk beyond which nothing more is kept.
    pub bytes_max: u64,
}

/// What became of captured words, by calls.
#[derive(Debug, Default)]
pub struct CaptureCounts {
    /// Kept.
    pub kept: Count,
    /// Dropped: too many were waiting.
    pub overrun: Count,
    /// Dropped: there is as much as may be.
    pub full: Count,
    /// Dropped: they could not be written.
    pub failed: Count,
}

/// Keeps the words of calls.
pub(crate) struct Recorder {
    upstreams: Vec<String>,
    projects: Vec<String>,
    counts: Arc<CaptureCounts>,
    waiting: Arc<Room>,
    sender: Mutex<Option<Sender<(Draft, Place)>>>,
    thread: Option<JoinHandle<()>>,
}

/// The words of one call as they came.
pub(crate) struct Draft {
    pub id: String,
    pub at: Timestamp,
    pub user: Option<String>,
    pub project: Option<String>,
    pub prompt: Prompt,
    pub answer: Option<Words>,
}

/// The beginning of a request's body.
#[derive(Clone, Debug)]
pub(crate) struct Prompt {
    body: Bytes,
    is_cut: bool,
}

impl Prompt {
    fn of(body: &[u8]) -> Prompt {
        let kept = body.len().min(CAPTURE_BYTES_MAX);
        // A copy: the body itself may be much larger, and goes when it is sent.
        Prompt { body: Bytes::copy_from_slice(&body[..kept]), is_cut: kept < body.len() }
    }
}

impl Recorder {
    /// Starts the thread that writes.
    pub fn start(
        options: CaptureOptions,
        ledger: Arc<Ledger>,
        counts: Arc<CaptureCounts>,
    ) -> io::Result<Recorder> {
        let (sender, receiver) = channel();
        let CaptureOptions { upstreams, projects, redactor, bytes_max } = options;
        let desk = Desk { ledger, redactor, bytes_max, counts: counts.clone() };
        let thread =
            std::thread::Builder::new().name("capture".to_owned()).spawn(move || desk.run(&receiver))?;
        let waiting = Room::new(CAPTURED_BYTES_WAITING_MAX);
        Ok(Recorder {
            upstreams,
            projects,
            counts,
            waiting,
            sender: Mutex::new(Some(sender)),
            thread: Some(thread),
        })
    }

    /// What of a request is to be kept, if anything of this call is.
    pub fn prompt(&self, upstream: &str, attribution: &Attribution, body: &[u8]) -> Option<Prompt> {
        let is_among = |names: &[String], name: Option<&str>| {
            names.is_empty() || name.is_some_and(|name| names.iter().any(|known| known == name))
        };
        let is_wanted = is_among(&self.upstreams, Some(upstream))
            && is_among(&self.projects, attribution.project.as_deref());
        is_wanted.then(|| Prompt::of(body))
    }

    /// Takes the words of a call that has ended.
    pub fn take(&self, draft: Draft) {
        let answer = draft.answer.as_ref().map_or(0, |words| words.text.len());
        let Some(place) = self.waiting.take(draft.prompt.body.len() + answer + OVERHEAD_BYTES) else {
            self.counts.overrun.add(1);
            return;
        };
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        if sender.as_ref().is_none_or(|sender| sender.send((draft, place)).is_err()) {
            self.counts.failed.add(1);
        }
    }
}

/// What is waiting is written before this returns.
impl Drop for Recorder {
    fn drop(&mut self) {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that keeps captured words panicked");
        }
    }
}

/// Where words are made fit to be kept.
struct Desk {
    ledger: Arc<Ledger>,
    redactor: Redactor,
    bytes_max: u64,
    counts: Arc<CaptureCounts>,
}

impl Desk {
    /// Until nobody can send any more and nothing waits.
    fn run(&self, receiver: &Receiver<(Draft, Place)>) {
        while let Ok((first, place)) = receiver.recv() {
            let (mut captures, mut places) = (vec![self.capture(first)], vec![place]);
            for (draft, place) in receiver.try_iter().take(BATCH - 1) {
                captures.push(self.capture(draft));
                places.push(place);
            }
            self.keep(captures);
        }
    }

    fn capture(&self, draft: Draft) -> Capture {
        let Draft { id, at, user, project, prompt, answer } = draft;
        let asked = words_of_request(&prompt.body);
        Capture {
            id,
            at,
            user,
            project,
            prompt: self.fit(&asked, prompt.is_cut),
            answer: answer.and_then(|words| self.fit(&words.text, words.is_cut)),
        }
    }

    /// Words as they may be kept; nothing where there are none.
    fn fit(&self, text: &str, is_cut: bool) -> Option<Captured> {
        // What was read beyond the end only judges what stands before it.
        let read = if is_cut { text.len().saturating_sub(CAPTURED_MARGIN_BYTES) } else { text.len() };
        let max = read.min(CAPTURED_BYTES_MAX);
        let is_cut = is_cut || max < text.len();
        (!text.is_empty()).then(|| Captured { text: self.redactor.redact(text, max), is_cut })
    }

    fn keep(&self, captures: Vec<Capture>) {
        let calls = captures.len() as u64;
        let mut kept = self.try_keep(&captures);
        for _ in 1..TRIES {
            if kept.is_ok() {
                break;
            }
            std::thread::sleep(AGAIN);
            kept = self.try_keep(&captures);
        }
        match kept {
            Ok(true) => self.counts.kept.add(calls),
            Ok(false) => self.counts.full.add(calls),
            Err(error) => {
                self.counts.failed.add(calls);
                tracing::warn!(%error, calls, "captured words could not be kept; the calls are recorded all the same");
            }
        }
    }

    /// Whether there was room.
    fn try_keep(&self, captures: &[Capture]) -> Result<bool, LedgerError> {
        if self.ledger.captured_bytes()? >= self.bytes_max {
            return Ok(false);
        }
        self.ledger.capture(captures.to_vec()).map(|()| true)
    }
}
