//! A clock that only moves when it is told to.

use std::sync::atomic::{AtomicI64, Ordering};
use tollbook_types::{Clock, Timestamp};

/// A clock that stands still until it is set or advanced, backwards too.
///
/// ```
/// use tollbook_testkit::ManualClock;
/// use tollbook_types::Clock;
/// let clock = ManualClock::new("2026-11-22T10:00:00Z".parse().unwrap());
/// clock.advance_ms(1_500);
/// assert_eq!(clock.now().to_string(), "2026-11-22T10:00:01.5Z");
/// ```
#[derive(Debug)]
pub struct ManualClock {
    micros: AtomicI64,
}

impl ManualClock {
    /// A clock that shows this instant.
    pub fn new(now: Timestamp) -> ManualClock {
        ManualClock { micros: AtomicI64::new(now.as_microsecond()) }
    }

    /// Shows this instant from now on.
    pub fn set(&self, now: Timestamp) {
        self.micros.store(now.as_microsecond(), Ordering::SeqCst);
    }

    /// Goes on by so many milliseconds, back if negative.
    pub fn advance_ms(&self, ms: i64) {
        self.micros.fetch_add(ms * 1_000, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_microsecond(self.micros.load(Ordering::SeqCst)).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}
