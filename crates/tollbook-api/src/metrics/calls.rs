//! Calls in figures: counted from when the server started, from what the ledger tells.
//!
//! Counters hold calls as they were first recorded, so they never go down; what corrections change
//! stands in a gauge of its own. The books are the truth: what a counter missed is in them.

use super::family::Family;
use super::histogram::Histogram;
use super::labels::Label;
use crate::feed::Reader;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tollbook_ledger::{Change, Skipped};
use tollbook_store::fold::{Summed, call_measures};
use tollbook_store::{Measures, StoredCall};
use tollbook_types::{Attribution, CostBasis, Entry, Event, Evidence, Meters, Money, Seq, Status};

/// Values of each label that are told apart, and combinations of them.
const PROVIDERS_MAX: usize = 32;
const MODELS_MAX: usize = 100;
const PROJECTS_MAX: usize = 50;
const SOURCES_MAX: usize = 16;
const ACCOUNTS_MAX: usize = 400;
/// Upper ends of the buckets of a call's duration, in microseconds.
const DURATION_MICROS: [u64; 14] = [
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    20_000_000,
    40_000_000,
    60_000_000,
    120_000_000,
    300_000_000,
    600_000_000,
];
/// The same of the time to a stream's first token.
const FIRST_TOKEN_MICROS: [u64; 11] = [
    50_000, 100_000, 200_000, 400_000, 800_000, 1_600_000, 3_200_000, 6_400_000, 12_800_000, 30_000_000,
    60_000_000,
];

/// Why a call has no cost: the basis and its public name.
const UNPRICED: [(CostBasis, &str); 3] = [
    (CostBasis::Unpriced, "no_price"),
    (CostBasis::UnknownUsage, "unknown_usage"),
    (CostBasis::Inconsistent, "inconsistent"),
];
/// What a usage may be that the provider did not count.
const ESTIMATED: [Evidence; 2] = [Evidence::Estimated, Evidence::Partial];

/// The calls since the server started.
#[derive(Debug, Default)]
pub struct Calls(Mutex<Counted>);

/// A provider, a model and a project, as they are shown.
type Account = (Arc<str>, Arc<str>, Arc<str>);

#[derive(Debug)]
struct Counted {
    providers: Label,
    models: Label,
    projects: Label,
    sources: Label,
    accounts: HashMap<Account, Spent>,
    /// By provider and model.
    times: HashMap<(Arc<str>, Arc<str>), Times>,
    unpriced: [u64; UNPRICED.len()],
    estimated: [u64; ESTIMATED.len()],
    skipped: u64,
}

impl Default for Counted {
    fn default() -> Counted {
        Counted {
            providers: Label::new(PROVIDERS_MAX),
            models: Label::new(MODELS_MAX),
            projects: Label::new(PROJECTS_MAX),
            sources: Label::new(SOURCES_MAX),
            accounts: HashMap::new(),
            times: HashMap::new(),
            unpriced: Default::default(),
            estimated: Default::default(),
            skipped: 0,
        }
    }
}

/// What one account's calls came to.
#[derive(Debug, Default)]
struct Spent {
    calls: BTreeMap<(Arc<str>, Status), u64>,
    meters: Meters,
    /// Input, output, the rest; absent until a call had a cost.
    cost: Option<[Money; 3]>,
    /// What became of earlier figures; it may be below zero.
    corrections: Option<Money>,
}

/// How long a model's calls took.
#[derive(Debug, Default)]
struct Times {
    duration: Histogram<u64, { DURATION_MICROS.len() + 1 }>,
    first_token: Histogram<u64, { FIRST_TOKEN_MICROS.len() + 1 }>,
}

impl Reader for Calls {
    fn changed(&self, changes: &[Change]) {
        let mut counted = self.lock();
        for change in changes {
            match change {
                // What never happened is in no rate.
                Change::Entry { entry, .. } if entry.event.is_demo() => {}
                Change::Adjustment { call, .. } if call.entry.event.is_demo() => {}
                Change::Entry { entry, .. } => counted.entry(entry),
                Change::Adjustment { seq, call, version } => counted.adjustment(*seq, call, *version),
            }
        }
    }

