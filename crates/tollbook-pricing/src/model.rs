//! The book's data: providers, models, and each model's prices by date and circumstance.

use crate::rates::Rates;
use crate::rule::{Rule, Test};
use tollbook_types::{Conditions, Meter, Timestamp};

/// The most prices that one model may have.
pub(crate) const PRICES_MAX: usize = 64;
/// The most surcharges that one provider may have, and the most adjustments of a user.
pub(crate) const ADJUSTMENTS_MAX: usize = 64;

/// An instant as it stands in the book, beside its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The instant.
    pub at: Timestamp,
    /// How it is written: a date (midnight UTC) or an RFC 3339 instant.
    pub text: String,
}

/// Part of each day, in UTC: from the first second to before the last, over midnight if reversed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Seconds after midnight.
    pub from: u32,
    /// Seconds after midnight.
    pub to: u32,
}

impl Window {
    /// Whether a second of the day is in it.
    pub fn contains(&self, second: u32) -> bool {
        if self.from <= self.to {
            second >= self.from && second < self.to
        } else {
            second >= self.from || second < self.to
        }
    }
}

/// The seven days, as prices name them.
pub const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Rates for large requests: chosen by the request's total input, for all of its tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tier {
    /// The least total input, in tokens, that the tier is for.
    pub starts_at: u64,
    /// The rates it changes; others stay.
    pub rates: Rates,
}

/// Rates for a time and a circumstance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Price {
    /// The first instant.
    pub from: Option<Bound>,
    /// The first instant after.
    pub to: Option<Bound>,
    /// Parts of the day; empty means all day.
    pub daily: Vec<Window>,
    /// Days of the week in UTC, bit 0 is Monday; `None` means every day.
    pub days: Option<u8>,
    /// Conditions that must all hold; empty for the plain price.
    pub when: Vec<(String, String)>,
    /// The rates.
    pub rates: Rates,
    /// Rates for large requests, by rising `starts_at`.
    pub tiers: Vec<Tier>,
    /// Whether the tiers are marginal: only the tokens beyond a step cost the step's rate.
    pub marginal: bool,
    /// Where the figures come from, if not where the provider's others do.
    pub source: Option<String>,
    /// When they were last compared with the source.
    pub checked: Option<String>,
}

impl Price {
    /// Whether the price is the plain one: for every time of day and every circumstance.
    pub fn is_plain(&self) -> bool {
        self.when.is_empty() && self.daily.is_empty() && self.days.is_none()
    }

    /// Whether the instant is in its dates.
    pub fn covers(&self, at: Timestamp) -> bool {
        self.from.as_ref().is_none_or(|from| at >= from.at) && self.to.as_ref().is_none_or(|to| at < to.at)
    }

    /// Whether the instant is in its part of the day and week.
    pub fn in_window(&self, at: Timestamp) -> bool {
        if self.daily.is_empty() && self.days.is_none() {
            return true;
        }
        let seconds = at.as_second();
        let second = u32::try_from(seconds.rem_euclid(86_400)).unwrap_or(0);
        // The first day of the count of seconds was a Thursday.
        let weekday = (seconds.div_euclid(86_400) + 3).rem_euclid(7);
        self.days.is_none_or(|days| days & (1 << weekday) != 0)
            && (self.daily.is_empty() || self.daily.iter().any(|window| window.contains(second)))
    }

    /// Whether every condition holds.
    pub fn holds(&self, conditions: &Conditions) -> bool {
        all_hold(&self.when, conditions)
    }

    /// The rate of a meter for a request of this total input, and the tier that it came from.
    pub fn rate(&self, meter: Meter, total_input: u64) -> Option<i64> {
        if !self.marginal {
            let tiers = self.tiers.iter().rev().filter(|tier| total_input >= tier.starts_at);
            for tier in tiers {
                if let Some(picos) = tier.rates.get(&meter) {
                    return Some(*picos);
                }
            }
        }
        self.rates.get(&meter).copied()
    }
}

/// Whether every condition holds. A service tier named `batch` is batch processing.
pub(crate) fn all_hold(when: &[(String, String)], conditions: &Conditions) -> bool {
    when.iter().all(|(key, value)| {
        conditions.get(key).is_some_and(|given| given == value)
            || (key == "processing"
                && !conditions.contains_key("processing")
                && conditions.get("service_tier").is_some_and(|tier| tier == value))
    })
}

/// A model and its prices.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// The id in the book, in lower case as providers write it.
    pub id: String,
    /// The names it goes by: any rule is enough. The id itself always matches.
    pub rules: Vec<Rule>,
    /// The largest input it takes, in tokens.
    pub context_window: Option<u64>,
    /// Whether the provider has withdrawn it.
    pub retired: bool,
    /// A remark for people.
    pub note: Option<String>,
    /// Its prices, in the book's order.
    pub prices: Vec<Price>,
}

