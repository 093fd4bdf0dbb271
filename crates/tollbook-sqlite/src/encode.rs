//! Turning entries into rows. What a row is, and the way back, is in [`crate::row`]. This module
//! must never know a query.

use crate::amount::SqlAmount;
use crate::money_pack::AmountWriter;
use crate::pack::Packer;
use crate::row::{SqlId, has, micros};
use crate::template;
use crate::terms::{
    BillNames, Call, Deal, Frame, Interner, Kind, LegNames, Named, Tags, Template, What, Who,
};
use rusqlite::Connection;
use rusqlite::types::{Null, ToSql};
use tollbook_store::StoreError;
use tollbook_types::{Attribution, Entry, Event, Leg, Meters, Rating, Timestamp, Usage};

/// Sets of tags that are stored once each; more sets than this are stored with their calls.
const TAG_SETS_MAX: u64 = 65_536;
/// Templates of raw usage that are stored once each; texts beyond that stay whole.
const TEMPLATES_MAX: u64 = 8_192;

/// A row that is ready to be inserted.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub at: i64,
    pub who: Named,
    pub what: Named,
    pub kind: Named,
    pub deal: Named,
    pub id: SqlId<'a>,
    pub input_tokens: Option<i64>,
    pub output_tokens: Option<i64>,
    pub cost: Option<SqlAmount>,
    pub body: Vec<u8>,
}

impl Row<'_> {
    /// The amount as a parameter.
    pub(crate) fn cost_value(&self) -> &dyn ToSql {
        match &self.cost {
            Some(cost) => cost,
            None => &Null,
        }
    }
}

/// Turns entries into rows.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    frame: Frame,
    numbers: Packer,
    /// A body that is no longer needed, to be filled again.
    spare: Vec<u8>,
}

impl Encoder {
    pub(crate) fn who(
        &mut self,
        connection: &Connection,
        terms: &mut Interner,
        a: &Attribution,
    ) -> Result<Named, StoreError> {
        let frame = self.frame.start().maybe(a.project.as_deref()).maybe(a.customer.as_deref());
        frame.maybe(a.user.as_deref()).maybe(a.key.as_deref());
        terms.intern(connection, &self.frame.0, || Who {
            project: a.project.clone(),
            customer: a.customer.clone(),
            user: a.user.clone(),
            key: a.key.clone(),
        })
    }

    pub(crate) fn what(
        &mut self,
        connection: &Connection,
        terms: &mut Interner,
        a: &Attribution,
    ) -> Result<Named, StoreError> {
        let frame = self.frame.start().maybe(a.agent.as_deref()).maybe(a.agent_name.as_deref());
        frame.maybe(a.operation.as_deref());
        terms.intern(connection, &self.frame.0, || What {
            agent: a.agent.clone(),
            agent_name: a.agent_name.clone(),
            operation: a.operation.clone(),
        })
    }

    fn kind(
        &mut self,
        connection: &Connection,
        terms: &mut Interner,
        event: &Event,
    ) -> Result<Named, StoreError> {
        let frame = self.frame.start().text(&event.source).text(&event.provider).text(&event.model);
        frame.byte(event.status as u8).byte(event.evidence as u8);
        frame.maybe(event.request_model.as_deref()).maybe(event.api.as_deref());
        let http = event.http_status.map_or([0, 0, 0], |code| [1, (code >> 8) as u8, code as u8]);
        frame.byte(http[0]).byte(http[1]).byte(http[2]);
        frame.byte(event.free.map_or(255, |free| free as u8)).byte(u8::from(event.inconsistent));
        frame.maybe(event.estimator.as_deref());
        frame.byte(event.conditions.len() as u8);
        for (name, value) in &event.conditions {
            frame.text(name).text(value);
        }
        if let Some(usage) = &event.usage {
            frame.byte(1);
            for leg in &usage.legs {
                frame.byte(1).maybe(leg.model.as_deref()).maybe(leg.kind.as_deref());
            }
        }
        frame.byte(0);
        if let Some(bill) = &event.provider_cost {
            let parts = u8::from(bill.input.is_some()) | u8::from(bill.output.is_some()) << 1;
            frame.byte(1 + parts).text(&bill.field);
        }
        terms.intern(connection, &self.frame.0, || kind_of(event))
    }

    fn deal(
        &mut self,
        connection: &Connection,
        terms: &mut Interner,
        rating: &Rating,
    ) -> Result<Named, StoreError> {
        let frame = self.frame.start().byte(rating.basis as u8);
        frame.maybe(rating.note.as_deref()).maybe(rating.price_id.as_deref());
        let call = [
            rating.cost,
            rating.input_cost,
            rating.output_cost,
            rating.other_cost,
            rating.book_cost,
            rating.worst_case,
        ];
        for amount in call {
            frame.byte(u8::from(amount.is_some()));
        }
        for leg in &rating.legs {
            for amount in [leg.cost, leg.input_cost, leg.output_cost, leg.other_cost] {
                frame.byte(u8::from(amount.is_some()));
            }
            match leg.card {
                Some(card) => frame.byte(1).0.extend_from_slice(&card.0),
                None => frame.0.push(0),
            }
        }
        terms.intern(connection, &self.frame.0, || deal_of(rating))
    }

