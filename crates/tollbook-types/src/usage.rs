//! What a call used: disjoint meters, in legs, with the evidence for them.

use crate::meter::{Meter, Side};
use crate::money::Money;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;

/// Quantities by meter. A meter that is absent was not reported; a meter that is 0 was reported as 0.
///
/// ```
/// use tollbook_types::{Meter, Meters};
/// let meters = Meters::from_pairs([(Meter::Input, 900), (Meter::CacheRead, 100), (Meter::Output, 50)]);
/// assert_eq!(meters.input_tokens(), 1_000);
/// assert_eq!(meters.output_tokens(), 50);
/// assert_eq!(meters.get(Meter::Reasoning), None);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Meters(Vec<(Meter, u64)>);

impl Meters {
    /// No meters.
    pub const fn new() -> Meters {
        Meters(Vec::new())
    }

    /// From pairs; quantities of a repeated meter are added.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (Meter, u64)>) -> Meters {
        let mut meters = Meters::new();
        for (meter, quantity) in pairs {
            meters.add(meter, quantity);
        }
        meters
    }

    /// The quantity, if reported.
    pub fn get(&self, meter: Meter) -> Option<u64> {
        self.0.binary_search_by_key(&meter, |(m, _)| *m).ok().map(|at| self.0[at].1)
    }

    /// The quantity, 0 when not reported.
    pub fn quantity(&self, meter: Meter) -> u64 {
        self.get(meter).unwrap_or(0)
    }

    /// Sets a quantity.
    pub fn set(&mut self, meter: Meter, quantity: u64) {
        match self.0.binary_search_by_key(&meter, |(m, _)| *m) {
            Ok(at) => self.0[at].1 = quantity,
            Err(at) => self.0.insert(at, (meter, quantity)),
        }
    }

    /// Adds to a quantity, saturating.
    pub fn add(&mut self, meter: Meter, quantity: u64) {
        let sum = self.quantity(meter).saturating_add(quantity);
        self.set(meter, sum);
    }

    /// Adds every quantity of `other`.
    pub fn add_all(&mut self, other: &Meters) {
        if self.0.is_empty() {
            self.0.clone_from(&other.0);
            return;
        }
        for (meter, quantity) in other.iter() {
            self.add(meter, quantity);
        }
    }

    /// Takes a meter out.
    pub fn remove(&mut self, meter: Meter) {
        self.0.retain(|(m, _)| *m != meter);
    }

    /// The pairs in meter order.
    pub fn iter(&self) -> impl Iterator<Item = (Meter, u64)> + '_ {
        self.0.iter().copied()
    }

    /// Whether nothing was reported.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All input tokens, cache, audio, image and tool prompt included.
    pub fn input_tokens(&self) -> u64 {
        self.side_sum(Side::Input)
    }

    /// All output tokens, reasoning, audio and image included.
    pub fn output_tokens(&self) -> u64 {
        self.side_sum(Side::Output)
    }

    /// `input_tokens` + `output_tokens`.
    pub fn total_tokens(&self) -> u64 {
        self.input_tokens().saturating_add(self.output_tokens())
    }

    /// All tokens read from a cache.
    pub fn cache_read_tokens(&self) -> u64 {
        self.sum_where(Meter::is_cache_read)
    }

    /// All tokens written to a cache, whatever their time to live.
    pub fn cache_write_tokens(&self) -> u64 {
        self.sum_where(Meter::is_cache_write)
    }

    /// Whether the two cannot both be told of one call: their sums differ, or a part that both tell.
    /// One that tells fewer parts contradicts nothing.
    ///
    /// ```
    /// use tollbook_types::{Meter, Meters};
    /// let fine = Meters::from_pairs([(Meter::Input, 40), (Meter::CacheRead, 60), (Meter::Reasoning, 0)]);
    /// assert!(!fine.contradicts(&Meters::from_pairs([(Meter::Input, 100)])));
    /// assert!(fine.contradicts(&Meters::from_pairs([(Meter::Input, 40)])));
    /// assert!(fine.contradicts(&Meters::from_pairs([(Meter::Input, 50), (Meter::CacheRead, 50)])));
    /// ```
    pub fn contradicts(&self, other: &Meters) -> bool {
        let is_rest = |meter: Meter| matches!(meter, Meter::Input | Meter::Output);
        let differs = |is_of: &dyn Fn(Meter) -> bool| {
            let tells = |meters: &Meters| meters.iter().any(|(meter, _)| is_of(meter));
            tells(self) && tells(other) && self.sum_where(is_of) != other.sum_where(is_of)
        };
        // How a cache's tokens are told apart by time to live or by medium is detail, too.
        let whole: [&dyn Fn(Meter) -> bool; 2] = [&Meter::is_cache_read, &Meter::is_cache_write];
        let is_whole = |meter: Meter| whole.iter().any(|is_of| is_of(meter));
        self.input_tokens() != other.input_tokens()
            || self.output_tokens() != other.output_tokens()
            || whole.iter().any(|is_of| differs(is_of))
            || (Meter::ALL.iter())
                .filter(|meter| !is_rest(**meter) && !is_whole(**meter))
                .any(|meter| differs(&|found| found == *meter))
    }

    fn side_sum(&self, side: Side) -> u64 {
        self.sum_where(|meter| meter.side() == side)
    }

    fn sum_where(&self, wanted: impl Fn(Meter) -> bool) -> u64 {
        self.iter().filter(|(m, _)| wanted(*m)).fold(0, |sum, (_, q)| sum.saturating_add(q))
    }
}

