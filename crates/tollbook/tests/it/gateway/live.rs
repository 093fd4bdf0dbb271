//! Watching a running server: streams on their way, calls as they end, figures, and the dashboard
//! and the alerts that are made of these.

use super::running::{Running, call_id, chat};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tollbook_testkit::upstream::Script;
use tollbook_testkit::{Call, Scrape, Socket};

/// Four bytes each: a token by the estimate for models of which no more is known.
const WORDS: usize = 60;

/// A stream of so many words, one every 50 ms, with the usage at its end.
fn slowly() -> Script {
    let chunk = |more: Value| {
        let mut chunk =
            json!({"id": "chatcmpl-slow", "object": "chat.completion.chunk", "model": "gpt-4o-mini"});
        chunk.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        format!("{chunk}")
    };
    let word = json!({"choices": [{"index": 0, "delta": {"content": "word"}, "finish_reason": null}]});
    let usage = json!({"choices": [], "usage":
        {"prompt_tokens": 10, "completion_tokens": WORDS, "total_tokens": 10 + WORDS}});
    let events = (0..WORDS).map(|_| chunk(word.clone())).chain([chunk(usage), "[DONE]".to_owned()]);
    let whole = Script::sse(events);
    let bytes = whole.plain_body().len();
    whole.chunked().in_pieces_of(bytes.div_ceil(WORDS)).every(Duration::from_millis(50))
}

fn open(running: &Running, query: &str, key: &str) -> Socket {
    let key = format!("Bearer {key}");
    let target = format!("/api/v1/live{query}");
    Socket::open(running.address, &target, &[("authorization", &key)]).unwrap().unwrap()
}

#[test]
fn a_stream_is_watched_while_it_runs_and_told_when_it_ends() {
    let mut running = Running::start();
    let new = json!({"name": "bob", "role": "member", "user": "bob"});
    let made = running.caller().call(&Call::post("/api/v1/keys", &new).bearer(&running.admin)).unwrap();
    let bob = made.json()["key"].as_str().unwrap().to_owned();
    let mut admin = open(&running, "", &running.admin);
    let (mut of_ann, mut of_bob) = (open(&running, "?user=ann", &running.admin), open(&running, "", &bob));
    running.upstream.queue(slowly());
    let call = chat(true).bearer(&running.key).header("x-tollbook-user", "ann");
    let mut caller = running.caller();
    let calling = std::thread::spawn(move || caller.call(&call).unwrap());
    let (mut estimates, mut bytes, mut ids) = (Vec::new(), 0, BTreeSet::new());
    loop {
        let progress = admin.next("progress").unwrap();
        let Some(shown) = progress["calls"].as_array().unwrap().first() else { break };
        ids.insert(shown["id"].as_str().unwrap().to_owned());
        assert_eq!((&shown["user"], &shown["provider"]), (&json!("ann"), &json!("openai")));
        assert_eq!((&shown["estimator"], &progress["more"]), (&json!("bytes/4"), &json!(0)));
        assert!(shown["answer_bytes"].as_u64().unwrap() >= bytes, "{progress}");
        bytes = shown["answer_bytes"].as_u64().unwrap();
        estimates.extend(shown["output_tokens_estimate"].as_u64());
    }
    let id = call_id(&calling.join().unwrap());
    assert_eq!(ids, BTreeSet::from([id.clone()]));
    assert!(estimates.is_sorted() && estimates.len() >= 3, "{estimates:?}");
    let last = *estimates.last().unwrap() as usize;
    assert!((WORDS / 2..=WORDS + 5).contains(&last), "{estimates:?}");
    // The ones who may see it hear how it ended; it is heard in whichever order the two come.
    let told = of_ann.next("call").unwrap();
    assert_eq!((&told["call"]["id"], &told["call"]["usage"]["output_tokens"]), (&json!(id), &json!(WORDS)));
    // Bob heard of neither: the first that he hears is his own.
    assert_eq!(running.call(chat(false).header("x-tollbook-user", "bob")).status, 200);
    let heard = loop {
        match of_bob.hear().unwrap() {
            tollbook_testkit::Heard::Message(message) if message["type"] != "totals" => break message,
            tollbook_testkit::Heard::Message(_) => {}
            closed => panic!("{closed:?}"),
        }
    };
    assert_eq!((&heard["type"], &heard["call"]["user"]), (&json!("call"), &json!("bob")));
    // A server that ends does not wait for those who watch.
    let since = Instant::now();
    running.end();
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
}

fn scrape(running: &Running) -> Scrape {
    let answer = running.caller().call(&Call::get("/metrics").bearer(&running.admin)).unwrap();
    Scrape::read(&answer.text()).unwrap_or_else(|wrong| panic!("{wrong}\n{}", answer.text()))
}

fn docs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)
}

/// Every text under a key `expr` or `query`, however deep.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(text) if name == "expr" || name == "query" => found.push(text.clone()),
                    value => expressions(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        _ => {}
    }
}

/// The names of Tollbook's figures in a text.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("tollbook_")).map(str::to_owned).collect()
}

#[test]
fn dashboard_and_alerts_ask_for_figures_that_there_are() {
    let mut running = Running::start();
    running.place.run(&["budget", "set", "all", "200/month", "--each", "user", "--name", "users"]).ok();
    running.place.run(&["budget", "set", "all", "5 calls/total", "--name", "calls"]).ok();
    let answer = running.call(chat(false));
    assert_eq!(running.call(chat(true)).status, 200);
    assert_eq!(running.caller().call(&chat(false)).unwrap().status, 401);
    // A second report of a call fills in whose it was: a correction.
    let report = json!({"id": "again", "provider": "openai", "model": "gpt-4o-mini", "user": "ann",
        "provider_response_id": answer.json()["id"], "usage": {"input_tokens": 1, "output_tokens": 1}});
    running.call(Call::post("/api/v1/events", &report));
    let since = Instant::now();
    let scrape = loop {
        let scrape = scrape(&running);
        let names = scrape.names();
        if scrape.sum("tollbook_calls_total", &[]) == 2 && names.contains("tollbook_cost_corrections_usd") {
            break scrape;
        }
        assert!(since.elapsed() < Duration::from_secs(20), "{:#?}", scrape.samples);
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(scrape.value("tollbook_budgets", &[]), Some("2"));
    assert_eq!(scrape.sum("tollbook_budget_spent", &[("name", "calls"), ("unit", "calls")]), 2);
    assert_eq!(scrape.sum("tollbook_budget_limit", &[("name", "users"), ("unit", "usd")]), 200);
    let dashboard = std::fs::read_to_string(docs("grafana/tollbook.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let mut asked = Vec::new();
    expressions(&dashboard, &mut asked);
    assert!(asked.len() > 20, "{asked:?}");
    let alerts = std::fs::read_to_string(docs("grafana/alerts.yml")).unwrap();
    let asked = names(&asked.join(" ")).into_iter().chain(names(&alerts));
    let missing: Vec<String> = asked.filter(|name| !scrape.names().contains(name.as_str())).collect();
    assert!(missing.is_empty(), "nobody shows {missing:?}; there are {:?}", scrape.names());
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "two panels are {}", panel["id"]);
    }
    // Every figure that there is is explained.
    let page = std::fs::read_to_string(docs("reference/api/metrics.md")).unwrap();
    let unexplained: Vec<&String> =
        scrape.kinds.keys().filter(|name| !page.contains(&format!("`{name}`"))).collect();
    assert!(unexplained.is_empty(), "{unexplained:?} are not in docs/reference/api/metrics.md");
    running.end();
}