    /// The row of an entry.
    pub(crate) fn row<'a>(
        &mut self,
        connection: &Connection,
        terms: &mut Interner,
        entry: &'a Entry,
    ) -> Result<Row<'a>, StoreError> {
        let event = &entry.event;
        let mut out = Packer { bytes: std::mem::take(&mut self.spare) };
        out.bytes.clear();
        let tags = self.tags(connection, terms, &event.attribution)?;
        let mut numbers = std::mem::take(&mut self.numbers);
        numbers.bytes.clear();
        let raw = self.raw(connection, terms, event.raw_usage.as_deref(), &mut numbers)?;
        out.uint(bits(entry, tags.is_some(), raw.is_some()));
        pack_sums(&mut out, entry);
        pack_rest(&mut out, entry, tags, raw.map(|template| (template, &numbers)));
        self.numbers = numbers;
        let total = event.usage.as_ref().map(Usage::total);
        let shown = |tokens: u64| i64::try_from(tokens).unwrap_or(i64::MAX);
        Ok(Row {
            at: micros(event.occurred_at),
            who: self.who(connection, terms, &event.attribution)?,
            what: self.what(connection, terms, &event.attribution)?,
            kind: self.kind(connection, terms, event)?,
            deal: self.deal(connection, terms, &entry.rating)?,
            id: SqlId::of(&event.id),
            input_tokens: total.as_ref().map(|meters| shown(meters.input_tokens())),
            output_tokens: total.as_ref().map(|meters| shown(meters.output_tokens())),
            cost: entry.rating.cost.map(|cost| SqlAmount(cost.picos())),
            body: out.bytes,
        })
    }

    /// Takes a body back when its row is in its place.
    pub(crate) fn recycle(&mut self, body: Vec<u8>) {
        self.spare = body;
    }

    fn tags(
        &mut self,
        connection: &Connection,
        terms: &mut Interner,
        attribution: &Attribution,
    ) -> Result<Option<Named>, StoreError> {
        if attribution.tags.is_empty() {
            return Ok(None);
        }
        let frame = self.frame.start();
        for (tag, value) in &attribution.tags {
            frame.text(tag).text(value);
        }
        terms.intern_bounded(connection, &self.frame.0, TAG_SETS_MAX, || Tags(attribution.tags.clone()))
    }

    fn raw(
        &mut self,
        connection: &Connection,
        terms: &mut Interner,
        raw: Option<&str>,
        numbers: &mut Packer,
    ) -> Result<Option<Named>, StoreError> {
        let frame = &mut self.frame.start().0;
        if !raw.is_some_and(|raw| template::cut(raw, frame, numbers)) {
            return Ok(None);
        }
        // Only whole ASCII runs were replaced by ASCII bytes: it is still UTF-8.
        let template = || Template(String::from_utf8_lossy(frame).into_owned());
        terms.intern_bounded(connection, frame, TEMPLATES_MAX, template)
    }
}

fn kind_of(event: &Event) -> Kind {
    let names = |leg: &Leg| LegNames { model: leg.model.clone(), kind: leg.kind.clone() };
    Kind {
        call: Call {
            source: event.source.clone(),
            provider: event.provider.clone(),
            model: event.model.clone(),
            status: event.status,
            evidence: event.evidence,
        },
        request_model: event.request_model.clone(),
        api: event.api.clone(),
        http_status: event.http_status,
        free: event.free,
        conditions: event.conditions.clone(),
        inconsistent: event.inconsistent,
        estimator: event.estimator.clone(),
        legs: event.usage.as_ref().map(|usage| usage.legs.iter().map(names).collect()),
        bill: event.provider_cost.as_ref().map(|bill| BillNames {
            field: bill.field.clone(),
            input: bill.input.is_some(),
            output: bill.output.is_some(),
        }),
    }
}

fn deal_of(rating: &Rating) -> Deal {
    let call = [
        rating.cost,
        rating.input_cost,
        rating.output_cost,
        rating.other_cost,
        rating.book_cost,
        rating.worst_case,
    ];
    let legs = rating.legs.iter().flat_map(|leg| [leg.cost, leg.input_cost, leg.output_cost, leg.other_cost]);
    let amounts = call.into_iter().chain(legs);
    Deal {
        basis: rating.basis,
        amounts: amounts.map(|amount| if amount.is_some() { '1' } else { '0' }).collect(),
        cards: rating.legs.iter().map(|leg| leg.card).collect(),
        note: rating.note.clone(),
        price_id: rating.price_id.clone(),
    }
}

