//! Budgets over the books: defined by documents and configuration, counted from the store once, then
//! kept up by the writer, entry by entry in journal order. A decision reads nothing but memory.
//!
//! A hold goes when its call's entry is in the store: until then its money is held, from then on it
//! is spent, and there is no moment in between. This must never know where a call comes from.

mod count;
mod erase;
mod fit;
mod follow;
mod holds;
mod rates;

pub use holds::{HoldRequest, Promised};
pub use rates::RateDefined;

use crate::audit::{Act, By};
use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::shared::Shared;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use tollbook_budget::{
    Admitted, Ask, Bound, Budget, BudgetForm, Crossing, Engine, Fault, Limits, Refused, Remembered, Standing,
    Subject,
};
use tollbook_pricing::{Query, Tokens, ceiling};
use tollbook_store::Zone;
use tollbook_types::{Attribution, Conditions, Digest, Dimension, Event, Money, Timestamp};

/// Where the documents are.
const DOCUMENTS: &str = "budget/";
/// Output tokens that a call of which nothing is known is taken to use at most.
const USUAL_OUTPUT_TOKENS: u64 = 16_384;
/// How ids of budgets of the configuration begin.
const CONFIGURED: &str = "config:";

/// Where a budget is defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// By the API or the command line: it stands in the journal.
    Api,
    /// In the configuration: it lasts as long as the process.
    Config,
}

/// A budget as it is defined.
#[derive(Clone, Debug, PartialEq)]
pub struct Defined {
    /// Its id.
    pub id: String,
    /// What was written.
    pub form: BudgetForm,
    /// What it means.
    pub budget: Budget,
    /// Where.
    pub source: Source,
    /// The version of its document; 0 in the configuration.
    pub version: u32,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A budget's document.
#[derive(Serialize, Deserialize)]
struct Document {
    id: String,
    created_at: Timestamp,
    form: BudgetForm,
}

/// Why a budget is not taken.
#[derive(Debug, thiserror::Error)]
pub enum BudgetError {
    /// Members are wrong.
    #[error("the budget is not as it should be")]
    Faults(Vec<Fault>),
    /// It was changed by somebody else meanwhile.
    #[error("the budget was changed by somebody else at the same time; read it and try again")]
    Stale,
    /// It stands in the configuration.
    #[error("the budget stands in the configuration: change it there")]
    Configured,
    /// Recording failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// The hold that an event settles, if there is one.
fn hold_of(event: &Event) -> &str {
    event.hold_id.as_deref().unwrap_or(&event.id)
}

/// A call that asks to be let go, in the words of who asks.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The hold's id.
    pub id: &'a str,
    /// Its admission.
    pub at: Timestamp,
    /// The provider.
    pub provider: &'a str,
    /// The model.
    pub model: Option<&'a str>,
    /// The model that was asked for, where a budget had it changed to the other.
    pub instead_of: Option<&'a str>,
    /// On whose account.
    pub who: &'a Attribution,
    /// What else the price depends on.
    pub conditions: &'a Conditions,
    /// A bound on its input tokens; `None`: the model's context window is one.
    pub input_tokens: Option<u64>,
    /// A bound on its output tokens; `None`: the model's context window is one.
    pub output_tokens: Option<u64>,
    /// False where tokens do not bound the bill: deferred jobs, tools that the provider runs, images.
    pub is_bounded: bool,
    /// When the hold goes by itself.
    pub expires_at: Option<Timestamp>,
    /// Its body, to know it again by; empty where nobody sees it.
    pub text: &'a [u8],
}

/// What a call is let go with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Let {
    /// What is held, and what is left.
    pub admitted: Admitted,
    /// The most that it can cost, where that is bounded.
    pub worst_case: Option<Money>,
}

/// All budgets, and what keeps them up.
#[derive(Default)]
pub(crate) struct Budgets {
    engine: parking_lot::Mutex<Engine>,
    defined: RwLock<BTreeMap<String, Arc<Defined>>>,
    rates: RwLock<BTreeMap<String, Arc<RateDefined>>>,
    /// Whether a rate limit looks at what requests are the same.
    compares: AtomicBool,
    /// Whether a rate limit looks at how many calls there are at once.
    counts_at_once: AtomicBool,
    /// Whether there was a budget that holds the most dollars that a call can cost.
    was_strict: AtomicBool,
    /// Held while a batch goes into the store and the budgets, and while a budget counts what is in
    /// the store: so that each record is in the one or the other.
    applying: Mutex<()>,
    /// Held from reading a budget to writing its next version.
    changing: Mutex<()>,
    /// Holds that stand in documents.
    promised: Mutex<BTreeSet<String>>,
    /// Whether there is a budget at all; without one nothing is done.
    any: AtomicBool,
    /// Set when a batch could not be followed: then everything is counted anew.
    is_stale: AtomicBool,
}

