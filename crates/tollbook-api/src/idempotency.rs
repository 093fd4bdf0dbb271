//! `Idempotency-Key`: a command that is sent again is not done again, for a day, also across a restart.
//!
//! What is kept of a command are digests and the id of what it made, never a body: a replay shows the
//! thing as it is now, without the texts that are told once. It is noted before the command is done and
//! after, each as a document in one of a fixed number of slots, so what is kept is bounded and a process
//! that dies in between leaves a command whose outcome is unknown, which is then said, not guessed.
//! It must never know what a command does.

use crate::access::Caller;
use crate::code::Code;
use crate::problem::Problem;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tollbook_ledger::Ledger;
use tollbook_types::{Digest, Timestamp};

/// The header that names a command.
pub const HEADER: &str = "idempotency-key";
/// What a replayed answer has.
pub const REPLAYED: (HeaderName, HeaderValue) =
    (HeaderName::from_static("idempotent-replayed"), HeaderValue::from_static("true"));
/// What a command may be refused with because of its key.
pub const CODES: &[Code] = &[
    Code::ParameterInvalid,
    Code::CommandRunning,
    Code::CommandUnknown,
    Code::IdempotencyKeyReused,
    // What it made then is gone by now.
    Code::NotFound,
];

/// How long a command is known.
const KEPT_HOURS: i64 = 24;
/// Commands that are known at once.
const SLOTS: u16 = 4_096;
const KEY_BYTES_MAX: usize = 255;
/// Where the documents are.
const DOCUMENTS: &str = "idempotency/";

/// A command that names itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Of caller, key and route.
    name: Digest,
    /// Of the body.
    body: Digest,
}

impl Asked {
    /// What the request names itself, if it does. The target is its method and path.
    pub fn of(
        headers: &HeaderMap,
        caller: &Caller,
        target: &str,
        body: &[u8],
    ) -> Result<Option<Asked>, Problem> {
        let mut told = headers.get_all(HEADER).iter();
        let text = match (told.next(), told.next()) {
            (None, _) => return Ok(None),
            (Some(text), None) => text.to_str().unwrap_or_default(),
            _ => "",
        };
        // A structured field's string stands in quotes; a bare word does as well.
        let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
        let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
        if text.is_empty() || text.len() > KEY_BYTES_MAX || !is_plain {
            let detail = format!("{HEADER} stands once and has 1 to {KEY_BYTES_MAX} visible characters");
            return Err(Problem::new(Code::ParameterInvalid, detail));
        }
        // Neither an id nor a target has a line break.
        let name = Digest::of(format!("{}\n{target}\n{text}", caller.0.id).as_bytes());
        Ok(Some(Asked { name, body: Digest::of(body) }))
    }
}

/// What becomes of a command.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    /// It was done now.
    Done(T),
    /// It was done before, and made or changed what has this id.
    Before(String),
}

/// A command as its slot keeps it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Kept {
    name: Digest,
    body: Digest,
    at: Timestamp,
    /// The id of what it made or changed; absent until it is done.
    done: Option<String>,
}

#[derive(Clone, Debug)]
struct Command {
    slot: u16,
    kept: Kept,
    is_running: bool,
}

/// The commands of the last day.
#[derive(Debug, Default)]
pub struct Commands(Mutex<Option<Known>>);

/// Read from the store when the first command comes.
#[derive(Debug)]
struct Known {
    commands: HashMap<Digest, Command>,
    free: Vec<u16>,
}

impl Commands {
    /// Does the work, unless it was done before. The work gives what it made, with its id.
    pub fn once<T>(
        &self,
        ledger: &Ledger,
        asked: Option<Asked>,
        now: Timestamp,
        work: impl FnOnce() -> Result<(T, String), Problem>,
    ) -> Result<Outcome<T>, Problem> {
        let Some(asked) = asked else { return work().map(|(made, _)| Outcome::Done(made)) };
        let command = match self.begin(ledger, asked, now)? {
            Begun::Before(id) => return Ok(Outcome::Before(id)),
            Begun::Now(command) => command,
        };
        // Whatever ends this early, a panic too, leaves a command whose outcome is unknown.
        let running = Running { commands: self, name: Some(asked.name) };
        if let Err(problem) = write(ledger, command.slot, Some(&command.kept)) {
            running.forget();
            return Err(problem);
        }
        match work() {
            Ok((made, id)) => {
                let done = Kept { done: Some(id), ..command.kept };
                if let Err(problem) = write(ledger, command.slot, Some(&done)) {
                    // After a restart its outcome would be unknown; until then it is known here.
                    tracing::warn!("a command was done and its end is not kept: {}", problem.detail);
                }
                running.done(done);
                Ok(Outcome::Done(made))
            }
            // Whether it was done is not known.
            Err(problem) if problem.code.status().is_server_error() => Err(problem),
            Err(problem) => {
                if let Err(unwritten) = write(ledger, command.slot, None) {
                    tracing::warn!("a refused command cannot be forgotten: {}", unwritten.detail);
                } else {
                    running.forget();
                }
                Err(problem)
            }
        }
    }

    fn begin(&self, ledger: &Ledger, asked: Asked, now: Timestamp) -> Result<Begun, Problem> {
        let mut state = self.state();
        let known = match state.as_mut() {
            Some(known) => known,
            None => state.insert(Known::load(ledger)?),
        };
        known.drop_old(now);
        if let Some(command) = known.commands.get(&asked.name) {
            return command.answer(asked);
        }
        let Some(slot) = known.free.pop() else {
            let detail =
                format!("{SLOTS} commands with an {HEADER} are known of the last day; no more are taken");
            return Err(Problem { retry_after_s: Some(60), ..Problem::new(Code::Busy, detail) });
        };
        let kept = Kept { name: asked.name, body: asked.body, at: now, done: None };
        let command = Command { slot, kept, is_running: true };
        known.commands.insert(asked.name, command.clone());
        Ok(Begun::Now(command))
    }

