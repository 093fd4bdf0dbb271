//! Reads along in the books for the rules, and looks from time to time what they have found.

use super::unusual::Unusual;
use crate::Options;
use crate::feed::Reader;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tollbook_budget::rules::{Finding, RuleForm, RuleKind, Rules};
use tollbook_ledger::alerts::{Alert, seen};
use tollbook_ledger::{Change, Ledger, LedgerError, Skipped};
use tollbook_types::Clock;

/// Rules, and what they have seen since the start.
pub struct Watch {
    clock: Arc<dyn Clock>,
    kinds: Vec<RuleKind>,
    /// Where its rule is in force.
    unusual: Option<Unusual>,
    state: Mutex<State>,
}

struct State {
    rules: Rules,
    /// Whether the rules know what was told before the start.
    has_begun: bool,
    /// What is not recorded yet.
    found: VecDeque<Finding>,
}

impl Watch {
    /// With the rules of the configuration.
    pub fn new(options: &Options, clock: Arc<dyn Clock>) -> Watch {
        let rules = RuleForm::rules(&options.alerts);
        let kinds = rules.iter().map(|rule| rule.kind).collect();
        let unusual = rules.iter().find(|rule| rule.kind == RuleKind::UnusualUsage);
        let unusual = unusual.map(|rule| Unusual::new(rule, options.zone.zone.clone()));
        let rules = Rules::new(rules, options.zone.zone.clone());
        let state = State { rules, has_begun: false, found: VecDeque::new() };
        Watch { clock, kinds, unusual, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, ledger: &Ledger) -> Result<(), LedgerError> {
        if !self.state().has_begun {
            let known = ledger.known_findings(&self.kinds)?;
            let mut state = self.state();
            state.rules.remember(known, self.clock.now());
            state.has_begun = true;
        }
        Ok(())
    }

    /// Asks the books whether an hour is out of line, which may take its time. What is found is recorded
    /// with the next look.
    pub fn look_at_hours(&self, ledger: &Ledger) {
        let Some(unusual) = &self.unusual else { return };
        match unusual.look(ledger.store().as_ref(), self.clock.now()) {
            // Not held while it is asked: the feed must not wait.
            Ok(hours) => hours.iter().for_each(|hour| self.state().rules.unusual(hour)),
            Err(error) => tracing::debug!("what is usual cannot be looked at now: {error}"),
        }
    }

    /// Records what was found since the last look. Returns alerts that began or ended. What cannot be
    /// recorded now is recorded with the next look.
    pub fn look(&self, ledger: &Ledger) -> Result<Vec<Arc<Alert>>, LedgerError> {
        self.begin(ledger)?;
        let books = ledger.books();
        {
            let mut state = self.state();
            state.rules.tick(&books, self.clock.now());
            let found = state.rules.take();
            state.found.extend(found);
        }
        let mut changed = Vec::new();
        loop {
            // Not held while it is recorded: the feed must not wait.
            let Some(finding) = self.state().found.front().cloned() else { return Ok(changed) };
            changed.extend(ledger.alert_on_finding(&finding)?);
            self.state().found.pop_front();
        }
    }
}

impl Reader for Watch {
    fn changed(&self, changes: &[Change]) {
        let now = self.clock.now();
        let mut state = self.state();
        for change in changes {
            match change {
                // It never happened.
                Change::Entry { entry, .. } if entry.event.is_demo() => {}
                // A call is looked at once, as it came.
                Change::Entry { entry, .. } => state.rules.see(&seen(entry), now),
                _ => {}
            }
        }
    }

    fn skipped(&self, _: Skipped) {
        // Rules live by shares and firsts; what was left out is in the log.
    }
}
