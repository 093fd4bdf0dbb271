//! Rate cards: the exact rates that applied to a leg, with everything needed to explain them.
//!
//! A card is what a price became for one call: tier, service tier, date and daily window are
//! already decided. Cards repeat for thousands of calls, so an entry holds a card's id and the
//! card itself is recorded once; rating is then `meters × card`, the same for ever.

use crate::digest::Digest;
use crate::meter::Meter;
use crate::money::Money;
use serde::{Deserialize, Serialize};

/// The digest of a card's canonical JSON.
pub type CardId = Digest;

/// The rates that applied, and why these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateCard {
    /// The id of the price in the book, such as `openai/gpt-4o@2024-10-01`.
    pub price_id: String,
    /// The match rule that won, in words.
    pub rule: String,
    /// What else decided, in words: `service_tier=flex`, `input > 200000`, `daily 01:00-04:00 UTC`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<String>,
    /// Where the figures come from.
    pub source: String,
    /// The day on which somebody last compared them with the source.
    pub checked: String,
    /// The first instant of validity, as in the book.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_from: Option<String>,
    /// The first instant after validity, as in the book.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_to: Option<String>,
    /// The user's override that made or changed these rates, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overridden_by: Option<String>,
    /// The digest of the whole book that it was taken from.
    pub book: String,
    /// The rates, in meter order.
    pub rates: Vec<CardRate>,
}

/// The rate of one meter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardRate {
    /// The meter.
    pub meter: Meter,
    /// Picodollars for `per` units.
    pub picos: i64,
    /// The units that `picos` pays for.
    pub per: u64,
    /// Marginal steps: beyond `above` units of this meter, each unit costs the step's rate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<RateStep>,
}

/// One marginal step of a rate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateStep {
    /// Units up to and including this one are charged at the rate before.
    pub above: u64,
    /// Picodollars for the rate's `per` units, beyond `above`.
    pub picos: i64,
}

impl RateCard {
    /// The id: equal cards have equal ids.
    pub fn id(&self) -> CardId {
        // A card is plain data; serialising it cannot fail.
        Digest::of(&serde_json::to_vec(self).unwrap_or_default())
    }

    /// The rate of exactly this meter.
    pub fn rate(&self, meter: Meter) -> Option<&CardRate> {
        self.rates.iter().find(|rate| rate.meter == meter)
    }
}

/// One line of a bill: a quantity, the rate that applied, the amount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CostLine {
    /// What was counted.
    pub meter: Meter,
    /// How much of it.
    pub quantity: u64,
    /// The meter whose rate was used: another one where the price has none of its own.
    pub priced_as: Meter,
    /// Picodollars for `per` units.
    pub picos: i64,
    /// The units that `picos` pays for.
    pub per: u64,
    /// The amount.
    #[serde(rename = "cost_usd")]
    pub cost: Money,
    /// Whether the amount was rounded (half to even, to the picodollar).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rounded: bool,
}
