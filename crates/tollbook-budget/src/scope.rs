//! Which calls a budget is for, and the index that finds the budgets of a call.

use hashbrown::{DefaultHashBuilder, HashMap};
use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hash, Hasher};
use tollbook_types::{Attribution, Dimension};

/// Which calls count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// All of these must hold.
    pub matches: BTreeMap<Dimension, String>,
    /// One limit for each value of this. Calls without a value share one: there is no way around.
    pub each: Option<Dimension>,
}

/// What is known of a call when it is asked for or booked.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The provider.
    pub provider: &'a str,
    /// The model that was asked for, if known.
    pub request_model: Option<&'a str>,
    /// The model that answered, if known.
    pub model: Option<&'a str>,
    /// On whose account.
    pub who: &'a Attribution,
}

impl<'a> Subject<'a> {
    /// The value that a call has for a dimension; for the model the one that was asked for, which is
    /// the same before and after the call.
    fn value(&self, dimension: &Dimension) -> Option<&'a str> {
        match dimension {
            Dimension::Provider => Some(self.provider),
            Dimension::Model => self.request_model.or(self.model),
            other => other.on_account(self.who),
        }
    }
}

impl Scope {
    /// Whether it counts a call, by either name of its model.
    pub fn admits(&self, subject: &Subject<'_>) -> bool {
        self.matches.iter().all(|(dimension, wanted)| {
            let is_other_model = *dimension == Dimension::Model && subject.model == Some(wanted.as_str());
            is_other_model || subject.value(dimension) == Some(wanted.as_str())
        })
    }

    /// What it still asks of a call of which only the account is known, such as any call of a key;
    /// `None` where the account says that it is not for it.
    pub fn asks_of(&self, who: &Attribution) -> Option<BTreeMap<Dimension, String>> {
        let mut asked = BTreeMap::new();
        for (dimension, wanted) in &self.matches {
            match dimension.on_account(who) {
                Some(known) if known == wanted => {}
                Some(_) => return None,
                None => drop(asked.insert(dimension.clone(), wanted.clone())),
            }
        }
        Some(asked)
    }

    /// Whose limit it is for a call: the value of `each`.
    pub fn instance<'a>(&self, subject: &Subject<'a>) -> Option<&'a str> {
        subject.value(self.each.as_ref()?)
    }
}

/// Budgets that a call matches, mostly: room for so many is made at once.
const FEW: usize = 8;

/// Finds the budgets that match a call, however many there are: scopes that look at the same
/// dimensions share a table by their values. It tells where to look; what matches, a scope says itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    shapes: Vec<Shape>,
    hasher: DefaultHashBuilder,
}

#[derive(Clone, Debug)]
struct Shape {
    dimensions: Vec<Dimension>,
    /// Hashes of the values of the dimensions to places of budgets.
    places: HashMap<u64, Vec<usize>>,
}

impl Index {
    /// An index of these scopes, by their places.
    pub fn of<'a>(scopes: impl Iterator<Item = (usize, &'a Scope)>) -> Index {
        let mut index = Index::default();
        scopes.for_each(|(place, scope)| index.add(place, scope));
        index
    }

    /// Adds a scope at a place.
    pub fn add(&mut self, place: usize, scope: &Scope) {
        let dimensions: Vec<Dimension> = scope.matches.keys().cloned().collect();
        let shape = match self.shapes.iter().position(|shape| shape.dimensions == dimensions) {
            Some(shape) => shape,
            None => {
                self.shapes.push(Shape { dimensions, places: HashMap::new() });
                self.shapes.len() - 1
            }
        };
        // All values are there.
        if let Some(hash) = self.hash(scope.matches.values().map(|value| Some(value.as_str()))) {
            self.shapes[shape].places.entry(hash).or_default().push(place);
        }
    }

    /// The places of the budgets that match, ascending, where `scope` tells the one of a place.
    pub fn find<'s>(&self, subject: &Subject<'_>, scope: impl Fn(usize) -> &'s Scope) -> Vec<usize> {
        let mut found = Vec::with_capacity(FEW);
        for shape in &self.shapes {
            let mut look = |as_named: &Subject<'_>| {
                let values = shape.dimensions.iter().map(|dimension| as_named.value(dimension));
                let places = self.hash(values).and_then(|hash| shape.places.get(&hash));
                let matching = places.into_iter().flatten().filter(|place| scope(**place).admits(subject));
                found.extend(matching);
            };
            look(subject);
            if subject.model != subject.request_model && shape.dimensions.contains(&Dimension::Model) {
                look(&Subject { request_model: subject.model, ..*subject });
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Of all values; `None` if one is absent.
    fn hash<'a>(&self, values: impl Iterator<Item = Option<&'a str>>) -> Option<u64> {
        let mut hasher = self.hasher.build_hasher();
        for value in values {
            value?.hash(&mut hasher);
        }
        Some(hasher.finish())
    }
}
