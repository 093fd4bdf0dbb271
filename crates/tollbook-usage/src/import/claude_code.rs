//! Claude Code's session logs: `projects/<folder>/**/*.jsonl`.
//!
//! While an answer streams in, the tool writes it several times with a growing output count, and
//! resumed or forked sessions copy old lines into new files. So a call is a message, not a line:
//! the line with the largest output says what it used, its first line says when it happened, and
//! the session that began first owns it.
//!
//! The identity of a call is its message id alone, for lines may lack the request id. The content
//! is what is billed (model, usage, conditions) and nothing that depends on which files are still
//! there: a second import of the same logs adds nothing. A message whose count has grown since it
//! was recorded conflicts with the record; [`growth`] tells this case from a real contradiction,
//! and whoever records may adjust.
//!
//! `costUSD`, which old versions wrote, is the tool's own estimate, not a bill, and is not read.

use super::lines::{Line, Lines};
use super::problem::{Problem, code};
use super::{Context, FileReader, Import, Progress, each_line, text};
use crate::reader::{Reader, ResponseHead};
use crate::reading::{End, Reading};
use crate::request::Request;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap};
use tollbook_types::limits::ID_BYTES_MAX;
use tollbook_types::{Attribution, Event, Status, Timestamp, Usage, parse_instant};

/// The source of these events.
pub const SOURCE: &str = "claude-code";
/// The model of messages that the tool writes itself.
const SYNTHETIC: &str = "<synthetic>";

/// How a message that was recorded compares with the same message read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// Nothing changed.
    Same,
    /// It was recorded while it was being written: nothing shrank, something grew.
    Grown,
    /// Anything else.
    Other,
}

/// Compares the recorded usage of a message with what a log says now.
pub fn growth(recorded: &Usage, read: &Usage) -> Growth {
    let (before, after) = (recorded.total(), read.total());
    if before == after {
        return Growth::Same;
    }
    let shrank = before.iter().any(|(meter, quantity)| after.quantity(meter) < quantity);
    if shrank { Growth::Other } else { Growth::Grown }
}

/// Reads the logs of all sessions; events come at the end.
#[derive(Debug)]
pub struct ClaudeCode<'a> {
    ctx: Context<'a>,
    lines: Lines,
    progress: Progress,
    /// When each session began.
    sessions: HashMap<String, Timestamp>,
    messages: BTreeMap<Key, Vec<Call>>,
}

