//! Spans and log records: what each dialect's attributes come to, and what is no call.

use tollbook_types::{Event, Identity, Meter, Meters, Status, Timestamp};
use tollbook_usage::import::{Context, Window};
use tollbook_usage::otel::{
    Attributes, Lineage, Link, Log, Origin, SOURCE, Span, SpanId, Told, merge, read_log, read_span,
};

pub type Pairs<'a> = &'a [(&'a str, &'a str)];

pub fn ctx() -> Context<'static> {
    let now: Timestamp = "2026-11-22T10:31:00Z".parse().unwrap();
    let window = Some(Window { past_seconds: 35 * 86_400, future_seconds: 300 });
    Context { window, ..Context::new(SOURCE, now) }
}

pub fn attributes(pairs: Pairs<'_>) -> Attributes {
    let mut kept = Attributes::default();
    for (name, value) in pairs {
        kept.put(name, || Some(*value));
    }
    kept
}

pub fn nanos(text: &str) -> u64 {
    let at: Timestamp = text.parse().unwrap();
    u64::try_from(at.as_nanosecond()).unwrap()
}

fn id(span: u8) -> SpanId {
    SpanId::new([7; 16], [span; 8]).unwrap()
}

fn span(name: &str, pairs: Pairs<'_>) -> Span {
    Span {
        id: id(1),
        name: name.to_owned(),
        start_nanos: nanos("2026-11-22T10:30:00.0000005Z"),
        end_nanos: nanos("2026-11-22T10:30:01.25Z"),
        attributes: attributes(pairs),
        ..Span::default()
    }
}

fn read(span: &Span) -> Result<Told, String> {
    read_span(span, &Origin::default(), &ctx())
        .map_err(|problems| problems.iter().map(|p| p.detail.clone()).collect::<Vec<_>>().join(", "))
}

pub fn event(told: Result<Told, String>, what: &str) -> Event {
    match told {
        Ok(Told::Call(event)) => *event,
        other => panic!("{what}: {other:?}"),
    }
}

pub fn meters(event: &Event) -> Meters {
    event.usage.as_ref().unwrap().total()
}

