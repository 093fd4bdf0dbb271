//! Corrections: settling what is unknown, rating again, filling in missing usage. All of them end
//! in adjustments; nothing recorded is ever changed.

mod backfill;
mod rerate;

pub use backfill::Backfill;
pub use rerate::{
    Changes, ModelChange, Rerate, Rerating, Run, Scope, by_model, last_rerate, run_in_progress,
};

use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::rating::{Card, Rated, rate_event};
use crate::resolve::{Outcome, adjustment_to};
use tollbook_store::{CallsOrder, CallsQuery, Filter, State, Store, StoredCall};
use tollbook_types::{Event, Evidence, FreeReason, Meters, Money, ProviderCost, Seq, TimeRange, Usage};

/// Calls read at once while going over the ledger.
const PAGE: usize = 1_000;
/// How often a call is settled anew because it has changed meanwhile.
const SETTLE_TRIES_MAX: usize = 8;

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

impl Ledger {
    /// Settles one call by hand. Returns its new state.
    pub fn settle(&self, seq: Seq, settlement: &Settlement, reason: &str) -> Result<State, LedgerError> {
        self.flush()?;
        for _ in 0..SETTLE_TRIES_MAX {
            if let Some(state) = self.try_to_settle(seq, settlement, reason)? {
                return Ok(state);
            }
        }
        Err(LedgerError::Invalid("the call changed at the same time; try again".to_owned()))
    }

    /// `None` when the call was changed by somebody else meanwhile.
    fn try_to_settle(
        &self,
        seq: Seq,
        settlement: &Settlement,
        reason: &str,
    ) -> Result<Option<State>, LedgerError> {
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
            Some(Outcome::Applied { .. }) => Ok(self.store().call(seq)?.map(|call| call.corrected())),
            _ => Ok(None),
        }
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

/// Goes over the calls that a question is about, in the order in which they were recorded.
fn each_call(
    store: &dyn Store,
    range: TimeRange,
    filters: Vec<Filter>,
    mut each: impl FnMut(StoredCall),
) -> Result<(), LedgerError> {
    let mut query = CallsQuery { range, filters, order: CallsOrder::Recorded, after: None, limit: PAGE };
    loop {
        let page = store.calls(&query)?;
        page.calls.into_iter().for_each(&mut each);
        match page.next {
            Some(next) => query.after = Some(next),
            None => return Ok(()),
        }
    }
}
