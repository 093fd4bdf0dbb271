//! Whether a span is a call to a model, decided by what it says itself.
//!
//! Agents, chains and outer calls repeat what the calls below them used, often summed up. Parents and
//! children may come in different requests, so what a span is has to be told from the span alone
//! wherever that is possible.

use super::{Attributes, Span};

/// What a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A call to a model.
    Call,
    /// Something else: its figures, if it has any, are those of other spans.
    Other,
    /// It does not say.
    Unsure,
}

/// Values of an attribute that name a call, values that name something else, and what any other is.
struct Word {
    name: &'static str,
    calls: &'static [&'static str],
    others: &'static [&'static str],
    rest: Kind,
}

/// The first word that settles it counts; one for something else comes before one for a call.
const WORDS: &[Word] = &[
    Word {
        name: "gen_ai.operation.name",
        calls: &[
            "chat",
            "text_completion",
            "completion",
            "generate_content",
            "embeddings",
            "embedding",
            "responses",
            "messages",
        ],
        others: &[
            "invoke_agent",
            "invoke_workflow",
            "execute_tool",
            "create_agent",
            "retrieval",
            "plan",
            "create_memory",
            "search_memory",
            "update_memory",
            "upsert_memory",
            "delete_memory",
            "create_memory_store",
            "delete_memory_store",
            "fetch_response",
            "count_tokens",
        ],
        rest: Kind::Unsure,
    },
    Word { name: "openinference.span.kind", calls: &["llm", "embedding"], others: &[], rest: Kind::Other },
    Word { name: "langsmith.span.kind", calls: &["llm", "embedding"], others: &[], rest: Kind::Other },
    Word { name: "langsmith.metadata.usage_scope", calls: &[], others: &["agent_total"], rest: Kind::Unsure },
    // Set on workflows, tasks, agents and tools only.
    Word { name: "traceloop.span.kind", calls: &[], others: &[], rest: Kind::Other },
    Word {
        name: "llm.request.type",
        calls: &["chat", "completion", "embedding"],
        others: &[],
        rest: Kind::Unsure,
    },
    // A span that is only announced; it comes again when it has ended.
    Word { name: "logfire.span_type", calls: &[], others: &["pending_span"], rest: Kind::Unsure },
];

/// The last part of the names of inner calls of the Vercel AI SDK, in lower case; outer ones repeat them.
const VERCEL_CALLS: &[&str] = &["dogenerate", "dostream", "doembed"];

/// Spans that are no calls by their name, where no attribute says more.
const OTHER_NAMES: &[&str] = &["agent run", "anthropic.messages.count_tokens"];

/// What the span is, by its words and its name.
pub(super) fn of(span: &Span) -> Kind {
    let told: Vec<Kind> = WORDS.iter().filter_map(|word| word.read(&span.attributes)).collect();
    let vercel = span.attributes.get("ai.operationId").or_else(|| {
        let name = span.name.as_str();
        name.starts_with("ai.").then_some(name)
    });
    let vercel = vercel.map(|name| {
        let last = name.split(' ').next().and_then(|name| name.rsplit('.').next()).unwrap_or_default();
        if VERCEL_CALLS.contains(&last.to_ascii_lowercase().as_str()) { Kind::Call } else { Kind::Other }
    });
    let named = OTHER_NAMES.contains(&span.name.as_str()).then_some(Kind::Other);
    let all = || told.iter().copied().chain(vercel).chain(named);
    if all().any(|kind| kind == Kind::Other) {
        Kind::Other
    } else if all().any(|kind| kind == Kind::Call) {
        Kind::Call
    } else {
        Kind::Unsure
    }
}

impl Word {
    fn read(&self, attributes: &Attributes) -> Option<Kind> {
        let value = attributes.get(self.name)?.to_ascii_lowercase();
        Some(if self.calls.contains(&value.as_str()) {
            Kind::Call
        } else if self.others.contains(&value.as_str()) {
            Kind::Other
        } else {
            self.rest
        })
    }
}
