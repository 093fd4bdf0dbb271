//! What a store gives back for one call.

use tollbook_types::{
    Adjustment, Attribution, Conditions, Content, Digest, Entry, Evidence, FreeReason, Identity, Meters,
    ProviderCost, Rating, Seq, Timestamp, Usage,
};

/// An entry with everything that was later said about it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredCall {
    /// Its position.
    pub seq: Seq,
    /// The digest of its journal record.
    pub digest: Digest,
    /// The entry as it was recorded.
    pub entry: Entry,
    /// Its adjustments, oldest first, with the positions and digests of their records.
    pub adjustments: Vec<(Seq, Digest, Adjustment)>,
    /// Further identities that resolve to it, with their contents.
    pub joined: Vec<(Identity, Content)>,
}

/// The part of a call that an adjustment can change, as it stands at some moment.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// 0 as recorded, else the version of the adjustment.
    pub version: u32,
    /// What it used.
    pub usage: Option<Usage>,
    /// How that is known.
    pub evidence: Evidence,
    /// Set when nothing is billable.
    pub free: Option<FreeReason>,
    /// The provider's own bill.
    pub provider_cost: Option<ProviderCost>,
    /// What else the price depends on.
    pub conditions: Conditions,
    /// On whose account.
    pub attribution: Attribution,
    /// Observations.
    pub flags: Vec<String>,
    /// Whether the provider's figures contradict each other.
    pub inconsistent: bool,
    /// The raw usage that it rests on.
    pub raw_usage: Option<String>,
    /// The estimator, if estimated.
    pub estimator: Option<String>,
    /// The rating.
    pub rating: Rating,
}

impl StoredCall {
    /// The state as it was recorded.
    pub fn billed(&self) -> State {
        State::of_entry(&self.entry)
    }

    /// The state now.
    pub fn corrected(&self) -> State {
        self.as_of(None)
    }

    /// The state with only the adjustments made at or before `at` (all of them when `None`).
    pub fn as_of(&self, at: Option<Timestamp>) -> State {
        let counted = self.adjustments.iter().rev().map(|(_, _, adjustment)| adjustment);
        match counted.into_iter().find(|adjustment| at.is_none_or(|at| adjustment.at <= at)) {
            Some(adjustment) => State::of_adjustment(adjustment),
            None => self.billed(),
        }
    }

    /// The number of adjustments made.
    pub fn version(&self) -> u32 {
        self.adjustments.last().map_or(0, |(_, _, adjustment)| adjustment.version)
    }
}

impl State {
    /// The state that an entry starts with.
    pub fn of_entry(entry: &Entry) -> State {
        let event = &entry.event;
        State {
            version: 0,
            usage: event.usage.clone(),
            evidence: event.evidence,
            free: event.free,
            provider_cost: event.provider_cost.clone(),
            conditions: event.conditions.clone(),
            attribution: event.attribution.clone(),
            flags: event.flags.clone(),
            inconsistent: event.inconsistent,
            raw_usage: event.raw_usage.clone(),
            estimator: event.estimator.clone(),
            rating: entry.rating.clone(),
        }
    }

    /// The state that an adjustment leads to.
    pub fn of_adjustment(adjustment: &Adjustment) -> State {
        State {
            version: adjustment.version,
            usage: adjustment.usage.clone(),
            evidence: adjustment.evidence,
            free: adjustment.free,
            provider_cost: adjustment.provider_cost.clone(),
            conditions: adjustment.conditions.clone(),
            attribution: adjustment.attribution.clone(),
            flags: adjustment.flags.clone(),
            inconsistent: adjustment.inconsistent,
            raw_usage: adjustment.raw_usage.clone(),
            estimator: adjustment.estimator.clone(),
            rating: adjustment.rating.clone(),
        }
    }

    /// The sum of its meters over all legs.
    pub fn meters(&self) -> Meters {
        self.usage.as_ref().map(Usage::total).unwrap_or_default()
    }
}
