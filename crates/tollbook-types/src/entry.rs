//! Entries: the rated, immutable rows of the ledger, and the adjustments that correct them.

use crate::attribution::Attribution;
use crate::card::CardId;
use crate::event::{Conditions, Event, FreeReason};
use crate::money::Money;
use crate::time::Timestamp;
use crate::usage::{Evidence, ProviderCost, Usage};
use serde::{Deserialize, Serialize};

/// A position in the journal. Positions only go up; an entry is known by the position of its record.
pub type Seq = u64;

/// Whose figure the cost is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CostBasis {
    /// A price that the user set.
    Override,
    /// The bill that the provider reported.
    Provider,
    /// The price book.
    Book,
    /// Nothing was billable: exactly 0.
    Free,
    /// No price matched: the cost is absent.
    Unpriced,
    /// The usage is unknown: the cost is absent.
    UnknownUsage,
    /// The provider's figures contradict each other: the cost is absent.
    Inconsistent,
}

impl CostBasis {
    /// Every basis.
    pub const ALL: &'static [CostBasis] = &[
        CostBasis::Override,
        CostBasis::Provider,
        CostBasis::Book,
        CostBasis::Free,
        CostBasis::Unpriced,
        CostBasis::UnknownUsage,
        CostBasis::Inconsistent,
    ];

    /// The public name.
    pub const fn name(self) -> &'static str {
        match self {
            CostBasis::Override => "override",
            CostBasis::Provider => "provider",
            CostBasis::Book => "book",
            CostBasis::Free => "free",
            CostBasis::Unpriced => "unpriced",
            CostBasis::UnknownUsage => "unknown_usage",
            CostBasis::Inconsistent => "inconsistent",
        }
    }
}

/// What one leg costs at the card that applied.
///
/// Whoever fills `cost` fills the three sides too, so that they add up to it: only then can a
/// report give each leg's model its own money. Where the legs' sides add up to the call's sides
/// (the card's figures count), each leg keeps its own; else all money stays at the event's model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegRating {
    /// The card; absent when no price matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<CardId>,
    /// `meters × card`; absent when no price matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Money>,
    /// The input side of `cost`: present exactly when `cost` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_cost: Option<Money>,
    /// The output side of `cost`: present exactly when `cost` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_cost: Option<Money>,
    /// The fees in `cost`: present exactly when `cost` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_cost: Option<Money>,
}

/// The result of rating a usage: decided once, recorded, never recomputed on replay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rating {
    /// Whose figure `cost` is.
    pub basis: CostBasis,
    /// The cost that counts; absent when unpriced or unknown, never 0 for those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Money>,
    /// The input side of `cost`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_cost: Option<Money>,
    /// The output side of `cost`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_cost: Option<Money>,
    /// Fees: what is left of `cost`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_cost: Option<Money>,
    /// What the book says, kept also where another figure counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub book_cost: Option<Money>,
    /// One for each leg of the usage, in its order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub legs: Vec<LegRating>,
    /// Why there is no price, when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The price id of the first leg's card, for reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_id: Option<String>,
    /// The most it can have cost, when the cost is unknown and a bound is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst_case: Option<Money>,
}

/// A rated event in the ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The event as it was told.
    pub event: Event,
    /// Its rating at that moment.
    pub rating: Rating,
    /// When it was recorded.
    pub recorded_at: Timestamp,
}

/// A later state of an entry: the whole new state, never a difference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Adjustment {
    /// The entry that it adjusts.
    pub entry: Seq,
    /// 1 for the first adjustment of an entry, then one more each; a stale version is refused.
    pub version: u32,
    /// The run that made it, if it was part of one; (run, entry) is unique.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// When.
    pub at: Timestamp,
    /// Why, for people: `rerate`, `settled: …`, `better evidence from otlp`.
    pub reason: String,
    /// The usage now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// The evidence now.
    pub evidence: Evidence,
    /// Set when nothing is billable after all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free: Option<FreeReason>,
    /// The provider's own bill now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_cost: Option<ProviderCost>,
    /// The conditions now.
    #[serde(default, skip_serializing_if = "Conditions::is_empty")]
    pub conditions: Conditions,
    /// The attribution now: only absent members have been filled.
    #[serde(default)]
    pub attribution: Attribution,
    /// Flags now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
    /// Whether the provider's figures contradict each other.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inconsistent: bool,
    /// The raw usage that it rests on, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw_usage: Option<String>,
    /// The estimator's name, if estimated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimator: Option<String>,
    /// The rating now.
    pub rating: Rating,
}

/// A call that has been let go to the provider and has not ended yet: intent and hold in one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpenCall {
    /// The id that the closing event will carry.
    pub id: String,
    /// The source that the closing event will carry.
    pub source: String,
    /// Its admission.
    pub occurred_at: Timestamp,
    /// The provider.
    pub provider: String,
    /// The model that was asked for.
    pub model: String,
    /// On whose account.
    #[serde(default)]
    pub attribution: Attribution,
    /// Money reserved for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Money>,
    /// The most it can cost, where that is bounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst_case: Option<Money>,
}
