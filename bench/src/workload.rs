//! Calls as a company of some size makes them: 90 days, 42 models, 5,000 users of whom few make
//! most calls, and usage objects as the providers send them.
//!
//! Who goes with what is not independent, as in life: a user works with three agents, an agent
//! with two operations and three models.

use crate::random::{Random, Zipf};
use tollbook_types::{
    Attribution, Digest, Event, Evidence, FreeReason, Meter, Meters, Status, Timestamp, Usage,
};

/// Days that a workload spans.
pub const DAYS: u64 = 90;
/// The first instant: midnight of 25 August 2026 in [`ZONE`].
pub const START_MICROS: i64 = 1_787_608_800_000_000;
/// The zone in which the store keeps days. Its clocks change within the span.
pub const ZONE: &str = "Europe/Berlin";
const DAY_MICROS: u64 = 86_400_000_000;

const USERS: usize = 5_000;
const CUSTOMERS: u64 = 200;
const PROJECTS: u64 = 12;
const AGENTS: u64 = 40;
const SESSIONS_A_DAY: u64 = 200;

/// The shape of a usage object.
#[derive(Clone, Copy, Debug)]
enum Shape {
    OpenAiChat,
    OpenAiResponses,
    Anthropic,
    Gemini,
    Plain,
    DeepSeek,
}

