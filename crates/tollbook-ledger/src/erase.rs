//! Erasing a person: an order is a record of the journal, and is kept for ever in `erasures.jsonl`.
//!
//! The record is applied like any other, in one transaction with its position. Before that the
//! writer puts it into the file, fsynced, so that it outlives its segment; and whatever of the person
//! comes later out of a journal, a backup or a slow producer is erased on its way into the store.
//! Neither record nor file holds the person's name: see [`tollbook_types::Erasure`].

use crate::append::Drafts;
use crate::audit::{Act, By};
use crate::cipher::lines::{LineReader, LineWriter};
use crate::dir::DataDir;
use crate::error::{LedgerError, at};
use crate::journal::record::{Body, Kind};
use crate::journal::sync_dir;
use crate::keys;
use crate::ledger::Ledger;
use crate::resolve::{Outcome, Record, RecordBody};
use crate::shared::Shared;
use std::borrow::Cow;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::time::Duration;
use tollbook_store::{CallsOrder, CallsQuery, Dimension, Filter, Interval, Store, UsageQuery, View, Zone};
use tollbook_types::record::BodyHash;
use tollbook_types::{
    Attribution, Entry, Eraser, Erasure, Erasures, OpenCall, Seq, TimeRange, Timestamp, limits,
};

/// How often it is tried to overwrite what readers still hold, and how long is waited between.
const SCRUB_TRIES: u32 = 20;
const SCRUB_WAIT: Duration = Duration::from_millis(100);

/// Whom to erase, and why.
#[derive(Clone, Debug)]
pub struct ErasureOrder {
    /// The person, as `user` of their calls.
    pub user: String,
    /// Only in this project.
    pub project: Option<String>,
    /// For people; kept for ever, without the person's name.
    pub reason: String,
}

/// What an erasure did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erased {
    /// The erasure as it is kept.
    pub erasure: Arc<Erasure>,
    /// Calls under the pseudonym.
    pub calls: u64,
    /// Keys of the person that were revoked.
    pub keys: u64,
    /// Whether the store's free places are overwritten. If not, a reader was in the way or the disk
    /// is too full; it is tried again with the next erasure, `retain` and start.
    pub is_scrubbed: bool,
    /// What a person has to look after, in words.
    pub notes: Vec<String>,
}

impl Ledger {
    /// Takes a person out of everything that is kept of calls that occurred up to now, and revokes
    /// their keys. Sums stay. On return it outlives the process, the power and a restore.
    pub fn erase(&self, by: &By, order: &ErasureOrder) -> Result<Erased, LedgerError> {
        check(order)?;
        self.flush()?;
        let erasure = Arc::new(self.erasure(order)?);
        // Calls that a correction put on the person's account are found only now.
        self.forget_captured_calls(order, erasure.before)?;
        self.audit(by, Act::new("person.erase").on("person", erasure.pseudonym.as_str()))?;
        let mut drafts = Drafts::default();
        drafts.json(Kind::Erase, &*erasure, RecordBody::Erase(erasure.clone()), Vec::new())?;
        let outcomes = self.append_and_wait(drafts)?;
        if !matches!(outcomes[..], [Outcome::Applied { .. }]) {
            return Err(LedgerError::Invalid("the erasure was not applied; order it again".to_owned()));
        }
        self.forget_captures()?;
        let mut notes = leftovers(&self.shared().dir);
        let keys = self.erase_keys(&self.shared().erasures())?;
        self.erase_members(&self.shared().erasures())?;
        self.erase_alerts(&self.shared().erasures())?;
        notes.extend(self.erase_limits(&self.shared().erasures())?);
        // The segments that still name the person grow no older than they must.
        if let Err(error) = self.begin_segment() {
            notes.push(format!("the journal's open segment stays open: {error}"));
        }
        let is_scrubbed = self.scrub().unwrap_or_else(|error| {
            notes.push(format!("the store's free places are not overwritten yet: {error}"));
            false
        });
        let calls = self.calls_of(&erasure.pseudonym)?;
        Ok(Erased { erasure, calls, keys, is_scrubbed, notes })
    }

