//! Attribute names as data: what each dialect calls a figure, a model, a user.
//!
//! Dialects are the GenAI conventions in each of their forms, OpenLLMetry, OpenInference, the Vercel
//! AI SDK, pydantic-ai and Logfire, LangSmith, Sentry, Anthropic's SDKs, and three coding agents. In
//! each list the first name that is there counts. It must never know how a figure is used.

use crate::shape::Field;
use std::collections::HashSet;
use std::sync::LazyLock;

/// Names of one thing, best first.
pub(super) type Names = &'static [&'static str];

/// A figure and its names.
pub(super) type Column = (Field, Names);

pub(super) const PROVIDER: Names = &[
    "gen_ai.provider.name",
    "gen_ai.system",
    "llm.provider",
    "llm.system",
    "ai.model.provider",
    "langsmith.metadata.ls_provider",
];
/// The model that answered.
pub(super) const MODEL: Names = &["gen_ai.response.model", "ai.response.model", "llm.response.model_name"];
/// The model that was asked for; counts where the answer names none.
pub(super) const REQUEST_MODEL: Names = &[
    "gen_ai.request.model",
    "llm.model_name",
    "llm.request.model_name",
    "ai.model.id",
    "langsmith.metadata.ls_model_name",
];
/// The provider's id for its answer.
pub(super) const RESPONSE_ID: Names = &["gen_ai.response.id", "ai.response.id", ANSWER];
/// OpenInference has the provider's whole answer here; of that its id is read, and nothing else.
pub(super) const ANSWER: &str = "output.value";
/// An id that Anthropic gives a request, for answers without an id of their own.
pub(super) const REQUEST_ID: Names = &["anthropic.request.id"];

/// What was used. Totals include their parts.
pub(super) const USAGE: &[Column] = &[
    (
        Field::Input,
        &[
            "gen_ai.usage.input_tokens",
            "gen_ai.usage.prompt_tokens",
            "llm.token_count.prompt",
            "llm.usage.prompt_tokens",
            "ai.usage.inputTokens",
            "ai.usage.promptTokens",
            "ai.usage.tokens",
            LANGSMITH_INPUT,
        ],
    ),
    (
        Field::Output,
        &[
            "gen_ai.usage.output_tokens",
            "gen_ai.usage.completion_tokens",
            "llm.token_count.completion",
            "llm.usage.completion_tokens",
            "ai.usage.outputTokens",
            "ai.usage.completionTokens",
            LANGSMITH_OUTPUT,
        ],
    ),
    (
        Field::CacheRead,
        &[
            "gen_ai.usage.cache_read.input_tokens",
            "gen_ai.usage.cache_read_input_tokens",
            "llm.token_count.prompt_details.cache_read",
            "ai.usage.inputTokenDetails.cacheReadTokens",
            "ai.usage.cachedInputTokens",
            "gen_ai.usage.details.cache_read_tokens",
            "gen_ai.usage.input_tokens.cached",
            LANGSMITH_CACHE_READ,
        ],
    ),
    (
        Field::CacheWrite,
        &[
            "gen_ai.usage.cache_write.input_tokens",
            "gen_ai.usage.cache_creation.input_tokens",
            "gen_ai.usage.cache_creation_input_tokens",
            "gen_ai.usage.cache_write_input_tokens",
            "llm.token_count.prompt_details.cache_write",
            "ai.usage.inputTokenDetails.cacheWriteTokens",
            "gen_ai.usage.details.cache_write_tokens",
            LANGSMITH_CACHE_WRITE,
        ],
    ),
    (Field::CacheWrite5m, &["anthropic.usage.cache_creation.ephemeral_5m_input_tokens"]),
    (Field::CacheWrite1h, &["anthropic.usage.cache_creation.ephemeral_1h_input_tokens"]),
    (
        Field::Reasoning,
        &[
            "gen_ai.usage.reasoning.output_tokens",
            "gen_ai.usage.reasoning_tokens",
            "llm.usage.reasoning_tokens",
            "llm.token_count.completion_details.reasoning",
            "ai.usage.outputTokenDetails.reasoningTokens",
            "ai.usage.reasoningTokens",
            "gen_ai.usage.output_tokens.reasoning",
            LANGSMITH_REASONING,
        ],
    ),
    (Field::InputAudio, &["gen_ai.usage.audio.input_tokens", "llm.token_count.prompt_details.audio"]),
    (Field::InputImage, &["gen_ai.usage.image.input_tokens"]),
    (Field::InputVideo, &["gen_ai.usage.video.input_tokens"]),
    (Field::OutputAudio, &["gen_ai.usage.audio.output_tokens", "llm.token_count.completion_details.audio"]),
];

