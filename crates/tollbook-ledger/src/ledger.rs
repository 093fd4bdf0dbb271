//! The ledger: opening it, writing to it, closing it.

use crate::dir::{DataDir, DirLock};
use crate::error::LedgerError;
use crate::journal::record::{ControlBody, GapBody, Kind};
use crate::journal::{self, Journal, Survey};
use crate::keys::Keys;
use crate::rating::{Card, Rated};
use crate::resolve::{Outcome, Record, RecordBody};
use crate::writer::{self, Pending, Queue, Ticket};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use tollbook_pricing::Book;
use tollbook_store::Store;
use tollbook_types::record::{write_entry, write_open};
use tollbook_types::{
    Adjustment, CardId, Clock, Content, Digest, Entry, Event, Evidence, OpenCall, Seq, Status, limits,
};

/// Records that may wait for the writer before those who wait for an answer are held back.
const PENDING_MAX: usize = limits::GROUP_EVENTS_MAX * limits::QUEUE_GROUPS_MAX;

/// Events that are rated and appended at once; a longer submission comes in such pieces.
const PIECE_EVENTS: usize = 250;

/// What most bodies fit in.
const BODY_BYTES: usize = 1_024;

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

/// Whether the ledger can record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// All is well.
    #[default]
    Ok,
    /// The store fails; the journal takes what may pass without an answer. It is tried again each second.
    StoreDown(String),
    /// The journal failed. The process must end.
    Fatal(String),
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

/// Journal and queue, under one lock: the order of the one is the order of the other.
pub(crate) struct Guarded {
    pub journal: Journal,
    pub queue: Queue,
    /// Versions of documents written by this process that the store may not have yet.
    controls: HashMap<String, u32>,
    /// Rate cards that are recorded.
    cards: HashSet<CardId>,
    /// Calls that passed unrecorded since recording stopped.
    gap: Option<GapBody>,
}

/// What the ledger's threads share.
pub(crate) struct Shared {
    pub dir: DataDir,
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub options: Options,
    guarded: Mutex<Guarded>,
    health: Mutex<Health>,
    /// What occurred before this has been dropped and is refused; `i64::MIN` without a cut-off.
    pub cutoff_micros: AtomicI64,
    /// Something is pending, or the ledger closes.
    pub wake: Condvar,
    /// There is room in the queue again.
    pub room: Condvar,
}

impl Shared {
    pub fn lock(&self) -> MutexGuard<'_, Guarded> {
        self.guarded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn health(&self) -> Health {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set_health(&self, health: Health) {
        *self.health.lock().unwrap_or_else(PoisonError::into_inner) = health;
    }

    fn refuse_if_failed(&self) -> Result<(), LedgerError> {
        match self.health() {
            Health::Ok => Ok(()),
            Health::StoreDown(reason) => Err(LedgerError::StoreDown(reason)),
            Health::Fatal(reason) => Err(LedgerError::Fatal(reason)),
        }
    }
}

/// An open ledger: the only thing that writes in its data directory.
pub struct Ledger {
    shared: Arc<Shared>,
    book: RwLock<Arc<Book>>,
    keys: Keys,
    writer: Option<JoinHandle<()>>,
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
        let cards = store.controls("card/")?;
        let cards = cards.iter().filter_map(|c| Digest::from_hex(c.key.strip_prefix("card/")?)).collect();
        let guarded =
            Guarded { journal, queue: Queue::default(), controls: HashMap::new(), cards, gap: None };
        let shared = Arc::new(Shared {
            dir,
            store,
            clock,
            options,
            guarded: Mutex::new(guarded),
            health: Mutex::default(),
            cutoff_micros: AtomicI64::new(position.cutoff.map_or(i64::MIN, |cutoff| cutoff.as_microsecond())),
            wake: Condvar::new(),
            room: Condvar::new(),
        });
        // A process that was killed may have left records unsynced: the store must not overtake them.
        writer::make_durable(&shared)?;
        report.replayed = writer::replay(&shared, Seq::MAX)?;
        if report.replayed > 0 {
            // Cards that only the journal had are known from here on.
            let cards = shared.store.controls("card/")?;
            let ids = cards.iter().filter_map(|c| Digest::from_hex(c.key.strip_prefix("card/")?));
            shared.lock().cards.extend(ids);
        }
        let for_writer = shared.clone();
        let writer = std::thread::Builder::new()
            .name("ledger-writer".to_owned())
            .spawn(move || writer::run_guarded(&for_writer))
            .map_err(|error| LedgerError::Invalid(format!("the writer thread could not start: {error}")))?;
        let keys = Keys::load(shared.store.as_ref())?;
        let ledger = Ledger { shared, book: RwLock::new(book), keys, writer: Some(writer), _lock: lock };
        report.interrupted = ledger.end_open_calls()?;
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