    /// Every erasure, oldest first.
    pub fn erasures(&self) -> Vec<Arc<Erasure>> {
        self.shared().erasures().list()
    }

    /// The erasures that were of a user, oldest first.
    pub fn erasures_of(&self, user: &str) -> Vec<Arc<Erasure>> {
        self.shared().erasures().of_user(user).to_vec()
    }

    /// Overwrites what erasures took out and the store's file may still hold in places that are
    /// free, if there is any. False while a reader is in the way.
    pub fn scrub(&self) -> Result<bool, LedgerError> {
        for _ in 0..SCRUB_TRIES {
            if self.store().scrub()? {
                return Ok(true);
            }
            std::thread::sleep(SCRUB_WAIT);
        }
        Ok(false)
    }

    /// Does what an earlier process, or a restore, left undone.
    pub(crate) fn finish_erasures(&self) -> Result<(), LedgerError> {
        let known = self.shared().erasures();
        let mut drafts = Drafts::default();
        let applied = self.store().erasures()?;
        for erasure in known.list() {
            if applied.iter().all(|done| done.id != erasure.id) {
                drafts.json(Kind::Erase, &*erasure, RecordBody::Erase(erasure.clone()), Vec::new())?;
            }
        }
        self.append_and_wait(drafts)?;
        if !known.is_empty() {
            self.erase_keys(&known)?;
            self.erase_members(&known)?;
        }
        // A disk without room for it is no reason not to start.
        self.scrub().map(drop).or_else(|error| match error {
            LedgerError::Store(_) => Ok(()),
            other => Err(other),
        })
    }

    fn erasure(&self, order: &ErasureOrder) -> Result<Erasure, LedgerError> {
        let now = self.shared().clock.now();
        let newest = self.newest_call(&order.user, now)?;
        // Clocks of producers go ahead a little: what is recorded already is meant, too.
        let last = newest.map_or(now, |newest| newest.max(now));
        let before = Timestamp::from_microsecond(last.as_microsecond() + 1);
        let ledger_id = self.store().position()?.ledger_id;
        let mut erasure = Erasure {
            id: keys::new_id("erasure_", now)?,
            subject: Erasure::subject(&ledger_id, &order.user),
            project: order.project.clone(),
            pseudonym: Erasure::pseudonym(&keys::random_word()?),
            before: before.map_err(|error| LedgerError::Invalid(error.to_string()))?,
            at: now,
            reason: String::new(),
        };
        erasure.reason = Eraser::new(&erasure, &order.user).text(&order.reason);
        Ok(erasure)
    }

    /// How many calls a user has, as far as the store has them one by one or in sums.
    fn calls_of(&self, user: &str) -> Result<u64, LedgerError> {
        let report = self.store().usage(&UsageQuery {
            range: TimeRange::ALL,
            interval: Interval::None,
            zone: Zone::UTC,
            group_by: Vec::new(),
            filters: vec![Filter::is(Dimension::User, user)],
            view: View::Corrected,
        })?;
        Ok(report.total.calls)
    }

    /// When the user's latest call at or after an instant occurred.
    fn newest_call(&self, user: &str, from: Timestamp) -> Result<Option<Timestamp>, LedgerError> {
        let page = self.store().calls(&CallsQuery {
            range: TimeRange { from: Some(from), to: None },
            filters: vec![Filter::is(Dimension::User, user)],
            order: CallsOrder::Newest,
            after: None,
            limit: 1,
        })?;
        Ok(page.calls.first().map(|call| call.entry.event.occurred_at))
    }
}

