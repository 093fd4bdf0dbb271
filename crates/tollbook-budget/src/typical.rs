//! What calls of a kind usually use, from the last ones that were booked.

use std::collections::{HashMap, VecDeque};

/// Calls that are looked at.
const LAST: usize = 100;
/// Fewer tell nothing.
const ENOUGH: usize = 10;
/// Kinds that are remembered; when there are more, the one that was not used for longest goes.
const KINDS_MAX: usize = 4_096;

/// What one call used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Used {
    /// Picodollars.
    pub picos: i128,
    /// Tokens.
    pub tokens: i128,
}

/// The last calls by operation and model.
#[derive(Clone, Debug, Default)]
pub(crate) struct Typical {
    kinds: HashMap<(Option<String>, String), Kind>,
    clock: u64,
}

#[derive(Clone, Debug, Default)]
struct Kind {
    last: VecDeque<Used>,
    picos: Sorted,
    tokens: Sorted,
    touched: u64,
}

/// The last values of one measure, in order of size: what changes them is a search and a move.
#[derive(Clone, Debug, Default)]
struct Sorted(Vec<i128>);

impl Sorted {
    fn add(&mut self, value: i128) {
        let place = self.0.partition_point(|known| *known < value);
        self.0.insert(place, value);
    }

    fn remove(&mut self, value: i128) {
        if let Ok(place) = self.0.binary_search(&value) {
            self.0.remove(place);
        }
    }

    /// The 90th percentile by nearest rank; 0 of nothing.
    fn ninetieth(&self) -> i128 {
        let rank = (self.0.len() * 9).div_ceil(10);
        rank.checked_sub(1).and_then(|place| self.0.get(place)).copied().unwrap_or(0)
    }
}

impl Typical {
    /// Takes a booked call into account.
    pub fn learn(&mut self, operation: Option<&str>, model: &str, used: Used) {
        self.clock += 1;
        let name = (operation.map(str::to_owned), model.to_owned());
        if self.kinds.len() >= KINDS_MAX && !self.kinds.contains_key(&name) {
            let oldest = self.kinds.iter().min_by_key(|(_, kind)| kind.touched).map(|(name, _)| name.clone());
            oldest.map(|oldest| self.kinds.remove(&oldest));
        }
        let kind = self.kinds.entry(name).or_default();
        kind.touched = self.clock;
        if kind.last.len() == LAST
            && let Some(oldest) = kind.last.pop_front()
        {
            kind.picos.remove(oldest.picos);
            kind.tokens.remove(oldest.tokens);
        }
        kind.last.push_back(used);
        kind.picos.add(used.picos);
        kind.tokens.add(used.tokens);
    }

    /// What nine of ten such calls stay within, each measure on its own; `None` with too few.
    pub fn of(&self, operation: Option<&str>, model: &str) -> Option<Used> {
        let kind = self.kinds.get(&(operation.map(str::to_owned), model.to_owned()))?;
        let is_enough = kind.last.len() >= ENOUGH;
        is_enough.then(|| Used { picos: kind.picos.ninetieth(), tokens: kind.tokens.ninetieth() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(picos: i128) -> Used {
        Used { picos, tokens: picos * 2 }
    }

    #[test]
    fn nine_of_ten_of_the_last_hundred() {
        let mut typical = Typical::default();
        for picos in 1..=9 {
            typical.learn(Some("chat"), "m", used(picos));
            assert_eq!(typical.of(Some("chat"), "m"), None, "{picos}");
        }
        typical.learn(Some("chat"), "m", used(1_000));
        assert_eq!(typical.of(Some("chat"), "m"), Some(used(9)));
        for picos in 1..=100 {
            typical.learn(Some("chat"), "m", used(picos));
        }
        assert_eq!(typical.of(Some("chat"), "m"), Some(used(90)));
        assert_eq!(typical.of(None, "m"), None);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_unused_go_first() {
        let mut typical = Typical::default();
        for n in 0..KINDS_MAX + 50 {
            for _ in 0..ENOUGH {
                typical.learn(None, "kept", used(1));
            }
            typical.learn(None, &format!("m{n}"), used(1));
        }
        assert_eq!(typical.kinds.len(), KINDS_MAX);
        assert_eq!(typical.of(None, "kept"), Some(used(1)));
    }
}
