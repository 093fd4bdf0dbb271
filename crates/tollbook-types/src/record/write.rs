//! Values to bytes. Written by hand, because every call passes here: names and numbers go straight
//! into the buffer.

use crate::attribution::Attribution;
use crate::digest::Digest;
use crate::entry::{CostBasis, Entry, LegRating, OpenCall, Rating};
use crate::event::{Event, Status};
use crate::money::Money;
use crate::usage::{Evidence, Leg, Usage};
use serde::Serialize;

/// A member's name with what stands around it.
macro_rules! name {
    ($name:literal) => {
        concat!(",\"", $name, "\":")
    };
}

/// Appends the form of an entry. The instants count to the microsecond.
pub fn write_entry(out: &mut Vec<u8>, entry: &Entry) -> Result<(), serde_json::Error> {
    let Entry { event, rating, recorded_at } = entry;
    text(out, "{\"id\":", &event.id)?;
    text(out, name!("source"), &event.source)?;
    let at = event.occurred_at.as_microsecond();
    number(out, name!("at"), at);
    // Shorter than a second instant.
    number(out, name!("rec"), recorded_at.as_microsecond() - at);
    text(out, name!("provider"), &event.provider)?;
    text(out, name!("model"), &event.model)?;
    text_if(out, name!("asked"), event.request_model.as_ref())?;
    text_if(out, name!("api"), event.api.as_ref())?;
    if event.status != Status::Ok {
        word(out, name!("status"), event.status.name());
    }
    text_if(out, name!("error"), event.error.as_ref())?;
    number_if(out, name!("http"), event.http_status);
    used(out, event)?;
    text_if(out, name!("answer"), event.provider_response_id.as_ref())?;
    who(out, &event.attribution)?;
    number_if(out, name!("ms"), event.latency_ms);
    number_if(out, name!("first_ms"), event.time_to_first_token_ms);
    json_if(out, name!("cache_hit"), event.cache_hit.as_ref())?;
    if !event.flags.is_empty() {
        json(out, name!("flags"), &event.flags)?;
    }
    if event.inconsistent {
        bare(out, name!("inconsistent"), "true");
    }
    if let Some(raw) = &event.raw_usage {
        raw_usage(out, raw)?;
    }
    text_if(out, name!("estimator"), event.estimator.as_ref())?;
    number_if(out, name!("worst"), event.worst_case.map(Money::picos));
    text_if(out, name!("hold_id"), event.hold_id.as_ref())?;
    digest(out, name!("content"), event.content);
    rated(out, event, rating)?;
    out.push(b'}');
    Ok(())
}

/// Appends the form of an open call.
pub fn write_open(out: &mut Vec<u8>, call: &OpenCall) -> Result<(), serde_json::Error> {
    text(out, "{\"id\":", &call.id)?;
    text(out, name!("source"), &call.source)?;
    number(out, name!("at"), call.occurred_at.as_microsecond());
    text(out, name!("provider"), &call.provider)?;
    text(out, name!("model"), &call.model)?;
    who(out, &call.attribution)?;
    number_if(out, name!("hold"), call.hold.map(Money::picos));
    number_if(out, name!("worst"), call.worst_case.map(Money::picos));
    out.push(b'}');
    Ok(())
}

/// What was used and how that is known.
fn used(out: &mut Vec<u8>, event: &Event) -> Result<(), serde_json::Error> {
    match &event.usage {
        Some(Usage { legs, reported }) if reported.is_empty() && is_plain_leg(legs) => {
            out.extend_from_slice(name!("use").as_bytes());
            let mut before = b'{';
            for (meter, quantity) in legs.iter().flat_map(|leg| leg.meters.iter()) {
                out.push(before);
                out.push(b'"');
                out.extend_from_slice(meter.name().as_bytes());
                number(out, "\":", quantity);
                before = b',';
            }
            if before == b'{' {
                out.push(b'{');
            }
            out.push(b'}');
        }
        usage => json_if(out, name!("usage"), usage.as_ref())?,
    }
    if event.evidence != Evidence::ProviderUsage {
        word(out, name!("evidence"), event.evidence.name());
    }
    json_if(out, name!("free"), event.free.as_ref())?;
    json_if(out, name!("bill"), event.provider_cost.as_ref())?;
    if !event.conditions.is_empty() {
        pairs(out, name!("when"), &event.conditions)?;
    }
    Ok(())
}

/// One leg at the event's model: what nearly every call has.
fn is_plain_leg(legs: &[Leg]) -> bool {
    matches!(legs, [Leg { model: None, kind: None, .. }])
}

fn who(out: &mut Vec<u8>, who: &Attribution) -> Result<(), serde_json::Error> {
    if *who == Attribution::default() {
        return Ok(());
    }
    out.extend_from_slice(name!("who").as_bytes());
    let start = out.len();
    text_if(out, name!("project"), who.project.as_ref())?;
    text_if(out, name!("customer"), who.customer.as_ref())?;
    text_if(out, name!("user"), who.user.as_ref())?;
    text_if(out, name!("agent"), who.agent.as_ref())?;
    text_if(out, name!("agent_name"), who.agent_name.as_ref())?;
    text_if(out, name!("operation"), who.operation.as_ref())?;
    text_if(out, name!("operation_id"), who.operation_id.as_ref())?;
    text_if(out, name!("session"), who.session.as_ref())?;
    text_if(out, name!("key"), who.key.as_ref())?;
    if !who.tags.is_empty() {
        pairs(out, name!("tags"), &who.tags)?;
    }
    json_if(out, name!("metadata"), who.metadata.as_ref())?;
    // The first member's comma is the brace.
    if let Some(first) = out.get_mut(start) {
        *first = b'{';
    }
    out.push(b'}');
    Ok(())
}

