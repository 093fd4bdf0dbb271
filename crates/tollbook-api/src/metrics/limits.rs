//! Budgets and rate limits, as metrics: one line a budget, however many accounts it has.

use super::family::Family;
use tollbook_budget::{Limit, Standing};
use tollbook_ledger::Ledger;
use tollbook_types::Money;

/// Budgets that are shown: others only count.
const BUDGETS_MAX: usize = 200;

/// What is in force, and where budgets stand: where one has an `each`, its tightest account.
pub fn families(ledger: &Ledger) -> Vec<Family> {
    let gauge = |name, help, count: usize| Family::gauge(name, help).with(&[], count as u64);
    let mut families = vec![
        gauge("tollbook_budgets", "Budgets in force.", ledger.budgets().len()),
        gauge("tollbook_rate_limits", "Rate limits in force.", ledger.rate_limits().len()),
        gauge("tollbook_holds", "Calls in flight that limits count.", ledger.holds()),
    ];
    let standings = ledger.tightest(BUDGETS_MAX);
    if standings.is_empty() {
        return families;
    }
    let mut add = |name, help, of: fn(&Standing) -> i128| {
        let family = Family::gauge(name, help);
        families.push(standings.iter().fold(family, |family, standing| line(family, standing, of(standing))));
    };
    add("tollbook_budget_limit", "The limit, with what it is raised by.", |stands| stands.limit);
    add("tollbook_budget_spent", "What is booked in the present window.", |stands| stands.sums.spent);
    add("tollbook_budget_held", "What is held for calls in flight.", |stands| stands.sums.held);
    let unsettled = "The most that calls of unknown outcome can have cost.";
    add("tollbook_budget_unsettled", unsettled, |stands| stands.sums.unsettled);
    families
}

fn line(family: Family, standing: &Standing, amount: i128) -> Family {
    let labels =
        |unit: &'static str| [("budget", standing.budget.as_str()), ("name", &standing.name), ("unit", unit)];
    let count = u64::try_from(amount.max(0)).unwrap_or(u64::MAX);
    match standing.unit {
        Limit::Usd(_) => family.with_usd(&labels("usd"), Money::from_picos(amount)),
        Limit::Tokens(_) => family.with(&labels("tokens"), count),
        Limit::Calls(_) => family.with(&labels("calls"), count),
    }
}