    fn skipped(&self, skipped: Skipped) {
        self.lock().skipped += skipped.changes;
    }
}

impl Counted {
    fn entry(&mut self, entry: &Entry) {
        let Entry { event, rating, .. } = entry;
        let basis = UNPRICED.iter().position(|(basis, _)| *basis == rating.basis);
        basis.into_iter().for_each(|at| self.unpriced[at] += 1);
        let evidence = ESTIMATED.iter().position(|evidence| *evidence == event.evidence);
        evidence.into_iter().for_each(|at| self.estimated[at] += 1);
        let source = self.sources.value(&event.source);
        for (at, (model, measures)) in call_measures(event, entry).into_iter().enumerate() {
            let spent = self.account(event, model, &event.attribution);
            if at == 0 {
                *spent.calls.entry((source.clone(), event.status)).or_default() += 1;
            }
            spent.add(&measures, rating.cost.is_some());
        }
        self.time(event);
    }

    fn time(&mut self, event: &Event) {
        let (Some(latency), first) = (event.latency_ms, event.time_to_first_token_ms) else { return };
        let key = (self.providers.value(&event.provider), self.models.value(&event.model));
        let times = self.times.entry(key).or_default();
        let micros = |millis: u64| millis.saturating_mul(1_000);
        times.duration.observe(&DURATION_MICROS, micros(latency), u64::saturating_add);
        if let Some(first) = first {
            times.first_token.observe(&FIRST_TOKEN_MICROS, micros(first), u64::saturating_add);
        }
    }

    /// The difference that a later state makes, where it stands: it may be on another account.
    fn adjustment(&mut self, seq: Seq, call: &StoredCall, version: u32) {
        let event = &call.entry.event;
        let adjustments = || call.adjustments.iter().map(|(_, _, adjustment)| adjustment);
        let Some(after) = adjustments().find(|adjustment| adjustment.version == version) else {
            tracing::error!(seq, "an adjustment was told without its call's state");
            return;
        };
        let before = adjustments().find(|adjustment| adjustment.version + 1 == version);
        let (was, account) = match before {
            Some(before) => (Summed::from(before), &before.attribution),
            None => (Summed::from(&call.entry), &event.attribution),
        };
        for (model, measures) in call_measures(event, was) {
            let taken = Money::ZERO.checked_sub(measures.cost).unwrap_or_default();
            self.account(event, model, account).correct(taken);
        }
        for (model, measures) in call_measures(event, after) {
            self.account(event, model, &after.attribution).correct(measures.cost);
        }
    }

    /// What an account's calls came to. When there are too many, further ones share those of their
    /// provider.
    fn account(&mut self, event: &Event, model: &str, attribution: &Attribution) -> &mut Spent {
        let project = attribution.project.as_deref().unwrap_or_default();
        let provider = self.providers.value(&event.provider);
        let mut account = (provider, self.models.value(model), self.projects.value(project));
        if self.accounts.len() >= ACCOUNTS_MAX && !self.accounts.contains_key(&account) {
            account = (account.0, self.models.other(), self.projects.other());
        }
        self.accounts.entry(account).or_default()
    }
}

impl Spent {
    fn add(&mut self, measures: &Measures, has_cost: bool) {
        self.meters.add_all(&measures.meters);
        if measures.cost.is_negative() {
            // A credit: a counter cannot take it.
            self.correct(measures.cost);
        } else if has_cost {
            let sides = [measures.input_cost, measures.output_cost, measures.other_cost];
            let cost = self.cost.get_or_insert_default();
            cost.iter_mut().zip(sides).for_each(|(sum, side)| *sum = plus(*sum, side));
        }
    }

    fn correct(&mut self, difference: Money) {
        self.corrections = Some(plus(self.corrections.unwrap_or_default(), difference));
    }
}

/// A sum that stays at the bound of what an amount can be.
pub fn plus(one: Money, other: Money) -> Money {
    Money::from_picos(one.picos().saturating_add(other.picos()))
}

