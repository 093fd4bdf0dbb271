//! The names that dashboards of earlier systems ask for, beside Tollbook's own, when configured.
//!
//! `openai_cost_total` is a histogram there, whatever its name says; it stays one.

use super::calls::plus;
use super::family::Family;
use super::histogram::Histogram;
use super::labels::OTHER;
use crate::feed::Reader;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tollbook_ledger::{Change, Skipped};
use tollbook_types::{Entry, Money, Usage};

/// Agents that are told apart; the rest is `other`.
const AGENTS_MAX: usize = 100;
/// Upper ends of the buckets of a call's cost: a tenth of a cent to ten dollars.
const COST_BOUNDS: [Money; 5] = [
    Money::from_picos(1_000_000_000),
    Money::from_picos(10_000_000_000),
    Money::from_picos(100_000_000_000),
    Money::from_picos(1_000_000_000_000),
    Money::from_picos(10_000_000_000_000),
];

/// The calls of each agent since the server started.
#[derive(Debug, Default)]
pub struct Seeds(Mutex<BTreeMap<(String, String), Agent>>);

#[derive(Debug, Default)]
struct Agent {
    input: u64,
    output: u64,
    cost: Histogram<Money, { COST_BOUNDS.len() + 1 }>,
}

impl Reader for Seeds {
    fn changed(&self, changes: &[Change]) {
        let mut agents = self.lock();
        for change in changes {
            if let Change::Entry { entry, .. } = change
                && !entry.event.is_demo()
            {
                count(&mut agents, entry);
            }
        }
    }

    fn skipped(&self, _: Skipped) {}
}

fn count(agents: &mut BTreeMap<(String, String), Agent>, entry: &Entry) {
    let Entry { event, rating, .. } = entry;
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let mut key = (text(&event.attribution.agent), text(&event.attribution.agent_name));
    if agents.len() >= AGENTS_MAX && !agents.contains_key(&key) {
        key = (OTHER.to_owned(), OTHER.to_owned());
    }
    let agent = agents.entry(key).or_default();
    let meters = event.usage.as_ref().map(Usage::total).unwrap_or_default();
    agent.input = agent.input.saturating_add(meters.input_tokens());
    agent.output = agent.output.saturating_add(meters.output_tokens());
    // A sum of observations must not go down.
    if let Some(cost) = rating.cost.filter(|cost| !cost.is_negative()) {
        agent.cost.observe(&COST_BOUNDS, cost, plus);
    }
}

impl Seeds {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, String), Agent>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The figures now.
    pub fn families(&self) -> Vec<Family> {
        let mut tokens = Family::counter("openai_tokens_total", "Tokens by agent.");
        let mut cost = Family::histogram("openai_cost_total", "Cost of calls in US dollars, by agent.");
        for ((id, name), agent) in &*self.lock() {
            let labels: [(&str, &str); 2] = [("agent_id", id), ("agent_name", name)];
            for (kind, count) in [("input", agent.input), ("output", agent.output)] {
                tokens = tokens.with(&[labels[0], labels[1], ("token_type", kind)], count);
            }
            cost = cost.observed_usd(&labels, &COST_BOUNDS, &agent.cost.counts, agent.cost.sum);
        }
        vec![tokens, cost]
    }
}
