//! The one thread that makes groups durable and visible.
//!
//! It takes what has been appended to the journal, in journal order, some thousand records at a
//! time: fsync, decide, one transaction in the store, answer those who wait. Where the store fails
//! it forgets what it had in hand (the journal has it), says so to those who wait, and reads on from
//! the journal once the store is back.

use crate::durable::{make_durable, sync_meanwhile};
use crate::error::LedgerError;
use crate::journal;
use crate::resolve::{Decided, OpenCalls, Outcome, Record, RecordBody, resolve};
use crate::shared::{Health, Shared};
use std::collections::VecDeque;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tollbook_store::Batch;
use tollbook_types::{Seq, limits};

/// How long the writer waits before it tries a failed store again.
const STORE_RETRY: Duration = Duration::from_secs(1);
const LINGER: Duration = Duration::from_millis(limits::GROUP_LINGER_MS);
/// Records in a group when more than a group's worth stand in the queue: nobody waits longer for it,
/// and each of them costs less.
const GROUP_RECORDS_MAX: usize = 4 * limits::GROUP_EVENTS_MAX;

/// A record in the journal that the store does not have yet, and who waits for it.
#[derive(Debug)]
pub struct Pending {
    /// The record.
    pub record: Record,
    /// Who waits, and which of their records this is.
    pub waiter: Option<(Arc<Ticket>, usize)>,
}

/// Somebody who waits until all of their records are durable and visible.
#[derive(Debug)]
pub struct Ticket {
    outcomes: Mutex<(Vec<Option<Outcome>>, usize)>,
    answer: SyncSender<Result<Vec<Outcome>, LedgerError>>,
}

impl Ticket {
    /// A ticket for `count` records, answered through `answer` (which needs room for one).
    pub fn new(count: usize, answer: SyncSender<Result<Vec<Outcome>, LedgerError>>) -> Ticket {
        Ticket { outcomes: Mutex::new((vec![None; count], count)), answer }
    }

    fn done(&self, index: usize, outcome: Outcome) {
        let mut outcomes = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        outcomes.0[index] = Some(outcome);
        outcomes.1 -= 1;
        if outcomes.1 == 0 {
            let all = std::mem::take(&mut outcomes.0).into_iter().flatten().collect();
            // Whoever asked may have gone away; the records stand all the same.
            let _ = self.answer.try_send(Ok(all));
        }
    }

    fn failed(&self, error: LedgerError) {
        let _ = self.answer.try_send(Err(error));
    }
}

/// What waits for the writer. Guarded by the same lock as the journal, so its order is the journal's.
#[derive(Debug, Default)]
pub struct Queue {
    /// Records, in journal order.
    pub pending: VecDeque<Pending>,
    /// How many of them somebody waits for.
    pub waited_for: usize,
    /// Set when records stand in the journal that are not in `pending`.
    pub behind: bool,
    /// Set when somebody waits for the journal's next sync, and for no more.
    pub hurry: bool,
    /// Set when the ledger is closing.
    pub closing: bool,
}

/// The writer thread. Should it ever panic, the ledger fails loudly: nobody waits for ever, and
/// nothing more is taken in.
pub fn run_guarded(shared: &Shared) {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(shared)));
    if outcome.is_err() {
        let text = "the writer thread panicked";
        shared.set_health(Health::Fatal(text.to_owned()));
        fail_all(shared, Vec::new(), || LedgerError::Fatal(text.to_owned()));
    }
}

/// Runs until the ledger closes and everything pending is in the store.
fn run(shared: &Shared) {
    let mut applying = Applying::default();
    loop {
        let (group, closing, behind) = next_group(shared);
        if !group.is_empty() {
            process(shared, &mut applying, group);
            continue;
        }
        if behind && !catch_up(shared, &mut applying) {
            if closing {
                return;
            }
            if let Err(error) = sync_meanwhile(shared, STORE_RETRY) {
                shared.set_health(Health::Fatal(error.to_string()));
            }
            continue;
        }
        if closing {
            return;
        }
    }
}

/// Waits for a group: at once when somebody waits for it, after the linger otherwise.
fn next_group(shared: &Shared) -> (Vec<Pending>, bool, bool) {
    let mut state = shared.lock();
    let mut first_seen: Option<Instant> = None;
    loop {
        let queue = &mut state.queue;
        let full = queue.pending.len() >= limits::GROUP_EVENTS_MAX;
        if queue.pending.is_empty() {
            if queue.closing || queue.behind {
                return (Vec::new(), queue.closing, queue.behind);
            }
            state = shared.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            continue;
        }
        let since = *first_seen.get_or_insert_with(Instant::now);
        let waited = since.elapsed();
        if full || queue.waited_for > 0 || queue.hurry || queue.closing || waited >= LINGER {
            let count = queue.pending.len().min(GROUP_RECORDS_MAX);
            let group: Vec<Pending> = queue.pending.drain(..count).collect();
            queue.waited_for -= group.iter().filter(|pending| pending.waiter.is_some()).count();
            shared.room.notify_all();
            return (group, queue.closing, queue.behind);
        }
        let (guard, _) =
            shared.wake.wait_timeout(state, LINGER - waited).unwrap_or_else(PoisonError::into_inner);
        state = guard;
    }
}

