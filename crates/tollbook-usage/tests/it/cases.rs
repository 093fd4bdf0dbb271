//! What each dialect's answer comes to: small answers, written for this purpose.

use crate::support::{Answer, frame};
use tollbook_types::{Evidence, FreeReason, Meter, Money};
use tollbook_usage::{Reading, Request};

/// A JSON answer: provider, path, body, the meters it comes to.
type Case = (&'static str, &'static str, &'static str, &'static [(Meter, u64)]);

const JSON: &[Case] = &[
    (
        "openai",
        "/v1/chat/completions",
        r#"{"id":"c","model":"m","choices":[{"message":{"content":"\"usage\":{\"prompt_tokens\":9}"}}],"usage":{"prompt_tokens":100,
            "completion_tokens":50,"total_tokens":150,"prompt_tokens_details":{"cached_tokens":40,"audio_tokens":10},
            "completion_tokens_details":{"reasoning_tokens":20,"audio_tokens":5,"rejected_prediction_tokens":3}}}"#,
        &[
            (Meter::Input, 50),
            (Meter::CacheRead, 40),
            (Meter::InputAudio, 10),
            (Meter::Output, 25),
            (Meter::Reasoning, 20),
            (Meter::OutputAudio, 5),
        ],
    ),
    (
        "openai",
        "/v1/chat/completions",
        r#"{"usage":{"prompt_tokens":7,"completion_tokens":0,"prompt_tokens_details":null}}"#,
        &[(Meter::Input, 7), (Meter::Output, 0)],
    ),
    (
        // Cached and image tokens overlap: no more than must be is cached image.
        "openai",
        "/v1/chat/completions",
        r#"{"usage":{"prompt_tokens":265,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":162,"image_tokens":256}}}"#,
        &[
            (Meter::Input, 0),
            (Meter::CacheRead, 9),
            (Meter::CacheReadImage, 153),
            (Meter::InputImage, 103),
            (Meter::Output, 1),
        ],
    ),
    (
        "openai",
        "/v1/responses",
        r#"{"output":[{"type":"web_search_call","action":{"type":"search"}},{"type":"web_search_call","action":{"type":"open_page"}},
            {"type":"web_search_call"},{"type":"file_search_call"},{"type":"code_interpreter_call","container_id":"a"},
            {"type":"code_interpreter_call","container_id":"a"},{"type":"message"}],
            "usage":{"input_tokens":10,"input_tokens_details":{"cached_tokens":4,"cache_write_tokens":2},
            "output_tokens":6,"output_tokens_details":{"reasoning_tokens":5},"total_tokens":16}}"#,
        &[
            (Meter::Input, 4),
            (Meter::CacheRead, 4),
            (Meter::CacheWrite, 2),
            (Meter::Output, 1),
            (Meter::Reasoning, 5),
            (Meter::WebSearch, 2),
            (Meter::FileSearch, 1),
            (Meter::CodeSession, 1),
        ],
    ),
    (
        "openai",
        "/v1/embeddings",
        r#"{"data":[{"embedding":[0.1,-2e-3]}],"usage":{"prompt_tokens":5,"total_tokens":5}}"#,
        &[(Meter::Input, 5)],
    ),
    (
        "openai",
        "/v1/audio/transcriptions",
        r#"{"text":"x","usage":{"type":"tokens","input_tokens":37,"input_token_details":{"text_tokens":7,"audio_tokens":30},"output_tokens":4}}"#,
        &[(Meter::Input, 7), (Meter::InputAudio, 30), (Meter::Output, 4)],
    ),
    (
        "openai",
        "/v1/audio/transcriptions",
        r#"{"text":"x","usage":{"type":"duration","seconds":4.25}}"#,
        &[(Meter::AudioMs, 4_250)],
    ),
    (
        "openai",
        "/v1/images/generations",
        r#"{"data":[{"b64_json":"AAAA"}],"usage":{"input_tokens":50,"input_tokens_details":{"text_tokens":10,"image_tokens":40},
            "output_tokens":272,"output_tokens_details":{"image_tokens":272,"text_tokens":0}}}"#,
        &[(Meter::Input, 10), (Meter::InputImage, 40), (Meter::Output, 0), (Meter::OutputImage, 272)],
    ),
    (
        "anthropic",
        "/v1/messages",
        r#"{"model":"claude","content":[{"type":"tool_use","input":{"usage":{"input_tokens":9}}}],"usage":{"input_tokens":6,
            "cache_read_input_tokens":100,"cache_creation_input_tokens":60,
            "cache_creation":{"ephemeral_5m_input_tokens":40,"ephemeral_1h_input_tokens":15},"output_tokens":20,
            "output_tokens_details":{"thinking_tokens":8},"server_tool_use":{"web_search_requests":3}}}"#,
        &[
            (Meter::Input, 6),
            (Meter::CacheRead, 100),
            (Meter::CacheWrite, 5),
            (Meter::CacheWrite5m, 40),
            (Meter::CacheWrite1h, 15),
            (Meter::Output, 12),
            (Meter::Reasoning, 8),
            (Meter::WebSearch, 3),
        ],
    ),
    (
        "google",
        "/v1beta/models/gemini-2.5-flash:generateContent",
        r#"{"modelVersion":"gemini-2.5-flash","candidates":[{"groundingMetadata":{"webSearchQueries":["a","b"]}}],
            "usageMetadata":{"promptTokenCount":100,"cachedContentTokenCount":30,"candidatesTokenCount":10,"thoughtsTokenCount":5,
            "toolUsePromptTokenCount":7,"promptTokensDetails":[{"modality":"AUDIO","tokenCount":20},{"modality":"TEXT"}],
            "cacheTokensDetails":[{"modality":"AUDIO","tokenCount":15}],"totalTokenCount":122}}"#,
        &[
            (Meter::Input, 65),
            (Meter::CacheRead, 15),
            (Meter::CacheReadAudio, 15),
            (Meter::InputAudio, 5),
            (Meter::ToolPrompt, 7),
            (Meter::Output, 10),
            (Meter::Reasoning, 5),
            (Meter::WebSearch, 1),
        ],
    ),
    (
        "google",
        "/v1beta/models/gemini-3-flash:generateContent",
        r#"{"modelVersion":"gemini-3-flash","candidates":[{"groundingMetadata":{"webSearchQueries":["a","b"],
            "groundingChunks":[{"maps":{"uri":"x"}}]}}],"usageMetadata":{"promptTokenCount":3}}"#,
        &[(Meter::Input, 3), (Meter::WebSearch, 2), (Meter::MapsGrounding, 1)],
    ),
    (
        // Thoughts show in the total only.
        "google",
        "/v1beta/openai/chat/completions",
        r#"{"usage":{"prompt_tokens":35,"completion_tokens":12,"total_tokens":109}}"#,
        &[(Meter::Input, 35), (Meter::Output, 12), (Meter::Reasoning, 62)],
    ),
    (
        "google",
        "/v1beta/interactions",
        r#"{"usage":{"total_input_tokens":22,"total_cached_tokens":2,"total_output_tokens":9,"total_thought_tokens":4,"total_tool_use_tokens":5}}"#,
        &[
            (Meter::Input, 20),
            (Meter::CacheRead, 2),
            (Meter::ToolPrompt, 5),
            (Meter::Output, 9),
            (Meter::Reasoning, 4),
        ],
    ),
    (
        "vertex",
        "/v1/projects/p/locations/l/publishers/google/models/t:predict",
        r#"{"predictions":[{"embeddings":{"statistics":{"token_count":4},"values":[1]}},{"embeddings":{"statistics":{"token_count":3}}}]}"#,
        &[(Meter::Input, 7)],
    ),
    (
        "bedrock",
        "/model/m/converse",
        r#"{"usage":{"inputTokens":3,"outputTokens":9,"totalTokens":32,"cacheReadInputTokens":12,"cacheReadInputTokenCount":12,
            "cacheWriteInputTokens":8,"cacheDetails":[{"ttl":"1h","inputTokens":8}]}}"#,
        &[(Meter::Input, 3), (Meter::CacheRead, 12), (Meter::CacheWrite1h, 8), (Meter::Output, 9)],
    ),
    (
        "bedrock",
        "/model/amazon.titan-text/invoke",
        r#"{"inputTextTokenCount":5,"results":[{"tokenCount":10,"outputText":"x"},{"tokenCount":2}]}"#,
        &[(Meter::Input, 5), (Meter::Output, 12)],
    ),
    (
        "bedrock",
        "/model/meta.llama/invoke",
        r#"{"generation":"x","prompt_token_count":5,"generation_token_count":9}"#,
        &[(Meter::Input, 5), (Meter::Output, 9)],
    ),
    (
        "cohere",
        "/v2/chat",
        r#"{"usage":{"billed_units":{"input_tokens":7,"output_tokens":21},"tokens":{"input_tokens":502,"output_tokens":25},"cached_tokens":448}}"#,
        &[(Meter::Input, 7), (Meter::Output, 21)],
    ),
    (
        "cohere",
        "/v2/rerank",
        r#"{"results":[{"index":0}],"meta":{"billed_units":{"search_units":2}}}"#,
        &[(Meter::RerankSearch, 2)],
    ),
    (
        "mistral",
        "/v1/chat/completions",
        r#"{"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":386,"prompt_audio_seconds":4,"prompt_tokens_details":{"audio_tokens":375}}}"#,
        &[(Meter::Input, 9), (Meter::InputAudio, 375), (Meter::Output, 2), (Meter::AudioMs, 4_000)],
    ),
    (
        "mistral",
        "/v1/chat/completions",
        r#"{"usage":{"prompt_tokens":77,"completion_tokens":2,"num_cached_tokens":76}}"#,
        &[(Meter::Input, 1), (Meter::CacheRead, 76), (Meter::Output, 2)],
    ),
    (
        "mistral",
        "/v1/ocr",
        r#"{"pages":[{"index":0}],"usage_info":{"pages_processed":3,"doc_size_bytes":9}}"#,
        &[(Meter::Pages, 3)],
    ),
    (
        "deepseek",
        "/chat/completions",
        "\n\n\n{\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":3,\"prompt_cache_hit_tokens\":16,\"prompt_cache_miss_tokens\":4}}",
        &[(Meter::Input, 4), (Meter::CacheRead, 16), (Meter::Output, 3)],
    ),
    (
        "moonshot",
        "/v1/chat/completions",
        r#"{"usage":{"prompt_tokens":20,"completion_tokens":3,"cached_tokens":10}}"#,
        &[(Meter::Input, 10), (Meter::CacheRead, 10), (Meter::Output, 3)],
    ),
    (
        "xai",
        "/v1/chat/completions",
        r#"{"usage":{"prompt_tokens":10,"completion_tokens":2,"total_tokens":92,"completion_tokens_details":{"reasoning_tokens":80}}}"#,
        &[(Meter::Input, 10), (Meter::Output, 2), (Meter::Reasoning, 80)],
    ),
    (
        "perplexity",
        "/chat/completions",
        r#"{"usage":{"prompt_tokens":33,"completion_tokens":70,"total_tokens":103,"citation_tokens":8,"num_search_queries":2,"reasoning_tokens":500}}"#,
        &[
            (Meter::Input, 33),
            (Meter::Output, 70),
            (Meter::Reasoning, 500),
            (Meter::Citation, 8),
            (Meter::WebSearch, 2),
            (Meter::Requests, 1),
        ],
    ),
    ("voyage", "/v1/embeddings", r#"{"data":[],"usage":{"total_tokens":12}}"#, &[(Meter::Input, 12)]),
    (
        "ollama",
        "/api/generate",
        r#"{"model":"l","response":"x","done":true,"eval_count":38}"#,
        &[(Meter::Output, 38)],
    ),
    (
        "llamacpp",
        "/completion",
        r#"{"content":"x","tokens_evaluated":11,"tokens_predicted":4}"#,
        &[(Meter::Input, 11), (Meter::Output, 4)],
    ),
    (
        "openai",
        "/v1/chat/completions",
        r#"{"model":"gpt-4o-search-preview","usage":{"prompt_tokens":1,"completion_tokens":1}}"#,
        &[(Meter::Input, 1), (Meter::Output, 1), (Meter::WebSearch, 1)],
    ),
];

