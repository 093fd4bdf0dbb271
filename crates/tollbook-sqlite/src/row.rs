//! One entry as a row of `entries`, and back, to the last byte.
//!
//! A row names its combinations (see [`crate::terms`]) and packs what is left: first what sums
//! need, then everything else, so that a reader of sums stops half-way. This module must never
//! know a query.

use crate::amount::SqlAmount;
use crate::fault::Db;
use crate::identity::IdentityRef;
use crate::money_pack::{AmountReader, AmountWriter};
use crate::pack::{Packer, Unpacker, damaged, uuid_bytes, uuid_text};
use crate::template;
use crate::terms::{
    BillNames, Call, Deal, Frame, Interner, Kind, LegNames, Named, Shelves, Tags, Template, What, Who,
};
use rusqlite::Connection;
use rusqlite::types::{Null, ToSql, ToSqlOutput, ValueRef};
use tollbook_store::{State, StoreError};
use tollbook_types::{
    Attribution, CacheHit, Digest, Entry, Event, Leg, LegRating, Meter, Meters, Money, ProviderCost, Rating,
    Seq, Timestamp, Usage,
};

/// Sets of tags that are stored once each; more sets than this are stored with their calls.
const TAG_SETS_MAX: u64 = 65_536;
/// Templates of raw usage that are stored once each; texts beyond that stay whole.
const TEMPLATES_MAX: u64 = 8_192;

/// What a row says it has, as bits.
mod has {
    pub(super) const LATENCY: u64 = 1;
    pub(super) const CACHE_HIT: u64 = 1 << 1;
    pub(super) const RESPONSE_ID: u64 = 1 << 2;
    pub(super) const RAW_TEMPLATE: u64 = 1 << 3;
    pub(super) const SESSION: u64 = 1 << 4;
    pub(super) const TTFT: u64 = 1 << 5;
    pub(super) const OPERATION_ID: u64 = 1 << 6;
    pub(super) const TAG_SET: u64 = 1 << 7;
    pub(super) const TAGS_PLAIN: u64 = 1 << 8;
    pub(super) const RAW_PLAIN: u64 = 1 << 9;
    pub(super) const METADATA: u64 = 1 << 10;
    pub(super) const ERROR: u64 = 1 << 11;
    pub(super) const FLAGS: u64 = 1 << 12;
    pub(super) const HOLD_ID: u64 = 1 << 13;
    pub(super) const WORST_CASE: u64 = 1 << 14;
    pub(super) const FINE_TIMES: u64 = 1 << 15;
    pub(super) const REPORTED: u64 = 1 << 16;
}

/// An id as a column: the 16 bytes of a canonical UUID, else text.
#[derive(Clone, Debug)]
pub(crate) enum SqlId<'a> {
    Uuid([u8; 16]),
    Text(&'a str),
}

impl<'a> SqlId<'a> {
    pub(crate) fn of(id: &'a str) -> SqlId<'a> {
        uuid_bytes(id).map_or(SqlId::Text(id), SqlId::Uuid)
    }
}

impl ToSql for SqlId<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            SqlId::Uuid(bytes) => Ok(ToSqlOutput::from(&bytes[..])),
            SqlId::Text(text) => Ok(ToSqlOutput::from(*text)),
        }
    }
}

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

/// An instant in whole microseconds (rounded down), as stored.
pub(crate) fn micros(at: Timestamp) -> i64 {
    // Every timestamp fits: its range is ±10,000 years.
    at.as_nanosecond().div_euclid(1_000) as i64
}

/// The instant of some microseconds.
pub(crate) fn instant(micros: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(micros).map_err(|_| damaged())
}

/// Turns entries into rows.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    frame: Frame,
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
        let mut out = Packer { bytes: Vec::with_capacity(160) };
        let tags = self.tags(connection, terms, &event.attribution)?;
        let mut numbers = Packer::default();
        let raw = self.raw(connection, terms, event.raw_usage.as_deref(), &mut numbers)?;
        out.uint(bits(entry, tags.is_some(), raw.is_some()));
        pack_sums(&mut out, entry);
        pack_rest(&mut out, entry, tags, raw.map(|template| (template, &numbers)));
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

