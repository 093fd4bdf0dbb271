//! The native event: one JSON object of the ingest API, or one line of a JSON Lines file.
//!
//! Strict on purpose: a member that is not known, a count that is a text, an impossible usage is
//! refused with its name and what was probably meant, since a number that is silently wrong is
//! worse than one that is missing. All problems of an event are told at once.

use super::problem::{Problem, below, code, meant};
use super::quantities::{quantity, read_meters, read_usage};
use super::{Context, answers, text};
use crate::reader::ResponseHead;
use crate::reading::Reading;
use crate::request::Request;
use serde_json::{Map, Value};
use tollbook_types::limits::{
    ID_BYTES_MAX, JSON_TREE_BYTES_MAX, METADATA_BYTES_MAX, NAME_BYTES_MAX, TAGS_MAX, UNKNOWN_MEMBERS_MAX,
};
use tollbook_types::{
    Attribution, CacheHit, Conditions, Content, Event, Evidence, FreeReason, Meters, Money, ProviderCost,
    Status, Timestamp, Usage, canonical_provider, floor_to_micros, json, parse_instant,
};

/// Every member of an event.
const MEMBERS: &[&str] = &[
    "id",
    "occurred_at",
    "provider",
    "model",
    "request_model",
    "api",
    "usage",
    "meters",
    "response",
    "provider_cost_usd",
    "cache_hit",
    "hold_id",
    "service_tier",
    "conditions",
    "project",
    "customer",
    "user",
    "agent",
    "agent_name",
    "operation",
    "operation_id",
    "session",
    "key",
    "tags",
    "metadata",
    "latency_ms",
    "time_to_first_token_ms",
    "status",
    "http_status",
    "error",
    "provider_response_id",
];

/// A bill above this many dollars is taken for damage.
const COST_USD_MAX: i128 = 1_000_000_000;

/// Reads one event.
///
/// ```
/// use tollbook_usage::import::{Context, native};
/// let now = "2026-11-22T10:31:00Z".parse().unwrap();
/// let json = br#"{"id":"hello-1","occurred_at":"2026-11-22T11:30:45+01:00","provider":"openai",
///     "model":"gpt-4o-mini","usage":{"input_tokens":1250,"output_tokens":150}}"#;
/// let event = native::parse_event(json, &Context::new("api", now)).unwrap();
/// assert_eq!(event.occurred_at.to_string(), "2026-11-22T10:30:45Z");
/// assert_eq!(event.usage.unwrap().total().total_tokens(), 1_400);
///
/// let bad = br#"{"id":"hello-2","provider":"openai","model":"gpt-4o","usage":{"input_token":1}}"#;
/// let problems = native::parse_event(bad, &Context::new("api", now)).unwrap_err();
/// assert_eq!(problems[0].detail, "is not known; did you mean input_tokens?");
/// ```
pub fn parse_event(json: &[u8], ctx: &Context<'_>) -> Result<Event, Vec<Problem>> {
    match json::parse_within(json, JSON_TREE_BYTES_MAX) {
        Ok(value) => parse_value(&value, ctx),
        Err(error) => Err(vec![Problem::of_json(&error, json)]),
    }
}

/// Reads one event that is parsed already, such as an item of an array.
pub fn parse_value(value: &Value, ctx: &Context<'_>) -> Result<Event, Vec<Problem>> {
    let Value::Object(members) = value else {
        return Err(vec![Problem::new(code::FIELD_INVALID, "an event is an object")]);
    };
    let mut reader = Members::new(members);
    let strange = members.keys().filter(|name| !MEMBERS.contains(&name.as_str()));
    reader.problems.extend(strange.take(UNKNOWN_MEMBERS_MAX).map(|name| unknown(name)));
    let event = read(&mut reader, ctx);
    match event {
        Some(event) if reader.problems.is_empty() => Ok(event),
        _ => Err(reader.problems),
    }
}

