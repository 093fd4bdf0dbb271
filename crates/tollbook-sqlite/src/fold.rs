//! From a call in some state to the rollup rows that it counts in.
//!
//! What it adds is decided by [`tollbook_store::fold::call_measures`]; here it only finds its
//! cells. This module must never decide what counts.

use crate::encode::Encoder;
use crate::fault::Db;
use crate::quick::QuickMap;
use crate::rollup::{Cell, Cells, Rollup, Unit};
use crate::row::{empty_state, instant, micros};
use crate::sums::Sums;
use crate::terms::{Call, Frame, Interner, Model, Named, Project};
use rusqlite::{Connection, params};
use tollbook_store::fold::call_measures;
use tollbook_store::{Interval, Measures, State, StoreError, Zone, bucket_end, bucket_start};
use tollbook_types::{Entry, Event, Evidence};

/// The combinations of a call that rollup rows are by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Microseconds.
    pub at: i64,
    pub who: Named,
    pub what: Named,
}

/// Finds the cells of calls: the writer's side.
#[derive(Debug)]
pub(crate) struct Folder {
    zone: Zone,
    pub encoder: Encoder,
    pub interner: Interner,
    /// By kind: the call and model of its event's own model.
    of_kind: QuickMap<i64, (Named, Named)>,
    /// By `who`: its project.
    of_who: QuickMap<i64, Named>,
    /// The first and the first later microsecond of the day that was asked for last.
    day: (i64, i64),
}

const REMEMBERED_MAX: usize = 100_000;

impl Folder {
    pub(crate) fn new(zone: Zone) -> Folder {
        Folder {
            zone,
            encoder: Encoder::default(),
            interner: Interner::default(),
            of_kind: QuickMap::default(),
            of_who: QuickMap::default(),
            day: (0, 0),
        }
    }

    /// Forgets everything that a rolled-back transaction may have added.
    pub(crate) fn clear(&mut self) {
        self.interner.clear();
        self.of_kind.clear();
        self.of_who.clear();
        self.day = (0, 0);
    }

    /// The first microsecond of the day of an instant, and the first after it. A day that was not
    /// met before is recorded.
    fn day_of(&mut self, connection: &Connection, at: i64) -> Result<i64, StoreError> {
        if at < self.day.0 || at >= self.day.1 {
            self.day = day_span(at, &self.zone)?;
            if self.interner.read_only {
                return Ok(self.day.0);
            }
            let sql = "INSERT OR IGNORE INTO day_spans (day, ends, billed) VALUES (?1, ?2, 0)";
            let (day, ends) = (self.day.0.div_euclid(1_000_000), self.day.1.div_euclid(1_000_000));
            connection.prepare_cached(sql).db()?.execute(params![day, ends]).db()?;
        }
        Ok(self.day.0)
    }

    /// Adds a new entry to `cells`: to those that entries make themselves, not to coarser ones.
    pub(crate) fn fold_new(
        &mut self,
        connection: &Connection,
        place: Place,
        kind: Named,
        entry: &Entry,
        cells: &mut Cells,
    ) -> Result<(), StoreError> {
        let event = &entry.event;
        let mut state = empty_state(entry.rating.clone());
        state.usage.clone_from(&event.usage);
        state.evidence = event.evidence;
        let items = call_measures(event, &state);
        let stand = self.cells_of(connection, place, event.attribution.project.as_deref())?;
        for (at, (model, measures)) in items.iter().enumerate() {
            let known = if at == 0 { self.of_kind.get(&kind.id).copied() } else { None };
            let (call, model) = match known {
                Some(known) => known,
                None => {
                    let made = self.call_and_model(connection, event, event.evidence, model)?;
                    if at == 0 {
                        self.remember_kind(kind, made);
                    }
                    made
                }
            };
            stand.add(call, model, measures, cells)?;
        }
        Ok(())
    }

