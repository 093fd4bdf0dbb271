//! What the ledger's threads share.

use crate::budgets::Budgets;
use crate::dir::DataDir;
use crate::durable::Promises;
use crate::error::{LedgerError, StoreFault};
use crate::feed::Feed;
use crate::journal::Journal;
use crate::journal::record::GapBody;
use crate::ledger::Options;
use crate::writer::Queue;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use tollbook_store::Store;
use tollbook_types::{CardId, Clock, Erasures, Seq};

/// Whether the ledger can record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// All is well.
    #[default]
    Ok,
    /// The store fails; the journal takes what may pass without an answer. It is tried again each second.
    StoreDown(StoreFault),
    /// The journal failed. The process must end.
    Fatal(String),
}

/// Journal and queue, under one lock: the order of the one is the order of the other.
pub(crate) struct Guarded {
    pub journal: Journal,
    pub queue: Queue,
    /// Versions of documents written by this process that the store may not have yet.
    pub controls: HashMap<String, u32>,
    /// Rate cards that are recorded.
    pub cards: HashSet<CardId>,
    pub unrecorded: Unrecorded,
}

/// Calls that passed unrecorded.
#[derive(Debug, Default)]
pub(crate) struct Unrecorded {
    /// Those that no gap in the journal counts yet.
    pub gap: Option<GapBody>,
    /// Those that gaps count since there was no room any more.
    pub noted: u64,
    /// All since the ledger was opened.
    pub total: u64,
}

/// What a group did when it was applied last.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Applied {
    /// The last position in the store.
    pub through: Seq,
    /// When that was; microseconds since 1970. `None` when nothing was applied yet.
    pub at_micros: Option<i64>,
}

/// What the ledger's threads share.
pub(crate) struct Shared {
    pub dir: DataDir,
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub options: Options,
    guarded: Mutex<Guarded>,
    health: Mutex<Health>,
    /// Whether `health` is worth a look.
    failing: AtomicBool,
    applied: Mutex<Applied>,
    /// Who waits for an fsync.
    pub promises: Promises,
    /// Who is told of what the store has applied.
    pub feed: Feed,
    /// What occurred before this has been dropped and is refused; `i64::MIN` without a cut-off.
    pub cutoff_micros: AtomicI64,
    /// Persons who were erased.
    pub erasures: RwLock<Arc<Erasures>>,
    /// What calls are let go against.
    pub budgets: Budgets,
    /// Something is pending, or the ledger closes.
    pub wake: Condvar,
    /// There is room in the queue again.
    pub room: Condvar,
}

impl Shared {
    pub fn new(
        dir: DataDir,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        options: Options,
        guarded: Guarded,
        applied: Seq,
        cutoff_micros: i64,
    ) -> Shared {
        Shared {
            dir,
            store,
            clock,
            options,
            guarded: Mutex::new(guarded),
            health: Mutex::default(),
            failing: AtomicBool::new(false),
            applied: Mutex::new(Applied { through: applied, at_micros: None }),
            promises: Promises::default(),
            feed: Feed::default(),
            cutoff_micros: AtomicI64::new(cutoff_micros),
            erasures: RwLock::default(),
            budgets: Budgets::default(),
            wake: Condvar::new(),
            room: Condvar::new(),
        }
    }

    /// With the persons who were erased.
    pub fn with_erasures(self, erasures: Erasures) -> Shared {
        Shared { erasures: RwLock::new(Arc::new(erasures)), ..self }
    }

    pub fn lock(&self) -> MutexGuard<'_, Guarded> {
        self.guarded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn health(&self) -> Health {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set_health(&self, health: Health) {
        let fatal = match &health {
            Health::Fatal(reason) => Some(reason.clone()),
            _ => None,
        };
        let failing = health != Health::Ok;
        *self.health.lock().unwrap_or_else(PoisonError::into_inner) = health;
        self.failing.store(failing, Ordering::Release);
        if let Some(reason) = fatal {
            self.promises.break_all(&reason);
        }
    }

    pub fn refuse_if_failed(&self) -> Result<(), LedgerError> {
        if !self.failing.load(Ordering::Acquire) {
            return Ok(());
        }
        match self.health() {
            Health::Ok => Ok(()),
            Health::StoreDown(fault) => Err(LedgerError::StoreDown(fault)),
            Health::Fatal(reason) => Err(LedgerError::Fatal(reason)),
        }
    }

    /// Only what the journal itself says stops a record that nobody waits for.
    pub fn refuse_if_fatal(&self) -> Result<(), LedgerError> {
        match self.refuse_if_failed() {
            Err(LedgerError::StoreDown(_)) => Ok(()),
            other => other,
        }
    }

    /// Notes how far the store has come.
    pub fn note_applied(&self, through: Seq) {
        let at_micros = Some(self.clock.now().as_microsecond());
        *self.applied.lock().unwrap_or_else(PoisonError::into_inner) = Applied { through, at_micros };
    }

    pub fn applied(&self) -> Applied {
        *self.applied.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