impl<'a> ClaudeCode<'a> {
    /// A reader.
    pub fn new(now: Timestamp) -> ClaudeCode<'a> {
        ClaudeCode::with(Context::new(SOURCE, now))
    }

    /// A reader with a context of its own, such as one that sets every event's instant.
    pub fn with(ctx: Context<'a>) -> ClaudeCode<'a> {
        ClaudeCode {
            ctx,
            lines: Lines::new(),
            progress: Progress::default(),
            sessions: HashMap::new(),
            messages: BTreeMap::new(),
        }
    }

    fn line(&mut self, line: &Line<'_>) {
        let Some(bytes) = self.progress.take(line) else { return };
        let written: Written<'_> = match serde_json::from_slice(bytes) {
            Ok(written) => written,
            Err(_) if !line.ended => {
                self.progress.counts.partial += 1;
                return;
            }
            Err(error) => return self.progress.bad(vec![Problem::of_json(&error, bytes)]),
        };
        let at = written.timestamp.and_then(text_of).map(|text| parse_instant(&text));
        if let (Some(Ok(at)), Some(session)) = (&at, written.session_id.and_then(text_of)) {
            let began = self.sessions.entry(session).or_insert(*at);
            *began = (*began).min(*at);
        }
        let Some(message) =
            written.message.and_then(|raw| serde_json::from_str::<Message<'_>>(raw.get()).ok())
        else {
            return;
        };
        let Some(usage) = message.usage.filter(|usage| usage.get() != "null") else { return };
        match self.usage(&written, &message, usage.get(), at) {
            Ok(()) => self.progress.counts.usages += 1,
            Err(problem) => self.progress.bad(vec![problem]),
        }
    }

    /// Takes in a line that reports usage.
    fn usage(
        &mut self,
        written: &Written<'_>,
        message: &Message<'_>,
        usage: &str,
        at: Option<Result<Timestamp, String>>,
    ) -> Result<(), Problem> {
        let at = at
            .ok_or_else(|| Problem::at(code::FIELD_MISSING, "/timestamp", "has to be there"))?
            .map_err(|detail| Problem::at(code::TIMESTAMP_INVALID, "/timestamp", detail))?;
        if let Some(problem) = self.ctx.refuse(at).filter(|_| self.ctx.at.is_none()) {
            return Err(problem.pointed("/timestamp"));
        }
        let id = message.id.and_then(text_of).and_then(|id| text::name(&id));
        let model = message.model.and_then(text_of).and_then(|model| text::name(&model));
        let model = model.unwrap_or_else(|| "unknown".to_owned());
        let provider = provider(id.as_deref(), &model);
        let reading = read_usage(provider, &model, usage);
        let Some(usage) = reading.usage.clone() else {
            return Err(Problem::at(code::FIELD_INVALID, "/message/usage", "reports nothing that is known"));
        };
        if model == SYNTHETIC && usage.total().total_tokens() == 0 {
            self.progress.counts.synthetic += 1;
            return Ok(());
        }
        let session = written.session_id.and_then(text_of).and_then(|text| text::name(&text));
        let key = match &id {
            Some(id) => Key::Message(id.clone()),
            None => Key::Line(text::fingerprint(&[
                &at.to_string(),
                &model,
                &serde_json::to_string(&usage).unwrap_or_default(),
                session.as_deref().unwrap_or_default(),
            ])),
        };
        let is = |raw: Option<&RawValue>| raw.is_some_and(|raw| raw.get() == "true");
        let seen = Call {
            request_id: written.request_id.and_then(text_of),
            sidechain: is(written.is_sidechain),
            first_at: at,
            owners: vec![Owner {
                at,
                session,
                cwd: written.cwd.and_then(text_of).and_then(|text| text::name(&text)),
                branch: written.git_branch.and_then(text_of).and_then(|text| text::name(&text)),
            }],
            best: Snapshot {
                output: usage.total().output_tokens(),
                at,
                model,
                provider,
                failed: is(written.is_api_error_message),
                reading,
            },
        };
        let calls = self.messages.entry(key).or_default();
        match calls.iter_mut().find(|call| call.request_id == seen.request_id) {
            Some(call) => {
                call.merge(seen);
                self.progress.counts.repeated += 1;
            }
            None => calls.push(seen),
        }
        Ok(())
    }

    fn event(&self, id: String, message_id: Option<&str>, call: Call, retry: bool) -> Event {
        let began =
            |owner: &Owner| owner.session.as_ref().and_then(|session| self.sessions.get(session)).copied();
        let owner = call.owners.iter().min_by_key(|owner| (began(owner), owner.at, owner.session.clone()));
        let tags = [
            ("cwd", owner.and_then(|owner| owner.cwd.clone())),
            ("git_branch", owner.and_then(|owner| owner.branch.clone())),
            ("sidechain", call.sidechain.then(|| "true".to_owned())),
        ];
        let Snapshot { model, provider, failed, reading, .. } = call.best;
        let mut flags = reading.flags;
        if retry {
            flags.push("possible_retry: another request reports the same message id".to_owned());
        }
        let content = [
            ("id", Value::from(id.as_str())),
            ("model", Value::from(model.as_str())),
            ("usage", serde_json::to_value(&reading.usage).unwrap_or_default()),
            ("conditions", serde_json::to_value(&reading.conditions).unwrap_or_default()),
        ];
        let members: Map<String, Value> =
            content.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Event {
            id,
            source: self.ctx.source.to_owned(),
            occurred_at: self.ctx.at.unwrap_or(call.first_at),
            provider: provider.to_owned(),
            model,
            request_model: None,
            api: Some("messages".to_owned()),
            status: if failed { Status::UpstreamError } else { Status::Ok },
            error: failed.then(|| "the tool marks this as an API error".to_owned()),
            http_status: None,
            usage: reading.usage,
            evidence: reading.evidence,
            free: None,
            provider_cost: None,
            conditions: reading.conditions,
            provider_response_id: message_id.map(str::to_owned),
            attribution: Attribution {
                agent: Some(SOURCE.to_owned()),
                session: owner.and_then(|owner| owner.session.clone()),
                tags: tags.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect(),
                ..Attribution::default()
            },
            latency_ms: None,
            time_to_first_token_ms: None,
            cache_hit: None,
            flags,
            inconsistent: reading.inconsistent,
            raw_usage: reading.raw_usage,
            estimator: reading.estimator,
            worst_case: None,
            hold_id: None,
            content: text::content(text::each(&members)),
        }
    }
}

impl FileReader for ClaudeCode<'_> {
    fn open(&mut self, file: &str) {
        self.progress.start(file);
        self.lines = Lines::new();
    }

    fn push(&mut self, bytes: &[u8]) {
        each_line(self, |reader| &mut reader.lines, Some(bytes), Self::line);
    }

    fn close(&mut self) {
        each_line(self, |reader| &mut reader.lines, None, Self::line);
    }

    fn finish(mut self) -> Import {
        let mut events = Vec::with_capacity(self.messages.len());
        for (key, calls) in std::mem::take(&mut self.messages) {
            let seen = calls.len() as u64;
            let calls = settle(calls);
            self.progress.counts.repeated += seen - calls.len() as u64;
            for (nth, call) in calls.into_iter().enumerate() {
                let (id, message_id) = key.identity(nth, call.request_id.as_deref());
                events.push(self.event(id, message_id, call, nth > 0));
            }
        }
        events.sort_by(|a, b| (a.occurred_at, &a.id).cmp(&(b.occurred_at, &b.id)));
        self.progress.import(events)
    }
}

/// What a call is known by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Message(String),
    /// There is no message id: what the line says, wherever it stands.
    Line(String),
}

