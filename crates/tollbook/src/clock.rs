//! The machine's clock: the only place in the product that reads it.

use tollbook_types::{Clock, Timestamp, floor_to_micros};

/// The machine's clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "everything else takes the instant, or this clock, as an argument"
    )]
    fn now(&self) -> Timestamp {
        floor_to_micros(Timestamp::now())
    }
}