fn unpack_meters(from: &mut Unpacker<'_>) -> Result<Meters, StoreError> {
    let mask = from.uint()?;
    let mut meters = Meters::new();
    for code in (0..64).filter(|code| mask >> code & 1 == 1) {
        meters.set(Meter::from_code(code).ok_or_else(damaged)?, from.uint()?);
    }
    Ok(meters)
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

/// A row as it was read, not yet decoded.
#[derive(Debug)]
pub(crate) struct RawRow<'a> {
    pub seq: Seq,
    pub at: i64,
    pub who: i64,
    pub what: i64,
    pub kind: i64,
    pub deal: i64,
    pub id: ValueRef<'a>,
    pub cost: Option<i128>,
    pub version: i64,
    pub digest: Digest,
    pub body: &'a [u8],
}

/// The columns that [`RawRow::read`] expects, in its order.
macro_rules! row_columns {
    () => {
        "e.seq, e.at, e.who, e.what, e.kind, e.deal, e.version, e.cost, e.id, e.digest, e.body"
    };
}
pub(crate) use row_columns;

impl<'a> RawRow<'a> {
    pub(crate) fn read(row: &'a rusqlite::Row<'_>) -> Result<RawRow<'a>, StoreError> {
        let digest = row.get_ref(9).db()?;
        let digest = digest.as_blob().ok().and_then(|bytes| bytes.try_into().ok()).ok_or_else(damaged)?;
        let cost: Option<SqlAmount> = row.get(7).db()?;
        Ok(RawRow {
            seq: seq_of(row.get(0).db()?)?,
            at: row.get(1).db()?,
            who: row.get(2).db()?,
            what: row.get(3).db()?,
            kind: row.get(4).db()?,
            deal: row.get(5).db()?,
            version: row.get(6).db()?,
            cost: cost.map(|SqlAmount(picos)| picos),
            id: row.get_ref(8).db()?,
            digest: Digest(digest),
            body: row.get_ref(10).db()?.as_blob().map_err(|_| damaged())?,
        })
    }

    /// The whole entry.
    pub(crate) fn entry(&self, connection: &Connection, shelves: &mut Shelves) -> Result<Entry, StoreError> {
        let mut from = Unpacker::new(self.body);
        let bits = from.uint()?;
        let (mut event, state) = self.sums_from(connection, shelves, bits, &mut from)?;
        event.id = self.id_text()?;
        event.evidence = state.evidence;
        event.usage = state.usage;
        self.attribution(connection, shelves, &mut event)?;
        self.kind_members(connection, shelves, &mut event)?;
        event.content = Digest(from.sixteen()?);
        let recorded = i128::from(self.at) + from.int()?;
        let recorded_at = instant(i64::try_from(recorded).map_err(|_| damaged())?)?;
        let mut entry = Entry { event, rating: state.rating, recorded_at };
        self.rest(connection, shelves, bits, &mut from, &mut entry)?;
        if from.is_empty() { Ok(entry) } else { Err(damaged()) }
    }

    /// Only what sums need: the event without its texts, the state without attribution.
    pub(crate) fn sums(
        &self,
        connection: &Connection,
        shelves: &mut Shelves,
    ) -> Result<(Event, State), StoreError> {
        let mut from = Unpacker::new(self.body);
        let bits = from.uint()?;
        self.sums_from(connection, shelves, bits, &mut from)
    }

    fn sums_from(
        &self,
        connection: &Connection,
        shelves: &mut Shelves,
        bits: u64,
        from: &mut Unpacker<'_>,
    ) -> Result<(Event, State), StoreError> {
        let kind = shelves.kind.get(connection, self.kind)?;
        let deal = shelves.deal.get(connection, self.deal)?;
        let mut event = empty_event(instant(self.at)?);
        event.provider.clone_from(&kind.value.call.provider);
        event.model.clone_from(&kind.value.call.model);
        event.status = kind.value.call.status;
        if bits & has::LATENCY != 0 {
            event.latency_ms = Some(from.uint()?);
        }
        if bits & has::CACHE_HIT != 0 {
            let saved = Money::from_picos(from.int()?);
            event.cache_hit = Some(CacheHit { saved, saved_tokens: from.uint()? });
        }
        let mut usage = None;
        if let Some(names) = &kind.value.legs {
            let mut legs = Vec::with_capacity(names.len());
            for leg in names {
                let (model, kind) = (leg.model.clone(), leg.kind.clone());
                legs.push(Leg { model, kind, meters: unpack_meters(from)? });
            }
            usage = Some(Usage::of(legs));
        }
        let cost = self.cost.map(Money::from_picos);
        let rating = AmountReader::new(from).rating(&deal.value, cost)?;
        let mut state = empty_state(rating);
        state.evidence = kind.value.call.evidence;
        state.usage = usage;
        Ok((event, state))
    }

    /// Whether the event has this id.
    pub(crate) fn has_id(&self, id: &str) -> bool {
        match (self.id, SqlId::of(id)) {
            (ValueRef::Blob(found), SqlId::Uuid(wanted)) => found == wanted,
            (ValueRef::Text(found), SqlId::Text(wanted)) => found == wanted.as_bytes(),
            _ => false,
        }
    }

    /// Whether the event has the identity's project and source.
    pub(crate) fn is_of(
        &self,
        connection: &Connection,
        shelves: &mut Shelves,
        identity: &IdentityRef<'_>,
    ) -> Result<bool, StoreError> {
        let who = shelves.who.get(connection, self.who)?;
        let kind = shelves.kind.get(connection, self.kind)?;
        Ok(who.value.project.as_deref() == identity.project && kind.value.call.source == identity.source)
    }

    /// The digest of the event's content.
    pub(crate) fn content(
        &self,
        connection: &Connection,
        shelves: &mut Shelves,
    ) -> Result<Digest, StoreError> {
        let mut from = Unpacker::new(self.body);
        let bits = from.uint()?;
        self.sums_from(connection, shelves, bits, &mut from)?;
        Ok(Digest(from.sixteen()?))
    }

    fn id_text(&self) -> Result<String, StoreError> {
        match self.id {
            ValueRef::Blob(bytes) => Ok(uuid_text(bytes.try_into().map_err(|_| damaged())?)),
            ValueRef::Text(bytes) => Ok(std::str::from_utf8(bytes).map_err(|_| damaged())?.to_owned()),
            _ => Err(damaged()),
        }
    }

    fn attribution(
        &self,
        connection: &Connection,
        shelves: &mut Shelves,
        event: &mut Event,
    ) -> Result<(), StoreError> {
        let who = shelves.who.get(connection, self.who)?;
        let what = shelves.what.get(connection, self.what)?;
        let attribution = &mut event.attribution;
        attribution.project.clone_from(&who.value.project);
        attribution.customer.clone_from(&who.value.customer);
        attribution.user.clone_from(&who.value.user);
        attribution.key.clone_from(&who.value.key);
        attribution.agent.clone_from(&what.value.agent);
        attribution.agent_name.clone_from(&what.value.agent_name);
        attribution.operation.clone_from(&what.value.operation);
        Ok(())
    }

    fn kind_members(
        &self,
        connection: &Connection,
        shelves: &mut Shelves,
        event: &mut Event,
    ) -> Result<(), StoreError> {
        let kind = shelves.kind.get(connection, self.kind)?;
        let kind = &kind.value;
        event.source.clone_from(&kind.call.source);
        event.request_model.clone_from(&kind.request_model);
        event.api.clone_from(&kind.api);
        event.http_status = kind.http_status;
        event.free = kind.free;
        event.conditions.clone_from(&kind.conditions);
        event.inconsistent = kind.inconsistent;
        event.estimator.clone_from(&kind.estimator);
        Ok(())
    }

    fn rest(
        &self,
        connection: &Connection,
        shelves: &mut Shelves,
        bits: u64,
        from: &mut Unpacker<'_>,
        entry: &mut Entry,
    ) -> Result<(), StoreError> {
        let event = &mut entry.event;
        if bits & has::TTFT != 0 {
            event.time_to_first_token_ms = Some(from.uint()?);
        }
        let mut text = |bit: u64, member: &mut Option<String>| {
            if bits & bit != 0 {
                *member = Some(from.text()?);
            }
            Ok::<(), StoreError>(())
        };
        text(has::RESPONSE_ID, &mut event.provider_response_id)?;
        text(has::SESSION, &mut event.attribution.session)?;
        text(has::OPERATION_ID, &mut event.attribution.operation_id)?;
        text(has::HOLD_ID, &mut event.hold_id)?;
        text(has::ERROR, &mut event.error)?;
        unpack_tags(connection, shelves, bits, from, &mut event.attribution)?;
        if bits & has::RAW_TEMPLATE != 0 {
            let id = i64::try_from(from.uint()?).map_err(|_| damaged())?;
            let template = shelves.template.get(connection, id)?;
            event.raw_usage = Some(template::fill(&template.value.0, from)?);
        }
        if bits & has::RAW_PLAIN != 0 {
            let raw = std::str::from_utf8(from.blob()?).map_err(|_| damaged())?;
            event.raw_usage = Some(raw.to_owned());
        }
        if bits & has::METADATA != 0 {
            event.attribution.metadata = Some(serde_json::from_slice(from.blob()?).map_err(|_| damaged())?);
        }
        if bits & has::FLAGS != 0 {
            for _ in 0..from.uint()? {
                event.flags.push(from.text()?);
            }
        }
        let kind = shelves.kind.get(connection, self.kind)?;
        if let Some(bill) = &kind.value.bill {
            let mut amount = || from.int().map(Money::from_picos);
            let total = amount()?;
            let input = bill.input.then(&mut amount).transpose()?;
            let output = bill.output.then(&mut amount).transpose()?;
            event.provider_cost = Some(ProviderCost { total, input, output, field: bill.field.clone() });
        }
        if bits & has::WORST_CASE != 0 {
            event.worst_case = Some(Money::from_picos(from.int()?));
        }
        if bits & has::REPORTED != 0 {
            let usage = event.usage.as_mut().ok_or_else(damaged)?;
            for _ in 0..from.uint()? {
                usage.reported.insert(from.text()?, from.uint()?);
            }
        }
        if bits & has::FINE_TIMES != 0 {
            event.occurred_at = finer(event.occurred_at, from.uint()?)?;
            entry.recorded_at = finer(entry.recorded_at, from.uint()?)?;
        }
        Ok(())
    }
}