/// The same call, as each dialect tells it: 1000 tokens in, of them 600 read and 100 written, 50 out,
/// of them 20 of reasoning.
const DIALECTS: &[(&str, &str, Pairs<'_>)] = &[
    (
        "conventions up to 1.36",
        "chat gpt-x",
        &[
            ("gen_ai.operation.name", "chat"),
            ("gen_ai.system", "openai"),
            ("gen_ai.request.model", "gpt-x"),
            ("gen_ai.response.model", "gpt-x-2026"),
            ("gen_ai.response.id", "r-1"),
            ("gen_ai.usage.prompt_tokens", "1000"),
            ("gen_ai.usage.completion_tokens", "50"),
            ("gen_ai.usage.cache_read_input_tokens", "600"),
            ("gen_ai.usage.cache_creation_input_tokens", "100"),
            ("gen_ai.usage.reasoning_tokens", "20"),
            ("user.id", "ann"),
            ("session.id", "s"),
        ],
    ),
    (
        "conventions 1.37 to 1.41",
        "chat gpt-x",
        &[
            ("gen_ai.operation.name", "chat"),
            ("gen_ai.provider.name", "openai"),
            ("gen_ai.request.model", "gpt-x"),
            ("gen_ai.response.model", "gpt-x-2026"),
            ("gen_ai.response.id", "r-1"),
            ("gen_ai.usage.input_tokens", "1000"),
            ("gen_ai.usage.output_tokens", "50"),
            ("gen_ai.usage.cache_read.input_tokens", "600"),
            ("gen_ai.usage.cache_creation.input_tokens", "100"),
            ("gen_ai.usage.reasoning.output_tokens", "20"),
            ("enduser.id", "ann"),
            ("gen_ai.conversation.id", "s"),
        ],
    ),
    (
        "conventions of 2026",
        "chat gpt-x",
        &[
            ("gen_ai.operation.name", "chat"),
            ("gen_ai.provider.name", "openai"),
            ("gen_ai.request.model", "gpt-x"),
            ("gen_ai.response.model", "gpt-x-2026"),
            ("gen_ai.response.id", "r-1"),
            ("gen_ai.usage.input_tokens", "1000"),
            ("gen_ai.usage.output_tokens", "50"),
            ("gen_ai.usage.cache_read.input_tokens", "600"),
            ("gen_ai.usage.cache_write.input_tokens", "100"),
            ("gen_ai.usage.reasoning.output_tokens", "20"),
            ("user.id", "ann"),
            ("gen_ai.conversation.id", "s"),
        ],
    ),
    (
        "OpenLLMetry",
        "openai.chat",
        &[
            ("llm.request.type", "chat"),
            ("gen_ai.system", "OpenAI"),
            ("gen_ai.request.model", "gpt-x"),
            ("gen_ai.response.model", "gpt-x-2026"),
            ("gen_ai.response.id", "r-1"),
            ("gen_ai.usage.prompt_tokens", "1000"),
            ("gen_ai.usage.completion_tokens", "50"),
            ("llm.usage.total_tokens", "1050"),
            ("gen_ai.usage.cache_read_input_tokens", "600"),
            ("gen_ai.usage.cache_creation_input_tokens", "100"),
            ("llm.usage.reasoning_tokens", "20"),
            ("traceloop.association.properties.user_id", "ann"),
            ("traceloop.association.properties.session_id", "s"),
        ],
    ),
    (
        "OpenInference",
        "ChatCompletion",
        &[
            ("openinference.span.kind", "LLM"),
            ("llm.provider", "openai"),
            ("llm.system", "openai"),
            ("llm.request.model_name", "gpt-x"),
            ("llm.response.model_name", "gpt-x-2026"),
            ("output.value", r#"{"id":"r-1","choices":[{"message":{"content":"..."}}]}"#),
            ("llm.token_count.prompt", "1000"),
            ("llm.token_count.completion", "50"),
            ("llm.token_count.prompt_details.cache_read", "600"),
            ("llm.token_count.prompt_details.cache_write", "100"),
            ("llm.token_count.completion_details.reasoning", "20"),
            ("user.id", "ann"),
            ("session.id", "s"),
        ],
    ),
    (
        "Vercel, the inner call",
        "ai.generateText.doGenerate",
        &[
            ("ai.operationId", "ai.generateText.doGenerate"),
            ("ai.model.provider", "openai.chat"),
            ("ai.model.id", "gpt-x"),
            ("ai.response.model", "gpt-x-2026"),
            ("ai.response.id", "r-1"),
            ("ai.usage.inputTokens", "1000"),
            ("ai.usage.outputTokens", "50"),
            ("ai.usage.inputTokenDetails.cacheReadTokens", "600"),
            ("ai.usage.inputTokenDetails.cacheWriteTokens", "100"),
            ("ai.usage.outputTokenDetails.reasoningTokens", "20"),
            ("ai.telemetry.metadata.userId", "ann"),
            ("ai.telemetry.metadata.sessionId", "s"),
        ],
    ),
    (
        "pydantic-ai",
        "chat gpt-x",
        &[
            ("gen_ai.operation.name", "chat"),
            ("gen_ai.system", "openai"),
            ("gen_ai.request.model", "gpt-x"),
            ("gen_ai.response.model", "gpt-x-2026"),
            ("gen_ai.response.id", "r-1"),
            ("gen_ai.usage.input_tokens", "1000"),
            ("gen_ai.usage.output_tokens", "50"),
            ("gen_ai.usage.details.cache_read_tokens", "600"),
            ("gen_ai.usage.details.cache_write_tokens", "100"),
            ("gen_ai.usage.reasoning_tokens", "20"),
            ("gen_ai.aggregated_usage.input_tokens", "9999"),
            ("enduser.id", "ann"),
            ("gen_ai.conversation.id", "s"),
        ],
    ),
    (
        "LangSmith",
        "ChatOpenAI",
        &[
            ("langsmith.span.kind", "llm"),
            ("langsmith.metadata.ls_provider", "openai"),
            ("langsmith.metadata.ls_model_name", "gpt-x"),
            ("gen_ai.response.model", "gpt-x-2026"),
            ("gen_ai.response.id", "r-1"),
            (
                "langsmith.usage_metadata",
                r#"{"input_tokens":1000,"output_tokens":50,"total_tokens":1050,
                "input_token_details":{"cache_read":600,"cache_creation":100,"audio":null},
                "output_token_details":{"reasoning":20}}"#,
            ),
            ("langsmith.metadata.user_id", "ann"),
            ("langsmith.metadata.thread_id", "s"),
        ],
    ),
];

#[test]
fn the_same_call_in_every_dialect_is_the_same_event() {
    let usage = Meters::from_pairs([
        (Meter::Input, 300),
        (Meter::CacheRead, 600),
        (Meter::CacheWrite, 100),
        (Meter::Output, 30),
        (Meter::Reasoning, 20),
    ]);
    let mut first: Option<Event> = None;
    for (dialect, name, pairs) in DIALECTS {
        let mut found = event(read(&span(name, pairs)), dialect);
        assert_eq!(meters(&found), usage, "{dialect}");
        assert_eq!((found.provider.as_str(), found.model.as_str()), ("openai", "gpt-x-2026"), "{dialect}");
        assert_eq!(found.request_model.as_deref(), Some("gpt-x"), "{dialect}");
        assert_eq!((found.id.as_str(), found.provider_response_id.as_deref()), ("r-1", Some("r-1")));
        assert_eq!((found.latency_ms, found.source.as_str()), (Some(1_249), "otlp"), "{dialect}");
        assert_eq!(found.occurred_at.to_string(), "2026-11-22T10:30:00Z", "{dialect}");
        // What each figure was called is kept for `explain`; all else is the same, its digest too.
        assert!(found.raw_usage.take().unwrap().contains("1000"), "{dialect}");
        let first = first.get_or_insert_with(|| found.clone());
        assert_eq!(found, *first, "{dialect}");
    }
}

/// Figures that come in several attributes, and what they are.
#[test]
fn figures_are_read_as_their_dialect_means_them() {
    let chat = ("gen_ai.operation.name", "chat");
    let model = ("gen_ai.request.model", "m");
    type Case<'a> = (&'a str, Pairs<'a>, &'a [(Meter, u64)], &'a [&'a str]);
    let cases: &[Case<'_>] = &[
        (
            "texts, and a double without a fraction",
            &[("gen_ai.usage.input_tokens", "10"), ("gen_ai.usage.output_tokens", "2.0")],
            &[(Meter::Input, 10), (Meter::Output, 2)],
            &[],
        ),
        (
            "zero is told",
            &[("gen_ai.usage.input_tokens", "0"), ("gen_ai.usage.output_tokens", "0")],
            &[(Meter::Input, 0), (Meter::Output, 0)],
            &[],
        ),
        (
            "the new name wins over the old",
            &[("gen_ai.usage.prompt_tokens", "1"), ("gen_ai.usage.input_tokens", "2")],
            &[(Meter::Input, 2)],
            &[],
        ),
        (
            "input that leaves out the cache",
            &[("gen_ai.usage.input_tokens", "10"), ("gen_ai.usage.cache_read.input_tokens", "90")],
            &[(Meter::Input, 10), (Meter::CacheRead, 90)],
            &["cache_excluded: cached tokens (90) exceed gen_ai.usage.input_tokens (10) and are added to it"],
        ),
        (
            "output that leaves out reasoning",
            &[("gen_ai.usage.output_tokens", "10"), ("gen_ai.usage.reasoning.output_tokens", "30")],
            &[(Meter::Output, 10), (Meter::Reasoning, 30)],
            &[
                "reasoning_excluded: reasoning tokens (30) exceed gen_ai.usage.output_tokens (10) and are added to it",
            ],
        ),
        (
            "cache writes of unknown lifetime",
            &[("gen_ai.usage.input_tokens", "10"), ("gen_ai.usage.cache_write.input_tokens", "4")],
            &[(Meter::Input, 6), (Meter::CacheWrite, 4)],
            &["cache_ttl_unknown: cache writes are priced as those of five minutes"],
        ),
        (
            "Anthropic's SDK tells the lifetimes",
            &[
                ("gen_ai.usage.input_tokens", "1000"),
                ("gen_ai.usage.cache_write.input_tokens", "300"),
                ("anthropic.usage.cache_creation.ephemeral_5m_input_tokens", "100"),
                ("anthropic.usage.cache_creation.ephemeral_1h_input_tokens", "200"),
            ],
            &[(Meter::Input, 700), (Meter::CacheWrite5m, 100), (Meter::CacheWrite1h, 200)],
            &[],
        ),
        (
            "audio",
            &[
                ("gen_ai.usage.input_tokens", "100"),
                ("gen_ai.usage.audio.input_tokens", "40"),
                ("gen_ai.usage.output_tokens", "9"),
                ("gen_ai.usage.audio.output_tokens", "5"),
            ],
            &[(Meter::Input, 60), (Meter::InputAudio, 40), (Meter::Output, 4), (Meter::OutputAudio, 5)],
            &[],
        ),
        ("embeddings of Vercel", &[("ai.usage.tokens", "7")], &[(Meter::Input, 7)], &[]),
        (
            "Sentry",
            &[("gen_ai.usage.input_tokens", "7"), ("gen_ai.usage.input_tokens.cached", "3")],
            &[(Meter::Input, 4), (Meter::CacheRead, 3)],
            &[],
        ),
    ];
    for (what, pairs, wanted, flags) in cases {
        let found = event(read(&span("x", &[*pairs, &[chat, model]].concat())), what);
        assert_eq!(meters(&found), Meters::from_pairs(wanted.iter().copied()), "{what}");
        assert_eq!(found.flags, *flags, "{what}");
        assert!(!found.inconsistent, "{what}");
    }
}

