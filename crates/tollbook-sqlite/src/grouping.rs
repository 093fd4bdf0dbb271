//! Entries put where they count: which groups of a question's answer a row adds to, and what.
//!
//! What it adds is decided by [`tollbook_store::fold::call_measures`]. This module must never know
//! what is made of it.

use crate::fault::Db;
use crate::meta::Meta;
use crate::parts::{Home, Memo, Part, home};
use crate::plan::{Buckets, Span};
use crate::quick::QuickMap;
use crate::row::{RawRow, instant, micros};
use crate::sealed::adjustment_at;
use crate::terms::Shelves;
use rusqlite::Connection;
use tollbook_store::fold::{call_measures, dimension_value};
use tollbook_store::{Dimension, Measures, State, StoreError, UsageQuery, View};
use tollbook_types::{Event, Timestamp};

/// What an entry adds to one group: the call itself, or a leg of another model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item<'a> {
    /// The group's number. A new one is one above the last.
    pub group: usize,
    /// The event. It has no texts of its own.
    pub event: &'a Event,
    /// The state that counts. It has a user and a session only where [`Grouping::with_persons`]
    /// asks for them.
    pub state: &'a State,
    /// What is added.
    pub measures: &'a Measures,
}

/// The groups of a question's answer, as far as they were met.
pub(crate) struct Grouping<'a> {
    query: &'a UsageQuery,
    pub buckets: Buckets<'a>,
    pub who: Part,
    pub what: Part,
    pub call: Part,
    own: Part,
    groups: QuickMap<(i64, [u32; 4]), usize>,
    persons: bool,
}