/// Streams: provider, path, body, the meters they come to.
const STREAMS: &[Case] = &[
    (
        "openai",
        "/v1/chat/completions",
        "data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"delta\":{}}],\"usage\":null}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\ndata: {\"choices\":[],\"usage\":null}\n\ndata: [DONE]\n\n",
        &[(Meter::Input, 3), (Meter::Output, 4)],
    ),
    (
        // Several lines, carriage returns, comments, no space after the colon.
        "openai",
        "/v1/chat/completions",
        ": keep-alive\r\n\r\ndata:{\r\ndata:\"choices\":[],\r\ndata:\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}\r\ndata:}\r\n\r\n",
        &[(Meter::Input, 3), (Meter::Output, 4)],
    ),
    (
        "openai",
        "/v1/chat/completions",
        "data: {\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\rdata: [DONE]\r\r",
        &[(Meter::Input, 3), (Meter::Output, 4)],
    ),
    (
        "openai",
        "/v1/responses",
        "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"r\",\"model\":\"m\",\"usage\":null}}\n\nevent: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"r\",\"output\":[{\"type\":\"web_search_call\",\"action\":{\"type\":\"search\"}}],\"usage\":{\"input_tokens\":5,\"output_tokens\":6}}}\n\n",
        &[(Meter::Input, 5), (Meter::Output, 6), (Meter::WebSearch, 1)],
    ),
    (
        // Later members win, the breakdown may be stale, a repeated start does not double.
        "anthropic",
        "/v1/messages",
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"a\",\"model\":\"c\",\"usage\":{\"input_tokens\":10,\"cache_creation_input_tokens\":30,\"cache_creation\":{\"ephemeral_5m_input_tokens\":30},\"output_tokens\":1}}}\n\nevent: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"a\",\"usage\":{\"input_tokens\":10,\"output_tokens\":1}}}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"input_tokens\":12,\"cache_creation_input_tokens\":33,\"output_tokens\":40}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
        &[(Meter::Input, 12), (Meter::CacheWrite, 3), (Meter::CacheWrite5m, 30), (Meter::Output, 40)],
    ),
    (
        // Cumulative in every chunk: the last one, even where it is smaller.
        "google",
        "/v1beta/models/g:streamGenerateContent?alt=sse",
        "data: {\"usageMetadata\":{\"promptTokenCount\":9,\"candidatesTokenCount\":5}}\r\n\r\ndata: {\"candidates\":[{\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":7,\"thoughtsTokenCount\":2}}\r\n\r\n",
        &[(Meter::Input, 7), (Meter::Output, 0), (Meter::Reasoning, 2)],
    ),
    (
        "groq",
        "/openai/v1/chat/completions",
        "data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[]}\n\ndata: {\"choices\":[{\"finish_reason\":\"stop\"}],\"x_groq\":{\"usage\":{\"prompt_tokens\":8,\"completion_tokens\":2}}}\n\n",
        &[(Meter::Input, 8), (Meter::Output, 2)],
    ),
    (
        "cohere",
        "/v2/chat",
        "data: {\"type\":\"message-start\",\"id\":\"x\"}\n\ndata: {\"type\":\"message-end\",\"delta\":{\"usage\":{\"billed_units\":{\"input_tokens\":4,\"output_tokens\":5}}}}\n\n",
        &[(Meter::Input, 4), (Meter::Output, 5)],
    ),
];

