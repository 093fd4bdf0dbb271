//! What is held for a call in flight.

use crate::definition::Budget;
use crate::question::{Ask, Bound};
use crate::rates::Part;
use crate::scope::Subject;
use hashbrown::HashMap;
use tollbook_types::{Attribution, Timestamp};

/// Holds that are no more whose memory is kept.
const SPARE_MAX: usize = 1_024;

/// What a hold takes of one budget. From which of its accounts, the hold's subject tells.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    /// The budget's place.
    pub place: usize,
    pub amount: i128,
    /// Where the account counts it.
    pub key: Timestamp,
}

/// A hold, with what a later budget needs to know of it.
#[derive(Clone, Debug)]
pub(crate) struct Hold {
    pub at: Timestamp,
    provider: String,
    request_model: Option<String>,
    /// The model that it was changed to.
    model: Option<String>,
    who: Attribution,
    pub worst: Bound,
    pub expires_at: Option<Timestamp>,
    pub parts: Vec<Share>,
    pub strict_picos: Option<i128>,
    /// What rate limits count for it.
    pub rates: Vec<Part>,
}

impl Hold {
    pub fn of(ask: &Ask<'_>) -> Hold {
        let mut who = Attribution::default();
        who.copy_dimensions(ask.who);
        Hold {
            at: ask.at,
            provider: ask.provider.to_owned(),
            request_model: ask.request_model.map(str::to_owned),
            model: ask.model.map(str::to_owned),
            who,
            worst: ask.worst,
            expires_at: ask.expires_at,
            parts: Vec::new(),
            strict_picos: None,
            rates: Vec::new(),
        }
    }

    /// The same as a new one, in the memory of one that is no more.
    fn renew(&mut self, ask: &Ask<'_>) {
        let put = |old: &mut Option<String>, new: Option<&str>| match (&mut *old, new) {
            (Some(old), Some(new)) => new.clone_into(old),
            _ => *old = new.map(str::to_owned),
        };
        ask.provider.clone_into(&mut self.provider);
        put(&mut self.request_model, ask.request_model);
        put(&mut self.model, ask.model);
        self.who.copy_dimensions(ask.who);
        (self.at, self.worst, self.expires_at) = (ask.at, ask.worst, ask.expires_at);
        self.parts.clear();
        self.strict_picos = None;
        self.rates.clear();
    }

    /// What it takes of this account of the budget at this place.
    pub fn share(&self, place: usize, budget: &Budget, instance: Option<&str>) -> Option<&Share> {
        let share = self.parts.iter().find(|share| share.place == place)?;
        (budget.scope.instance(&self.subject()) == instance).then_some(share)
    }

    pub fn subject(&self) -> Subject<'_> {
        Subject {
            provider: &self.provider,
            request_model: self.request_model.as_deref(),
            model: self.model.as_deref(),
            who: &self.who,
        }
    }

    /// The model that is asked for at the provider.
    pub fn sent_model(&self) -> Option<&str> {
        self.model.as_deref().or(self.request_model.as_deref())
    }
}

/// Holds by their ids. Who books a call is another thread than who let it go, and memory that one
/// takes and the other gives back makes both wait: so the memory of holds that are no more is kept for
/// the next ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Holds {
    by_id: HashMap<String, Hold>,
    spare: Vec<(String, Hold)>,
}

impl Holds {
    /// A new hold, which is not among them yet.
    pub fn blank(&mut self, ask: &Ask<'_>) -> (String, Hold) {
        match self.spare.pop() {
            None => (ask.id.to_owned(), Hold::of(ask)),
            Some((mut id, mut hold)) => {
                ask.id.clone_into(&mut id);
                hold.renew(ask);
                (id, hold)
            }
        }
    }

    pub fn insert(&mut self, (id, hold): (String, Hold)) {
        self.by_id.insert(id, hold);
    }

    /// Takes one out; who has read it gives it to [`Holds::spare`].
    pub fn remove(&mut self, id: &str) -> Option<(String, Hold)> {
        self.by_id.remove_entry(id)
    }

    pub fn spare(&mut self, hold: (String, Hold)) {
        if self.spare.len() < SPARE_MAX {
            self.spare.push(hold);
        }
    }

    pub fn get(&self, id: &str) -> Option<&Hold> {
        self.by_id.get(id)
    }

    pub fn get_mut(&mut self, id: &str) -> Option<&mut Hold> {
        self.by_id.get_mut(id)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Hold)> {
        self.by_id.iter().map(|(id, hold)| (id.as_str(), hold))
    }

    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut Hold> {
        self.by_id.values_mut()
    }

    pub fn len(&self) -> usize {
        self.by_id.len()
    }
}
