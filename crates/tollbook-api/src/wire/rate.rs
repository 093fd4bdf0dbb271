//! The shape of a rate limit and of where it stands.

use serde::Serialize;
use std::collections::BTreeMap;
use tollbook_budget::{RateLimitForm, RateStanding};
use tollbook_ledger::budgets::{RateDefined, Source};
use tollbook_types::{Dimension, Timestamp};
use utoipa::ToSchema;

use super::schema;

/// A rate limit that is asked for. One of the four limits has to be there.
#[derive(ToSchema)]
#[schema(as = NewRateLimit)]
#[expect(dead_code, reason = "a shape for the document; the limit's own form reads and writes it")]
pub struct NewRateLimitView {
    /// What people call it.
    name: String,
    /// Dimensions and their values, all of which must hold.
    r#match: Option<BTreeMap<String, String>>,
    /// A dimension each value of which has the limit for itself.
    each: Option<String>,
    requests_per_minute: Option<u64>,
    /// In and out.
    tokens_per_minute: Option<u64>,
    concurrent_calls: Option<u64>,
    /// Requests that are the same to the byte: a loop.
    identical_per_minute: Option<u64>,
}

/// A rate limit.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = RateLimit)]
pub struct RateLimitView {
    /// Its id.
    pub id: String,
    /// As it was written.
    #[serde(flatten)]
    #[schema(value_type = NewRateLimitView)]
    pub form: RateLimitForm,
    /// `api` or `config`.
    pub source: &'static str,
    /// When it was made.
    #[schema(value_type = schema::Instant)]
    pub created_at: Timestamp,
    /// What it will do.
    pub words: String,
}

impl RateLimitView {
    /// A rate limit as it is defined.
    pub fn of(defined: &RateDefined) -> RateLimitView {
        RateLimitView {
            id: defined.id.clone(),
            form: defined.form.clone(),
            source: match defined.source {
                Source::Api => "api",
                Source::Config => "config",
            },
            created_at: defined.created_at,
            words: defined.limit.to_string(),
        }
    }
}

/// A rate limit that applies to a call, or may apply to calls of a key, and where it stands.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = Rate)]
pub struct RateView {
    /// The limit.
    #[serde(flatten)]
    pub limit: RateLimitView,
    /// The value of `each`.
    pub value: Option<String>,
    /// What a call of the key must have besides for it to apply.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    pub when: BTreeMap<String, String>,
    /// Requests that may come at once.
    pub requests_left: Option<u64>,
    /// Tokens that may come at once.
    pub tokens_left: Option<u64>,
    /// Calls under way.
    pub under_way: u64,
}

impl RateView {
    /// A limit, where it stands, and what else it asks of a call.
    pub fn of(defined: &RateDefined, stands: RateStanding, when: &BTreeMap<Dimension, String>) -> RateView {
        RateView {
            limit: RateLimitView::of(defined),
            value: stands.instance,
            when: when.iter().map(|(dimension, value)| (dimension.to_string(), value.clone())).collect(),
            requests_left: stands.requests_left,
            tokens_left: stands.tokens_left,
            under_way: stands.under_way,
        }
    }
}