pub fn answers() -> Vec<Answer> {
    let json = JSON.iter().map(|(provider, path, body, _)| Answer::json(provider, path, body));
    let streams = STREAMS.iter().map(|(provider, path, body, _)| Answer::sse(provider, path, body));
    json.chain(streams).chain([realtime(), converse_stream(), invoke_stream(), ollama_stream()]).collect()
}

fn realtime() -> Answer {
    Answer::new(
        "openai",
        "/v1/realtime",
        "gpt-realtime",
        "application/x-ndjson",
        concat!(
            "{\"type\":\"session.created\",\"session\":{\"id\":\"s\",\"model\":\"gpt-realtime\",\"audio\":{\"input\":{\"transcription\":{\"model\":\"whisper-1\"}}}}}\n",
            "{\"type\":\"conversation.item.input_audio_transcription.completed\",\"usage\":{\"type\":\"duration\",\"seconds\":3}}\n",
            "{\"type\":\"response.done\",\"response\":{\"id\":\"r1\",\"usage\":{\"input_tokens\":40,\"output_tokens\":10,\"input_token_details\":{\"text_tokens\":14,\"audio_tokens\":26,\"cached_tokens\":0},\"output_token_details\":{\"text_tokens\":2,\"audio_tokens\":8}}}}\n",
            "{\"type\":\"response.done\",\"response\":{\"id\":\"r2\",\"usage\":{\"input_tokens\":60,\"output_tokens\":5,\"input_token_details\":{\"text_tokens\":34,\"audio_tokens\":26,\"cached_tokens\":32,\"cached_tokens_details\":{\"text_tokens\":20,\"audio_tokens\":12}}}}}\n",
        ),
    )
}