impl Calls {
    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The figures now.
    pub fn families(&self) -> Vec<Family> {
        let counted = self.lock();
        let mut accounts: Vec<(&Account, &Spent)> = counted.accounts.iter().collect();
        accounts.sort_by_key(|(account, _)| *account);
        let mut families = of_accounts(&accounts);
        families.extend(of_times(&counted));
        families.extend(of_all(&counted));
        families
    }
}

fn of_accounts(accounts: &[(&Account, &Spent)]) -> Vec<Family> {
    let mut calls = Family::counter("tollbook_calls_total", "Calls recorded since the start.");
    let mut tokens = Family::counter(
        "tollbook_tokens_total",
        "Tokens of these calls, each in one meter, as first recorded.",
    );
    let mut cost = Family::counter(
        "tollbook_cost_usd_total",
        "Cost of these calls in US dollars, as first recorded. The books are exact, a graph is not.",
    );
    let mut corrections = Family::gauge(
        "tollbook_cost_corrections_usd",
        "What corrections since the start added to costs, or took from them.",
    );
    for ((provider, model, project), spent) in accounts {
        let labels: [(&str, &str); 3] = [("provider", provider), ("model", model), ("project", project)];
        for ((source, status), count) in &spent.calls {
            let more = [labels[0], labels[1], labels[2], ("source", source), ("status", status.name())];
            calls = calls.with(&more, *count);
        }
        for (meter, count) in spent.meters.iter().filter(|(meter, _)| meter.is_token()) {
            tokens = tokens.with(&[labels[0], labels[1], labels[2], ("meter", meter.name())], count);
        }
        for (side, sum) in ["input", "output", "other"].iter().zip(spent.cost.iter().flatten()) {
            cost = cost.with_usd(&[labels[0], labels[1], labels[2], ("cost_type", side)], *sum);
        }
        if let Some(difference) = spent.corrections {
            corrections = corrections.with_usd(&labels, difference);
        }
    }
    vec![calls, tokens, cost, corrections]
}

fn of_times(counted: &Counted) -> [Family; 2] {
    let mut duration = Family::histogram("tollbook_call_duration_seconds", "How long calls took.");
    let mut first_token =
        Family::histogram("tollbook_time_to_first_token_seconds", "When streams brought their first bytes.");
    let mut all: Vec<_> = counted.times.iter().collect();
    all.sort_by_key(|(key, _)| *key);
    for ((provider, model), times) in all {
        let labels: [(&str, &str); 2] = [("provider", provider), ("model", model)];
        let Histogram { counts, sum } = &times.duration;
        duration = duration.observed(&labels, &DURATION_MICROS, counts, *sum);
        let Histogram { counts, sum } = &times.first_token;
        first_token = first_token.observed(&labels, &FIRST_TOKEN_MICROS, counts, *sum);
    }
    [duration, first_token]
}

fn of_all(counted: &Counted) -> [Family; 4] {
    let mut unpriced = Family::counter("tollbook_unpriced_calls_total", "Calls without a cost, by reason.");
    for ((_, reason), count) in UNPRICED.iter().zip(counted.unpriced) {
        unpriced = unpriced.with(&[("reason", reason)], count);
    }
    let name = "tollbook_estimated_calls_total";
    let mut estimated =
        Family::counter(name, "Calls whose usage the provider did not count, or not in full.");
    for (evidence, count) in ESTIMATED.iter().zip(counted.estimated) {
        estimated = estimated.with(&[("evidence", evidence.name())], count);
    }
    let name = "tollbook_metrics_label_overflow_total";
    let mut overflow = Family::counter(name, "How often a label had too many values and showed `other`.");
    let labels = [
        ("provider", &counted.providers),
        ("model", &counted.models),
        ("project", &counted.projects),
        ("source", &counted.sources),
    ];
    for (name, label) in labels {
        overflow = overflow.with(&[("label", name)], label.overflow);
    }
    let name = "tollbook_feed_skipped_changes_total";
    let skipped = Family::counter(name, "Entries and corrections that these figures missed: too fast.");
    [unpriced, estimated, overflow, skipped.with(&[], counted.skipped)]
}