fn unknown(name: &str) -> Problem {
    let detail = match meant(name, MEMBERS.iter().copied()) {
        Some(meant) => format!("is not known; did you mean {meant}?"),
        None => "is not known; put what is your own into tags or metadata".to_owned(),
    };
    Problem::at(code::UNKNOWN_MEMBER, below("", name), detail)
}

/// Reads everything, so that all problems are found; `None` when there is one that leaves no event.
fn read(members: &mut Members<'_>, ctx: &Context<'_>) -> Option<Event> {
    let id = members.id();
    let told_at = told_instant(members, "occurred_at", ctx);
    let provider = members.name("provider").map(|provider| canonical_provider(&provider));
    let (named, request_model, api) =
        (members.name("model"), members.name("request_model"), members.name("api"));
    let what = quantities(members);
    let told_cost = provider_cost(members);
    let cache_hit = cache_hit(members);
    let status = status(members);
    let http_status = http_status(members);
    let error = members.error();
    let told_conditions = conditions(members);
    let attribution = members.attribution();
    if provider.is_none() {
        members.missing("provider");
    }
    let asked = request_model.as_deref().or(named.as_deref());
    let answer = response(members, provider.as_deref(), api.as_deref(), asked, http_status);
    let model = named.or_else(|| answer.as_ref().and_then(|answer| answer.model.clone()));
    if model.is_none() {
        members.missing("model");
    }
    let known = Known { told: what.told, bill: told_cost.is_some(), hit: cache_hit.is_some(), status };
    let (evidence, free) = grounds(members, &known);
    let mut event = Event {
        id: id?,
        source: ctx.source.to_owned(),
        occurred_at: floor_to_micros(ctx.at.or(told_at).unwrap_or(ctx.now)),
        provider: provider?,
        model: model?,
        request_model,
        api,
        status: status.unwrap_or_default(),
        error,
        http_status,
        usage: what.found.map(Usage::one),
        evidence,
        free,
        provider_cost: told_cost,
        conditions: told_conditions,
        provider_response_id: members.name("provider_response_id"),
        attribution,
        latency_ms: members.count("latency_ms"),
        time_to_first_token_ms: members.count("time_to_first_token_ms"),
        cache_hit,
        flags: Vec::new(),
        inconsistent: false,
        raw_usage: None,
        estimator: None,
        worst_case: None,
        hold_id: members.name("hold_id"),
        content: content(members.map, told_at),
    };
    if let Some(answer) = answer {
        take_over(&mut event, answer);
    }
    Some(event)
}

/// Reads the provider's answer that was sent along.
fn response(
    members: &mut Members<'_>,
    provider: Option<&str>,
    api: Option<&str>,
    model: Option<&str>,
    http_status: Option<u16>,
) -> Option<Reading> {
    let body = match members.get("response")? {
        Value::String(text) => text.clone(),
        value @ (Value::Object(_) | Value::Array(_)) => value.to_string(),
        _ => {
            members.problem(code::FIELD_INVALID, "response", "must be the body, as JSON or as a text");
            return None;
        }
    };
    let Some(path) = answers::path_of(api, provider?) else {
        members.problem(code::FIELD_INVALID, "api", "is not known; leave it out, or name one such as chat");
        return None;
    };
    let request = Request::facts(provider?, "POST", path, model, None);
    let head = ResponseHead { status: http_status.unwrap_or(200), content_type: None, headers: &[] };
    Some(answers::read(&request, &head, body.as_bytes()))
}

/// What the answer says, where the event itself does not say it.
fn take_over(event: &mut Event, mut answer: Reading) {
    event.usage = answer.take_usage();
    event.free = answer.free;
    if event.provider_cost.is_none() {
        event.provider_cost = answer.provider_cost;
        event.evidence = answer.evidence;
    }
    for (name, value) in answer.conditions {
        event.conditions.entry(name).or_insert(value);
    }
    event.error = event.error.take().or_else(|| answer.error.as_deref().and_then(text::error));
    if event.error.is_some() && event.status == Status::Ok {
        event.status = Status::UpstreamError;
    }
    event.provider_response_id = event.provider_response_id.take().or(answer.provider_response_id);
    event.flags = answer.flags;
    event.inconsistent = answer.inconsistent;
    event.raw_usage = answer.raw_usage;
    event.estimator = answer.estimator;
}

