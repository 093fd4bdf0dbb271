//! Who watches, and what each has not been sent yet.

use crate::feed::Reader;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::Notify;
use tollbook_ledger::alerts::Alert;
use tollbook_ledger::{Change, Skipped};
use tollbook_store::fold::admits;
use tollbook_store::{Filter, State, StoredCall};
use tollbook_types::Seq;

/// Sockets in all, and with one key.
const LISTENERS_MAX: usize = 128;
const LISTENERS_OF_KEY_MAX: usize = 32;
/// Calls that wait for one socket.
pub const WAITING_MAX: usize = 1_000;

/// Everybody who watches.
#[derive(Debug, Default)]
pub struct Hub {
    listeners: Mutex<Vec<Weak<Listener>>>,
    /// Changes up to here have been told.
    position: AtomicU64,
}

/// A call that is new or was corrected.
#[derive(Debug)]
pub struct Told {
    /// The position of the record that made it so.
    pub seq: Seq,
    /// The call now.
    pub call: Arc<StoredCall>,
    /// Whether it was there before.
    pub is_correction: bool,
}

/// What waits for a socket.
#[derive(Clone, Debug)]
pub enum Item {
    /// A call.
    Call(Arc<Told>),
    /// Calls that it missed.
    Gap(Gap),
    /// An alert that began or ended.
    Alert(Arc<Alert>),
}

/// Calls that were not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// They come after this position …
    pub after: Seq,
    /// … and not after this one.
    pub through: Seq,
    /// How many, where that is known.
    pub calls: Option<u64>,
}

/// One socket's side of the hub.
#[derive(Debug)]
pub struct Listener {
    key: String,
    filters: Vec<Filter>,
    /// Whether it may hear of alerts, which are of all the books.
    hears_alerts: bool,
    waiting: Mutex<VecDeque<Item>>,
    /// Its sums may be others now.
    changed: AtomicBool,
    wake: Notify,
}

impl Hub {
    /// A further listener, who hears what happens from now on. `None` when there are too many.
    pub fn listen(&self, key: &str, filters: Vec<Filter>, hears_alerts: bool) -> Option<Arc<Listener>> {
        let mut listeners = self.lock();
        listeners.retain(|listener| listener.strong_count() > 0);
        let of_key = listeners.iter().filter_map(Weak::upgrade).filter(|listener| listener.key == key);
        if listeners.len() >= LISTENERS_MAX || of_key.count() >= LISTENERS_OF_KEY_MAX {
            return None;
        }
        let listener = Arc::new(Listener {
            key: key.to_owned(),
            filters,
            hears_alerts,
            waiting: Mutex::default(),
            changed: AtomicBool::new(true),
            wake: Notify::new(),
        });
        listeners.push(Arc::downgrade(&listener));
        Some(listener)
    }

    /// Tells of an alert that began or ended. A socket that has no room for it asks for them when it
    /// comes back.
    pub fn alert(&self, alert: &Arc<Alert>) {
        let listeners: Vec<Arc<Listener>> = self.lock().iter().filter_map(Weak::upgrade).collect();
        for listener in listeners.iter().filter(|listener| listener.hears_alerts) {
            let mut waiting = listener.lock();
            if waiting.len() < WAITING_MAX {
                waiting.push_back(Item::Alert(alert.clone()));
            }
            drop(waiting);
            listener.wake.notify_one();
        }
    }

    /// What happened up to here is told to nobody: it was before.
    pub fn begin(&self, position: Seq) {
        self.position.fetch_max(position, Ordering::AcqRel);
    }

    /// Every listener has been told, or knows that it was not, what happened up to here.
    pub fn position(&self) -> Seq {
        self.position.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Listener>>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells all listeners; then the position moves.
    fn tell(&self, last: Option<Seq>, tell: impl FnOnce(&[Arc<Listener>])) {
        let listeners: Vec<Arc<Listener>> = self.lock().iter().filter_map(Weak::upgrade).collect();
        if !listeners.is_empty() {
            tell(&listeners);
        }
        self.position.fetch_max(last.unwrap_or(0), Ordering::AcqRel);
        listeners.iter().for_each(|listener| listener.wake.notify_one());
    }
}

impl Reader for Hub {
    fn changed(&self, changes: &[Change]) {
        self.tell(changes.last().map(Change::seq), |listeners| {
            for change in changes {
                let (told, state) = told(change);
                listeners.iter().for_each(|listener| listener.offer(&told, &state));
            }
        });
    }

    fn skipped(&self, skipped: Skipped) {
        let Skipped { first, last, .. } = skipped;
        let gap = Gap { after: first.saturating_sub(1), through: last, calls: None };
        self.tell(Some(last), |listeners| listeners.iter().for_each(|listener| listener.miss(gap)));
    }
}

fn told(change: &Change) -> (Arc<Told>, State) {
    let (seq, call, is_correction) = match change {
        Change::Adjustment { seq, call, .. } => (*seq, call.clone(), true),
        Change::Entry { seq, digest, entry } => {
            let (adjustments, joined) = (Vec::new(), Vec::new());
            let entry = (**entry).clone();
            (*seq, Arc::new(StoredCall { seq: *seq, digest: *digest, entry, adjustments, joined }), false)
        }
    };
    let state = call.corrected();
    (Arc::new(Told { seq, call, is_correction }), state)
}

impl Listener {
    /// What it listens for.
    pub fn filters(&self) -> &[Filter] {
        &self.filters
    }

    /// Waits until there may be something.
    pub async fn heard(&self) {
        self.wake.notified().await;
    }

    /// Whether its sums may have changed since this was asked last.
    pub fn has_changed(&self) -> bool {
        self.changed.swap(false, Ordering::AcqRel)
    }

    /// What waits longest.
    pub fn next(&self) -> Option<Item> {
        self.lock().pop_front()
    }

    fn offer(&self, told: &Arc<Told>, state: &State) {
        let passes = admits(&told.call.entry.event, state, &self.filters);
        if passes || told.is_correction {
            // What a correction took out of the filters changes the sums, too.
            self.changed.store(true, Ordering::Release);
        }
        if !passes {
            return;
        }
        let mut waiting = self.lock();
        if waiting.len() < WAITING_MAX {
            waiting.push_back(Item::Call(told.clone()));
            return;
        }
        drop(waiting);
        self.miss(Gap { after: told.seq.saturating_sub(1), through: told.seq, calls: Some(1) });
    }

    /// Notes a gap in its place; one that follows another widens it.
    fn miss(&self, gap: Gap) {
        self.changed.store(true, Ordering::Release);
        let mut waiting = self.lock();
        match waiting.back_mut() {
            Some(Item::Gap(last)) => {
                last.through = gap.through;
                last.calls = last.calls.zip(gap.calls).map(|(calls, more)| calls.saturating_add(more));
            }
            _ => waiting.push_back(Item::Gap(gap)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Item>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
