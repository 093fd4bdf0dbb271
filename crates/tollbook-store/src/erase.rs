//! What an erasure or a retention makes of one call: decided here once, for every back end.

use crate::stored::StoredCall;
use tollbook_types::{Attribution, Entry, Eraser, Erasure};

/// The call without the person, if it is one of theirs: its entry or an adjustment is on their
/// account. `None` for every other call.
pub fn erased_call(erasure: &Erasure, ledger: &str, call: &StoredCall) -> Option<StoredCall> {
    let at = call.entry.event.occurred_at;
    let adjusted = call.adjustments.iter().map(|(_, _, adjustment)| &adjustment.attribution);
    let accounts: Vec<&Attribution> =
        std::iter::once(&call.entry.event.attribution).chain(adjusted).collect();
    let named = accounts.into_iter().find(|account| erasure.covers(ledger, account, at))?;
    let name = named.user.clone()?;
    let eraser = Eraser::new(erasure, &name);
    let mut erased = call.clone();
    eraser.event(&mut erased.entry.event);
    for (_, _, adjustment) in &mut erased.adjustments {
        eraser.adjustment(adjustment);
    }
    for (identity, _) in &mut erased.joined {
        eraser.identity(identity);
    }
    Some(erased)
}

/// The call without raw usage and metadata; `None` when it has neither.
pub fn stripped_call(call: &StoredCall) -> Option<StoredCall> {
    let mut stripped = call.clone();
    let event = &mut stripped.entry.event;
    (event.raw_usage, event.attribution.metadata) = (None, None);
    for (_, _, adjustment) in &mut stripped.adjustments {
        (adjustment.raw_usage, adjustment.attribution.metadata) = (None, None);
    }
    (stripped != *call).then_some(stripped)
}

/// Whether two forms of one entry's record say the same but for what may have been erased or dropped.
pub fn same_figures(one: &Entry, other: &Entry) -> bool {
    one.figures() == other.figures()
}