/// Provider, model as answered, model as asked, shape.
type Model = (&'static str, &'static str, &'static str, Shape);

/// The most used first.
const MODELS: [Model; 42] = [
    ("openai", "gpt-4o-mini-2024-07-18", "gpt-4o-mini", Shape::OpenAiChat),
    ("anthropic", "claude-sonnet-4-5-20250929", "claude-sonnet-4-5", Shape::Anthropic),
    ("openai", "gpt-5-mini-2025-08-07", "gpt-5-mini", Shape::OpenAiResponses),
    ("google", "gemini-2.5-flash", "gemini-2.5-flash", Shape::Gemini),
    ("openai", "gpt-4o-2024-08-06", "gpt-4o", Shape::OpenAiChat),
    ("anthropic", "claude-haiku-4-5-20251001", "claude-haiku-4-5", Shape::Anthropic),
    ("openai", "gpt-5-2025-08-07", "gpt-5", Shape::OpenAiResponses),
    ("openai", "text-embedding-3-small", "text-embedding-3-small", Shape::Plain),
    ("google", "gemini-2.5-pro", "gemini-2.5-pro", Shape::Gemini),
    ("openai", "gpt-4.1-mini-2025-04-14", "gpt-4.1-mini", Shape::OpenAiChat),
    ("anthropic", "claude-opus-4-5-20251101", "claude-opus-4-5", Shape::Anthropic),
    ("deepseek", "deepseek-chat", "deepseek-chat", Shape::DeepSeek),
    ("google", "gemini-2.5-flash-lite", "gemini-2.5-flash-lite", Shape::Gemini),
    ("openai", "gpt-5-nano-2025-08-07", "gpt-5-nano", Shape::OpenAiResponses),
    ("groq", "llama-3.3-70b-versatile", "llama-3.3-70b-versatile", Shape::Plain),
    ("mistral", "mistral-small-latest", "mistral-small-latest", Shape::Plain),
    ("openai", "gpt-4.1-2025-04-14", "gpt-4.1", Shape::OpenAiChat),
    ("openai", "o4-mini-2025-04-16", "o4-mini", Shape::OpenAiResponses),
    ("anthropic", "claude-opus-4-1-20250805", "claude-opus-4-1", Shape::Anthropic),
    ("xai", "grok-4-0709", "grok-4", Shape::OpenAiChat),
    ("google", "gemini-2.0-flash", "gemini-2.0-flash", Shape::Gemini),
    ("openai", "gpt-5.1-2025-11-13", "gpt-5.1", Shape::OpenAiResponses),
    ("groq", "llama-3.1-8b-instant", "llama-3.1-8b-instant", Shape::Plain),
    ("deepseek", "deepseek-reasoner", "deepseek-reasoner", Shape::DeepSeek),
    ("mistral", "mistral-large-latest", "mistral-large-latest", Shape::Plain),
    ("openai", "gpt-4.1-nano-2025-04-14", "gpt-4.1-nano", Shape::OpenAiChat),
    ("openai", "o3-2025-04-16", "o3", Shape::OpenAiResponses),
    ("groq", "openai/gpt-oss-120b", "openai/gpt-oss-120b", Shape::Plain),
    ("anthropic", "claude-sonnet-4-20250514", "claude-sonnet-4-0", Shape::Anthropic),
    ("mistral", "codestral-2508", "codestral-latest", Shape::Plain),
    ("xai", "grok-3-mini", "grok-3-mini", Shape::OpenAiChat),
    ("openai", "text-embedding-3-large", "text-embedding-3-large", Shape::Plain),
    ("google", "gemini-3-pro-preview", "gemini-3-pro-preview", Shape::Gemini),
    ("cohere", "command-r-plus", "command-r-plus", Shape::Plain),
    ("openai", "gpt-3.5-turbo-0125", "gpt-3.5-turbo", Shape::OpenAiChat),
    ("google", "gemini-embedding-001", "gemini-embedding-001", Shape::Plain),
    ("mistral", "mistral-medium-latest", "mistral-medium-latest", Shape::Plain),
    ("openai", "o3-mini-2025-01-31", "o3-mini", Shape::OpenAiResponses),
    ("groq", "qwen/qwen3-32b", "qwen/qwen3-32b", Shape::Plain),
    ("openai", "gpt-4-0613", "gpt-4", Shape::OpenAiChat),
    ("openai", "ft:in-house-1", "ft:in-house-1", Shape::OpenAiChat),
    ("in-house", "in-house-large", "in-house-large", Shape::Plain),
];

const OPERATIONS: [&str; 12] = [
    "chat",
    "rag_answer",
    "summarize",
    "extract",
    "classify",
    "translate",
    "code_review",
    "embed",
    "rerank_query",
    "plan",
    "tool_call",
    "title",
];
const TEAMS: [&str; 8] = ["search", "support", "growth", "platform", "sales", "legal", "finance", "research"];
const FEATURES: [&str; 16] = [
    "chat",
    "inbox",
    "search",
    "docs",
    "editor",
    "reports",
    "review",
    "onboarding",
    "import",
    "alerts",
    "digest",
    "draft",
    "voice",
    "forms",
    "billing",
    "admin",
];

/// Makes the calls, in the order of their ends.
#[derive(Clone, Debug)]
pub struct Workload {
    random: Random,
    users: Zipf,
    models: Zipf,
    calls: u64,
    made: u64,
}

impl Workload {
    /// The workload of a seed, in which `calls` calls fill the 90 days.
    pub fn new(seed: u64, calls: u64) -> Workload {
        Workload {
            random: Random::new(seed),
            users: Zipf::new(USERS),
            models: Zipf::new(MODELS.len()),
            calls: calls.max(1),
            made: 0,
        }
    }

    /// The next calls.
    pub fn batch(&mut self, count: usize) -> Vec<Event> {
        (0..count).map(|_| self.call()).collect()
    }

    /// When the last call that was made ended, in microseconds.
    pub fn now_micros(&self) -> i64 {
        self.ended(self.made)
    }

    /// Goes on as if so many calls had been made.
    pub fn after(mut self, made: u64) -> Workload {
        self.made = made;
        self
    }

    /// Calls made.
    pub fn made(&self) -> u64 {
        self.made
    }

    /// When the nth call ends: more by day than by night.
    fn ended(&self, nth: u64) -> i64 {
        let days = nth as f64 * DAYS as f64 / self.calls as f64;
        let of_day = days.fract();
        let warped = days.trunc() + of_day + 0.1 * (std::f64::consts::TAU * of_day).sin();
        START_MICROS + (warped * DAY_MICROS as f64) as i64
    }

    /// The next call.
    pub fn call(&mut self) -> Event {
        let ended = self.ended(self.made);
        self.made += 1;
        let random = &mut self.random;
        let user = self.users.draw(random);
        let agent = (user as u64 * 7 + favourite(random) * 13) % AGENTS;
        let nth = (self.models.draw(&mut Random::new(agent * 3 + favourite(random)))
            + usize::from(random.permille(20)) * random.below(MODELS.len() as u64) as usize)
            % MODELS.len();
        let model = MODELS[nth];
        let latency_ms = random.spread(180, 24_000);
        let at = ended - latency_ms as i64 * 1_000;
        let at_millis = (at / 1_000) as u64;
        let source = match random.below(100) {
            0..82 => "gateway",
            82..95 => "api",
            _ => "otlp",
        };
        let id = match source {
            "api" if random.permille(400) => random.name("req_", 24),
            _ => random.uuid7(at_millis),
        };
        let mut event = blank(id, source, at, model);
        event.content = Digest::of(event.id.as_bytes());
        event.attribution = attribution(random, user as u64, agent, ended);
        event.latency_ms = Some(latency_ms);
        match random.below(1_000) {
            0..12 => fail(random, &mut event),
            12..17 => {
                event.status = Status::ClientClosed;
                event.evidence = Evidence::Partial;
                answer(random, &mut event, model.3);
            }
            _ => answer(random, &mut event, model.3),
        }
        event
    }
}

/// 0 mostly, 1 sometimes, 2 seldom.
fn favourite(random: &mut Random) -> u64 {
    match random.below(100) {
        0..75 => 0,
        75..95 => 1,
        _ => 2,
    }
}

fn blank(id: String, source: &str, at: i64, (provider, model, asked, shape): Model) -> Event {
    Event {
        provider: provider.to_owned(),
        model: model.to_owned(),
        request_model: (asked != model).then(|| asked.to_owned()),
        api: Some(api(shape, model).to_owned()),
        http_status: Some(200),
        evidence: Evidence::ProviderUsage,
        ..Event::new(id, source.to_owned(), Timestamp::from_microsecond(at).unwrap_or(Timestamp::UNIX_EPOCH))
    }
}

fn api(shape: Shape, model: &str) -> &'static str {
    match shape {
        Shape::OpenAiResponses => "responses",
        Shape::Anthropic => "messages",
        Shape::Gemini => "generate_content",
        _ if model.contains("embedding") => "embeddings",
        _ => "chat",
    }
}

