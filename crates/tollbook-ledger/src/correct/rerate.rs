//! Rating again: recorded calls at other prices than they had.
//!
//! A run covers what was recorded when it began, with one price book, and adjusts each call once. A
//! document says what it is, so that it goes on after a crash, and so that reports can say that it is
//! under way. There is one at a time.

use super::{Difference, each_call, event_in};
use crate::audit::{Act, By};
use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::rating::{Card, Rated, rate_event};
use crate::resolve::{Outcome, adjustment_to};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tollbook_pricing::Book;
use tollbook_store::{CallsOrder, CallsQuery, Dimension, Filter, Store, StoreError, StoredCall};
use tollbook_types::{Adjustment, CostBasis, Money, Rating, Seq, TimeRange, Timestamp, limits};

/// What the latest run is.
const DOCUMENT: &str = "rerate";
/// Models that are told one by one; the sums are of all.
const MODELS_MAX: usize = 200;
/// Calls that are adjusted in one go: the sums of an hour are made anew for each go that touches it.
const STEP: usize = 4 * limits::GROUP_EVENTS_MAX;

/// Which calls are rated again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// From this instant on.
    pub from: Option<Timestamp>,
    /// Up to before this instant.
    pub to: Option<Timestamp>,
    /// Only those that have no price.
    pub unpriced: bool,
    /// Only those with these values, by the names of dimensions.
    #[serde(rename = "match")]
    pub matching: BTreeMap<String, String>,
}

/// What rating again changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Calls that were rated again.
    pub looked_at: u64,
    /// Those that cost something else by it.
    pub calls: u64,
    /// What these cost before, as far as they had a price.
    pub before_usd: Money,
    /// What they cost then.
    pub after_usd: Money,
    /// Those calls by provider and model, the most calls first; at most 200.
    pub models: Vec<ModelChange>,
}

/// What changes for one model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelChange {
    /// The provider.
    pub provider: String,
    /// The model.
    pub model: String,
    /// Calls that change.
    pub calls: u64,
    /// What they cost before, if any had a price.
    pub before_usd: Option<Money>,
    /// What they cost then.
    pub after_usd: Option<Money>,
}

/// What rating again would change.
#[derive(Clone, Debug)]
pub struct Rerate {
    /// In sums.
    pub changes: Changes,
    /// The first calls of them.
    pub differences: Vec<Difference>,
}

/// A run, as its document has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its name, which the adjustments bear.
    pub run: String,
    /// Which calls it is about.
    pub scope: Scope,
    /// The last record that it covers.
    pub position: Seq,
    /// The hash of its price book.
    pub book: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Why it ended before it had looked at everything.
    pub stopped: Option<String>,
    /// What it has changed; there once it has ended.
    pub changes: Option<Changes>,
}

/// A run under way: [`Ledger::rerate_on`] takes it on, until it has ended.
#[derive(Debug)]
pub struct Rerating {
    run: Run,
    book: Arc<Book>,
    query: CallsQuery,
    sums: Sums,
}

impl Rerating {
    /// What it is.
    pub fn run(&self) -> &Run {
        &self.run
    }
}

impl Scope {
    /// The instants of its calls.
    pub fn range(&self) -> TimeRange {
        TimeRange { from: self.from, to: self.to }
    }

    /// The values of its calls.
    ///
    /// # Errors
    /// It names a dimension that there is not.
    pub fn filters(&self) -> Result<Vec<Filter>, LedgerError> {
        let filter = |(name, value): (&String, &String)| -> Result<Filter, LedgerError> {
            Ok(Filter::is(name.parse::<Dimension>().map_err(LedgerError::Invalid)?, value.as_str()))
        };
        self.matching.iter().map(filter).collect()
    }

    /// The question for the calls.
    fn query(&self) -> Result<CallsQuery, LedgerError> {
        Ok(CallsQuery {
            range: self.range(),
            filters: self.filters()?,
            order: CallsOrder::Recorded,
            after: None,
            limit: STEP,
        })
    }
}

impl Rerate {
    /// Rates the calls again with `book` and changes nothing. So many of the calls that differ are listed.
    ///
    /// # Errors
    /// The scope names a dimension that there is not; the store cannot be read.
    pub fn plan(
        store: &dyn Store,
        book: &Book,
        scope: &Scope,
        listed_max: usize,
    ) -> Result<Rerate, LedgerError> {
        let (mut sums, mut differences) = (Sums::default(), Vec::new());
        each_call(store, scope.range(), scope.filters()?, |call| {
            let Some(difference) = sums.look(book, scope, call) else { return };
            sums.add(&difference.call, &difference.call.corrected().rating, &difference.state.rating);
            if differences.len() < listed_max {
                differences.push(difference);
            }
        })?;
        Ok(Rerate { changes: sums.told(), differences })
    }
}

