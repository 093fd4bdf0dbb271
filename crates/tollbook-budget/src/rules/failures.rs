//! The share of calls that fail, of each provider, over the last minutes.

use super::{Rule, Seen, Words, percent_text};
use std::collections::BTreeMap;
use tollbook_types::Timestamp;

/// Providers that are watched.
const PROVIDERS_MAX: usize = 256;
/// The longest window, in minutes: what lies further back is dropped.
pub(super) const MINUTES_MAX: i64 = 24 * 60;

#[derive(Debug, Default)]
pub(super) struct Failures(BTreeMap<String, BTreeMap<i64, Count>>);

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Count {
    calls: u64,
    failed: u64,
}

impl Failures {
    pub fn see(&mut self, call: &Seen<'_>) {
        if !self.0.contains_key(call.provider) && self.0.len() >= PROVIDERS_MAX {
            return;
        }
        let minutes = self.0.entry(call.provider.to_owned()).or_default();
        let count = minutes.entry(call.at.as_second().div_euclid(60)).or_default();
        count.calls += 1;
        count.failed += u64::from(call.has_failed);
        // Old calls that are imported leave no room for new ones otherwise.
        while minutes.len() as i64 > MINUTES_MAX {
            minutes.pop_first();
        }
    }

    /// What came of each provider within the last minutes.
    pub fn look(&mut self, rule: &Rule, now: Timestamp) -> Vec<(String, Count)> {
        let this = now.as_second().div_euclid(60);
        let first = this - i64::from(rule.minutes) + 1;
        self.0.values_mut().for_each(|minutes| minutes.retain(|minute, _| *minute > this - MINUTES_MAX));
        let looked = self.0.iter().map(|(provider, minutes)| {
            let mut all = Count::default();
            for count in minutes.range(first..=this).map(|(_, count)| count) {
                all.calls += count.calls;
                all.failed += count.failed;
            }
            (provider.clone(), all)
        });
        let looked = looked.collect();
        self.0.retain(|_, minutes| !minutes.is_empty());
        looked
    }
}

impl Count {
    /// It holds no more below three quarters of the limit, or without calls.
    pub fn holds(self, rule: &Rule) -> Option<bool> {
        let (calls, failed) = (u128::from(self.calls), u128::from(self.failed));
        let limit = u128::from(rule.percent) * calls;
        if self.calls >= u64::from(rule.calls) && failed * 100 >= limit && self.failed > 0 {
            return Some(true);
        }
        (self.calls == 0 || failed * 400 < limit * 3).then_some(false)
    }

    pub fn words(self, rule: &Rule, provider: &str) -> Words {
        let Count { calls, failed } = self;
        let share = percent_text(i128::from(failed), i128::from(calls));
        Words {
            threshold: rule.percent.to_string(),
            summary: format!(
                "{failed} of {calls} calls to {provider} failed within {} minutes ({share} %)",
                rule.minutes
            ),
            measured: share,
            limit: rule.percent.to_string(),
            unit: "percent",
        }
    }
}