fn attribution(random: &mut Random, user: u64, agent: u64, ended: i64) -> Attribution {
    let customer = user % CUSTOMERS;
    let project = customer % PROJECTS;
    let operation = (agent + favourite(random).min(1) * 5) % OPERATIONS.len() as u64;
    let day = (ended - START_MICROS) as u64 / DAY_MICROS;
    let session = day * SESSIONS_A_DAY + (user + random.below(3)) % SESSIONS_A_DAY;
    let mut who = Attribution {
        project: Some(format!("project-{project:02}")),
        customer: Some(format!("customer-{customer:03}.example")),
        user: Some(format!("user-{user:05}")),
        agent: Some(format!("agent_{agent:02}")),
        agent_name: Some(format!("Agent number {agent}")),
        operation: Some(OPERATIONS[operation as usize].to_owned()),
        session: Some(Random::new(session).uuid7((ended as u64 / DAY_MICROS) * 86_400_000)),
        key: Some(format!("key_{:08x}", 0x5eed_0000 + project * 3 + user % 3)),
        ..Attribution::default()
    };
    if random.permille(350) {
        who.operation_id = Some(random.name("op_", 12));
    }
    let team = TEAMS[(project % 8) as usize];
    let feature = FEATURES[((agent + random.below(2)) % 16) as usize];
    who.tags = [("team", team), ("feature", feature)].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    who
}

fn fail(random: &mut Random, event: &mut Event) {
    let (code, text) = *random.pick(&[
        (429, "rate_limit_exceeded: Rate limit reached for requests"),
        (500, "server_error: The server had an error while processing your request"),
        (529, "overloaded_error: Overloaded"),
        (400, "invalid_request_error: This model's maximum context length is 128000 tokens"),
    ]);
    event.status = Status::UpstreamError;
    event.http_status = Some(code);
    event.error = Some(text.to_owned());
    event.free = Some(FreeReason::HttpError);
}

