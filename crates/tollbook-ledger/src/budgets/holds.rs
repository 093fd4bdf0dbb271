//! Holds for calls that others make: promised to whoever asks first, kept over a restart.
//!
//! A hold is a document until it is settled, released or over. Should the process end between its
//! settling and the document's deletion, it is held again until it is over: too much, never too little.

use super::{Asked, Let};
use crate::error::LedgerError;
use crate::keys::new_id;
use crate::ledger::Ledger;
use serde::{Deserialize, Serialize};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use tollbook_budget::Refused;
use tollbook_types::{Attribution, Conditions, Timestamp};

/// Where the documents are.
const DOCUMENTS: &str = "hold/";

/// A call that somebody else will make.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HoldRequest {
    /// The provider.
    pub provider: String,
    /// The model.
    pub model: String,
    /// On whose account.
    pub who: Attribution,
    /// What else the price depends on.
    #[serde(default)]
    pub conditions: Conditions,
    /// The most tokens in; `None`: the model's context window.
    #[serde(default)]
    pub input_tokens: Option<u64>,
    /// The most tokens out; `None`: the model's context window.
    #[serde(default)]
    pub output_tokens: Option<u64>,
    /// When it was asked.
    pub at: Timestamp,
    /// When the hold goes by itself.
    pub expires_at: Timestamp,
}

/// A hold that was given.
#[derive(Clone, Debug, PartialEq)]
pub struct Promised {
    /// Its id.
    pub id: String,
    /// What is held, and what is left.
    pub granted: Let,
}

impl HoldRequest {
    fn asked<'a>(&'a self, id: &'a str) -> Asked<'a> {
        Asked {
            id,
            at: self.at,
            provider: &self.provider,
            model: Some(&self.model),
            who: &self.who,
            conditions: &self.conditions,
            input_tokens: self.input_tokens,
            output_tokens: self.output_tokens,
            is_bounded: true,
            expires_at: Some(self.expires_at),
            instead_of: None,
            text: &[],
        }
    }
}

impl Ledger {
    /// Holds money for a call that somebody else will make, or says which budget is in the way. On
    /// return the hold survives the end of the process.
    pub fn promise(&self, request: &HoldRequest) -> Result<Result<Promised, Refused>, LedgerError> {
        let id = new_id("hold", self.shared().clock.now())?;
        let granted = match self.admit(&request.asked(&id)) {
            Ok(granted) => granted,
            Err(refused) => {
                self.count_refused(&refused);
                return Ok(Err(refused));
            }
        };
        if !self.shared().budgets.engine().is_held(&id) {
            // There is no budget: nothing to hold.
            return Ok(Ok(Promised { id, granted }));
        }
        let body = serde_json::to_string(request)
            .map_err(|error| LedgerError::Invalid(format!("the hold cannot be written: {error}")))?;
        if let Err(error) = self.control(&format!("{DOCUMENTS}{id}"), Some(body)) {
            self.release_hold(&id);
            return Err(error);
        }
        self.promised().insert(id.clone());
        Ok(Ok(Promised { id, granted }))
    }

    /// Gives a promised hold back. False when there is none with this id.
    pub fn give_back(&self, id: &str) -> Result<bool, LedgerError> {
        if !self.promised().remove(id) {
            return Ok(false);
        }
        self.release_hold(id);
        self.control(&format!("{DOCUMENTS}{id}"), None).map(|_| true)
    }

    /// Holds again what was promised before and is not over.
    pub(super) fn load_holds(&self) -> Result<(), LedgerError> {
        let now = self.shared().clock.now();
        for control in self.store().controls(DOCUMENTS)? {
            let (Some(id), Some(body)) = (control.key.strip_prefix(DOCUMENTS), control.body) else {
                continue;
            };
            let request: HoldRequest = serde_json::from_str(&body).map_err(|error| {
                LedgerError::Invalid(format!("the document {} cannot be read: {error}", control.key))
            })?;
            self.promised().insert(id.to_owned());
            if request.expires_at > now {
                self.shared().budgets.engine().restore(&self.ask(&request.asked(id)));
                self.shared().budgets.any.store(true, Ordering::Release);
            }
        }
        Ok(())
    }

    /// Deletes the documents of holds that are no more. What cannot be deleted now is tried again.
    pub(super) fn forget_holds(&self) {
        let gone: Vec<String> = {
            let engine = self.shared().budgets.engine();
            self.promised().iter().filter(|id| !engine.is_held(id)).cloned().collect()
        };
        for id in gone {
            if self.control(&format!("{DOCUMENTS}{id}"), None).is_err() {
                return;
            }
            self.promised().remove(&id);
        }
    }

    fn promised(&self) -> std::sync::MutexGuard<'_, std::collections::BTreeSet<String>> {
        self.shared().budgets.promised.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