    fn state(&self) -> MutexGuard<'_, Option<Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Begun {
    Now(Command),
    Before(String),
}

impl Command {
    /// What the same name gets while this is known.
    fn answer(&self, asked: Asked) -> Result<Begun, Problem> {
        if self.kept.body != asked.body {
            let detail = format!("another body came with this {HEADER} before; choose another one");
            return Err(Problem::new(Code::IdempotencyKeyReused, detail));
        }
        match &self.kept.done {
            Some(id) => Ok(Begun::Before(id.clone())),
            None if self.is_running => {
                let problem =
                    Problem::new(Code::CommandRunning, "the same command is being done; send it again");
                Err(Problem { retry_after_s: Some(1), ..problem })
            }
            None => {
                let detail = format!(
                    "the same command began before and was interrupted: look whether it was done, then use another \
                     {HEADER} if it was not"
                );
                Err(Problem::new(Code::CommandUnknown, detail))
            }
        }
    }
}

impl Known {
    fn load(ledger: &Ledger) -> Result<Known, Problem> {
        let mut known = Known { commands: HashMap::new(), free: (0..SLOTS).rev().collect() };
        for document in ledger.store().controls(DOCUMENTS)? {
            let slot = document.key.strip_prefix(DOCUMENTS).and_then(|slot| slot.parse::<u16>().ok());
            let (Some(slot), Some(body)) = (slot, document.body) else { continue };
            let kept: Kept = serde_json::from_str(&body).map_err(|error| {
                tracing::error!("the document {} cannot be read: {error}", document.key);
                Problem::internal()
            })?;
            known.free.retain(|free| *free != slot);
            known.commands.insert(kept.name, Command { slot, kept, is_running: false });
        }
        Ok(known)
    }

    /// Makes room of what is older than it has to be. The slot's document stays until the next one.
    fn drop_old(&mut self, now: Timestamp) {
        let is_old = |command: &Command| {
            !command.is_running && now.duration_since(command.kept.at).as_hours() >= KEPT_HOURS
        };
        let old: Vec<Digest> =
            self.commands.iter().filter(|(_, command)| is_old(command)).map(|(name, _)| *name).collect();
        self.free
            .extend(old.iter().filter_map(|name| self.commands.remove(name)).map(|command| command.slot));
    }
}

/// A command that is being done; what is neither done nor forgotten has an unknown outcome.
struct Running<'a> {
    commands: &'a Commands,
    name: Option<Digest>,
}

impl Running<'_> {
    fn done(self, kept: Kept) {
        self.change(|command| command.kept = kept);
    }

    /// It changed nothing: the same name may come again, with whatever body.
    fn forget(mut self) {
        let (Some(name), mut state) = (self.name.take(), self.commands.state()) else { return };
        if let Some(known) = state.as_mut() {
            known.free.extend(known.commands.remove(&name).map(|command| command.slot));
        }
    }

    fn change(&self, change: impl FnOnce(&mut Command)) {
        let mut state = self.commands.state();
        let commands = state.as_mut().map(|known| &mut known.commands);
        if let (Some(commands), Some(name)) = (commands, &self.name) {
            commands.entry(*name).and_modify(change);
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.change(|command| command.is_running = false);
    }
}

fn write(ledger: &Ledger, slot: u16, kept: Option<&Kept>) -> Result<(), Problem> {
    // Digests, an instant and an id; writing them cannot fail.
    let body = kept.map(|kept| serde_json::to_string(kept).unwrap_or_default());
    ledger.control(&format!("{DOCUMENTS}{slot:04}"), body)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_is_not_begun_again() {
        let at: Timestamp = "2026-11-22T10:31:00Z".parse().unwrap();
        let asked = |body: &[u8]| Asked { name: Digest::of(b"a"), body: Digest::of(body) };
        let kept = Kept { name: Digest::of(b"a"), body: Digest::of(b"1"), at, done: None };
        let running = Command { slot: 0, kept: kept.clone(), is_running: true };
        let interrupted = Command { is_running: false, ..running.clone() };
        let done = Command { kept: Kept { done: Some("key_1".into()), ..kept }, ..interrupted.clone() };
        let code = |command: &Command, body: &[u8]| match command.answer(asked(body)) {
            Ok(Begun::Before(id)) => id,
            Ok(Begun::Now(_)) => "begun".to_owned(),
            Err(problem) => format!("{} {:?}", problem.code.name(), problem.retry_after_s),
        };
        for (command, body, wanted) in [
            (&running, b"1", "command_running Some(1)"),
            (&running, b"2", "idempotency_key_reused None"),
            (&interrupted, b"1", "command_unknown None"),
            (&done, b"1", "key_1"),
            (&done, b"2", "idempotency_key_reused None"),
        ] {
            assert_eq!(code(command, body), wanted);
        }

        let mut known = Known { commands: HashMap::new(), free: Vec::new() };
        let later = at + jiff::SignedDuration::from_hours(KEPT_HOURS);
        for (command, is_kept) in [(running, true), (interrupted, false), (done, false)] {
            known.commands.insert(command.kept.name, command);
            known.drop_old(later);
            assert_eq!(known.commands.len(), usize::from(is_kept), "what runs is never dropped");
        }
    }
}
