//! More than sums: percentiles, persons and sessions, always from the entries themselves.
//!
//! Users and sessions are told apart by the digests of their names, so that a question holds some
//! bytes of each, however long the names. This module must never decide what counts.

use crate::grouping::{Group, Grouping, Item, check_rows};
use crate::meta::Meta;
use crate::plan::span_of;
use crate::sums::Sums;
use crate::terms::Shelves;
use crate::touched::each_row;
use rusqlite::Connection;
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use tollbook_store::{Percentiles, Stats, StatsQuery, StatsReport, StatsRow, StoreError};
use tollbook_types::{Digest, Money, limits};

/// Answers a question. At most `raw_rows_max` entries are read, and never more than can be held.
pub(crate) fn stats(
    connection: &Connection,
    shelves: &mut Shelves,
    query: &StatsQuery,
    raw_rows_max: u64,
) -> Result<StatsReport, StoreError> {
    let (from, to) = span_of(query.usage.range);
    check_rows(connection, &Meta::of(connection)?, &[(from, to)], raw_rows_max.min(limits::STATS_ROWS_MAX))?;
    let active = span_of(query.active());
    let mut grouping = Grouping::with_persons(&query.usage);
    let mut tallies: Vec<Tally> = Vec::new();
    each_row(connection, from, to, |row| {
        let is_active = (active.0..active.1).contains(&row.at);
        grouping.entry(connection, shelves, row, |item| {
            if item.group == tallies.len() {
                tallies.push(Tally::default());
            }
            tallies[item.group].add(item, is_active)
        })
    })?;
    report(query, grouping.groups()?, tallies)
}

fn report(
    query: &StatsQuery,
    mut groups: Vec<Group>,
    mut tallies: Vec<Tally>,
) -> Result<StatsReport, StoreError> {
    let costs: Vec<Money> = tallies.iter().map(|tally| tally.sums.measures().cost).collect();
    groups.sort_by(|(a_bucket, a_keys, a), (b_bucket, b_keys, b)| {
        (a_bucket, Reverse(costs[*a]), a_keys).cmp(&(b_bucket, Reverse(costs[*b]), b_keys))
    });
    let (limit, keys) = (query.limit.unwrap_or(usize::MAX), query.usage.group_by.len());
    let mut rows = Vec::new();
    let mut total = Tally::default();
    for of_bucket in groups.chunk_by_mut(|a, b| a.0 == b.0) {
        let (alone, others) = of_bucket.split_at_mut(limit.min(of_bucket.len()));
        for (bucket, keys, group) in alone {
            let mut tally = std::mem::take(&mut tallies[*group]);
            let (bucket, keys) = (*bucket, std::mem::take(keys));
            rows.push(StatsRow { bucket, keys, rest: 0, stats: tally.stats() });
            total.merge(tally)?;
        }
        let Some((bucket, ..)) = others.first() else { continue };
        let mut rest = Tally::default();
        for (_, _, group) in &*others {
            rest.merge(std::mem::take(&mut tallies[*group]))?;
        }
        let (bucket, keys) = (*bucket, vec![None; keys]);
        rows.push(StatsRow { bucket, keys, rest: others.len() as u64, stats: rest.stats() });
        total.merge(rest)?;
    }
    Ok(StatsReport { rows, total: total.stats() })
}

/// What is known of a set of calls.
#[derive(Debug, Default)]
struct Tally {
    sums: Sums,
    latencies: Vec<u64>,
    firsts: Vec<u64>,
    priced_calls: u64,
    priced_cost: Money,
    costed_tokens: u64,
    session_cost: Money,
    users: HashSet<Digest>,
    /// With whether they are active.
    sessions: HashMap<Digest, bool>,
}

impl Tally {
    fn add(&mut self, item: Item<'_>, is_active: bool) -> Result<(), StoreError> {
        let Item { event, state, measures, .. } = item;
        self.sums.add(&Sums::of(measures))?;
        let account = &state.attribution;
        if state.rating.cost.is_some() {
            self.costed_tokens = self.costed_tokens.saturating_add(measures.meters.total_tokens());
        }
        if account.session.is_some() {
            self.session_cost = sum(self.session_cost, measures.cost)?;
        }
        if measures.calls == 0 {
            return Ok(());
        }
        self.latencies.extend(event.latency_ms);
        self.firsts.extend(event.time_to_first_token_ms);
        if let Some(cost) = measures.cost_max {
            self.priced_calls += 1;
            self.priced_cost = sum(self.priced_cost, cost)?;
        }
        self.users.extend(account.user.as_ref().map(|user| Digest::of(user.as_bytes())));
        if let Some(session) = &account.session {
            *self.sessions.entry(Digest::of(session.as_bytes())).or_default() |= is_active;
        }
        Ok(())
    }

    /// Adds another set of calls.
    fn merge(&mut self, mut more: Tally) -> Result<(), StoreError> {
        self.sums.add(&more.sums)?;
        self.latencies.append(&mut more.latencies);
        self.firsts.append(&mut more.firsts);
        self.priced_calls += more.priced_calls;
        self.priced_cost = sum(self.priced_cost, more.priced_cost)?;
        self.costed_tokens = self.costed_tokens.saturating_add(more.costed_tokens);
        self.session_cost = sum(self.session_cost, more.session_cost)?;
        self.users.extend(more.users);
        for (session, is_active) in more.sessions {
            *self.sessions.entry(session).or_default() |= is_active;
        }
        Ok(())
    }

    fn stats(&mut self) -> Stats {
        Stats {
            measures: self.sums.measures(),
            latency_ms: Percentiles::of(&mut self.latencies),
            first_token_ms: Percentiles::of(&mut self.firsts),
            priced_calls: self.priced_calls,
            priced_cost: self.priced_cost,
            costed_tokens: self.costed_tokens,
            users: self.users.len() as u64,
            sessions: self.sessions.len() as u64,
            active_sessions: self.sessions.values().filter(|is_active| **is_active).count() as u64,
            session_cost: self.session_cost,
        }
    }
}

fn sum(amount: Money, more: Money) -> Result<Money, StoreError> {
    amount.checked_add(more).ok_or_else(|| StoreError::Invalid("a sum does not fit".to_owned()))
}
