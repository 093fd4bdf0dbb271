//! The captured words of a call, for whoever may see them.

use crate::access::Caller;
use crate::wire::CapturedView;
use tollbook_store::{Captures, StoreError, StoredCall};
use tollbook_types::Role;

/// The source of calls whose words may have been captured.
const SOURCE: &str = "gateway";

/// The words of a call, if they were captured and are kept still.
pub fn captured_of(place: &dyn Captures, call: &StoredCall) -> Result<Option<CapturedView>, StoreError> {
    let own = call.entry.event.identity();
    let identities = std::iter::once(&own).chain(call.joined.iter().map(|(identity, _)| identity));
    // Others may tell of a call under the same id: its words are not theirs.
    for identity in identities.filter(|identity| identity.source == SOURCE) {
        if let Some(capture) = place.get(&identity.id)?
            && capture.project == identity.project
        {
            return Ok(Some(CapturedView::of(capture)));
        }
    }
    Ok(None)
}

/// Whether somebody who may see a call may see its words, too: admins may, and the person themselves. Who
/// only looks at figures may not.
pub fn may_read(caller: &Caller) -> bool {
    let key = &caller.0;
    key.may(Role::Admin) || (key.may(Role::Member) && key.binding.user.is_some())
}