fn check(order: &ErasureOrder) -> Result<(), LedgerError> {
    let ErasureOrder { user, project, reason } = order;
    let invalid = |what: &str| Err(LedgerError::Invalid(what.to_owned()));
    if user.is_empty() || user.len() > limits::NAME_BYTES_MAX {
        return invalid("a user's name has 1 to 256 bytes");
    }
    if Erasure::is_pseudonym(user) {
        return invalid("that is a pseudonym: the person behind it has been erased");
    }
    if project.as_ref().is_some_and(|project| project.len() > limits::NAME_BYTES_MAX) {
        return invalid("a project's name has at most 256 bytes");
    }
    if reason.is_empty() || reason.len() > limits::ERROR_BYTES_MAX {
        return invalid("a reason has 1 to 1,024 bytes");
    }
    Ok(())
}

/// Copies of the store that a restore put aside hold everything that was in them.
fn leftovers(dir: &DataDir) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir.path()) else { return Vec::new() };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let aside = names.filter(|name| name.starts_with("store.replaced"));
    aside.map(|name| format!("{name} is a store of before and still names the person: delete it")).collect()
}

impl Shared {
    /// The erasures known so far.
    pub fn erasures(&self) -> Arc<Erasures> {
        self.erasures.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Keeps an erasure for ever, if it is not kept yet: on return it is on the disk.
    fn keep_erasure(&self, seq: Seq, erasure: &Arc<Erasure>) -> Result<(), LedgerError> {
        if self.erasures().has(&erasure.id) {
            return Ok(());
        }
        write_line(&self.dir, seq, erasure)?;
        let mut known = self.erasures.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        Arc::make_mut(&mut known).add(erasure.clone());
        Ok(())
    }

    /// The records as they go into the store: those of persons who were erased, without them.
    /// Orders among them are kept first, and are of the others already.
    pub(crate) fn without_erased<'a>(&self, records: &'a [Record]) -> Result<Cow<'a, [Record]>, LedgerError> {
        for record in records {
            if let RecordBody::Erase(erasure) = &record.body {
                self.keep_erasure(record.seq, erasure)?;
            }
        }
        let known = self.erasures();
        if known.is_empty() {
            return Ok(Cow::Borrowed(records));
        }
        let mut changed: Option<Vec<Record>> = None;
        for (index, record) in records.iter().enumerate() {
            let occurred = |entry: Seq| occurred_at(self.store.as_ref(), records, entry);
            if let Some(body) = erased_body(&known, &record.body, occurred)? {
                changed.get_or_insert_with(|| records.to_vec())[index].body = body;
            }
        }
        Ok(changed.map_or(Cow::Borrowed(records), Cow::Owned))
    }
}

/// When the call at a position occurred, in the same group or in the store.
fn occurred_at(store: &dyn Store, group: &[Record], entry: Seq) -> Result<Option<Timestamp>, LedgerError> {
    for record in group {
        if let (true, RecordBody::Event(found)) = (record.seq == entry, &record.body) {
            return Ok(Some(found.event.occurred_at));
        }
    }
    Ok(store.call(entry)?.map(|call| call.entry.event.occurred_at))
}

/// What a record says without the person, if an erasure is of it.
fn erased_body(
    known: &Erasures,
    body: &RecordBody,
    occurred: impl Fn(Seq) -> Result<Option<Timestamp>, LedgerError>,
) -> Result<Option<RecordBody>, LedgerError> {
    Ok(match body {
        RecordBody::Event(entry) => {
            erased_entry(known, entry).map(|entry| RecordBody::Event(Arc::new(entry)))
        }
        RecordBody::Open(call) => erased_open(known, call).map(|call| RecordBody::Open(Arc::new(call))),
        RecordBody::Adjust(adjustment) => {
            let who = &adjustment.attribution;
            let Some(name) = who.user.as_deref().filter(|name| !known.of_user(name).is_empty()) else {
                return Ok(None);
            };
            let Some(at) = occurred(adjustment.entry)? else { return Ok(None) };
            known.of(who, at).map(|erasure| {
                let mut erased = (**adjustment).clone();
                Eraser::new(erasure, name).adjustment(&mut erased);
                RecordBody::Adjust(Arc::new(erased))
            })
        }
        _ => None,
    })
}