/// The digest of what was sent, in one form: the same call sent again gives the same digest.
fn content(members: &Map<String, Value>, told_at: Option<Timestamp>) -> Content {
    let at = told_at.map(|at| Value::from(at.to_string()));
    let provider = members.get("provider").and_then(Value::as_str).map(canonical_provider).map(Value::from);
    text::content(text::each(members).map(|(name, value)| {
        let in_one_form = match name {
            "occurred_at" => at.as_ref(),
            "provider" => provider.as_ref(),
            _ => None,
        };
        (name, in_one_form.unwrap_or(value))
    }))
}

/// The instant that a member tells; it is checked against the clock unless the context sets one.
pub(super) fn told_instant(members: &mut Members<'_>, name: &str, ctx: &Context<'_>) -> Option<Timestamp> {
    let detail = match members.get(name)? {
        Value::String(text) => match parse_instant(text) {
            Ok(at) => {
                let refused = ctx.refuse(at).filter(|_| ctx.at.is_none());
                members.problems.extend(refused.map(|problem| problem.pointed(&below("", name))));
                return Some(at);
            }
            Err(detail) => detail,
        },
        _ => "must be a text such as \"2026-11-22T10:30:45Z\"".to_owned(),
    };
    members.problem(code::TIMESTAMP_INVALID, name, &detail);
    None
}

/// What was used, as far as it was told and could be read.
#[derive(Default)]
struct Quantities {
    told: usize,
    found: Option<Meters>,
}

fn quantities(members: &mut Members<'_>) -> Quantities {
    let mut what = Quantities::default();
    if let Some(usage) = members.get("usage") {
        what.told += 1;
        what.found = read_usage(usage, &mut members.problems);
    }
    if let Some(meters) = members.get("meters") {
        what.told += 1;
        what.found = read_meters(meters, &mut members.problems);
    }
    if members.get("response").is_some() {
        what.told += 1;
    }
    if what.told > 1 {
        let detail = "give one of usage, meters and response";
        members.problems.push(Problem::new(code::FIELD_INVALID, detail));
    }
    what
}

struct Known {
    told: usize,
    bill: bool,
    hit: bool,
    status: Option<Status>,
}

/// How the usage is known, or why there is none.
fn grounds(members: &mut Members<'_>, known: &Known) -> (Evidence, Option<FreeReason>) {
    if known.hit && (known.told > 0 || known.bill) {
        let detail = "a call that the cache answered has neither usage nor cost";
        members.problem(code::FIELD_INVALID, "cache_hit", detail);
    }
    if known.bill {
        return (Evidence::ProviderCost, None);
    }
    if known.told > 0 {
        return (Evidence::ProviderUsage, None);
    }
    if known.hit {
        return (Evidence::ProviderUsage, Some(FreeReason::CacheHit));
    }
    match known.status {
        // An error without usage costs nothing; a call that was cut may well have cost something.
        Some(Status::UpstreamError) => (Evidence::ProviderUsage, Some(FreeReason::HttpError)),
        None | Some(Status::Ok) => {
            let detail = "one of usage, meters and response has to be there";
            members.problems.push(Problem::at(code::FIELD_MISSING, "/usage", detail));
            (Evidence::Unknown, None)
        }
        Some(_) => (Evidence::Unknown, None),
    }
}

fn provider_cost(members: &mut Members<'_>) -> Option<ProviderCost> {
    const NAME: &str = "provider_cost_usd";
    let problem = match members.get(NAME)? {
        Value::String(text) => match text.parse::<Money>() {
            Ok(cost) if cost.is_negative() => "must not be negative".to_owned(),
            Ok(cost) if cost.picos() > COST_USD_MAX * 1_000_000_000_000 => {
                members.problem(code::FIELD_TOO_LARGE, NAME, &format!("more than {COST_USD_MAX} dollars"));
                return None;
            }
            Ok(total) => {
                return Some(ProviderCost { total, input: None, output: None, field: NAME.to_owned() });
            }
            Err(error) => format!("{error}; a plain decimal such as \"0.0025\" is one"),
        },
        Value::Number(number) => format!("must be a text, so that it stays exact: use \"{number}\""),
        _ => "must be a text such as \"0.0025\"".to_owned(),
    };
    members.problem(code::FIELD_INVALID, NAME, &problem);
    None
}