fn unpack_tags(
    connection: &Connection,
    shelves: &mut Shelves,
    bits: u64,
    from: &mut Unpacker<'_>,
    attribution: &mut Attribution,
) -> Result<(), StoreError> {
    if bits & has::TAG_SET != 0 {
        let id = i64::try_from(from.uint()?).map_err(|_| damaged())?;
        attribution.tags.clone_from(&shelves.tags.get(connection, id)?.value.0);
    }
    if bits & has::TAGS_PLAIN != 0 {
        for _ in 0..from.uint()? {
            let (tag, value) = (from.text()?, from.text()?);
            attribution.tags.insert(tag, value);
        }
    }
    Ok(())
}

fn finer(at: Timestamp, nanos: u64) -> Result<Timestamp, StoreError> {
    let nanos = at.as_nanosecond().checked_add(i128::from(nanos)).ok_or_else(damaged)?;
    Timestamp::from_nanosecond(nanos).map_err(|_| damaged())
}

/// A position from a column.
pub(crate) fn seq_of(value: i64) -> Result<Seq, StoreError> {
    Seq::try_from(value).map_err(|_| damaged())
}

/// A position as a column.
pub(crate) fn seq_value(seq: Seq) -> Result<i64, StoreError> {
    i64::try_from(seq).map_err(|_| StoreError::Invalid(format!("position {seq} is too large")))
}