fn process(shared: &Shared, applying: &mut Applying, group: Vec<Pending>) {
    if let Err(error) = make_durable(shared) {
        let text = error.to_string();
        shared.set_health(Health::Fatal(text.clone()));
        fail_all(shared, group, || LedgerError::Fatal(text.clone()));
        return;
    }
    let (records, waiters): (Vec<Record>, Vec<_>) = group.into_iter().map(|p| (p.record, p.waiter)).unzip();
    match applying.apply(shared, &records) {
        Ok(outcomes) => {
            for (waiter, outcome) in waiters.into_iter().zip(outcomes) {
                if let Some((ticket, index)) = waiter {
                    ticket.done(index, outcome);
                }
            }
        }
        Err(error) => {
            let text = error.to_string();
            shared.set_health(Health::StoreDown(text.clone()));
            let lost = records.into_iter().zip(waiters).map(|(record, waiter)| Pending { record, waiter });
            fail_all(shared, lost.collect(), || LedgerError::StoreDown(text.clone()));
        }
    }
}

/// Tells everybody who waits, in this group and behind it, and lets the journal keep the records.
fn fail_all(shared: &Shared, group: Vec<Pending>, error: impl Fn() -> LedgerError) {
    let mut state = shared.lock();
    state.queue.behind = true;
    state.queue.waited_for = 0;
    let rest: Vec<Pending> = state.queue.pending.drain(..).collect();
    shared.room.notify_all();
    drop(state);
    for (ticket, _) in group.into_iter().chain(rest).filter_map(|pending| pending.waiter) {
        ticket.failed(error());
    }
}

/// Puts records into the store, and knows the calls that are open there.
#[derive(Debug, Default)]
struct Applying {
    /// Absent until they are first needed, and after a failure.
    open: Option<OpenCalls>,
}

impl Applying {
    /// Decides records and applies them in one transaction.
    fn apply(&mut self, shared: &Shared, records: &[Record]) -> Result<Vec<Outcome>, LedgerError> {
        let Some(through) = records.last().map(|record| record.seq) else { return Ok(Vec::new()) };
        let mut open = match self.open.take() {
            Some(open) => open,
            None => OpenCalls::load(shared.store.as_ref())?,
        };
        let Decided { ops, outcomes, open: changes } = resolve(shared.store.as_ref(), &open, records)?;
        shared.store.append(&Batch { ops, through })?;
        shared.note_applied(through);
        open.follow(changes);
        self.open = Some(open);
        Ok(outcomes)
    }
}

/// Applies what the journal has and the store has not, from the journal itself. Returns whether the
/// store has everything now.
fn catch_up(shared: &Shared, applying: &mut Applying) -> bool {
    if matches!(shared.health(), Health::Fatal(_)) {
        return false;
    }
    loop {
        let target = shared.lock().journal.next() - 1;
        if let Err(error) = make_durable(shared).and_then(|()| replay_with(shared, applying, target)) {
            shared.set_health(match error {
                LedgerError::Fatal(reason) => Health::Fatal(reason),
                error => Health::StoreDown(error.to_string()),
            });
            return false;
        }
        let mut state = shared.lock();
        if state.journal.next() - 1 == target {
            state.queue.behind = false;
            state.queue.pending.clear();
            state.queue.waited_for = 0;
            drop(state);
            shared.set_health(Health::Ok);
            return true;
        }
    }
}

/// Applies the journal's records from the store's position up to `target`. Returns how many.
pub fn replay(shared: &Shared, target: Seq) -> Result<u64, LedgerError> {
    replay_with(shared, &mut Applying::default(), target)
}

fn replay_with(shared: &Shared, applying: &mut Applying, target: Seq) -> Result<u64, LedgerError> {
    let applied = shared.store.position()?.applied;
    let mut group = Vec::with_capacity(limits::GROUP_EVENTS_MAX);
    let mut replayed = 0;
    journal::read_tail(&shared.dir.journal(), applied + 1, |line| {
        if line.seq > target {
            return Ok(());
        }
        let body = line.parse().map_err(|error| {
            LedgerError::Invalid(format!("journal record {} has a form unknown here: {error}", line.seq))
        })?;
        if let Some(body) = RecordBody::of(body) {
            group.push(Record { seq: line.seq, digest: line.digest, body });
            replayed += 1;
        }
        if group.len() == limits::GROUP_EVENTS_MAX {
            applying.apply(shared, &group)?;
            group.clear();
        }
        Ok::<(), LedgerError>(())
    })?;
    applying.apply(shared, &group)?;
    Ok(replayed)
}
