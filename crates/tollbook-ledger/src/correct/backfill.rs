//! Filling in: calls of unknown usage get the typical usage of calls like them.

use super::{Difference, each_call, event_in};
use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::rating::{Card, Rated, rate_event};
use crate::resolve::{Outcome, adjustment_to};
use std::collections::HashMap;
use tollbook_pricing::Book;
use tollbook_store::Store;
use tollbook_types::{Adjustment, Evidence, Meter, Meters, TimeRange, Usage, limits};

/// How many known calls a typical usage is taken from.
const TYPICAL_OF: usize = 100;

/// What filling in missing usage would change.
#[derive(Clone, Debug)]
pub struct Backfill {
    /// The calls with their new states.
    pub differences: Vec<Difference>,
    /// Calls without usage for which nothing comparable is known.
    pub without_example: u64,
}

impl Ledger {
    /// Applies what [`Backfill::plan`] found, in groups. Returns how many adjustments were made.
    pub fn backfill(&self, plan: &Backfill) -> Result<u64, LedgerError> {
        let at = self.shared().clock.now();
        let mut applied = 0;
        for group in plan.differences.chunks(limits::GROUP_EVENTS_MAX) {
            let adjusted = |difference: &Difference| -> (Adjustment, Vec<Card>) {
                let reason = "missing usage filled in by estimate".to_owned();
                let state = difference.state.clone();
                (adjustment_to(difference.call.seq, state, reason, None, at), difference.cards.clone())
            };
            let outcomes = self.adjust(group.iter().map(adjusted).collect())?;
            applied += outcomes.iter().filter(|o| matches!(o, Outcome::Applied { .. })).count() as u64;
        }
        Ok(applied)
    }
}

impl Backfill {
    /// Finds the calls in the range whose usage is unknown, and gives each the typical usage (the
    /// median, meter by meter) of the latest known calls of the same provider, model and operation,
    /// or of the same provider and model.
    pub fn plan(store: &dyn Store, book: &Book, range: TimeRange) -> Result<Backfill, LedgerError> {
        let mut known: HashMap<(String, String, Option<String>), Vec<Meters>> = HashMap::new();
        let mut unknown = Vec::new();
        each_call(store, range, Vec::new(), |call| {
            let state = call.corrected();
            let event = &call.entry.event;
            if state.evidence == Evidence::Unknown && state.free.is_none() && state.provider_cost.is_none() {
                unknown.push(call);
            } else if state.evidence >= Evidence::ProviderUsage && state.usage.is_some() {
                let operation = state.attribution.operation.clone();
                let wide = (event.provider.clone(), event.model.clone(), None);
                let narrow = (event.provider.clone(), event.model.clone(), operation);
                if narrow.2.is_some() {
                    push_latest(known.entry(narrow).or_default(), state.meters());
                }
                push_latest(known.entry(wide).or_default(), state.meters());
            }
        })?;
        let mut plan = Backfill { differences: Vec::new(), without_example: 0 };
        for call in unknown {
            let mut state = call.corrected();
            let event = &call.entry.event;
            let key = |operation| (event.provider.clone(), event.model.clone(), operation);
            let narrow = state.attribution.operation.clone().and_then(|o| known.get(&key(Some(o))));
            let Some(examples) = narrow.or_else(|| known.get(&key(None))) else {
                plan.without_example += 1;
                continue;
            };
            state.usage = Some(Usage::one(median(examples)));
            state.evidence = Evidence::Estimated;
            state.estimator = Some(format!("median of {} calls", examples.len()));
            let Rated { rating, cards } = rate_event(book, &event_in(&call, &state));
            state.rating = rating;
            plan.differences.push(Difference { call, state, cards });
        }
        Ok(plan)
    }
}

fn push_latest(examples: &mut Vec<Meters>, meters: Meters) {
    if examples.len() == TYPICAL_OF {
        examples.remove(0);
    }
    examples.push(meters);
}

fn median(examples: &[Meters]) -> Meters {
    let typical = |meter: Meter| {
        let mut quantities: Vec<u64> = examples.iter().map(|meters| meters.quantity(meter)).collect();
        quantities.sort_unstable();
        quantities.get(quantities.len() / 2).copied().unwrap_or(0)
    };
    Meters::from_pairs(Meter::ALL.iter().map(|meter| (*meter, typical(*meter))).filter(|(_, q)| *q > 0))
}
