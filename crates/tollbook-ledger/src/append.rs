//! Appending: what callers do before the writer takes over.
//!
//! Records are written out and hashed by who brings them. Under the journal's lock remain their
//! numbers, the ends of their digests, one write for all of them, and the queue.

use crate::error::{LedgerError, StoreFault};
use crate::journal::record::{ControlBody, GapBody, Kind};
use crate::ledger::Ledger;
use crate::rating::Card;
use crate::resolve::{Outcome, Record, RecordBody};
use crate::shared::{Guarded, Health};
use crate::writer::{Pending, Ticket};
use serde::Serialize;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, MutexGuard, PoisonError};
use tollbook_types::record::{BodyHash, write_entry, write_open};
use tollbook_types::{CardId, Entry, OpenCall, Seq, Timestamp, limits};

/// Records that may wait for the writer before those who wait for an answer are held back.
const PENDING_MAX: usize = limits::GROUP_EVENTS_MAX * limits::QUEUE_GROUPS_MAX;

/// What most bodies fit in.
const BODY_BYTES: usize = 1_024;

/// Records that have no number yet.
#[derive(Default)]
pub(crate) struct Drafts {
    /// Their bodies, one behind the other.
    bodies: Vec<u8>,
    list: Vec<Draft>,
}

struct Draft {
    kind: Kind,
    /// Where its body ends; it begins where the one before ends.
    end: usize,
    hash: BodyHash,
    body: RecordBody,
    /// Cards that it refers to.
    cards: Vec<Card>,
}

impl Drafts {
    /// Room for so many records.
    pub fn for_records(count: usize) -> Drafts {
        Drafts { bodies: Vec::with_capacity(count * BODY_BYTES), list: Vec::with_capacity(count) }
    }

    pub fn event(&mut self, entry: Arc<Entry>, cards: Vec<Card>) -> Result<(), LedgerError> {
        let written = write_entry(&mut self.bodies, &entry);
        self.end(Kind::Event, written, RecordBody::Event(entry), cards)
    }

    pub fn open(&mut self, call: Arc<OpenCall>) -> Result<(), LedgerError> {
        let written = write_open(&mut self.bodies, &call);
        self.end(Kind::Open, written, RecordBody::Open(call), Vec::new())
    }

    /// A record whose body is the JSON of a value.
    pub fn json(
        &mut self,
        kind: Kind,
        value: &impl Serialize,
        body: RecordBody,
        cards: Vec<Card>,
    ) -> Result<(), LedgerError> {
        let written = serde_json::to_writer(&mut self.bodies, value);
        self.end(kind, written, body, cards)
    }

    fn end(
        &mut self,
        kind: Kind,
        written: Result<(), serde_json::Error>,
        body: RecordBody,
        cards: Vec<Card>,
    ) -> Result<(), LedgerError> {
        written.map_err(invalid)?;
        let json = &self.bodies[self.list.last().map_or(0, |before| before.end)..];
        if json.len() > limits::RECORD_BYTES_MAX {
            return Err(LedgerError::TooLarge { bytes: json.len(), max: limits::RECORD_BYTES_MAX });
        }
        let hash = BodyHash::of(json);
        self.list.push(Draft { kind, end: self.bodies.len(), hash, body, cards });
        Ok(())
    }

    pub fn count(&self) -> usize {
        self.list.len()
    }
}

/// Who waits for the outcome of records: their ticket, and the place of the first of them in it.
pub(crate) type Waiter<'a> = Option<(&'a Arc<Ticket>, usize)>;

impl Ledger {
    /// Appends records that nobody waits for. Returns the last one's position.
    pub(crate) fn append(&self, drafts: Drafts, now: Timestamp) -> Result<Seq, LedgerError> {
        let mut state = self.shared().lock();
        self.append_locked(&mut state, drafts, None, now)
    }

    /// Appends records and waits for their outcomes.
    pub(crate) fn append_and_wait(&self, drafts: Drafts) -> Result<Vec<Outcome>, LedgerError> {
        if drafts.count() == 0 {
            return Ok(Vec::new());
        }
        let (ticket, answer) = ticket(drafts.count());
        self.append_piece(drafts, &ticket, 0)?;
        wait(&answer)
    }

    /// Appends records that are answered on the ticket from place `first` on. Returns how many.
    pub(crate) fn append_piece(
        &self,
        drafts: Drafts,
        ticket: &Arc<Ticket>,
        first: usize,
    ) -> Result<usize, LedgerError> {
        let count = drafts.count();
        let mut state = self.wait_for_room()?;
        self.append_locked(&mut state, drafts, Some((ticket, first)), self.shared().clock.now())?;
        Ok(count)
    }

