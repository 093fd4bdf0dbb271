//! LiteLLM's spend logs (`LiteLLM_SpendLogs`), as its API, its database or a spreadsheet exports them.
//!
//! `prompt_tokens` includes what was read from and written to a prompt cache; the details stand in
//! `metadata.usage_object`. `spend` is LiteLLM's own multiplication, not the provider's bill, so it
//! decides nothing; its text is kept in the metadata for comparison. An error's message may hold
//! keys and prompts: only its class and code are kept.

use super::problem::{Problem, code};
use super::quantities::read_usage;
use super::rows::Rows;
use super::{Context, FileReader, Import, Progress, text};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use tollbook_types::limits::{ID_BYTES_MAX, METADATA_BYTES_MAX, TAGS_MAX};
use tollbook_types::{
    Attribution, CacheHit, Conditions, Event, Evidence, FreeReason, Meter, Meters, Money, Status, Timestamp,
    Usage, canonical_provider, json, parse_instant,
};

/// The source of these events.
pub const SOURCE: &str = "litellm";

/// Reads exports; every row is final.
#[derive(Debug)]
pub struct LiteLlm<'a> {
    ctx: Context<'a>,
    rows: Rows,
    progress: Progress,
    events: Vec<Event>,
}

impl<'a> LiteLlm<'a> {
    /// A reader.
    pub fn new(now: Timestamp) -> LiteLlm<'a> {
        LiteLlm::with(Context::new(SOURCE, now))
    }

    /// A reader with a context of its own, such as one that sets every event's instant.
    pub fn with(ctx: Context<'a>) -> LiteLlm<'a> {
        LiteLlm { ctx, rows: Rows::default(), progress: Progress::default(), events: Vec::new() }
    }

    fn row(&mut self, number: u64, row: Result<Map<String, Value>, Problem>) {
        self.progress.line = number;
        self.progress.counts.lines += 1;
        let parsed = row.map_err(|problem| vec![problem]).and_then(|row| parse_row(row, &self.ctx));
        match parsed {
            Ok(Some(event)) => {
                self.progress.counts.usages += 1;
                self.events.push(event);
            }
            Ok(None) => {
                self.progress.counts.usages += 1;
                self.progress.counts.refused += 1;
            }
            Err(problems) => self.progress.bad(problems),
        }
    }

    fn rows(&mut self, bytes: Option<&[u8]>) {
        let mut rows = std::mem::take(&mut self.rows);
        let mut give = |number, row| self.row(number, row);
        match bytes {
            Some(bytes) => rows.push(bytes, &mut give),
            None => rows.finish(&mut give),
        }
        self.rows = rows;
    }
}

impl FileReader for LiteLlm<'_> {
    fn open(&mut self, file: &str) {
        self.progress.start(file);
        self.rows = Rows::default();
    }

    fn push(&mut self, bytes: &[u8]) {
        self.rows(Some(bytes));
    }

    fn close(&mut self) {
        self.rows(None);
    }

    fn drain(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    fn finish(self) -> Import {
        self.progress.import(self.events)
    }
}

/// Reads one row; `None` for a request that LiteLLM refused before any provider saw it.
pub fn parse_row(row: Map<String, Value>, ctx: &Context<'_>) -> Result<Option<Event>, Vec<Problem>> {
    let row = Row::new(row);
    let mut problems = Vec::new();
    let id = row.id().map_err(|problem| problems.push(problem)).ok();
    let at = row.started(ctx).map_err(|problem| problems.push(problem)).ok();
    let tokens = row.tokens(&mut problems);
    let (Some(id), Some(at), true) = (id, at, problems.is_empty()) else { return Err(problems) };
    let failed = row.failed();
    let provider = row.provider();
    let model = row.model(&provider);
    if failed && model.is_empty() {
        return Ok(None);
    }
    let what = row.what(&tokens, failed);
    let cache_hit =
        row.is_cache_hit().then_some(CacheHit { saved: Money::ZERO, saved_tokens: tokens.total() });
    let attribution = row.attribution();
    let request_model = row.text("model_group").and_then(text::name).filter(|group| *group != model);
    let status = if failed { Status::UpstreamError } else { Status::Ok };
    let mut event = Event {
        id,
        source: ctx.source.to_owned(),
        occurred_at: ctx.at.unwrap_or(at),
        provider,
        model: if model.is_empty() { "unknown".to_owned() } else { model },
        request_model,
        api: row.api(),
        status,
        error: failed.then(|| row.error()),
        http_status: row.http_status(),
        usage: what.usage,
        evidence: what.evidence,
        free: what.free,
        provider_cost: None,
        conditions: row.conditions(),
        provider_response_id: row.response_id(),
        attribution,
        latency_ms: row.since(at, "endTime"),
        time_to_first_token_ms: row.first_token(at),
        cache_hit,
        flags: what.flags,
        inconsistent: what.inconsistent,
        raw_usage: row.raw_usage(),
        estimator: None,
        worst_case: None,
        hold_id: None,
        content: text::content([]),
    };
    event.content = content(&event, at);
    Ok(Some(event))
}

