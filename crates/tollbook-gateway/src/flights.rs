//! Streams on their way, for whoever watches: whose they are, and about how much has come.
//!
//! A stream enters when its answer begins and leaves when its call ends. What it has brought is
//! estimated only when somebody has asked since the last time, so that one that nobody watches costs
//! no more than its two entries here.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tollbook_types::{Attribution, Timestamp};
use uuid::Uuid;

/// Streams that are shown at once; further ones are not.
const FLIGHTS_MAX: usize = 4_096;
/// No estimate has been made.
const UNKNOWN: u64 = u64::MAX;

/// A stream on its way.
#[derive(Debug)]
pub struct Flight {
    /// The call's id.
    pub id: Uuid,
    /// Its admission.
    pub at: Timestamp,
    /// The provider in the books.
    pub provider: String,
    /// The model that was asked for.
    pub model: String,
    /// On whose account.
    pub attribution: Arc<Attribution>,
    asked: AtomicBool,
    bytes: AtomicU64,
    output_tokens: AtomicU64,
}

impl Flight {
    pub(crate) fn new(
        id: Uuid,
        at: Timestamp,
        provider: &str,
        model: &str,
        attribution: &Arc<Attribution>,
    ) -> Flight {
        Flight {
            id,
            at,
            provider: provider.to_owned(),
            model: model.to_owned(),
            attribution: attribution.clone(),
            asked: AtomicBool::new(true),
            bytes: AtomicU64::new(0),
            output_tokens: AtomicU64::new(UNKNOWN),
        }
    }

    /// Bytes of the answer so far, as they passed.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// Output tokens as they were estimated last, from bytes alone; absent while nothing was.
    pub fn output_tokens(&self) -> Option<u64> {
        Some(self.output_tokens.load(Relaxed)).filter(|tokens| *tokens != UNKNOWN)
    }

    /// Asks for a new estimate. It is made with the next piece of the answer.
    pub fn ask(&self) {
        self.asked.store(true, Relaxed);
    }

    /// Bytes have passed; whether somebody wants an estimate. Only one thread calls this.
    pub(crate) fn passed(&self, bytes: usize) -> bool {
        self.bytes.store(self.bytes().saturating_add(bytes as u64), Relaxed);
        self.asked.load(Relaxed)
    }

    pub(crate) fn estimated(&self, output_tokens: Option<u64>) {
        // Where figures of the provider's own have come, there is no estimate any more: the last stays.
        if let Some(tokens) = output_tokens {
            self.output_tokens.store(tokens, Relaxed);
        }
        self.asked.store(false, Relaxed);
    }
}

/// All streams on their way.
#[derive(Debug, Default)]
pub struct Flights(Mutex<BTreeMap<Uuid, Arc<Flight>>>);

impl Flights {
    /// Those on their way now, oldest first.
    pub fn all(&self) -> Vec<Arc<Flight>> {
        self.lock().values().cloned().collect()
    }

    /// Enters one, until what is returned is dropped. `None` when there are too many.
    pub(crate) fn enter(self: &Arc<Flights>, flight: Flight) -> Option<Entered> {
        let mut all = self.lock();
        if all.len() >= FLIGHTS_MAX {
            return None;
        }
        let flight = Arc::new(flight);
        all.insert(flight.id, flight.clone());
        drop(all);
        Some(Entered { flights: self.clone(), flight })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Uuid, Arc<Flight>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream that is shown.
#[derive(Debug)]
pub(crate) struct Entered {
    flights: Arc<Flights>,
    pub flight: Arc<Flight>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.flights.lock().remove(&self.flight.id);
    }
}
