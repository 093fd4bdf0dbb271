//! An hour that comes to far more than its season has it. What is usual is found elsewhere, from the
//! weeks before; here it is told.

use super::{Rule, Words};
use tollbook_types::Timestamp;

/// An hour that came to more than is usual.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnusualHour {
    /// An instant in it.
    pub at: Timestamp,
    /// Whose it is: `all`, or `dimension=value`.
    pub scope: String,
    /// What it came to so far, as decimal text.
    pub measured: String,
    /// What it usually comes to.
    pub expected: String,
    /// More than this is unusual.
    pub limit: String,
    /// The unit of all three: `usd` or `tokens`.
    pub unit: &'static str,
}

impl UnusualHour {
    pub(super) fn words(&self, rule: &Rule) -> Words {
        let UnusualHour { scope, measured, expected, limit, unit, .. } = self;
        let whose = if scope == "all" { "All calls" } else { scope };
        let said = if *unit == "usd" { "USD" } else { unit };
        Words {
            threshold: rule.times.to_string(),
            summary: format!(
                "{whose}: {measured} {said} within the hour, where about {expected} is usual and more than \
                 {limit} is not"
            ),
            measured: measured.clone(),
            limit: limit.clone(),
            unit,
        }
    }
}
