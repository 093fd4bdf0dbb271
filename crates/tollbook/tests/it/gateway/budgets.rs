//! Budgets in the gateway: what does not fit is not sent.

use super::running::{Running, Setup, chat};
use serde_json::{Value, json};
use std::sync::Barrier;
use std::time::{Duration, Instant};
use tollbook_testkit::{Answer, Call};

const CALLERS: usize = 200;

fn api(running: &Running, method: &str, path: &str, body: &Value) -> Value {
    let call = Call { method: method.to_owned(), ..Call::post(path, body) };
    let answer = running.caller().call(&call.bearer(&running.admin)).unwrap();
    assert!((200..300).contains(&answer.status), "{}", answer.text());
    answer.json()
}

fn budget(running: &Running, members: Value) -> String {
    let mut body = json!({"name": "b", "window": "total", "mode": "strict"});
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    let made = api(running, "POST", "/api/v1/budgets", &body);
    format!("/api/v1/budgets/{}", made["id"].as_str().unwrap())
}

fn post(path: &str, body: &str) -> Call {
    Call { body: body.into(), ..Call::post(path, &Value::Null) }
}

fn standing(running: &Running, path: &str) -> Value {
    let call = Call::get(path).bearer(&running.admin);
    running.caller().call(&call).unwrap().json()
}

/// Waits until nothing is held.
fn quiet(running: &Running, path: &str) -> Value {
    let since = Instant::now();
    loop {
        let budget = standing(running, path);
        if budget["held_usd"] == "0" || budget["held"] == 0 {
            return budget;
        }
        assert!(since.elapsed() < Duration::from_secs(5), "{budget}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn two_hundred_at_once_on_a_budget_for_ten_send_ten() {
    let mut running = Running::start();
    let set = ["budget", "set", "provider=openai", "10 calls/total", "--block", "--strict", "--name", "ten"];
    let made = running.place.json(&set);
    assert!(
        made["words"]
            .as_str()
            .unwrap()
            .contains("may use 10 calls in all; a call that does not fit is refused")
    );
    let path = format!("/api/v1/budgets/{}", made["id"].as_str().unwrap());
    let barrier = Barrier::new(CALLERS);
    let one = |_: usize| -> Answer {
        let mut caller = running.caller();
        barrier.wait();
        caller.call(&chat(false).bearer(&running.key)).unwrap()
    };
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS).map(|nth| scope.spawn(move || one(nth))).collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    });
    let count = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(200), count(402), running.upstream.count()), (10, CALLERS - 10, 10));
    let refused = answers.iter().find(|answer| answer.status == 402).unwrap();
    assert_eq!(refused.header("x-should-retry"), Some("false"));
    assert_eq!(refused.json()["error"]["code"], "budget_exceeded");
    let settled = quiet(&running, &path);
    assert_eq!((&settled["spent"], &settled["left"]), (&json!(10), &json!(0)));
    assert_eq!(running.place.run(&["budget", "list", "--check"]).code, 3);
    let call =
        answers.iter().find(|answer| answer.status == 200).unwrap().header("x-tollbook-call-id").unwrap();
    let limits = running.place.json(&["budget", "explain", call]);
    assert_eq!((&limits["data"][0]["name"], &limits["data"][0]["spent"]), (&json!("ten"), &json!(10)));
    // It holds after a kill, too: what is spent is what is in the books.
    running.signal("KILL");
    running.ended();
    running.restart();
    assert_eq!(running.call(chat(false)).status, 402);
    assert_eq!(standing(&running, &path)["spent"], 10);
    // What the command line changes beside the server holds at once.
    let until = ["--until", "2126-01-01T00:00:00Z", "--reason", "a launch"];
    running.place.run(&[&["budget", "raise", "ten", "1 call"][..], &until].concat()).ok();
    assert_eq!((running.call(chat(false)).status, running.call(chat(false)).status), (200, 402));
    let refused = running.place.run(&["budget", "set", "all", "1/day", "--reset-day", "3"]).code(1);
    assert!(refused.err.contains("reset_day is for the window month only"), "{}", refused.err);
    running.place.run(&["budget", "remove", "ten"]).ok();
    assert_eq!(running.call(chat(false)).status, 200);
    running.end();
    assert_eq!(running.books().len(), 12, "a refusal is no call");
    running.place.run(&["verify"]).ok();
}

