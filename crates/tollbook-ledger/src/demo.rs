//! Demo calls: they never happened, are marked by their source, and go as a whole.
//!
//! A document says that they are there. It is written before the first of them; the record of its
//! deletion takes every demo call out that was recorded before it, in the store's same transaction,
//! in a replay as well. So no record of the journal is changed, and the books are then as if no demo
//! had ever been. What the demo's calls are is not known here.

use crate::audit::{Act, By};
use crate::error::LedgerError;
use crate::journal::record::SealBody;
use crate::ledger::Ledger;
use crate::resolve::Outcome;
use crate::retain::{checked_seals, seal_body};
use serde::{Deserialize, Serialize};
use tollbook_store::{
    CallsOrder, CallsQuery, Dimension, Filter, Interval, RangeSum, Seal, Store, StoredCall, UsageQuery, View,
    Zone,
};
use tollbook_types::{DEMO_SOURCE, Event, Seq, TimeRange, Timestamp};

/// The document.
const DOCUMENT: &str = "demo";
/// Calls of one page.
const PAGE_CALLS: usize = 1_000;
/// Calls that are recorded at once: others write in between.
const PIECE_EVENTS: usize = 1_000;

/// The demo that is in the books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demo {
    /// Since when.
    pub at: Timestamp,
    /// How many calls it has.
    pub calls: u64,
}

#[derive(Serialize, Deserialize)]
struct Body {
    at: Timestamp,
}

/// Whether a version of a document takes the demo's calls out.
pub(crate) fn takes_out(key: &str, body: Option<&str>) -> bool {
    key == DOCUMENT && body.is_none()
}

/// Demo calls that were recorded before this are out again.
pub(crate) fn since(store: &dyn Store) -> Result<Seq, LedgerError> {
    Ok(store.control(DOCUMENT)?.map_or(0, |found| found.seq))
}

/// Whether demo calls may be in the books.
fn is_there(store: &dyn Store) -> Result<bool, LedgerError> {
    Ok(store.control(DOCUMENT)?.is_some_and(|found| found.body.is_some()))
}

/// Leaves demo calls, which never happened, out of a question. Where there are none, it is nothing: sums
/// that know no source may answer.
pub fn without_demo(store: &dyn Store) -> Result<Vec<Filter>, LedgerError> {
    let others = || Filter { negated: true, ..Filter::is(Dimension::Source, DEMO_SOURCE) };
    Ok(is_there(store)?.then(others).into_iter().collect())
}

impl Ledger {
    /// The demo that is in the books, if there is one.
    pub fn demo(&self) -> Result<Option<Demo>, LedgerError> {
        let found = self.store().control(DOCUMENT)?.and_then(|found| found.body);
        let Some(text) = found else { return Ok(None) };
        let body: Body =
            serde_json::from_str(&text).map_err(|error| LedgerError::Invalid(error.to_string()))?;
        Ok(Some(Demo { at: body.at, calls: demo_calls(self.store().as_ref())? }))
    }

    /// Puts a demo into the books, unless there is one. `make` makes its calls; their ids must be
    /// others in every demo, which the word that it is given is good for. Calls of days that a
    /// retention has dropped are left out. Returns how many came in.
    pub fn add_demo(
        &self,
        by: &By,
        make: impl FnOnce(&str) -> Result<Vec<Event>, LedgerError>,
    ) -> Result<u64, LedgerError> {
        if is_there(self.store().as_ref())? {
            return Ok(0);
        }
        let at = self.shared().clock.now();
        let mut events = make(&format!("{:x}", at.as_microsecond()))?;
        events.retain(|event| event.is_demo() && event.provider_response_id.is_none());
        let body =
            serde_json::to_string(&Body { at }).map_err(|error| LedgerError::Invalid(error.to_string()))?;
        let act = Act::new("demo.add").told("calls", events.len() as u64);
        self.write_documents(by, act, vec![(DOCUMENT.to_owned(), Some(body))])?;
        let mut added = 0;
        while !events.is_empty() {
            let piece = events.drain(..events.len().min(PIECE_EVENTS)).collect();
            let outcomes = self.submit(piece)?;
            added += outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Accepted { .. })).count();
        }
        Ok(added as u64)
    }

    /// Takes the demo out of the books again. Returns how many calls went.
    pub fn remove_demo(&self, by: &By) -> Result<u64, LedgerError> {
        self.flush()?;
        let store = self.store().as_ref();
        if !is_there(store)? {
            return Ok(0);
        }
        let calls = demo_calls(store)?;
        let seals = seals_without_demo(store)?;
        let act = Act::new("demo.remove").told("calls", calls);
        self.write_sealed(by, act, vec![(DOCUMENT.to_owned(), None)], seals)?;
        Ok(calls)
    }
}

fn demo_calls(store: &dyn Store) -> Result<u64, LedgerError> {
    let report = store.usage(&UsageQuery {
        range: TimeRange::ALL,
        interval: Interval::None,
        zone: Zone::UTC,
        group_by: Vec::new(),
        filters: vec![Filter::is(Dimension::Source, DEMO_SOURCE)],
        view: View::Corrected,
    })?;
    Ok(report.total.calls)
}

/// The seals as they are once the demo is out, of the ranges in which it has records.
fn seals_without_demo(store: &dyn Store) -> Result<Vec<SealBody>, LedgerError> {
    let mut left: Vec<(Seal, RangeSum, bool)> = Vec::new();
    for seal in checked_seals(store)? {
        let sum = store.range_sum(seal.first, seal.last)?;
        left.push((seal, sum, false));
    }
    let mut query = CallsQuery {
        range: TimeRange::ALL,
        filters: vec![Filter::is(Dimension::Source, DEMO_SOURCE)],
        order: CallsOrder::Recorded,
        after: None,
        limit: PAGE_CALLS,
    };
    while !left.is_empty() {
        let page = store.calls(&query)?;
        for call in &page.calls {
            left.iter_mut().for_each(|(seal, sum, is_changed)| *is_changed |= take_off(call, seal, sum));
        }
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    let changed = left.into_iter().filter(|(_, _, is_changed)| *is_changed);
    Ok(changed.map(|(seal, sum, _)| seal_body(seal.first, seal.last, &sum)).collect())
}

/// Takes the records of a call off the sum of a range. Returns whether it had any there.
fn take_off(call: &StoredCall, seal: &Seal, sum: &mut RangeSum) -> bool {
    let is_within = |seq: Seq| (seal.first..=seal.last).contains(&seq);
    let mut is_changed = false;
    if is_within(call.seq) {
        sum.entries = sum.entries.saturating_sub(1);
        sum.cost_picos -= call.entry.rating.cost.unwrap_or_default().picos();
        sum.digest_sum = sum.digest_sum.wrapping_sub(call.digest.short());
        is_changed = true;
    }
    for (_, digest, _) in call.adjustments.iter().filter(|(seq, _, _)| is_within(*seq)) {
        sum.adjustments = sum.adjustments.saturating_sub(1);
        sum.adjustment_digest_sum = sum.adjustment_digest_sum.wrapping_sub(digest.short());
        is_changed = true;
    }
    is_changed
}
