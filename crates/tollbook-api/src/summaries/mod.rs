//! Summaries: people are told what a day, a week or a month came to, against the one before.
//!
//! Each is told once, when its hour has come; after a stop the last one that was missed, and none
//! before it. It goes the way of alerts, and must never know how a message travels.

mod ask;
mod form;
mod schedule;
mod words;

pub use form::{SummaryFault, SummaryForm, SummaryOrder};
pub(crate) use words::message_of;

use crate::Options;
use crate::question::NamedZone;
use schedule::due;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tollbook_ledger::alerts::{Alert, Every};
use tollbook_ledger::{Ledger, LedgerError};
use tollbook_types::{Clock, Timestamp};

/// The summaries that are ordered, and those that are seen to.
pub struct Summaries {
    clock: Arc<dyn Clock>,
    zone: NamedZone,
    orders: Vec<SummaryOrder>,
    /// The start of the last period that nothing is left to be done for.
    done: Mutex<BTreeMap<Every, Timestamp>>,
}

impl Summaries {
    /// With those of the configuration; wrong ones count as not written.
    pub fn new(options: &Options, clock: Arc<dyn Clock>) -> Summaries {
        let orders = options.summaries.iter().filter_map(|form| form.read().ok()).collect();
        Summaries { clock, zone: options.zone.clone(), orders, done: Mutex::default() }
    }

    fn done(&self) -> MutexGuard<'_, BTreeMap<Every, Timestamp>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the summaries whose hour has come. Returns them. What cannot be recorded now is
    /// recorded with the next look.
    pub fn look(&self, ledger: &Ledger) -> Result<Vec<Arc<Alert>>, LedgerError> {
        let now = self.clock.now();
        let mut told = Vec::new();
        for order in &self.orders {
            let due = due(order, now, &self.zone.zone);
            if self.done().get(&order.every) == Some(&due.from) {
                continue;
            }
            if !ledger.is_summed_up(order.every, due.from) {
                let summary = ask::summary(ledger.store().as_ref(), order, &due, &self.zone)?;
                // Books that are not used have nothing to tell.
                if summary.used.calls > 0 || summary.before.calls > 0 {
                    let title = words::title(&summary, &self.zone.zone);
                    told.extend(ledger.sum_up(summary, title, due.until, order.notify.clone())?);
                }
            }
            self.done().insert(order.every, due.from);
        }
        Ok(told)
    }
}