/// The digest of what the row says of the call, the same for every form of export.
fn content(event: &Event, at: Timestamp) -> tollbook_types::Content {
    let members = [
        ("id", Value::from(event.id.as_str())),
        ("at", Value::from(at.to_string())),
        ("provider", Value::from(event.provider.as_str())),
        ("model", Value::from(event.model.as_str())),
        ("status", Value::from(event.status.name())),
        ("cache_hit", Value::from(event.cache_hit.is_some())),
        ("usage", serde_json::to_value(&event.usage).unwrap_or_default()),
        ("conditions", serde_json::to_value(&event.conditions).unwrap_or_default()),
    ];
    text::content(members.iter().map(|(name, value)| (*name, value)))
}

/// The counts of a row.
struct Tokens {
    prompt: Option<u64>,
    completion: Option<u64>,
}

impl Tokens {
    fn total(&self) -> u64 {
        self.prompt.unwrap_or(0).saturating_add(self.completion.unwrap_or(0))
    }
}

/// What a row comes to.
struct What {
    usage: Option<Usage>,
    evidence: Evidence,
    free: Option<FreeReason>,
    flags: Vec<String>,
    inconsistent: bool,
}

struct Row {
    members: Map<String, Value>,
    metadata: Map<String, Value>,
}

impl Row {
    fn new(mut members: Map<String, Value>) -> Row {
        let metadata = match members.remove("metadata") {
            Some(Value::Object(metadata)) => metadata,
            // A database or spreadsheet exports it as text.
            Some(Value::String(text)) => match json::parse(text.as_bytes()) {
                Ok(Value::Object(metadata)) => metadata,
                _ => Map::new(),
            },
            _ => Map::new(),
        };
        Row { members, metadata }
    }

    fn text(&self, name: &str) -> Option<&str> {
        text::member(&self.members, name)
    }

    fn told(&self, name: &str) -> Option<&str> {
        text::member(&self.metadata, name)
    }

    fn id(&self) -> Result<String, Problem> {
        let problem = |detail| Err(Problem::at(code::ID_INVALID, "/request_id", detail));
        match self.text("request_id") {
            None => Err(Problem::at(code::FIELD_MISSING, "/request_id", "has to be there")),
            Some(id) if id.len() > ID_BYTES_MAX => problem("longer than 255 bytes"),
            Some(id) if id.chars().any(char::is_control) => problem("holds a control character"),
            Some(id) => Ok(id.to_owned()),
        }
    }

    /// An instant; one without a zone is UTC, as LiteLLM's database keeps it.
    fn instant(&self, name: &str) -> Option<Result<Timestamp, String>> {
        let text = match self.members.get(name)? {
            Value::String(text) => text,
            Value::Number(seconds) => return Some(epoch(&seconds.to_string())),
            _ => return None,
        };
        Some(parse_instant(text).or_else(|_| parse_instant(&format!("{}Z", text.replacen(' ', "T", 1)))))
    }

    fn started(&self, ctx: &Context<'_>) -> Result<Timestamp, Problem> {
        const POINTER: &str = "/startTime";
        let at = self
            .instant("startTime")
            .ok_or_else(|| Problem::at(code::FIELD_MISSING, POINTER, "has to be there"))?
            .map_err(|detail| Problem::at(code::TIMESTAMP_INVALID, POINTER, detail))?;
        match ctx.refuse(at).filter(|_| ctx.at.is_none()) {
            Some(problem) => Err(problem.pointed(POINTER)),
            None => Ok(at),
        }
    }

