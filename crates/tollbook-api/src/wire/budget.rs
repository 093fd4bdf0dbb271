//! The shape of a budget and of where it stands.

use serde::Serialize;
use tollbook_budget::{BudgetForm, Limit, Standing};
use tollbook_ledger::budgets::{Defined, Source};
use tollbook_types::Timestamp;

/// Accounts that are told of one budget.
const ACCOUNTS_MAX: usize = 1_000;

/// A budget.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BudgetView {
    /// Its id.
    pub id: String,
    /// As it was written.
    #[serde(flatten)]
    pub form: BudgetForm,
    /// `api` or `config`.
    pub source: &'static str,
    /// When it was made.
    pub created_at: Timestamp,
    /// What it will do.
    pub words: String,
    /// Where it stands: all its accounts together, or the only one.
    #[serde(flatten)]
    pub stands: StandingView,
    /// Where each value of `each` stands, most used first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accounts: Option<Vec<StandingView>>,
}

/// Where a budget, or one value of its `each`, stands. Amounts are in dollars as decimal text where
/// the limit is, else whole numbers in `spent`, `held`, `left`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StandingView {
    /// The value of `each`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Option<String>>,
    /// Booked.
    #[serde(flatten)]
    pub amounts: Amounts,
    /// The limit now, with what it is raised by, as text.
    pub limit: String,
    /// The first instant that counts; `null` for all time.
    pub since: Option<Timestamp>,
    /// When a new window begins; `null` where none does.
    pub resets_at: Option<Timestamp>,
}

/// What of a limit is used and left.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Amounts {
    /// In dollars.
    Usd {
        /// Booked.
        spent_usd: String,
        /// Held for calls in flight.
        held_usd: String,
        /// The most that calls of unknown outcome can have cost.
        unsettled_usd: String,
        /// What is left.
        left_usd: String,
    },
    /// In tokens or calls.
    Count {
        /// Booked.
        spent: i128,
        /// Held for calls in flight.
        held: i128,
        /// What is left.
        left: i128,
    },
}

impl BudgetView {
    /// A budget, and where its accounts stand, most used first.
    pub fn of(defined: &Defined, standings: &[Standing]) -> BudgetView {
        let has_each = defined.budget.scope.each.is_some();
        let first = standings.first().cloned().unwrap_or_else(|| nothing(defined));
        let accounts = standings.iter().take(ACCOUNTS_MAX);
        BudgetView {
            id: defined.id.clone(),
            form: defined.form.clone(),
            source: match defined.source {
                Source::Api => "api",
                Source::Config => "config",
            },
            created_at: defined.created_at,
            words: defined.budget.to_string(),
            stands: StandingView::of(&first, false),
            accounts: has_each.then(|| accounts.map(|standing| StandingView::of(standing, true)).collect()),
        }
    }
}

/// Where a budget stands whose window has seen nothing.
fn nothing(defined: &Defined) -> Standing {
    Standing {
        budget: defined.id.clone(),
        name: defined.budget.name.clone(),
        instance: None,
        unit: defined.budget.limit,
        sums: Default::default(),
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
            Limit::Tokens(_) | Limit::Calls(_) => {
                Amounts::Count { spent: sums.spent, held: sums.held, left: standing.left() }
            }
        };
        StandingView {
            value: with_value.then(|| standing.instance.clone()),
            amounts,
            limit: text(standing.limit),
            since: standing.since,
            resets_at: standing.resets_at,
        }
    }
}
