//! Log records of coding agents: which of them are calls, and what they used.

use crate::otel::{Pairs, attributes, ctx, event, meters, nanos};
use tollbook_types::{Meter, Meters};
use tollbook_usage::otel::{Log, Origin, Told, read_log};

#[test]
fn coding_agents_tell_of_calls_by_their_records() {
    type Case<'a> = (&'a str, &'a str, Pairs<'a>, Option<(&'a str, &'a [(Meter, u64)])>);
    let cases: &[Case<'_>] = &[
        (
            "claude-code",
            "claude_code.api_request",
            &[
                ("event.name", "api_request"),
                ("event.sequence", "3"),
                ("model", "claude-sonnet-4-5"),
                ("input_tokens", "10"),
                ("output_tokens", "7"),
                ("cache_read_tokens", "2000"),
                ("cache_creation_tokens", "300"),
                ("cost_usd", "0.0123"),
                ("duration_ms", "900"),
                ("session.id", "s"),
                ("user.account_uuid", "ann"),
                ("user.id", "a hash"),
            ],
            Some((
                "anthropic",
                &[
                    (Meter::Input, 10),
                    (Meter::CacheRead, 2_000),
                    (Meter::CacheWrite, 300),
                    (Meter::Output, 7),
                ],
            )),
        ),
        (
            "claude-code",
            "claude_code.tool_result",
            &[("event.name", "tool_result"), ("input_tokens", "1")],
            None,
        ),
        (
            "codex_cli_rs",
            "",
            &[
                ("event.name", "codex.sse_event"),
                ("event.kind", "response.completed"),
                ("model", "gpt-5"),
                ("input_token_count", "100"),
                ("cached_token_count", "60"),
                ("output_token_count", "30"),
                ("reasoning_token_count", "20"),
                ("tool_token_count", "130"),
                ("conversation.id", "s"),
                ("user.account_id", "ann"),
                ("duration_ms", "900"),
            ],
            Some((
                "openai",
                &[(Meter::Input, 40), (Meter::CacheRead, 60), (Meter::Output, 10), (Meter::Reasoning, 20)],
            )),
        ),
        (
            "codex_cli_rs",
            "",
            &[
                ("event.name", "codex.sse_event"),
                ("event.kind", "response.created"),
                ("input_token_count", "1"),
            ],
            None,
        ),
        (
            "gemini-cli",
            "",
            &[
                ("event.name", "gemini_cli.api_response"),
                ("model", "gemini-2.5-pro"),
                ("input_token_count", "100"),
                ("cached_content_token_count", "60"),
                ("output_token_count", "30"),
                ("thoughts_token_count", "20"),
                ("tool_token_count", "5"),
                ("session.id", "s"),
                ("user.email", "ann"),
                ("duration_ms", "900"),
            ],
            Some((
                "google",
                &[
                    (Meter::Input, 40),
                    (Meter::CacheRead, 60),
                    (Meter::ToolPrompt, 5),
                    (Meter::Output, 30),
                    (Meter::Reasoning, 20),
                ],
            )),
        ),
        // It tells the same call again in the words of the conventions.
        (
            "gemini-cli",
            "",
            &[
                ("event.name", "gen_ai.client.inference.operation.details"),
                ("gen_ai.response.id", "r"),
                ("gen_ai.usage.input_tokens", "100"),
            ],
            None,
        ),
    ];
    for (service, body, pairs, wanted) in cases {
        let origin = Origin { resource: attributes(&[("service.name", service)]), scope: String::new() };
        let log = Log {
            time_nanos: nanos("2026-11-22T10:30:00Z"),
            body: (*body).to_owned(),
            attributes: attributes(pairs),
            ..Log::default()
        };
        let told = read_log(&log, &origin, &ctx()).map_err(|_| String::new());
        let Some((provider, wanted)) = wanted else {
            assert_eq!(told, Ok(Told::Other), "{service} {pairs:?}");
            continue;
        };
        let found = event(told, service);
        assert_eq!(found.provider, *provider);
        assert_eq!(meters(&found), Meters::from_pairs(wanted.iter().copied()), "{service}");
        assert_eq!(found.attribution.session.as_deref(), Some("s"), "{service}");
        assert_eq!(found.attribution.user.as_deref(), Some("ann"), "{service}");
        assert_eq!(found.latency_ms, Some(900), "{service}");
        let later = Log { time_nanos: log.time_nanos + 1, ..log };
        let later = event(read_log(&later, &origin, &ctx()).map_err(|_| String::new()), service);
        assert_ne!(found.id, later.id, "{service}: another record is another call");
    }
}
