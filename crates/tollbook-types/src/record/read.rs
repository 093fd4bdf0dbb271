//! Bytes to values.

use super::write::{usual_book_cost, usual_worst_case, whole_leg};
use crate::attribution::Attribution;
use crate::card::CardId;
use crate::entry::{CostBasis, Entry, OpenCall, Rating};
use crate::event::{CacheHit, Conditions, Content, Event, FreeReason, Status};
use crate::money::Money;
use crate::time::Timestamp;
use crate::usage::{Evidence, Meters, ProviderCost, Usage};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Reads the form of an entry.
pub fn read_entry(body: &[u8]) -> Result<Entry, serde_json::Error> {
    serde_json::from_slice::<EntryForm>(body).and_then(EntryForm::into_entry)
}

/// Reads the form of an open call.
pub fn read_open(body: &[u8]) -> Result<OpenCall, serde_json::Error> {
    serde_json::from_slice::<OpenForm>(body).map(|form| OpenCall {
        id: form.id,
        source: form.source,
        occurred_at: form.at,
        provider: form.provider,
        model: form.model,
        attribution: form.who,
        hold: form.hold.map(Money::from_picos),
        worst_case: form.worst.map(Money::from_picos),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OpenForm {
    id: String,
    source: String,
    #[serde(deserialize_with = "instant")]
    at: Timestamp,
    provider: String,
    model: String,
    #[serde(default)]
    who: Attribution,
    hold: Option<i128>,
    worst: Option<i128>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryForm<'a> {
    id: String,
    source: String,
    #[serde(deserialize_with = "instant")]
    at: Timestamp,
    /// Microseconds from `at` until it was recorded.
    rec: i64,
    provider: String,
    model: String,
    asked: Option<String>,
    api: Option<String>,
    #[serde(default)]
    status: Status,
    error: Option<String>,
    http: Option<u16>,
    #[serde(rename = "use")]
    meters: Option<Meters>,
    usage: Option<Usage>,
    evidence: Option<Evidence>,
    free: Option<FreeReason>,
    bill: Option<ProviderCost>,
    #[serde(default)]
    when: Conditions,
    answer: Option<String>,
    #[serde(default)]
    who: Attribution,
    ms: Option<u64>,
    first_ms: Option<u64>,
    cache_hit: Option<CacheHit>,
    #[serde(default)]
    flags: Vec<String>,
    #[serde(default)]
    inconsistent: bool,
    #[serde(borrow)]
    raw: Option<&'a RawValue>,
    raw_text: Option<String>,
    estimator: Option<String>,
    worst: Option<i128>,
    hold_id: Option<String>,
    content: Content,
    basis: Option<CostBasis>,
    /// The input side, the output side, fees.
    picos: Option<[i128; 3]>,
    card: Option<CardId>,
    price: Option<String>,
    note: Option<String>,
    rating: Option<Rating>,
}

impl EntryForm<'_> {
    fn into_entry(self) -> Result<Entry, serde_json::Error> {
        let recorded_at = self
            .at
            .as_microsecond()
            .checked_add(self.rec)
            .and_then(|micros| Timestamp::from_microsecond(micros).ok())
            .ok_or_else(|| wrong("it was recorded at no instant that there is"))?;
        let sides = self.picos.map(|picos| picos.map(Money::from_picos));
        let mut event = Event {
            id: self.id,
            source: self.source,
            occurred_at: self.at,
            provider: self.provider,
            model: self.model,
            request_model: self.asked,
            api: self.api,
            status: self.status,
            error: self.error,
            http_status: self.http,
            usage: self.meters.map(Usage::one).or(self.usage),
            evidence: self.evidence.unwrap_or(Evidence::ProviderUsage),
            free: self.free,
            provider_cost: self.bill,
            conditions: self.when,
            provider_response_id: self.answer,
            attribution: self.who,
            latency_ms: self.ms,
            time_to_first_token_ms: self.first_ms,
            cache_hit: self.cache_hit,
            flags: self.flags,
            inconsistent: self.inconsistent,
            raw_usage: self.raw_text,
            estimator: self.estimator,
            worst_case: self.worst.map(Money::from_picos),
            hold_id: self.hold_id,
            content: self.content,
        };
        if let Some(raw) = self.raw {
            event.raw_usage = Some(raw.get().replace('\t', "\n"));
        }
        let rating = match self.rating {
            Some(rating) => rating,
            None => {
                let basis = self.basis.unwrap_or(CostBasis::Book);
                let rating = put_together(&event, basis, sides, self.card)?;
                Rating { price_id: self.price, note: self.note, ..rating }
            }
        };
        Ok(Entry { event, rating, recorded_at })
    }
}

/// A rating from what it follows from.
fn put_together(
    event: &Event,
    basis: CostBasis,
    sides: Option<[Money; 3]>,
    card: Option<CardId>,
) -> Result<Rating, serde_json::Error> {
    let cost = match sides {
        Some(sides) => Some(Money::checked_sum(sides).ok_or_else(|| wrong("its cost is too large"))?),
        None => None,
    };
    let [input_cost, output_cost, other_cost] = match sides {
        Some(sides) => sides.map(Some),
        None => [None; 3],
    };
    let mut rating = Rating {
        basis,
        cost,
        input_cost,
        output_cost,
        other_cost,
        book_cost: None,
        legs: Vec::new(),
        note: None,
        price_id: None,
        worst_case: None,
    };
    rating.book_cost = usual_book_cost(&rating);
    rating.worst_case = usual_worst_case(event, &rating);
    if event.usage.is_some() {
        rating.legs = vec![whole_leg(&rating, card)];
    }
    Ok(rating)
}

fn instant<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let micros = i64::deserialize(deserializer)?;
    Timestamp::from_microsecond(micros).map_err(serde::de::Error::custom)
}

fn wrong(what: &str) -> serde_json::Error {
    serde::de::Error::custom(what)
}
