//! The ledger: opening it, writing to it, closing it.

use crate::alerts::Alerts;
use crate::append::{Drafts, ticket, wait};
use crate::captures::Kept;
use crate::dir::{DataDir, DirLock};
use crate::durable::{self, Durable};
use crate::erase;
use crate::error::LedgerError;
use crate::feed::Follower;
use crate::journal::record::{ControlBody, GapBody, Kind, SealBody};
use crate::journal::{self, Journal, Survey};
use crate::keys::Keys;
use crate::members::People;
use crate::prices::Prices;
use crate::rating::{Card, Rated};
use crate::resolve::{Outcome, RecordBody};
use crate::retention::Watch;
use crate::shared::{Guarded, Health, Shared, Unrecorded};
use crate::writer::{self, Queue};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use tollbook_pricing::Book;
use tollbook_store::Store;
use tollbook_types::{
    Adjustment, Clock, Digest, Entry, Event, OpenCall, Seq, Status, TimeRange, Timestamp, floor_to_micros,
    limits,
};

/// Events that are rated and appended at once; a longer submission comes in pieces, so that the writer
/// works on one while the next is rated. It needs longer for a piece: each is twice as long as the last.
const PIECE_EVENTS: usize = 250;
/// The first piece of a longer submission, for which the writer waits.
const PIECE_EVENTS_MIN: usize = 64;
/// The last ones.
const PIECE_EVENTS_MAX: usize = 512;

/// What "recorded" survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Acknowledged means fsynced; a gateway's answer may end before its group's fsync.
    #[default]
    Full,
    /// A gateway's answer ends after the fsync, too.
    Strict,
    /// No fsync: survives the end of the process, not the power.
    Process,
}

/// How a ledger is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// What "recorded" survives.
    pub durability: Durability,
    /// The size of a journal segment.
    pub segment_bytes: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options { durability: Durability::Full, segment_bytes: limits::SEGMENT_BYTES }
    }
}

/// What opening found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// Records applied from the journal.
    pub replayed: u64,
    /// Calls that were open when the last process ended, now entries with evidence `unknown`.
    pub interrupted: u64,
    /// Things to tell people, in words.
    pub notes: Vec<String>,
}

/// An open ledger: the only thing that writes in its data directory.
pub struct Ledger {
    shared: Arc<Shared>,
    prices: Prices,
    /// Held while a run is begun.
    runs: Mutex<()>,
    keys: Keys,
    people: People,
    alerts: Alerts,
    clock_watch: Watch,
    captures: Kept,
    writer: Option<JoinHandle<()>>,
    /// Calls that were open when it was opened.
    interrupted: u64,
    _lock: DirLock,
}

impl Ledger {
    /// Opens the ledger of a data directory whose lock the caller has taken: compares journal and
    /// store, applies what the store lacks, turns calls that never ended into entries, and starts
    /// the writer.
    pub fn open(
        lock: DirLock,
        dir: DataDir,
        store: Arc<dyn Store>,
        book: Arc<Book>,
        clock: Arc<dyn Clock>,
        options: Options,
    ) -> Result<(Ledger, OpenReport), LedgerError> {
        let position = store.position()?;
        let from = position.applied + 1;
        let survey = journal::read_tail(&dir.journal(), from, |_| Ok::<(), LedgerError>(()))?;
        let mut report = OpenReport::default();
        compare(&survey, position.applied, &position.ledger_id, &mut report)?;
        let is_new = survey.last.is_none();
        if is_new {
            // Records are about to rest on this store: its making must outlive the power first.
            store.sync()?;
        }
        let journal = Journal::open(
            &dir.journal(),
            &position.ledger_id,
            options.segment_bytes,
            &survey,
            position.applied,
            clock.now(),
        )?;
        if is_new {
            journal::sync_dir(dir.path())?;
        }
        let guarded = Guarded {
            journal,
            queue: Queue::default(),
            controls: HashMap::new(),
            cards: HashSet::new(),
            unrecorded: Unrecorded::default(),
        };
        let cutoff_micros = position.cutoff.map_or(i64::MIN, |cutoff| cutoff.as_microsecond());
        let (erasures, notes) = erase::load(&dir, store.as_ref(), &position.ledger_id)?;
        report.notes.extend(notes);
        let shared = Shared::new(dir, store, clock, options, guarded, position.applied, cutoff_micros);
        let shared = Arc::new(shared.with_erasures(erasures));
        // A process that was killed may have left records unsynced: the store must not overtake them.
        durable::make_durable(&shared)?;
        report.replayed = writer::replay(&shared, Seq::MAX)?;
        let cards = shared.store.controls("card/")?;
        let ids = cards.iter().filter_map(|c| Digest::from_hex(c.key.strip_prefix("card/")?));
        shared.lock().cards.extend(ids);
        let for_writer = shared.clone();
        let writer = std::thread::Builder::new()
            .name("ledger-writer".to_owned())
            .spawn(move || writer::run_guarded(&for_writer))
            .map_err(|error| LedgerError::Invalid(format!("the writer thread could not start: {error}")))?;
        let keys = Keys::load(shared.store.as_ref())?;
        let people = People::load(shared.store.as_ref())?;
        let alerts = Alerts::load(shared.store.as_ref())?;
        let newest = shared.store.extent(TimeRange::ALL)?.map(|(_, last, _)| last);
        let clock_watch = Watch::start(shared.clock.now(), newest);
        let (prices, left_out) = Prices::load(shared.store.as_ref(), book)?;
        report.notes.extend(left_out.iter().map(|problem| format!("a price is not in force: {problem}")));
        let writer = Some(writer);
        let interrupted = 0;
        let captures = Kept::default();
        let mut ledger = Ledger {
            shared,
            prices,
            runs: Mutex::default(),
            keys,
            people,
            alerts,
            clock_watch,
            captures,
            writer,
            interrupted,
            _lock: lock,
        };
        ledger.finish_erasures()?;
        ledger.interrupted = ledger.end_open_calls()?;
        report.interrupted = ledger.interrupted;
        // Housekeeping that cannot be done now is done another time; people should know why.
        if let Err(error) = ledger.trim_journal() {
            report.notes.push(error.to_string());
        }
        Ok((ledger, report))
    }

