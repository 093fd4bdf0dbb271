//! Prompts and answers where capture is switched on: redacted before they touch the disk, in one file
//! alone, shown to whom they belong, gone with their person. Where it is off, [`super::secrets`] finds
//! none.

use super::running::{Running, Setup, call_id};
use super::secrets::{contains, files};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tollbook_testkit::Call;
use tollbook_testkit::upstream::Script;

const PATIENCE: Duration = Duration::from_secs(60);
const CHAT: &str = "/openai/v1/chat/completions";

/// What must not touch the disk.
const SECRETS: [&str; 6] = [
    "ann@canary.example",
    "sk-canary-0123456789abcdef",
    "4111 1111 1111 1111",
    "PRJ-4711",
    "canary-of-another-project",
    "canary-of-another-upstream",
];

fn running() -> Running {
    let store =
        "[capture]\nenabled = true\nupstreams = [\"openai\"]\nprojects = [\"web\"]\nredact = ['PRJ-\\d+']";
    Running::with(Setup { store: store.to_owned(), ..Setup::default() })
}

fn asks(path: &str, project: &str, content: &str) -> Call {
    let body = json!({"model": "gpt-4o-mini", "max_tokens": 9,
        "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": content}]});
    Call::post(path, &body).header("x-tollbook-user", "ann").header("x-tollbook-project", project)
}

fn answers(content: &str) -> Script {
    Script::json(&json!({"id": format!("chatcmpl-{}", content.len()), "model": "gpt-4o-mini",
        "usage": {"prompt_tokens": 9, "completion_tokens": 3}, "choices": [{"message": {"content": content}}]}))
}

fn streams(pieces: &[&str]) -> Script {
    let events = pieces.iter().map(|piece| {
        let event = json!({"id": "chatcmpl-s", "choices": [{"delta": {"content": piece}}]});
        format!("data: {event}\n\n")
    });
    Script::sse(events.chain(["data: [DONE]\n\n".to_owned()]))
}