    fn since(&self, started: Timestamp, name: &str) -> Option<u64> {
        let at = self.instant(name)?.ok()?;
        u64::try_from(at.as_millisecond().checked_sub(started.as_millisecond())?).ok()
    }

    /// Calls that do not stream carry their end here too.
    fn first_token(&self, started: Timestamp) -> Option<u64> {
        let first = self.since(started, "completionStartTime")?;
        (self.since(started, "endTime") != Some(first)).then_some(first)
    }

    fn tokens(&self, problems: &mut Vec<Problem>) -> Tokens {
        let mut count = |name: &str| match self.members.get(name)? {
            Value::Null => None,
            value => match number(value) {
                Some(count) => Some(count),
                None => {
                    let detail = "must be a whole number";
                    problems.push(Problem::at(code::FIELD_INVALID, format!("/{name}"), detail));
                    None
                }
            },
        };
        Tokens { prompt: count("prompt_tokens"), completion: count("completion_tokens") }
    }

    fn failed(&self) -> bool {
        let status = self.text("status").or_else(|| self.told("status"));
        status.is_some_and(|status| status.eq_ignore_ascii_case("failure"))
    }

    fn is_cache_hit(&self) -> bool {
        match self.members.get("cache_hit") {
            Some(Value::Bool(hit)) => *hit,
            Some(Value::String(hit)) => hit.eq_ignore_ascii_case("true"),
            _ => false,
        }
    }

    fn provider(&self) -> String {
        let named = self.text("custom_llm_provider");
        let prefix =
            || self.text("model").and_then(|model| model.split_once('/')).map(|(provider, _)| provider);
        let provider =
            named.or_else(prefix).and_then(text::name).map(|provider| canonical_provider(&provider));
        provider.unwrap_or_else(|| "unknown".to_owned())
    }

    /// The model without LiteLLM's prefix for the provider.
    fn model(&self, provider: &str) -> String {
        let model = self.text("model").unwrap_or_default();
        let bare = match model.split_once('/') {
            Some((prefix, rest)) if canonical_provider(prefix) == provider && !rest.is_empty() => rest,
            _ => model,
        };
        text::name(bare).unwrap_or_default()
    }

    fn api(&self) -> Option<String> {
        let kind = self.text("call_type")?;
        let name = match kind.strip_prefix('a').unwrap_or(kind) {
            "completion" => "chat",
            "text_completion" | "_text_completion" => "completions",
            "embedding" => "embeddings",
            "responses" => "responses",
            "nthropic_messages" => "messages",
            "image_generation" => "images",
            "transcription" => "audio_transcription",
            "speech" => "speech",
            "rerank" => "rerank",
            _ => kind,
        };
        text::name(name)
    }

    fn what(&self, tokens: &Tokens, failed: bool) -> What {
        let none = |evidence, free, flags| What { usage: None, evidence, free, flags, inconsistent: false };
        if self.is_cache_hit() {
            return none(Evidence::ProviderUsage, Some(FreeReason::CacheHit), Vec::new());
        }
        let detailed = self.usage_object().is_some_and(|usage| !usage.is_empty());
        if tokens.total() == 0 {
            let kind = self.text("call_type").unwrap_or_default();
            let polls = ["list", "retrieve", "get_", "delete", "cancel", "file"];
            if failed {
                return none(Evidence::ProviderUsage, Some(FreeReason::HttpError), Vec::new());
            }
            if polls.iter().any(|word| kind.contains(word)) {
                return none(Evidence::Unknown, Some(FreeReason::NotBillable), Vec::new());
            }
            if !detailed {
                // A success without a single token is a count that was lost, not a free call.
                let flag = "litellm_no_usage: a successful call without tokens".to_owned();
                return none(Evidence::Unknown, None, vec![flag]);
            }
        }
        let (meters, problems) = self.meters(tokens);
        let flags = problems.iter().map(|problem| format!("{}: {}", problem.code, problem.detail)).collect();
        What {
            usage: Some(Usage::one(meters)),
            evidence: Evidence::ProviderUsage,
            free: None,
            flags,
            inconsistent: !problems.is_empty(),
        }
    }

