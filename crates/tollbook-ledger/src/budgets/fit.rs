//! Calls that do not fit, cut to what is left: fewer tokens out.

use super::{Asked, Let};
use crate::ledger::Ledger;
use tollbook_budget::{Denied, Limit, Reason, Refused};

/// Fewer tokens out are no answer: then it is refused.
const TOKENS_MIN: u64 = 16;
/// Budgets that one call may be cut for.
const CUTS_MAX: usize = 16;

impl Ledger {
    /// Lets a call go as [`Ledger::admit`] does. One that does not fit into a budget that says so is
    /// let go with as many tokens out as do, if its bound `may_be_lowered`; their number is given then.
    pub fn admit_fitted(
        &self,
        asked: &Asked<'_>,
        may_be_lowered: impl Fn() -> bool,
    ) -> Result<(Let, Option<u64>), Refused> {
        let (mut asked, mut fitted) = (*asked, None);
        for _ in 0..CUTS_MAX {
            let denied = match self.admit(&asked) {
                Ok(granted) => return Ok((granted, fitted)),
                Err(Refused::Budget(denied)) => denied,
                Err(refused) => return Err(refused),
            };
            fitted = self.fitting(&asked, &denied).filter(|_| may_be_lowered());
            if fitted.is_none() {
                return Err(Refused::Budget(denied));
            }
            asked.output_tokens = fitted;
        }
        self.admit(&asked).map(|granted| (granted, fitted))
    }

    /// The most tokens out that still fit into the budget that is in the way; fewer than were asked for.
    fn fitting(&self, asked: &Asked<'_>, denied: &Denied) -> Option<u64> {
        let budget = self.budget(&denied.standing.budget)?;
        if denied.reason != Reason::Spent || !budget.budget.fits {
            return None;
        }
        let book = self.book();
        let window = book.context_window(asked.provider, asked.model.unwrap_or_default());
        let left = denied.standing.left();
        let fits = |output: u64| {
            let (worst, _) = self.bounds(&Asked { output_tokens: Some(output), ..*asked });
            let amount = match budget.budget.limit {
                Limit::Usd(_) => worst.cost.ok().map(tollbook_types::Money::picos),
                Limit::Tokens(_) => worst.tokens.map(i128::from),
                Limit::Calls(_) => None,
            };
            amount.is_some_and(|amount| amount <= left)
        };
        let (mut low, mut high) = (TOKENS_MIN, asked.output_tokens.or(window)?);
        if low >= high || !fits(low) {
            return None;
        }
        // It fits at the lower end and not at the upper.
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if fits(middle) { low = middle } else { high = middle }
        }
        Some(low)
    }
}