    /// Adds a call in any state to `cells`.
    pub(crate) fn fold(
        &mut self,
        connection: &Connection,
        place: Place,
        event: &Event,
        state: &State,
        cells: &mut Cells,
    ) -> Result<(), StoreError> {
        let stand = self.cells_of(connection, place, state.attribution.project.as_deref())?;
        for (model, measures) in call_measures(event, state) {
            let (call, model) = self.call_and_model(connection, event, state.evidence, model)?;
            stand.add(call, model, &measures, cells)?;
        }
        Ok(())
    }

    /// Where a call in some state stands.
    pub(crate) fn place(
        &mut self,
        connection: &Connection,
        event: &Event,
        state: &State,
    ) -> Result<Place, StoreError> {
        let who = self.encoder.who(connection, &mut self.interner, &state.attribution)?;
        let what = self.encoder.what(connection, &mut self.interner, &state.attribution)?;
        Ok(Place { at: micros(event.occurred_at), who, what })
    }

    fn cells_of(
        &mut self,
        connection: &Connection,
        place: Place,
        project: Option<&str>,
    ) -> Result<Stand, StoreError> {
        let day = self.day_of(connection, place.at)?;
        let project = self.project(connection, place.who, project)?;
        Ok(Stand { place, project, day: day.div_euclid(1_000_000) })
    }

    fn remember_kind(&mut self, kind: Named, made: (Named, Named)) {
        if self.of_kind.len() >= REMEMBERED_MAX {
            self.of_kind.clear();
        }
        self.of_kind.insert(kind.id, made);
    }

    fn call_and_model(
        &mut self,
        connection: &Connection,
        event: &Event,
        evidence: Evidence,
        model: &str,
    ) -> Result<(Named, Named), StoreError> {
        let mut frame = Frame::default();
        frame.text(&event.source).text(&event.provider).text(model);
        frame.byte(event.status as u8).byte(evidence as u8);
        let call = self.interner.intern(connection, &frame.0, || Call {
            source: event.source.clone(),
            provider: event.provider.clone(),
            model: model.to_owned(),
            status: event.status,
            evidence,
        })?;
        frame.start().text(&event.provider).text(model);
        let model = self.interner.intern(connection, &frame.0, || Model {
            provider: event.provider.clone(),
            model: model.to_owned(),
        })?;
        Ok((call, model))
    }

    fn project(
        &mut self,
        connection: &Connection,
        who: Named,
        project: Option<&str>,
    ) -> Result<Named, StoreError> {
        if let Some(project) = self.of_who.get(&who.id) {
            return Ok(*project);
        }
        let mut frame = Frame::default();
        frame.maybe(project);
        let project = || Project { project: project.map(str::to_owned) };
        let named = self.interner.intern(connection, &frame.0, project)?;
        if self.of_who.len() >= REMEMBERED_MAX {
            self.of_who.clear();
        }
        self.of_who.insert(who.id, named);
        Ok(named)
    }
}

/// A place with its project and the first second of its day.
#[derive(Clone, Copy, Debug)]
struct Stand {
    place: Place,
    project: Named,
    day: i64,
}

impl Stand {
    fn add(
        self,
        call: Named,
        model: Named,
        measures: &Measures,
        cells: &mut Cells,
    ) -> Result<(), StoreError> {
        let Stand { place: Place { at, who, what }, project, day } = self;
        let sums = Sums::of(measures);
        let quarter = at.div_euclid(Unit::Quarter.micros());
        let by_model = Cell { rollup: Rollup::Quarters, at: quarter, by: [project, model, Named::default()] };
        cells.entry(by_model).or_default().add(&sums)?;
        cells.entry(Cell { rollup: Rollup::Days, at: day, by: [who, what, call] }).or_default().add(&sums)
    }
}

/// The first microsecond of the day that an instant belongs to, and the first after it.
pub(crate) fn day_span(at: i64, zone: &Zone) -> Result<(i64, i64), StoreError> {
    let at = instant(at)?;
    let start = bucket_start(at, Interval::Day, zone).map_or(i64::MIN, micros);
    let end = bucket_end(at, Interval::Day, zone).map_or(i64::MAX, micros);
    Ok((start, end))
}