    /// Whether recording works.
    pub fn health(&self) -> Health {
        self.shared.health()
    }

    /// The store, for reading.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.shared.store
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Nobody else begins a run meanwhile.
    pub(crate) fn begin_runs(&self) -> MutexGuard<'_, ()> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn price_state(&self) -> &Prices {
        &self.prices
    }

    pub(crate) fn clock_watch(&self) -> &Watch {
        &self.clock_watch
    }

    pub(crate) fn kept_captures(&self) -> &Kept {
        &self.captures
    }

    pub(crate) fn interrupted(&self) -> u64 {
        self.interrupted
    }

    pub(crate) fn key_state(&self) -> &Keys {
        &self.keys
    }

    pub(crate) fn alert_state(&self) -> &Alerts {
        &self.alerts
    }

    pub(crate) fn people(&self) -> &People {
        &self.people
    }

    /// Records events and waits until they are durable and visible to every query. The outcomes are
    /// in the order of the events. An error means that nothing is known of the outcome; sending the
    /// same again is safe.
    pub fn submit(&self, events: Vec<Event>) -> Result<Vec<Outcome>, LedgerError> {
        self.shared.refuse_if_failed()?;
        let book = self.book();
        let recorded_at = self.shared.clock.now();
        let cutoff_micros = self.shared.cutoff_micros.load(Ordering::Acquire);
        let is_too_old = |event: &Event| event.occurred_at.as_microsecond() < cutoff_micros;
        let too_old: Vec<usize> = events
            .iter()
            .enumerate()
            .filter(|(_, event)| is_too_old(event))
            .map(|(index, _)| index)
            .collect();
        let (ticket, answer) = ticket(events.len() - too_old.len());
        let is_short = events.len() <= PIECE_EVENTS;
        let mut events = events.into_iter().filter(|event| !is_too_old(event));
        let mut appended = 0;
        let mut length = if is_short { PIECE_EVENTS } else { PIECE_EVENTS_MIN };
        loop {
            let mut piece = Drafts::for_records(events.size_hint().1.unwrap_or(0).min(length));
            for event in events.by_ref().take(length) {
                let (entry, cards) = self.rated(&book, event, recorded_at);
                piece.event(entry, cards)?;
            }
            if piece.count() == 0 {
                break;
            }
            appended += self.append_piece(piece, &ticket, appended)?;
            length = (length * 2).min(PIECE_EVENTS_MAX);
        }
        let mut outcomes = if appended == 0 { Vec::new() } else { wait(&answer)? };
        for index in too_old {
            outcomes.insert(index, Outcome::BeforeCutoff);
        }
        Ok(outcomes)
    }

    /// Rates an event, and flags a bill above what a strict budget held for it; the instants of the books
    /// are whole microseconds.
    fn rated(&self, book: &Book, mut event: Event, recorded_at: Timestamp) -> (Arc<Entry>, Vec<Card>) {
        event.occurred_at = floor_to_micros(event.occurred_at);
        let Rated { rating, cards } = crate::rating::rate_event(book, &event);
        if let Some(held) = self.exceeded_hold(&event, rating.cost) {
            event.flags.push(format!("hold_exceeded: {held} USD were held"));
        }
        (Arc::new(Entry { event, rating, recorded_at: floor_to_micros(recorded_at) }), cards)
    }

    /// Records one event without waiting for the store: on return it survives the end of the process.
    ///
    /// [`LedgerError::JournalFull`] means that there is no room: the call may pass and be counted by
    /// [`Ledger::count_unrecorded`]. After [`LedgerError::Fatal`] the process must end.
    pub fn record(&self, event: Event) -> Result<Seq, LedgerError> {
        self.record_rated(event).map(|(seq, _)| seq)
    }

    /// As [`Ledger::record`], and gives back the entry with its rating.
    pub fn record_rated(&self, event: Event) -> Result<(Seq, Arc<Entry>), LedgerError> {
        let now = self.shared.clock.now();
        let (entry, cards) = self.rated(&self.book(), event, now);
        let mut drafts = Drafts::for_records(1);
        drafts.event(entry.clone(), cards)?;
        Ok((self.append(drafts, now)?, entry))
    }

    /// As [`Ledger::record`], and what is returned can be waited for until the record survives the
    /// loss of power. Nobody lingers then: the writer syncs at once, for everybody who came so far.
    pub fn record_durable(&self, event: Event) -> Result<Durable, LedgerError> {
        self.durable(self.record(event)?)
    }

    /// What can be waited for until the record at this position survives the loss of power, as with
    /// [`Ledger::record_durable`].
    pub fn durable(&self, seq: Seq) -> Result<Durable, LedgerError> {
        let promise = self.shared.promises.make(seq);
        self.shared.lock().queue.hurry = true;
        self.shared.wake.notify_one();
        // A journal that failed in between has broken only the promises made before.
        self.shared.refuse_if_fatal()?;
        Ok(promise)
    }

    /// Records that a call is let go to its provider: on return that survives the end of the process.
    /// Fails as [`Ledger::record`] does.
    pub fn open_call(&self, mut call: OpenCall) -> Result<Seq, LedgerError> {
        call.occurred_at = floor_to_micros(call.occurred_at);
        let mut drafts = Drafts::for_records(1);
        drafts.open(Arc::new(call))?;
        self.append(drafts, self.shared.clock.now())
    }

    /// Counts a call that passes without a record because there is no room for one. The count is
    /// recorded as a gap as soon as there is.
    pub fn count_unrecorded(&self, reason: &str) {
        let now = self.shared.clock.now();
        let mut state = self.shared.lock();
        state.unrecorded.total += 1;
        let gap = state.unrecorded.gap.get_or_insert_with(|| GapBody {
            from: now,
            to: now,
            calls: 0,
            reason: reason.to_owned(),
        });
        gap.calls += 1;
        gap.to = now;
    }

    /// Appends corrections and waits. An adjustment whose version does not follow is
    /// [`Outcome::Stale`], one whose run has been there already is [`Outcome::AlreadyInRun`].
    pub fn adjust(&self, adjustments: Vec<(Adjustment, Vec<Card>)>) -> Result<Vec<Outcome>, LedgerError> {
        self.shared.refuse_if_failed()?;
        let mut drafts = Drafts::default();
        for (adjustment, cards) in adjustments {
            let adjustment = Arc::new(adjustment);
            drafts.json(Kind::Adjust, &*adjustment, RecordBody::Adjust(adjustment.clone()), cards)?;
        }
        self.append_and_wait(drafts)
    }

    /// Writes a new version of a document (`None` deletes it) and waits. Returns the version.
    pub fn control(&self, key: &str, body: Option<String>) -> Result<u32, LedgerError> {
        self.control_all(vec![(key.to_owned(), body)], Vec::new())?;
        Ok(self.shared.store.control(key)?.map_or(0, |found| found.version))
    }

    /// Writes new versions of different documents and then seals in one append, in this order, and
    /// waits.
    pub(crate) fn control_all(
        &self,
        documents: Vec<(String, Option<String>)>,
        seals: Vec<SealBody>,
    ) -> Result<(), LedgerError> {
        self.shared.refuse_if_failed()?;
        let stored = |key: &str| -> Result<u32, LedgerError> {
            Ok(self.shared.store.control(key)?.map_or(0, |found| found.version))
        };
        let stored: Vec<u32> = documents.iter().map(|(key, _)| stored(key)).collect::<Result<_, _>>()?;
        let (ticket, answer) = ticket(documents.len() + seals.len());
        {
            let mut state = self.wait_for_room()?;
            let now = self.shared.clock.now();
            let mut drafts = Drafts::default();
            let mut versions = Vec::new();
            for ((key, body), stored) in documents.into_iter().zip(stored) {
                let version = stored.max(state.controls.get(&key).copied().unwrap_or(0)) + 1;
                versions.push((key.clone(), version));
                let control = ControlBody { key, version, body, at: now };
                drafts.json(Kind::Control, &control, RecordBody::Control(control.clone()), Vec::new())?;
            }
            for seal in seals {
                drafts.json(Kind::Seal, &seal, RecordBody::Seal(seal.clone()), Vec::new())?;
            }
            self.append_locked(&mut state, drafts, Some((&ticket, 0)), now)?;
            state.controls.extend(versions);
        }
        if wait(&answer)?.iter().all(|outcome| matches!(outcome, Outcome::Applied { .. })) {
            return Ok(());
        }
        Err(LedgerError::Invalid(
            "what this changes was changed by somebody else at the same time; try again".to_owned(),
        ))
    }

    /// Begins another segment of the journal, if the open one has a record.
    pub(crate) fn begin_segment(&self) -> Result<(), LedgerError> {
        let now = self.shared.clock.now();
        self.shared.lock().journal.rotate(now)
    }

    /// Appends a seal and waits until the store has it.
    pub(crate) fn seal(&self, seal: crate::journal::record::SealBody) -> Result<(), LedgerError> {
        let mut drafts = Drafts::default();
        drafts.json(Kind::Seal, &seal, RecordBody::Seal(seal.clone()), Vec::new())?;
        self.append_and_wait(drafts).map(drop)
    }

    /// Follows what becomes visible from now on: each new entry and adjustment once, in journal order.
    /// At most `changes_max` of them are held for who reads too slowly.
    pub fn follow(&self, changes_max: usize) -> Follower {
        self.shared.feed.follow(changes_max)
    }

    /// Waits until everything recorded so far is in the store.
    pub fn flush(&self) -> Result<(), LedgerError> {
        let target = {
            let mut state = self.shared.lock();
            state.queue.wanted = state.journal.next() - 1;
            state.queue.wanted
        };
        self.shared.wake.notify_one();
        loop {
            self.shared.refuse_if_failed()?;
            if self.shared.store.position()?.applied >= target {
                return Ok(());
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    /// Ends the ledger in order: everything pending goes into the store, the store is made durable.
    pub fn close(mut self) -> Result<(), LedgerError> {
        self.stop();
        self.shared.refuse_if_failed()?;
        Ok(self.shared.store.sync()?)
    }

    fn stop(&mut self) {
        // Without room even for that, the count goes with the process.
        let _ = self.note_gap();
        self.shared.lock().queue.closing = true;
        self.shared.wake.notify_all();
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            self.shared.set_health(Health::Fatal("the writer thread panicked".to_owned()));
        }
    }

    fn end_open_calls(&self) -> Result<u64, LedgerError> {
        let open = self.shared.store.open_calls()?;
        let count = open.len() as u64;
        let events: Vec<Event> = open.into_iter().map(|(_, call)| interrupted(call)).collect();
        for batch in events.chunks(limits::GROUP_EVENTS_MAX) {
            self.submit(batch.to_vec())?;
        }
        Ok(count)
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Refuses what cannot be put right here, and notes what people should know.
fn compare(
    survey: &Survey,
    applied: Seq,
    ledger_id: &str,
    report: &mut OpenReport,
) -> Result<(), LedgerError> {
    if let Some(journal) = survey.ledger.as_ref().filter(|journal| *journal != ledger_id) {
        return Err(LedgerError::Foreign { journal: journal.clone(), store: ledger_id.to_owned() });
    }
    if let Some(oldest) = survey.first.filter(|oldest| *oldest > applied + 1) {
        return Err(LedgerError::StoreBehind { applied, oldest });
    }
    let last = survey.last.unwrap_or(0);
    if last == 0 && applied > 0 {
        report.notes.push(format!(
            "there is no journal of the store's {applied} records: it goes on from record {}",
            applied + 1
        ));
    } else if last < applied {
        report.notes.push(format!(
            "the journal ends at record {last}, the store has records up to {applied}: the end of the journal \
             is lost, what the store has is kept, and a new segment starts at {}",
            applied + 1
        ));
    }
    for damage in &survey.damage {
        report.notes.push(damage.to_string());
    }
    for (from, to) in survey.missing.iter().filter(|(_, to)| *to > applied) {
        let from = *from.max(&(applied + 1));
        report
            .notes
            .push(format!("journal records {from} to {to} are damaged and not in the store: they are lost"));
    }
    Ok(())
}

/// What an open call becomes when the process that let it go has ended.
fn interrupted(call: OpenCall) -> Event {
    let mut event = Event {
        provider: call.provider,
        model: call.model.clone(),
        request_model: Some(call.model),
        status: Status::Interrupted,
        error: Some("the recording process ended before the call did".to_owned()),
        attribution: call.attribution,
        worst_case: call.worst_case,
        ..Event::new(call.id, call.source, call.occurred_at)
    };
    event.content = Digest::of(&serde_json::to_vec(&event).unwrap_or_default());
    event
}
