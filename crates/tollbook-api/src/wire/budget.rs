//! The shape of a budget and of where it stands.

use super::{RateView, schema};
use crate::channels::Channels;
use serde::Serialize;
use std::collections::BTreeMap;
use tollbook_budget::{BudgetForm, Limit, RateStanding, Standing, Subject};
use tollbook_ledger::Ledger;
use tollbook_ledger::budgets::{Defined, Source};
use tollbook_store::StoredCall;
use tollbook_types::{Attribution, Dimension, Key, Timestamp};
use utoipa::ToSchema;

/// Accounts that are told of one budget.
const ACCOUNTS_MAX: usize = 1_000;

/// A budget that is asked for.
#[derive(ToSchema)]
#[schema(as = NewBudget)]
#[expect(dead_code, reason = "a shape for the document; the budget's own form reads and writes it")]
pub struct NewBudgetView {
    /// What people call it.
    name: String,
    /// Dimensions and their values, all of which must hold.
    r#match: Option<BTreeMap<String, String>>,
    /// A dimension each value of which has the limit for itself.
    each: Option<String>,
    /// The limit in dollars: one of the three limits has to be there.
    #[schema(value_type = Option<schema::Usd>)]
    limit_usd: Option<String>,
    limit_tokens: Option<u64>,
    limit_calls: Option<u64>,
    #[schema(pattern = "^(hour|day|week|month|total|rolling)$")]
    window: String,
    /// The length of a rolling window.
    minutes: Option<u32>,
    /// The day on which weeks begin.
    first_day: Option<String>,
    /// The day of the month on which months begin.
    reset_day: Option<u8>,
    time_zone: Option<String>,
    #[schema(pattern = "^(warn|throttle|downgrade|block)$")]
    at_limit: Option<String>,
    /// From the model that is asked for to the one that is used.
    downgrade: Option<BTreeMap<String, String>>,
    /// Percentages at which it is told.
    warn_at: Option<Vec<u32>>,
    #[schema(pattern = "^(strict|expected)$")]
    mode: Option<String>,
    /// For strict budgets that block: a call that does not fit gets fewer tokens out.
    fit_max_tokens: Option<bool>,
    /// Channels that are told, by their names.
    notify: Option<Vec<String>>,
    /// More, for a while: made at `/raise`.
    raises: Option<Vec<RaisedView>>,
}

/// A limit that was raised.
#[derive(ToSchema)]
#[schema(as = Raised)]
#[expect(dead_code, reason = "a shape for the document; the budget's own form reads and writes it")]
struct RaisedView {
    /// By how much, in the unit of the limit.
    by: String,
    /// Until when.
    #[schema(value_type = schema::Instant)]
    until: Timestamp,
}

/// A budget.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = Budget)]
pub struct BudgetView {
    /// Its id.
    pub id: String,
    /// As it was written.
    #[serde(flatten)]
    #[schema(value_type = NewBudgetView)]
    pub form: BudgetForm,
    /// `api` or `config`.
    pub source: &'static str,
    /// When it was made.
    #[schema(value_type = schema::Instant)]
    pub created_at: Timestamp,
    /// What it will do.
    pub words: String,
    /// Channels of `notify` that there are none of: they are told once there are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Option<Vec<String>>)]
    pub missing_channels: Vec<String>,
    /// Where it stands; where it has an `each`, the value of it that has used most, which `value` names.
    #[serde(flatten)]
    pub stands: StandingView,
    /// Where each value of `each` stands, most used first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accounts: Option<Vec<StandingView>>,
}

/// Where a budget, or one value of its `each`, stands. Amounts are in dollars as decimal text where
/// the limit is, else whole numbers in `spent`, `held`, `left`.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = Standing)]
pub struct StandingView {
    /// The value of `each`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub value: Option<Option<String>>,
    /// Booked.
    #[serde(flatten)]
    pub amounts: Amounts,
    /// Calls that it refused in its window, since the server started or the budget was changed.
    pub refused_calls: u64,
    /// The limit now, with what it is raised by, as text.
    pub limit: String,
    /// The first instant that counts; `null` for all time.
    #[schema(value_type = Option<schema::Instant>)]
    pub since: Option<Timestamp>,
    /// When a new window begins; `null` where none does.
    #[schema(value_type = Option<schema::Instant>)]
    pub resets_at: Option<Timestamp>,
}

/// What of a limit is used and left.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Amounts {
    /// In dollars.
    Usd {
        /// Booked.
        #[schema(value_type = schema::Usd)]
        spent_usd: String,
        /// Held for calls in flight.
        #[schema(value_type = schema::Usd)]
        held_usd: String,
        /// The most that calls of unknown outcome can have cost.
        #[schema(value_type = schema::Usd)]
        unsettled_usd: String,
        /// What is left. What is unsettled counts against strict budgets alone.
        #[schema(value_type = schema::Usd)]
        left_usd: String,
    },
    /// In tokens or calls.
    Count {
        /// Booked.
        spent: i64,
        /// Held for calls in flight.
        held: i64,
        /// What is left.
        left: i64,
    },
}

