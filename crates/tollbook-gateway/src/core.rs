//! What all threads of the data plane share, and what each has of its own.

use crate::admission::Admission;
use crate::cache::Cache;
use crate::capture::Recorder;
use crate::control::Control;
use crate::counters::Counters;
use crate::flights::Flights;
use crate::guard::{Ticks, Watch};
use crate::ids::Ids;
use crate::options::{Compat, Limits, Options, Timeouts};
use crate::pool::Pool;
use crate::target::Target;
use crate::upstream::{ProviderKey, Upstream};
use http::HeaderValue;
use http::header::HeaderName;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::AcqRel, Ordering::Acquire, Ordering::Release};
use tokio::sync::watch;
use tollbook_ledger::Ledger;
use tollbook_types::Clock;

/// An upstream, with what each call to it needs.
pub(crate) struct Route {
    pub upstream: Upstream,
    /// Absent when it is not said where it is.
    pub target: Option<Target>,
    /// The header that carries the provider's key.
    pub auth: HeaderName,
    pub key: Option<HeaderValue>,
    /// What has to be set before calls can be forwarded.
    pub missing: Option<String>,
}

impl Route {
    pub fn new(upstream: Upstream, target: Option<Target>) -> Route {
        let key = match &upstream.key {
            ProviderKey::Secret(secret) => upstream.auth.value(secret),
            ProviderKey::None | ProviderKey::Missing { .. } => None,
        };
        let missing = match &upstream.key {
            ProviderKey::Secret(_) if key.is_none() => {
                Some(format!("a key that can stand in a header for {}", upstream.name))
            }
            _ => upstream.missing(),
        };
        Route { target, auth: upstream.auth.header(), key, missing, upstream }
    }
}

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Calls are taken.
    Serving = 0,
    /// No new ones are.
    Stopping = 1,
    /// What still runs is cut.
    Cutting = 2,
}

/// What all threads share.
pub(crate) struct Core {
    pub routes: Vec<Route>,
    pub by_name: HashMap<String, usize>,
    pub limits: Limits,
    pub timeouts: Timeouts,
    pub compat: Compat,
    /// An answer ends only when its record is fsynced.
    pub is_strict: bool,
    pub cache: Option<Cache>,
    pub capture: Option<Recorder>,
    pub ledger: Arc<Ledger>,
    pub admission: Arc<dyn Admission>,
    pub control: Arc<dyn Control>,
    pub clock: Arc<dyn Clock>,
    pub counters: Arc<Counters>,
    pub flights: Arc<Flights>,
    pub held_bytes: Arc<Room>,
    pub drains: Arc<Room>,
    phase: AtomicU8,
}

/// Parts of the core that others make.
pub(crate) struct Parts {
    pub ledger: Arc<Ledger>,
    pub admission: Arc<dyn Admission>,
    pub control: Arc<dyn Control>,
    pub clock: Arc<dyn Clock>,
    pub counters: Arc<Counters>,
    pub capture: Option<Recorder>,
}

impl Core {
    pub fn new(routes: Vec<Route>, options: &Options, parts: Parts) -> Core {
        let names = routes.iter().map(|route| route.upstream.name.as_str());
        let Parts { ledger, admission, control, clock, counters, capture } = parts;
        Core {
            by_name: names.enumerate().map(|(place, name)| (name.to_owned(), place)).collect(),
            counters,
            flights: Arc::default(),
            held_bytes: Room::new(options.limits.bodies_bytes),
            drains: Room::new(options.limits.drains),
            phase: AtomicU8::new(Phase::Serving as u8),
            routes,
            limits: options.limits,
            timeouts: options.timeouts,
            compat: options.compat,
            is_strict: options.durability_strict,
            cache: options.cache.map(|cache| Cache::new(cache.bytes as u64)),
            capture,
            ledger,
            admission,
            control,
            clock,
        }
    }

    pub fn phase(&self) -> Phase {
        match self.phase.load(Acquire) {
            0 => Phase::Serving,
            1 => Phase::Stopping,
            _ => Phase::Cutting,
        }
    }

    pub fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Release);
    }
}

/// What one thread has of its own.
pub(crate) struct Plane {
    pub core: Arc<Core>,
    pub pool: Pool,
    pub ids: Ids,
    pub ticks: Arc<Ticks>,
    pub watch: Watch,
    /// Tasks that must end before the thread does.
    pub tasks: Arc<Room>,
    pub phase: watch::Receiver<Phase>,
}

impl Plane {
    /// Until what still runs is cut.
    pub async fn cut(&self) {
        let mut phase = self.phase.clone();
        // Nobody is left to say so when the server is gone.
        let _ = phase.wait_for(|phase| *phase == Phase::Cutting).await;
    }
}

/// Places, of which there are so many.
#[derive(Debug)]
pub(crate) struct Room {
    max: usize,
    taken: AtomicUsize,
}

impl Room {
    pub fn new(max: usize) -> Arc<Room> {
        Arc::new(Room { max, taken: AtomicUsize::new(0) })
    }

    /// Takes so many places, which are given back when what is returned is dropped.
    pub fn take(self: &Arc<Room>, places: usize) -> Option<Place> {
        let room = |taken: usize| taken.checked_add(places).filter(|taken| *taken <= self.max);
        self.taken.fetch_update(AcqRel, Acquire, room).ok()?;
        Some(Place { room: self.clone(), places })
    }

    pub fn taken(&self) -> usize {
        self.taken.load(Acquire)
    }
}

/// Places that are taken.
#[derive(Debug)]
pub(crate) struct Place {
    room: Arc<Room>,
    places: usize,
}

impl Place {
    /// Takes more of them.
    pub fn grow(&mut self, more: usize) -> bool {
        match self.room.take(more) {
            Some(mut place) => {
                self.places += std::mem::take(&mut place.places);
                true
            }
            None => false,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.taken.fetch_sub(self.places, AcqRel);
    }
}
