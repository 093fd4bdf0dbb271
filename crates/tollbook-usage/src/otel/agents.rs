//! Log records of coding agents: one row for each agent says which record is a call and what its
//! members are called.
//!
//! These agents tell the same figures again as metrics, and some as spans or as records of the
//! conventions: only the records of these rows count.

use super::event::{self, Call, Source};
use super::figures;
use super::names::{self, Column, Names};
use super::{Log, Origin, Told, short};
use crate::import::{Context, Problem, claude_code, fingerprint};
use crate::request::lower;
use crate::shape::Field;
use crate::value::quantity;
use tollbook_types::Conditions;

/// How an agent tells of a call.
pub(super) struct Row {
    /// The agent's name here.
    agent: &'static str,
    /// The record's name in full.
    event: &'static str,
    /// Its name where the instrumentation says whose it is.
    short_event: &'static str,
    /// An attribute that only records of a call have, and its value.
    only: Option<(&'static str, &'static str)>,
    /// Names of the agent's services, and a word that the names of its instrumentation begin with.
    services: Names,
    scope: &'static str,
    /// The provider, unless the model's name says another.
    provider: &'static str,
    api: &'static str,
    columns: &'static [Column],
    /// Whether cached tokens stand beside the input, and reasoning beside the output.
    cache_is_beside: bool,
    reasoning_is_beside: bool,
    user: Names,
    session: Names,
}

const ROWS: &[Row] = &[
    Row {
        agent: "claude-code",
        event: "claude_code.api_request",
        short_event: "api_request",
        only: None,
        services: &["claude-code"],
        scope: "com.anthropic.claude_code",
        provider: "anthropic",
        api: "messages",
        columns: &[
            (Field::Input, &["input_tokens"]),
            (Field::Output, &["output_tokens"]),
            (Field::CacheRead, &["cache_read_tokens"]),
            (Field::CacheWrite, &["cache_creation_tokens"]),
        ],
        cache_is_beside: true,
        reasoning_is_beside: false,
        user: &["user.account_uuid", "user.id", "user.email"],
        session: &["session.id"],
    },
    Row {
        agent: "codex",
        event: "codex.sse_event",
        short_event: "",
        only: Some(("event.kind", "response.completed")),
        services: &["codex_cli_rs", "codex_exec", "codex_tui", "codex-cli"],
        scope: "codex_otel",
        provider: "openai",
        api: "responses",
        columns: &[
            (Field::Input, &["input_token_count"]),
            (Field::Output, &["output_token_count"]),
            (Field::CacheRead, &["cached_token_count"]),
            (Field::CacheWrite, &["cache_write_token_count"]),
            (Field::Reasoning, &["reasoning_token_count"]),
        ],
        cache_is_beside: false,
        reasoning_is_beside: false,
        user: &["user.account_id", "user.id", "user.email"],
        session: &["conversation.id"],
    },
    Row {
        agent: "gemini-cli",
        event: "gemini_cli.api_response",
        short_event: "",
        only: None,
        services: &["gemini-cli"],
        scope: "gemini-cli",
        provider: "google",
        api: "generate_content",
        columns: &[
            (Field::Input, &["input_token_count"]),
            (Field::Output, &["output_token_count"]),
            (Field::CacheRead, &["cached_content_token_count"]),
            (Field::Reasoning, &["thoughts_token_count"]),
            (Field::ToolPrompt, &["tool_token_count"]),
        ],
        cache_is_beside: false,
        reasoning_is_beside: true,
        user: &["user.id", "user.email"],
        session: &["session.id"],
    },
];

/// Whether a coding agent sent it.
pub(super) fn is_agent(origin: &Origin) -> bool {
    ROWS.iter().any(|row| row.is_from(origin))
}

/// The row of the agent that tells of a call with this record.
pub(super) fn of(log: &Log, origin: &Origin) -> Option<&'static Row> {
    let names = [log.event_name.as_str(), log.attributes.get("event.name").unwrap_or_default(), &log.body];
    ROWS.iter().find(|row| {
        let is_short = !row.short_event.is_empty() && names.contains(&row.short_event) && row.is_from(origin);
        let is_call = row.only.is_none_or(|(name, value)| log.attributes.get(name) == Some(value));
        (names.contains(&row.event) || is_short) && is_call
    })
}

/// The call that the record tells of. A record without figures is none.
pub(super) fn read(row: &Row, log: &Log, origin: &Origin, ctx: &Context<'_>) -> Result<Told, Vec<Problem>> {
    let attributes = &log.attributes;
    let Some(mut told) = figures::read(attributes, row.columns)? else { return Ok(Told::Other) };
    figures::inclusive(&mut told.figures, row.cache_is_beside, row.reasoning_is_beside);
    let number = |name: &str| attributes.get(name).and_then(|text| quantity(text).ok());
    let source = Source {
        attributes,
        origin,
        span: log.span,
        start_nanos: log.time_nanos,
        latency_ms: number("duration_ms"),
        failed: false,
    };
    let model = attributes.get("model").map(short).filter(|name| !name.is_empty());
    let model = model.unwrap_or_else(|| event::UNKNOWN.to_owned());
    let provider =
        if row.provider == "anthropic" { claude_code::provider(None, &model) } else { row.provider };
    let mut conditions = Conditions::new();
    if let Some(speed) = attributes.get("speed").map(lower).filter(|speed| speed == "fast") {
        conditions.insert("speed".to_owned(), speed);
    }
    let mut attribution = event::attribution(&source);
    let first = |names: Names| {
        let found = attributes.first(names).or_else(|| origin.resource.first(names));
        found.map(short).filter(|text| !text.is_empty())
    };
    attribution.user = first(row.user).or(attribution.user);
    attribution.session = first(row.session).or(attribution.session);
    attribution.agent.get_or_insert_with(|| row.agent.to_owned());
    let parts = [
        row.agent,
        attribution.session.as_deref().unwrap_or_default(),
        attributes.get("event.sequence").unwrap_or_default(),
        &log.time_nanos.to_string(),
        &model,
        &told.raw,
    ];
    let call = Call {
        id: fingerprint(&parts),
        provider: provider.to_owned(),
        request_model: None,
        api: Some(row.api.to_owned()),
        response_id: None,
        conditions,
        attribution,
        time_to_first_token_ms: None,
        model,
    };
    event::finish(call, &source, told, ctx).map(|event| Told::Call(Box::new(event)))
}

impl Row {
    fn is_from(&self, origin: &Origin) -> bool {
        let service = origin.resource.first(names::SERVICE).unwrap_or_default();
        self.services.contains(&service) || origin.scope.starts_with(self.scope)
    }
}