/// The entry without the person, if an erasure is of it.
pub(crate) fn erased_entry(known: &Erasures, entry: &Entry) -> Option<Entry> {
    let (erasure, name) = of(known, &entry.event.attribution, entry.event.occurred_at)?;
    let mut erased = entry.clone();
    Eraser::new(erasure, name).event(&mut erased.event);
    Some(erased)
}

/// The open call without the person, if an erasure is of it.
pub(crate) fn erased_open(known: &Erasures, call: &OpenCall) -> Option<OpenCall> {
    let (erasure, name) = of(known, &call.attribution, call.occurred_at)?;
    let mut erased = call.clone();
    Eraser::new(erasure, name).open_call(&mut erased);
    Some(erased)
}

fn of<'a>(known: &'a Erasures, who: &'a Attribution, at: Timestamp) -> Option<(&'a Arc<Erasure>, &'a str)> {
    known.of(who, at).zip(who.user.as_deref())
}

/// What `erasures.jsonl` holds. A line is written like a record of the journal.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// The erasures.
    pub erasures: Vec<Arc<Erasure>>,
    /// Lines that are none.
    pub damage: Vec<String>,
}

impl Kept {
    /// Reads the file; one that is not there holds nothing.
    pub fn read(dir: &DataDir) -> Result<Kept, LedgerError> {
        let path = dir.erasures();
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Kept::default()),
            Err(error) => return Err(at(&path)(error)),
        };
        let mut kept = Kept::default();
        let mut reader = LineReader::new(dir.key(), &path)?;
        // Behind the last line end stands at most half a line, which is written again.
        let whole = &text[..memchr::memrchr(b'\n', &text).unwrap_or(0)];
        for (nth, line) in whole.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty())
        {
            match reader.read(line).and_then(|line| line.parse().ok()) {
                Some(Body::Erase(erasure)) => kept.erasures.push(Arc::new(*erasure)),
                _ => kept.damage.push(format!("{}: line {} is damaged", path.display(), nth + 1)),
            }
        }
        Ok(kept)
    }
}

/// Every erasure of the file and of the store, each of which heals the other; and what to tell people.
pub(crate) fn load(
    dir: &DataDir,
    store: &dyn Store,
    ledger_id: &str,
) -> Result<(Erasures, Vec<String>), LedgerError> {
    let mut known = Erasures::new(ledger_id);
    let Kept { erasures, damage } = Kept::read(dir)?;
    erasures.into_iter().for_each(|erasure| known.add(erasure));
    let applied = store.position()?.applied;
    for erasure in store.erasures()? {
        if !known.has(&erasure.id) {
            write_line(dir, applied, &erasure)?;
            known.add(erasure);
        }
    }
    Ok((known, damage))
}

/// Appends a line and makes it durable.
fn write_line(dir: &DataDir, seq: Seq, erasure: &Erasure) -> Result<(), LedgerError> {
    let path = dir.erasures();
    let body = serde_json::to_vec(erasure).map_err(|error| LedgerError::Invalid(error.to_string()))?;
    let mut options = OpenOptions::new();
    let mut file = options.read(true).append(true).create(true).mode(0o600).open(&path).map_err(at(&path))?;
    let mut before = Vec::new();
    file.read_to_end(&mut before).map_err(at(&path))?;
    // Half a line was acknowledged to nobody.
    let whole = memchr::memrchr(b'\n', &before).map_or(0, |end| end + 1);
    if whole < before.len() {
        file.set_len(whole as u64).map_err(at(&path))?;
    }
    let mut line = Vec::new();
    let mut lines = LineWriter::new(dir.key(), &path)?;
    lines.write(&mut line, Kind::Erase, seq, &body, BodyHash::of(&body))?;
    file.write_all(&line).and_then(|()| file.sync_all()).map_err(at(&path))?;
    if before.is_empty() { sync_dir(dir.path()) } else { Ok(()) }
}
