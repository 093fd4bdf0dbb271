//! Going over many calls page by page, so that memory stays bounded.

use crate::failure::Failure;
use tollbook_store::{CallsOrder, CallsQuery, Filter, Store, StoredCall};
use tollbook_types::TimeRange;

/// Calls read at once.
const PAGE: usize = 1_000;

/// Gives every call, oldest record first.
pub fn each_call(
    store: &dyn Store,
    range: TimeRange,
    filters: &[Filter],
    mut each: impl FnMut(&StoredCall) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut after = None;
    loop {
        let query =
            CallsQuery { range, filters: filters.to_vec(), order: CallsOrder::Recorded, after, limit: PAGE };
        let page = store.calls(&query)?;
        for call in &page.calls {
            each(call)?;
        }
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}