/// Waits until the words of so many calls are kept.
fn kept(running: &Running, calls: u64) {
    let line = format!("tollbook_captures_total{{outcome=\"kept\"}} {calls}\n");
    let since = Instant::now();
    loop {
        let metrics = running.caller().call(&Call::get("/metrics").bearer(&running.admin)).unwrap().text();
        if metrics.contains(&line) {
            return;
        }
        assert!(since.elapsed() < PATIENCE, "no {line}\n{}", running.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn key(running: &Running, more: &[&str]) -> String {
    let made = running.place.json(&[&["key", "create", "k"], more].concat());
    made["key"].as_str().unwrap().to_owned()
}

fn captured(running: &Running, id: &str, key: &str) -> (u16, Value) {
    let answer = running.caller().call(&Call::get(&format!("/api/v1/calls/{id}")).bearer(key)).unwrap();
    (answer.status, answer.json()["captured"].clone())
}

#[test]
fn words_are_kept_without_secrets_and_shown_to_whom_they_belong() {
    let mut running = running();
    let asked = "canary-asked of PRJ-4711 by ann@canary.example with sk-canary-0123456789abcdef";
    running.upstream.queue(answers("canary-answered: 4111 1111 1111 1111"));
    let whole = running.call(asks(CHAT, "web", asked));
    // A secret that comes in pieces is one all the same.
    running.upstream.queue(streams(&["canary-streamed to ann@can", "ary.exam", "ple, bye"]));
    let stream = running.call(asks(CHAT, "web", "canary-asked again"));
    running.upstream.queue(answers("canary-of-another-project"));
    let elsewhere = running.call(asks(CHAT, "lab", "canary-of-another-project"));
    running.upstream.queue(answers("canary-of-another-upstream"));
    running.call(asks("/anthropic/v1/messages", "web", "canary-of-another-upstream"));
    assert_eq!((whole.status, stream.status, elsewhere.status), (200, 200, 200));
    kept(&running, 2);

    let (ann, bob) = (["--role", "member", "--user", "ann"], ["--role", "member", "--user", "bob"]);
    let keys = [key(&running, &ann), key(&running, &bob), key(&running, &["--role", "viewer"])];
    let expected = json!({
        "prompt": "Be kind.\ncanary-asked of [redacted] by [email] with [key]", "prompt_is_cut": false,
        "answer": "canary-answered: [card]", "answer_is_cut": false,
    });
    let id = call_id(&whole);
    for (who, key, shown) in [
        ("admin", &running.admin, (200, expected.clone())),
        ("the person", &keys[0], (200, expected.clone())),
        ("another", &keys[1], (404, Value::Null)),
        ("who looks at figures", &keys[2], (200, Value::Null)),
    ] {
        assert_eq!(captured(&running, &id, key), shown, "{who}");
    }
    let streamed = captured(&running, &call_id(&stream), &running.admin).1;
    assert_eq!(streamed["answer"], "canary-streamed to [email], bye");
    assert_eq!(captured(&running, &call_id(&elsewhere), &running.admin).1, Value::Null);
    let listed = running.caller().call(&Call::get("/api/v1/calls").bearer(&running.admin)).unwrap().text();
    assert!(!listed.contains("canary"), "lists have no words: {listed}");
    let told = running.caller().call(&Call::get("/api/v1/users/ann/export").bearer(&keys[0])).unwrap().text();
    assert_eq!(told.matches("\"kind\":\"captured\"").count(), 2, "{told}");

    let while_running = files(running.place.path());
    running.end();
    for (path, bytes) in while_running.into_iter().chain(files(running.place.path())) {
        for secret in SECRETS {
            assert!(!contains(&bytes, secret), "{secret} is in {}", path.display());
        }
        let is_theirs = path.file_name().unwrap().to_string_lossy().starts_with("captures.db");
        assert!(is_theirs || !contains(&bytes, "canary-a"), "words are in {}", path.display());
    }
    shown_and_erased(&running, &id);
}

/// On the command line, beside no server.
fn shown_and_erased(running: &Running, id: &str) {
    let place = &running.place;
    let shown = place.run(&["call", id]).ok().out;
    assert!(shown.contains("\nprompt\n    Be kind.\n    canary-asked of [redacted]"), "{shown}");
    assert_eq!(place.json(&["call", id])["captured"]["answer"], "canary-answered: [card]");
    assert!(place.run(&["held", "user=ann"]).ok().out.contains("canary-streamed"));
    place.run(&["logs", "--all", "--dir", &place.path().join("logs").display().to_string()]).ok();
    let logs: Vec<_> = files(&place.path().join("logs"));
    assert!(
        logs.iter().any(|(_, bytes)| contains(bytes, "\"query\":\"Be kind.\\ncanary-asked of")),
        "{logs:?}"
    );
    std::fs::remove_dir_all(place.path().join("logs")).unwrap();
    place.run(&["erase", "user=ann", "--reason", "asked", "--yes"]).ok();
    for (path, bytes) in files(place.path()) {
        assert!(!contains(&bytes, "canary-a"), "words are left in {}", path.display());
    }
    place.run(&["verify"]).ok();
}

#[test]
fn what_is_wrong_in_the_section_is_told_at_once_and_no_pattern_is_repeated() {
    let place = crate::program::Place::new();
    let text =
        "[capture]\nenabled = true\ndays = 0\nmax_mib = 0\nredact = [\"fine\", \"(canary\"]\nkeep = 1\n";
    place.file("tollbook.toml", text);
    let told = place.run(&["config", "check"]).code(78).err;
    for part in [
        ":3:8:",
        "1 to 36525 days",
        ":4:11:",
        "from 1 to 1048576",
        ":5:19:",
        "regular expression",
        "\"keep\"",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(!told.contains("canary"), "{told}");
    place.file("tollbook.toml", "[capture]\nenabled = true\nupstreams = [\"nobody\"]\n");
    let told = place.run(&["serve", "--listen", "127.0.0.1:0"]).code(78).err;
    assert!(told.contains("tollbook.toml:3:1: there is no upstream \"nobody\""), "{told}");
}