/// Differences by provider and model, the most calls first; at most 200 models.
pub fn by_model(differences: &[Difference]) -> Vec<ModelChange> {
    let mut sums = Sums::default();
    for Difference { call, state, .. } in differences {
        sums.add(call, &call.corrected().rating, &state.rating);
    }
    sums.told().models
}

/// The latest run of these books.
///
/// # Errors
/// The store cannot be read, or the document cannot.
pub fn last_rerate(store: &dyn Store) -> Result<Option<Run>, StoreError> {
    let Some(body) = store.control(DOCUMENT)?.and_then(|control| control.body) else { return Ok(None) };
    let damaged = |_| StoreError::Corrupt(format!("the document {DOCUMENT} cannot be read"));
    serde_json::from_str(&body).map(Some).map_err(damaged)
}

/// The name of the run under way, if there is one: costs in reports are changing.
///
/// # Errors
/// As the store's; the document is damaged.
pub fn run_in_progress(store: &dyn Store) -> Result<Option<String>, StoreError> {
    let open = last_rerate(store)?.filter(|run| run.ended_at.is_none());
    Ok(open.map(|run| run.run))
}

impl Ledger {
    /// Rates calls again and adjusts those that differ.
    ///
    /// # Errors
    /// As [`Ledger::begin_rerate`], or recording failed: then the run goes on with [`Ledger::open_rerate`].
    pub fn rerate(&self, by: &By, book: Arc<Book>, scope: Scope) -> Result<Run, LedgerError> {
        let mut rerating = self.begin_rerate(by, book, scope)?;
        self.rerate_to_its_end(&mut rerating)
    }

    /// Takes a run on until it has ended.
    ///
    /// # Errors
    /// Recording failed.
    pub fn rerate_to_its_end(&self, rerating: &mut Rerating) -> Result<Run, LedgerError> {
        loop {
            if let Some(ended) = self.rerate_on(rerating)? {
                return Ok(ended);
            }
        }
    }

    /// Begins a run: from now on reports say that it is under way.
    ///
    /// # Errors
    /// Another is under way; the scope names a dimension that there is not; recording failed.
    pub fn begin_rerate(&self, by: &By, book: Arc<Book>, scope: Scope) -> Result<Rerating, LedgerError> {
        let query = scope.query()?;
        let _beginning = self.begin_runs();
        self.flush()?;
        if let Some(open) = last_rerate(&**self.store())?.filter(|run| run.ended_at.is_none()) {
            return Err(LedgerError::RunInProgress(open.run));
        }
        let position = self.store().position()?.applied;
        let run = Run {
            run: format!("rerate-{}-{position}", book.hash()),
            scope,
            position,
            book: book.hash().to_owned(),
            started_at: self.shared().clock.now(),
            ended_at: None,
            stopped: None,
            changes: None,
        };
        let act = Act::new("calls.rerate").on("run", run.run.as_str());
        self.write_documents(by, act, vec![(DOCUMENT.to_owned(), Some(written(&run)?))])?;
        Ok(Rerating { run, book, query, sums: Sums::default() })
    }

    /// The run that a crash or an end has left unfinished, to be taken on. Where the prices in force are
    /// no longer those of the run, it ends here, and says so.
    ///
    /// # Errors
    /// The store cannot be read; recording failed.
    pub fn open_rerate(&self) -> Result<Option<Rerating>, LedgerError> {
        let _beginning = self.begin_runs();
        let open = last_rerate(&**self.store())?.filter(|run| run.ended_at.is_none());
        let Some(run) = open else { return Ok(None) };
        let (book, query) = (self.book(), run.scope.query()?);
        let mut rerating = Rerating { run, book, query, sums: Sums::default() };
        if rerating.book.hash() == rerating.run.book {
            return Ok(Some(rerating));
        }
        rerating.run.stopped = Some("prices have changed since it began".to_owned());
        self.end_run(&mut rerating)?;
        Ok(None)
    }

