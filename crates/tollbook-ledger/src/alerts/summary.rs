//! What was used in a period, as people are told it, in the same outbox as alerts: once, under an id
//! that follows from how often it comes and when its period began.

use super::{Alert, AlertKey, NewAlert, Severity};
use crate::error::LedgerError;
use crate::ledger::Ledger;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tollbook_types::{Eraser, Money, Period, Timestamp};

/// The rule of every summary.
const RULE: &str = "summary";

/// How often a summary comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Every {
    /// Of each calendar day.
    Day,
    /// Of each week from Monday.
    Week,
    /// Of each calendar month.
    Month,
}

impl Every {
    /// All of them.
    pub const ALL: &'static [Every] = &[Every::Day, Every::Week, Every::Month];

    /// Its name, as programs read it.
    pub fn name(self) -> &'static str {
        match self {
            Every::Day => "day",
            Every::Week => "week",
            Every::Month => "month",
        }
    }

    /// The stretch of time that one is of.
    pub fn period(self) -> Period {
        match self {
            Every::Day => Period::Day,
            Every::Week => Period::WEEK,
            Every::Month => Period::MONTH,
        }
    }
}

/// What was used in a period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// How often it comes.
    pub every: Every,
    /// The first instant of the period.
    pub from: Timestamp,
    /// The first instant after it.
    pub to: Timestamp,
    /// The zone that the period is one of, by its name.
    pub zone: String,
    /// What was used.
    pub used: Used,
    /// What was used in the period before.
    pub before: Used,
    /// The dearest, by each of some dimensions.
    pub top: Vec<Top>,
}

/// Sums over a period.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// Calls.
    pub calls: u64,
    /// Calls whose status is not `ok`.
    pub errors: u64,
    /// Calls without a price, or of unknown usage, which are in no cost.
    pub unpriced_calls: u64,
    /// Tokens, in and out.
    pub tokens: u64,
    /// What they cost.
    pub cost: Money,
    /// Different users.
    pub users: u64,
}

/// The dearest values of a dimension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Top {
    /// The dimension's name.
    pub by: String,
    /// The dearest first.
    pub rows: Vec<TopRow>,
    /// How many others there are.
    pub others: u64,
    /// What they cost.
    pub others_cost: Money,
}

/// A value of a dimension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopRow {
    /// The value; absent for calls without one.
    pub value: Option<String>,
    /// Calls.
    pub calls: u64,
    /// Those of them without a price, or of unknown usage, which are in no cost.
    #[serde(default)]
    pub unpriced_calls: u64,
    /// Tokens, in and out.
    pub tokens: u64,
    /// What they cost.
    pub cost: Money,
}

impl Summary {
    fn key(every: Every, from: Timestamp) -> AlertKey {
        AlertKey {
            rule: RULE.to_owned(),
            value: None,
            threshold: every.name().to_owned(),
            period: Some(from),
            again: 0,
        }
    }

    /// Every value that it names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.top.iter().flat_map(|top| &top.rows).filter_map(|row| row.value.as_deref())
    }

    /// Without a user's name. Whoever has a name that holds it is somebody else.
    pub(super) fn without(&self, user: &str, eraser: &Eraser<'_>) -> Summary {
        let mut summary = self.clone();
        for row in summary.top.iter_mut().flat_map(|top| &mut top.rows) {
            if row.value.as_deref() == Some(user) {
                row.value = Some(eraser.text(user));
            }
        }
        summary
    }
}

impl Ledger {
    /// Whether people were told of this period.
    pub fn is_summed_up(&self, every: Every, from: Timestamp) -> bool {
        self.alert(&Summary::key(every, from).id()).is_some()
    }

    /// Records a summary, which is `title` in one line: on return it is durable, and its messages are
    /// due. It is kept as the period's at least until `until`. `None` when people know of it.
    pub fn sum_up(
        &self,
        summary: Summary,
        title: String,
        until: Timestamp,
        channels: Vec<String>,
    ) -> Result<Option<Arc<Alert>>, LedgerError> {
        self.raise_alert(NewAlert {
            key: Summary::key(summary.every, summary.from),
            severity: Severity::Info,
            subject: format!("summary of a {}", summary.every.name()),
            summary: title,
            value: summary.used.cost.to_string(),
            limit: summary.before.cost.to_string(),
            unit: "usd".to_owned(),
            until: Some(until),
            channels,
            report: Some(summary),
        })
    }
}
