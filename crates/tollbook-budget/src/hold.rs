//! What is held for a call in flight.

use crate::question::{Ask, Bound};
use crate::rates::Part;
use crate::scope::Subject;
use std::sync::Arc;
use tollbook_types::{Attribution, Timestamp};

/// What a hold takes of one budget.
#[derive(Clone, Debug)]
pub(crate) struct Share {
    pub budget: Arc<str>,
    /// The value of its `each`.
    pub instance: Option<String>,
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
    who: Arc<Attribution>,
    pub worst: Bound,
    pub expires_at: Option<Timestamp>,
    pub parts: Vec<Share>,
    pub strict_picos: Option<i128>,
    /// What rate limits count for it.
    pub rates: Vec<Part>,
}

impl Hold {
    pub fn of(ask: &Ask<'_>) -> Hold {
        Hold {
            at: ask.at,
            provider: ask.subject.provider.to_owned(),
            request_model: ask.subject.request_model.map(str::to_owned),
            model: ask.subject.model.map(str::to_owned),
            who: Arc::new(ask.subject.who.clone()),
            worst: ask.worst,
            expires_at: ask.expires_at,
            parts: Vec::new(),
            strict_picos: None,
            rates: Vec::new(),
        }
    }

    /// What it takes of this budget, or of this value of its `each`.
    pub fn share(&self, budget: &str, instance: &Option<String>) -> Option<&Share> {
        self.parts.iter().find(|share| *share.budget == *budget && share.instance == *instance)
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