/// Usage, raw usage and the provider's id.
fn answer(random: &mut Random, event: &mut Event, shape: Shape) {
    let embeds = event.api.as_deref() == Some("embeddings");
    let input = random.spread(40, 60_000);
    let cached = if embeds || random.permille(600) { 0 } else { random.below(input / 128 + 1) * 128 };
    let cached = cached.min(input);
    let output = if embeds { 0 } else { random.spread(5, 4_000) };
    if random.permille(500) && !embeds {
        event.time_to_first_token_ms = Some(random.spread(90, 3_000));
    }
    let mut meters = Meters::new();
    let raw = match shape {
        Shape::OpenAiChat => {
            event.provider_response_id = Some(timed_name(random, "chatcmpl-", 29, event.occurred_at));
            event.conditions.insert("service_tier".to_owned(), "default".to_owned());
            meters.set(Meter::Input, input - cached);
            meters.set(Meter::CacheRead, cached);
            meters.set(Meter::Output, output);
            meters.set(Meter::Reasoning, 0);
            format!(
                "{{\n    \"prompt_tokens\": {input},\n    \"completion_tokens\": {output},\n    \
                 \"total_tokens\": {},\n    \"prompt_tokens_details\": {{\n      \"cached_tokens\": {cached},\n      \
                 \"audio_tokens\": 0\n    }},\n    \"completion_tokens_details\": {{\n      \
                 \"reasoning_tokens\": 0,\n      \"audio_tokens\": 0,\n      \
                 \"accepted_prediction_tokens\": 0,\n      \"rejected_prediction_tokens\": 0\n    }}\n  }}",
                input + output
            )
        }
        Shape::OpenAiResponses => {
            let (high, middle, low) = (random.bits(), random.bits(), random.bits());
            event.provider_response_id = Some(format!("resp_{high:016x}00{middle:016x}{low:016x}"));
            event.conditions.insert("service_tier".to_owned(), "default".to_owned());
            let reasoning = random.below(output + 1) / 64 * 64;
            meters.set(Meter::Input, input - cached);
            meters.set(Meter::CacheRead, cached);
            meters.set(Meter::Output, output - reasoning);
            meters.set(Meter::Reasoning, reasoning);
            format!(
                "{{\n    \"input_tokens\": {input},\n    \"input_tokens_details\": {{\n      \
                 \"cached_tokens\": {cached}\n    }},\n    \"output_tokens\": {output},\n    \
                 \"output_tokens_details\": {{\n      \"reasoning_tokens\": {reasoning}\n    }},\n    \
                 \"total_tokens\": {}\n  }}",
                input + output
            )
        }
        Shape::Anthropic => {
            event.provider_response_id = Some(timed_name(random, "msg_01", 22, event.occurred_at));
            event.conditions.insert("service_tier".to_owned(), "standard".to_owned());
            let written = if random.permille(250) { random.spread(1_024, 20_000) } else { 0 };
            meters.set(Meter::Input, input - cached);
            meters.set(Meter::CacheRead, cached);
            meters.set(Meter::CacheWrite5m, written);
            meters.set(Meter::CacheWrite1h, 0);
            meters.set(Meter::Output, output);
            format!(
                "{{\"input_tokens\":{},\"cache_creation_input_tokens\":{written},\
                 \"cache_read_input_tokens\":{cached},\"cache_creation\":{{\"ephemeral_5m_input_tokens\":{written},\
                 \"ephemeral_1h_input_tokens\":0}},\"output_tokens\":{output},\"service_tier\":\"standard\",\
                 \"inference_geo\":\"not_available\"}}",
                input - cached
            )
        }
        Shape::Gemini => {
            event.provider_response_id = Some(random.name("", 22));
            let thoughts = random.below(output + 1);
            meters.set(Meter::Input, input - cached);
            meters.set(Meter::CacheRead, cached);
            meters.set(Meter::Output, output);
            meters.set(Meter::Reasoning, thoughts);
            format!(
                "{{\n    \"promptTokenCount\": {input},\n    \"candidatesTokenCount\": {output},\n    \
                 \"totalTokenCount\": {},\n    \"cachedContentTokenCount\": {cached},\n    \
                 \"promptTokensDetails\": [\n      {{\n        \"modality\": \"TEXT\",\n        \
                 \"tokenCount\": {input}\n      }}\n    ],\n    \"thoughtsTokenCount\": {thoughts}\n  }}",
                input + output + thoughts
            )
        }
        Shape::Plain | Shape::DeepSeek => {
            event.provider_response_id = Some(random.name(if embeds { "" } else { "chatcmpl-" }, 32));
            meters.set(Meter::Input, input);
            if !embeds {
                meters.set(Meter::Output, output);
            }
            let more = match shape {
                Shape::DeepSeek => {
                    meters.set(Meter::Input, input - cached);
                    meters.set(Meter::CacheRead, cached);
                    format!(
                        ",\"prompt_cache_hit_tokens\":{cached},\"prompt_cache_miss_tokens\":{},\
                         \"prompt_tokens_details\":{{\"cached_tokens\":{cached}}}",
                        input - cached
                    )
                }
                _ if event.provider == "groq" => format!(
                    ",\"queue_time\":0.0{},\"prompt_time\":0.00{},\"completion_time\":0.{},\"total_time\":0.{}",
                    random.below(90_000_000),
                    random.below(9_000_000),
                    random.below(900_000_000),
                    random.below(900_000_000)
                ),
                _ => String::new(),
            };
            format!(
                "{{\"prompt_tokens\":{input},\"completion_tokens\":{output},\"total_tokens\":{}{more}}}",
                input + output
            )
        }
    };
    event.usage = Some(Usage::one(meters));
    event.raw_usage = Some(raw);
}

/// A name that begins with its second, as the ids of OpenAI's chat and Anthropic's messages do. Those
/// of others are as good as random.
fn timed_name(random: &mut Random, prefix: &str, length: usize, at: Timestamp) -> String {
    const SIGNS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let name = random.name("", length);
    let mut seconds = at.as_second().unsigned_abs();
    let mut head = [0; 6];
    for sign in head.iter_mut().rev() {
        *sign = SIGNS[(seconds % 62) as usize];
        seconds /= 62;
    }
    format!("{prefix}{}{}", String::from_utf8_lossy(&head), &name[head.len()..])
}
