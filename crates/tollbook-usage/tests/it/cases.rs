//! What each dialect's answer comes to: small answers, written for this purpose.

use crate::dialects::{JSON, STREAMS};
use crate::support::{Answer, frame};
use tollbook_types::{Evidence, FreeReason, Meter, Money};
use tollbook_usage::{Reading, Request};

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
fn a_cut_binary_stream_is_partial() {
    let answer = invoke_stream();
    let first = answer.body.len() / 2;
    let cut = answer.read_cut(first);
    assert_eq!(cut.evidence, Evidence::Partial);
    assert_eq!(meters(&cut), [(Meter::Input, 5), (Meter::Output, 2)]);
    assert_eq!(cut.estimator.as_deref(), Some("bytes/4"));
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
fn figures_that_may_still_grow_are_partial() {
    let answer = Answer::sse(
        "google",
        "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse",
        "data: {\"candidates\":[{\"content\":{}}],\"usageMetadata\":{\"promptTokenCount\":9,\"candidatesTokenCount\":5}}\n\n",
    );
    let cut = answer.read_cut(answer.body.len());
    assert_eq!(cut.evidence, Evidence::Partial);
    assert_eq!(meters(&cut), [(Meter::Input, 9), (Meter::Output, 5)]);
    let answer = Answer::sse(
        "vllm",
        "/v1/chat/completions",
        "data: {\"choices\":[{\"delta\":{},\"finish_reason\":null}],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":1}}\n\n",
    );
    assert_eq!(answer.read_cut(answer.body.len()).evidence, Evidence::Partial);
    // A whole usage object of a JSON body is certain, however the body ends.
    let answer = Answer::json(
        "openai",
        "/v1/chat/completions",
        r#"{"usage":{"prompt_tokens":9,"completion_tokens":1},"x":"#,
    );
    assert_eq!(answer.read_cut(answer.body.len()).evidence, Evidence::ProviderUsage);
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
