//! Which calls a budget is for, and the index that finds the budgets of a call.

use std::collections::{BTreeMap, HashMap};
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
    pub fn instance(&self, subject: &Subject<'_>) -> Option<String> {
        subject.value(self.each.as_ref()?).map(str::to_owned)
    }
}

/// Finds the budgets that match a call, however many there are: scopes that look at the same
/// dimensions share a table by their values.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    shapes: Vec<Shape>,
}

#[derive(Clone, Debug)]
struct Shape {
    dimensions: Vec<Dimension>,
    /// Values of the dimensions, joined by a byte that no value has, to places of budgets.
    places: HashMap<Vec<u8>, Vec<usize>>,
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
        let values = key(scope.matches.values().map(|value| Some(value.as_str()))).unwrap_or_default();
        let shape = match self.shapes.iter().position(|shape| shape.dimensions == dimensions) {
            Some(shape) => shape,
            None => {
                self.shapes.push(Shape { dimensions, places: HashMap::new() });
                self.shapes.len() - 1
            }
        };
        self.shapes[shape].places.entry(values).or_default().push(place);
    }

    /// The places of the budgets that match, ascending.
    pub fn find(&self, subject: &Subject<'_>) -> Vec<usize> {
        let mut found = Vec::new();
        for shape in &self.shapes {
            let mut look = |subject: &Subject<'_>| {
                let values = shape.dimensions.iter().map(|dimension| subject.value(dimension));
                found.extend(key(values).and_then(|key| shape.places.get(&key)).into_iter().flatten());
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
}

/// The values as one key; `None` if one is absent.
fn key<'a>(values: impl Iterator<Item = Option<&'a str>>) -> Option<Vec<u8>> {
    let mut key = Vec::with_capacity(64);
    for value in values {
        key.extend_from_slice(value?.as_bytes());
        key.push(0xff); // No byte of UTF-8.
    }
    Some(key)
}