#[test]
fn only_calls_to_models_are_calls() {
    let usage = [("gen_ai.usage.input_tokens", "5"), ("gen_ai.request.model", "m")];
    type Case<'a> = (&'a str, &'a str, Pairs<'a>, &'a str);
    let cases: &[Case<'_>] = &[
        ("a call", "chat m", &[("gen_ai.operation.name", "chat")], "call"),
        ("embeddings", "embeddings m", &[("gen_ai.operation.name", "embeddings")], "call"),
        ("a word of the emitter's own", "x", &[("gen_ai.operation.name", "my_word")], "call"),
        ("no word at all", "x", &[], "call"),
        ("Anthropic's SDK", "anthropic.messages.create", &[("gen_ai.operation.name", "chat")], "call"),
        ("counting", "anthropic.messages.count_tokens", &[("gen_ai.operation.name", "chat")], "other"),
        ("an agent", "invoke_agent a", &[("gen_ai.operation.name", "invoke_agent")], "other"),
        ("a workflow", "invoke_workflow a", &[("gen_ai.operation.name", "invoke_workflow")], "other"),
        ("a tool", "execute_tool a", &[("gen_ai.operation.name", "execute_tool")], "other"),
        ("fetching", "fetch_response", &[("gen_ai.operation.name", "fetch_response")], "other"),
        ("an agent of old pydantic-ai", "agent run", &[], "other"),
        ("announced only", "chat m", &[("logfire.span_type", "pending_span")], "other"),
        ("OpenInference, a call", "x", &[("openinference.span.kind", "LLM")], "call"),
        ("OpenInference, embeddings", "x", &[("openinference.span.kind", "EMBEDDING")], "call"),
        ("OpenInference, a chain", "x", &[("openinference.span.kind", "CHAIN")], "other"),
        ("OpenInference, an agent", "x", &[("openinference.span.kind", "AGENT")], "other"),
        ("LangSmith, a call", "x", &[("langsmith.span.kind", "llm")], "call"),
        ("LangSmith, a chain", "x", &[("langsmith.span.kind", "chain")], "other"),
        (
            "LangSmith, an agent's total",
            "x",
            &[("langsmith.span.kind", "llm"), ("langsmith.metadata.usage_scope", "agent_total")],
            "other",
        ),
        ("Traceloop, a workflow", "x", &[("traceloop.span.kind", "workflow")], "other"),
        ("Traceloop, a call", "openai.chat", &[("llm.request.type", "chat")], "call"),
        ("Vercel, inner", "ai.streamText.doStream", &[("ai.operationId", "ai.streamText.doStream")], "call"),
        ("Vercel, inner, by name", "ai.embed.doEmbed", &[], "call"),
        ("Vercel, outer", "ai.streamText", &[("ai.operationId", "ai.streamText")], "other"),
        ("Vercel, outer, by name", "ai.generateText my-function", &[], "other"),
        ("Vercel, a tool", "ai.toolCall", &[("ai.operationId", "ai.toolCall")], "other"),
    ];
    for (what, name, pairs, wanted) in cases {
        let told = match read(&span(name, &[*pairs, &usage].concat())) {
            Ok(Told::Call(_)) => "call",
            Ok(Told::NoUsage) => "no usage",
            Ok(Told::Other) => "other",
            Err(problem) => panic!("{what}: {problem}"),
        };
        assert_eq!(told, *wanted, "{what}");
    }
    assert_eq!(read(&span("chat", &[("gen_ai.operation.name", "chat")])), Ok(Told::NoUsage));
    assert_eq!(read(&span("GET /", &[])), Ok(Told::Other));
    assert_eq!(read(&span("x", &[("gen_ai.usage.input_tokens", "5")])), Ok(Told::Other), "of no model");
    let origin = Origin { resource: attributes(&[("service.name", "claude-code")]), scope: String::new() };
    let told = read_span(&span("chat", &usage), &origin, &ctx());
    assert_eq!(told, Ok(Told::Other), "coding agents are billed by their records");
}