fn cache_hit(members: &mut Members<'_>) -> Option<CacheHit> {
    const NAME: &str = "cache_hit";
    let mut hit = CacheHit { saved: Money::ZERO, saved_tokens: 0 };
    match members.get(NAME)? {
        Value::Bool(false) => return None,
        Value::Bool(true) => {}
        Value::Object(saved) => {
            for (name, value) in saved.iter().take(UNKNOWN_MEMBERS_MAX) {
                let pointer = below("/cache_hit", name);
                let money = value.as_str().and_then(|text| text.parse::<Money>().ok());
                match (name.as_str(), money) {
                    ("saved_usd", Some(money)) if !money.is_negative() => hit.saved = money,
                    ("saved_usd", _) => {
                        let detail = "must be a text such as \"0.0025\"";
                        members.problems.push(Problem::at(code::FIELD_INVALID, pointer, detail));
                    }
                    ("saved_tokens", _) => match quantity(value) {
                        Ok(tokens) => hit.saved_tokens = tokens,
                        Err(problem) => members.problems.push(problem.pointed(&pointer)),
                    },
                    _ => members.problems.push(Problem::at(code::UNKNOWN_MEMBER, pointer, "is not known")),
                }
            }
        }
        _ => {
            members.problem(
                code::FIELD_INVALID,
                NAME,
                "must be true, or an object of saved_usd and saved_tokens",
            );
            return None;
        }
    }
    Some(hit)
}

fn status(members: &mut Members<'_>) -> Option<Status> {
    let found = members.get("status")?.as_str().and_then(Status::from_name);
    if found.is_none() {
        let names: Vec<&str> = Status::ALL.iter().map(|status| status.name()).collect();
        members.problem(code::FIELD_INVALID, "status", &format!("must be one of {}", names.join(", ")));
    }
    found
}

fn http_status(members: &mut Members<'_>) -> Option<u16> {
    let found = members.get("http_status")?.as_u64().filter(|status| (100..600).contains(status));
    if found.is_none() {
        members.problem(code::FIELD_INVALID, "http_status", "must be a number from 100 to 599");
    }
    found.and_then(|status| u16::try_from(status).ok())
}

/// What else prices depend on: `conditions`, and `service_tier` as the member of its own.
fn conditions(members: &mut Members<'_>) -> Conditions {
    let mut found: Conditions = members
        .texts("conditions")
        .into_iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_ascii_lowercase()))
        .collect();
    if let Some(tier) = members.name("service_tier") {
        found.insert("service_tier".to_owned(), tier.to_ascii_lowercase());
    }
    found
}

/// The members of an object on their way into an event; null is absent.
pub(super) struct Members<'a> {
    map: &'a Map<String, Value>,
    pub problems: Vec<Problem>,
}

