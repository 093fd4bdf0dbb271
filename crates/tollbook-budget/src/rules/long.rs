//! Calls that use far more tokens than others of their operation and model.

use super::{Rule, Seen, Words, model_name};
use crate::typical::{Typical, Used};

#[derive(Debug, Default)]
pub(super) struct Long(Typical);

/// A call that is too long.
#[derive(Clone, Copy, Debug)]
pub(super) struct TooLong {
    tokens: i128,
    usual: i128,
    limit: i128,
}

impl Long {
    /// What is found of a call, by what nine of ten such calls before it stayed within. It is learnt
    /// from, too.
    pub fn see(&mut self, rule: &Rule, call: &Seen<'_>) -> Option<TooLong> {
        let tokens = i128::from(call.tokens?);
        let usual = self.0.of(call.operation, call.model).map(|used| used.tokens);
        self.0.learn(call.operation, call.model, Used { picos: 0, tokens });
        let usual = usual.filter(|usual| *usual > 0)?;
        let limit = usual.saturating_mul(i128::from(rule.times));
        (tokens > limit).then_some(TooLong { tokens, usual, limit })
    }
}

impl TooLong {
    /// What such calls are called.
    pub fn value(call: &Seen<'_>) -> String {
        format!("{}, {}", call.operation.unwrap_or("no operation"), model_name(call))
    }

    pub fn words(self, rule: &Rule, value: &str) -> Words {
        let TooLong { tokens, usual, limit } = self;
        Words {
            threshold: rule.times.to_string(),
            summary: format!("A call ({value}) used {tokens} tokens; nine of ten stay within {usual}"),
            measured: tokens.to_string(),
            limit: limit.to_string(),
            unit: "tokens",
        }
    }
}