#[test]
fn what_cannot_be_is_named() {
    let chat = [("gen_ai.operation.name", "chat"), ("gen_ai.request.model", "m")];
    for (pairs, wanted) in [
        (&[("gen_ai.usage.input_tokens", "-1")], "gen_ai.usage.input_tokens is negative"),
        (&[("gen_ai.usage.input_tokens", "1.5")], "gen_ai.usage.input_tokens is not a whole number"),
        (&[("gen_ai.usage.input_tokens", "many")], "gen_ai.usage.input_tokens is not a number"),
        (&[("gen_ai.usage.input_tokens", "NaN")], "gen_ai.usage.input_tokens is not a number"),
        (&[("gen_ai.usage.input_tokens", "9999999999999999999")], "gen_ai.usage.input_tokens is too large"),
        (&[("langsmith.usage_metadata", "{")], "langsmith.usage_metadata is no JSON text"),
    ] as [(Pairs<'_>, &str); 6]
    {
        assert_eq!(read(&span("x", &[pairs, &chat].concat())), Err(wanted.to_owned()));
    }
    let good = [("gen_ai.usage.input_tokens", "1"), chat[0], chat[1]];
    for (start, wanted) in [
        (0, "its time is missing, or none that can be"),
        (nanos("2026-11-22T10:37:00Z"), "360 seconds ahead of now; at most 300 are taken"),
        (nanos("2026-01-01T00:00:00Z"), "more than 35 days ago: what is older takes an admin's key"),
    ] {
        let told = read(&Span { start_nanos: start, ..span("x", &good) });
        assert_eq!(told, Err(wanted.to_owned()), "{start}");
    }
    let odd = Span { start_nanos: u64::MAX, end_nanos: 1, ..span("x", &good) };
    assert!(read(&odd).is_err_and(|detail| detail.contains("ahead of now")));
}

#[test]
fn providers_are_named_as_everywhere_else() {
    let cases = [
        ("gcp.gemini", "google"),
        ("aws.bedrock", "bedrock"),
        ("az.ai.openai", "azure"),
        ("openai.chat", "openai"),
        ("google.generative-ai", "google"),
        ("google.vertex.chat", "vertex"),
        ("amazon-bedrock", "bedrock"),
        ("Some.House", "some.house"),
    ];
    for (told, wanted) in cases {
        let pairs = [("gen_ai.usage.input_tokens", "1"), ("gen_ai.system", told)];
        assert_eq!(event(read(&span("chat m", &pairs)), told).provider, wanted, "{told}");
    }
    let pairs = [("gen_ai.usage.input_tokens", "1"), ("gen_ai.request.model", "m")];
    for (scope, wanted) in [
        ("openinference.instrumentation.mistralai", "mistral"),
        ("opentelemetry.instrumentation.openai", "openai"),
        ("my.app", "unknown"),
    ] {
        let origin = Origin { resource: Attributes::default(), scope: scope.to_owned() };
        let told = read_span(&span("x", &pairs), &origin, &ctx()).map_err(|_| String::new());
        assert_eq!(event(told, scope).provider, wanted, "{scope}");
    }
}

#[test]
fn the_account_is_that_of_the_span_else_of_its_resource() {
    let origin = Origin {
        resource: attributes(&[
            ("service.name", "shop"),
            ("deployment.environment.name", "prod"),
            ("tollbook.customer", "example.com"),
            ("user.id", "the machine"),
        ]),
        scope: String::new(),
    };
    let pairs = [
        ("gen_ai.usage.input_tokens", "1"),
        ("gen_ai.request.model", "m"),
        ("user.id", "ann"),
        ("gen_ai.agent.name", "helper"),
        ("gen_ai.agent.id", "a-1"),
        ("gen_ai.workflow.name", "answering"),
        ("operation.cost", "0.00012"),
        ("error.type", "timeout"),
        ("gen_ai.response.time_to_first_chunk", "0.25"),
    ];
    let span = Span { failed: true, ..span("x", &pairs) };
    let found = event(read_span(&span, &origin, &ctx()).map_err(|_| String::new()), "x");
    let account = &found.attribution;
    assert_eq!((account.user.as_deref(), account.customer.as_deref()), (Some("ann"), Some("example.com")));
    assert_eq!((account.agent.as_deref(), account.agent_name.as_deref()), (Some("a-1"), Some("helper")));
    assert_eq!(account.operation.as_deref(), Some("answering"));
    assert_eq!((account.tags["service"].as_str(), account.tags["environment"].as_str()), ("shop", "prod"));
    assert_eq!(account.metadata.as_ref().unwrap()["reported_cost_usd"], "0.00012");
    assert_eq!(account.metadata.as_ref().unwrap()["trace_id"], "07".repeat(16));
    assert_eq!(found.provider_cost, None, "somebody else's multiplication is no bill");
    assert_eq!((found.status, found.error.as_deref()), (Status::UpstreamError, Some("timeout")));
    assert_eq!(found.time_to_first_token_ms, Some(250));
    assert_eq!(found.id, format!("{}-{}", "07".repeat(16), "01".repeat(8)));
}

#[test]
fn an_output_is_read_for_its_id_only() {
    let cases = [
        (r#"{"choices":[],"id":"r-1"}"#, Some("r-1")),
        (r#"{"choices":[]}"#, None),
        (r#"{"id":7}"#, None),
        (r#"{"id":""}"#, None),
        (r#"["r-1"]"#, None),
        ("The books balance.", None),
        ("", None),
    ];
    for (output, wanted) in cases {
        let pairs = [
            ("openinference.span.kind", "LLM"),
            ("llm.model_name", "m"),
            ("llm.token_count.prompt", "1"),
            ("output.value", output),
        ];
        let found = event(read(&span("x", &pairs)), output);
        assert_eq!(found.provider_response_id.as_deref(), wanted, "{output}");
    }
}

#[test]
fn a_record_beside_a_span_is_the_spans_call() {
    let (_, name, pairs) = DIALECTS[1];
    let of_span = event(read(&span(name, pairs)), name);
    let mut log = Log {
        time_nanos: nanos("2026-11-22T10:30:01Z"),
        event_name: "gen_ai.client.inference.operation.details".to_owned(),
        span: Some(id(1)),
        attributes: attributes(pairs),
        ..Log::default()
    };
    let read = |log: &Log| read_log(log, &Origin::default(), &ctx()).map_err(|_| String::new());
    assert_eq!(event(read(&log), name).identity(), of_span.identity());
    let nameless: Vec<_> = pairs.iter().copied().filter(|(name, _)| *name != "gen_ai.response.id").collect();
    log.attributes = attributes(&nameless);
    let of_span = event(self::read(&span(name, &nameless)), name);
    assert_eq!(event(read(&log), name).identity(), of_span.identity());
    log.span = None;
    assert_eq!(read(&log), Ok(Told::Other), "of no span");
}

#[test]
fn layers_that_name_the_same_answer_are_one_event() {
    let told = |pairs: Pairs<'_>| {
        let all = [pairs, &[("gen_ai.response.id", "r"), ("gen_ai.system", "anthropic")]].concat();
        event(read(&span("chat m", &all)), "x")
    };
    let coarse = told(&[
        ("gen_ai.usage.input_tokens", "100"),
        ("gen_ai.usage.output_tokens", "5"),
        ("user.id", "ann"),
    ]);
    let fine = told(&[
        ("gen_ai.usage.input_tokens", "100"),
        ("gen_ai.usage.cache_read.input_tokens", "60"),
        ("gen_ai.usage.output_tokens", "5"),
    ]);
    let without_cache = told(&[("gen_ai.usage.input_tokens", "40"), ("gen_ai.usage.output_tokens", "5")]);
    for order in [[&coarse, &fine], [&fine, &coarse]] {
        let merged = merge(order.into_iter().cloned().collect());
        assert_eq!((merged.len(), meters(&merged[0])), (1, meters(&fine)));
        assert_eq!((merged[0].attribution.user.as_deref(), merged[0].flags.len()), (Some("ann"), 0));
    }
    let merged = merge(vec![without_cache, fine.clone()]);
    assert_eq!((merged.len(), meters(&merged[0])), (1, meters(&fine)));
    assert_eq!(merged[0].flags, ["usage_differs: otlp"]);
}

/// Requests one after the other, each a list of (span, the span above it, whether it is a call); what
/// counts in the end.
#[test]
fn a_call_above_calls_is_not_counted_in_whatever_order_they_come() {
    type Spans<'a> = &'a [(u8, u8, bool)];
    let cases: &[(&str, &[Spans<'_>], &[u8])] = &[
        ("alone", &[&[(1, 0, true)]], &[1]),
        ("child first", &[&[(2, 1, true), (1, 0, true)]], &[2]),
        ("parent first", &[&[(1, 0, true), (2, 1, true)]], &[2]),
        ("in two requests", &[&[(2, 1, true)], &[(1, 0, true)]], &[2]),
        ("the parent in an earlier one", &[&[(1, 0, true)], &[(2, 1, true)]], &[2]),
        ("something in between", &[&[(3, 2, true)], &[(2, 1, false), (1, 0, true)]], &[3]),
        ("and late", &[&[(3, 2, true)], &[(1, 0, true)], &[(2, 1, false)]], &[3]),
        ("each alone, the innermost first", &[&[(3, 2, true)], &[(2, 1, false)], &[(1, 0, true)]], &[3]),
        ("two children", &[&[(2, 1, true)], &[(3, 1, true)], &[(1, 0, true)]], &[2, 3]),
        ("two children, the parent first", &[&[(1, 0, true)], &[(2, 1, true)], &[(3, 1, true)]], &[2, 3]),
        ("three deep", &[&[(2, 1, true)], &[(1, 0, true), (3, 2, true)]], &[3]),
        ("siblings", &[&[(2, 1, true), (3, 1, true), (1, 0, false)]], &[2, 3]),
        ("its own parent", &[&[(1, 1, true)]], &[1]),
        ("sent again", &[&[(2, 1, true), (1, 0, true)], &[(2, 1, true), (1, 0, true)]], &[2]),
    ];
    for (what, requests, wanted) in cases {
        let mut lineage = Lineage::default();
        let mut counted: Vec<u8> = Vec::new();
        for spans in *requests {
            let links: Vec<Link> = spans
                .iter()
                .map(|(span, parent, call)| Link {
                    id: id(*span),
                    parent: (*parent > 0).then_some([*parent; 8]),
                    call: call.then(|| span.to_string()),
                })
                .collect();
            let verdict = lineage.judge("p", &links);
            assert!(lineage.judge("another", &[]).taken_back.is_empty());
            for ((span, ..), repeats) in spans.iter().zip(&verdict.repeats).filter(|((.., call), _)| *call) {
                if !repeats && !counted.contains(span) {
                    counted.push(*span);
                    let identity =
                        Identity { project: None, source: SOURCE.to_owned(), id: span.to_string() };
                    lineage.counted("p", id(*span), identity);
                }
            }
            for back in &verdict.taken_back {
                counted.retain(|span| span.to_string() != back.identity.id);
                lineage.took_back(back);
            }
        }
        counted.sort_unstable();
        assert_eq!(counted, *wanted, "{what}");
    }
}

#[test]
fn spans_of_others_do_not_meet() {
    let mut lineage = Lineage::default();
    let call = |span: u8, parent: Option<u8>| Link {
        id: id(span),
        parent: parent.map(|parent| [parent; 8]),
        call: Some(span.to_string()),
    };
    lineage.judge("mine", &[call(1, None)]);
    lineage.counted("mine", id(1), Identity { project: None, source: SOURCE.to_owned(), id: "1".to_owned() });
    assert!(lineage.judge("theirs", &[call(2, Some(1))]).taken_back.is_empty());
    assert_eq!(lineage.judge("mine", &[call(2, Some(1))]).taken_back.len(), 1);
}
