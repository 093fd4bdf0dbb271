//! Making the journal durable, and waiting for that.

use crate::error::LedgerError;
use crate::ledger::Durability;
use crate::shared::Shared;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tollbook_types::Seq;

/// A record that is in the journal and about to be fsynced. A thread waits for that with
/// [`Durable::wait`], a task awaits it; whoever drops it does not care. It does not wait for the store.
#[derive(Debug)]
pub struct Durable {
    seq: Seq,
    promise: Arc<Promise>,
}

impl Durable {
    /// The record's position.
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// Waits until the record survives the loss of power. Fails only as [`LedgerError::Fatal`].
    pub fn wait(self) -> Result<Seq, LedgerError> {
        let mut state = self.promise.lock();
        loop {
            if let Some(kept) = state.kept.take() {
                return kept.map(|()| self.seq).map_err(LedgerError::Fatal);
            }
            state = self.promise.settled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Future for Durable {
    type Output = Result<Seq, LedgerError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.promise.lock();
        match state.kept.take() {
            Some(kept) => Poll::Ready(kept.map(|()| self.seq).map_err(LedgerError::Fatal)),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

#[derive(Debug, Default)]
struct Promise {
    state: Mutex<PromiseState>,
    settled: Condvar,
}

#[derive(Debug, Default)]
struct PromiseState {
    /// Whether it was kept, or why it cannot be.
    kept: Option<Result<(), String>>,
    waker: Option<Waker>,
}

impl Promise {
    fn lock(&self) -> MutexGuard<'_, PromiseState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self, kept: Result<(), String>) {
        let mut state = self.lock();
        state.kept = Some(kept);
        let waker = state.waker.take();
        drop(state);
        self.settled.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Everybody who waits for an fsync, and how far the last one went.
#[derive(Debug, Default)]
pub(crate) struct Promises {
    open: Mutex<Vec<(Seq, Arc<Promise>)>>,
    durable: AtomicU64,
}

impl Promises {
    /// The last position that is fsynced for sure.
    pub fn durable(&self) -> Seq {
        self.durable.load(Ordering::Acquire)
    }

    /// A promise about the record at `seq`, which is in the journal.
    pub fn make(&self, seq: Seq) -> Durable {
        let promise = Arc::new(Promise::default());
        self.lock().push((seq, promise.clone()));
        // The fsync may have been done before anybody waited for it.
        if self.durable() >= seq {
            self.keep(seq);
        }
        Durable { seq, promise }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Seq, Arc<Promise>)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, through: Seq) {
        self.durable.fetch_max(through, Ordering::AcqRel);
        let kept: Vec<_> = self.lock().extract_if(.., |(seq, _)| *seq <= through).collect();
        kept.iter().for_each(|(_, promise)| promise.settle(Ok(())));
    }

    pub fn break_all(&self, reason: &str) {
        let broken = std::mem::take(&mut *self.lock());
        broken.iter().for_each(|(_, promise)| promise.settle(Err(reason.to_owned())));
    }
}

/// Syncs the journal if there is anything new in it, unless the ledger is run without, and tells who
/// waits for that.
pub(crate) fn make_durable(shared: &Shared) -> Result<(), LedgerError> {
    shared.refuse_if_fatal()?;
    let (handle, through) = {
        let mut state = shared.lock();
        state.queue.hurry = false;
        (state.journal.sync_handle()?, state.journal.next() - 1)
    };
    if through <= shared.promises.durable() {
        return Ok(());
    }
    if shared.options.durability != Durability::Process {
        // Never tried again: after a failed fsync nobody knows what is on the disk.
        handle.sync_data().map_err(|error| LedgerError::Fatal(error.to_string()))?;
    }
    shared.promises.keep(through);
    Ok(())
}

/// Lets some time pass while the store is down, in which the journal is synced for those who wait
/// for no more than that.
pub(crate) fn sync_meanwhile(shared: &Shared, time: Duration) -> Result<(), LedgerError> {
    let end = Instant::now() + time;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        let state = shared.lock();
        let idle = |state: &mut crate::shared::Guarded| !state.queue.hurry && !state.queue.closing;
        let (state, _) =
            shared.wake.wait_timeout_while(state, left, idle).unwrap_or_else(PoisonError::into_inner);
        let (hurry, closing) = (state.queue.hurry, state.queue.closing);
        drop(state);
        if hurry {
            make_durable(shared)?;
        } else if closing {
            return Ok(());
        }
    }
}
