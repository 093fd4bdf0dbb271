//! What providers answer, as far as their SDKs and a meter look: chat, streamed or not.
//!
//! Each answer's quantities follow from the number of its request, so that sums over many calls
//! can be checked to the last token. It must never know prices.

use super::script::NUMBER;
use super::{Script, Served};
use serde_json::{Value, json};

/// What an answer says was used; the parts are within their whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// All input, cached input included.
    pub input: u64,
    /// Of the input, what was read from a cache.
    pub cached: u64,
    /// All output, reasoning included.
    pub output: u64,
    /// Of the output, what was reasoning.
    pub reasoning: u64,
}

impl Tokens {
    /// Those of the request with this number.
    #[must_use]
    pub fn of(nth: u64) -> Tokens {
        Tokens { input: 1_000 + nth % 101, cached: 10 * (nth % 7), output: 50 + nth % 13, reasoning: nth % 5 }
    }
}

/// The words of every answer.
const WORDS: [&str; 6] = ["The", " books", " balance", " to", " the", " penny."];

/// The answer that the path's API gives; none where no API is known there.
#[must_use]
pub fn answer(request: &Served) -> Option<(Script, Tokens)> {
    let mut tokens = Tokens::of(request.nth);
    let sent: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
    let path = request.path();
    let model = sent["model"].as_str().unwrap_or("gpt-4o-mini").to_owned();
    let asked = sent["stream"].as_bool();
    let stream = asked == Some(true);
    let script = if request.method != "POST" {
        return None;
    } else if path.ends_with("/chat/completions") {
        let usage = sent["stream_options"]["include_usage"] == true;
        if stream { chat_stream(&model, tokens, usage) } else { chat(&model, tokens) }
    } else if path.ends_with("/responses") {
        if stream { responses_stream(&model, tokens) } else { responses(&model, tokens) }
    } else if path.ends_with("/messages") {
        if stream { messages_stream(&model, tokens) } else { messages(&model, tokens) }
    } else if path.ends_with("/embeddings") {
        tokens = Tokens { input: tokens.input, ..Tokens::default() };
        embeddings(&model, tokens)
    } else if path.ends_with(":streamGenerateContent") {
        gemini_stream(model_in(path), tokens, request.target.contains("alt=sse"))
    } else if path.ends_with(":generateContent") {
        Script::json(&gemini(model_in(path), tokens, &WORDS.concat(), true))
    } else if path.ends_with("/api/chat") {
        if asked == Some(false) { ollama(&model, tokens) } else { ollama_stream(&model, tokens) }
    } else {
        return None;
    };
    Some((script, tokens))
}

fn chat_usage(tokens: Tokens) -> Value {
    json!({
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.input + tokens.output,
        "prompt_tokens_details": {"cached_tokens": tokens.cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": tokens.reasoning, "audio_tokens": 0},
    })
}

/// A chat completion.
#[must_use]
pub fn chat(model: &str, tokens: Tokens) -> Script {
    Script::json(&json!({
        "id": format!("chatcmpl-{NUMBER}"),
        "object": "chat.completion",
        "created": 1_795_000_000,
        "model": model,
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": WORDS.concat(), "refusal": null},
            "logprobs": null,
            "finish_reason": "stop",
        }],
        "usage": chat_usage(tokens),
        "service_tier": "default",
    }))
}

/// A streamed chat completion; with `usage` as if it had been asked for.
#[must_use]
pub fn chat_stream(model: &str, tokens: Tokens, usage: bool) -> Script {
    let chunk = |choices: Value, told: Option<Value>| {
        let mut chunk = json!({
            "id": format!("chatcmpl-{NUMBER}"),
            "object": "chat.completion.chunk",
            "created": 1_795_000_000,
            "model": model,
            "choices": choices,
        });
        if usage {
            chunk["usage"] = told.unwrap_or(Value::Null);
        }
        format!("data: {chunk}\n\n")
    };
    let delta = |delta: Value, finish: Option<&str>| {
        chunk(json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]), None)
    };
    let mut events = vec![delta(json!({"role": "assistant", "content": ""}), None)];
    events.extend(WORDS.map(|word| delta(json!({"content": word}), None)));
    events.push(delta(json!({}), Some("stop")));
    if usage {
        events.push(chunk(json!([]), Some(chat_usage(tokens))));
    }
    events.push("data: [DONE]\n\n".to_owned());
    Script::sse(events)
}

fn response(model: &str, tokens: Tokens, done: bool) -> Value {
    let text = json!({"type": "output_text", "text": WORDS.concat(), "annotations": []});
    let message = json!({"type": "message", "id": format!("msg_{NUMBER}"), "status": "completed",
        "role": "assistant", "content": [text]});
    let usage = json!({
        "input_tokens": tokens.input,
        "input_tokens_details": {"cached_tokens": tokens.cached},
        "output_tokens": tokens.output,
        "output_tokens_details": {"reasoning_tokens": tokens.reasoning},
        "total_tokens": tokens.input + tokens.output,
    });
    json!({
        "id": format!("resp_{NUMBER}"),
        "object": "response",
        "created_at": 1_795_000_000,
        "status": if done { "completed" } else { "in_progress" },
        "error": null, "incomplete_details": null, "instructions": null, "metadata": {},
        "model": model,
        "output": if done { json!([message]) } else { json!([]) },
        "parallel_tool_calls": true, "temperature": 1.0, "tool_choice": "auto", "tools": [], "top_p": 1.0,
        "usage": if done { usage } else { Value::Null },
    })
}