#[test]
fn a_strict_budget_in_money_is_never_passed_and_gives_back_what_is_not_used() {
    let mut running = Running::start();
    let path = budget(&running, json!({"limit_usd": "0.005"}));
    let mut caller = running.caller();
    let body = json!({"model": "gpt-4o-mini", "max_tokens": 2_000, "messages": []});
    let call = Call::post("/openai/v1/chat/completions", &body).bearer(&running.key);
    let mut passed = 0;
    loop {
        let answer = caller.call(&call).unwrap();
        let stands = standing(&running, &path);
        let amount =
            |name: &str| stands[name].as_str().unwrap().parse::<tollbook_types::Money>().unwrap().picos();
        assert!(amount("spent_usd") + amount("held_usd") <= 5_000_000_000, "{stands}");
        if answer.status != 200 {
            assert_eq!((answer.status, passed > 1), (402, true), "{}", answer.text());
            let left = quiet(&running, &path);
            assert!(left["left_usd"] != "0", "{left}");
            break;
        }
        assert!(answer.header("x-tollbook-budget-remaining-usd").is_some());
        passed += 1;
        assert!(passed < 10_000);
        quiet(&running, &path);
    }
    running.end();
    assert_eq!(running.books().len(), passed);
}

#[test]
fn every_route_to_a_provider_is_behind_the_budgets() {
    let mut running = Running::with(Setup::gateway("budget_status = 429"));
    budget(&running, json!({"limit_calls": 0, "mode": "expected"}));
    for (path, body) in [
        ("/openai/v1/chat/completions", r#"{"model":"gpt-4o-mini","messages":[]}"#),
        ("/openai/v1/responses", r#"{"model":"gpt-4o-mini","input":"x"}"#),
        ("/openai/v1/embeddings", r#"{"model":"text-embedding-3-small","input":"x"}"#),
        ("/openai/v1/images/generations", r#"{"model":"gpt-image-1","prompt":"x"}"#),
        ("/openai/v1/audio/speech", r#"{"model":"tts-1","input":"x"}"#),
        ("/openai/v1/batches", r#"{"input_file_id":"f"}"#),
        ("/openai//v1/chat/completions", r#"{"model":"gpt-4o-mini","messages":[]}"#),
        ("/openai/v1/chat/completions/", r#"{"model":"gpt-4o-mini","messages":[]}"#),
        ("/anthropic/v1/messages", r#"{"model":"claude-haiku-4-5","max_tokens":5,"messages":[]}"#),
        ("/anthropic/v1/messages/batches", r#"{"requests":[]}"#),
        ("/google/v1beta/models/gemini-2.5-flash:generateContent", r#"{"contents":[]}"#),
        ("/google/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse", r#"{"contents":[]}"#),
        ("/google/v1beta/models/text-embedding-004:embedContent", r#"{"content":{}}"#),
        ("/ollama/api/chat", r#"{"model":"llama3","messages":[]}"#),
        ("/ollama/api/generate", r#"{"model":"llama3","prompt":"x"}"#),
    ] {
        for key in [&running.key, &running.admin] {
            let call = post(path, body).bearer(key);
            let answer = running.caller().call(&call).unwrap();
            assert_eq!(answer.status, 429, "{path}: {}", answer.text());
            assert_eq!(
                (answer.header("retry-after"), answer.header("x-should-retry")),
                (None, Some("false"))
            );
        }
    }
    assert_eq!(running.upstream.count(), 0, "nothing was sent");
    running.end();
    assert_eq!(running.books().len(), 0);
}

#[test]
fn what_cannot_be_bounded_is_refused_by_a_strict_budget() {
    let mut running = Running::start();
    let path = budget(&running, json!({"limit_usd": "100"}));
    for (body, code) in [
        (r#"{"model":"no-such-model","max_tokens":5,"messages":[]}"#, "model_unpriced"),
        (r#"{"model":"gpt-4o-mini","n":3,"messages":[]}"#, "unbounded_call"),
    ] {
        let answer = running.call(post("/openai/v1/chat/completions", body));
        assert_eq!(
            (answer.status, answer.json()["error"]["code"].as_str()),
            (403, Some(code)),
            "{}",
            answer.text()
        );
    }
    assert_eq!((running.upstream.count(), standing(&running, &path)["held_usd"].as_str()), (0, Some("0")));
    running.end();
}

#[test]
fn near_the_limit_the_cheaper_model_is_asked() {
    let mut running = Running::start();
    budget(
        &running,
        json!({"limit_calls": 100, "mode": "expected", "at_limit": "downgrade", "warn_at": [1],
               "downgrade": {"gpt-4o": "gpt-4o-mini"}}),
    );
    let ask = || {
        let body = r#"{"messages":[{"role":"user","content":"x"}], "model" : "gpt-4o", "max_tokens":5}"#;
        assert_eq!(running.call(post("/openai/v1/chat/completions", body)).status, 200);
    };
    ask();
    ask();
    let models: Vec<String> = running
        .upstream
        .served()
        .iter()
        .map(|served| {
            serde_json::from_slice::<Value>(&served.body).unwrap()["model"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(models, ["gpt-4o", "gpt-4o-mini"]);
    running.end();
}
