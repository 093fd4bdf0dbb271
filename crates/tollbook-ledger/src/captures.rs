//! Captured words beside the books: kept, shown, and gone with their person and their time.
//!
//! They are no record: nothing is journalled or decided from them, and a failure to keep them is nobody's
//! failure to record. This module must never know how words are found or redacted.

use crate::erase::ErasureOrder;
use crate::error::LedgerError;
use crate::ledger::Ledger;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tollbook_store::{CallsOrder, CallsQuery, Captures, Dimension, Filter, StoredCall};
use tollbook_types::{Attribution, Capture, TimeRange, Timestamp};

/// Calls of a person that are read at once.
const PAGE_CALLS: usize = 500;

/// Where captured words are, if they are anywhere.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    place: OnceLock<Arc<dyn Captures>>,
    /// Who keeps words has looked at the erasures under this lock; who drops a person's words takes it
    /// after the erasure is known. So none comes in behind.
    keeping: Mutex<()>,
}

impl Ledger {
    /// Keeps captured words there from now on. What erasures of before missed goes now.
    pub fn keep_captures(&self, place: Arc<dyn Captures>) -> Result<(), LedgerError> {
        if self.kept_captures().place.set(place).is_err() {
            return Err(LedgerError::Invalid("captured words have their place already".to_owned()));
        }
        self.forget_captures()
    }

    /// Where captured words are, if they are anywhere.
    pub fn captures(&self) -> Option<&Arc<dyn Captures>> {
        self.kept_captures().place.get()
    }

    /// Bytes that captured words take on the disk.
    pub fn captured_bytes(&self) -> Result<u64, LedgerError> {
        self.captures().map_or(Ok(0), |place| Ok(place.bytes()?))
    }

    /// Keeps captured words, except of persons who were erased.
    pub fn capture(&self, mut captures: Vec<Capture>) -> Result<(), LedgerError> {
        let kept = self.kept_captures();
        let Some(place) = kept.place.get() else { return Ok(()) };
        let _keeping = kept.keeping.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.shared().erasures();
        captures.retain(|capture| {
            let (user, project) = (capture.user.clone(), capture.project.clone());
            let who = Attribution { user, project, ..Attribution::default() };
            known.of(&who, capture.at).is_none()
        });
        Ok(place.put(&captures)?)
    }

    /// Drops the words of everybody who was erased.
    pub(crate) fn forget_captures(&self) -> Result<(), LedgerError> {
        let Some(place) = self.captures() else { return Ok(()) };
        let _keeping = self.kept_captures().keeping.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.shared().erasures();
        if known.is_empty() {
            return Ok(());
        }
        for user in place.users()? {
            for erasure in known.of_user(&user) {
                place.forget(&user, erasure.project.as_deref(), erasure.before)?;
            }
        }
        Ok(())
    }

    /// Drops the words of all calls on a person's account.
    pub(crate) fn forget_captured_calls(
        &self,
        order: &ErasureOrder,
        before: Timestamp,
    ) -> Result<(), LedgerError> {
        let Some(place) = self.captures() else { return Ok(()) };
        let project = order.project.clone().map(|project| Filter::is(Dimension::Project, project));
        let mut query = CallsQuery {
            range: TimeRange { from: None, to: Some(before) },
            filters: project.into_iter().chain([Filter::is(Dimension::User, order.user.clone())]).collect(),
            order: CallsOrder::Recorded,
            after: None,
            limit: PAGE_CALLS,
        };
        loop {
            let page = self.store().calls(&query)?;
            place.forget_calls(&page.calls.iter().flat_map(ids).collect::<Vec<String>>())?;
            if page.next.is_none() {
                return Ok(());
            }
            query.after = page.next;
        }
    }

    /// Drops what occurred before an instant. Returns how many calls lost their words.
    pub(crate) fn drop_captures(&self, before: Timestamp) -> Result<u64, LedgerError> {
        self.captures().map_or(Ok(0), |place| Ok(place.drop_before(before)?))
    }
}

/// Every id that a call was told under.
fn ids(call: &StoredCall) -> impl Iterator<Item = String> {
    let own = call.entry.event.id.clone();
    std::iter::once(own).chain(call.joined.iter().map(|(identity, _)| identity.id.clone()))
}
