//! The event of a call that a span or log record tells of.

use super::figures::{self, Told};
use super::names::{self, Names};
use super::{Attributes, Log, Origin, SOURCE, Span, SpanId, short};
use crate::disjoint::disjoint;
use crate::import::{Context, Problem, code, content_of, error_text, fingerprint};
use crate::request::lower;
use crate::value::{millis, quantity};
use data_encoding::HEXLOWER;
use serde_json::{Map, Value, json};
use tollbook_types::limits::{FLAGS_MAX, ID_BYTES_MAX};
use tollbook_types::{
    Attribution, Conditions, Event, Evidence, Meter, Money, PROVIDERS, Status, Timestamp, Usage,
    canonical_provider, floor_to_micros,
};

/// The event that the conventions write beside a span, with the span's attributes.
const OF_SPAN: &str = "gen_ai.client.inference.operation.details";
/// What a provider or model is called that nobody names.
pub(super) const UNKNOWN: &str = "unknown";

/// Everything that a call is read from.
pub(super) struct Source<'a> {
    pub attributes: &'a Attributes,
    pub origin: &'a Origin,
    /// The span that it is, or that it was written in.
    pub span: Option<SpanId>,
    /// When it began, in nanoseconds since 1970.
    pub start_nanos: u64,
    pub latency_ms: Option<u64>,
    pub failed: bool,
}

/// What is the same in every event here, before what differs is filled in.
pub(super) struct Call {
    pub id: String,
    pub provider: String,
    pub model: String,
    pub request_model: Option<String>,
    pub api: Option<String>,
    pub response_id: Option<String>,
    pub conditions: Conditions,
    pub attribution: Attribution,
    pub time_to_first_token_ms: Option<u64>,
}

pub(super) fn of_span(
    span: &Span,
    origin: &Origin,
    mut told: Told,
    ctx: &Context<'_>,
) -> Result<Event, Vec<Problem>> {
    let took = span.end_nanos.checked_sub(span.start_nanos).filter(|_| span.start_nanos > 0);
    let source = Source {
        attributes: &span.attributes,
        origin,
        span: Some(span.id),
        start_nanos: span.start_nanos,
        latency_ms: took.map(|nanos| nanos / 1_000_000),
        failed: span.failed,
    };
    let response_id = response_id(&span.attributes);
    let id = match response_id.as_deref().or_else(|| span.attributes.first(names::REQUEST_ID)) {
        Some(id) => as_id(id),
        None => hex(span.id),
    };
    figures::inclusive(&mut told.figures, false, false);
    finish(convention(&source, id, response_id), &source, told, ctx)
}

/// Whether the log record repeats a span's figures.
pub(super) fn is_of_span(log: &Log) -> bool {
    [Some(log.event_name.as_str()), log.attributes.get("event.name")].contains(&Some(OF_SPAN))
}

/// The event of such a record: that of its span, whichever of the two comes. None where nothing says
/// which span that is.
pub(super) fn of_log(
    log: &Log,
    origin: &Origin,
    mut told: Told,
    ctx: &Context<'_>,
) -> Result<Option<Event>, Vec<Problem>> {
    let failed = log.attributes.first(names::ERROR).is_some();
    let source = Source {
        attributes: &log.attributes,
        origin,
        span: log.span,
        start_nanos: log.time_nanos,
        latency_ms: None,
        failed,
    };
    let response_id = response_id(&log.attributes);
    let Some(id) = response_id.as_deref().map(as_id).or(log.span.map(hex)) else { return Ok(None) };
    figures::inclusive(&mut told.figures, false, false);
    finish(convention(&source, id, response_id), &source, told, ctx).map(Some)
}

fn response_id(attributes: &Attributes) -> Option<String> {
    attributes.first(names::RESPONSE_ID).map(short).filter(|id| !id.is_empty())
}

/// What the tables of the conventions say.
fn convention(source: &Source<'_>, id: String, response_id: Option<String>) -> Call {
    let attributes = source.attributes;
    let answered = attributes.first(names::MODEL).map(short).filter(|name| !name.is_empty());
    let asked = attributes.first(names::REQUEST_MODEL).map(short).filter(|name| !name.is_empty());
    let model = answered.or_else(|| asked.clone()).unwrap_or_else(|| UNKNOWN.to_owned());
    let mut conditions = Conditions::new();
    let tier = attributes.first(names::SERVICE_TIER).filter(|tier| !matches!(*tier, "auto" | "default"));
    if let Some(tier) = tier {
        conditions.insert("service_tier".to_owned(), lower(tier));
    }
    let seconds = attributes.first(names::FIRST_CHUNK_SECONDS).and_then(|text| millis(text).ok());
    let millis = || {
        let text = attributes.first(names::FIRST_CHUNK_MILLIS)?;
        quantity(text.split('.').next().unwrap_or_default()).ok()
    };
    Call {
        id,
        provider: provider(source),
        request_model: asked.filter(|asked| *asked != model),
        model,
        api: attributes.first(names::API).map(short),
        response_id,
        conditions,
        attribution: attribution(source),
        time_to_first_token_ms: seconds.or_else(millis),
    }
}