    /// Looks at the next thousand calls of a run, and returns it once it has ended.
    ///
    /// # Errors
    /// The store cannot be read; recording failed. The same may be tried again.
    pub fn rerate_on(&self, rerating: &mut Rerating) -> Result<Option<Run>, LedgerError> {
        let page = self.store().calls(&rerating.query)?;
        let (mut sums, mut offered) = (Sums::default(), Vec::new());
        let Rerating { run, book, query, .. } = rerating;
        for call in page.calls.into_iter().filter(|call| call.seq <= run.position) {
            if let Some((before, after)) = done_by(&run.run, &call) {
                sums.looked_at += 1;
                sums.add(&call, before, after);
            } else {
                offered.extend(sums.look(book, &run.scope, call));
            }
        }
        let at = self.shared().clock.now();
        let adjusting = |difference: &Difference| -> (Adjustment, Vec<Card>) {
            let Difference { call, state, cards } = difference;
            let reason = "rated again".to_owned();
            (adjustment_to(call.seq, state.clone(), reason, Some(run.run.clone()), at), cards.clone())
        };
        // None of them is what becomes of a page without a difference.
        let outcomes = match offered.is_empty() {
            true => Vec::new(),
            false => self.adjust(offered.iter().map(adjusting).collect())?,
        };
        for (difference, outcome) in offered.iter().zip(outcomes) {
            if matches!(outcome, Outcome::Applied { .. }) {
                sums.add(&difference.call, &difference.call.corrected().rating, &difference.state.rating);
            }
        }
        rerating.sums.join(sums);
        match page.next {
            Some(next) => {
                query.after = Some(next);
                Ok(None)
            }
            None => self.end_run(rerating).map(Some),
        }
    }

    fn end_run(&self, rerating: &mut Rerating) -> Result<Run, LedgerError> {
        let run = &mut rerating.run;
        run.ended_at = Some(self.shared().clock.now());
        run.changes = run.stopped.is_none().then(|| std::mem::take(&mut rerating.sums).told());
        self.control(DOCUMENT, Some(written(run)?))?;
        Ok(run.clone())
    }
}

/// Sums on the way.
#[derive(Debug, Default)]
struct Sums {
    looked_at: u64,
    models: HashMap<(String, String), ModelChange>,
}

impl Sums {
    /// Rates a call again; what changes is returned.
    fn look(&mut self, book: &Book, scope: &Scope, call: StoredCall) -> Option<Difference> {
        let mut state = call.corrected();
        if scope.unpriced && state.rating.basis != CostBasis::Unpriced {
            return None;
        }
        self.looked_at += 1;
        let Rated { rating, cards } = rate_event(book, &event_in(&call, &state));
        if money_of(&rating) == money_of(&state.rating) {
            return None;
        }
        state.rating = rating;
        Some(Difference { call, state, cards })
    }

    fn add(&mut self, call: &StoredCall, before: &Rating, after: &Rating) {
        let event = &call.entry.event;
        let model = self.models.entry((event.provider.clone(), event.model.clone())).or_default();
        model.calls += 1;
        more(&mut model.before_usd, before.cost);
        more(&mut model.after_usd, after.cost);
    }

    fn join(&mut self, other: Sums) {
        self.looked_at += other.looked_at;
        for (name, change) in other.models {
            let model = self.models.entry(name).or_default();
            model.calls += change.calls;
            more(&mut model.before_usd, change.before_usd);
            more(&mut model.after_usd, change.after_usd);
        }
    }

    fn told(self) -> Changes {
        let sum = |of: &dyn Fn(&ModelChange) -> Option<Money>| {
            Money::checked_sum(self.models.values().filter_map(of)).unwrap_or_default()
        };
        let (before_usd, after_usd) = (sum(&|model| model.before_usd), sum(&|model| model.after_usd));
        let calls = self.models.values().map(|model| model.calls).sum();
        let named = |((provider, model), change)| ModelChange { provider, model, ..change };
        let mut models: Vec<ModelChange> = self.models.into_iter().map(named).collect();
        models.sort_by(|a, b| {
            let order =
                |change: &ModelChange| (Reverse(change.calls), change.provider.clone(), change.model.clone());
            order(a).cmp(&order(b))
        });
        models.truncate(MODELS_MAX);
        Changes { looked_at: self.looked_at, calls, before_usd, after_usd, models }
    }
}

/// What a call cost before and after a run that has come to it already.
fn done_by<'a>(run: &str, call: &'a StoredCall) -> Option<(&'a Rating, &'a Rating)> {
    let place = call.adjustments.iter().position(|(_, _, done)| done.run.as_deref() == Some(run))?;
    let before = match place.checked_sub(1) {
        Some(before) => &call.adjustments.get(before)?.2.rating,
        None => &call.entry.rating,
    };
    Some((before, &call.adjustments.get(place)?.2.rating))
}

fn money_of(rating: &Rating) -> [Option<Money>; 5] {
    [rating.cost, rating.input_cost, rating.output_cost, rating.other_cost, rating.book_cost]
}

fn more(sum: &mut Option<Money>, more: Option<Money>) {
    if let Some(more) = more {
        // Beyond what can be said it stays what it was: no sum of real calls comes near.
        *sum = sum.unwrap_or_default().checked_add(more).or(*sum);
    }
}

fn written(run: &Run) -> Result<String, LedgerError> {
    serde_json::to_string(run).map_err(|error| LedgerError::Invalid(error.to_string()))
}