impl Budgets {
    pub fn applying(&self) -> MutexGuard<'_, ()> {
        self.applying.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn engine(&self) -> parking_lot::MutexGuard<'_, Engine> {
        self.engine.lock()
    }

    /// The budgets do not know what was in a batch.
    pub fn lose_track(&self) {
        self.is_stale.store(true, Ordering::Release);
    }

    fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }
}

impl Shared {
    /// Counts a budget and puts it in force, instead of the one with its id. What of its thresholds
    /// was `told` is not told again.
    fn enforce(&self, defined: Defined, told: &[Remembered]) -> Result<(), LedgerError> {
        let now = self.clock.now();
        let _applying = self.budgets.applying();
        let start = count::start(self.store.as_ref(), &defined.budget, now)?;
        // Before the first one nothing was followed; from here on everything is.
        self.budgets.any.store(true, Ordering::Release);
        {
            let mut engine = self.budgets.engine();
            engine.set(defined.budget.clone(), &start, now);
            engine.remember(&defined.id, told, now);
            self.budgets.was_strict.fetch_or(defined.budget.is_strict_on_money(), Ordering::Release);
        }
        let mut all = self.budgets.defined.write().unwrap_or_else(PoisonError::into_inner);
        all.insert(defined.id.clone(), Arc::new(defined));
        Ok(())
    }
}

impl Ledger {
    /// Puts a budget in force, with what is known of its alerts.
    fn enforce(&self, defined: Defined) -> Result<(), LedgerError> {
        let told = self.remembered(&defined.budget);
        self.shared().enforce(defined, &told)
    }

    /// Puts the recorded budgets in force. Calendars are read in `zone` where a budget names none.
    ///
    /// Holds that were promised before come back first.
    pub fn load_budgets(&self, zone: &(String, Zone)) -> Result<(), BudgetError> {
        self.load_holds()?;
        self.load_rates()?;
        for control in self.store().controls(DOCUMENTS).map_err(LedgerError::from)? {
            let Some(body) = control.body else { continue };
            let unreadable = |error: String| {
                // A budget that is left out would be one that does not hold.
                LedgerError::Invalid(format!("the document {} cannot be read: {error}", control.key))
            };
            let Document { id, created_at, form } =
                serde_json::from_str(&body).map_err(|error| unreadable(error.to_string()))?;
            let budget = form.read(&id, zone).map_err(BudgetError::Faults)?;
            let (source, version) = (Source::Api, control.version);
            self.enforce(Defined { id, form, budget, source, version, created_at })?;
        }
        // What an earlier process, or a restore, left undone.
        let known = self.shared().erasures();
        if !known.is_empty() {
            self.erase_alerts(&known)?;
            self.erase_limits(&known)?;
        }
        Ok(())
    }

    /// Puts a budget of the configuration in force.
    pub fn configure_budget(&self, form: BudgetForm, zone: &(String, Zone)) -> Result<(), BudgetError> {
        let id = format!("{CONFIGURED}{}", form.name);
        let budget = form.read(&id, zone).map_err(BudgetError::Faults)?;
        let created_at = self.shared().clock.now();
        Ok(self.enforce(Defined { id, form, budget, source: Source::Config, version: 0, created_at })?)
    }

    /// Makes a budget; on return it holds, and counts what its window has seen so far.
    pub fn create_budget(
        &self,
        by: &By,
        form: BudgetForm,
        zone: &(String, Zone),
    ) -> Result<Arc<Defined>, BudgetError> {
        let now = self.shared().clock.now();
        let id = crate::keys::new_id("bud_", now)?;
        let _changing = self.shared().budgets.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.write_budget(by, Act::new("budget.create"), id, form, zone, now)
    }

    /// Changes a budget, if it still has this version; `act` is what the audit log calls it. `None`
    /// when there is none with this id.
    pub fn change_budget(
        &self,
        by: &By,
        act: Act,
        id: &str,
        version: Option<u32>,
        zone: &(String, Zone),
        change: impl FnOnce(&mut BudgetForm),
    ) -> Result<Option<Arc<Defined>>, BudgetError> {
        let _changing = self.shared().budgets.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = self.changeable(id, version)? else { return Ok(None) };
        let mut form = known.form.clone();
        change(&mut form);
        self.write_budget(by, act, id.to_owned(), form, zone, known.created_at).map(Some)
    }