    pub(crate) fn wait_for_room(&self) -> Result<MutexGuard<'_, Guarded>, LedgerError> {
        let shared = self.shared();
        let mut state = shared.lock();
        while state.queue.pending.len() >= PENDING_MAX && !state.queue.behind {
            state = shared.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.queue.behind {
            drop(state);
            shared.refuse_if_failed()?;
            return Err(LedgerError::StoreDown(StoreFault::new("it is catching up with the journal")));
        }
        Ok(state)
    }

    /// Appends records in one write, before each any card that it refers to and that is not recorded
    /// yet, and wakes the writer if it would sleep on. Where this fails, records in front of the
    /// failure may be in the journal; those behind it are not.
    pub(crate) fn append_locked(
        &self,
        state: &mut Guarded,
        drafts: Drafts,
        waiter: Waiter<'_>,
        now: Timestamp,
    ) -> Result<Seq, LedgerError> {
        let shared = self.shared();
        shared.refuse_if_fatal()?;
        let (pending, waited_for) = (state.queue.pending.len(), state.queue.waited_for);
        let mut staging = Staging { state, cards: Vec::new(), gap: None, now };
        let result = staging.all(drafts, waiter);
        if let Err(error) = &result {
            staging.take_back();
            if let LedgerError::Fatal(reason) = error {
                shared.set_health(Health::Fatal(reason.clone()));
            }
        }
        let queue = &state.queue;
        // A writer that is awake looks again by itself; one that lingers is woken for a reason only.
        let full = limits::GROUP_EVENTS_MAX;
        let is_first = pending == 0 || (waited_for == 0 && queue.waited_for > 0);
        if is_first || (pending < full && queue.pending.len() >= full) {
            shared.wake.notify_one();
        }
        result
    }

    /// Where recording stopped for want of room: looks whether there is room again, and counts then
    /// what passed unrecorded. Records look by themselves; without them somebody else has to, or who
    /// waits for the ledger to be ready waits for ever. An error is that there still is none.
    pub fn recover(&self) -> Result<(), LedgerError> {
        let mut state = self.shared().lock();
        let has_room = state.journal.room_bytes() > 0 || state.journal.has_spare();
        if has_room && state.unrecorded.gap.is_none() {
            return Ok(());
        }
        let now = self.shared().clock.now();
        let mut staging = Staging { state: &mut state, cards: Vec::new(), gap: None, now };
        let written = staging.gap_first(RECORD_BYTES_USUAL).and_then(|()| staging.state.journal.commit());
        if written.is_err() {
            staging.take_back();
        }
        self.shared().wake.notify_one();
        written
    }

    /// Writes down how many calls passed unrecorded, in the space kept for that if there is no other.
    pub(crate) fn note_gap(&self) -> Result<(), LedgerError> {
        let mut state = self.shared().lock();
        if state.unrecorded.gap.is_none() {
            return Ok(());
        }
        let now = self.shared().clock.now();
        let mut staging = Staging { state: &mut state, cards: Vec::new(), gap: None, now };
        let written = staging.count_gap().and_then(|()| staging.state.journal.commit());
        if written.is_err() {
            staging.take_back();
        }
        self.shared().wake.notify_one();
        written
    }
}

/// Room that is looked for: most records fit in.
const RECORD_BYTES_USUAL: usize = 4 * 1024;

/// Records that have numbers and are not written yet, with what must be undone if they never are.
struct Staging<'a> {
    state: &'a mut Guarded,
    cards: Vec<(Seq, CardId)>,
    gap: Option<(Seq, GapBody)>,
    now: Timestamp,
}