    fn usage_object(&self) -> Option<&Map<String, Value>> {
        let full = self.metadata.get("usage_object").and_then(Value::as_object);
        full.or_else(|| self.metadata.get("additional_usage_values").and_then(Value::as_object))
    }

    /// Disjoint meters from the totals and the details; where these contradict each other, the
    /// totals alone and what is wrong.
    fn meters(&self, tokens: &Tokens) -> (Meters, Vec<Problem>) {
        let totals = [("input_tokens", tokens.prompt), ("output_tokens", tokens.completion)];
        let totals = totals.map(|(key, quantity)| (key, quantity.unwrap_or(0)));
        let mut usage: Map<String, Value> =
            totals.iter().map(|(key, quantity)| ((*key).to_owned(), Value::from(*quantity))).collect();
        for (key, paths) in DETAILS {
            let found = paths.iter().filter_map(|path| number(self.usage_at(path)?)).max();
            if let Some(quantity) = found {
                usage.insert((*key).to_owned(), Value::from(quantity));
            }
        }
        if !usage.contains_key("cache_write_tokens") {
            usage.retain(|key, _| !key.starts_with("cache_write_"));
        }
        let mut problems = Vec::new();
        let meters = read_usage(&Value::Object(usage), &mut problems);
        let whole = || Meters::from_pairs([(Meter::Input, totals[0].1), (Meter::Output, totals[1].1)]);
        (meters.unwrap_or_else(whole), problems)
    }

    fn usage_at(&self, path: &str) -> Option<&Value> {
        let mut steps = path.split('.');
        let mut here = self.usage_object()?.get(steps.next()?)?;
        for step in steps {
            here = here.get(step)?;
        }
        Some(here)
    }

    fn raw_usage(&self) -> Option<String> {
        let usage = self.usage_object().filter(|usage| !usage.is_empty())?;
        let text = json::canonical(&Value::Object(usage.clone()));
        (text.len() <= tollbook_types::limits::RAW_USAGE_BYTES_MAX).then_some(text)
    }

    fn conditions(&self) -> Conditions {
        let mut conditions = Conditions::new();
        for name in ["service_tier", "speed", "inference_geo"] {
            let value = self.usage_at(name).and_then(Value::as_str).and_then(text::name);
            if let Some(value) = value.filter(|value| !matches!(value.as_str(), "auto" | "not_available")) {
                conditions.insert(name.to_owned(), value.to_ascii_lowercase());
            }
        }
        if self.text("call_type").is_some_and(|kind| kind.contains("batch")) {
            conditions.insert("processing".to_owned(), "batch".to_owned());
        }
        conditions
    }

    /// The provider's own id, where the row's id has the form of one.
    fn response_id(&self) -> Option<String> {
        let known = ["chatcmpl-", "cmpl-", "resp_", "msg_", "gen-"];
        let id = self.text("request_id")?;
        let is_one = !self.is_cache_hit() && known.iter().any(|prefix| id.starts_with(prefix));
        is_one.then(|| text::name(id)).flatten()
    }

