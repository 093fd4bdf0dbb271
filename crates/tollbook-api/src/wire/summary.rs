//! What was used in a period, as summaries tell it.

use super::schema;
use serde::{Deserialize, Serialize};
use tollbook_ledger::alerts::{Summary, Top, TopRow, Used};
use tollbook_types::{Money, Timestamp};
use utoipa::ToSchema;

/// What was used in a period.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Summary)]
pub struct SummaryView {
    /// How often it comes: `day`, `week` or `month`.
    #[schema(pattern = "^(day|week|month)$")]
    pub every: String,
    /// The first instant of the period.
    #[schema(value_type = schema::Instant)]
    pub from: Timestamp,
    /// The first instant after it.
    #[schema(value_type = schema::Instant)]
    pub to: Timestamp,
    /// The IANA zone of its days.
    pub tz: String,
    /// What was used.
    pub used: UsedView,
    /// What was used in the period before.
    pub before: UsedView,
    /// The dearest, by each of some dimensions.
    pub top: Vec<TopView>,
}

/// Sums over a period.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = SummaryUsed)]
pub struct UsedView {
    pub calls: u64,
    /// Calls whose status is not `ok`.
    pub errors: u64,
    /// Calls without a price, or of unknown usage, which are in no cost.
    pub unpriced_calls: u64,
    pub total_tokens: u64,
    #[schema(value_type = schema::Usd)]
    pub cost_usd: Money,
    /// Different users.
    pub users: u64,
}

/// The dearest values of a dimension.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = SummaryTop)]
pub struct TopView {
    /// The dimension.
    pub by: String,
    /// Five at most, the dearest first.
    pub rows: Vec<TopRowView>,
    /// How many others there are.
    pub others: u64,
    #[schema(value_type = schema::Usd)]
    pub others_cost_usd: Money,
}

/// A value of a dimension.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = SummaryRow)]
pub struct TopRowView {
    /// The value; `null` for calls without one.
    pub value: Option<String>,
    pub calls: u64,
    /// Those of them without a price, or of unknown usage, which are in no cost.
    pub unpriced_calls: u64,
    pub total_tokens: u64,
    #[schema(value_type = schema::Usd)]
    pub cost_usd: Money,
}

impl SummaryView {
    /// A summary.
    pub fn of(summary: &Summary) -> SummaryView {
        SummaryView {
            every: summary.every.name().to_owned(),
            from: summary.from,
            to: summary.to,
            tz: summary.zone.clone(),
            used: UsedView::of(&summary.used),
            before: UsedView::of(&summary.before),
            top: summary.top.iter().map(TopView::of).collect(),
        }
    }
}

impl UsedView {
    fn of(used: &Used) -> UsedView {
        let Used { calls, errors, unpriced_calls, tokens, cost, users } = *used;
        UsedView { calls, errors, unpriced_calls, total_tokens: tokens, cost_usd: cost, users }
    }
}

impl TopView {
    fn of(top: &Top) -> TopView {
        let row = |row: &TopRow| TopRowView {
            value: row.value.clone(),
            calls: row.calls,
            unpriced_calls: row.unpriced_calls,
            total_tokens: row.tokens,
            cost_usd: row.cost,
        };
        TopView {
            by: top.by.clone(),
            rows: top.rows.iter().map(row).collect(),
            others: top.others,
            others_cost_usd: top.others_cost,
        }
    }
}
