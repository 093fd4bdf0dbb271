//! Taking a person out of budgets and rate limits: those that name one go on under the pseudonym
//! that their calls have. What `each` counts by is counted anew from the store.

use crate::audit::{Act, By};
use crate::budgets::{BudgetError, Source};
use crate::error::LedgerError;
use crate::ledger::Ledger;
use std::collections::BTreeMap;
use std::sync::PoisonError;
use tollbook_types::{Attribution, Eraser, Erasures, Timestamp};

impl Ledger {
    /// Takes erased persons out of the limits that name them. What stands in the configuration has to
    /// be changed there; it is told in words.
    pub(crate) fn erase_limits(&self, erasures: &Erasures) -> Result<Vec<String>, LedgerError> {
        let _changing = self.shared().budgets.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut notes = Vec::new();
        for known in self.budgets() {
            let mut form = known.form.clone();
            if !erase(&mut form.name, &mut form.matches, erasures, known.created_at) {
                continue;
            }
            if known.source == Source::Config {
                notes.push(configured("budget"));
                continue;
            }
            let act = Act::new("budget.erase");
            let zone = known.budget.zone.clone();
            let written =
                self.write_budget(&By::server(), act, known.id.clone(), form, &zone, known.created_at);
            written.map_err(failed)?;
        }
        for known in self.rate_limits() {
            let mut form = known.form.clone();
            if !erase(&mut form.name, &mut form.matches, erasures, known.created_at) {
                continue;
            }
            if known.source == Source::Config {
                notes.push(configured("rate limit"));
                continue;
            }
            let act = Act::new("rate_limit.erase");
            let written = self.write_rate_limit(&By::server(), act, known.id.clone(), form, known.created_at);
            written.map_err(failed)?;
        }
        Ok(notes)
    }
}

/// Takes a person out of what a limit is called and of what it matches; false where it names none.
fn erase(
    name: &mut String,
    matches: &mut BTreeMap<String, String>,
    erasures: &Erasures,
    created_at: Timestamp,
) -> bool {
    let value = |key: &str| matches.get(key).cloned();
    let mut who = Attribution {
        project: value("project"),
        user: value("user"),
        session: value("session"),
        operation_id: value("operation_id"),
        ..Attribution::default()
    };
    let Some(erasure) = erasures.of(&who, created_at) else { return false };
    let user = who.user.clone().unwrap_or_default();
    let eraser = Eraser::new(erasure, &user);
    eraser.attribution(&mut who);
    *name = eraser.text(name);
    for (key, value) in matches {
        let known = match key.as_str() {
            "user" => who.user.clone(),
            "session" => who.session.clone(),
            "operation_id" => who.operation_id.clone(),
            _ => Some(eraser.text(value)),
        };
        *value = known.unwrap_or_default();
    }
    true
}

fn configured(what: &str) -> String {
    format!("a {what} of the configuration names the person: take the name out there")
}

fn failed(error: BudgetError) -> LedgerError {
    match error {
        BudgetError::Ledger(error) => error,
        error => LedgerError::Invalid(format!("a limit cannot be written without the person: {error}")),
    }
}
