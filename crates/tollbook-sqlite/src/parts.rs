//! What a query asks of each combination: the values to group by, and whether the filters pass.
//!
//! Every dimension belongs to one part of a call (its account, its work, its kind, its own texts),
//! so each combination is looked at once per query, however many rows name it. This module must
//! never know where rows come from.

use crate::terms::{Call, What, Who};
use std::collections::HashMap;
use tollbook_store::{Dimension, Filter, StoreError};

/// Where a dimension's value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    Who,
    What,
    Call,
    /// In the entry itself.
    Own,
}

pub(crate) const fn home(dimension: &Dimension) -> Home {
    match dimension {
        Dimension::Project | Dimension::Customer | Dimension::User | Dimension::Key => Home::Who,
        Dimension::Agent | Dimension::AgentName | Dimension::Operation => Home::What,
        Dimension::Provider
        | Dimension::Model
        | Dimension::Status
        | Dimension::Source
        | Dimension::Evidence => Home::Call,
        Dimension::OperationId | Dimension::Session | Dimension::Tag(_) => Home::Own,
    }
}

/// The part of a query that looks at one home.
#[derive(Debug, Default)]
pub(crate) struct Part {
    /// The places of its dimensions in the answer, with the dimensions.
    group: Vec<(usize, Dimension)>,
    filters: Vec<Filter>,
    known: HashMap<Vec<Option<String>>, u32>,
    values: Vec<Vec<Option<String>>>,
    /// By number of a combination: 0 not asked yet, 1 refused, else the place in `values` plus 2;
    /// and the hash of the combination.
    memo: [Vec<(u32, i64)>; 3],
}

/// Where the values of a combination stand, and its hash.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Picked {
    pub place: u32,
    pub hash: i64,
}

/// Which numbers a memo is by: each kind of row names combinations of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Memo {
    Hours,
    Days,
    Entry,
}

impl Part {
    pub(crate) fn new(wanted: Home, group_by: &[Dimension], filters: &[Filter]) -> Part {
        let group = group_by.iter().cloned().enumerate().filter(|(_, dimension)| home(dimension) == wanted);
        let filters = filters.iter().filter(|filter| home(&filter.dimension) == wanted);
        Part { group: group.collect(), filters: filters.cloned().collect(), ..Part::default() }
    }

    /// Whether the query asks nothing here.
    pub(crate) fn is_idle(&self) -> bool {
        self.group.is_empty() && self.filters.is_empty()
    }

    /// The place of the values, or `None` when a filter refuses them.
    pub(crate) fn pick<'a>(&mut self, value: impl Fn(&Dimension) -> Option<&'a str>) -> Option<u32> {
        if !self.filters.iter().all(|filter| filter.admits(value(&filter.dimension))) {
            return None;
        }
        let values: Vec<Option<String>> =
            self.group.iter().map(|(_, dimension)| value(dimension).map(str::to_owned)).collect();
        if let Some(place) = self.known.get(&values) {
            return Some(*place);
        }
        let place = self.values.len() as u32;
        self.values.push(values.clone());
        self.known.insert(values, place);
        Some(place)
    }

    /// As [`Part::pick`] for a combination, asking `load` for place and hash only the first time.
    pub(crate) fn pick_memo(
        &mut self,
        memo: Memo,
        id: i64,
        load: impl FnOnce(&mut Part) -> Result<(Option<u32>, i64), StoreError>,
    ) -> Result<Option<Picked>, StoreError> {
        let at = usize::try_from(id).map_err(|_| crate::pack::damaged())?;
        let picked = |place: u32, hash| place.checked_sub(2).map(|place| Picked { place, hash });
        if let Some((place, hash)) = self.memo[memo as usize].get(at).filter(|(place, _)| *place != 0) {
            return Ok(picked(*place, *hash));
        }
        let (place, hash) = load(self)?;
        let place = place.map_or(1, |place| place + 2);
        let memo = &mut self.memo[memo as usize];
        if memo.len() <= at {
            memo.resize(at + 1, (0, 0));
        }
        memo[at] = (place, hash);
        Ok(picked(place, hash))
    }

    /// Puts the values of a place where the answer wants them.
    pub(crate) fn fill(&self, place: u32, keys: &mut [Option<String>]) {
        let values = &self.values[place as usize];
        for ((at, _), value) in self.group.iter().zip(values) {
            keys[*at].clone_from(value);
        }
    }

    /// Whether the filters pass, with any of several models.
    pub(crate) fn admits<'a>(
        &self,
        value: impl Fn(&Dimension) -> Option<&'a str>,
        models: impl Iterator<Item = &'a str> + Clone,
    ) -> bool {
        let of_model = |filter: &&Filter| filter.dimension == Dimension::Model;
        let others = self.filters.iter().filter(|filter| !of_model(filter));
        let mut models = models
            .filter(|model| self.filters.iter().filter(of_model).all(|filter| filter.admits(Some(model))));
        others.into_iter().all(|filter| filter.admits(value(&filter.dimension))) && models.next().is_some()
    }
}

impl Who {
    pub(crate) fn value(&self, dimension: &Dimension) -> Option<&str> {
        match dimension {
            Dimension::Project => self.project.as_deref(),
            Dimension::Customer => self.customer.as_deref(),
            Dimension::User => self.user.as_deref(),
            Dimension::Key => self.key.as_deref(),
            _ => None,
        }
    }
}

impl What {
    pub(crate) fn value(&self, dimension: &Dimension) -> Option<&str> {
        match dimension {
            Dimension::Agent => self.agent.as_deref(),
            Dimension::AgentName => self.agent_name.as_deref(),
            Dimension::Operation => self.operation.as_deref(),
            _ => None,
        }
    }
}

impl Call {
    pub(crate) fn value(&self, dimension: &Dimension) -> Option<&str> {
        match dimension {
            Dimension::Provider => Some(&self.provider),
            Dimension::Model => Some(&self.model),
            Dimension::Status => Some(self.status.name()),
            Dimension::Source => Some(&self.source),
            Dimension::Evidence => Some(self.evidence.name()),
            _ => None,
        }
    }
}
