//! What was told of each value: once in a period, taken back when it holds no more.

use super::RuleKind;
use crate::alert::Turn;
use std::collections::BTreeMap;
use tollbook_types::Timestamp;

/// Values that a rule tells of in a day: made-up names of models must not flood people, nor take the
/// place of another rule's.
pub(super) const VALUES_MAX: usize = 50;

/// What was told last of each value.
#[derive(Debug, Default)]
pub(super) struct Told(BTreeMap<RuleKind, BTreeMap<String, Last>>);

#[derive(Clone, Copy, Debug)]
struct Last {
    /// The start of the period that it was told in.
    period: Timestamp,
    holds: bool,
}

impl Told {
    /// What there is to tell of a value now. `holds`: `None` between the limit and the lower one at
    /// which it holds no more.
    pub fn turn(
        &mut self,
        kind: RuleKind,
        value: &str,
        period: Timestamp,
        holds: Option<bool>,
    ) -> Option<Turn> {
        let holds = holds?;
        let values = self.0.entry(kind).or_default();
        let has_room = values.len() < VALUES_MAX;
        match values.get_mut(value) {
            Some(last) if holds => {
                let is_known = last.holds && kind.lasts();
                let is_due = last.period < period && !is_known;
                if is_due {
                    *last = Last { period, holds };
                }
                is_due.then_some(Turn::Firing)
            }
            Some(last) => std::mem::take(&mut last.holds).then_some(Turn::Resolved),
            None if holds && has_room => {
                values.insert(value.to_owned(), Last { period, holds });
                Some(Turn::Firing)
            }
            None => None,
        }
    }

    /// Takes over what was told before the start.
    pub fn remember(&mut self, kind: RuleKind, value: String, period: Timestamp, holds: bool) {
        self.0.entry(kind).or_default().insert(value, Last { period, holds });
    }

    /// Values of a rule for which it holds.
    pub fn holding(&self, kind: RuleKind) -> Vec<String> {
        let holding = self.0.get(&kind).into_iter().flatten().filter(|(_, last)| last.holds);
        holding.map(|(value, _)| value.clone()).collect()
    }

    /// Forgets what was told in periods before that instant, and is over.
    pub fn forget_before(&mut self, instant: Timestamp) {
        for (kind, values) in &mut self.0 {
            values.retain(|_, last| last.period >= instant || (last.holds && kind.lasts()));
        }
    }
}
