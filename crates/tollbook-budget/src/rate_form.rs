//! A rate limit as people and programs write it.

use crate::form::{Fault, Faults, check_name, scope};
use crate::rates::RateLimit;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The members of a rate limit, as they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimitForm {
    /// What people call it.
    pub name: String,
    /// Which calls count: dimensions and their values, all of which must hold. Empty: all calls.
    #[serde(rename = "match")]
    pub matches: BTreeMap<String, String>,
    /// A dimension each value of which has the limit for itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub each: Option<String>,
    /// Requests a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u64>,
    /// Tokens a minute, in and out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<u64>,
    /// Calls at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrent_calls: Option<u64>,
    /// Requests a minute that are the same to the byte.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identical_per_minute: Option<u64>,
}

impl RateLimitForm {
    /// The names of its members.
    pub const MEMBERS: &[&str] = &[
        "name",
        "match",
        "each",
        "requests_per_minute",
        "tokens_per_minute",
        "concurrent_calls",
        "identical_per_minute",
    ];

    /// The limit that is meant, under this id.
    pub fn read(&self, id: &str) -> Result<RateLimit, Vec<Fault>> {
        let mut faults = Faults(Vec::new());
        check_name(&self.name, &mut faults);
        let limit = RateLimit {
            id: id.to_owned(),
            name: self.name.clone(),
            scope: scope(&self.matches, self.each.as_ref(), &mut faults),
            requests: self.requests_per_minute,
            tokens: self.tokens_per_minute,
            concurrent: self.concurrent_calls,
            identical: self.identical_per_minute,
        };
        if [limit.requests, limit.tokens, limit.concurrent, limit.identical].iter().all(Option::is_none) {
            faults.add(
                "requests_per_minute",
                "or tokens_per_minute, concurrent_calls or identical_per_minute has to be there",
            );
        }
        if faults.0.is_empty() { Ok(limit) } else { Err(faults.0) }
    }
}
