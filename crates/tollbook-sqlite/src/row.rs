//! One entry as a row of `entries`, and back, to the last byte.
//!
//! A row names its combinations (see [`crate::terms`]) and packs what is left: first what sums
//! need, then everything else, so that a reader of sums stops half-way. This module must never
//! know a query.

use crate::amount::SqlAmount;
use crate::fault::Db;
use crate::money_pack::AmountReader;
use crate::pack::{Unpacker, damaged, uuid_bytes, uuid_text};
use crate::template;
use crate::terms::Shelves;
use rusqlite::Connection;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use tollbook_store::{IdentityRef, State, StoreError};
use tollbook_types::{
    Attribution, CacheHit, Digest, Entry, Event, Leg, LegRating, Meter, Meters, Money, ProviderCost, Rating,
    Seq, Timestamp, Usage,
};

/// What a row says it has, as bits.
pub(crate) mod has {
    pub(crate) const LATENCY: u64 = 1;
    pub(crate) const CACHE_HIT: u64 = 1 << 1;
    pub(crate) const RESPONSE_ID: u64 = 1 << 2;
    pub(crate) const RAW_TEMPLATE: u64 = 1 << 3;
    pub(crate) const SESSION: u64 = 1 << 4;
    pub(crate) const TTFT: u64 = 1 << 5;
    pub(crate) const OPERATION_ID: u64 = 1 << 6;
    pub(crate) const TAG_SET: u64 = 1 << 7;
    pub(crate) const TAGS_PLAIN: u64 = 1 << 8;
    pub(crate) const RAW_PLAIN: u64 = 1 << 9;
    pub(crate) const METADATA: u64 = 1 << 10;
    pub(crate) const ERROR: u64 = 1 << 11;
    pub(crate) const FLAGS: u64 = 1 << 12;
    pub(crate) const HOLD_ID: u64 = 1 << 13;
    pub(crate) const WORST_CASE: u64 = 1 << 14;
    pub(crate) const FINE_TIMES: u64 = 1 << 15;
    pub(crate) const REPORTED: u64 = 1 << 16;
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

/// An instant in whole microseconds (rounded down), as stored.
pub(crate) fn micros(at: Timestamp) -> i64 {
    // Every timestamp fits: its range is ±10,000 years.
    at.as_nanosecond().div_euclid(1_000) as i64
}

/// The instant of some microseconds.
pub(crate) fn instant(micros: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(micros).map_err(|_| damaged())
}

fn unpack_meters(from: &mut Unpacker<'_>) -> Result<Meters, StoreError> {
    let mask = from.uint()?;
    let mut meters = Meters::new();
    for code in (0..64).filter(|code| mask >> code & 1 == 1) {
        meters.set(Meter::from_code(code).ok_or_else(damaged)?, from.uint()?);
    }
    Ok(meters)
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

    /// What sums need, the time to the first token, and the texts of the entry's own that sums can be
    /// split by: session, operation id and tags.
    pub(crate) fn sums_and_own(
        &self,
        connection: &Connection,
        shelves: &mut Shelves,
    ) -> Result<(Event, State), StoreError> {
        let mut from = Unpacker::new(self.body);
        let bits = from.uint()?;
        let (mut event, mut state) = self.sums_from(connection, shelves, bits, &mut from)?;
        from.sixteen()?;
        from.int()?;
        if bits & has::TTFT != 0 {
            event.time_to_first_token_ms = Some(from.uint()?);
        }
        let who = &mut state.attribution;
        let mut passed = None;
        for (bit, member) in [
            (has::RESPONSE_ID, &mut passed),
            (has::SESSION, &mut who.session),
            (has::OPERATION_ID, &mut who.operation_id),
        ] {
            if bits & bit != 0 {
                *member = Some(from.text()?);
            }
        }
        for bit in [has::HOLD_ID, has::ERROR] {
            if bits & bit != 0 {
                from.text()?;
            }
        }
        unpack_tags(connection, shelves, bits, &mut from, who)?;
        Ok((event, state))
    }

    /// Whether the entry has raw usage or metadata.
    pub(crate) fn has_raw_or_metadata(&self) -> Result<bool, StoreError> {
        let bits = Unpacker::new(self.body).uint()?;
        Ok(bits & (has::RAW_TEMPLATE | has::RAW_PLAIN | has::METADATA) != 0)
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
        provider: String::new(),
        model: String::new(),
        ..Event::new(String::new(), String::new(), occurred_at)
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
