//! What the reference keeps of a set of calls to answer for more than sums: every value, as it came.

use super::merge;
use crate::error::StoreError;
use crate::query::Measures;
use crate::stats::{Percentiles, Stats, StatsQuery, StatsRow};
use crate::stored::State;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use tollbook_types::{Event, Money, Timestamp};

/// By bucket and keys.
pub(super) type Groups = BTreeMap<(Option<Timestamp>, Vec<Option<String>>), Facts>;

/// The rows of an answer.
pub(super) fn rows(query: &StatsQuery, groups: Groups) -> Result<Vec<StatsRow>, StoreError> {
    let mut groups: Vec<_> = groups.into_iter().collect();
    // The sort is stable and the groups come by bucket and keys.
    groups.sort_by_key(|((bucket, _), facts)| (*bucket, Reverse(facts.measures.cost)));
    let limit = query.limit.unwrap_or(usize::MAX);
    let mut rows: Vec<StatsRow> = Vec::new();
    while let Some(bucket) = groups.first().map(|((bucket, _), _)| *bucket) {
        let end = groups.iter().take_while(|((other, _), _)| *other == bucket).count();
        let mut of_bucket = groups.drain(..end);
        for ((_, keys), facts) in of_bucket.by_ref().take(limit) {
            rows.push(StatsRow { bucket, keys, rest: 0, stats: facts.stats()? });
        }
        let others: Vec<Facts> = of_bucket.map(|(_, facts)| facts).collect();
        if !others.is_empty() {
            let (keys, rest) = (vec![None; query.usage.group_by.len()], others.len() as u64);
            rows.push(StatsRow { bucket, keys, rest, stats: Facts::together(others)?.stats()? });
        }
    }
    Ok(rows)
}

#[derive(Debug, Default)]
pub(super) struct Facts {
    measures: Measures,
    latencies: Vec<u64>,
    firsts: Vec<u64>,
    priced: Vec<Money>,
    /// Tokens of calls with a cost.
    tokens: Vec<u64>,
    users: BTreeSet<String>,
    sessions: BTreeSet<String>,
    active: BTreeSet<String>,
    /// Costs of calls with a session.
    in_sessions: Vec<Money>,
}

impl Facts {
    /// Adds one item of a call: the call itself, or a leg of another model.
    pub(super) fn add(
        &mut self,
        event: &Event,
        state: &State,
        item: &Measures,
        is_active: bool,
    ) -> Result<(), StoreError> {
        merge(&mut self.measures, item)?;
        let account = &state.attribution;
        if state.rating.cost.is_some() {
            self.tokens.push(item.meters.total_tokens());
        }
        if account.session.is_some() {
            self.in_sessions.push(item.cost);
        }
        if item.calls == 0 {
            return Ok(());
        }
        self.latencies.extend(event.latency_ms);
        self.firsts.extend(event.time_to_first_token_ms);
        self.priced.extend(item.cost_max);
        self.users.extend(account.user.clone());
        self.sessions.extend(account.session.clone());
        self.active.extend(account.session.clone().filter(|_| is_active));
        Ok(())
    }

    /// Of several sets of calls.
    fn together(all: Vec<Facts>) -> Result<Facts, StoreError> {
        let mut sum = Facts::default();
        for facts in all {
            merge(&mut sum.measures, &facts.measures)?;
            sum.latencies.extend(facts.latencies);
            sum.firsts.extend(facts.firsts);
            sum.priced.extend(facts.priced);
            sum.tokens.extend(facts.tokens);
            sum.users.extend(facts.users);
            sum.sessions.extend(facts.sessions);
            sum.active.extend(facts.active);
            sum.in_sessions.extend(facts.in_sessions);
        }
        Ok(sum)
    }

    pub(super) fn stats(mut self) -> Result<Stats, StoreError> {
        let too_large = || StoreError::Invalid("a sum does not fit".to_owned());
        Ok(Stats {
            measures: self.measures,
            latency_ms: Percentiles::of(&mut self.latencies),
            first_token_ms: Percentiles::of(&mut self.firsts),
            priced_calls: self.priced.len() as u64,
            priced_cost: Money::checked_sum(self.priced).ok_or_else(too_large)?,
            costed_tokens: self.tokens.iter().fold(0, |sum, tokens| sum.saturating_add(*tokens)),
            users: self.users.len() as u64,
            sessions: self.sessions.len() as u64,
            active_sessions: self.active.len() as u64,
            session_cost: Money::checked_sum(self.in_sessions).ok_or_else(too_large)?,
        })
    }
}