    /// Takes a budget away, if it still has this version. False when there is none with this id.
    pub fn remove_budget(&self, by: &By, id: &str, version: Option<u32>) -> Result<bool, BudgetError> {
        let _changing = self.shared().budgets.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.changeable(id, version)?.is_none() {
            return Ok(false);
        }
        let act = Act::new("budget.remove").on("budget", id);
        self.write_documents(by, act, vec![(format!("{DOCUMENTS}{id}"), None)])?;
        self.shared().budgets.engine().remove(id);
        self.shared().budgets.defined.write().unwrap_or_else(PoisonError::into_inner).remove(id);
        Ok(true)
    }

    fn changeable(&self, id: &str, version: Option<u32>) -> Result<Option<Arc<Defined>>, BudgetError> {
        match self.budget(id) {
            Some(known) if known.source == Source::Config => Err(BudgetError::Configured),
            Some(known) if version.is_some_and(|version| version != known.version) => Err(BudgetError::Stale),
            known => Ok(known),
        }
    }

    fn write_budget(
        &self,
        by: &By,
        act: Act,
        id: String,
        form: BudgetForm,
        zone: &(String, Zone),
        created_at: Timestamp,
    ) -> Result<Arc<Defined>, BudgetError> {
        let budget = form.read(&id, zone).map_err(BudgetError::Faults)?;
        let document = Document { id, created_at, form };
        let body = serde_json::to_string(&document)
            .map_err(|error| LedgerError::Invalid(format!("the budget cannot be written: {error}")))?;
        let name = format!("{DOCUMENTS}{}", document.id);
        self.write_documents(by, act.on("budget", document.id.as_str()), vec![(name.clone(), Some(body))])?;
        let version =
            self.store().control(&name).map_err(LedgerError::from)?.map_or(0, |found| found.version);
        let Document { id, created_at, form } = document;
        self.enforce(Defined { id: id.clone(), form, budget, source: Source::Api, version, created_at })?;
        self.budget(&id).ok_or(BudgetError::Stale)
    }

    /// Every budget in force, by its id.
    pub fn budgets(&self) -> Vec<Arc<Defined>> {
        let all = self.shared().budgets.defined.read().unwrap_or_else(PoisonError::into_inner);
        all.values().cloned().collect()
    }