    /// The price book in force.
    pub fn book(&self) -> Arc<Book> {
        self.book.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another price book in force, for events from now on.
    pub fn set_book(&self, book: Arc<Book>) {
        *self.book.write().unwrap_or_else(PoisonError::into_inner) = book;
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(crate) fn key_state(&self) -> &Keys {
        &self.keys
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
        let mut events = events.into_iter().filter(|event| !is_too_old(event));
        let mut appended = 0;
        loop {
            // The writer works on a piece while the next one is rated.
            let piece = events.by_ref().take(PIECE_EVENTS).map(|event| {
                let Rated { rating, cards } = crate::rating::rate_event(&book, &event);
                let entry = Arc::new(Entry { event, rating, recorded_at });
                Draft::event(entry, cards)
            });
            let piece = piece.collect::<Result<Vec<Draft>, LedgerError>>()?;
            if piece.is_empty() {
                break;
            }
            appended += self.append_piece(piece, &ticket, appended)?;
        }
        let mut outcomes = if appended == 0 { Vec::new() } else { wait(&answer)? };
        for index in too_old {
            outcomes.insert(index, Outcome::BeforeCutoff);
        }
        Ok(outcomes)
    }

    /// Records one event without waiting for the store: on return it survives the end of the process.
    pub fn record(&self, event: Event) -> Result<Seq, LedgerError> {
        let Rated { rating, cards } = crate::rating::rate_event(&self.book(), &event);
        let entry = Arc::new(Entry { event, rating, recorded_at: self.shared.clock.now() });
        self.append(Draft::event(entry, cards)?)
    }

    /// Records that a call is let go to its provider: on return that survives the end of the process.
    pub fn open_call(&self, call: OpenCall) -> Result<Seq, LedgerError> {
        let call = Arc::new(call);
        self.append(Draft::open(call)?)
    }

    /// Counts a call that passes without a record because there is no room for one. The count is
    /// recorded as a gap as soon as there is.
    pub fn count_unrecorded(&self, reason: &str) {
        let now = self.shared.clock.now();
        let mut state = self.shared.lock();
        let gap = state.gap.get_or_insert_with(|| GapBody {
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
        let drafts = adjustments.into_iter().map(|(adjustment, cards)| {
            let adjustment = Arc::new(adjustment);
            Draft::new(Kind::Adjust, &*adjustment, RecordBody::Adjust(adjustment.clone()), cards)
        });
        self.append_and_wait(drafts.collect::<Result<_, _>>()?)
    }

    /// Writes a new version of a document (`None` deletes it) and waits. Returns the version.
    pub fn control(&self, key: &str, body: Option<String>) -> Result<u32, LedgerError> {
        self.shared.refuse_if_failed()?;
        let stored = self.shared.store.control(key)?.map_or(0, |found| found.version);
        let (ticket, answer) = ticket(1);
        {
            let mut state = self.wait_for_room()?;
            let version = stored.max(state.controls.get(key).copied().unwrap_or(0)) + 1;
            let control = ControlBody { key: key.to_owned(), version, body, at: self.shared.clock.now() };
            let draft =
                Draft::new(Kind::Control, &control, RecordBody::Control(control.clone()), Vec::new())?;
            self.append_locked(&mut state, draft, Some((ticket, 0)))?;
            state.controls.insert(key.to_owned(), version);
        }
        self.shared.wake.notify_one();
        match wait(&answer)?.first() {
            Some(Outcome::Applied { .. }) => {
                Ok(self.shared.store.control(key)?.map_or(0, |found| found.version))
            }
            _ => Err(LedgerError::Invalid(format!(
                "{key} was changed by somebody else at the same time; try again"
            ))),
        }
    }

    /// Appends a seal and waits until the store has it.
    pub(crate) fn seal(&self, seal: crate::journal::record::SealBody) -> Result<(), LedgerError> {
        let draft = Draft::new(Kind::Seal, &seal, RecordBody::Seal(seal.clone()), Vec::new())?;
        self.append_and_wait(vec![draft]).map(drop)
    }

    /// Waits until everything recorded so far is in the store.
    pub fn flush(&self) -> Result<(), LedgerError> {
        let target = self.shared.lock().journal.next() - 1;
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

    fn append(&self, draft: Draft) -> Result<Seq, LedgerError> {
        let mut state = self.shared.lock();
        let seq = self.append_locked(&mut state, draft, None)?;
        drop(state);
        self.shared.wake.notify_one();
        Ok(seq)
    }

    fn append_and_wait(&self, drafts: Vec<Draft>) -> Result<Vec<Outcome>, LedgerError> {
        if drafts.is_empty() {
            return Ok(Vec::new());
        }
        let (ticket, answer) = ticket(drafts.len());
        self.append_piece(drafts, &ticket, 0)?;
        wait(&answer)
    }

    /// Appends records that are answered on the ticket from place `first` on, and wakes the writer.
    /// Returns how many.
    fn append_piece(
        &self,
        drafts: Vec<Draft>,
        ticket: &Arc<Ticket>,
        first: usize,
    ) -> Result<usize, LedgerError> {
        let count = drafts.len();
        let mut state = self.wait_for_room()?;
        for (index, draft) in drafts.into_iter().enumerate() {
            self.append_locked(&mut state, draft, Some((ticket.clone(), first + index)))?;
        }
        drop(state);
        self.shared.wake.notify_one();
        Ok(count)
    }

    fn wait_for_room(&self) -> Result<MutexGuard<'_, Guarded>, LedgerError> {
        let mut state = self.shared.lock();
        while state.queue.pending.len() >= PENDING_MAX && !state.queue.behind {
            state = self.shared.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.queue.behind {
            drop(state);
            self.shared.refuse_if_failed()?;
            return Err(LedgerError::StoreDown("it is catching up with the journal".to_owned()));
        }
        Ok(state)
    }

    /// Appends a record, before it any card that it refers to and that is not recorded yet.
    fn append_locked(
        &self,
        state: &mut Guarded,
        draft: Draft,
        waiter: Option<(Arc<Ticket>, usize)>,
    ) -> Result<Seq, LedgerError> {
        if let Health::Fatal(reason) = self.shared.health() {
            return Err(LedgerError::Fatal(reason));
        }
        let result = self.append_in_order(state, draft, waiter);
        if let Err(LedgerError::Fatal(reason)) = &result {
            self.shared.set_health(Health::Fatal(reason.clone()));
        }
        result
    }

    fn append_in_order(
        &self,
        state: &mut Guarded,
        draft: Draft,
        waiter: Option<(Arc<Ticket>, usize)>,
    ) -> Result<Seq, LedgerError> {
        let now = self.shared.clock.now();
        if let Some(gap) = state.gap.take() {
            let recorded = Draft::new(Kind::Gap, &gap, RecordBody::Gap(gap.clone()), Vec::new())
                .and_then(|draft| push(state, draft, None, now));
            if let Err(error) = recorded {
                state.gap = Some(gap);
                return Err(error);
            }
        }
        for card in &draft.cards {
            if state.cards.contains(&card.id) {
                continue;
            }
            let body = serde_json::to_string(&card.card).map_err(invalid)?;
            let control =
                ControlBody { key: format!("card/{}", card.id), version: 1, body: Some(body), at: now };
            let record =
                Draft::new(Kind::Control, &control, RecordBody::Control(control.clone()), Vec::new())?;
            push(state, record, None, now)?;
            state.cards.insert(card.id);
        }
        push(state, draft, waiter, now)
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A record that has no number yet.
struct Draft {
    kind: Kind,
    json: Vec<u8>,
    body: RecordBody,
    cards: Vec<Card>,
}

impl Draft {
    fn new(
        kind: Kind,
        value: &impl serde::Serialize,
        body: RecordBody,
        cards: Vec<Card>,
    ) -> Result<Draft, LedgerError> {
        Draft::of(kind, serde_json::to_vec(value), body, cards)
    }

    fn event(entry: Arc<Entry>, cards: Vec<Card>) -> Result<Draft, LedgerError> {
        let mut json = Vec::with_capacity(BODY_BYTES);
        let written = write_entry(&mut json, &entry);
        Draft::of(Kind::Event, written.map(|()| json), RecordBody::Event(entry), cards)
    }

    fn open(call: Arc<OpenCall>) -> Result<Draft, LedgerError> {
        let mut json = Vec::with_capacity(BODY_BYTES);
        let written = write_open(&mut json, &call);
        Draft::of(Kind::Open, written.map(|()| json), RecordBody::Open(call), Vec::new())
    }

    fn of(
        kind: Kind,
        json: Result<Vec<u8>, serde_json::Error>,
        body: RecordBody,
        cards: Vec<Card>,
    ) -> Result<Draft, LedgerError> {
        let json = json.map_err(invalid)?;
        if json.len() > limits::RECORD_BYTES_MAX {
            return Err(LedgerError::TooLarge { bytes: json.len(), max: limits::RECORD_BYTES_MAX });
        }
        Ok(Draft { kind, json, body, cards })
    }
}

fn push(
    state: &mut Guarded,
    draft: Draft,
    waiter: Option<(Arc<Ticket>, usize)>,
    now: tollbook_types::Timestamp,
) -> Result<Seq, LedgerError> {
    let (seq, digest) = state.journal.append(draft.kind, &draft.json, now)?;
    let queue = &mut state.queue;
    if queue.pending.len() >= PENDING_MAX && waiter.is_none() {
        // The journal has it; the writer reads it from there once it has done what is pending.
        queue.behind = true;
    }
    if !queue.behind {
        queue.waited_for += usize::from(waiter.is_some());
        queue.pending.push_back(Pending { record: Record { seq, digest, body: draft.body }, waiter });
    }
    Ok(seq)
}

type Answer = std::sync::mpsc::Receiver<Result<Vec<Outcome>, LedgerError>>;

fn ticket(count: usize) -> (Arc<Ticket>, Answer) {
    let (sender, receiver) = sync_channel(1);
    (Arc::new(Ticket::new(count, sender)), receiver)
}

fn wait(answer: &Answer) -> Result<Vec<Outcome>, LedgerError> {
    answer.recv().unwrap_or_else(|_| Err(LedgerError::Fatal("the writer ended".to_owned())))
}

fn invalid(error: serde_json::Error) -> LedgerError {
    LedgerError::Invalid(error.to_string())
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
    if last < applied {
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
        id: call.id,
        source: call.source,
        occurred_at: call.occurred_at,
        provider: call.provider,
        model: call.model.clone(),
        request_model: Some(call.model),
        api: None,
        status: Status::Interrupted,
        error: Some("the recording process ended before the call did".to_owned()),
        http_status: None,
        usage: None,
        evidence: Evidence::Unknown,
        free: None,
        provider_cost: None,
        conditions: Default::default(),
        provider_response_id: None,
        attribution: call.attribution,
        latency_ms: None,
        time_to_first_token_ms: None,
        cache_hit: None,
        flags: Vec::new(),
        inconsistent: false,
        raw_usage: None,
        estimator: None,
        worst_case: call.worst_case,
        hold_id: None,
        content: Content::default(),
    };
    event.content = Digest::of(&serde_json::to_vec(&event).unwrap_or_default());
    event
}