fn empty_event(occurred_at: Timestamp) -> Event {
    Event {
        id: String::new(),
        source: String::new(),
        occurred_at,
        provider: String::new(),
        model: String::new(),
        request_model: None,
        api: None,
        status: tollbook_types::Status::Ok,
        error: None,
        http_status: None,
        usage: None,
        evidence: tollbook_types::Evidence::Unknown,
        free: None,
        provider_cost: None,
        conditions: Default::default(),
        provider_response_id: None,
        attribution: Attribution::default(),
        latency_ms: None,
        time_to_first_token_ms: None,
        cache_hit: None,
        flags: Vec::new(),
        inconsistent: false,
        raw_usage: None,
        estimator: None,
        worst_case: None,
        hold_id: None,
        content: Digest::default(),
    }
}

/// A state with nothing but a rating.
pub(crate) fn empty_state(rating: Rating) -> State {
    State {
        version: 0,
        usage: None,
        evidence: tollbook_types::Evidence::Unknown,
        free: None,
        provider_cost: None,
        conditions: Default::default(),
        attribution: Attribution::default(),
        flags: Vec::new(),
        inconsistent: false,
        raw_usage: None,
        estimator: None,
        rating,
    }
}

/// The legs of a rating before their amounts are known.
pub(crate) fn leg_of(card: Option<Digest>) -> LegRating {
    LegRating { card, ..LegRating::default() }
}
