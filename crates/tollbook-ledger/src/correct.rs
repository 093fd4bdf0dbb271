//! Corrections: settling what is unknown, rating again, filling in missing usage. All of them end
//! in adjustments; nothing recorded is ever changed.

use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::rating::{Card, Rated, rate_event};
use crate::resolve::{Outcome, adjustment_to};
use std::collections::HashMap;
use tollbook_pricing::Book;
use tollbook_store::{CallsCursor, CallsOrder, CallsQuery, State, Store, StoredCall};
use tollbook_types::{
    Adjustment, CostBasis, Event, Evidence, FreeReason, Meter, Meters, Money, ProviderCost, Seq, TimeRange,
    Usage, limits,
};

/// Calls read at once while going over the ledger.
const PAGE: usize = 1_000;
/// How many known calls a typical usage is taken from.
const TYPICAL_OF: usize = 100;

/// How an unknown call is settled by hand.
#[derive(Clone, Debug, PartialEq)]
pub enum Settlement {
    /// It used this.
    Usage(Meters),
    /// It cost this.
    Cost(Money),
    /// It cost nothing.
    None,
}

/// One call whose rating would change.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The call.
    pub call: StoredCall,
    /// Its state as it would be.
    pub state: State,
    /// The cards that the new rating uses.
    pub cards: Vec<Card>,
}

/// What rating again would change, against a fixed book and position.
#[derive(Clone, Debug)]
pub struct Rerate {
    /// The name of the run: the same book over the same entries is the same run.
    pub run: String,
    /// Entries looked at.
    pub looked_at: u64,
    /// Those that would change, in order of position.
    pub differences: Vec<Difference>,
}

/// What filling in missing usage would change.
#[derive(Clone, Debug)]
pub struct Backfill {
    /// The calls with their new states.
    pub differences: Vec<Difference>,
    /// Calls without usage for which nothing comparable is known.
    pub without_example: u64,
}

impl Ledger {
    /// Settles one call by hand. Returns its new state.
    pub fn settle(&self, seq: Seq, settlement: &Settlement, reason: &str) -> Result<State, LedgerError> {
        self.flush()?;
        let Some(call) = self.store().call(seq)? else {
            return Err(LedgerError::Invalid(format!("there is no entry {seq}")));
        };
        let mut state = call.corrected();
        match settlement {
            Settlement::Usage(meters) => {
                state.usage = Some(Usage::one(meters.clone()));
                state.evidence = Evidence::ProviderUsage;
                state.free = None;
                state.inconsistent = false;
            }
            Settlement::Cost(cost) => {
                let total = *cost;
                state.provider_cost = Some(ProviderCost {
                    total,
                    input: None,
                    output: None,
                    field: "settled by hand".to_owned(),
                });
                state.evidence = Evidence::ProviderCost;
                state.free = None;
            }
            Settlement::None => {
                state.usage = None;
                state.provider_cost = None;
                state.evidence = Evidence::ProviderUsage;
                state.free = Some(FreeReason::Settled);
            }
        }
        state.estimator = None;
        let Rated { rating, cards } = rate_event(&self.book(), &event_in(&call, &state));
        state.rating = rating;
        let at = self.shared().clock.now();
        let adjustment = adjustment_to(seq, state, format!("settled: {reason}"), None, at);
        match self.adjust(vec![(adjustment, cards)])?.first() {
            Some(Outcome::Applied { .. }) => {}
            _ => return Err(LedgerError::Invalid("the call changed at the same time; try again".to_owned())),
        }
        self.store()
            .call(seq)?
            .map(|call| call.corrected())
            .ok_or_else(|| LedgerError::Invalid(format!("there is no entry {seq}")))
    }

    /// Applies what [`Rerate::plan`] found, in groups; safe to run again after a crash. Returns how
    /// many adjustments were made.
    pub fn rerate(&self, plan: &Rerate) -> Result<u64, LedgerError> {
        self.apply_differences(&plan.differences, "rated again", Some(&plan.run))
    }

