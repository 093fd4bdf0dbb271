//! Everything that is held on a person, line by line. Some calls are in memory at a time, never all.

use crate::captured::captured_of;
use crate::wire::{CallView, HeldView, KeyView, OpenCallView};
use tollbook_store::{CallsOrder, CallsQuery, Captures, Dimension, Filter, Store, StoreError};
use tollbook_types::{Erasure, Key, TimeRange, Timestamp};

/// Calls that are read at once.
const PAGE_CALLS: usize = 500;

/// About whom, and what of them.
#[derive(Clone, Debug)]
pub struct Person {
    /// The person, as `user` of their calls.
    pub user: String,
    /// Only what is of this project.
    pub project: Option<String>,
}

/// Hands `each` line to somebody who may say that it is enough. Whoever that is gets a last line when
/// everything was told.
pub fn held_on<E: From<StoreError>>(
    store: &dyn Store,
    captures: Option<&dyn Captures>,
    person: &Person,
    now: Timestamp,
    mut each: impl FnMut(&HeldView) -> Result<(), E>,
) -> Result<(), E> {
    each(&HeldView::About { user: person.user.clone(), at: now })?;
    let ledger_id = store.position()?.ledger_id;
    let subject = Erasure::subject(&ledger_id, &person.user);
    for erasure in store.erasures()?.iter().filter(|erasure| erasure.subject == subject) {
        let (id, project) = (erasure.id.clone(), erasure.project.clone());
        each(&HeldView::Erasure { id, project, before: erasure.before })?;
    }
    for control in store.controls("key/")? {
        let key = control.body.as_deref().and_then(|body| serde_json::from_str::<Key>(body).ok());
        if let Some(key) = key.filter(|key| person.is(&key.binding.user, &key.binding.project)) {
            each(&HeldView::Key(KeyView::of(&key)))?;
        }
    }
    for (_, call) in store.open_calls()? {
        if person.is(&call.attribution.user, &call.attribution.project) {
            each(&HeldView::OpenCall(OpenCallView::of(&call)))?;
        }
    }
    let mut query = person.calls();
    let mut calls = 0;
    loop {
        let page = store.calls(&query)?;
        for call in &page.calls {
            each(&HeldView::Call(Box::new(CallView::of(call))))?;
            if let Some(captured) = captures.map(|place| captured_of(place, call)).transpose()?.flatten() {
                each(&HeldView::Captured(captured))?;
            }
            calls += 1;
        }
        if page.next.is_none() {
            return each(&HeldView::End { calls });
        }
        query.after = page.next;
    }
}

impl Person {
    fn is(&self, user: &Option<String>, project: &Option<String>) -> bool {
        user.as_deref() == Some(&self.user) && (self.project.is_none() || self.project == *project)
    }

    fn calls(&self) -> CallsQuery {
        let project = self.project.clone().map(|project| Filter::is(Dimension::Project, project));
        let user = Filter::is(Dimension::User, self.user.clone());
        CallsQuery {
            range: TimeRange::ALL,
            filters: project.into_iter().chain([user]).collect(),
            order: CallsOrder::Recorded,
            after: None,
            limit: PAGE_CALLS,
        }
    }
}