impl Key {
    /// The identity of the nth call of this message, and the provider's id for it.
    fn identity(&self, nth: usize, request_id: Option<&str>) -> (String, Option<&str>) {
        let (id, message_id) = match self {
            Key::Message(id) => (id, Some(id.as_str())),
            Key::Line(id) => (id, None),
        };
        let full = match (nth, request_id) {
            (0, _) | (_, None) => id.clone(),
            (_, Some(request_id)) => format!("{id}:{request_id}"),
        };
        let fits = full.len() <= ID_BYTES_MAX && !full.chars().any(char::is_control);
        (if fits { full } else { text::fingerprint(&[&full]) }, message_id)
    }
}

/// One request for a message, from all its lines.
#[derive(Debug)]
struct Call {
    request_id: Option<String>,
    /// Every line of it stands in a side chain.
    sidechain: bool,
    first_at: Timestamp,
    owners: Vec<Owner>,
    best: Snapshot,
}

/// Whose line it is.
#[derive(Debug)]
struct Owner {
    at: Timestamp,
    session: Option<String>,
    cwd: Option<String>,
    branch: Option<String>,
}

/// What one line says of the usage.
#[derive(Debug)]
struct Snapshot {
    output: u64,
    at: Timestamp,
    model: String,
    provider: &'static str,
    failed: bool,
    reading: Reading,
}

impl Call {
    fn merge(&mut self, other: Call) {
        self.first_at = self.first_at.min(other.first_at);
        self.sidechain &= other.sidechain;
        for owner in other.owners {
            match self.owners.iter_mut().find(|known| known.session == owner.session) {
                Some(known) if known.at <= owner.at => {}
                Some(known) => *known = owner,
                None => self.owners.push(owner),
            }
        }
        let rank = |snapshot: &Snapshot| (snapshot.output, snapshot.at, snapshot.reading.raw_usage.clone());
        if rank(&other.best) > rank(&self.best) {
            self.best = other.best;
        }
    }
}

/// The calls behind the request ids under which a message stands: a replay in a side chain and
/// lines without a request id belong to the first call, other request ids are calls of their own.
fn settle(calls: Vec<Call>) -> Vec<Call> {
    let own = |call: &Call| call.request_id.is_some() && !call.sidechain;
    let (mut kept, mut rest): (Vec<Call>, Vec<Call>) = calls.into_iter().partition(own);
    kept.sort_by(|a, b| (a.first_at, &a.request_id).cmp(&(b.first_at, &b.request_id)));
    rest.sort_by(|a, b| (a.first_at, &a.request_id).cmp(&(b.first_at, &b.request_id)));
    for call in rest {
        match kept.first_mut() {
            Some(first) => first.merge(call),
            None => kept.push(call),
        }
    }
    kept
}

/// Who answered: the ids and model names of the hosts differ.
pub(crate) fn provider(id: Option<&str>, model: &str) -> &'static str {
    const MODELS: &[(&str, &str)] = &[
        ("glm-", "zai"),
        ("kimi-", "moonshot"),
        ("deepseek-", "deepseek"),
        ("qwen", "alibaba"),
        ("minimax-", "minimax"),
    ];
    let id = id.unwrap_or_default();
    let lower = model.to_ascii_lowercase();
    if id.starts_with("msg_bdrk_") || lower.contains("anthropic.") || lower.starts_with("arn:aws:bedrock") {
        return "bedrock";
    }
    if id.starts_with("msg_vrtx_") || lower.contains('@') {
        return "vertex";
    }
    MODELS.iter().find(|(prefix, _)| lower.starts_with(prefix)).map_or("anthropic", |(_, provider)| provider)
}

/// Reads a usage object as the dialect reads it in an answer.
fn read_usage(provider: &str, model: &str, usage: &str) -> Reading {
    let request = Request::facts(provider, "POST", "/v1/messages", Some(model), None);
    let head = ResponseHead { status: 200, content_type: Some("application/json"), headers: &[] };
    let mut reader = Reader::new(&request, &head).collect_text(false);
    reader.push(br#"{"type":"message","role":"assistant","usage":"#);
    reader.push(usage.as_bytes());
    reader.push(b"}");
    reader.finish(End::Complete)
}

/// The members of a line that matter; whatever their type, a line without usage is no problem.
#[derive(Deserialize)]
struct Written<'a> {
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow, rename = "sessionId")]
    session_id: Option<&'a RawValue>,
    #[serde(borrow)]
    cwd: Option<&'a RawValue>,
    #[serde(borrow, rename = "gitBranch")]
    git_branch: Option<&'a RawValue>,
    #[serde(borrow, rename = "requestId")]
    request_id: Option<&'a RawValue>,
    #[serde(borrow, rename = "isSidechain")]
    is_sidechain: Option<&'a RawValue>,
    #[serde(borrow, rename = "isApiErrorMessage")]
    is_api_error_message: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

fn text_of(raw: &RawValue) -> Option<String> {
    serde_json::from_str::<String>(raw.get()).ok().filter(|text| !text.is_empty())
}
