//! OTLP's protobuf form, read field by field.
//!
//! Nothing is decoded that is not kept: prompts and foreign spans stay bytes of the body, so a body of
//! small pieces cannot grow in memory. It must never know what an attribute means.

use super::items::{Batch, Fault, Points, Unreadable};
use prost::encoding::{WireType, decode_key, decode_varint, skip_field};
use tollbook_usage::otel::{Attributes, Log, Origin, Span, SpanId};

/// An item, unless it is one that cannot be read; what cannot be read past ends the whole body.
type Item<T> = Result<Result<T, Fault>, Unreadable>;

/// A field's value.
enum Value<'a> {
    Varint(u64),
    Fixed(u64),
    Bytes(&'a [u8]),
    /// Of a kind that no field here has.
    Other,
}

/// The fields of a message, in the order in which they stand.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn next(&mut self) -> Result<Option<(u32, Value<'a>)>, Unreadable> {
        let rest = &mut self.0;
        if rest.is_empty() {
            return Ok(None);
        }
        let (tag, kind) = decode_key(rest).map_err(|_| Unreadable::Protobuf)?;
        let value = match kind {
            WireType::Varint => Value::Varint(decode_varint(rest).map_err(|_| Unreadable::Protobuf)?),
            WireType::SixtyFourBit => {
                let (bytes, after) = rest.split_first_chunk().ok_or(Unreadable::Protobuf)?;
                *rest = after;
                Value::Fixed(u64::from_le_bytes(*bytes))
            }
            WireType::LengthDelimited => {
                let length = decode_varint(rest).map_err(|_| Unreadable::Protobuf)?;
                let length = usize::try_from(length).map_err(|_| Unreadable::Protobuf)?;
                let (bytes, after) = rest.split_at_checked(length).ok_or(Unreadable::Protobuf)?;
                *rest = after;
                Value::Bytes(bytes)
            }
            _ => {
                skip_field(kind, tag, rest, Default::default()).map_err(|_| Unreadable::Protobuf)?;
                Value::Other
            }
        };
        Ok(Some((tag, value)))
    }

    /// Gives each message in the fields with this tag.
    fn each(
        bytes: &'a [u8],
        wanted: u32,
        mut give: impl FnMut(&'a [u8]) -> Result<(), Unreadable>,
    ) -> Result<(), Unreadable> {
        let mut fields = Fields(bytes);
        while let Some((tag, value)) = fields.next()? {
            match value {
                Value::Bytes(message) if tag == wanted => give(message)?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// The spans of an export request.
pub fn spans(body: &[u8]) -> Result<Batch<Span>, Unreadable> {
    items(body, span)
}

/// The log records of an export request.
pub fn logs(body: &[u8]) -> Result<Batch<Log>, Unreadable> {
    items(body, log)
}

/// How many data points are in an export request.
pub fn points(body: &[u8]) -> Result<Points, Unreadable> {
    // The kinds of metric, each of which has its points in the same field.
    const KINDS: [u32; 5] = [5, 7, 9, 10, 11];
    let mut points = 0;
    Fields::each(body, 1, |group| {
        Fields::each(group, 2, |scoped| {
            Fields::each(scoped, 2, |metric| {
                KINDS.iter().try_for_each(|kind| {
                    Fields::each(metric, *kind, |data| {
                        Fields::each(data, 1, |_| {
                            points += 1;
                            Ok(())
                        })
                    })
                })
            })
        })
    })?;
    Ok(Points(points))
}

/// What stands in resource, scope, item: the same three levels for every signal.
fn items<T>(body: &[u8], item: fn(&[u8]) -> Item<T>) -> Result<Batch<T>, Unreadable> {
    let mut batch = Batch::default();
    Fields::each(body, 1, |group| {
        let mut resource = Attributes::default();
        Fields::each(group, 1, |message| attributes(message, 1, &mut resource).map(drop))?;
        Fields::each(group, 2, |scoped| {
            let mut scope = String::new();
            Fields::each(scoped, 1, |message| {
                let mut fields = Fields(message);
                while let Some((tag, value)) = fields.next()? {
                    if let (1, Value::Bytes(name)) = (tag, value) {
                        scope = text(name).unwrap_or_default().to_owned();
                    }
                }
                Ok(())
            })?;
            batch.begin(Origin { resource: resource.clone(), scope });
            Fields::each(scoped, 2, |message| batch.add(item(message)?))
        })
    })?;
    Ok(batch)
}

fn span(message: &[u8]) -> Item<Span> {
    let (mut span, mut trace, mut own, mut parent): (Span, &[u8], &[u8], &[u8]) = Default::default();
    let mut fault = None;
    let mut fields = Fields(message);
    while let Some((tag, value)) = fields.next()? {
        match (tag, value) {
            (1, Value::Bytes(id)) => trace = id,
            (2, Value::Bytes(id)) => own = id,
            (4, Value::Bytes(id)) => parent = id,
            (5, Value::Bytes(name)) => span.name = text(name).unwrap_or_default().to_owned(),
            (7, Value::Fixed(nanos)) => span.start_nanos = nanos,
            (8, Value::Fixed(nanos)) => span.end_nanos = nanos,
            (9, Value::Bytes(pair)) => fault = fault.or(attribute(pair, &mut span.attributes)?),
            (15, Value::Bytes(status)) => span.failed = is_error(status)?,
            _ => {}
        }
    }
    Ok(match (span_id(trace, own), fault) {
        (Some(id), None) => {
            span.id = id;
            span.parent = parent.try_into().ok().filter(|parent| *parent != [0; 8]);
            Ok(span)
        }
        (None, _) => Err(Fault::Id),
        (_, Some(fault)) => Err(fault),
    })
}

fn log(message: &[u8]) -> Item<Log> {
    let (mut log, mut trace, mut span): (Log, &[u8], &[u8]) = Default::default();
    let (mut observed, mut fault) = (0, None);
    let mut fields = Fields(message);
    while let Some((tag, value)) = fields.next()? {
        match (tag, value) {
            (1, Value::Fixed(nanos)) => log.time_nanos = nanos,
            (5, Value::Bytes(body)) => log.body = short_text(body)?,
            (6, Value::Bytes(pair)) => fault = fault.or(attribute(pair, &mut log.attributes)?),
            (9, Value::Bytes(id)) => trace = id,
            (10, Value::Bytes(id)) => span = id,
            (11, Value::Fixed(nanos)) => observed = nanos,
            (12, Value::Bytes(name)) => log.event_name = text(name).unwrap_or_default().to_owned(),
            _ => {}
        }
    }
    if log.time_nanos == 0 {
        log.time_nanos = observed;
    }
    log.span = span_id(trace, span);
    Ok(fault.map_or(Ok(log), Err))
}

fn span_id(trace: &[u8], span: &[u8]) -> Option<SpanId> {
    SpanId::new(trace.try_into().ok()?, span.try_into().ok()?)
}

/// Whether a status says that it went wrong.
fn is_error(status: &[u8]) -> Result<bool, Unreadable> {
    let (mut fields, mut code) = (Fields(status), 0);
    while let Some((tag, value)) = fields.next()? {
        if let (3, Value::Varint(found)) = (tag, value) {
            code = found;
        }
    }
    Ok(code == super::items::STATUS_ERROR)
}

fn attributes(message: &[u8], tag: u32, kept: &mut Attributes) -> Result<Option<Fault>, Unreadable> {
    let mut fault = None;
    Fields::each(message, tag, |pair| {
        fault = fault.take().or(attribute(pair, kept)?);
        Ok(())
    })?;
    Ok(fault)
}

/// Keeps an attribute that is read here.
fn attribute(pair: &[u8], kept: &mut Attributes) -> Result<Option<Fault>, Unreadable> {
    let (mut fields, mut name, mut told): (Fields<'_>, &[u8], &[u8]) = (Fields(pair), &[], &[]);
    while let Some((tag, value)) = fields.next()? {
        match (tag, value) {
            (1, Value::Bytes(bytes)) => name = bytes,
            (2, Value::Bytes(bytes)) => told = bytes,
            _ => {}
        }
    }
    let (Some(name), mut broken) = (text(name), None) else { return Ok(None) };
    kept.put(name, || match scalar(told) {
        Ok(value) => value,
        Err(error) => {
            broken = Some(error);
            None
        }
    });
    broken.map_or(Ok(None), Err)
}

/// A value as text: numbers in decimal, other than scalars not at all.
fn scalar(value: &[u8]) -> Result<Option<String>, Unreadable> {
    let (mut fields, mut found) = (Fields(value), None);
    while let Some((tag, value)) = fields.next()? {
        found = match (tag, value) {
            (1, Value::Bytes(bytes)) => text(bytes).map(str::to_owned),
            (2, Value::Varint(flag)) => Some((flag != 0).to_string()),
            (3, Value::Varint(number)) => Some(number.cast_signed().to_string()),
            // Its shortest decimal text: not a number that anybody counts with.
            (4, Value::Fixed(bits)) => Some(f64::from_bits(bits).to_string()),
            (5..=7, _) => None,
            _ => found,
        };
    }
    Ok(found)
}

/// A body, where it is a text as short as a name.
fn short_text(value: &[u8]) -> Result<String, Unreadable> {
    let (mut fields, mut found) = (Fields(value), "");
    while let Some((tag, value)) = fields.next()? {
        if let (1, Value::Bytes(bytes)) = (tag, value) {
            found = text(bytes).unwrap_or_default();
        }
    }
    Ok(super::items::name(found).to_owned())
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}
