//! Recorded provider answers: one JSON object a line with what was asked, what came back, and on
//! whose account.
//!
//! The members that decide are named in [`DECIDING`]; those of the native event say on whose
//! account a call goes; all others are for whoever keeps the recordings and are passed over. The
//! request is kept only as long as it takes to read it, an answer's text only where no usage was
//! reported and an estimate has to be made.

use super::answers;
use super::native::{Members, told_instant};
use super::problem::{Problem, code};
use super::{Context, text};
use crate::reader::ResponseHead;
use crate::request::Request;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;
use tollbook_types::{Content, Event, canonical_provider, floor_to_micros, json, parse_instant};

/// The source of these events.
pub const SOURCE: &str = "responses";

/// Members that decide what a call was.
pub const DECIDING: &[&str] = &[
    "id",
    "provider",
    "api",
    "streaming",
    "status",
    "method",
    "request_model",
    "url_path",
    "request_body",
    "request_params",
    "response_headers",
    "response_content_type",
    "response_body",
    "response_body_encoding",
    "framing",
    "recorded_at",
    "occurred_at",
];

/// Members of the native event that are taken as they are there.
const NATIVE: &[&str] = &[
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
    "hold_id",
    "latency_ms",
    "time_to_first_token_ms",
];

/// Headers of an answer that are looked at.
const HEADERS_MAX: usize = 256;

/// Reads one line.
pub fn parse_line(json: &[u8], ctx: &Context<'_>) -> Result<Event, Vec<Problem>> {
    let members: Line<'_> =
        serde_json::from_slice(json).map_err(|error| vec![Problem::of_json(&error, json)])?;
    let mut line = Recorded::new(members);
    let content = line.content();
    let event = line.event(ctx, content);
    match event {
        Some(event) if line.small.problems.is_empty() => Ok(event),
        _ => Err(std::mem::take(&mut line.small.problems)),
    }
}

/// The members of a line: bodies as they stand, everything small as values.
struct Recorded<'a> {
    raw: BTreeMap<&'static str, &'a RawValue>,
    values: Map<String, Value>,
    small: Small,
}

/// What was wrong so far.
#[derive(Default)]
struct Small {
    problems: Vec<Problem>,
}

impl<'a> Recorded<'a> {
    fn new(line: Line<'a>) -> Recorded<'a> {
        let mut small = Small::default();
        let mut values = Map::new();
        for (name, raw) in &line.0 {
            if BODIES.contains(name) {
                continue;
            }
            match json::parse(raw.get().as_bytes()) {
                Ok(value) => {
                    values.insert((*name).to_owned(), value);
                }
                Err(error) => {
                    let problem = Problem::of_json(&error, raw.get().as_bytes());
                    small.problems.push(problem.pointed(&format!("/{name}")));
                }
            }
        }
        Recorded { raw: line.0, values, small }
    }

    /// The digest of everything that decides, whatever the order of members.
    fn content(&self) -> Content {
        let mut sent = self.values.clone();
        for name in BODIES {
            if let Some(raw) = self.raw.get(name) {
                // What is too deep to be sorted counts as it stands.
                let value = json::parse(raw.get().as_bytes()).unwrap_or_else(|_| Value::from(raw.get()));
                sent.insert((*name).to_owned(), value);
            }
        }
        for name in ["occurred_at", "recorded_at"] {
            if let Some(Value::String(text)) = sent.get_mut(name)
                && let Ok(at) = parse_instant(text)
            {
                *text = at.to_string();
            }
        }
        text::content(text::each(&sent))
    }

    fn event(&mut self, ctx: &Context<'_>, content: Content) -> Option<Event> {
        let values = std::mem::take(&mut self.values);
        let mut members = Members::new(&values);
        let id = members.id();
        let provider = members.name("provider").map(|provider| canonical_provider(&provider));
        if provider.is_none() {
            members.missing("provider");
        }
        let occurred_at = told_instant(&mut members, "occurred_at", ctx);
        let recorded_at = told_instant(&mut members, "recorded_at", ctx);
        let at = ctx.at.or(occurred_at).or(recorded_at).unwrap_or(ctx.now);
        let status = status(&mut members);
        let url_path = url_path(&mut members, provider.as_deref());
        let headers = headers(&mut members);
        let attribution = members.attribution();
        let (hold_id, latency_ms) = (members.name("hold_id"), members.count("latency_ms"));
        let time_to_first_token_ms = members.count("time_to_first_token_ms");
        self.small.problems.append(&mut members.problems);
        let body = self.response_body(text::member(&values, "response_body_encoding"));
        let (id, provider, status, url_path, body) = (id?, provider?, status?, url_path?, body?);

        let sent = self.request_body();
        let method = text::member(&values, "method").unwrap_or("POST");
        let asked = text::member(&values, "request_model");
        let request = Request::new(&provider, method, &url_path, asked, sent.as_deref());
        let named = |name: &str| headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name));
        let framing = text::member(&values, "framing").filter(|framing| framing.contains("ndjson"));
        let content_type = text::member(&values, "response_content_type")
            .or_else(|| named("content-type").map(|(_, value)| value.as_str()))
            .or_else(|| framing.map(|_| "application/x-ndjson"));
        let head = ResponseHead { status, content_type, headers: &headers };
        let event = answers::read(&request, &head, &body).into_event(&request, status);
        Some(Event {
            id,
            source: ctx.source.to_owned(),
            occurred_at: floor_to_micros(at),
            attribution,
            latency_ms,
            time_to_first_token_ms,
            hold_id,
            content,
            ..event
        })
    }

    fn body(&self, name: &str) -> Option<Vec<u8>> {
        let raw = self.raw.get(name)?.get();
        match serde_json::from_str::<String>(raw) {
            Ok(text) => Some(text.into_bytes()),
            Err(_) => (raw != "null").then(|| raw.as_bytes().to_vec()),
        }
    }

    fn request_body(&self) -> Option<Vec<u8>> {
        self.body("request_body").or_else(|| self.body("request_params"))
    }

    fn response_body(&mut self, encoding: Option<&str>) -> Option<Vec<u8>> {
        let mut body = self.body("response_body").unwrap_or_default();
        match encoding {
            None | Some("utf-8" | "utf8" | "text" | "identity") => Some(body),
            Some("base64") => {
                body.retain(|byte| !byte.is_ascii_whitespace());
                let decoded = data_encoding::BASE64.decode(&body).ok();
                if decoded.is_none() {
                    let problem = Problem::at(code::FIELD_INVALID, "/response_body", "is not base64");
                    self.small.problems.push(problem);
                }
                decoded
            }
            Some(_) => {
                let detail = "must be base64, or left out";
                let problem = Problem::at(code::FIELD_INVALID, "/response_body_encoding", detail);
                self.small.problems.push(problem);
                None
            }
        }
    }
}