/// A raw usage that is an object stands as JSON, its line ends as tabs: in JSON both are blanks, and
/// a line end would end the record. What is not JSON, or has tabs itself, stands as a text.
fn raw_usage(out: &mut Vec<u8>, raw: &str) -> Result<(), serde_json::Error> {
    let bytes = raw.as_bytes();
    let is_object = raw.starts_with('{') && raw.ends_with('}') && !bytes.contains(&b'\t');
    if !is_object || serde_json::from_str::<serde::de::IgnoredAny>(raw).is_err() {
        return text(out, name!("raw_text"), raw);
    }
    out.extend_from_slice(name!("raw").as_bytes());
    let start = out.len();
    out.extend_from_slice(bytes);
    for byte in &mut out[start..] {
        if *byte == b'\n' {
            *byte = b'\t';
        }
    }
    Ok(())
}

/// The rating: in short where it is as nearly every rating is, whole otherwise.
fn rated(out: &mut Vec<u8>, event: &Event, rating: &Rating) -> Result<(), serde_json::Error> {
    if !follows(event, rating) {
        return json(out, name!("rating"), rating);
    }
    if rating.basis != CostBasis::Book {
        word(out, name!("basis"), rating.basis.name());
    }
    if let (Some(input), Some(output), Some(other)) =
        (rating.input_cost, rating.output_cost, rating.other_cost)
    {
        number(out, ",\"picos\":[", input.picos());
        number(out, ",", output.picos());
        number(out, ",", other.picos());
        out.push(b']');
    }
    if let Some(card) = rating.legs.first().and_then(|leg| leg.card) {
        digest(out, name!("card"), card);
    }
    text_if(out, name!("price"), rating.price_id.as_ref())?;
    text_if(out, name!("note"), rating.note.as_ref())
}

/// Whether everything in the rating follows from its basis, the three sides of its cost, one card,
/// price, note and the event. [`super::read`] puts it together again by the same rules.
fn follows(event: &Event, rating: &Rating) -> bool {
    let sides = [rating.input_cost, rating.output_cost, rating.other_cost];
    let whole = sides.iter().all(|side| side.is_some() == rating.cost.is_some());
    let adds_up = whole
        && Money::checked_sum(sides.into_iter().flatten())
            .is_some_and(|sum| sum == rating.cost.unwrap_or_default());
    let one_leg = match (&rating.legs[..], &event.usage) {
        ([], None) => true,
        ([leg], Some(usage)) => usage.legs.len() == 1 && *leg == whole_leg(rating, leg.card),
        _ => false,
    };
    adds_up
        && one_leg
        && rating.book_cost == usual_book_cost(rating)
        && rating.worst_case == usual_worst_case(event, rating)
}

/// The only leg's rating where the leg is the whole call.
pub(super) fn whole_leg(rating: &Rating, card: Option<Digest>) -> LegRating {
    let Rating { cost, input_cost, output_cost, other_cost, .. } = *rating;
    LegRating { card, cost, input_cost, output_cost, other_cost }
}

/// What the book says where the book counts.
pub(super) fn usual_book_cost(rating: &Rating) -> Option<Money> {
    rating.cost.filter(|_| rating.basis == CostBasis::Book)
}

/// The bound of a call whose cost is not known is the event's.
pub(super) fn usual_worst_case(event: &Event, rating: &Rating) -> Option<Money> {
    event.worst_case.filter(|_| rating.cost.is_none())
}

/// A name and a text.
fn text(out: &mut Vec<u8>, name: &str, value: &str) -> Result<(), serde_json::Error> {
    let needs_escape = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    // Without a way out of the loop the compiler looks at many bytes at once.
    if value.bytes().fold(false, |found, byte| found | needs_escape(byte)) {
        return json(out, name, value);
    }
    word(out, name, value);
    Ok(())
}

fn text_if(out: &mut Vec<u8>, name: &str, value: Option<&String>) -> Result<(), serde_json::Error> {
    value.map_or(Ok(()), |value| text(out, name, value))
}

/// A name and a text that needs no escape.
fn word(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.push(b'"');
    out.extend_from_slice(value.as_bytes());
    out.push(b'"');
}

/// A name and what needs no quotes.
fn bare(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(value.as_bytes());
}

fn number(out: &mut Vec<u8>, name: &str, value: impl itoa::Integer) {
    bare(out, name, itoa::Buffer::new().format(value));
}

fn number_if(out: &mut Vec<u8>, name: &str, value: Option<impl itoa::Integer>) {
    if let Some(value) = value {
        number(out, name, value);
    }
}

fn digest(out: &mut Vec<u8>, name: &str, digest: Digest) {
    out.extend_from_slice(name.as_bytes());
    out.push(b'"');
    out.extend_from_slice(&digest.to_hex());
    out.push(b'"');
}

fn pairs(
    out: &mut Vec<u8>,
    name: &str,
    pairs: &std::collections::BTreeMap<String, String>,
) -> Result<(), serde_json::Error> {
    out.extend_from_slice(name.as_bytes());
    let mut before = "{";
    for (key, value) in pairs {
        text(out, before, key)?;
        text(out, ":", value)?;
        before = ",";
    }
    out.push(b'}');
    Ok(())
}

fn json(out: &mut Vec<u8>, name: &str, value: &(impl Serialize + ?Sized)) -> Result<(), serde_json::Error> {
    out.extend_from_slice(name.as_bytes());
    serde_json::to_writer(out, value)
}

fn json_if(out: &mut Vec<u8>, name: &str, value: Option<&impl Serialize>) -> Result<(), serde_json::Error> {
    value.map_or(Ok(()), |value| json(out, name, value))
}
