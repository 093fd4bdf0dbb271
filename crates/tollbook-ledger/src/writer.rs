//! The one thread that makes groups durable and visible.
//!
//! It takes what has been appended to the journal, in journal order, some thousand records at a
//! time: fsync, decide, one transaction in the store, answer those who wait. Where nobody waits, the
//! fsync comes after some milliseconds and the store a good deal later: a larger group costs less a
//! record, and most calls that it lets go have ended by then. Where the store fails
//! it forgets what it had in hand (the journal has it), says so to those who wait, and reads on from
//! the journal once the store is back.

use crate::durable::{make_durable, sync_meanwhile};
use crate::error::{LedgerError, StoreFault};
use crate::journal;
use crate::resolve::{Decided, OpenCalls, OpenChanges, Outcome, Record, RecordBody, resolve};
use crate::shared::{Health, Shared};
use std::collections::{HashMap, VecDeque};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tollbook_store::{Batch, Op, StoredCall};
use tollbook_types::{Seq, limits};

/// How long the writer waits before it tries a failed store again.
const STORE_RETRY: Duration = Duration::from_secs(1);
/// How long a record that nobody waits for stands in the journal before it is synced.
const LINGER: Duration = Duration::from_millis(limits::GROUP_LINGER_MS);
/// How long such a record waits for its group's place in the store.
const STORE_LINGER: Duration = Duration::from_millis(200);
/// Records in a group when more than a group's worth stand in the queue: nobody waits longer for it,
/// and each of them costs less.
const GROUP_RECORDS_MAX: usize = 4 * limits::GROUP_EVENTS_MAX;

/// Records in a group from which on it pays to have a thread sync the journal while they are decided.
const SYNC_BESIDE_MIN: usize = 64;

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
    /// Up to here the store shall have everything without delay.
    pub wanted: Seq,
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
    shared.feed.close();
}

/// What the writer does next.
enum Work {
    /// Makes records durable and visible.
    Apply(Vec<Pending>),
    /// Makes them durable; their group still waits for company.
    Sync,
    /// Reads on from the journal. `closing` when it is the last time.
    CatchUp { closing: bool },
    /// Everything is done, and the ledger closes.
    End,
}

/// When the writer last did what.
#[derive(Debug, Default)]
struct Pace {
    /// When the group that is gathering began.
    gathering: Option<Instant>,
    synced: Option<Instant>,
}

/// Runs until the ledger closes and everything pending is in the store.
fn run(shared: &Shared) {
    let (mut applying, mut pace) = (Applying::default(), Pace::default());
    loop {
        match next_work(shared, &mut pace) {
            Work::Apply(group) => process(shared, &mut applying, group),
            Work::Sync => {
                if let Err(error) = make_durable(shared) {
                    fail_for_good(shared, Vec::new(), &error);
                }
            }
            Work::CatchUp { closing } => {
                if catch_up(shared, &mut applying) {
                    continue;
                }
                if closing {
                    return;
                }
                if let Err(error) = sync_meanwhile(shared, STORE_RETRY) {
                    shared.set_health(Health::Fatal(error.to_string()));
                }
            }
            Work::End => return,
        }
    }
}