impl BudgetView {
    /// A budget, and where its accounts stand, most used first.
    pub fn of(defined: &Defined, standings: &[Standing], channels: &Channels) -> BudgetView {
        let is_missing = |name: &&String| channels.get(name).is_none();
        let has_each = defined.budget.scope.each.is_some();
        let first = standings.first().cloned().unwrap_or_else(|| nothing(defined));
        let accounts = standings.iter().take(ACCOUNTS_MAX);
        BudgetView {
            id: defined.id.clone(),
            form: defined.form.clone(),
            source: source(defined),
            created_at: defined.created_at,
            words: defined.budget.to_string(),
            missing_channels: defined.form.notify.iter().filter(is_missing).cloned().collect(),
            stands: StandingView::of(&first, has_each && !standings.is_empty()),
            accounts: has_each.then(|| accounts.map(|standing| StandingView::of(standing, true)).collect()),
        }
    }
}

/// A limit that applies to a call, or may apply to calls of a key.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = Limit)]
pub struct LimitView {
    /// The budget's id.
    pub budget: String,
    /// Its name.
    pub name: String,
    /// `api` or `config`.
    pub source: &'static str,
    /// The dimension each value of which has the limit for itself.
    pub each: Option<String>,
    /// What a call of the key must have besides for it to apply.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    pub when: BTreeMap<String, String>,
    /// `warn`, `throttle`, `downgrade` or `block`.
    pub at_limit: &'static str,
    /// What it will do.
    pub words: String,
    /// Nothing is left of it.
    pub is_exceeded: bool,
    /// Where it stands.
    #[serde(flatten)]
    pub stands: StandingView,
}

impl LimitView {
    /// A limit, and what else it asks of a call.
    pub fn of(defined: &Defined, standing: &Standing, when: &BTreeMap<Dimension, String>) -> LimitView {
        let each = defined.budget.scope.each.as_ref();
        LimitView {
            budget: defined.id.clone(),
            name: defined.budget.name.clone(),
            source: source(defined),
            each: each.map(Dimension::to_string),
            when: when.iter().map(|(dimension, value)| (dimension.to_string(), value.clone())).collect(),
            at_limit: defined.budget.at_limit.name(),
            words: defined.budget.to_string(),
            is_exceeded: standing.left() == 0,
            stands: StandingView::of(standing, each.is_some()),
        }
    }
}

/// Every limit that applies.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = Limits)]
pub struct LimitsView {
    /// Budgets.
    pub data: Vec<LimitView>,
    /// Rate limits.
    pub rate_limits: Vec<RateView>,
}

impl LimitsView {
    /// Every limit that applies to a call.
    pub fn of_call(ledger: &Ledger, call: &StoredCall) -> LimitsView {
        let (event, state) = (&call.entry.event, call.corrected());
        let subject = Subject {
            provider: &event.provider,
            request_model: event.request_model.as_deref(),
            model: Some(&event.model),
            who: &state.attribution,
        };
        let always = BTreeMap::new;
        let budgets = ledger.limits_of(&subject).into_iter().map(|stands| (stands, always()));
        let rates = ledger.rates_of(&subject).into_iter().map(|stands| (stands, always()));
        LimitsView::all(ledger, budgets, rates)
    }

    /// Every limit that may apply to calls of a key.
    pub fn of_key(ledger: &Ledger, key: &Key) -> LimitsView {
        let who = Attribution { key: Some(key.id.clone()), ..key.binding.clone() };
        LimitsView::all(ledger, ledger.limits_on(&who).into_iter(), ledger.rates_on(&who).into_iter())
    }

    fn all(
        ledger: &Ledger,
        budgets: impl Iterator<Item = (Standing, BTreeMap<Dimension, String>)>,
        rates: impl Iterator<Item = (RateStanding, BTreeMap<Dimension, String>)>,
    ) -> LimitsView {
        // One that was taken away since is no limit any more.
        let data = budgets.filter_map(|(stands, when)| {
            Some(LimitView::of(ledger.budget(&stands.budget)?.as_ref(), &stands, &when))
        });
        let rate_limits = rates.filter_map(|(stands, when)| {
            Some(RateView::of(ledger.rate_limit(&stands.limit)?.as_ref(), stands, &when))
        });
        LimitsView { data: data.collect(), rate_limits: rate_limits.collect() }
    }
}

fn source(defined: &Defined) -> &'static str {
    match defined.source {
        Source::Api => "api",
        Source::Config => "config",
    }
}

/// A count, which fits in every real ledger.
fn count(amount: i128) -> i64 {
    i64::try_from(amount).unwrap_or(if amount < 0 { i64::MIN } else { i64::MAX })
}

/// Where a budget stands whose window has seen nothing.
fn nothing(defined: &Defined) -> Standing {
    Standing {
        budget: defined.id.clone(),
        name: defined.budget.name.clone(),
        instance: None,
        unit: defined.budget.limit,
        sums: Default::default(),
        mode: defined.budget.mode,
        limit: defined.budget.limit.amount(),
        since: None,
        resets_at: None,
    }
}

impl StandingView {
    /// Where an account stands; with the value that it is for, if it is one of several.
    pub fn of(standing: &Standing, with_value: bool) -> StandingView {
        let (sums, text) = (standing.sums, |amount| standing.unit.text(amount));
        let amounts = match standing.unit {
            Limit::Usd(_) => Amounts::Usd {
                spent_usd: text(sums.spent),
                held_usd: text(sums.held),
                unsettled_usd: text(sums.unsettled),
                left_usd: text(standing.left()),
            },
            Limit::Tokens(_) | Limit::Calls(_) => Amounts::Count {
                spent: count(sums.spent),
                held: count(sums.held),
                left: count(standing.left()),
            },
        };
        StandingView {
            value: with_value.then(|| standing.instance.clone()),
            amounts,
            refused_calls: sums.refused,
            limit: text(standing.limit),
            since: standing.since,
            resets_at: standing.resets_at,
        }
    }
}
