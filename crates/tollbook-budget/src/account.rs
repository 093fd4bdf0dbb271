//! What one budget, or one value of its `each`, has used.

use crate::alert::Fired;
use crate::definition::{Budget, Mode};
use crate::window::Window;
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
    /// Calls that it refused. They are not in the books: who counts anew begins with none.
    pub refused: u64,
}

impl Sums {
    /// What counts against a limit: calls of unknown outcome do where nothing may pass it.
    pub fn counted(&self, mode: Mode) -> i128 {
        match mode {
            Mode::Strict => self.used(),
            Mode::Expected => self.spent.saturating_add(self.held),
        }
    }

    /// All that may be used.
    pub fn used(&self) -> i128 {
        self.spent.saturating_add(self.held).saturating_add(self.unsettled)
    }

    /// Adds other amounts, which may be negative.
    pub(crate) fn add(&mut self, other: Sums) {
        self.spent = self.spent.saturating_add(other.spent);
        self.held = self.held.saturating_add(other.held);
        self.unsettled = self.unsettled.saturating_add(other.unsettled);
        self.refused = self.refused.saturating_add(other.refused);
    }

    fn is_nothing(&self) -> bool {
        *self == Sums::default()
    }
}

/// The account of one budget, or of one value of its `each`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    /// Amounts by the window's key, ascending, from the window before the present one on: two of a
    /// calendar window, and few of any other.
    parts: Vec<(Timestamp, Sums)>,
    /// The first key that counts. It never goes back, whatever the clock does.
    first: Option<Timestamp>,
    /// The first key of the calendar window before, which is not forgotten yet: the clock may have been
    /// wrong when it ended.
    before: Option<Timestamp>,
    /// Where the present calendar window ends: until then its key is the first.
    end: Option<Timestamp>,
    /// What was told of the present window.
    pub fired: Fired,
    /// When a throttled call may go next.
    pub next_at: Option<Timestamp>,
}

impl Account {
    /// Goes on to the window of `now`, unless it is there or past it. Returns whether a new calendar
    /// window began.
    pub fn advance(&mut self, budget: &Budget, now: Timestamp) -> bool {
        if self.is_present(now) {
            return false;
        }
        let first = budget.window.first_key(now, &budget.zone.1);
        if self.first.is_some_and(|known| known >= first) {
            return false;
        }
        self.end = (!is_rolling(budget)).then(|| budget.window.moves_after(now, &budget.zone.1));
        let before = self.first.replace(first);
        self.before = before.filter(|_| !is_rolling(budget));
        let kept = self.before.unwrap_or(first);
        self.parts.retain(|(key, _)| *key >= kept);
        if self.before.is_some() {
            self.next_at = None;
            return true;
        }
        false
    }

    /// The start of the window that counts; `None` before the first [`Account::advance`].
    pub fn first(&self) -> Option<Timestamp> {
        self.first
    }

    /// Whether an instant is in the present calendar window.
    fn is_present(&self, at: Timestamp) -> bool {
        self.first.zip(self.end).is_some_and(|(first, end)| (first..end).contains(&at))
    }

    /// What the window calls an instant's key.
    fn key_of(&self, budget: &Budget, at: Timestamp) -> Timestamp {
        match self.first.filter(|_| self.is_present(at)) {
            Some(first) => first,
            None => budget.window.key(at, &budget.zone.1),
        }
    }

    /// The key under which a call counts that is admitted at this instant. Before all that is known, as
    /// where the clock was set back far, it is the present one: nothing that is admitted goes uncounted.
    pub fn key(&self, budget: &Budget, at: Timestamp) -> Timestamp {
        let key = self.key_of(budget, at);
        match (self.before, self.first) {
            (Some(before), _) if key >= before => key,
            (None, Some(first)) if key < first && is_rolling(budget) => {
                self.parts.last().map_or(first, |(newest, _)| *newest)
            }
            (_, Some(first)) => key.max(first),
            (_, None) => key,
        }
    }

    /// Adds what happened at an instant; what lies before the windows that are known is past.
    pub fn add(&mut self, budget: &Budget, at: Timestamp, amounts: Sums) {
        self.add_to(self.key_of(budget, at), amounts);
    }

    /// As [`Account::add`], under a key of [`Account::key`].
    pub fn add_to(&mut self, key: Timestamp, amounts: Sums) {
        if self.before.or(self.first).is_some_and(|known| key < known) {
            return;
        }
        match self.place_of(key) {
            Ok(place) => {
                self.parts[place].1.add(amounts);
                if self.parts[place].1.is_nothing() {
                    self.parts.remove(place);
                }
            }
            Err(_) if amounts.is_nothing() => {}
            Err(place) => self.parts.insert(place, (key, amounts)),
        }
    }

    /// What counts at `now`, which [`Account::advance`] has been told.
    pub fn sums(&self, budget: &Budget, now: Timestamp) -> Sums {
        self.sums_at(budget, self.deciding(budget, now))
    }

    /// What counts in the present window, even if the clock was set back.
    pub fn present(&self, budget: &Budget, now: Timestamp) -> Sums {
        self.sums_at(budget, self.first.map_or(now, |first| now.max(first)))
    }

    /// The instant whose window decides at `now`. A clock that was set back asks for a window that is past:
    /// the present one counts, or the past one where more of it is used, so that neither opens again.
    pub fn deciding(&self, budget: &Budget, now: Timestamp) -> Timestamp {
        let present = self.first.map_or(now, |first| now.max(first));
        let used = |at| self.sums_at(budget, at).used();
        let is_known = self.before.is_some_and(|before| before <= now);
        if now < present && is_known && used(now) > used(present) { now } else { present }
    }

    fn sums_at(&self, budget: &Budget, at: Timestamp) -> Sums {
        if let Some(first) = self.first.filter(|_| self.is_present(at)) {
            return self.place_of(first).map_or(Sums::default(), |place| self.parts[place].1);
        }
        let window = (&budget.window, &budget.zone.1);
        let keys = window.0.first_key(at, window.1)..=window.0.last_key(at, window.1);
        let counted = self.parts.iter().filter(|(key, _)| keys.contains(key));
        counted.fold(Sums::default(), |mut sums, (_, part)| {
            sums.add(*part);
            sums
        })
    }

    /// Where a key stands, or would. It is the last one nearly always.
    fn place_of(&self, key: Timestamp) -> Result<usize, usize> {
        match self.parts.last() {
            Some((last, _)) if *last == key => Ok(self.parts.len() - 1),
            _ => self.parts.binary_search_by_key(&key, |(key, _)| *key),
        }
    }

    /// Whether nothing would be lost by forgetting it.
    pub fn is_idle(&self) -> bool {
        self.parts.is_empty() && self.fired.is_empty()
    }
}

fn is_rolling(budget: &Budget) -> bool {
    matches!(budget.window, Window::Rolling { .. })
}