fn bits(entry: &Entry, tag_set: bool, template: bool) -> u64 {
    let event = &entry.event;
    let who = &event.attribution;
    let fine = |at: Timestamp| at.as_nanosecond().rem_euclid(1_000) != 0;
    let mut bits = 0;
    let mut set = |bit: u64, when: bool| bits |= if when { bit } else { 0 };
    set(has::LATENCY, event.latency_ms.is_some());
    set(has::CACHE_HIT, event.cache_hit.is_some());
    set(has::RESPONSE_ID, event.provider_response_id.is_some());
    set(has::RAW_TEMPLATE, template);
    set(has::SESSION, who.session.is_some());
    set(has::TTFT, event.time_to_first_token_ms.is_some());
    set(has::OPERATION_ID, who.operation_id.is_some());
    set(has::TAG_SET, tag_set);
    set(has::TAGS_PLAIN, !who.tags.is_empty() && !tag_set);
    set(has::RAW_PLAIN, event.raw_usage.is_some() && !template);
    set(has::METADATA, who.metadata.is_some());
    set(has::ERROR, event.error.is_some());
    set(has::FLAGS, !event.flags.is_empty());
    set(has::HOLD_ID, event.hold_id.is_some());
    set(has::WORST_CASE, event.worst_case.is_some());
    set(has::REPORTED, event.usage.as_ref().is_some_and(|usage| !usage.reported.is_empty()));
    set(has::FINE_TIMES, fine(event.occurred_at) || fine(entry.recorded_at));
    bits
}

/// What sums need: latency, what the cache saved, meters, amounts.
fn pack_sums(out: &mut Packer, entry: &Entry) {
    let event = &entry.event;
    if let Some(latency) = event.latency_ms {
        out.uint(latency);
    }
    if let Some(hit) = &event.cache_hit {
        out.int(hit.saved.picos());
        out.uint(hit.saved_tokens);
    }
    for leg in event.usage.iter().flat_map(|usage| &usage.legs) {
        pack_meters(out, &leg.meters);
    }
    let mut amounts = AmountWriter::new(out);
    amounts.rating(&entry.rating);
    amounts.finish();
}

pub(crate) fn pack_meters(out: &mut Packer, meters: &Meters) {
    out.uint(meters.iter().fold(0, |mask, (meter, _)| mask | 1 << meter.code()));
    for (_, quantity) in meters.iter() {
        out.uint(quantity);
    }
}

fn pack_rest(out: &mut Packer, entry: &Entry, tags: Option<Named>, raw: Option<(Named, &Packer)>) {
    let event = &entry.event;
    let who = &event.attribution;
    out.bytes.extend_from_slice(&event.content.0);
    out.int(i128::from(micros(entry.recorded_at)) - i128::from(micros(event.occurred_at)));
    if let Some(ttft) = event.time_to_first_token_ms {
        out.uint(ttft);
    }
    let texts = [&event.provider_response_id, &who.session, &who.operation_id, &event.hold_id, &event.error];
    for text in texts.into_iter().flatten() {
        out.text(text);
    }
    match (tags, raw) {
        (Some(tags), _) => out.uint(tags.id.unsigned_abs()),
        (None, _) if who.tags.is_empty() => {}
        (None, _) => {
            out.uint(who.tags.len() as u64);
            for (tag, value) in &who.tags {
                out.text(tag);
                out.text(value);
            }
        }
    }
    match (raw, &event.raw_usage) {
        (Some((template, numbers)), _) => {
            out.uint(template.id.unsigned_abs());
            out.bytes.extend_from_slice(&numbers.bytes);
        }
        (None, Some(raw)) => out.blob(raw.as_bytes()),
        (None, None) => {}
    }
    if let Some(metadata) = &who.metadata {
        out.blob(metadata.to_string().as_bytes());
    }
    if !event.flags.is_empty() {
        out.uint(event.flags.len() as u64);
        for flag in &event.flags {
            out.text(flag);
        }
    }
    if let Some(bill) = &event.provider_cost {
        out.int(bill.total.picos());
        for amount in [bill.input, bill.output].into_iter().flatten() {
            out.int(amount.picos());
        }
    }
    if let Some(worst_case) = event.worst_case {
        out.int(worst_case.picos());
    }
    if let Some(reported) = event.usage.as_ref().map(|usage| &usage.reported).filter(|map| !map.is_empty()) {
        out.uint(reported.len() as u64);
        for (key, quantity) in reported {
            out.text(key);
            out.uint(*quantity);
        }
    }
    let fine = [event.occurred_at, entry.recorded_at].map(|at| at.as_nanosecond().rem_euclid(1_000) as u64);
    if fine != [0, 0] {
        out.uint(fine[0]);
        out.uint(fine[1]);
    }
}
