//! What one budget, or one value of its `each`, has used.

use crate::alert::Fired;
use crate::definition::Budget;
use std::collections::BTreeMap;
use tollbook_types::Timestamp;

/// Amounts in the unit of the limit: picodollars, tokens or calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Booked.
    pub spent: i128,
    /// Held for calls in flight.
    pub held: i128,
    /// The most that calls of unknown outcome can have cost.
    pub unsettled: i128,
}

impl Sums {
    /// What counts against a strict limit.
    pub fn used(&self) -> i128 {
        self.spent.saturating_add(self.held).saturating_add(self.unsettled)
    }

    /// Adds other amounts, which may be negative.
    pub(crate) fn add(&mut self, other: Sums) {
        self.spent = self.spent.saturating_add(other.spent);
        self.held = self.held.saturating_add(other.held);
        self.unsettled = self.unsettled.saturating_add(other.unsettled);
    }

    fn is_nothing(&self) -> bool {
        *self == Sums::default()
    }
}

/// The account of one budget, or of one value of its `each`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    /// Amounts by the window's key, from the present window on.
    parts: BTreeMap<Timestamp, Sums>,
    /// The first key that counts. It never goes back, whatever the clock does.
    first: Option<Timestamp>,
    /// What was told of the present window.
    pub fired: Fired,
    /// When a throttled call may go next.
    pub next_at: Option<Timestamp>,
}

impl Account {
    /// Goes on to the window of `now`, unless it is there or past it. Returns whether a new calendar
    /// window began.
    pub fn advance(&mut self, budget: &Budget, now: Timestamp) -> bool {
        let first = budget.window.first_key(now, &budget.zone.1);
        if self.first.is_some_and(|known| known >= first) {
            return false;
        }
        let is_new = self.first.replace(first).is_some();
        self.parts = self.parts.split_off(&first);
        if is_new && !matches!(budget.window, crate::Window::Rolling { .. }) {
            self.next_at = None;
            return true;
        }
        false
    }

    /// The start of the window that counts; `None` before the first [`Account::advance`].
    pub fn first(&self) -> Option<Timestamp> {
        self.first
    }

    /// Adds what happened at an instant; what lies before the present window is past.
    pub fn add(&mut self, budget: &Budget, at: Timestamp, amounts: Sums) {
        let key = budget.window.key(at, &budget.zone.1);
        if self.first.is_some_and(|first| key < first) {
            return;
        }
        let part = self.parts.entry(key).or_default();
        part.add(amounts);
        if part.is_nothing() {
            self.parts.remove(&key);
        }
    }

    /// What counts at `now`, which [`Account::advance`] has been told.
    pub fn sums(&self, budget: &Budget, now: Timestamp) -> Sums {
        // A clock that was set back asks for a window that is past: the present one counts.
        let now = self.first.map_or(now, |first| now.max(first));
        let last = budget.window.last_key(now, &budget.zone.1);
        self.parts.range(..=last).fold(Sums::default(), |mut sums, (_, part)| {
            sums.add(*part);
            sums
        })
    }

    /// Whether nothing would be lost by forgetting it.
    pub fn is_idle(&self) -> bool {
        self.parts.is_empty() && self.fired.is_empty()
    }
}
