//! Whether a book is consistent with itself.

use crate::book::Book;
use crate::model::{Model, Price, Provider};
use crate::parse::{check_rules, overlap, parse_bound, same_kind};
use crate::problem::Problem;
use std::collections::{BTreeMap, BTreeSet};

impl Book {
    /// Every inconsistency: ids that stand twice, prices without source or date, models without a
    /// price, overlapping dates, unsorted tiers, expressions that are none, aliases to nowhere.
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for provider in self.providers() {
            check_provider(self, provider, &mut |what| {
                let file = format!("{}.toml", provider.id);
                problems.push(Problem { file, line: 0, column: 0, message: what });
            });
        }
        problems
    }
}

fn check_provider(book: &Book, provider: &Provider, report: &mut impl FnMut(String)) {
    for further in &provider.fallback {
        if !book.providers().iter().any(|known| known.id == *further) {
            report(format!("falls back to {further}, which the book does not have"));
        }
    }
    for alias in &provider.aliases {
        if !provider.models.iter().any(|model| model.id == alias.model) {
            report(format!("alias {} stands for {}, which is no model", alias.name, alias.model));
        }
    }
    let mut ids = BTreeSet::new();
    let mut exact: BTreeMap<&str, &str> = BTreeMap::new();
    for model in &provider.models {
        if !ids.insert(&model.id) {
            report(format!("model {} stands twice", model.id));
        }
        for name in model.rules.iter().filter_map(|rule| rule.exact()) {
            if let Some(other) = exact.insert(name, &model.id)
                && other != model.id
            {
                report(format!("the name {name} is of both {other} and {}", model.id));
            }
        }
        check_model(provider, model, report);
    }
}

fn check_model(provider: &Provider, model: &Model, report: &mut impl FnMut(String)) {
    let id = &model.id;
    if let Err(error) = check_rules(&model.rules) {
        report(format!("model {id}: {error}"));
    }
    if !model.prices.iter().any(Price::is_plain) {
        report(format!("model {id} has no plain price"));
    }
    for (nth, price) in model.prices.iter().enumerate() {
        let source = price.source.as_ref().unwrap_or(&provider.source);
        let checked = price.checked.as_ref().unwrap_or(&provider.checked);
        if source.is_empty() {
            report(format!("a price of {id} has no source"));
        }
        if parse_bound(checked).is_none() {
            report(format!("a price of {id} does not say when it was checked"));
        }
        if price.rates.is_empty() {
            report(format!("a price of {id} has no rate"));
        }
        if !price.tiers.windows(2).all(|pair| pair[0].starts_at < pair[1].starts_at) {
            report(format!("the tiers of {id} are not in order"));
        }
        if price.tiers.iter().any(|tier| tier.starts_at == 0) {
            report(format!("a tier of {id} starts at nothing"));
        }
        for earlier in &model.prices[..nth] {
            if same_kind(earlier, price) && overlap(earlier, price) {
                report(format!("two prices of {id} for the same circumstance overlap"));
            }
        }
    }
}
