//! Thresholds: told once in a window, taken back when they hold no more.

use std::collections::BTreeMap;
use tollbook_types::Timestamp;

/// A threshold is resolved once what is spent lies this many hundredths of the limit below it, so
/// that corrections of small amounts do not make it flutter.
const SLACK_PERCENT: i128 = 5;

/// Which way a threshold was passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// What is spent has reached it.
    Firing,
    /// It has not, any more: the limit was raised, a cost corrected, or a new window began.
    Resolved,
}

/// A threshold that was passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crossing {
    /// The budget's id.
    pub budget: String,
    /// The value of its `each`.
    pub instance: Option<String>,
    /// The start of the window; absent for all time.
    pub window: Option<Timestamp>,
    /// The threshold, in percent of the limit.
    pub percent: u32,
    /// What is spent.
    pub spent: i128,
    /// The limit.
    pub limit: i128,
    /// When.
    pub at: Timestamp,
    /// Which way.
    pub turn: Turn,
}

/// A threshold that was told before the engine began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// The value of the budget's `each`.
    pub instance: Option<String>,
    /// The start of the window that it was told in; absent for all time.
    pub window: Option<Timestamp>,
    /// The threshold, in percent of the limit.
    pub percent: u32,
    /// Whether it still held when it was looked at last.
    pub holds: bool,
}

/// The thresholds of an account that were told in the present window, and whether they still hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fired(BTreeMap<u32, bool>);

impl Fired {
    /// What is to be told now. In a window that never begins anew (`may_repeat`) a threshold that was
    /// resolved may fire again.
    pub fn look(&mut self, warn_at: &[u32], spent: i128, limit: i128, may_repeat: bool) -> Vec<(u32, Turn)> {
        let mut turns = Vec::new();
        let reached = |percent: i128| spent.saturating_mul(100) >= limit.saturating_mul(percent);
        for percent in warn_at {
            let has_reached = spent > 0 && reached(i128::from(*percent));
            match self.0.get(percent) {
                None if has_reached => {
                    self.0.insert(*percent, true);
                    turns.push((*percent, Turn::Firing));
                }
                Some(true) if !reached((i128::from(*percent) - SLACK_PERCENT).max(0)) => {
                    if may_repeat {
                        self.0.remove(percent);
                    } else {
                        self.0.insert(*percent, false);
                    }
                    turns.push((*percent, Turn::Resolved));
                }
                _ => {}
            }
        }
        turns
    }

    /// Ends the window: what still held is resolved.
    pub fn end(&mut self) -> Vec<(u32, Turn)> {
        let fired = std::mem::take(&mut self.0);
        fired.into_iter().filter(|(_, holds)| *holds).map(|(percent, _)| (percent, Turn::Resolved)).collect()
    }

    /// A threshold was told before; where it `holds` no more and may repeat, nothing is known of it.
    pub fn remember(&mut self, percent: u32, holds: bool, may_repeat: bool) {
        if holds || !may_repeat {
            self.0.insert(percent, holds);
        }
    }

    /// Whether nothing was told.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_told_once_in_a_window() {
        let mut fired = Fired::default();
        let warn = [50, 80, 100];
        let mut look = |spent, limit| fired.look(&warn, spent, limit, false);
        for (spent, limit, told) in [
            (0, 100, vec![]),
            (49, 100, vec![]),
            (50, 100, vec![(50, Turn::Firing)]),
            (79, 100, vec![]),
            (100, 100, vec![(80, Turn::Firing), (100, Turn::Firing)]),
            (99, 100, vec![]),
            (94, 100, vec![(100, Turn::Resolved)]),
            (100, 100, vec![]), // Not again.
            (100, 1_000, vec![(50, Turn::Resolved), (80, Turn::Resolved)]),
        ] {
            assert_eq!(look(spent, limit), told, "{spent} of {limit}");
        }
        assert_eq!(fired.end(), []);
        assert_eq!(fired.look(&warn, 60, 100, false), [(50, Turn::Firing)]);
        assert_eq!(fired.end(), [(50, Turn::Resolved)]);
    }

    #[test]
    fn what_was_told_before_is_not_told_again() {
        for (holds, may_repeat, spent, told) in [
            (true, false, 100, vec![]),
            (true, false, 96, vec![]),
            (true, false, 94, vec![(100, Turn::Resolved)]),
            (false, false, 100, vec![]),
            (true, true, 94, vec![(100, Turn::Resolved)]),
            (false, true, 100, vec![(100, Turn::Firing)]),
        ] {
            let mut fired = Fired::default();
            fired.remember(100, holds, may_repeat);
            assert_eq!(fired.look(&[100], spent, 100, may_repeat), told, "{holds} {may_repeat} {spent}");
        }
    }

    #[test]
    fn a_limit_of_nothing_is_reached_by_the_first_amount() {
        let mut fired = Fired::default();
        assert_eq!(fired.look(&[100], 0, 0, false), []);
        assert_eq!(fired.look(&[100], 1, 0, false), [(100, Turn::Firing)]);
    }
}
