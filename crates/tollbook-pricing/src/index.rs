//! The book's index: from a provider and a model's name to the models whose rules match.

use crate::model::{Model, Provider, Surcharge};
use crate::rule::Rule;
use std::collections::{BTreeMap, HashMap};

/// A model of the book whose rule matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Hit {
    /// Its provider's position.
    pub provider: u16,
    /// Its position among the provider's models.
    pub model: u16,
    /// The rule that matched, by its position.
    pub rule: u16,
}

/// All providers, and where to look for a name.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub providers: Vec<Provider>,
    by_id: BTreeMap<String, u16>,
    exact: Vec<HashMap<String, Vec<(u16, u16)>>>,
    other: Vec<Vec<Open>>,
    rules: Vec<Vec<Vec<Rule>>>,
}

/// A rule that is not an exact name.
#[derive(Debug)]
struct Open {
    rank: (u8, usize),
    model: u16,
    rule: u16,
}

impl Index {
    /// An index of these providers. What does not fit the index's small numbers is left out.
    pub fn new(providers: Vec<Provider>) -> Index {
        let mut index = Index::default();
        for (nth, provider) in providers.iter().take(usize::from(u16::MAX)).enumerate() {
            index.by_id.insert(provider.id.clone(), nth as u16);
            let (exact, other, rules) = index_provider(provider);
            index.exact.push(exact);
            index.other.push(other);
            index.rules.push(rules);
        }
        index.providers = providers;
        index
    }

    /// The position of a provider.
    pub fn provider(&self, id: &str) -> Option<u16> {
        self.by_id.get(id).copied()
    }

    /// A provider by position.
    pub fn at(&self, provider: u16) -> &Provider {
        &self.providers[usize::from(provider)]
    }

    /// The model of a hit.
    pub fn model(&self, hit: Hit) -> &Model {
        &self.at(hit.provider).models[usize::from(hit.model)]
    }

    /// The rule of a hit, in words.
    pub fn rule_text(&self, hit: Hit) -> String {
        self.rules[usize::from(hit.provider)][usize::from(hit.model)]
            .get(usize::from(hit.rule))
            .map(ToString::to_string)
            .unwrap_or_default()
    }

    /// The provider and those that it falls back to, nearest first.
    pub fn chain(&self, id: &str) -> Vec<u16> {
        let mut chain: Vec<u16> = self.provider(id).into_iter().collect();
        let mut next = 0;
        while let Some(at) = chain.get(next).copied() {
            for further in &self.at(at).fallback {
                if let Some(position) = self.provider(further)
                    && !chain.contains(&position)
                {
                    chain.push(position);
                }
            }
            next += 1;
        }
        chain
    }

    /// The models of one provider that a name, in lower case, matches: best rule first, one hit
    /// each. Equal rules keep the book's order. Where a name is exactly a model's, other rules are
    /// tried only if `all` are wanted: expressions cost time when they are first used.
    pub fn hits(&self, provider: u16, name: &str, all: bool) -> Vec<Hit> {
        let mut hits: Vec<Hit> = Vec::new();
        let mut push = |model: u16, rule: u16| {
            if !hits.iter().any(|hit| hit.model == model) {
                hits.push(Hit { provider, model, rule });
            }
        };
        if let Some(exact) = self.exact[usize::from(provider)].get(name) {
            exact.iter().for_each(|(model, rule)| push(*model, *rule));
            if !all {
                return hits;
            }
        }
        for open in &self.other[usize::from(provider)] {
            let rule = &self.rules[usize::from(provider)][usize::from(open.model)][usize::from(open.rule)];
            if rule.matches(name) {
                push(open.model, open.rule);
            }
        }
        hits
    }

    /// The hit for a model by its id.
    pub fn by_model_id(&self, provider: u16, id: &str) -> Option<Hit> {
        let models = &self.at(provider).models;
        let model = models.iter().position(|model| model.id == id)?;
        Some(Hit { provider, model: u16::try_from(model).ok()?, rule: 0 })
    }

    /// A provider's surcharges that are for a model, as bits.
    pub fn surcharges(&self, hit: Hit, applies: impl Fn(&Surcharge) -> bool) -> u64 {
        let id = &self.model(hit).id;
        let all = self.at(hit.provider).surcharges.iter().enumerate().take(64);
        all.filter(|(_, s)| applies(s) && s.is_for(id)).fold(0, |bits, (nth, _)| bits | 1 << nth)
    }
}

type Exact = HashMap<String, Vec<(u16, u16)>>;

fn index_provider(provider: &Provider) -> (Exact, Vec<Open>, Vec<Vec<Rule>>) {
    let mut exact = Exact::new();
    let mut ids = Exact::new();
    let mut other = Vec::new();
    let mut rules = Vec::new();
    for (nth, model) in provider.models.iter().take(usize::from(u16::MAX)).enumerate() {
        let all = model.all_rules();
        for (at, rule) in all.iter().take(usize::from(u16::MAX)).enumerate() {
            let place = (nth as u16, at as u16);
            match rule.exact() {
                // An id that is not itself a rule gives way to other models' exact rules.
                Some(name) if at < model.rules.len() => exact.entry(name.to_owned()).or_default().push(place),
                Some(name) => ids.entry(name.to_owned()).or_default().push(place),
                None => other.push(Open { rank: rule.rank(), model: place.0, rule: place.1 }),
            }
        }
        rules.push(all);
    }
    for (name, places) in ids {
        exact.entry(name).or_default().extend(places);
    }
    // A stable sort: among equally specific rules the book's order decides.
    other.sort_by_key(|open| std::cmp::Reverse(open.rank));
    (exact, other, rules)
}