impl Serialize for Meters {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Meters {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Meters, D::Error> {
        struct Pairs;
        impl<'de> serde::de::Visitor<'de> for Pairs {
            type Value = Meters;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of meter names and whole numbers")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Meters, A::Error> {
                let mut meters = Meters::new();
                while let Some((meter, quantity)) = map.next_entry::<Meter, u64>()? {
                    if meters.get(meter).is_some() {
                        return Err(serde::de::Error::custom(format_args!("meter {meter} stands twice")));
                    }
                    meters.set(meter, quantity);
                }
                Ok(meters)
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

/// One billed part of a call: most calls have one, some responses bill several models.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leg {
    /// The model that this leg is billed at; absent means the event's model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The provider's name for the kind of leg, such as `advisor_message` or `transcription`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// What it used.
    pub meters: Meters,
}

/// What a call used, all legs. Never empty of legs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// The billed parts, in the provider's order.
    pub legs: Vec<Leg>,
    /// The provider's own totals by public name (`input_tokens`, `cache_read_tokens`, …), kept where
    /// they are not the sums of the meters: where its figures contradict each other, or where it
    /// bills legs beyond the ones that it sums up. For reading only; never billed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reported: BTreeMap<String, u64>,
}

impl Usage {
    /// A usage of one leg at the event's model.
    pub fn one(meters: Meters) -> Usage {
        Usage::of(vec![Leg { model: None, kind: None, meters }])
    }

    /// A usage of these legs.
    pub fn of(legs: Vec<Leg>) -> Usage {
        Usage { legs, reported: BTreeMap::new() }
    }

    /// The sum over the legs.
    pub fn total(&self) -> Meters {
        let mut total = Meters::new();
        for leg in &self.legs {
            total.add_all(&leg.meters);
        }
        total
    }
}

/// How we know a usage, strongest last, so that `max` is the better evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// Nothing is known; the cost is absent, a worst case may be given.
    Unknown,
    /// Computed here from text, by a named estimator.
    Estimated,
    /// Reported by the provider in a stream that was cut before its final figures.
    Partial,
    /// Reported by the provider.
    ProviderUsage,
    /// The provider reported the bill itself.
    ProviderCost,
}

impl Evidence {
    /// Every kind, weakest first.
    pub const ALL: &'static [Evidence] = &[
        Evidence::Unknown,
        Evidence::Estimated,
        Evidence::Partial,
        Evidence::ProviderUsage,
        Evidence::ProviderCost,
    ];

    /// The public name.
    pub const fn name(self) -> &'static str {
        match self {
            Evidence::Unknown => "unknown",
            Evidence::Estimated => "estimated",
            Evidence::Partial => "partial",
            Evidence::ProviderUsage => "provider_usage",
            Evidence::ProviderCost => "provider_cost",
        }
    }

    /// The kind with this public name.
    pub fn from_name(name: &str) -> Option<Evidence> {
        Evidence::ALL.iter().copied().find(|e| e.name() == name)
    }
}

/// A bill that the provider reported itself, split as far as the provider split it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderCost {
    /// The whole bill.
    pub total: Money,
    /// The input side, where reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Money>,
    /// The output side, where reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Money>,
    /// The member it was read from, such as `usage.cost_in_usd_ticks`.
    pub field: String,
}

/// A usage that cannot be: some part is larger than its whole. Both fields are named as the
/// provider names them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{part} ({part_quantity}) exceeds {whole} ({whole_quantity})")]
pub struct UsageError {
    /// The field that is too large.
    pub part: String,
    /// Its quantity.
    pub part_quantity: u64,
    /// The field that it should be part of.
    pub whole: String,
    /// Its quantity.
    pub whole_quantity: u64,
}