    /// The budget with this id.
    pub fn budget(&self, id: &str) -> Option<Arc<Defined>> {
        self.shared().budgets.defined.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// Where a budget stands: every value of its `each`, most used first.
    pub fn standings(&self, id: &str) -> Vec<Standing> {
        let now = self.shared().clock.now();
        let mut engine = self.shared().budgets.engine();
        engine.tick(now);
        engine.standings(id, now)
    }

    /// Where budgets stand, at most so many: where one has an `each`, the account that has used most.
    pub fn tightest(&self, most: usize) -> Vec<Standing> {
        let now = self.shared().clock.now();
        let mut engine = self.shared().budgets.engine();
        engine.tick(now);
        engine.tightest(most, now)
    }

    /// Every limit that applies to a call.
    pub fn limits_of(&self, subject: &Subject<'_>) -> Vec<Standing> {
        let now = self.shared().clock.now();
        let mut engine = self.shared().budgets.engine();
        engine.tick(now);
        engine.applying(subject, now)
    }

    /// Every limit that may apply to calls on an account, with what else it asks of them.
    pub fn limits_on(&self, who: &Attribution) -> Vec<(Standing, BTreeMap<Dimension, String>)> {
        let now = self.shared().clock.now();
        let mut engine = self.shared().budgets.engine();
        engine.tick(now);
        engine.concerning(who, now)
    }

    /// Whether there is a budget at all.
    pub fn has_budgets(&self) -> bool {
        self.shared().budgets.any()
    }

    /// Lets a call go against all budgets that match it, or says which one is in the way. Reads
    /// nothing but memory.
    pub fn admit(&self, asked: &Asked<'_>) -> Result<Let, Refused> {
        if !self.shared().budgets.any() {
            let admitted = Admitted { held: None, left: None, budgets: 0, is_strict: false };
            return Ok(Let { admitted, worst_case: None });
        }
        let ask = self.ask(asked);
        let admitted = self.shared().budgets.engine().admit(&ask)?;
        Ok(Let { admitted, worst_case: ask.worst.cost.ok() })
    }

    /// Whether a request may go of which nothing will be recorded. Nothing is held for it.
    pub fn pass(&self, asked: &Asked<'_>) -> Result<(), Refused> {
        match self.shared().budgets.any() {
            true => self.shared().budgets.engine().pass(&self.ask(asked)),
            false => Ok(()),
        }
    }

    /// A call was refused, and is not asked for again with another model or fewer tokens.
    pub fn count_refused(&self, refused: &Refused) {
        self.shared().budgets.engine().count_refused(refused, self.shared().clock.now());
    }

    /// A call that was let go is no longer under way; its record follows.
    pub fn call_ended(&self, id: &str) {
        // Where nobody looks at it, it is under way until it is booked.
        if self.shared().budgets.counts_at_once.load(Ordering::Acquire) {
            self.shared().budgets.engine().ended(id);
        }
    }

    /// What the budgets are asked.
    fn ask<'a>(&self, asked: &Asked<'a>) -> Ask<'a> {
        let (worst, usual) = self.bounds(asked);
        let compares = self.shared().budgets.compares.load(Ordering::Acquire) && !asked.text.is_empty();
        Ask {
            id: asked.id,
            at: asked.at,
            provider: asked.provider,
            request_model: asked.instead_of.or(asked.model),
            model: asked.instead_of.and(asked.model),
            who: asked.who,
            worst,
            usual,
            expires_at: asked.expires_at,
            fingerprint: compares.then(|| Digest::of(asked.text)),
        }
    }

    /// What a strict budget holds for the call of an event, where it cost more.
    pub(crate) fn exceeded_hold(&self, event: &Event, cost: Option<Money>) -> Option<Money> {
        let was_strict = self.shared().budgets.was_strict.load(Ordering::Acquire);
        let cost = cost.filter(|_| was_strict && !event.is_demo())?;
        let held = self.shared().budgets.engine().strict_hold(hold_of(event))?;
        (cost > held).then_some(held)
    }

    /// Gives back what is held for a call that will never have an entry.
    pub fn release_hold(&self, id: &str) -> bool {
        self.shared().budgets.any() && self.shared().budgets.engine().release(id, self.shared().clock.now())
    }

    /// Lets time pass for the budgets, and returns the thresholds that were passed since it was asked
    /// last.
    pub fn look_at_budgets(&self) -> Vec<Crossing> {
        if !self.shared().budgets.any() {
            return Vec::new();
        }
        if self.shared().budgets.is_stale.swap(false, Ordering::AcqRel) {
            self.recount();
        }
        let crossings = {
            let mut engine = self.shared().budgets.engine();
            engine.tick(self.shared().clock.now());
            engine.take_crossings()
        };
        self.forget_holds();
        crossings
    }

    /// Counts every budget anew, from the store.
    fn recount(&self) {
        for defined in self.budgets() {
            if let Err(error) = self.enforce((*defined).clone()) {
                tracing::warn!(
                    budget = defined.id,
                    "a budget could not be counted; it is tried again: {error}"
                );
                self.shared().budgets.lose_track();
            }
        }
    }

    /// Calls that money is held for.
    pub fn holds(&self) -> usize {
        self.shared().budgets.engine().holds()
    }

    /// The most that a call can use, and the most with an answer of a usual length.
    fn bounds(&self, asked: &Asked<'_>) -> (Bound, Bound) {
        let none = |why| Bound { cost: Err(why), tokens: None };
        if !asked.is_bounded {
            return (none(Limits::Unbounded), none(Limits::Unbounded));
        }
        let book = self.book();
        let query = Query {
            provider: asked.provider,
            model: asked.model.unwrap_or_default(),
            request_model: None,
            at: asked.at,
            conditions: asked.conditions,
        };
        let window = book.context_window(asked.provider, asked.model.unwrap_or_default());
        let input = asked.input_tokens.into_iter().chain(window).min();
        let output = asked.output_tokens.or(window);
        let bound = |input: Option<u64>, output: Option<u64>| {
            let (Some(input), Some(output)) = (input, output) else {
                // Without a price there is nothing to be bounded: that comes first.
                let is_unpriced = book.find(&query).is_err();
                return none(if is_unpriced { Limits::Unpriced } else { Limits::Unbounded });
            };
            let cost = match ceiling(&book, &query, Tokens { input, output }) {
                Ok(Some(cost)) => Ok(cost),
                Ok(None) => Err(Limits::Unbounded),
                Err(_) => Err(Limits::Unpriced),
            };
            Bound { cost, tokens: Some(input.saturating_add(output)) }
        };
        let usual_output = output.map_or(USUAL_OUTPUT_TOKENS, |output| output.min(USUAL_OUTPUT_TOKENS));
        let worst = bound(input, output);
        (worst, if output == Some(usual_output) { worst } else { bound(input, Some(usual_output)) })
    }
}