impl<'a> Members<'a> {
    pub fn new(map: &'a Map<String, Value>) -> Members<'a> {
        Members { map, problems: Vec::new() }
    }

    pub fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    pub fn problem(&mut self, code: &'static str, name: &str, detail: &str) {
        self.problems.push(Problem::at(code, below("", name), detail));
    }

    pub fn missing(&mut self, name: &str) {
        if self.get(name).is_none() {
            self.problem(code::FIELD_MISSING, name, "has to be there");
        }
    }

    pub fn id(&mut self) -> Option<String> {
        let detail = match self.get("id") {
            Some(Value::String(id)) if id.is_empty() => "must not be empty",
            Some(Value::String(id)) if id.len() > ID_BYTES_MAX => "longer than 255 bytes",
            Some(Value::String(id)) if id.chars().any(char::is_control) => "holds a control character",
            Some(Value::String(id)) => return Some(id.clone()),
            Some(_) => "must be a text",
            None => {
                self.missing("id");
                return None;
            }
        };
        self.problem(code::ID_INVALID, "id", detail);
        None
    }

    /// A short text without control characters.
    pub fn name(&mut self, name: &str) -> Option<String> {
        let (code, detail) = match self.get(name)? {
            Value::String(text) => match name_problem(text) {
                None => return Some(text.clone()),
                Some(problem) => problem,
            },
            _ => (code::FIELD_INVALID, "must be a text".to_owned()),
        };
        self.problem(code, name, &detail);
        None
    }

    pub fn count(&mut self, name: &str) -> Option<u64> {
        match quantity(self.get(name)?) {
            Ok(count) => Some(count),
            Err(problem) => {
                self.problems.push(problem.pointed(&below("", name)));
                None
            }
        }
    }

    /// The error as text; a long one is cut, since no call goes unrecorded for its error's sake.
    fn error(&mut self) -> Option<String> {
        match self.get("error")? {
            Value::String(error) => text::error(error),
            _ => {
                self.problem(code::FIELD_INVALID, "error", "must be a text");
                None
            }
        }
    }

    /// An object of short texts.
    fn texts(&mut self, name: &str) -> std::collections::BTreeMap<String, String> {
        let mut found = std::collections::BTreeMap::new();
        let members = match self.get(name) {
            None => return found,
            Some(Value::Object(members)) => members,
            Some(_) => {
                self.problem(code::FIELD_INVALID, name, "must be an object of texts");
                return found;
            }
        };
        if members.len() > TAGS_MAX {
            self.problem(code::FIELD_TOO_LARGE, name, &format!("more than {TAGS_MAX} members"));
            return found;
        }
        for (key, value) in members.iter().filter(|(_, value)| !value.is_null()) {
            let problem = match (name_problem(key), value) {
                (Some((code, detail)), _) => Some((code, format!("its name is wrong: {detail}"))),
                (None, Value::String(text)) => name_problem(text),
                (None, _) => Some((code::FIELD_INVALID, "must be a text".to_owned())),
            };
            match (problem, value) {
                (None, Value::String(text)) => {
                    found.insert(key.clone(), text.clone());
                }
                (problem, _) => {
                    let pointed = |(code, detail)| Problem::at(code, below(&below("", name), key), detail);
                    self.problems.extend(problem.map(pointed));
                }
            }
        }
        found
    }

    fn metadata(&mut self) -> Option<Value> {
        match self.get("metadata")? {
            value @ Value::Object(_) => {
                if value.to_string().len() > METADATA_BYTES_MAX {
                    let detail = format!("longer than {METADATA_BYTES_MAX} bytes");
                    self.problem(code::FIELD_TOO_LARGE, "metadata", &detail);
                }
                Some(value.clone())
            }
            _ => {
                self.problem(code::FIELD_INVALID, "metadata", "must be an object");
                None
            }
        }
    }

    pub fn attribution(&mut self) -> Attribution {
        Attribution {
            project: self.name("project"),
            customer: self.name("customer"),
            user: self.name("user"),
            agent: self.name("agent"),
            agent_name: self.name("agent_name"),
            operation: self.name("operation"),
            operation_id: self.name("operation_id"),
            session: self.name("session"),
            key: self.name("key"),
            tags: self.texts("tags"),
            metadata: self.metadata(),
        }
    }
}

/// Why a text cannot be a name, if it cannot.
fn name_problem(text: &str) -> Option<(&'static str, String)> {
    if text.is_empty() {
        return Some((
            code::FIELD_INVALID,
            "must not be empty; leave it out when it is not known".to_owned(),
        ));
    }
    if text.len() > NAME_BYTES_MAX {
        return Some((code::FIELD_TOO_LARGE, format!("longer than {NAME_BYTES_MAX} bytes")));
    }
    let control = text.chars().any(char::is_control);
    control.then(|| (code::FIELD_INVALID, "holds a control character".to_owned()))
}
