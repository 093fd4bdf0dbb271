//! From spans and log records to the books: which are calls, which of them repeat others, on whose
//! account they go, and what became of each.

use super::items::{Batch, Points};
use crate::events::put_on_account;
use crate::problem::Problem;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use tollbook_ledger::{Ledger, LedgerError, Outcome, Settlement};
use tollbook_store::{IdentityRef, ResponseRef, StoreError};
use tollbook_types::limits::BATCH_EVENTS_MAX;
use tollbook_types::{Event, FreeReason, Identity, Key, PROVIDERS, ResponseKey, Role, Timestamp};
use tollbook_usage::import::{self, Context};
use tollbook_usage::otel::{self, Lineage, Link, Log, Span, SpanId, TakenBack, Told};

/// Different things that are wrong, told at once.
const MESSAGES_MAX: usize = 5;

/// What becomes of a span, log record or data point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// It is a new entry.
    New,
    /// Its call is in the books already, from another source.
    Joined,
    /// It came before, or another layer told of its call.
    Duplicate,
    /// Its figures are those of the calls below it.
    Repeats,
    /// A call that tells no usage.
    NoUsage,
    /// No call to a model.
    Other,
    /// A metric.
    NotBilled,
    /// It cannot be read, or may not be recorded.
    Rejected,
}

impl Fate {
    /// The public name.
    pub const fn name(self) -> &'static str {
        match self {
            Fate::New => "new",
            Fate::Joined => "joined",
            Fate::Duplicate => "duplicate",
            Fate::Repeats => "repeats",
            Fate::NoUsage => "no_usage",
            Fate::Other => "other",
            Fate::NotBilled => "not_billed",
            Fate::Rejected => "rejected",
        }
    }
}

/// What became of a request's items.
#[derive(Debug, Default)]
pub struct Sum {
    /// How many met which fate.
    pub fates: BTreeMap<Fate, u64>,
    /// What was wrong with those that were rejected.
    messages: BTreeSet<String>,
}

impl Sum {
    /// Metrics are counted, not billed.
    pub fn of_points(points: Points) -> Sum {
        Sum { fates: BTreeMap::from([(Fate::NotBilled, points.0)]), messages: BTreeSet::new() }
    }

    /// How many were rejected.
    pub fn rejected(&self) -> u64 {
        self.fates.get(&Fate::Rejected).copied().unwrap_or(0)
    }

    /// What was wrong with them.
    pub fn message(&self) -> String {
        let told: Vec<&str> = self.messages.iter().take(MESSAGES_MAX).map(String::as_str).collect();
        let more = if self.messages.len() > MESSAGES_MAX { "; and more" } else { "" };
        format!("{}{more}", told.join("; "))
    }

    fn add(&mut self, fate: Fate, count: u64) {
        *self.fates.entry(fate).or_default() += count;
    }

    fn reject(&mut self, message: impl Into<String>) {
        self.add(Fate::Rejected, 1);
        self.messages.insert(message.into());
    }
}

/// What recording needs.
pub struct Recorder<'a> {
    pub ledger: &'a Ledger,
    pub lineage: &'a Mutex<Lineage>,
    pub key: &'a Key,
    pub now: Timestamp,
}

