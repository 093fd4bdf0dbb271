//! Rate limits: defined by documents and configuration, as budgets are. What they have counted is
//! not kept.

use super::{BudgetError, Budgets, CONFIGURED, Source};
use crate::audit::{Act, By};
use crate::error::LedgerError;
use crate::keys::new_id;
use crate::ledger::Ledger;
use crate::shared::Shared;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use tollbook_budget::{RateLimit, RateLimitForm, RateStanding, Rates, Subject};
use tollbook_types::{Attribution, Dimension, Timestamp};

/// Where the documents are.
const DOCUMENTS: &str = "rate/";

/// A rate limit as it is defined.
#[derive(Clone, Debug, PartialEq)]
pub struct RateDefined {
    /// Its id.
    pub id: String,
    /// What was written.
    pub form: RateLimitForm,
    /// What it means.
    pub limit: RateLimit,
    /// Where.
    pub source: Source,
    /// The version of its document; 0 in the configuration.
    pub version: u32,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A rate limit's document.
#[derive(Serialize, Deserialize)]
struct Document {
    id: String,
    created_at: Timestamp,
    form: RateLimitForm,
}

impl Budgets {
    /// Keeps what has to be known of the limits without asking them.
    fn look_at_rates(&self, rates: &Rates) {
        self.compares.store(rates.compares(), Ordering::Release);
        self.counts_at_once.store(rates.counts_at_once(), Ordering::Release);
    }
}

impl Shared {
    /// Puts a rate limit in force, instead of the one with its id.
    fn enforce_rate(&self, defined: RateDefined) {
        let mut engine = self.budgets.engine();
        engine.set_rate_limit(defined.limit.clone());
        self.budgets.look_at_rates(&engine.rates);
        drop(engine);
        self.budgets.any.store(true, Ordering::Release);
        let mut all = self.budgets.rates.write().unwrap_or_else(PoisonError::into_inner);
        all.insert(defined.id.clone(), Arc::new(defined));
    }
}

impl Ledger {
    /// Puts the recorded rate limits in force.
    pub(super) fn load_rates(&self) -> Result<(), BudgetError> {
        for control in self.store().controls(DOCUMENTS).map_err(LedgerError::from)? {
            let Some(body) = control.body else { continue };
            let Document { id, created_at, form } = serde_json::from_str(&body).map_err(|error| {
                LedgerError::Invalid(format!("the document {} cannot be read: {error}", control.key))
            })?;
            let limit = form.read(&id).map_err(BudgetError::Faults)?;
            let (source, version) = (Source::Api, control.version);
            self.shared().enforce_rate(RateDefined { id, form, limit, source, version, created_at });
        }
        Ok(())
    }

    /// Puts a rate limit of the configuration in force.
    pub fn configure_rate_limit(&self, form: RateLimitForm) -> Result<(), BudgetError> {
        let id = format!("{CONFIGURED}{}", form.name);
        let limit = form.read(&id).map_err(BudgetError::Faults)?;
        let created_at = self.shared().clock.now();
        let (source, version) = (Source::Config, 0);
        self.shared().enforce_rate(RateDefined { id, form, limit, source, version, created_at });
        Ok(())
    }

    /// Makes a rate limit; on return it holds.
    pub fn create_rate_limit(&self, by: &By, form: RateLimitForm) -> Result<Arc<RateDefined>, BudgetError> {
        let now = self.shared().clock.now();
        let id = new_id("rate_", now)?;
        let _changing = self.shared().budgets.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.write_rate_limit(by, Act::new("rate_limit.create"), id, form, now)
    }

    /// Changes a rate limit, if it still has this version; it begins with nothing used then. `None`
    /// when there is none with this id.
    pub fn change_rate_limit(
        &self,
        by: &By,
        id: &str,
        version: Option<u32>,
        form: RateLimitForm,
    ) -> Result<Option<Arc<RateDefined>>, BudgetError> {
        let _changing = self.shared().budgets.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = self.changeable_rate(id, version)? else { return Ok(None) };
        let act = Act::new("rate_limit.change");
        self.write_rate_limit(by, act, id.to_owned(), form, known.created_at).map(Some)
    }

    /// Takes a rate limit away, if it still has this version. False when there is none with this id.
    pub fn remove_rate_limit(&self, by: &By, id: &str, version: Option<u32>) -> Result<bool, BudgetError> {
        let _changing = self.shared().budgets.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.changeable_rate(id, version)?.is_none() {
            return Ok(false);
        }
        let act = Act::new("rate_limit.remove").on("rate_limit", id);
        self.write_documents(by, act, vec![(format!("{DOCUMENTS}{id}"), None)])?;
        let budgets = &self.shared().budgets;
        let mut engine = budgets.engine();
        engine.remove_rate_limit(id);
        budgets.look_at_rates(&engine.rates);
        drop(engine);
        budgets.rates.write().unwrap_or_else(PoisonError::into_inner).remove(id);
        Ok(true)
    }

    fn changeable_rate(
        &self,
        id: &str,
        version: Option<u32>,
    ) -> Result<Option<Arc<RateDefined>>, BudgetError> {
        match self.rate_limit(id) {
            Some(known) if known.source == Source::Config => Err(BudgetError::Configured),
            Some(known) if version.is_some_and(|version| version != known.version) => Err(BudgetError::Stale),
            known => Ok(known),
        }
    }

    pub(super) fn write_rate_limit(
        &self,
        by: &By,
        act: Act,
        id: String,
        form: RateLimitForm,
        created_at: Timestamp,
    ) -> Result<Arc<RateDefined>, BudgetError> {
        let limit = form.read(&id).map_err(BudgetError::Faults)?;
        let document = Document { id, created_at, form };
        let body = serde_json::to_string(&document)
            .map_err(|error| LedgerError::Invalid(format!("the rate limit cannot be written: {error}")))?;
        let name = format!("{DOCUMENTS}{}", document.id);
        let act = act.on("rate_limit", document.id.as_str());
        self.write_documents(by, act, vec![(name.clone(), Some(body))])?;
        let version =
            self.store().control(&name).map_err(LedgerError::from)?.map_or(0, |found| found.version);
        let Document { id, created_at, form } = document;
        let source = Source::Api;
        self.shared().enforce_rate(RateDefined { id: id.clone(), form, limit, source, version, created_at });
        self.rate_limit(&id).ok_or(BudgetError::Stale)
    }

    /// Every rate limit in force, by its id.
    pub fn rate_limits(&self) -> Vec<Arc<RateDefined>> {
        let all = self.shared().budgets.rates.read().unwrap_or_else(PoisonError::into_inner);
        all.values().cloned().collect()
    }

    /// The rate limit with this id.
    pub fn rate_limit(&self, id: &str) -> Option<Arc<RateDefined>> {
        self.shared().budgets.rates.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// Every rate limit that applies to a call.
    pub fn rates_of(&self, subject: &Subject<'_>) -> Vec<RateStanding> {
        self.shared().budgets.engine().rates.applying(subject, self.shared().clock.now())
    }

    /// Every rate limit that may apply to calls on an account, with what else it asks of them.
    pub fn rates_on(&self, who: &Attribution) -> Vec<(RateStanding, BTreeMap<Dimension, String>)> {
        self.shared().budgets.engine().rates.concerning(who, self.shared().clock.now())
    }
}
