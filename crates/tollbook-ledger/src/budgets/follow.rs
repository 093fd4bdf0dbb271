//! What a batch that is in the store means for the budgets.

use super::{Budgets, hold_of};
use tollbook_budget::{Booking, Item, Subject};
use tollbook_store::fold::Summed;
use tollbook_store::{Batch, Op, State, Store, StoreError, StoredCall, fold};
use tollbook_types::{Attribution, Event, Evidence, Money, Seq, Timestamp};

impl Budgets {
    /// Counts what a batch, which has just been applied, changed. The caller holds `applying`.
    pub fn follow(&self, store: &dyn Store, batch: &Batch, now: Timestamp) -> Result<(), StoreError> {
        if !self.any() {
            return Ok(());
        }
        for op in &batch.ops {
            match op {
                // Never happened, so it spends nothing.
                Op::Entry { entry, .. } if entry.event.is_demo() => {}
                Op::Entry { seq, entry, .. } => {
                    let event = &entry.event;
                    let hold = Some(hold_of(event));
                    let (state, who) = (Summed::from(&**entry), &event.attribution);
                    self.book(Told { seq: *seq, event, state, who, sign: 1, hold }, now);
                }
                // What it cost is that of the entry it was joined to; an adjustment says so if it differs.
                Op::Join(join) => drop(self.engine().release(&join.identity.id, now)),
                Op::Adjust { seq, adjustment, .. } => {
                    let Some(call) = store.call(adjustment.entry)? else { continue };
                    let event = &call.entry.event;
                    if event.is_demo() {
                        continue;
                    }
                    let before = before(&call, adjustment.version);
                    let after = State::of_adjustment(adjustment);
                    for (state, sign) in [(&before, -1), (&after, 1)] {
                        let (state, who) = (Summed::from(state), &state.attribution);
                        self.book(Told { seq: *seq, event, state, who, sign, hold: None }, now);
                    }
                }
                // Whose calls they were has changed: all is counted anew.
                Op::Erase { .. } => self.lose_track(),
                Op::Open { .. } | Op::Control(_) | Op::Gap(_) | Op::Seal(_) | Op::Drop { .. } => {}
            }
        }
        Ok(())
    }

    fn book(&self, told: Told<'_>, now: Timestamp) {
        let measures = fold::call_measures(told.event, told.state);
        let items: Vec<Item<'_>> = measures.iter().map(|(model, sums)| told.item(model, sums)).collect();
        let booking = Booking {
            seq: told.seq,
            at: told.event.occurred_at,
            subject: Subject {
                provider: &told.event.provider,
                request_model: told.event.request_model.as_deref(),
                model: None,
                who: told.who,
            },
            items: &items,
            hold: told.hold,
            is_typical: told.sign > 0 && told.hold.is_some() && is_typical(told.event, told.state),
        };
        // One lock a record: a decision waits for no more than one.
        let booked = self.engine().book(&booking, now);
        if booked.exceeded {
            tracing::warn!(
                call = told.event.id,
                "a call cost more than was held for it under a strict budget; it counts in full"
            );
        }
    }
}

/// A state of a call, to be added or taken away.
struct Told<'a> {
    seq: Seq,
    event: &'a Event,
    state: Summed<'a>,
    who: &'a Attribution,
    sign: i128,
    hold: Option<&'a str>,
}

impl Told<'_> {
    fn item<'m>(&self, model: &'m str, sums: &tollbook_store::Measures) -> Item<'m> {
        let signed = |money: Money| Money::from_picos(money.picos().saturating_mul(self.sign));
        let unsettled = if sums.calls > 0 { unsettled(self.state) } else { Money::ZERO };
        Item {
            model,
            cost: signed(sums.cost),
            tokens: i128::from(sums.meters.total_tokens()) * self.sign,
            calls: i128::from(sums.calls) * self.sign,
            unsettled: signed(unsettled),
        }
    }
}

/// The most that a call of unknown outcome can have cost.
pub(super) fn unsettled<'a>(state: impl Into<Summed<'a>>) -> Money {
    let state: Summed<'_> = state.into();
    let rating = state.rating;
    let is_open = state.evidence == Evidence::Unknown && rating.cost.is_none();
    rating.worst_case.filter(|_| is_open).unwrap_or(Money::ZERO)
}

/// Whether a call tells what such calls usually cost.
fn is_typical(event: &Event, state: Summed<'_>) -> bool {
    !event.is_error() && event.cache_hit.is_none() && state.rating.cost.is_some() && state.usage.is_some()
}

/// The state that an adjustment of this version changed.
fn before(call: &StoredCall, version: u32) -> State {
    let earlier = call.adjustments.iter().rev().map(|(_, _, adjustment)| adjustment);
    match earlier.into_iter().find(|adjustment| adjustment.version < version) {
        Some(adjustment) => State::of_adjustment(adjustment),
        None => call.billed(),
    }
}