/// LangSmith tells its usage as one JSON text; its members are read as if they were attributes.
pub(super) const LANGSMITH_USAGE: &str = "langsmith.usage_metadata";
const LANGSMITH_INPUT: &str = "langsmith.usage_metadata/input_tokens";
const LANGSMITH_OUTPUT: &str = "langsmith.usage_metadata/output_tokens";
const LANGSMITH_CACHE_READ: &str = "langsmith.usage_metadata/input_token_details/cache_read";
const LANGSMITH_CACHE_WRITE: &str = "langsmith.usage_metadata/input_token_details/cache_creation";
const LANGSMITH_REASONING: &str = "langsmith.usage_metadata/output_token_details/reasoning";
/// Those members, by the pointer that follows the attribute's name.
pub(super) const LANGSMITH_MEMBERS: Names =
    &[LANGSMITH_INPUT, LANGSMITH_OUTPUT, LANGSMITH_CACHE_READ, LANGSMITH_CACHE_WRITE, LANGSMITH_REASONING];

pub(super) const USER: Names = &[
    "tollbook.user",
    "user.id",
    "enduser.id",
    "gen_ai.user",
    "llm.user",
    "traceloop.association.properties.user_id",
    "ai.telemetry.metadata.userId",
    "langsmith.metadata.user_id",
];
pub(super) const SESSION: Names = &[
    "tollbook.session",
    "gen_ai.conversation.id",
    "session.id",
    "traceloop.association.properties.session_id",
    "ai.telemetry.metadata.sessionId",
    "langsmith.metadata.thread_id",
    "langsmith.trace.session_id",
];
pub(super) const SERVICE: Names = &["service.name"];
pub(super) const PROJECT: Names = &["tollbook.project"];
pub(super) const CUSTOMER: Names = &["tollbook.customer"];
pub(super) const AGENT: Names = &["tollbook.agent", "gen_ai.agent.id", "gen_ai.agent.name"];
pub(super) const AGENT_NAME: Names = &["tollbook.agent_name", "gen_ai.agent.name"];
pub(super) const OPERATION: Names =
    &["tollbook.operation", "gen_ai.workflow.name", "traceloop.workflow.name"];
pub(super) const OPERATION_ID: Names = &["tollbook.operation_id"];
/// Tags and the attributes that they come from.
pub(super) const TAGS: &[(&str, Names)] = &[
    ("service", SERVICE),
    ("environment", &["deployment.environment.name", "deployment.environment"]),
    ("namespace", &["service.namespace"]),
    ("feature", &["ai.telemetry.functionId"]),
    ("prompt", &["gen_ai.prompt.name"]),
    ("organization", &["organization.id"]),
];

pub(super) const SERVICE_TIER: Names = &[
    "openai.response.service_tier",
    "gen_ai.openai.response.service_tier",
    "openai.request.service_tier",
    "gen_ai.openai.request.service_tier",
];
/// Which of a provider's APIs it was.
pub(super) const API: Names = &["openai.api.type"];
pub(super) const ERROR: Names = &["error.type"];
/// Seconds to the first piece of the answer.
pub(super) const FIRST_CHUNK_SECONDS: Names = &["gen_ai.response.time_to_first_chunk"];
/// Milliseconds to it.
pub(super) const FIRST_CHUNK_MILLIS: Names = &["ai.response.msToFirstChunk"];
/// What somebody who instruments, not the provider, took a call to cost, in dollars.
pub(super) const REPORTED_COST: Names =
    &["operation.cost", "llm.cost.total", "gen_ai.usage.cost", "gen_ai.cost.total_cost", "cost_usd"];

/// What only the kind of a span is read from.
const KIND: Names = &[
    "gen_ai.operation.name",
    "openinference.span.kind",
    "langsmith.span.kind",
    "langsmith.metadata.usage_scope",
    "ai.operationId",
    "traceloop.span.kind",
    "llm.request.type",
    "logfire.span_type",
];
/// What only log records of coding agents have.
const AGENT_LOGS: Names = &[
    "event.name",
    "event.kind",
    "event.sequence",
    "model",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_creation_tokens",
    "duration_ms",
    "request_id",
    "speed",
    "user.account_uuid",
    "user.account_id",
    "user.email",
    "conversation.id",
    "prompt_id",
    "input_token_count",
    "output_token_count",
    "cached_token_count",
    "cache_write_token_count",
    "reasoning_token_count",
    "cached_content_token_count",
    "thoughts_token_count",
    "tool_token_count",
];

static KNOWN: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    let lists = [
        PROVIDER,
        MODEL,
        REQUEST_MODEL,
        RESPONSE_ID,
        REQUEST_ID,
        USER,
        SESSION,
        PROJECT,
        CUSTOMER,
        AGENT,
        AGENT_NAME,
        OPERATION,
        OPERATION_ID,
        SERVICE_TIER,
        API,
        ERROR,
        FIRST_CHUNK_SECONDS,
        FIRST_CHUNK_MILLIS,
        REPORTED_COST,
        KIND,
        AGENT_LOGS,
        &[LANGSMITH_USAGE],
    ];
    let usage = USAGE.iter().map(|(_, names)| *names);
    let tags = TAGS.iter().map(|(_, names)| *names);
    lists.into_iter().chain(usage).chain(tags).flatten().copied().collect()
});

/// The name as it stands in the tables; none where nothing is read from it.
pub(super) fn known(name: &str) -> Option<&'static str> {
    KNOWN.get(name).copied()
}