    /// Applies what [`Backfill::plan`] found. Returns how many adjustments were made.
    pub fn backfill(&self, plan: &Backfill) -> Result<u64, LedgerError> {
        self.apply_differences(&plan.differences, "missing usage filled in by estimate", None)
    }

    fn apply_differences(
        &self,
        differences: &[Difference],
        reason: &str,
        run: Option<&str>,
    ) -> Result<u64, LedgerError> {
        let at = self.shared().clock.now();
        let mut applied = 0;
        for group in differences.chunks(limits::GROUP_EVENTS_MAX) {
            let adjustments: Vec<(Adjustment, Vec<Card>)> = group
                .iter()
                .map(|difference| {
                    let run = run.map(str::to_owned);
                    let state = difference.state.clone();
                    let adjustment = adjustment_to(difference.call.seq, state, reason.to_owned(), run, at);
                    (adjustment, difference.cards.clone())
                })
                .collect();
            let outcomes = self.adjust(adjustments)?;
            applied += outcomes.iter().filter(|o| matches!(o, Outcome::Applied { .. })).count() as u64;
        }
        Ok(applied)
    }
}

impl Rerate {
    /// Rates all calls in the range again with `book` and keeps what differs; with `only_unpriced`
    /// only calls that have no price.
    pub fn plan(
        store: &dyn Store,
        book: &Book,
        range: TimeRange,
        only_unpriced: bool,
    ) -> Result<Rerate, LedgerError> {
        let position = store.position()?.applied;
        let mut plan = Rerate {
            run: format!("rerate-{}-{position}", book.hash()),
            looked_at: 0,
            differences: Vec::new(),
        };
        each_call(store, range, |call| {
            let mut state = call.corrected();
            let unpriced = state.rating.basis == CostBasis::Unpriced;
            if call.seq > position || (only_unpriced && !unpriced) {
                return;
            }
            plan.looked_at += 1;
            let Rated { rating, cards } = rate_event(book, &event_in(&call, &state));
            if money_of(&rating) != money_of(&state.rating) {
                state.rating = rating;
                plan.differences.push(Difference { call, state, cards });
            }
        })?;
        Ok(plan)
    }

    /// The cost before and after, over the calls that would change.
    pub fn totals(&self) -> (Money, Money) {
        let sum = |cost: &dyn Fn(&Difference) -> Option<Money>| {
            Money::checked_sum(self.differences.iter().filter_map(cost)).unwrap_or_default()
        };
        (sum(&|d| d.call.corrected().rating.cost), sum(&|d| d.state.rating.cost))
    }
}

impl Backfill {
    /// Finds the calls in the range whose usage is unknown, and gives each the typical usage (the
    /// median, meter by meter) of the latest known calls of the same provider, model and operation,
    /// or of the same provider and model.
    pub fn plan(store: &dyn Store, book: &Book, range: TimeRange) -> Result<Backfill, LedgerError> {
        let mut known: HashMap<(String, String, Option<String>), Vec<Meters>> = HashMap::new();
        let mut unknown = Vec::new();
        each_call(store, range, |call| {
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

/// The event as it would have to be told for the call to be in this state.
pub fn event_in(call: &StoredCall, state: &State) -> Event {
    let mut event = call.entry.event.clone();
    event.usage.clone_from(&state.usage);
    event.evidence = state.evidence;
    event.free = state.free;
    event.provider_cost.clone_from(&state.provider_cost);
    event.conditions.clone_from(&state.conditions);
    event.attribution.clone_from(&state.attribution);
    event.inconsistent = state.inconsistent;
    event
}

fn money_of(rating: &tollbook_types::Rating) -> [Option<Money>; 5] {
    [rating.cost, rating.input_cost, rating.output_cost, rating.other_cost, rating.book_cost]
}

fn each_call(
    store: &dyn Store,
    range: TimeRange,
    mut each: impl FnMut(StoredCall),
) -> Result<(), LedgerError> {
    let mut after: Option<CallsCursor> = None;
    loop {
        let query =
            CallsQuery { range, filters: Vec::new(), order: CallsOrder::Recorded, after, limit: PAGE };
        let page = store.calls(&query)?;
        page.calls.into_iter().for_each(&mut each);
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(()),
        }
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
