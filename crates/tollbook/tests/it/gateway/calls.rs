//! Programs that change only their base URL and key.

use super::running::{PROVIDER_KEY, Running, call_id, chat};
use serde_json::{Value, json};
use tollbook_testkit::upstream::Served;
use tollbook_testkit::{Answer, Call};

/// A call as a provider's SDK makes it.
struct Case {
    name: &'static str,
    call: Call,
    /// Where the SDK puts the key.
    header: &'static str,
    /// What stands before the key.
    before: &'static str,
    provider: &'static str,
    model: &'static str,
    is_stream: bool,
}

fn cases() -> Vec<Case> {
    let messages = json!([{"role": "user", "content": "Hello"}]);
    let mut cases = Vec::new();
    for is_stream in [false, true] {
        let mut add = |name, target: &str, body: Value, header, before, provider, model| {
            let call = Call::post(target, &body);
            cases.push(Case { name, call, header, before, provider, model, is_stream });
        };
        let body = json!({"model": "gpt-4o-mini", "messages": messages, "stream": is_stream});
        let path = "/openai/v1/chat/completions";
        add("chat", path, body, "authorization", "Bearer ", "openai", "gpt-4o-mini");
        let body = json!({"model": "gpt-4o-mini", "input": "Hello", "stream": is_stream});
        add("responses", "/openai/v1/responses", body, "authorization", "Bearer ", "openai", "gpt-4o-mini");
        let model = "claude-sonnet-4-5";
        let body = json!({"model": model, "max_tokens": 99, "messages": messages, "stream": is_stream});
        add("messages", "/anthropic/v1/messages", body, "x-api-key", "", "anthropic", model);
        let path = if is_stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
        let path = format!("/google/v1beta/models/gemini-2.5-flash:{path}");
        let body = json!({"contents": [{"parts": [{"text": "Hello"}]}]});
        add("gemini", &path, body, "x-goog-api-key", "", "google", "gemini-2.5-flash");
        let body = json!({"model": "llama3.2", "messages": messages, "stream": is_stream});
        add("ollama", "/ollama/api/chat", body, "authorization", "Bearer ", "ollama", "llama3.2");
    }
    cases
}

#[test]
fn calls_of_every_dialect_are_answered_unchanged_recorded_and_priced() {
    let mut running = Running::start();
    let mut caller = running.caller();
    let mut made = Vec::new();
    for case in cases() {
        let call = case.call.clone().header(case.header, &format!("{}{}", case.before, running.key));
        let answer = caller.call(&call).unwrap();
        assert_eq!((answer.status, answer.whole), (200, true), "{}: {}", case.name, answer.text());
        let served = running.upstream.served().pop().unwrap();
        check_forwarded(&running, &case, &served);
        made.push((case, answer, served));
    }
    assert_eq!(running.ready().0, 200);
    running.end();
    let books = running.books();
    assert_eq!(books.len(), made.len());
    for (case, answer, served) in &made {
        check_recorded(case, &books[&call_id(answer)], served);
        check_headers(case, &books[&call_id(answer)], answer);
    }
    // The second start knows the keys, and shows none.
    running.restart();
    assert_eq!(running.call(chat(false)).status, 200);
    running.end();
    running.place.run(&["verify"]).ok();
}

/// The provider gets its own key where it expects it, the path it knows, and nothing of ours.
fn check_forwarded(running: &Running, case: &Case, served: &Served) {
    let name = case.name;
    let expected = (case.provider != "ollama").then(|| format!("{}{PROVIDER_KEY}", case.before));
    assert_eq!(served.header(case.header), expected.as_deref(), "{name}");
    assert!(!served.headers.iter().any(|(header, _)| header.starts_with("x-tollbook")), "{name}");
    assert!(!served.headers.iter().any(|(_, value)| value.contains(&running.key)), "{name}");
    assert_eq!(served.header("host"), Some(running.upstream.address().to_string().as_str()), "{name}");
    assert_eq!(format!("/{}{}", case.provider, served.target), case.call.target, "{name}");
    if !(case.is_stream && name == "chat") {
        assert_eq!(served.body, case.call.body, "{name}: the body passes byte for byte");
    }
}

fn check_recorded(case: &Case, call: &Value, served: &Served) {
    let name = case.name;
    let tokens = served.tokens.unwrap();
    assert_eq!((&call["provider"], &call["model"]), (&json!(case.provider), &json!(case.model)), "{name}");
    assert_eq!((&call["status"], &call["source"]), (&json!("ok"), &json!("gateway")), "{name}: {call}");
    let usage = &call["usage"];
    assert_eq!(usage["input_tokens"], tokens.input, "{name}: {call}");
    assert_eq!(usage["output_tokens"], tokens.output, "{name}: {call}");
    assert_eq!(call["evidence"], "provider_usage", "{name}: {call}");
    assert!(call["cost_usd"].is_string(), "{name} has no price: {call}");
    assert_eq!(call["time_to_first_token_ms"].is_number(), case.is_stream, "{name}: {call}");
}

fn check_headers(case: &Case, call: &Value, answer: &Answer) {
    let name = case.name;
    if case.is_stream {
        assert_eq!(answer.header("x-tollbook-cost-status"), Some("pending"), "{name}");
        assert_eq!(answer.header("x-tollbook-cost-usd"), None, "{name}");
        return;
    }
    assert_eq!(answer.header("x-tollbook-cost-status"), Some("exact"), "{name}");
    assert_eq!(answer.header("x-tollbook-cost-usd"), call["cost_usd"].as_str(), "{name}");
    let usage = &call["usage"];
    let told = answer.header("x-tollbook-tokens").unwrap_or_default();
    let expected = format!("in={},", usage["input_tokens"]);
    assert!(told.starts_with(&expected), "{name}: {told}");
    assert!(told.contains(&format!("out={},", usage["output_tokens"])), "{name}: {told}");
}

#[test]
fn a_caller_that_leaves_is_recorded_with_what_its_call_used() {
    let mut running = Running::start();
    let mut left = Vec::new();
    let stream = chat(true).bearer(&running.key);
    for bytes in [0, 1, 200, 500, 1_000] {
        let answer = running.caller().quit_after(&stream, bytes).unwrap();
        left.push(call_id(&answer));
    }
    // The upstream is read on in the background.
    std::thread::sleep(std::time::Duration::from_millis(300));
    running.end();
    let books = running.books();
    assert_eq!(books.len(), left.len());
    for (id, served) in left.iter().zip(running.upstream.served()) {
        let (call, tokens) = (&books[id], served.tokens.unwrap());
        assert_eq!(call["usage"]["output_tokens"], tokens.output, "{call}");
        assert_eq!(call["evidence"], "provider_usage", "{call}");
        // An answer that was through before the caller left is a good one.
        assert!(call["status"] == "client_closed" || call["status"] == "ok", "{call}");
    }
}
