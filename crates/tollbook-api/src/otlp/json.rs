//! OTLP's JSON form. Each span is read on its own: one that is odd costs only itself.
//!
//! What exporters really send is taken: null lists, 64-bit numbers as texts, names of enums. It must
//! never know what an attribute means.

use super::items::{Batch, Fault, Points, STATUS_ERROR, Unreadable, name};
use data_encoding::HEXLOWER_PERMISSIVE;
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use tollbook_types::limits::TELEMETRY_ITEMS_MAX;
use tollbook_usage::otel::{Attributes, Log, Origin, Span, SpanId};

/// A list of texts of JSON; null is an empty one. Its length is bounded before anything is made of it.
#[derive(Default)]
struct List<'a>(Vec<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for List<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<List<'a>, D::Error> {
        struct Items;
        impl<'de> Visitor<'de> for Items {
            type Value = List<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list")
            }
            fn visit_unit<E>(self) -> Result<List<'de>, E> {
                Ok(List::default())
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<List<'de>, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element::<&'de RawValue>()? {
                    if list.len() == TELEMETRY_ITEMS_MAX {
                        return Err(A::Error::custom("more items than are taken at once"));
                    }
                    if item.get() != "null" {
                        list.push(item);
                    }
                }
                Ok(List(list))
            }
        }
        deserializer.deserialize_any(Items)
    }
}

/// A text or a number as text; what else it is counts as absent. `null` is absent, too.
#[derive(Deserialize)]
#[serde(transparent)]
struct Scalar<'a>(#[serde(borrow)] &'a RawValue);

impl Scalar<'_> {
    fn text(&self) -> Option<Cow<'_, str>> {
        let raw = self.0.get();
        match raw.as_bytes().first()? {
            b'"' => serde_json::from_str::<Text<'_>>(raw).ok().map(|text| text.0),
            b'-' | b'0'..=b'9' | b't' | b'f' => Some(Cow::Borrowed(raw)),
            _ => None,
        }
    }

    fn number(&self) -> Option<u64> {
        self.text()?.parse().ok()
    }
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Export<'a> {
    #[serde(borrow)]
    resource_spans: List<'a>,
    #[serde(borrow)]
    resource_logs: List<'a>,
    #[serde(borrow)]
    resource_metrics: List<'a>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Group<'a> {
    #[serde(borrow)]
    resource: Option<Resource<'a>>,
    #[serde(borrow)]
    scope_spans: List<'a>,
    #[serde(borrow)]
    scope_logs: List<'a>,
    #[serde(borrow)]
    scope_metrics: List<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Resource<'a> {
    #[serde(borrow)]
    attributes: List<'a>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Scoped<'a> {
    #[serde(borrow)]
    scope: Option<Scope<'a>>,
    #[serde(borrow)]
    spans: List<'a>,
    #[serde(borrow)]
    log_records: List<'a>,
    #[serde(borrow)]
    metrics: List<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Scope<'a> {
    #[serde(borrow)]
    name: Option<Scalar<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Item<'a> {
    #[serde(borrow)]
    trace_id: Option<Scalar<'a>>,
    #[serde(borrow)]
    span_id: Option<Scalar<'a>>,
    #[serde(borrow)]
    parent_span_id: Option<Scalar<'a>>,
    #[serde(borrow)]
    name: Option<Scalar<'a>>,
    #[serde(borrow)]
    event_name: Option<Scalar<'a>>,
    #[serde(borrow)]
    start_time_unix_nano: Option<Scalar<'a>>,
    #[serde(borrow)]
    end_time_unix_nano: Option<Scalar<'a>>,
    #[serde(borrow)]
    time_unix_nano: Option<Scalar<'a>>,
    #[serde(borrow)]
    observed_time_unix_nano: Option<Scalar<'a>>,
    #[serde(borrow)]
    status: Option<Status<'a>>,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
    #[serde(borrow)]
    attributes: List<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status<'a> {
    #[serde(borrow)]
    code: Option<Scalar<'a>>,
}

#[derive(Deserialize)]
struct Pair<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(borrow, default)]
    value: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Value<'a> {
    #[serde(borrow)]
    string_value: Option<Scalar<'a>>,
    #[serde(borrow)]
    bool_value: Option<Scalar<'a>>,
    #[serde(borrow)]
    int_value: Option<Scalar<'a>>,
    #[serde(borrow)]
    double_value: Option<Scalar<'a>>,
}

/// The kinds of metric, as far as their points are counted.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metric {
    gauge: Option<Data>,
    sum: Option<Data>,
    histogram: Option<Data>,
    exponential_histogram: Option<Data>,
    summary: Option<Data>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    #[serde(default)]
    data_points: Option<Vec<IgnoredAny>>,
}

/// The spans of an export request.
pub fn spans(body: &[u8]) -> Result<Batch<Span>, Unreadable> {
    items(body, |export| export.resource_spans, |group| &group.scope_spans, |scoped| &scoped.spans, span)
}

/// The log records of an export request.
pub fn logs(body: &[u8]) -> Result<Batch<Log>, Unreadable> {
    items(body, |export| export.resource_logs, |group| &group.scope_logs, |scoped| &scoped.log_records, log)
}