/// The event, once its instant is known to be possible.
pub(super) fn finish(
    call: Call,
    source: &Source<'_>,
    told: Told,
    ctx: &Context<'_>,
) -> Result<Event, Vec<Problem>> {
    let occurred_at = instant(source.start_nanos, ctx).map_err(|problem| vec![problem])?;
    let mut out = disjoint(told.figures, &call.provider);
    if out.meters.quantity(Meter::CacheWrite) > 0 {
        out.flags.push("cache_ttl_unknown: cache writes are priced as those of five minutes".to_owned());
    }
    out.flags.truncate(FLAGS_MAX);
    let mut usage = Usage::one(out.meters);
    usage.reported = out.reported.iter().map(|(key, count)| ((*key).to_owned(), *count)).collect();
    let status = if source.failed { Status::UpstreamError } else { Status::Ok };
    let error = source.attributes.first(names::ERROR).and_then(error_text).filter(|_| source.failed);
    let members = [
        ("id", Value::from(call.id.as_str())),
        ("provider", Value::from(call.provider.as_str())),
        ("model", Value::from(call.model.as_str())),
        ("usage", serde_json::to_value(&usage).unwrap_or_default()),
        ("conditions", serde_json::to_value(&call.conditions).unwrap_or_default()),
        ("attribution", serde_json::to_value(&call.attribution).unwrap_or_default()),
        ("status", Value::from(status.name())),
        ("nanos", Value::from(source.start_nanos)),
    ];
    let content = content_of(members.iter().map(|(name, value)| (*name, value)));
    Ok(Event {
        id: call.id,
        source: SOURCE.to_owned(),
        occurred_at,
        provider: call.provider,
        model: call.model,
        request_model: call.request_model,
        api: call.api,
        status,
        error,
        http_status: None,
        usage: Some(usage),
        evidence: Evidence::ProviderUsage,
        free: None,
        provider_cost: None,
        conditions: call.conditions,
        provider_response_id: call.response_id,
        attribution: call.attribution,
        latency_ms: source.latency_ms,
        time_to_first_token_ms: call.time_to_first_token_ms,
        cache_hit: None,
        flags: out.flags,
        inconsistent: out.inconsistent,
        raw_usage: Some(told.raw),
        estimator: None,
        worst_case: None,
        hold_id: None,
        content,
    })
}

fn instant(nanos: u64, ctx: &Context<'_>) -> Result<Timestamp, Problem> {
    let wrong = || Problem::new(code::TIMESTAMP_INVALID, "its time is missing, or none that can be");
    let told = (nanos > 0).then(|| Timestamp::from_nanosecond(i128::from(nanos)).ok()).flatten();
    let at = told.ok_or_else(wrong)?;
    match ctx.refuse(at) {
        Some(problem) => Err(problem),
        None => Ok(floor_to_micros(at)),
    }
}

/// Who answered. Some name the API, too, as in `openai.chat`: then the longest part that is known counts.
/// Where nobody is named, the name of the instrumentation may be the provider's.
fn provider(source: &Source<'_>) -> String {
    let is_known = |name: &str| PROVIDERS.contains(&name);
    let Some(told) = source.attributes.first(names::PROVIDER).map(short).filter(|name| !name.is_empty())
    else {
        let last = source.origin.scope.rsplit(['.', '/', '@', '-']).next().unwrap_or_default();
        let last = canonical_provider(last);
        return if is_known(&last) { last } else { UNKNOWN.to_owned() };
    };
    let mut part = told.as_str();
    loop {
        let name = canonical_provider(part);
        if is_known(&name) {
            return name;
        }
        match part.rsplit_once('.') {
            Some((before, _)) => part = before,
            None => return canonical_provider(&told),
        }
    }
}

/// On whose account: what the span says, else what its resource says.
pub(super) fn attribution(source: &Source<'_>) -> Attribution {
    let first = |names: Names| {
        let found = source.attributes.first(names).or_else(|| source.origin.resource.first(names));
        found.map(short).filter(|text| !text.is_empty())
    };
    let tags = names::TAGS.iter().filter_map(|(tag, names)| Some(((*tag).to_owned(), first(names)?)));
    let agent_name = first(names::AGENT_NAME);
    let agent = first(names::AGENT);
    Attribution {
        project: first(names::PROJECT),
        customer: first(names::CUSTOMER),
        user: first(names::USER),
        agent_name: agent_name.filter(|name| agent.as_ref() != Some(name)),
        agent,
        operation: first(names::OPERATION),
        operation_id: first(names::OPERATION_ID),
        session: first(names::SESSION),
        key: None,
        tags: tags.collect(),
        metadata: metadata(source),
    }
}

/// Where it is to be found elsewhere, and what somebody else took it to cost.
fn metadata(source: &Source<'_>) -> Option<Value> {
    let mut kept = Map::new();
    if let Some(span) = source.span {
        kept.insert("trace_id".to_owned(), json!(HEXLOWER.encode(&span.trace)));
        kept.insert("span_id".to_owned(), json!(HEXLOWER.encode(&span.span)));
    }
    let cost =
        source.attributes.first(names::REPORTED_COST).and_then(|text| Money::parse_rounding(text).ok());
    if let Some(cost) = cost.filter(|cost| !cost.is_negative()) {
        kept.insert("reported_cost_usd".to_owned(), json!(cost.to_string()));
    }
    (!kept.is_empty()).then_some(Value::Object(kept))
}

/// Somebody else's id as one of ours.
fn as_id(id: &str) -> String {
    let fits = id.len() <= ID_BYTES_MAX && !id.chars().any(char::is_control);
    if fits { id.to_owned() } else { fingerprint(&[id]) }
}

fn hex(id: SpanId) -> String {
    format!("{}-{}", HEXLOWER.encode(&id.trace), HEXLOWER.encode(&id.span))
}
