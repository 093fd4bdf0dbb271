//! Foreign files and messages to events: the native JSON of the ingest API, recorded provider
//! answers, the logs of coding agents, and LiteLLM's spend logs.
//!
//! Everything here is handed bytes and instants and gives back [`tollbook_types::Event`]s and
//! [`Problem`]s. It must never know directories, files, the ledger or prices: whoever calls walks
//! the folders, and whoever records decides what is a duplicate.

mod answers;
pub mod claude_code;
pub mod codex;
pub mod json_lines;
pub mod lines;
pub mod litellm;
pub mod native;
pub mod problem;
mod quantities;
pub mod recorded;
mod rows;
mod text;

pub use problem::{Problem, code};
pub use quantities::{is_usage_member, usage_json};
pub(crate) use text::{content as content_of, error as error_text, fingerprint, tidy};

use lines::{Line, Lines};
use tollbook_types::{Event, Timestamp};

/// How far ahead of the receiver's clock an event may be, unless a window says otherwise.
pub const FUTURE_SECONDS_MAX: i64 = 5 * 60;
const DAY_SECONDS: i64 = 24 * 3_600;
/// Problems of one import that are kept with their text; the rest is counted.
pub const PROBLEMS_MAX: usize = 1_000;

/// What a parser needs to know beside the bytes.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Where the events come in: `api`, `jsonl`, `responses`, …
    pub source: &'a str,
    /// The present instant.
    pub now: Timestamp,
    /// The instant that every event gets, whatever it says itself.
    pub at: Option<Timestamp>,
    /// How far from `now` an event may be; `None` takes any past.
    pub window: Option<Window>,
}

/// How far from the present an event may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Seconds before the present.
    pub past_seconds: i64,
    /// Seconds after it.
    pub future_seconds: i64,
}

impl<'a> Context<'a> {
    /// Any past, at most five minutes of future.
    pub fn new(source: &'a str, now: Timestamp) -> Context<'a> {
        Context { source, now, at: None, window: None }
    }

    /// Why the instant cannot be, if it cannot.
    pub(crate) fn refuse(&self, at: Timestamp) -> Option<Problem> {
        let future = self.window.map_or(FUTURE_SECONDS_MAX, |window| window.future_seconds);
        let ahead = at.as_second().saturating_sub(self.now.as_second());
        if ahead > future {
            let detail = format!("{ahead} seconds ahead of now; at most {future} are taken");
            return Some(Problem::new(code::TIMESTAMP_FUTURE, detail));
        }
        if at.as_second() < 0 {
            return Some(Problem::new(code::TIMESTAMP_TOO_OLD, "before 1970".to_owned()));
        }
        let past = self.window?.past_seconds;
        (ahead < -past).then(|| {
            let detail =
                format!("more than {} days ago: what is older takes an admin's key", past / DAY_SECONDS);
            Problem::new(code::TIMESTAMP_TOO_OLD, detail)
        })
    }
}

/// Reads files of one format, one after the other, in pieces of any size.
pub trait FileReader {
    /// A file begins; `file` is the name that problems are reported under.
    fn open(&mut self, file: &str);
    /// The next bytes of the file.
    fn push(&mut self, bytes: &[u8]);
    /// The file is at its end.
    fn close(&mut self);
    /// Takes the events that are final already, in input order. Formats in which a later file can
    /// say more about a call have none before the end.
    fn drain(&mut self) -> Vec<Event> {
        Vec::new()
    }
    /// Every file has been read.
    fn finish(self) -> Import
    where
        Self: Sized;
    /// Reads one file at once.
    fn read(&mut self, file: &str, bytes: &[u8]) {
        self.open(file);
        self.push(bytes);
        self.close();
    }
}

/// What an import of files came to.
#[derive(Clone, Debug, Default)]
pub struct Import {
    /// One event for each call, oldest first.
    pub events: Vec<Event>,
    /// What could not be read, and where.
    pub problems: Vec<Located>,
    /// What was read and left out.
    pub counts: Counts,
}

/// A problem and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The file, as the caller named it.
    pub file: String,
    /// The line (or, in an array, the element), counted from 1.
    pub line: u64,
    /// What is wrong.
    pub problem: Problem,
}

/// What was read and what of it gave no event of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lines (or elements) read.
    pub lines: u64,
    /// Lines that report usage.
    pub usages: u64,
    /// Of these: repeats of a call that another line reports.
    pub repeated: u64,
    /// Of these: messages that the tool made itself and no model did.
    pub synthetic: u64,
    /// Of these: figures that are out of date or only a starting point.
    pub stale: u64,
    /// Of these: requests that were refused before any provider saw them.
    pub refused: u64,
    /// Lines still being written when they were read.
    pub partial: u64,
    /// Lines with a problem, also those whose text is not kept.
    pub bad: u64,
}

/// The one file that is being read, and what went wrong so far.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub file: String,
    pub line: u64,
    pub problems: Vec<Located>,
    pub counts: Counts,
}

impl Progress {
    pub fn start(&mut self, file: &str) {
        file.clone_into(&mut self.file);
        self.line = 0;
    }

    /// What the import came to.
    pub fn import(self, events: Vec<Event>) -> Import {
        Import { events, problems: self.problems, counts: self.counts }
    }

    pub fn bad(&mut self, problems: Vec<Problem>) {
        self.counts.bad += 1;
        for problem in problems {
            if self.problems.len() < PROBLEMS_MAX {
                self.problems.push(Located { file: self.file.clone(), line: self.line, problem });
            }
        }
    }

    /// A line as it came: what can be read of it, or `None` when there is nothing to read.
    pub fn take<'a>(&mut self, line: &Line<'a>) -> Option<&'a [u8]> {
        self.line = line.number;
        match line.bytes {
            None => {
                self.counts.lines += 1;
                let detail = format!("longer than {} bytes", tollbook_types::limits::LINE_BYTES_MAX);
                self.bad(vec![Problem::new(code::LINE_TOO_LONG, detail)]);
                None
            }
            Some(bytes) if bytes.iter().all(u8::is_ascii_whitespace) => None,
            Some(bytes) => {
                self.counts.lines += 1;
                Some(bytes)
            }
        }
    }
}

/// Gives the lines of `bytes` (of the whole rest when `None`) to a reader that owns the cutter.
pub(crate) fn each_line<R>(
    reader: &mut R,
    lines: fn(&mut R) -> &mut Lines,
    bytes: Option<&[u8]>,
    line: fn(&mut R, &Line<'_>),
) {
    let mut cutter = std::mem::take(lines(reader));
    let mut give = |found: Line<'_>| line(reader, &found);
    match bytes {
        Some(bytes) => cutter.push(bytes, &mut give),
        None => cutter.finish(&mut give),
    }
    *lines(reader) = cutter;
}
