//! What calls of a kind usually use, from the last ones that were booked.

use hashbrown::{Equivalent, HashMap};
use std::collections::VecDeque;

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
    kinds: HashMap<Name, Kind>,
    clock: u64,
}

/// What calls are of one kind by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Name {
    operation: Option<Box<str>>,
    model: Box<str>,
}

/// The same, to look it up by: it has the same hash.
#[derive(Clone, Copy, Hash)]
struct NameRef<'a> {
    operation: Option<&'a str>,
    model: &'a str,
}

impl Equivalent<Name> for NameRef<'_> {
    fn equivalent(&self, name: &Name) -> bool {
        self.operation == name.operation.as_deref() && *self.model == *name.model
    }
}

impl From<NameRef<'_>> for Name {
    fn from(name: NameRef<'_>) -> Name {
        Name { operation: name.operation.map(Box::from), model: name.model.into() }
    }
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
        let name = NameRef { operation, model };
        if self.kinds.len() >= KINDS_MAX && !self.kinds.contains_key(&name) {
            let oldest = self.kinds.iter().min_by_key(|(_, kind)| kind.touched).map(|(name, _)| name.clone());
            oldest.map(|oldest| self.kinds.remove(&oldest));
        }
        let kind = match self.kinds.get_mut(&name) {
            Some(kind) => kind,
            None => self.kinds.entry(Name::from(name)).or_default(),
        };
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
        let kind = self.kinds.get(&NameRef { operation, model })?;
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