impl Model {
    /// Every total input at which some price changes, rising.
    pub fn thresholds(&self) -> Vec<u64> {
        let tiered = self.prices.iter().filter(|price| !price.marginal);
        let mut all: Vec<u64> = tiered.flat_map(|price| price.tiers.iter().map(|t| t.starts_at)).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The plain price that covers an instant.
    pub fn plain_at(&self, at: Timestamp) -> Option<usize> {
        self.prices.iter().position(|price| price.is_plain() && price.covers(at))
    }
}

/// A name that stands for another model for a time.
#[derive(Clone, Debug)]
pub struct Alias {
    /// The name, in lower case.
    pub name: String,
    /// The id of the model it stands for.
    pub model: String,
    /// The first instant.
    pub from: Option<Bound>,
    /// The first instant after.
    pub to: Option<Bound>,
}

/// A factor on the token rates of some models under some condition.
#[derive(Clone, Debug)]
pub struct Surcharge {
    /// Conditions that must all hold.
    pub when: Vec<(String, String)>,
    /// The models, by the id in the book; empty means all.
    pub rules: Vec<Rule>,
    /// Trillionths: 1.1 is 1_100_000_000_000.
    pub factor: u64,
    /// The first instant.
    pub from: Option<Bound>,
    /// The first instant after.
    pub to: Option<Bound>,
}

impl Surcharge {
    /// Whether it is for a model.
    pub fn is_for(&self, id: &str) -> bool {
        self.rules.is_empty() || self.rules.iter().any(|rule| rule.matches(id))
    }
}

/// Everything the book has of one provider.
#[derive(Clone, Debug, Default)]
pub struct Provider {
    /// The canonical id.
    pub id: String,
    /// Where the figures come from, unless a price says otherwise.
    pub source: String,
    /// When they were last compared with the source, unless a price says otherwise.
    pub checked: String,
    /// Pages on which the provider publishes its prices.
    pub pages: Vec<String>,
    /// Providers whose prices apply to models that this one has no own price for.
    pub fallback: Vec<String>,
    /// Beginnings of a model's name that say nothing about its price.
    pub strip: Vec<String>,
    /// Rates for every price that has none of its own for the meter.
    pub fees: Rates,
    /// The models, in the book's order.
    pub models: Vec<Model>,
    /// Names that stand for models for a time.
    pub aliases: Vec<Alias>,
    /// Factors by circumstance.
    pub surcharges: Vec<Surcharge>,
}

impl Model {
    /// Whether the rules say no more than the id does.
    pub(crate) fn is_only_id(&self) -> bool {
        matches!(self.rules.as_slice(), [rule] if rule.exact() == Some(self.id.as_str()))
    }

    /// The rules, with the id's own at the end if no rule is the id.
    pub(crate) fn all_rules(&self) -> Vec<Rule> {
        let mut rules = self.rules.clone();
        if !rules.iter().any(|rule| rule.exact() == Some(self.id.as_str())) {
            rules.push(Rule::one(Test::Exact(self.id.clone())));
        }
        rules
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_wrap_around_midnight() {
        let night = Window { from: 59_400, to: 1_800 };
        assert!(night.contains(59_400) && night.contains(0) && night.contains(1_799));
        assert!(!night.contains(1_800) && !night.contains(59_399));
    }

    #[test]
    fn days_are_utc_days() {
        let weekdays = Price { days: Some(0b001_1111), ..Price::default() };
        // 2026-11-13 was a Friday.
        assert!(weekdays.in_window("2026-11-13T23:59:59Z".parse().unwrap()));
        assert!(!weekdays.in_window("2026-11-14T00:00:00Z".parse().unwrap()));
        assert!(!weekdays.in_window("2026-11-15T23:59:59Z".parse().unwrap()));
        assert!(weekdays.in_window("2026-11-16T00:00:00Z".parse().unwrap()));
    }

    #[test]
    fn a_tier_named_batch_is_batch_processing() {
        let when = vec![("processing".to_owned(), "batch".to_owned())];
        let given = |pairs: &[(&str, &str)]| -> Conditions {
            pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
        };
        assert!(all_hold(&when, &given(&[("processing", "batch")])));
        assert!(all_hold(&when, &given(&[("service_tier", "batch")])));
        assert!(!all_hold(&when, &given(&[("service_tier", "flex")])));
        assert!(!all_hold(&when, &given(&[])));
    }
}
