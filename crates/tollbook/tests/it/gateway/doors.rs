//! No side door: every kind of path at every upstream is behind the budgets, also for admins, also
//! what the gateway does not know.

use super::running::{Running, Setup};
use serde_json::json;
use std::fmt::Write as _;
use tollbook_gateway::upstream::built_in;
use tollbook_testkit::{Call, Caller};
use tollbook_usage::Api;

/// The upstreams that every test has.
const OURS: [&str; 4] = ["openai", "anthropic", "google", "ollama"];
/// Paths that nobody here knows, and some that are known only to be billed.
const UNKNOWN: [&str; 6] = [
    "/v1/some/new/endpoint",
    "/v1/fine_tuning/jobs",
    "/v1/containers",
    "/v1beta/cachedContents",
    "/v1/models",
    "/",
];

/// Every upstream that is built in.
fn upstreams() -> Vec<String> {
    built_in(&|_| None).into_iter().map(|upstream| upstream.name).collect()
}

fn everywhere() -> Running {
    let setup = Setup::gateway("");
    let place = tollbook_testkit::upstream::Upstream::start().unwrap();
    let mut store = String::new();
    for name in upstreams().iter().filter(|name| !OURS.contains(&name.as_str())) {
        let key = if name == "vertex" { "" } else { "api_key = { env = \"PROVIDER_KEY\" }\n" };
        let _ = write!(store, "[gateway.upstreams.{name}]\nbase_url = \"{}\"\n{key}", place.url());
    }
    let mut running = Running::with(Setup { store, base_url: Some(place.url()), ..setup });
    // What reaches a provider counts there.
    running.upstream = place;
    running
}

fn set(running: &Running, args: &[&str]) {
    running.place.run(&[&["budget", "set"], args].concat()).ok();
}

/// Whether a request starts nothing that is billed, from what providers say of it.
fn is_free(method: &str, path: &str) -> bool {
    let family = Api::of("openai", path);
    match method {
        "GET" | "DELETE" => family != Api::Realtime,
        "POST" => matches!(family, Api::CountTokens | Api::Moderation | Api::BatchResults),
        _ => false,
    }
}

fn check(running: &Running, status: impl Fn(&str, &str) -> u16) {
    let body = json!({"model": "gpt-4o-mini", "messages": [], "max_tokens": 5, "input": "x"});
    let known = Api::known_paths().map(|(end, _)| format!("/v1{end}"));
    let paths: Vec<String> = known.chain(UNKNOWN.map(str::to_owned)).collect();
    let mut upstreams = upstreams();
    // Its answers to each method are looked at.
    upstreams.sort_by_key(|name| name != "openai");
    let (mut asked, mut passed) = (0, 0);
    for (nth, upstream) in upstreams.iter().enumerate() {
        for path in &paths {
            for (method, key) in [
                ("POST", &running.key),
                ("POST", &running.admin),
                ("PUT", &running.key),
                ("GET", &running.admin),
                ("DELETE", &running.key),
            ] {
                // One upstream shows what methods do.
                if nth > 0 && method != "POST" {
                    continue;
                }
                let call =
                    Call { method: method.to_owned(), ..Call::post(&format!("/{upstream}{path}"), &body) };
                let answer = Caller::new(running.address).call(&call.header("x-tollbook-key", key)).unwrap();
                asked += 1;
                match is_free(method, path) {
                    true => passed += 1,
                    false => {
                        let wanted = status(method, path);
                        assert_eq!(answer.status, wanted, "{method} {upstream}{path}: {}", answer.text());
                        assert_eq!(answer.header("x-should-retry"), Some("false"));
                    }
                }
                assert_eq!(running.upstream.count(), passed, "{method} {upstream}{path}: {}", answer.text());
            }
        }
    }
    assert!(asked > 2_000 && passed > 50, "{passed} of {asked}");
}

#[test]
fn nothing_that_can_be_billed_passes_a_spent_budget() {
    let mut running = everywhere();
    set(&running, &["all", "0 calls/total", "--block"]);
    check(&running, |_, _| 402);
    running.end();
    assert_eq!(running.books().len(), 0);
}

#[test]
fn what_cannot_be_metered_does_not_pass_a_strict_budget_and_passes_one_that_only_warns() {
    let mut running = everywhere();
    set(&running, &["provider=openai", "1000/total", "--block", "--strict"]);
    let call = |path: &str, upstream: &str| {
        let call = Call::post(&format!("/{upstream}{path}"), &json!({"x": 1}));
        running.call(call).status
    };
    for path in UNKNOWN {
        assert_eq!(call(path, "openai"), 403, "{path}");
        assert_ne!(call(path, "mistral"), 403, "{path}: the budget is another provider's");
    }
    set(&running, &["provider=openai", "1000/total", "--warn-only", "--strict"]);
    assert_ne!(call(UNKNOWN[0], "openai"), 403);
    running.end();
}