/// How many data points are in an export request; what is no metric has none.
pub fn points(body: &[u8]) -> Result<Points, Unreadable> {
    let export = export(body)?;
    let mut points = 0;
    for group in export.resource_metrics.0.iter().filter_map(|raw| parsed::<Group<'_>>(raw)) {
        for scoped in group.scope_metrics.0.iter().filter_map(|raw| parsed::<Scoped<'_>>(raw)) {
            for metric in scoped.metrics.0.iter().filter_map(|raw| parsed::<Metric>(raw)) {
                let kinds = [
                    metric.gauge,
                    metric.sum,
                    metric.histogram,
                    metric.exponential_histogram,
                    metric.summary,
                ];
                let lists = kinds.into_iter().flatten().filter_map(|data| data.data_points);
                points += lists.map(|list| list.len() as u64).sum::<u64>();
            }
        }
    }
    Ok(Points(points))
}

fn items<'a, T>(
    body: &'a [u8],
    groups: fn(Export<'a>) -> List<'a>,
    scopes: for<'g> fn(&'g Group<'a>) -> &'g List<'a>,
    listed: for<'s> fn(&'s Scoped<'a>) -> &'s List<'a>,
    item: fn(&Item<'_>) -> Result<T, Fault>,
) -> Result<Batch<T>, Unreadable> {
    let export = export(body)?;
    let mut batch = Batch::default();
    for raw in groups(export).0 {
        let Some(group) = parsed::<Group<'a>>(raw) else {
            batch.add(Err(Fault::Member))?;
            continue;
        };
        let resource = group.resource.as_ref().map(|resource| attributes(&resource.attributes));
        let resource = resource.and_then(Result::ok).unwrap_or_default();
        for raw in &scopes(&group).0 {
            let Some(scoped) = parsed::<Scoped<'a>>(raw) else {
                batch.add(Err(Fault::Member))?;
                continue;
            };
            let scope = scoped.scope.as_ref().map(|scope| text(&scope.name)).unwrap_or_default();
            batch.begin(Origin { resource: resource.clone(), scope });
            for raw in &listed(&scoped).0 {
                batch.add(parsed::<Item<'a>>(raw).ok_or(Fault::Member).and_then(|found| item(&found)))?;
            }
        }
    }
    Ok(batch)
}

/// An object's members; what is none has none. Serde would take a list for an object.
fn parsed<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Option<T> {
    raw.get().starts_with('{').then(|| serde_json::from_str(raw.get()).ok()).flatten()
}

fn export(body: &[u8]) -> Result<Export<'_>, Unreadable> {
    let raw: &RawValue = serde_json::from_slice(body).map_err(|_| Unreadable::Json)?;
    parsed(raw).ok_or(Unreadable::Json)
}

fn span(item: &Item<'_>) -> Result<Span, Fault> {
    let code = item.status.as_ref().and_then(|status| status.code.as_ref()?.text());
    let failed = code.is_some_and(|code| code == "STATUS_CODE_ERROR" || code.parse() == Ok(STATUS_ERROR));
    Ok(Span {
        id: span_id(item).ok_or(Fault::Id)?,
        parent: hex(&item.parent_span_id).filter(|parent| *parent != [0; 8]),
        name: text(&item.name),
        start_nanos: nanos(&item.start_time_unix_nano),
        end_nanos: nanos(&item.end_time_unix_nano),
        failed,
        attributes: attributes(&item.attributes)?,
    })
}

fn log(item: &Item<'_>) -> Result<Log, Fault> {
    let body = item.body.and_then(parsed::<Value<'_>>).map(|body| text(&body.string_value));
    let (told, observed) = (nanos(&item.time_unix_nano), nanos(&item.observed_time_unix_nano));
    Ok(Log {
        time_nanos: if told == 0 { observed } else { told },
        event_name: text(&item.event_name),
        body: body.unwrap_or_default(),
        span: span_id(item),
        attributes: attributes(&item.attributes)?,
    })
}

fn span_id(item: &Item<'_>) -> Option<SpanId> {
    SpanId::new(hex(&item.trace_id)?, hex(&item.span_id)?)
}

/// Bytes from exactly as many hexadecimal digits.
fn hex<const N: usize>(told: &Option<Scalar<'_>>) -> Option<[u8; N]> {
    let text = told.as_ref()?.text()?;
    HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?.try_into().ok()
}

fn nanos(told: &Option<Scalar<'_>>) -> u64 {
    told.as_ref().and_then(Scalar::number).unwrap_or(0)
}

/// A text as short as a name.
fn text(told: &Option<Scalar<'_>>) -> String {
    let found = told.as_ref().and_then(Scalar::text).unwrap_or_default();
    name(&found).to_owned()
}

fn attributes(list: &List<'_>) -> Result<Attributes, Fault> {
    let mut kept = Attributes::default();
    for raw in &list.0 {
        let pair: Pair<'_> = parsed(raw).ok_or(Fault::Member)?;
        let mut is_odd = false;
        kept.put(&pair.key, || {
            let Some(value) = parsed::<Value<'_>>(pair.value?) else {
                is_odd = true;
                return None;
            };
            let scalars = [&value.string_value, &value.int_value, &value.double_value, &value.bool_value];
            scalars.into_iter().flatten().find_map(Scalar::text).map(Cow::into_owned)
        });
        if is_odd {
            return Err(Fault::Member);
        }
    }
    Ok(kept)
}
