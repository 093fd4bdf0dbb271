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
    high: Option<Used>,
    touched: u64,
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
        if kind.last.len() == LAST {
            kind.last.pop_front();
        }
        kind.last.push_back(used);
        kind.high = (kind.last.len() >= ENOUGH).then(|| Used {
            picos: ninetieth(kind.last.iter().map(|used| used.picos)),
            tokens: ninetieth(kind.last.iter().map(|used| used.tokens)),
        });
    }

    /// What nine of ten such calls stay within, each measure on its own; `None` with too few.
    pub fn of(&self, operation: Option<&str>, model: &str) -> Option<Used> {
        self.kinds.get(&(operation.map(str::to_owned), model.to_owned()))?.high
    }
}

/// The 90th percentile by nearest rank.
fn ninetieth(values: impl Iterator<Item = i128>) -> i128 {
    let mut values: Vec<i128> = values.collect();
    if values.is_empty() {
        return 0;
    }
    let rank = (values.len() * 9).div_ceil(10);
    *values.select_nth_unstable(rank - 1).1
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