impl Recorder<'_> {
    /// Records the calls among log records.
    pub fn logs(&self, batch: Batch<Log>) -> Result<Sum, Problem> {
        let mut sum = Sum::default();
        batch.faults.iter().for_each(|fault| sum.reject(fault.detail()));
        let (ctx, mut events) = (self.context(), Vec::new());
        for (origin, logs) in &batch.groups {
            for log in logs {
                events.extend(sort(otel::read_log(log, origin, &ctx), &mut sum));
            }
        }
        let events = self.on_account(events, &mut sum);
        self.submit(events, &mut sum)?;
        Ok(sum)
    }

    /// Records the calls among spans, but for those that repeat calls below them.
    pub fn spans(&self, batch: Batch<Span>) -> Result<Sum, Problem> {
        let mut sum = Sum::default();
        batch.faults.iter().for_each(|fault| sum.reject(fault.detail()));
        let (ctx, mut calls, mut links) = (self.context(), Vec::new(), Vec::new());
        for (origin, spans) in &batch.groups {
            for span in spans {
                let event = sort(otel::read_span(span, origin, &ctx), &mut sum);
                let call = event.as_ref().map(|event| event.id.clone());
                links.push(Link { id: span.id, parent: span.parent, call });
                calls.push(event);
            }
        }
        let tenant = self.key.binding.project.as_deref().unwrap_or_default();
        let verdict = self.lineage().judge(tenant, &links);
        let (mut events, mut counted) = (Vec::new(), Vec::new());
        for ((event, link), repeats) in calls.into_iter().zip(&links).zip(&verdict.repeats) {
            match event {
                Some(_) if *repeats => sum.add(Fate::Repeats, 1),
                Some(event) => {
                    counted.push((link.id, event.id.clone()));
                    events.push(event);
                }
                None => {}
            }
        }
        let events = self.on_account(events, &mut sum);
        let own = self.submit(events, &mut sum)?;
        self.remember(tenant, counted, &own);
        for back in &verdict.taken_back {
            self.take_back(back)?;
        }
        Ok(sum)
    }

    fn context(&self) -> Context<'static> {
        let window = (!self.key.may(Role::Admin)).then_some(crate::events::WINDOW);
        Context { window, ..Context::new(otel::SOURCE, self.now) }
    }

    fn lineage(&self) -> std::sync::MutexGuard<'_, Lineage> {
        self.lineage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Only what is an entry of its own can be taken back later.
    fn remember(&self, tenant: &str, counted: Vec<(SpanId, String)>, own: &BTreeMap<String, Identity>) {
        let mut lineage = self.lineage();
        for (span, id) in counted {
            if let Some(identity) = own.get(&id) {
                lineage.counted(tenant, span, identity.clone());
            }
        }
    }

    /// The events as they go on the key's account; those that may not are rejected.
    fn on_account(&self, events: Vec<Event>, sum: &mut Sum) -> Vec<Event> {
        let mut kept = Vec::with_capacity(events.len());
        for mut event in events {
            if put_on_account(&mut event, self.key) {
                kept.push(event);
            } else {
                sum.reject("the key is bound to another project");
            }
        }
        let before = kept.len();
        let merged = otel::merge(kept);
        sum.add(Fate::Duplicate, (before - merged.len()) as u64);
        merged
    }

    /// Records events, and gives those that are entries from here, by their ids.
    fn submit(&self, mut events: Vec<Event>, sum: &mut Sum) -> Result<BTreeMap<String, Identity>, Problem> {
        let mut own = BTreeMap::new();
        while !events.is_empty() {
            let rest = events.split_off(events.len().min(BATCH_EVENTS_MAX));
            self.name_providers(&mut events)?;
            let identities: Vec<Identity> = events.iter().map(Event::identity).collect();
            let outcomes = self.ledger.submit(std::mem::replace(&mut events, rest))?;
            for (identity, outcome) in identities.into_iter().zip(outcomes) {
                match outcome {
                    Outcome::Accepted { .. } => {
                        sum.add(Fate::New, 1);
                        own.insert(identity.id.clone(), identity);
                    }
                    // The other content is another layer's, or the same of a retry: the first is kept.
                    Outcome::Duplicate { .. } | Outcome::Conflict { .. } => sum.add(Fate::Duplicate, 1),
                    Outcome::Joined { .. } => sum.add(Fate::Joined, 1),
                    Outcome::BeforeCutoff => sum.reject("calls of that day are no longer kept"),
                    _ => {
                        tracing::error!("nothing is known of what became of a call");
                        return Err(Problem::internal());
                    }
                }
            }
        }
        Ok(own)
    }

    /// A program that calls a provider by another's SDK names that other one. The gateway knows who
    /// answered: where it has an entry with the id of an answer, its provider counts.
    fn name_providers(&self, events: &mut [Event]) -> Result<(), StoreError> {
        let keys: Vec<ResponseKey> = events
            .iter()
            .filter_map(Event::response_key)
            .flat_map(|key| {
                PROVIDERS.iter().map(move |name| ResponseKey { provider: (*name).to_owned(), ..key.clone() })
            })
            .collect();
        if keys.is_empty() {
            return Ok(());
        }
        let refs: Vec<ResponseRef<'_>> = keys.iter().map(ResponseRef::from).collect();
        let found = self.ledger.store().find_responses(&refs)?;
        let mut answers = found.chunks(PROVIDERS.len());
        for event in events.iter_mut().filter(|event| event.provider_response_id.is_some()) {
            let Some(answers) = answers.next() else { break };
            let known: Vec<&str> = PROVIDERS
                .iter()
                .zip(answers)
                .filter(|(_, found)| found.as_ref().is_some_and(|(_, source)| source != otel::SOURCE))
                .map(|(name, _)| *name)
                .collect();
            if let [only] = known.as_slice()
                && *only != event.provider
            {
                (*only).clone_into(&mut event.provider);
            }
        }
        Ok(())
    }

    /// Takes an entry back that repeats calls which came later.
    fn take_back(&self, back: &TakenBack) -> Result<(), Problem> {
        let known = self.ledger.store().find(&[IdentityRef::from(&back.identity)])?;
        if let Some(known) = known.into_iter().flatten().next() {
            let call = self.ledger.store().call(known.entry)?;
            let state = call.map(|call| (call.entry.event.source.clone(), call.corrected().free));
            // An entry of another source, or one that is settled already, stays as it is.
            if state.is_some_and(|(source, free)| source == otel::SOURCE && free != Some(FreeReason::Settled))
            {
                let reason = "its figures are those of calls below it, which came later";
                self.ledger.settle(known.entry, &Settlement::None, reason).map_err(unsettled)?;
            }
        }
        self.lineage().took_back(back);
        Ok(())
    }
}

/// The entry changed at the same time: the same request sent again finds it as it is then.
fn unsettled(error: LedgerError) -> Problem {
    match error {
        LedgerError::Invalid(reason) => {
            tracing::warn!("an entry could not be taken back: {reason}");
            Problem::internal()
        }
        other => Problem::from(other),
    }
}

/// Keeps the event; counts what is none.
fn sort(told: Result<Told, Vec<import::Problem>>, sum: &mut Sum) -> Option<Event> {
    match told {
        Ok(Told::Call(event)) => return Some(*event),
        Ok(Told::NoUsage) => sum.add(Fate::NoUsage, 1),
        Ok(Told::Other) => sum.add(Fate::Other, 1),
        Err(problems) => {
            let details: Vec<String> = problems.into_iter().map(|problem| problem.detail).collect();
            sum.reject(details.join(", "));
        }
    }
    None
}
