//! Budgets in the gateway: what does not fit is not sent.

use super::running::{Running, Setup, call_id, chat};
use serde_json::{Value, json};
use std::str::FromStr;
use std::sync::Barrier;
use std::time::{Duration, Instant};
use tollbook_testkit::upstream::{Gate, Tokens, canned};
use tollbook_testkit::{Answer, Call};
use tollbook_types::Money;

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
    // Every refusal is counted, though nothing of it is in the books.
    let refused = standing(&running, &path_of(&running))["refused_calls"].as_u64();
    assert_eq!(refused, Some(30));
    let list = running.place.json(&["budget", "list"]);
    assert_eq!(list["data"][0]["refused_calls"], 30, "{list}");
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
        // A name says the same with escapes.
        (r#"{"mo\u0064el":"no-such-model","max_tokens":5,"messages":[]}"#, "model_unpriced"),
        (r#"{"model":"gpt-4o-mini","\u006e":3,"messages":[]}"#, "unbounded_call"),
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
        let answer = running.call(post("/openai/v1/chat/completions", body));
        assert_eq!(answer.status, 200);
        (call_id(&answer), answer.header("x-tollbook-model").map(str::to_owned))
    };
    let (first, second) = (ask(), ask());
    assert_eq!((first.1, second.1.as_deref()), (None, Some("gpt-4o-mini")));
    let stream = r#"{"model":"gpt-4o","messages":[],"max_tokens":5,"stream":true}"#;
    assert_eq!(running.call(post("/openai/v1/chat/completions", stream)).status, 200);
    let sent: Value = serde_json::from_slice(&running.upstream.served().pop().unwrap().body).unwrap();
    assert_eq!(
        (&sent["model"], &sent["stream_options"]["include_usage"]),
        (&json!("gpt-4o-mini"), &json!(true))
    );
    // Where it may ask for another model as well, nothing can be put in its place.
    for twice in [
        r#"{"model":"gpt-4o","mo\u0064el":"gpt-4o","messages":[]}"#,
        r#"{"model":"gpt-4o","model":"gpt-4o","messages":[]}"#,
    ] {
        assert_eq!(running.call(post("/openai/v1/chat/completions", twice)).status, 402);
    }
    let models: Vec<String> = running
        .upstream
        .served()
        .iter()
        .map(|served| {
            serde_json::from_slice::<Value>(&served.body).unwrap()["model"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(models, ["gpt-4o", "gpt-4o-mini", "gpt-4o-mini"]);
    running.end();
    let call = &running.books()[&second.0];
    assert_eq!((&call["request_model"], &call["flags"]), (&json!("gpt-4o"), &json!(["downgraded"])));
    assert!(call["model"].as_str().unwrap().starts_with("gpt-4o-mini"), "{call}");
}

#[test]
fn after_a_kill_nothing_is_held_and_what_is_unknown_blocks_no_expected_budget() {
    let mut running = Running::start();
    let expected = budget(&running, json!({"name": "e", "limit_usd": "2000", "mode": "expected"}));
    let strict = budget(&running, json!({"name": "s", "limit_usd": "2000"}));
    let gate = Gate::new();
    for _ in 0..8 {
        running.upstream.queue(canned::chat("gpt-4o-mini", Tokens::of(0)).behind(&gate));
    }
    std::thread::scope(|scope| {
        for _ in 0..8 {
            // Its caller learns that the server is gone.
            scope.spawn(|| drop(running.caller().call(&chat(false).bearer(&running.key))));
        }
        assert!(running.upstream.wait_for(8, Duration::from_secs(10)));
        for path in [&expected, &strict] {
            assert_ne!(standing(&running, path)["held_usd"], "0");
        }
        running.signal("KILL");
    });
    running.ended();
    gate.open();
    let killed = Instant::now();
    running.restart();
    let ready = Instant::now();
    let stands: Vec<Value> = [&expected, &strict].map(|path| quiet(&running, path)).into();
    println!("nothing is held {:?} after the kill, {:?} after the start", killed.elapsed(), ready.elapsed());
    // Those of the API came back with their ids.
    for stands in stands {
        assert_eq!((&stands["held_usd"], &stands["spent_usd"]), (&json!("0"), &json!("0")), "{stands}");
        assert_ne!(stands["unsettled_usd"], "0", "{stands}");
    }
    assert_eq!(running.call(chat(false)).status, 200);
    // What became of one is found out: it is settled beside the server, and counts as spent.
    let before: Vec<Value> = [&expected, &strict].map(|path| quiet(&running, path)).into();
    let page = running.place.json(&["calls", "--all", "-f", "evidence=unknown"]);
    let lost = page["data"][0]["id"].as_str().unwrap().to_owned();
    let settled = running.place.json(&["settle", &lost, "--cost-usd", "0.25", "--reason", "as billed"]);
    assert_eq!(settled["cost_usd"], "0.25", "{settled}");
    for (path, before) in [&expected, &strict].into_iter().zip(before) {
        let now = quiet(&running, path);
        let picos = |stands: &Value, member: &str| Money::from_str(stands[member].as_str().unwrap()).unwrap();
        let more = picos(&now, "spent_usd").picos() - picos(&before, "spent_usd").picos();
        assert_eq!(more, 250_000_000_000, "{now}");
        assert!(picos(&now, "unsettled_usd") < picos(&before, "unsettled_usd"), "{now}");
    }
    running.end();
    let unknown = running.books().values().filter(|call| call["evidence"] == "unknown").count();
    assert_eq!(unknown, 7);
}

/// Where the only budget is.
fn path_of(running: &Running) -> String {
    let all = running.place.json(&["budget", "list"]);
    format!("/api/v1/budgets/{}", all["data"][0]["id"].as_str().unwrap())
}

#[test]
fn what_does_not_fit_gets_fewer_tokens_out() {
    const GEMINI: &str = "/google/v1beta/models/gemini-2.5-flash:generateContent";
    let mut running = Running::start();
    let set = ["budget", "set", "all", "0.005/total", "--strict", "--fit", "--name", "fit"];
    let words = running.place.json(&set)["words"].as_str().unwrap().to_owned();
    assert!(words.contains("gets fewer tokens out, or is refused"), "{words}");
    let asks: [(&str, &str, &str); 8] = [
        (
            "/openai/v1/chat/completions",
            r#"{"max_tokens":100000,"model":"gpt-4o-mini","messages":[]}"#,
            "max_tokens",
        ),
        ("/openai/v1/chat/completions", r#"{"model":"gpt-4o-mini","messages":[]}"#, "max_completion_tokens"),
        (
            "/openai/v1/chat/completions",
            r#"{"model":"gpt-4o-mini","messages":[],"stream":true}"#,
            "max_completion_tokens",
        ),
        ("/openai/v1/responses", r#"{"model":"gpt-4o-mini","input":"x"}"#, "max_output_tokens"),
        (
            "/anthropic/v1/messages",
            r#"{"model":"claude-haiku-4-5","max_tokens":9000,"messages":[]}"#,
            "max_tokens",
        ),
        (GEMINI, r#"{"contents":[]}"#, "generationConfig/maxOutputTokens"),
        (
            GEMINI,
            r#"{"generationConfig":{"maxOutputTokens":9000,"temperature":0},"contents":[]}"#,
            "generationConfig/maxOutputTokens",
        ),
        (GEMINI, r#"{"generation_config":{ },"contents":[]}"#, "generation_config/maxOutputTokens"),
    ];
    for (path, body, member) in asks {
        let answer = running.call(post(path, body));
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let told: u64 = answer.header("x-tollbook-max-tokens").unwrap().parse().unwrap();
        let served = running.upstream.served().pop().unwrap();
        let sent: Value = serde_json::from_slice(&served.body).unwrap();
        assert_eq!(sent.pointer(&format!("/{member}")), Some(&told.into()), "{sent}");
        assert!((16..9_000).contains(&told), "{told}");
        if body.contains("stream") {
            assert_eq!(sent["stream_options"]["include_usage"], true, "{sent}");
        }
        quiet(&running, &path_of(&running));
    }
    // What fits goes as it came; what cannot be cut is refused.
    let small = r#"{"max_tokens":5,"model":"gpt-4o-mini","messages":[]}"#;
    let answer = running.call(post("/openai/v1/chat/completions", small));
    assert_eq!((answer.status, answer.header("x-tollbook-max-tokens")), (200, None));
    let twice = r#"{"max_tokens":90000,"max_completion_tokens":90000,"model":"gpt-4o-mini","messages":[]}"#;
    assert_eq!(running.call(post("/openai/v1/chat/completions", twice)).status, 402);
    let both = r#"{"generationConfig":{},"generation_config":{},"contents":[]}"#;
    assert_eq!(running.call(post(GEMINI, both)).status, 402);
    // Tokens may be what is bounded, for models that cost nothing.
    let call = Call { method: "DELETE".to_owned(), ..Call::get(&path_of(&running)) };
    assert_eq!(running.caller().call(&call.bearer(&running.admin)).unwrap().status, 204);
    let tokens = ["budget", "set", "provider=ollama", "500 tokens/total", "--strict", "--fit"];
    running.place.run(&tokens).ok();
    let long = r#"{"options":{"seed":1,"num_predict":9000},"model":"llama3.2","messages":[]}"#;
    let answer = running.call(post("/ollama/api/chat", long));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let told: u64 = answer.header("x-tollbook-max-tokens").unwrap().parse().unwrap();
    let sent: Value = serde_json::from_slice(&running.upstream.served().pop().unwrap().body).unwrap();
    assert_eq!(sent["options"], json!({"seed": 1, "num_predict": told}));
    assert!((16..500).contains(&told), "{told}");
    let refused = running.place.run(&["budget", "set", "all", "1/day", "--fit"]).code(1);
    assert!(refused.err.contains("fit_max_tokens is for strict budgets"), "{}", refused.err);
    running.end();
}