impl<'a> Grouping<'a> {
    pub(crate) fn new(query: &'a UsageQuery) -> Grouping<'a> {
        let part = |wanted| Part::new(wanted, &query.group_by, &query.filters);
        Grouping {
            query,
            buckets: Buckets::new(query),
            who: part(Home::Who),
            what: part(Home::What),
            call: part(Home::Call),
            own: part(Home::Own),
            groups: QuickMap::default(),
            persons: false,
        }
    }

    /// The same, with users, sessions and the time to the first token in its items.
    pub(crate) fn with_persons(query: &'a UsageQuery) -> Grouping<'a> {
        Grouping { persons: true, ..Grouping::new(query) }
    }

    /// The number of a group.
    pub(crate) fn group(&mut self, bucket: i64, places: [u32; 4]) -> usize {
        let fresh = self.groups.len();
        *self.groups.entry((bucket, places)).or_insert(fresh)
    }

    /// Hands what an entry adds to `each`.
    pub(crate) fn entry(
        &mut self,
        connection: &Connection,
        shelves: &mut Shelves,
        row: &RawRow<'_>,
        mut each: impl FnMut(Item<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let adjusted = match self.query.view {
            View::Billed => None,
            _ if row.version == 0 => None,
            View::Corrected => adjustment_at(connection, row.seq, i64::MAX)?,
            View::AsOf(at) => adjustment_at(connection, row.seq, micros(at))?,
        };
        if let Some((_, _, adjustment)) = &adjusted {
            let entry = row.entry(connection, shelves)?;
            return self.whole_entry(row.at, &entry.event, &State::of_adjustment(adjustment), each);
        }
        let Some([who, what]) = self.account(connection, shelves, row)? else { return Ok(()) };
        let bucket = self.buckets.of(row.at)?.0;
        let (event, state) = self.sums(connection, shelves, row)?;
        let mut own = 0;
        if !self.own.is_idle() {
            let picked = self.own.pick(|dimension| dimension_value(dimension, &event, &state, &event.model));
            let Some(picked) = picked else { return Ok(()) };
            own = picked;
        }
        for (at, (model, measures)) in call_measures(&event, &state).iter().enumerate() {
            let shelves = &mut *shelves;
            let place = if at == 0 {
                let picked = self.call.pick_memo(Memo::Entry, row.kind, |part| {
                    let kind = shelves.kind.get(connection, row.kind)?;
                    Ok((part.pick(|dimension| kind.value.call.value(dimension)), kind.hash))
                })?;
                picked.map(|picked| picked.place)
            } else {
                let kind = shelves.kind.get(connection, row.kind)?;
                self.call.pick(|dimension| match dimension {
                    Dimension::Model => Some(*model),
                    other => kind.value.call.value(other),
                })
            };
            if let Some(call) = place {
                let group = self.group(bucket, [who, what, call, own]);
                each(Item { group, event: &event, state: &state, measures })?;
            }
        }
        Ok(())
    }

    /// The places of an entry's account and work, unless a filter refuses them.
    fn account(
        &mut self,
        connection: &Connection,
        shelves: &mut Shelves,
        row: &RawRow<'_>,
    ) -> Result<Option<[u32; 2]>, StoreError> {
        let who = self.who.pick_memo(Memo::Entry, row.who, |part| {
            let who = shelves.who.get(connection, row.who)?;
            Ok((part.pick(|dimension| who.value.value(dimension)), who.hash))
        })?;
        let what = self.what.pick_memo(Memo::Entry, row.what, |part| {
            let what = shelves.what.get(connection, row.what)?;
            Ok((part.pick(|dimension| what.value.value(dimension)), what.hash))
        })?;
        Ok(who.zip(what).map(|(who, what)| [who.place, what.place]))
    }

    /// As much of an entry as the question needs.
    fn sums(
        &self,
        connection: &Connection,
        shelves: &mut Shelves,
        row: &RawRow<'_>,
    ) -> Result<(Event, State), StoreError> {
        if self.own.is_idle() && !self.persons {
            return row.sums(connection, shelves);
        }
        let (event, mut state) = row.sums_and_own(connection, shelves)?;
        if self.persons {
            let who = shelves.who.get(connection, row.who)?;
            state.attribution.user.clone_from(&who.value.user);
        }
        Ok((event, state))
    }

    fn whole_entry(
        &mut self,
        at: i64,
        event: &Event,
        state: &State,
        mut each: impl FnMut(Item<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let bucket = self.buckets.of(at)?.0;
        for (model, measures) in &call_measures(event, state) {
            let value = |dimension: &Dimension| dimension_value(dimension, event, state, model);
            let places =
                [&mut self.who, &mut self.what, &mut self.call, &mut self.own].map(|part| part.pick(value));
            if let [Some(who), Some(what), Some(call), Some(own)] = places {
                let group = self.group(bucket, [who, what, call, own]);
                each(Item { group, event, state, measures })?;
            }
        }
        Ok(())
    }

    /// The groups that were met: bucket, keys and number of each.
    pub(crate) fn groups(&self) -> Result<Vec<Group>, StoreError> {
        let homes: Vec<Home> = self.query.group_by.iter().map(home).collect();
        let parts = [Home::Who, Home::What, Home::Call, Home::Own]
            .into_iter()
            .zip([&self.who, &self.what, &self.call, &self.own]);
        let mut groups = Vec::with_capacity(self.groups.len());
        for ((bucket, places), group) in &self.groups {
            let mut keys = vec![None; homes.len()];
            for ((of, part), place) in parts.clone().zip(places) {
                if homes.contains(&of) {
                    part.fill(*place, &mut keys);
                }
            }
            let bucket = if *bucket == i64::MIN { None } else { Some(instant(*bucket)?) };
            groups.push((bucket, keys, *group));
        }
        Ok(groups)
    }
}

/// A group's bucket, keys and number.
pub(crate) type Group = (Option<Timestamp>, Vec<Option<String>>, usize);

/// Refuses to read more than so many entries one by one.
pub(crate) fn check_rows(
    connection: &Connection,
    meta: &Meta,
    spans: &[Span],
    limit: u64,
) -> Result<(), StoreError> {
    if meta.entries.unsigned_abs() <= limit {
        return Ok(());
    }
    let mut rows = 0;
    for (from, to) in spans {
        let sql = "SELECT count(*) FROM entries WHERE at >= ?1 AND at < ?2";
        let mut statement = connection.prepare_cached(sql).db()?;
        let found: i64 = statement.query_row([from, to], |row| row.get(0)).db()?;
        rows += found.unsigned_abs();
    }
    if rows > limit { Err(StoreError::RangeTooLarge { rows, limit }) } else { Ok(()) }
}
