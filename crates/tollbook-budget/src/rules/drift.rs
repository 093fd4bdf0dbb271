//! What providers bill against what the price book says, of each model, over a day.

use super::{Rule, Seen, Words, model_name, percent_text};
use std::collections::BTreeMap;
use tollbook_types::{Money, Timestamp};

/// Models that are watched.
const MODELS_MAX: usize = 1_024;

#[derive(Debug, Default)]
pub(super) struct Drift {
    day: Option<Timestamp>,
    models: BTreeMap<String, Sums>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    calls: u64,
    book: Money,
    billed: Money,
}

impl Drift {
    /// The model and its sums, this call among them; `None` where one of both figures is missing.
    pub fn see(&mut self, call: &Seen<'_>, day: Timestamp) -> Option<(String, Sums)> {
        let (book, billed) = (call.book?, call.billed?);
        if self.day != Some(day) {
            (self.day, self.models) = (Some(day), BTreeMap::new());
        }
        let model = model_name(call);
        if !self.models.contains_key(&model) && self.models.len() >= MODELS_MAX {
            return None;
        }
        let sums = self.models.entry(model.clone()).or_default();
        // A sum that has no room is left as it is.
        let sum = sums.book.checked_add(book).zip(sums.billed.checked_add(billed));
        (sums.book, sums.billed) = sum?;
        sums.calls += 1;
        Some((model, *sums))
    }
}

impl Sums {
    fn difference(self) -> i128 {
        self.billed.picos().abs_diff(self.book.picos()).try_into().unwrap_or(i128::MAX)
    }

    /// It holds no more below three quarters of the limit.
    pub fn holds(self, rule: &Rule) -> Option<bool> {
        let limit = self.book.picos().saturating_mul(i128::from(rule.percent));
        let hundredfold = self.difference().saturating_mul(100);
        if self.calls >= u64::from(rule.calls) && hundredfold > limit {
            return Some(true);
        }
        (hundredfold.saturating_mul(4) <= limit.saturating_mul(3)).then_some(false)
    }

    pub fn words(self, rule: &Rule, model: &str) -> Words {
        let share = percent_text(self.difference(), self.book.picos());
        Words {
            threshold: rule.percent.to_string(),
            summary: format!(
                "{model}: the provider bills {} USD for {} calls of today, the price book says {} USD ({share} % off)",
                self.billed, self.calls, self.book
            ),
            measured: share,
            limit: rule.percent.to_string(),
            unit: "percent",
        }
    }
}