/// Waits for something to do: a group that somebody waits for is taken at once, any other when it
/// has gathered for a while.
fn next_work(shared: &Shared, pace: &mut Pace) -> Work {
    let mut state = shared.lock();
    loop {
        let unsynced = state.journal.next() - 1 > shared.promises.durable();
        let queue = &mut state.queue;
        let Some(first) = queue.pending.front().map(|pending| pending.record.seq) else {
            pace.gathering = None;
            match (queue.behind, queue.closing) {
                (true, closing) => return Work::CatchUp { closing },
                (false, true) => return Work::End,
                (false, false) => {}
            }
            state = shared.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        let now = Instant::now();
        let since = *pace.gathering.get_or_insert(now);
        let is_due = queue.pending.len() >= limits::GROUP_EVENTS_MAX || now >= since + STORE_LINGER;
        let is_wanted = queue.waited_for > 0 || queue.wanted >= first || queue.behind || queue.closing;
        if is_due || is_wanted {
            let count = queue.pending.len().min(GROUP_RECORDS_MAX);
            let group: Vec<Pending> = queue.pending.drain(..count).collect();
            queue.waited_for -= group.iter().filter(|pending| pending.waiter.is_some()).count();
            shared.room.notify_all();
            *pace = Pace { gathering: None, synced: Some(now) };
            return Work::Apply(group);
        }
        let sync_at = pace.synced.map_or(since, |synced| synced.max(since)) + LINGER;
        if queue.hurry || (unsynced && now >= sync_at) {
            pace.synced = Some(now);
            return Work::Sync;
        }
        // Records that join the group wake nobody: where all are synced, it looks again for them.
        let until = if unsynced { sync_at } else { now + LINGER }.min(since + STORE_LINGER);
        let left = until.saturating_duration_since(now);
        state = shared.wake.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
    }
}

fn process(shared: &Shared, applying: &mut Applying, group: Vec<Pending>) {
    let (records, waiters): (Vec<Record>, Vec<_>) = group.into_iter().map(|p| (p.record, p.waiter)).unzip();
    let (synced, decided) = sync_and_decide(shared, applying, &records);
    let again = |records: Vec<Record>, waiters: Vec<_>| {
        records.into_iter().zip(waiters).map(|(record, waiter)| Pending { record, waiter }).collect()
    };
    if let Err(error) = synced {
        drop(decided);
        return fail_for_good(shared, again(records, waiters), &error);
    }
    match decided.and_then(|decided| applying.put(shared, decided)) {
        Ok(outcomes) => {
            for (waiter, outcome) in waiters.into_iter().zip(outcomes) {
                if let Some((ticket, index)) = waiter {
                    ticket.done(index, outcome);
                }
            }
        }
        Err(error) => {
            let fault = StoreFault::of(&error);
            shared.set_health(Health::StoreDown(fault.clone()));
            fail_all(shared, again(records, waiters), || LedgerError::StoreDown(fault.clone()));
        }
    }
}

/// Makes a group durable and decides it. Deciding only reads: for a large group it is done while the
/// disk is at work.
fn sync_and_decide(
    shared: &Shared,
    applying: &mut Applying,
    records: &[Record],
) -> (Result<(), LedgerError>, Result<Option<Ready>, LedgerError>) {
    if records.len() < SYNC_BESIDE_MIN {
        return match make_durable(shared) {
            Ok(()) => (Ok(()), applying.decide(shared, records)),
            Err(error) => (Err(error), Ok(None)),
        };
    }
    std::thread::scope(|scope| {
        let syncing = std::thread::Builder::new().spawn_scoped(scope, || make_durable(shared));
        let decided = applying.decide(shared, records);
        let synced = match syncing.map(|thread| thread.join()) {
            Ok(Ok(synced)) => synced,
            Ok(Err(_)) => Err(LedgerError::Fatal("the thread that syncs the journal panicked".to_owned())),
            // There is no further thread: then one after the other.
            Err(_) => make_durable(shared),
        };
        (synced, decided)
    })
}

/// The journal is not what it should be: nothing more is recorded.
fn fail_for_good(shared: &Shared, group: Vec<Pending>, error: &LedgerError) {
    let text = error.to_string();
    shared.set_health(Health::Fatal(text.clone()));
    fail_all(shared, group, || LedgerError::Fatal(text.clone()));
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

/// A group that is decided.
struct Ready {
    batch: Batch,
    outcomes: Vec<Outcome>,
    open: OpenChanges,
    adjusted: HashMap<Seq, StoredCall>,
}

impl Applying {
    /// Decides records and applies them in one transaction.
    fn apply(&mut self, shared: &Shared, records: &[Record]) -> Result<Vec<Outcome>, LedgerError> {
        let decided = self.decide(shared, records)?;
        self.put(shared, decided)
    }

    /// Decides records; nothing is changed. `None` where there are none.
    fn decide(&mut self, shared: &Shared, records: &[Record]) -> Result<Option<Ready>, LedgerError> {
        let Some(through) = records.last().map(|record| record.seq) else { return Ok(None) };
        let open = match &mut self.open {
            Some(open) => open,
            none => none.insert(OpenCalls::load(shared.store.as_ref())?),
        };
        let records = shared.without_erased(records)?;
        let Decided { ops, outcomes, open, adjusted } = resolve(shared.store.as_ref(), open, &records)?;
        Ok(Some(Ready { batch: Batch { ops, through }, outcomes, open, adjusted }))
    }

    /// Applies what has just been decided.
    fn put(&mut self, shared: &Shared, decided: Option<Ready>) -> Result<Vec<Outcome>, LedgerError> {
        let Some(Ready { batch, outcomes, open: changes, adjusted }) = decided else { return Ok(Vec::new()) };
        // Until the store has it, what is open is not known for sure.
        let open = self.open.take();
        // An erasure may give open calls other ids: they are read again.
        let is_erasing = batch.ops.iter().any(|op| matches!(op, Op::Erase { .. }));
        let applying = shared.budgets.applying();
        shared.store.append(&batch)?;
        shared.note_applied(batch.through);
        if let Err(error) = shared.budgets.follow(shared.store.as_ref(), &batch, shared.clock.now()) {
            // What is applied stays applied; the budgets count anew.
            tracing::warn!("the budgets could not follow the books and will count them anew: {error}");
            shared.budgets.lose_track();
        }
        drop(applying);
        shared.feed.tell(batch.ops, adjusted);
        self.open = open.filter(|_| !is_erasing).map(|mut open| {
            open.follow(changes);
            open
        });
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
                error => Health::StoreDown(StoreFault::of(&error)),
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