    fn error_information(&self, name: &str) -> Option<String> {
        match self.metadata.get("error_information")?.get(name)? {
            Value::String(text) => text::name(text),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    fn error(&self) -> String {
        let class = self.error_information("error_class").unwrap_or_else(|| "error".to_owned());
        match self.error_information("error_code") {
            Some(code) => format!("{class} ({code})"),
            None => class,
        }
    }

    fn http_status(&self) -> Option<u16> {
        let code = self.error_information("error_code")?.parse::<u16>().ok()?;
        (100..600).contains(&code).then_some(code)
    }

    fn attribution(&self) -> Attribution {
        let text_of = |name: &str| self.text(name).and_then(text::name);
        let told = |name: &str| self.told(name).and_then(text::name);
        let end_user = text_of("end_user");
        let user = text_of("user").or_else(|| told("user_api_key_user_id"));
        let hash =
            text_of("api_key").filter(|key| key.len() == 64 && key.bytes().all(|b| b.is_ascii_hexdigit()));
        let own = [
            ("litellm_key", told("user_api_key_alias").or(hash)),
            ("litellm_user", end_user.is_some().then(|| user.clone()).flatten()),
            ("team", told("user_api_key_team_alias").or_else(|| text_of("team_id"))),
            ("organization", told("user_api_key_org_id").or_else(|| text_of("organization_id"))),
        ];
        let mut tags = self.request_tags();
        for (name, value) in own {
            if let Some(value) = value.filter(|_| tags.len() < TAGS_MAX) {
                tags.entry(name.to_owned()).or_insert(value);
            }
        }
        Attribution {
            user: end_user.or(user),
            agent: text_of("agent_id"),
            session: text_of("session_id"),
            tags,
            metadata: self.kept(),
            ..Attribution::default()
        }
    }

    /// `name:value` and `name=value` become tags of that name, other words tags that are `true`.
    fn request_tags(&self) -> BTreeMap<String, String> {
        let parsed = match self.members.get("request_tags") {
            Some(Value::String(text)) => json::parse(text.as_bytes()).ok(),
            other => other.cloned(),
        };
        let Some(Value::Array(words)) = parsed else { return BTreeMap::new() };
        let mut tags = BTreeMap::new();
        for word in words.iter().filter_map(Value::as_str) {
            let (name, value) = word.split_once([':', '=']).unwrap_or((word, "true"));
            if let (Some(name), Some(value), true) =
                (text::name(name), text::name(value), tags.len() < TAGS_MAX)
            {
                tags.entry(name).or_insert(value);
            }
        }
        tags
    }

    /// LiteLLM's own figure, for comparison, and what the caller sent along.
    fn kept(&self) -> Option<Value> {
        let spend = match self.members.get("spend")? {
            Value::Number(spend) => spend.to_string(),
            Value::String(spend) => text::name(spend)?,
            _ => return None,
        };
        let mut kept = Map::from_iter([("litellm_spend_usd".to_owned(), Value::from(spend))]);
        if let Some(sent @ Value::Object(_)) = self.metadata.get("spend_logs_metadata")
            && sent.to_string().len() < METADATA_BYTES_MAX / 2
        {
            kept.insert("spend_logs_metadata".to_owned(), sent.clone());
        }
        Some(Value::Object(kept))
    }
}

/// Public keys, and where LiteLLM's usage object has them.
const DETAILS: &[(&str, &[&str])] = &[
    ("cache_read_tokens", &["cache_read_input_tokens", "prompt_tokens_details.cached_tokens"]),
    ("cache_write_tokens", &["cache_creation_input_tokens", "prompt_tokens_details.cache_creation_tokens"]),
    (
        "cache_write_5m_tokens",
        &["prompt_tokens_details.cache_creation_token_details.ephemeral_5m_input_tokens"],
    ),
    (
        "cache_write_1h_tokens",
        &["prompt_tokens_details.cache_creation_token_details.ephemeral_1h_input_tokens"],
    ),
    ("input_audio_tokens", &["prompt_tokens_details.audio_tokens"]),
    ("input_image_tokens", &["prompt_tokens_details.image_tokens"]),
    ("reasoning_tokens", &["completion_tokens_details.reasoning_tokens"]),
    ("output_audio_tokens", &["completion_tokens_details.audio_tokens"]),
    ("output_image_tokens", &["completion_tokens_details.image_tokens"]),
    ("web_search", &["server_tool_use.web_search_requests", "prompt_tokens_details.web_search_requests"]),
];

/// A whole number, or its digits as text.
fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok(),
        _ => None,
    }
    .filter(|number| *number <= tollbook_types::limits::QUANTITY_MAX)
}

/// Seconds since 1970 as decimal text, to the microsecond.
fn epoch(seconds: &str) -> Result<Timestamp, String> {
    let wrong = || "not seconds since 1970".to_owned();
    let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let micros: String = fraction.chars().chain("000000".chars()).take(6).collect();
    let whole = whole.parse::<i64>().map_err(|_| wrong())?.checked_mul(1_000_000).ok_or_else(wrong)?;
    let micros = micros.parse::<i64>().map_err(|_| wrong())?;
    Timestamp::from_microsecond(whole.saturating_add(micros)).map_err(|_| wrong())
}
