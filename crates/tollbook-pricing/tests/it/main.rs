//! The integration tests of the price book: one binary.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)] // These are tests throughout.

mod book;
mod corpus;
mod facts;
mod feeds;
mod overrides;
mod properties;
mod rating;
mod seeds;

use tollbook_pricing::Query;
use tollbook_types::{Conditions, Timestamp};

/// An instant from its text.
fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Conditions from pairs.
fn given(pairs: &[(&str, &str)]) -> Conditions {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A query without a requested model.
fn query<'q>(provider: &'q str, model: &'q str, when: &str, conditions: &'q Conditions) -> Query<'q> {
    Query { provider, model, request_model: None, at: at(when), conditions }
}