fn status(members: &mut Members<'_>) -> Option<u16> {
    let Some(value) = members.get("status") else { return Some(200) };
    let found = value.as_u64().filter(|status| (100..600).contains(status));
    if found.is_none() {
        members.problem(code::FIELD_INVALID, "status", "must be an HTTP status, a number from 100 to 599");
    }
    found.and_then(|status| u16::try_from(status).ok())
}

/// The path; where it is left out, one that leads to the API that is named.
fn url_path(members: &mut Members<'_>, provider: Option<&str>) -> Option<String> {
    match members.get("url_path") {
        Some(Value::String(path)) => return Some(path.clone()),
        Some(_) => {
            members.problem(code::FIELD_INVALID, "url_path", "must be a text");
            return None;
        }
        None => {}
    }
    let api = members.name("api");
    let found = api.as_deref().and_then(|api| answers::path_of(Some(api), provider.unwrap_or_default()));
    if found.is_none() {
        members.problem(code::FIELD_MISSING, "url_path", "has to be there, or an api that is known");
    }
    found.map(str::to_owned)
}

fn headers(members: &mut Members<'_>) -> Vec<(String, String)> {
    let told = match members.get("response_headers") {
        None => return Vec::new(),
        Some(Value::Object(told)) => told,
        Some(_) => {
            members.problem(code::FIELD_INVALID, "response_headers", "must be an object");
            return Vec::new();
        }
    };
    let value_of = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        // Some recorders keep a list of values.
        Value::Array(values) => values.first().and_then(Value::as_str).map(str::to_owned),
        _ => None,
    };
    told.iter().take(HEADERS_MAX).filter_map(|(name, value)| Some((name.clone(), value_of(value)?))).collect()
}

/// Members that may be large and are read where they stand.
const BODIES: &[&str] = &["request_body", "request_params", "response_body"];

/// The known members of a line; one that stands twice is refused.
struct Line<'a>(BTreeMap<&'static str, &'a RawValue>);

impl<'de> Deserialize<'de> for Line<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Line<'de>, D::Error> {
        struct Known;
        impl<'de> Visitor<'de> for Known {
            type Value = Line<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Line<'de>, A::Error> {
                let mut members = BTreeMap::new();
                while let Some(name) = map.next_key::<String>()? {
                    let value = map.next_value::<&RawValue>()?;
                    let known = DECIDING.iter().chain(NATIVE).find(|known| **known == name);
                    let twice = known.and_then(|known| members.insert(*known, value));
                    if twice.is_some() {
                        return Err(A::Error::custom("duplicate member"));
                    }
                }
                Ok(Line(members))
            }
        }
        deserializer.deserialize_map(Known)
    }
}
