//! Secrets and contents that pass through leave no trace: in no log, error, journal or store.

use super::running::{PROVIDER_KEY, Running, Setup, chat};
use serde_json::json;
use std::path::{Path, PathBuf};
use tollbook_testkit::Call;
use tollbook_testkit::upstream::{Script, Tokens, canned};

/// All bytes of all files below a directory.
pub fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            // A file of the store may go at any moment.
            found.extend(std::fs::read(&path).map(|bytes| (path, bytes)));
        }
    }
    found
}

pub fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn secrets_and_contents_are_in_no_log_no_error_and_no_book() {
    let mut setup = Setup::gateway("first_byte_timeout_s = 1\nidle_timeout_s = 1");
    setup.environment.push(("TOLLBOOK_LOG".to_owned(), "trace".to_owned()));
    let mut running = Running::with(setup);
    let secrets = [
        running.key.clone(),
        running.admin.clone(),
        PROVIDER_KEY.to_owned(),
        "canary-in-a-header".to_owned(),
        "canary-in-a-cookie".to_owned(),
        "canary-in-the-query".to_owned(),
        "canary-in-the-prompt".to_owned(),
        "canary-in-the-answer".to_owned(),
        "canary-key-of-the-caller".to_owned(),
        "tb_canary-that-is-no-key".to_owned(),
    ];
    let chatting =
        json!({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "canary-in-the-prompt"}]});
    let path = "/openai/v1/chat/completions?secret=canary-in-the-query";
    let base = Call::post(path, &chatting)
        .header("x-secret", "canary-in-a-header")
        .header("cookie", "session=canary-in-a-cookie");
    let mine = base.clone().bearer(&running.key);
    let answer = json!({"id": "chatcmpl-1", "model": "gpt-4o-mini", "usage": {"prompt_tokens": 1, "completion_tokens": 1},
        "choices": [{"message": {"content": "canary-in-the-answer"}}]});
    let whole = canned::chat_stream("gpt-4o-mini", Tokens::of(0), true);
    let said = Script::body("application/json", "{\"error\": canary-in-the-answer");
    for (name, script) in [
        ("good", Script::json(&answer)),
        ("error", Script::json(&json!({"error": {"message": "Incorrect API key"}})).status(401)),
        ("broken", said.clone()),
        ("failed", said.status(500)),
        ("garbage", Script::garbage("HTTP/9 canary-in-the-answer")),
        ("reset", Script::resets()),
        ("never", Script::never()),
        ("cut", whole.cut_after(700)),
    ] {
        running.upstream.named(name, script);
    }
    let mut calls: Vec<Call> = ["good", "error", "broken", "failed", "garbage", "reset", "never", "cut"]
        .map(|name| mine.clone().header("x-script", name))
        .to_vec();
    let with_key = format!("/google/v1beta/models/gemini-2.5-flash:generateContent?key={}", running.key);
    calls.push(Call::post(&with_key, &json!({"contents": [{"parts": [{"text": "canary-in-the-prompt"}]}]})));
    calls.push(chat(true).bearer(&running.key));
    // Refused: a wrong key, a caller's own key, two keys.
    calls.push(base.clone().bearer("tb_canary-that-is-no-key"));
    calls.push(base.clone().bearer("canary-key-of-the-caller"));
    calls.push(mine.clone().header("x-api-key", "tb_canary-that-is-no-key"));
    calls.push(Call::get("/api/v1/calls").bearer("tb_canary-that-is-no-key"));
    calls.push(Call::get("/api/v1/calls?key=canary-in-the-query").bearer(&running.admin));
    let mut caller = running.caller();
    for call in &calls {
        let Ok(answer) = caller.call(call) else { continue };
        // What the provider says passes; what the gateway says quotes nothing.
        let is_ours = matches!(answer.status, 502 | 504);
        for secret in secrets.iter().filter(|secret| is_ours || *secret != "canary-in-the-answer") {
            let told = format!("{:?} {}", answer.headers, answer.text());
            assert!(
                !told.contains(secret.as_str()),
                "{secret} is told to the caller of {}: {told}",
                call.target
            );
        }
    }
    // The provider never sees a key of ours, wherever it stood.
    for served in running.upstream.served() {
        let seen = format!("{} {:?}", served.target, served.headers);
        assert!(!seen.contains(&running.key) && !seen.contains("tb_"), "{seen}");
    }
    let while_running = files(running.place.path());
    running.end();
    for (path, bytes) in while_running.into_iter().chain(files(running.place.path())) {
        for secret in &secrets {
            assert!(!contains(&bytes, secret), "{secret} is in {}", path.display());
        }
    }
    assert!(running.log().contains("DEBUG"), "the log says nothing of what went wrong");
}
