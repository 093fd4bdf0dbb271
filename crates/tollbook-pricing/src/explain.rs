//! Why a price won, why others lost, and what comes near to a name that nothing matches.

use crate::book::{Book, Candidate, NoMatch, Query, Target};
use crate::card::{Card, circumstance};
use crate::model::Price;
use std::sync::Arc;
use tollbook_types::canonical_provider;

/// How a lookup went.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The card that applies, or why none does.
    pub result: Result<Arc<Card>, NoMatch>,
    /// Prices that were considered and did not apply, nearest first.
    pub others: Vec<Lost>,
    /// Known models whose names come near, nearest first.
    pub near: Vec<NearMiss>,
}

/// A price that did not apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// `provider/model`, or the user's file and line.
    pub price: String,
    /// The rule that matched, in words.
    pub rule: String,
    /// Why it did not apply.
    pub why: String,
}

/// A known model whose name comes near.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NearMiss {
    /// The provider's id.
    pub provider: String,
    /// The model's id.
    pub model: String,
    /// Single-letter edits between the names.
    pub distance: usize,
}

/// The most others and near misses that an explanation has.
const SHOWN_MAX: usize = 12;

impl Book {
    /// Explains a lookup for a request of `total_input` tokens.
    pub fn explain_match(&self, query: &Query<'_>, total_input: u64) -> Explanation {
        let found = self.find(query);
        let mut others = Vec::new();
        if let Ok(found) = &found
            && let Target::Book(hit) = found.candidate.target
        {
            let model = self.index.model(hit);
            let name = format!("{}/{}", self.index.at(hit.provider).id, model.id);
            let plain = model.plain_at(query.at);
            for (nth, price) in model.prices.iter().enumerate() {
                if plain != Some(nth)
                    && let Some(why) = why_not(price, query)
                {
                    others.push(Lost { price: name.clone(), rule: circumstance(price).join(" and "), why });
                }
            }
        }

        let name = match &found {
            Ok(found) if found.requested => query.request_model.unwrap_or(query.model),
            _ => query.model,
        };
        let candidates = self.gather(query.provider, name, true);
        let mut won = false;
        for candidate in &candidates.list {
            let is_winner = found.as_ref().is_ok_and(|found| {
                !won && found.candidate.target == candidate.target && found.candidate.via == candidate.via
            });
            won |= is_winner;
            if !is_winner {
                others.push(self.lost(candidate, query, won));
            }
        }
        others.truncate(SHOWN_MAX);
        let near = match &found {
            Ok(_) => Vec::new(),
            Err(_) => self.near_misses(query.provider, query.model, 5),
        };
        Explanation { result: found.map(|found| found.card(query, total_input)), others, near }
    }

    fn lost(&self, candidate: &Candidate, query: &Query<'_>, after_winner: bool) -> Lost {
        let (price, rule) = match candidate.target {
            Target::Own(nth) => {
                let own = &self.overrides.prices[usize::from(nth)];
                (own.scope.origin.clone(), own.scope.text())
            }
            Target::Book(hit) => {
                let name = format!("{}/{}", self.index.at(hit.provider).id, self.index.model(hit).id);
                (name, self.index.rule_text(hit))
            }
        };
        let own = match candidate.target {
            Target::Own(nth) => why_not(&self.overrides.prices[usize::from(nth)].price, query),
            Target::Book(hit) if self.index.model(hit).plain_at(query.at).is_none() => {
                Some("it has no price at that instant".to_owned())
            }
            Target::Book(_) => None,
        };
        let default =
            if after_winner { "another rule is more specific" } else { "its alias is not in effect then" };
        Lost { price, rule, why: own.unwrap_or_else(|| default.to_owned()) }
    }

    /// Known models whose names come near to `model`: those of the provider first.
    pub fn near_misses(&self, provider: &str, model: &str, most: usize) -> Vec<NearMiss> {
        let id = canonical_provider(provider);
        let names = self.names(&id, model);
        let mut near: Vec<(bool, NearMiss)> = Vec::new();
        for known in &self.index.providers {
            let same = known.id == id;
            for model in known.models.iter().filter(|model| model.id != "*") {
                let distances = names.iter().map(|name| strsim::osa_distance(name, &model.id));
                let Some(distance) = distances.min() else { continue };
                let close = distance <= model.id.chars().count() / 3;
                if (close && same) || distance <= 2 {
                    let near_miss =
                        NearMiss { provider: known.id.clone(), model: model.id.clone(), distance };
                    near.push((!same, near_miss));
                }
            }
        }
        near.sort_by(|a, b| (a.0, a.1.distance, &a.1.model).cmp(&(b.0, b.1.distance, &b.1.model)));
        near.into_iter().take(most).map(|(_, near)| near).collect()
    }
}

/// Why a price does not apply; `None` when it does.
fn why_not(price: &Price, query: &Query<'_>) -> Option<String> {
    if let Some(to) = price.to.as_ref().filter(|to| query.at >= to.at) {
        return Some(format!("it ended on {}", to.text));
    }
    if let Some(from) = price.from.as_ref().filter(|from| query.at < from.at) {
        return Some(format!("it begins on {}", from.text));
    }
    if !price.holds(query.conditions) {
        let wanted: Vec<String> = price.when.iter().map(|(name, value)| format!("{name}={value}")).collect();
        return Some(format!("it needs {}", wanted.join(" and ")));
    }
    if !price.in_window(query.at) {
        return Some(format!("it applies {} only", circumstance(price).join(" ")));
    }
    None
}
