//! The provider behind `serve --demo`: it needs no key and costs nothing, so that the first call
//! can be made before any account is set up.
//!
//! It speaks OpenAI's chat API over real HTTP on a loopback port of its own, so a call to it goes
//! the way of every call. Its prices are made up and say so.

use axum::Json;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http_body_util::channel::Channel;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// The upstream's and the provider's name.
pub const NAME: &str = "demo";
/// The model that it has.
pub const MODEL: &str = "demo-1";
/// Its prices, as a user's own price file would say them.
pub const PRICES: &str = "[[price]]\nprovider = \"demo\"\nmodel = \"*\"\ninput = \"0.15\"\noutput = \"0.60\"\n\
                          cache_read = \"0.075\"\n";

/// Between two words of a stream.
const PACE: Duration = Duration::from_millis(30);
/// A token is about so many characters.
const TOKEN_CHARS: u64 = 4;
const ANSWER: &str = "This answer comes from the demo provider inside of Tollbook: no key, no network, no bill. \
                      The call that you just made is in the books, though, with its tokens and its price. \
                      Ask `tollbook calls` to see it, and `tollbook explain` to see why it costs what it costs.";

/// The provider, ready to be served.
pub fn router() -> Router {
    Router::new().route("/v1/chat/completions", post(chat)).route("/v1/models", get(models))
}

async fn models() -> Json<Value> {
    Json(json!({"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": NAME}]}))
}

/// What is looked at in a request.
#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    stream: bool,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
    #[serde(default)]
    messages: Vec<Value>,
    #[serde(default)]
    max_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

async fn chat(body: Bytes) -> Response {
    let asked: Asked = match serde_json::from_slice(&body) {
        Ok(asked) => asked,
        Err(error) => {
            let message = format!("the body is no chat request: {error}");
            let error =
                json!({"message": message, "type": "invalid_request_error", "param": null, "code": null});
            return (StatusCode::BAD_REQUEST, Json(json!({"error": error}))).into_response();
        }
    };
    let words = answer(asked.max_tokens);
    let input: usize = asked.messages.iter().map(|message| message.to_string().len()).sum();
    let usage = usage(input as u64, &words);
    let id = format!("chatcmpl-demo-{}", uuid::Uuid::now_v7().simple());
    if !asked.stream {
        let text = words.concat();
        return Json(json!({
            "id": id, "object": "chat.completion", "created": 0, "model": MODEL,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": usage,
        }))
        .into_response();
    }
    let wants_usage = asked.stream_options.is_some_and(|options| options.include_usage);
    stream(id, words, wants_usage.then_some(usage))
}

/// The answer's words, each with the blank before it, within the bound on tokens.
fn answer(max_tokens: Option<u64>) -> Vec<String> {
    let mut left = max_tokens.unwrap_or(u64::MAX).saturating_mul(TOKEN_CHARS);
    let words = ANSWER.split_inclusive(' ').take_while(|word| {
        let fits = left >= word.len() as u64;
        left = left.saturating_sub(word.len() as u64);
        fits
    });
    words.map(str::to_owned).collect()
}

fn usage(input_bytes: u64, words: &[String]) -> Value {
    let written: u64 = words.iter().map(|word| word.len() as u64).sum();
    let (input, output) = (input_bytes.div_ceil(TOKEN_CHARS), written.div_ceil(TOKEN_CHARS));
    json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output})
}

/// Word by word. With usage asked for, every chunk says `"usage": null` until the last, as OpenAI's do.
fn stream(id: String, words: Vec<String>, usage: Option<Value>) -> Response {
    let (mut sender, body) = Channel::<Bytes>::new(4);
    let chunk = move |choices: Value, told: Option<&Value>, asked: bool| {
        let mut chunk = json!({"id": id, "object": "chat.completion.chunk", "created": 0, "model": MODEL,
                               "choices": choices});
        if asked {
            chunk["usage"] = told.cloned().unwrap_or(Value::Null);
        }
        format!("data: {chunk}\n\n")
    };
    tokio::spawn(async move {
        let asked = usage.is_some();
        for word in words {
            let choices = json!([{"index": 0, "delta": {"content": word}, "finish_reason": null}]);
            if sender.send_data(chunk(choices, None, asked).into()).await.is_err() {
                return;
            }
            tokio::time::sleep(PACE).await;
        }
        let end = json!([{"index": 0, "delta": {}, "finish_reason": "stop"}]);
        let mut last = chunk(end, None, asked);
        if let Some(usage) = &usage {
            last.push_str(&chunk(json!([]), Some(usage), true));
        }
        last.push_str("data: [DONE]\n\n");
        // Who has gone does not need the end.
        let _ = sender.send_data(last.into()).await;
    });
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
    (headers, Body::new(body)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_keeps_to_its_bound() {
        assert!(answer(None).concat() == ANSWER);
        assert_eq!(answer(Some(3)).concat(), "This answer ");
        assert!(answer(Some(0)).is_empty());
    }
}