impl Staging<'_> {
    fn all(&mut self, drafts: Drafts, waiter: Waiter<'_>) -> Result<Seq, LedgerError> {
        let Drafts { bodies, list } = drafts;
        if self.state.unrecorded.gap.is_some() {
            self.gap_first(list.first().map_or(0, |first| first.end))?;
        }
        let (mut begin, mut last) = (0, 0);
        for (index, draft) in list.into_iter().enumerate() {
            let json = &bodies[begin..draft.end];
            begin = draft.end;
            for card in &draft.cards {
                self.card(card)?;
            }
            let waiter = waiter.map(|(ticket, first)| (ticket.clone(), first + index));
            last = self.one(draft.kind, json, draft.hash, draft.body, waiter)?;
        }
        self.state.journal.commit()?;
        Ok(last)
    }

    fn one(
        &mut self,
        kind: Kind,
        json: &[u8],
        hash: BodyHash,
        body: RecordBody,
        waiter: Option<(Arc<Ticket>, usize)>,
    ) -> Result<Seq, LedgerError> {
        let (seq, digest) = self.state.journal.stage(kind, json, hash, self.now)?;
        let queue = &mut self.state.queue;
        if queue.pending.len() >= PENDING_MAX && waiter.is_none() {
            // The journal has it; the writer reads it from there once it has done what is pending.
            queue.behind = true;
        }
        if !queue.behind {
            queue.waited_for += usize::from(waiter.is_some());
            queue.pending.push_back(Pending { record: Record { seq, digest, body }, waiter });
        }
        Ok(seq)
    }

    fn value(&mut self, kind: Kind, value: &impl Serialize, body: RecordBody) -> Result<Seq, LedgerError> {
        let json = serde_json::to_vec(value).map_err(invalid)?;
        self.one(kind, &json, BodyHash::of(&json), body, None)
    }

    fn card(&mut self, card: &Card) -> Result<(), LedgerError> {
        if self.state.cards.contains(&card.id) {
            return Ok(());
        }
        let body = serde_json::to_string(&card.card).map_err(invalid)?;
        let key = format!("card/{}", card.id);
        let control = ControlBody { key, version: 1, body: Some(body), at: self.now };
        let seq = self.value(Kind::Control, &control, RecordBody::Control(control.clone()))?;
        self.state.cards.insert(card.id);
        self.cards.push((seq, card.id));
        Ok(())
    }

    /// Calls that passed unrecorded are counted before the next record. While there is room for no
    /// record, the count goes into the space kept for it each time it has doubled: little of it is
    /// forgotten should the process end now.
    fn gap_first(&mut self, needed: usize) -> Result<(), LedgerError> {
        let room = self.state.journal.make_room(needed as u64, false, self.now);
        let unrecorded = &self.state.unrecorded;
        match &room {
            Ok(()) => {}
            Err(LedgerError::JournalFull(_)) => {
                if unrecorded.gap.as_ref().is_some_and(|gap| gap.calls <= unrecorded.noted) {
                    return room;
                }
            }
            Err(_) => return room,
        }
        self.count_gap()?;
        match &room {
            Ok(()) => self.state.unrecorded.noted = 0,
            Err(_) => self.state.journal.commit()?,
        }
        room
    }

    fn count_gap(&mut self) -> Result<(), LedgerError> {
        let Some(gap) = self.state.unrecorded.gap.clone() else { return Ok(()) };
        let seq = self.value(Kind::Gap, &gap, RecordBody::Gap(gap.clone()))?;
        self.state.unrecorded.gap = None;
        self.state.unrecorded.noted += gap.calls;
        self.gap = Some((seq, gap));
        Ok(())
    }

    /// Forgets what did not come into the journal.
    fn take_back(&mut self) {
        let Guarded { journal, queue, cards, unrecorded, .. } = &mut *self.state;
        journal.unstage();
        let next = journal.next();
        while let Some(lost) = queue.pending.pop_back_if(|pending| pending.record.seq >= next) {
            queue.waited_for -= usize::from(lost.waiter.is_some());
        }
        for (_, card) in self.cards.iter().filter(|(seq, _)| *seq >= next) {
            cards.remove(card);
        }
        if let Some((_, gap)) = self.gap.take_if(|(seq, _)| *seq >= next) {
            unrecorded.noted -= gap.calls.min(unrecorded.noted);
            unrecorded.gap = Some(gap);
        }
    }
}

pub(crate) type Answer = std::sync::mpsc::Receiver<Result<Vec<Outcome>, LedgerError>>;

pub(crate) fn ticket(count: usize) -> (Arc<Ticket>, Answer) {
    let (sender, receiver) = sync_channel(1);
    (Arc::new(Ticket::new(count, sender)), receiver)
}

pub(crate) fn wait(answer: &Answer) -> Result<Vec<Outcome>, LedgerError> {
    answer.recv().unwrap_or_else(|_| Err(LedgerError::Fatal("the writer ended".to_owned())))
}

fn invalid(error: serde_json::Error) -> LedgerError {
    LedgerError::Invalid(error.to_string())
}