fn responses(model: &str, tokens: Tokens) -> Script {
    Script::json(&response(model, tokens, true))
}

fn responses_stream(model: &str, tokens: Tokens) -> Script {
    let mut nth = 0;
    let mut event = |name: &str, mut body: Value| {
        body["type"] = name.into();
        body["sequence_number"] = nth.into();
        nth += 1;
        format!("event: {name}\ndata: {body}\n\n")
    };
    let mut events = vec![event("response.created", json!({"response": response(model, tokens, false)}))];
    for word in WORDS {
        let delta = json!({"item_id": format!("msg_{NUMBER}"), "output_index": 0, "content_index": 0,
            "delta": word, "logprobs": []});
        events.push(event("response.output_text.delta", delta));
    }
    events.push(event("response.completed", json!({"response": response(model, tokens, true)})));
    Script::sse(events)
}

fn message_usage(tokens: Tokens, output: u64) -> Value {
    json!({
        "input_tokens": tokens.input - tokens.cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": tokens.cached,
        "output_tokens": output,
        "service_tier": "standard",
    })
}

fn message(model: &str, content: &Value, stop: Option<&str>, usage: &Value) -> Value {
    json!({"id": format!("msg_{NUMBER}"), "type": "message", "role": "assistant", "model": model,
        "content": content, "stop_reason": stop, "stop_sequence": null, "usage": usage})
}

fn messages(model: &str, tokens: Tokens) -> Script {
    let content = json!([{"type": "text", "text": WORDS.concat()}]);
    let usage = message_usage(tokens, tokens.output);
    Script::json(&message(model, &content, Some("end_turn"), &usage)).header("request-id", "req_@@@@@@@@")
}

fn messages_stream(model: &str, tokens: Tokens) -> Script {
    let event = |name: &str, mut body: Value| {
        body["type"] = name.into();
        format!("event: {name}\ndata: {body}\n\n")
    };
    let begun = message(model, &json!([]), None, &message_usage(tokens, 1));
    let mut events = vec![
        event("message_start", json!({"message": begun})),
        event("content_block_start", json!({"index": 0, "content_block": {"type": "text", "text": ""}})),
        event("ping", json!({})),
    ];
    events.extend(WORDS.map(|word| {
        event("content_block_delta", json!({"index": 0, "delta": {"type": "text_delta", "text": word}}))
    }));
    let delta = json!({"stop_reason": "end_turn", "stop_sequence": null});
    events.push(event("content_block_stop", json!({"index": 0})));
    events.push(event("message_delta", json!({"delta": delta, "usage": {"output_tokens": tokens.output}})));
    events.push(event("message_stop", json!({})));
    Script::sse(events)
}

fn embeddings(model: &str, tokens: Tokens) -> Script {
    Script::json(&json!({
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5, 0.125]}],
        "model": model,
        "usage": {"prompt_tokens": tokens.input, "total_tokens": tokens.input},
    }))
}

fn model_in(path: &str) -> &str {
    let last = path.rsplit('/').next().unwrap_or_default();
    last.split(':').next().unwrap_or_default()
}

/// Gemini counts thoughts beside the candidates.
fn gemini(model: &str, tokens: Tokens, text: &str, last: bool) -> Value {
    let mut usage = json!({
        "promptTokenCount": tokens.input,
        "candidatesTokenCount": tokens.output - tokens.reasoning,
        "thoughtsTokenCount": tokens.reasoning,
        "totalTokenCount": tokens.input + tokens.output,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": tokens.input}],
    });
    if tokens.cached > 0 {
        usage["cachedContentTokenCount"] = tokens.cached.into();
    }
    let mut candidate = json!({"content": {"role": "model", "parts": [{"text": text}]}, "index": 0});
    if last {
        candidate["finishReason"] = "STOP".into();
    }
    json!({"candidates": [candidate], "usageMetadata": usage, "modelVersion": model,
        "responseId": format!("gem-{NUMBER}")})
}

fn gemini_stream(model: &str, tokens: Tokens, sse: bool) -> Script {
    let chunk = |(nth, word): (usize, &&str)| gemini(model, tokens, word, nth + 1 == WORDS.len());
    let chunks: Vec<Value> = WORDS.iter().enumerate().map(chunk).collect();
    if sse {
        return Script::sse(chunks.iter().map(|chunk| format!("data: {chunk}\r\n\r\n")));
    }
    Script::json(&Value::from(chunks)).chunked()
}

fn ollama_end(model: &str, tokens: Tokens, text: &str) -> Value {
    json!({"model": model, "created_at": "2026-11-18T10:00:00.000000Z",
        "message": {"role": "assistant", "content": text}, "done": true, "done_reason": "stop",
        "total_duration": 5_000_000_000_u64, "load_duration": 1_000_000, "prompt_eval_count": tokens.input,
        "prompt_eval_duration": 300_000_000, "eval_count": tokens.output, "eval_duration": 4_000_000_000_u64})
}

fn ollama(model: &str, tokens: Tokens) -> Script {
    Script::json(&ollama_end(model, tokens, &WORDS.concat()))
}

fn ollama_stream(model: &str, tokens: Tokens) -> Script {
    let mut lines: Vec<Value> = WORDS
        .iter()
        .map(|word| {
            json!({"model": model, "created_at": "2026-11-18T10:00:00.000000Z",
                "message": {"role": "assistant", "content": word}, "done": false})
        })
        .collect();
    lines.push(ollama_end(model, tokens, ""));
    Script::lines(lines)
}
