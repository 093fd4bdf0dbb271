//! What a batch that is in the store means for the budgets.

use super::{Budgets, hold_of};
use tollbook_budget::{Booking, Item, Subject};
use tollbook_store::fold::Summed;
use tollbook_store::{Batch, Op, State, Store, StoreError, StoredCall, fold};
use tollbook_types::{Attribution, Event, Evidence, Money, Seq, Timestamp};

/// Calls that are booked in one go.
const AT_ONCE: usize = 8;

impl Budgets {
    /// Counts what a batch, which has just been applied, changed. The caller holds `applying`.
    pub fn follow(&self, store: &dyn Store, batch: &Batch, now: Timestamp) -> Result<(), StoreError> {
        if !self.any() {
            return Ok(());
        }
        // Entries that are booked before what comes after them.
        let mut waiting = Vec::with_capacity(AT_ONCE);
        for op in &batch.ops {
            match op {
                // Never happened, so it spends nothing.
                Op::Entry { entry, .. } if entry.event.is_demo() => {}
                Op::Entry { seq, entry, .. } => {
                    let event = &entry.event;
                    let hold = Some(hold_of(event));
                    let (state, who) = (Summed::from(&**entry), &event.attribution);
                    waiting.push(Told { seq: *seq, event, state, who, sign: 1, hold });
                    if waiting.len() == AT_ONCE {
                        self.book(&waiting, now);
                        waiting.clear();
                    }
                }
                // What it cost is that of the entry it was joined to; an adjustment says so if it differs.
                Op::Join(join) => {
                    self.book(&std::mem::take(&mut waiting), now);
                    self.engine().release(&join.identity.id, now);
                }
                Op::Adjust { seq, adjustment, .. } => {
                    let Some(call) = store.call(adjustment.entry)? else { continue };
                    let event = &call.entry.event;
                    if event.is_demo() {
                        continue;
                    }
                    let before = before(&call, adjustment.version);
                    let after = State::of_adjustment(adjustment);
                    let told = [(&before, -1), (&after, 1)].map(|(state, sign)| {
                        let (state, who) = (Summed::from(state), &state.attribution);
                        Told { seq: *seq, event, state, who, sign, hold: None }
                    });
                    self.book(&std::mem::take(&mut waiting), now);
                    self.book(&told, now);
                }
                // Whose calls they were has changed: all is counted anew.
                Op::Erase { .. } => self.lose_track(),
                Op::Open { .. } | Op::Control(_) | Op::Gap(_) | Op::Seal(_) | Op::Drop { .. } => {}
            }
        }
        self.book(&waiting, now);
        Ok(())
    }

    /// Books in one go: a decision waits for no more than [`AT_ONCE`], nor is the lock passed to and
    /// fro for each.
    fn book(&self, all: &[Told<'_>], now: Timestamp) {
        let mut items = Vec::with_capacity(all.len());
        let mut ends = Vec::with_capacity(all.len());
        for told in all {
            let measures = fold::call_measures(told.event, told.state);
            items.extend(measures.iter().map(|(model, sums)| told.item(model, sums)));
            ends.push(items.len());
        }
        let mut exceeded = Vec::new();
        let mut engine = self.engine();
        let mut from = 0;
        for (told, to) in all.iter().zip(ends) {
            if engine.book(&told.booking(&items[from..to]), now).exceeded {
                exceeded.push(&told.event.id);
            }
            from = to;
        }
        drop(engine);
        for call in exceeded {
            tracing::warn!(
                call,
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
    fn booking<'b>(&'b self, items: &'b [Item<'b>]) -> Booking<'b> {
        Booking {
            seq: self.seq,
            at: self.event.occurred_at,
            subject: Subject {
                provider: &self.event.provider,
                request_model: self.event.request_model.as_deref(),
                model: None,
                who: self.who,
            },
            items,
            hold: self.hold,
            is_typical: self.sign > 0 && self.hold.is_some() && is_typical(self.event, self.state),
        }
    }

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