fn converse_stream() -> Answer {
    let mut body = frame("messageStart", br#"{"role":"assistant"}"#);
    body.extend(frame("contentBlockDelta", br#"{"delta":{"text":"Hello"}}"#));
    body.extend(frame(
        "metadata",
        br#"{"usage":{"inputTokens":8,"outputTokens":2,"cacheReadInputTokens":4}}"#,
    ));
    Answer::new("bedrock", "/model/m/converse-stream", "m", "application/vnd.amazon.eventstream", body)
}

fn invoke_stream() -> Answer {
    let chunk = |inner: &str| {
        let text = data_encoding::BASE64.encode(inner.as_bytes());
        frame("chunk", format!("{{\"bytes\":\"{text}\",\"p\":\"abc\"}}").as_bytes())
    };
    let mut body = chunk(r#"{"outputText":"Hello","inputTextTokenCount":5,"index":0}"#);
    body.extend(chunk(
        r#"{"outputText":"!","completionReason":"FINISH","amazon-bedrock-invocationMetrics":{"inputTokenCount":5,"outputTokenCount":7}}"#,
    ));
    Answer::new(
        "bedrock",
        "/model/m/invoke-with-response-stream",
        "m",
        "application/vnd.amazon.eventstream",
        body,
    )
}

fn ollama_stream() -> Answer {
    Answer::new(
        "ollama",
        "/api/chat",
        "llama3",
        "application/x-ndjson",
        "{\"model\":\"llama3\",\"message\":{\"content\":\"Hi\"},\"done\":false}\n{\"model\":\"llama3\",\"done\":true,\"prompt_eval_count\":17,\"eval_count\":66}\n",
    )
}

fn meters(reading: &Reading) -> Vec<(Meter, u64)> {
    reading.usage.as_ref().map(|usage| usage.total().iter().collect()).unwrap_or_default()
}

/// Zeros of parts are the provider's word, but not what a case is about.
fn without_zero_parts(found: Vec<(Meter, u64)>, wanted: &[(Meter, u64)]) -> Vec<(Meter, u64)> {
    found
        .into_iter()
        .filter(|(meter, count)| *count > 0 || wanted.iter().any(|(known, _)| known == meter))
        .collect()
}

#[test]
fn every_dialect_comes_to_its_meters() {
    let json = JSON.iter().map(|case| (case, Answer::json(case.0, case.1, case.2)));
    let streams = STREAMS.iter().map(|case| (case, Answer::sse(case.0, case.1, case.2)));
    for ((_, _, body, wanted), answer) in json.chain(streams) {
        let reading = answer.read();
        let mut wanted: Vec<_> = wanted.to_vec();
        wanted.sort_unstable();
        let mut found = without_zero_parts(meters(&reading), &wanted);
        found.sort_unstable();
        assert_eq!(found, wanted, "{body}\n{reading:?}");
        assert_eq!(reading.evidence, Evidence::ProviderUsage, "{body}");
        assert!(!reading.inconsistent && reading.free.is_none(), "{body} {:?}", reading.flags);
    }
}

#[test]
fn realtime_turns_add_up_and_transcription_is_a_leg() {
    let reading = realtime().read();
    let legs = reading.usage.unwrap().legs;
    assert_eq!(legs.len(), 2);
    assert_eq!(legs[0].meters.input_tokens(), 100);
    assert_eq!(legs[0].meters.output_tokens(), 15);
    assert_eq!(legs[0].meters.get(Meter::CacheReadAudio), Some(12));
    assert_eq!(legs[0].meters.get(Meter::InputAudio), Some(40));
    assert_eq!(
        (legs[1].kind.as_deref(), legs[1].model.as_deref()),
        (Some("transcription"), Some("whisper-1"))
    );
    assert_eq!(legs[1].meters.get(Meter::AudioMs), Some(3_000));
}

#[test]
fn binary_streams_are_read() {
    let reading = converse_stream().read();
    assert_eq!(meters(&reading), [(Meter::Input, 8), (Meter::CacheRead, 4), (Meter::Output, 2)]);
    let reading = invoke_stream().read();
    assert_eq!(meters(&reading), [(Meter::Input, 5), (Meter::Output, 7)]);
    let mut damaged = converse_stream();
    let at = damaged.body.len() - 20;
    damaged.body[at] ^= 1;
    let reading = damaged.read();
    assert!(reading.flags.iter().any(|flag| flag.starts_with("event_stream_damaged")));
    assert_ne!(reading.evidence, Evidence::ProviderUsage);
}

#[test]
fn headers_speak_where_the_body_does_not() {
    let mut answer = Answer::json("bedrock", "/model/cohere.embed-v4/invoke", r#"{"embeddings":[[0.1]]}"#);
    answer.headers = vec![
        ("X-Amzn-Bedrock-Input-Token-Count".to_owned(), "4".to_owned()),
        ("x-amzn-requestid".to_owned(), "req-1".to_owned()),
    ];
    let reading = answer.read();
    assert_eq!(meters(&reading), [(Meter::Input, 4)]);
    assert_eq!(reading.provider_response_id.as_deref(), Some("req-1"));
}

#[test]
fn steps_of_a_message_are_legs() {
    let reading = Answer::json(
        "anthropic",
        "/v1/messages",
        r#"{"model":"claude-sonnet","usage":{"input_tokens":5,"output_tokens":2,"server_tool_use":{"web_search_requests":1},"iterations":[
            {"type":"message","input_tokens":5,"output_tokens":2},
            {"type":"advisor_message","model":"claude-opus","input_tokens":70,"output_tokens":9,"cache_read_input_tokens":30}]}}"#,
    )
    .read();
    let legs = &reading.usage.as_ref().unwrap().legs;
    assert_eq!(legs[0].kind.as_deref(), Some("message"));
    assert_eq!(legs[0].meters.get(Meter::WebSearch), Some(1));
    assert_eq!(legs[1].model.as_deref(), Some("claude-opus"));
    assert_eq!(legs[1].meters.input_tokens(), 100);
    assert_eq!(reading.reported.get("input_tokens"), Some(&5));
}

#[test]
fn bills_are_read_exactly() {
    let cases = [
        (
            "openrouter",
            "/api/v1/chat/completions",
            r#"{"usage":{"prompt_tokens":1,"completion_tokens":1,"cost":1.4e-7}}"#,
            "0.00000014",
            "usage.cost",
        ),
        (
            "xai",
            "/v1/chat/completions",
            r#"{"usage":{"prompt_tokens":1,"completion_tokens":1,"cost_in_usd_ticks":123456}}"#,
            "0.0000123456",
            "usage.cost_in_usd_ticks",
        ),
        (
            "perplexity",
            "/chat/completions",
            r#"{"usage":{"prompt_tokens":1,"completion_tokens":1,"cost":{"input_tokens_cost":0.00001,"output_tokens_cost":0.00001,"request_cost":0.005,"total_cost":0.00502}}}"#,
            "0.00502",
            "usage.cost.total_cost",
        ),
        (
            "deepinfra",
            "/v1/openai/chat/completions",
            r#"{"usage":{"prompt_tokens":1,"completion_tokens":1,"estimated_cost":0.25}}"#,
            "0.25",
            "usage.estimated_cost",
        ),
        (
            "xai",
            "/v1/images/generations",
            r#"{"data":[{"url":"x"}],"usage":{"cost_in_usd_ticks":200000000}}"#,
            "0.02",
            "usage.cost_in_usd_ticks",
        ),
    ];
    for (provider, path, body, total, field) in cases {
        let reading = Answer::json(provider, path, body).read();
        let cost = reading.provider_cost.unwrap();
        assert_eq!((cost.total, cost.field.as_str()), (total.parse::<Money>().unwrap(), field));
        assert_eq!(reading.evidence, Evidence::ProviderCost);
    }
    let azure = r#"{"usage":{"prompt_tokens":1,"completion_tokens":1,"cost_in_usd_ticks":0}}"#;
    assert_eq!(Answer::json("azure", "/models/chat/completions", azure).read().provider_cost, None);
}

#[test]
fn impossible_usage_is_kept_and_named() {
    let reading = Answer::json(
        "azure",
        "/models/chat/completions",
        r#"{"usage":{"prompt_tokens":202,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":314}}}"#,
    )
    .read();
    assert!(reading.inconsistent);
    let flag = "usage_inconsistent: prompt_tokens_details.cached_tokens (314) exceeds prompt_tokens (202)";
    assert_eq!(reading.flags, [flag]);
    assert_eq!(reading.reported.get("cache_read_tokens"), Some(&314));
    assert_eq!(reading.reported.get("input_tokens"), Some(&202));
    assert_eq!(reading.usage.unwrap().total().input_tokens(), 202);
}

#[test]
fn what_costs_nothing_says_why() {
    let free = |provider: &str, method: &str, path: &str, status: u16, body: &str| {
        let mut answer = Answer::json(provider, path, body);
        answer.request = Request::new(provider, method, path, None, None);
        answer.status = status;
        let reading = answer.read();
        assert_eq!(reading.usage, None, "{path}");
        reading.free
    };
    let count = r#"{"object":"response.input_tokens","input_tokens":12}"#;
    assert_eq!(
        free("openai", "POST", "/v1/responses/input_tokens", 200, count),
        Some(FreeReason::CountTokens)
    );
    assert_eq!(
        free("google", "POST", "/v1beta/models/g:countTokens", 200, r#"{"totalTokens":9}"#),
        Some(FreeReason::CountTokens)
    );
    let error = r#"{"error":{"message":"no"}}"#;
    assert_eq!(free("openai", "POST", "/v1/chat/completions", 429, error), Some(FreeReason::HttpError));
    assert_eq!(
        free("openai", "POST", "/v1/moderations", 200, r#"{"results":[]}"#),
        Some(FreeReason::NotBillable)
    );
    assert_eq!(
        free("openai", "GET", "/v1/models", 200, r#"{"data":[{"usage":{"prompt_tokens":1}}]}"#),
        Some(FreeReason::NotBillable)
    );
    assert_eq!(
        free("openai", "GET", "/v1/responses/r", 200, r#"{"status":"in_progress","usage":null}"#),
        Some(FreeReason::NotBillable)
    );
    // Started, and not known yet.
    assert_eq!(
        free("openai", "POST", "/v1/responses", 200, r#"{"id":"r","status":"queued","usage":null}"#),
        None
    );
    assert_eq!(free("anthropic", "POST", "/v1/messages/batches", 200, r#"{"id":"b"}"#), None);
}

#[test]
fn circumstances_come_from_the_answer_first() {
    let body = br#"{"model":"m","service_tier":"auto"}"#;
    let mut answer = Answer::json(
        "openai",
        "/v1/chat/completions",
        r#"{"model":"m-2","id":"c9","service_tier":"Flex","usage":{"prompt_tokens":1,"completion_tokens":1}}"#,
    );
    answer.request = Request::new("openai", "POST", "/v1/chat/completions", None, Some(body));
    let reading = answer.read();
    assert_eq!(reading.conditions.get("service_tier").map(String::as_str), Some("flex"));
    assert_eq!(
        (reading.model.as_deref(), reading.provider_response_id.as_deref()),
        (Some("m-2"), Some("c9"))
    );

    let reading = Answer::json(
        "anthropic",
        "/v1/messages",
        r#"{"usage":{"input_tokens":1,"output_tokens":1,"service_tier":"batch","inference_geo":"us","speed":"fast"}}"#,
    )
    .read();
    let condition = |name: &str| reading.conditions.get(name).map(String::as_str);
    assert_eq!(condition("processing"), Some("batch"));
    assert_eq!((condition("inference_geo"), condition("speed")), (Some("us"), Some("fast")));
    let raw = reading.raw_usage.as_deref().unwrap();
    assert!(raw.starts_with("{\"input_tokens\":1") && raw.ends_with("\"fast\"}"));
}

#[test]
fn lost_usage_is_estimated_and_says_so() {
    let body = br#"{"model":"gpt-4o","messages":[{"role":"user","content":"Say hello to the world"}]}"#;
    let mut answer = Answer::sse(
        "openai",
        "/v1/chat/completions",
        "data: {\"id\":\"c\",\"model\":\"gpt-4o\",\"choices\":[{\"delta\":{\"content\":\"Hello\"}}]}\n\ndata: {\"id\":\"c\",\"model\":\"gpt-4o\",\"choices\":[{\"delta\":{\"content\":\" world\"}}]}\n\ndata: [DONE]\n\n",
    );
    answer.request = Request::new("openai", "POST", "/v1/chat/completions", None, Some(body));
    let reading = answer.read();
    assert_eq!(reading.evidence, Evidence::Estimated);
    assert_eq!(reading.estimator.as_deref(), Some("bpe-openai/o200k"));
    assert_eq!(meters(&reading), [(Meter::Input, 5), (Meter::Output, 2)]);
}

#[test]
fn a_placeholder_is_not_billed() {
    let answer = Answer::sse(
        "anthropic",
        "/v1/messages",
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"a\",\"model\":\"claude\",\"usage\":{\"input_tokens\":10,\"cache_read_input_tokens\":5,\"output_tokens\":8}}}\n\nevent: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"Hello there, my friend.\"}}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":6}}\n\n",
    );
    let text = String::from_utf8(answer.body.clone()).unwrap();
    let delta = text.find("event: message_delta").unwrap();
    let cut = answer.read_cut(delta);
    assert_eq!(cut.evidence, Evidence::Partial);
    assert_eq!(cut.estimator.as_deref(), Some("bytes/3.5"));
    assert_eq!(meters(&cut), [(Meter::Input, 10), (Meter::CacheRead, 5), (Meter::Output, 7)]);
    let early = answer.read_cut(text.find("event: content_block_delta").unwrap());
    assert_eq!(meters(&early), [(Meter::Input, 10), (Meter::CacheRead, 5)]);
    assert!(early.flags.iter().any(|flag| flag.starts_with("output_unknown")));
    assert_eq!(meters(&answer.read()).last(), Some(&(Meter::Output, 6)));
    assert_eq!(answer.read_cut(30).evidence, Evidence::Unknown);
}

#[test]
fn an_error_in_a_stream_keeps_the_usage() {
    let reading = Answer::sse(
        "openai",
        "/v1/chat/completions",
        "data: {\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\ndata: {\"error\":{\"message\":\"overloaded\"}}\n\n",
    )
    .read();
    assert_eq!(reading.error.as_deref(), Some("overloaded"));
    assert_eq!(meters(&reading), [(Meter::Input, 3), (Meter::Output, 4)]);
}

#[test]
fn batch_lines_add_up_by_model() {
    let reading = Answer {
        request: Request::new("anthropic", "GET", "/v1/messages/batches/b/results", None, None),
        ..Answer::new(
            "anthropic",
            "/",
            "m",
            "application/x-jsonl",
            concat!(
                "{\"custom_id\":\"0\",\"result\":{\"message\":{\"model\":\"a\",\"usage\":{\"input_tokens\":20,\"output_tokens\":5}}}}\n",
                "{\"custom_id\":\"1\",\"result\":{\"message\":{\"model\":\"b\",\"usage\":{\"input_tokens\":2,\"output_tokens\":1}}}}\n",
                "{\"custom_id\":\"2\",\"result\":{\"message\":{\"model\":\"a\",\"usage\":{\"input_tokens\":20,\"output_tokens\":5}}}}\n",
            ),
        )
    }
    .read();
    let legs = reading.usage.unwrap().legs;
    assert_eq!(legs.len(), 2);
    assert_eq!(legs.iter().map(|leg| leg.meters.total_tokens()).sum::<u64>(), 53);
    assert_eq!(reading.conditions.get("processing").map(String::as_str), Some("batch"));
}

#[test]
fn things_made_are_counted_from_the_facts() {
    let reading =
        Answer::json("openai", "/v1/images/generations", r#"{"data":[{"url":"x"},{"url":"y"}]}"#).read();
    assert_eq!(meters(&reading), [(Meter::Images, 2)]);
    assert_eq!(reading.evidence, Evidence::Estimated);
    let mut speech = Answer::new("openai", "/v1/audio/speech", "tts-1", "audio/mpeg", vec![0xff, 0xfb, 0x10]);
    let body = r#"{"model":"tts-1","input":"Grüße"}"#.as_bytes();
    speech.request = Request::new("openai", "POST", "/v1/audio/speech", None, Some(body));
    assert_eq!(meters(&speech.read()), [(Meter::Characters, 5)]);
}
