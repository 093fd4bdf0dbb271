//! A ledger so dumb that it is easy to see that it is right: maps, and sums made by reading all.

use std::collections::BTreeMap;
use tollbook_types::{
    Attribution, Content, Entry, Evidence, Identity, Meters, Money, Rating, ResponseKey, Usage,
};

/// What a ledger must say to an event. Entries are numbered from 0 in the order of acceptance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A new entry.
    Accepted {
        /// Its number.
        entry: usize,
    },
    /// Recorded before, with the same content.
    Duplicate {
        /// The entry it belongs to.
        entry: usize,
    },
    /// Recorded before, with other content.
    Conflict {
        /// The entry it belongs to.
        entry: usize,
    },
    /// Another source reported the same call before.
    Joined {
        /// The entry it belongs to.
        entry: usize,
    },
}

/// Sums over a ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Calls.
    pub calls: u64,
    /// Calls that have a cost, as it stands.
    pub priced: u64,
    /// Cost as recorded.
    pub billed: Money,
    /// Cost as it stands.
    pub corrected: Money,
    /// Quantities as they stand.
    pub meters: Meters,
}

/// The model: accepts what a ledger accepts and knows what it must add up to.
#[derive(Clone, Debug, Default)]
pub struct LedgerModel {
    calls: Vec<Call>,
    identities: BTreeMap<Identity, (usize, Content)>,
    responses: BTreeMap<ResponseKey, usize>,
}

#[derive(Clone, Debug)]
struct Call {
    told: Entry,
    usage: Option<Usage>,
    evidence: Evidence,
    attribution: Attribution,
    rating: Rating,
}

impl LedgerModel {
    /// An empty ledger.
    pub fn new() -> LedgerModel {
        LedgerModel::default()
    }

    /// Takes one rated event, in journal order.
    pub fn submit(&mut self, entry: &Entry) -> Verdict {
        let event = &entry.event;
        if let Some((known, content)) = self.identities.get(&event.identity()) {
            let entry = *known;
            return if *content == event.content {
                Verdict::Duplicate { entry }
            } else {
                Verdict::Conflict { entry }
            };
        }
        let first = event.response_key().and_then(|key| self.responses.get(&key).copied());
        if let Some(known) = first.filter(|known| self.calls[*known].told.event.source != event.source) {
            self.identities.insert(event.identity(), (known, event.content));
            self.calls[known].gain_from(entry);
            return Verdict::Joined { entry: known };
        }
        let number = self.calls.len();
        self.identities.insert(event.identity(), (number, event.content));
        if let Some(key) = event.response_key() {
            self.responses.entry(key).or_insert(number);
        }
        self.calls.push(Call {
            told: entry.clone(),
            usage: event.usage.clone(),
            evidence: event.evidence,
            attribution: event.attribution.clone(),
            rating: entry.rating.clone(),
        });
        Verdict::Accepted { entry: number }
    }

    /// The entries that were accepted, as they were told.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.calls.iter().map(|call| &call.told)
    }

    /// The sums over all calls.
    pub fn totals(&self) -> Totals {
        self.totals_where(|_, _| true)
    }

    /// The sums over the calls of which this holds, by the event as told and the attribution now.
    pub fn totals_where(&self, wanted: impl Fn(&Entry, &Attribution) -> bool) -> Totals {
        let mut totals = Totals::default();
        for call in self.calls.iter().filter(|call| wanted(&call.told, &call.attribution)) {
            let add = |sum: Money, more: Option<Money>| {
                Money::from_picos(sum.picos() + more.unwrap_or_default().picos())
            };
            totals.calls += 1;
            totals.priced += u64::from(call.rating.cost.is_some());
            totals.billed = add(totals.billed, call.told.rating.cost);
            totals.corrected = add(totals.corrected, call.rating.cost);
            for leg in call.usage.iter().flat_map(|usage| &usage.legs) {
                totals.meters.add_all(&leg.meters);
            }
        }
        totals
    }
}

impl Call {
    /// Better evidence that says something replaces usage and rating; absent attribution is filled.
    fn gain_from(&mut self, report: &Entry) {
        let event = &report.event;
        self.attribution.fill_from(&event.attribution);
        if event.evidence > self.evidence && (event.usage.is_some() || event.provider_cost.is_some()) {
            self.usage.clone_from(&event.usage);
            self.evidence = event.evidence;
            self.rating = report.rating.clone();
        }
    }
}
