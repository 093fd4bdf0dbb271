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
    /// The limit that it was told of; `None` where that cannot be compared, being in another unit.
    pub limit: Option<i128>,
    /// Whether it still held when it was looked at last.
    pub holds: bool,
}

/// The thresholds of an account that were told in the present window.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fired(BTreeMap<u32, Told>);

/// A threshold that was told.
#[derive(Clone, Copy, Debug)]
struct Told {
    limit: Option<i128>,
    holds: bool,
}

impl Fired {
    /// What is to be told now. A threshold that was resolved may fire again once the limit is another
    /// one, and always in a window that never begins anew (`may_repeat`).
    pub fn look(&mut self, warn_at: &[u32], spent: i128, limit: i128, may_repeat: bool) -> Vec<(u32, Turn)> {
        let mut turns = Vec::new();
        let reached = |percent: i128| spent.saturating_mul(100) >= limit.saturating_mul(percent);
        for percent in warn_at {
            let share = i128::from(*percent);
            let has_reached = spent > 0 && reached(share);
            let told = self.0.get(percent).copied();
            let is_other_limit = told.is_some_and(|told| told.limit != Some(limit));
            match told {
                // Against another limit, all that is above the threshold is new.
                Some(told) if told.holds && is_other_limit && !has_reached => {
                    self.0.remove(percent);
                    turns.push((*percent, Turn::Resolved));
                }
                Some(told) if told.holds && !is_other_limit && !reached((share - SLACK_PERCENT).max(0)) => {
                    if may_repeat {
                        self.0.remove(percent);
                    } else {
                        self.0.insert(*percent, Told { holds: false, ..told });
                    }
                    turns.push((*percent, Turn::Resolved));
                }
                Some(told) if told.holds || !is_other_limit => {}
                _ if has_reached => {
                    self.0.insert(*percent, Told { limit: Some(limit), holds: true });
                    turns.push((*percent, Turn::Firing));
                }
                _ => {
                    self.0.remove(percent);
                }
            }
        }
        turns
    }

    /// Ends the window: what still held is resolved.
    pub fn end(&mut self) -> Vec<(u32, Turn)> {
        let fired = std::mem::take(&mut self.0);
        fired
            .into_iter()
            .filter(|(_, told)| told.holds)
            .map(|(percent, _)| (percent, Turn::Resolved))
            .collect()
    }

    /// A threshold was told before, of a limit; where it `holds` no more and may repeat, nothing is known
    /// of it.
    pub fn remember(&mut self, percent: u32, limit: Option<i128>, holds: bool, may_repeat: bool) {
        if holds || !may_repeat {
            self.0.insert(percent, Told { limit, holds });
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
            // The limit is raised: what was told of it is over, and its thresholds are new ones.
            (100, 1_000, vec![(50, Turn::Resolved), (80, Turn::Resolved)]),
            (500, 1_000, vec![(50, Turn::Firing)]),
            (501, 1_001, vec![]),
            (501, 1_003, vec![(50, Turn::Resolved)]),
            (502, 1_003, vec![(50, Turn::Firing)]),
            // The raise ends: one holds on, the others are passed.
            (502, 100, vec![(80, Turn::Firing), (100, Turn::Firing)]),
            (502, 10_000, vec![(50, Turn::Resolved), (80, Turn::Resolved), (100, Turn::Resolved)]),
            (502, 100, vec![(50, Turn::Firing), (80, Turn::Firing), (100, Turn::Firing)]),
            (0, 100, vec![(50, Turn::Resolved), (80, Turn::Resolved), (100, Turn::Resolved)]),
            (502, 100, vec![]),
        ] {
            assert_eq!(look(spent, limit), told, "{spent} of {limit}");
        }
        assert_eq!(fired.end(), []);
        assert_eq!(fired.look(&warn, 60, 100, false), [(50, Turn::Firing)]);
        assert_eq!(fired.end(), [(50, Turn::Resolved)]);
    }

    #[test]
    fn what_was_told_before_is_not_told_again() {
        for (holds, limit, may_repeat, spent, told) in [
            (true, Some(100), false, 100, vec![]),
            (true, Some(100), false, 96, vec![]),
            (true, Some(100), false, 94, vec![(100, Turn::Resolved)]),
            (false, Some(100), false, 100, vec![]),
            (true, Some(100), true, 94, vec![(100, Turn::Resolved)]),
            (false, Some(100), true, 100, vec![(100, Turn::Firing)]),
            // It was told of another limit.
            (true, Some(50), false, 100, vec![]),
            (true, Some(50), false, 99, vec![(100, Turn::Resolved)]),
            (false, Some(50), false, 100, vec![(100, Turn::Firing)]),
            (true, None, false, 99, vec![(100, Turn::Resolved)]),
            (false, None, false, 100, vec![(100, Turn::Firing)]),
        ] {
            let mut fired = Fired::default();
            fired.remember(100, limit, holds, may_repeat);
            let case = format!("{holds} {limit:?} {may_repeat} {spent}");
            assert_eq!(fired.look(&[100], spent, 100, may_repeat), told, "{case}");
        }
    }

    #[test]
    fn a_limit_of_nothing_is_reached_by_the_first_amount() {
        let mut fired = Fired::default();
        assert_eq!(fired.look(&[100], 0, 0, false), []);
        assert_eq!(fired.look(&[100], 1, 0, false), [(100, Turn::Firing)]);
    }
}
