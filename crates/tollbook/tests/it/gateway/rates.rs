//! Rate limits in the gateway: 429 in the provider's own words, and for how long.

use super::running::{Running, Setup, chat};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tollbook_testkit::upstream::{Gate, Script, Tokens, canned};
use tollbook_testkit::{Answer, Call};

fn set(running: &Running, args: &[&str]) -> Value {
    running.place.json(&[&["limit", "set"], args].concat())
}

fn fields(answer: &Answer) -> (u16, Option<&str>, Option<&str>, Option<&str>) {
    let header = |name| answer.header(name);
    (answer.status, header("ratelimit-policy"), header("ratelimit"), header("x-should-retry"))
}

#[test]
fn requests_beyond_the_rate_are_told_when_to_come_again() {
    let mut running = Running::start();
    let made = set(&running, &["all", "--requests", "2", "--each", "user"]);
    let words = "All calls, for each user alone (those without one share one limit), may be at most 2 requests a \
                 minute.";
    assert_eq!(made["words"], words);
    let ask = |path: &str, user: &str| {
        let body = json!({"model": "gpt-4o-mini", "max_tokens": 5, "messages": []});
        running.call(Call::post(path, &body).header("x-tollbook-user", user))
    };
    let openai = "/openai/v1/chat/completions";
    assert_eq!((ask(openai, "ann").status, ask(openai, "ann").status), (200, 200));
    let refused = ask(openai, "ann");
    let wait: u32 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=30).contains(&wait), "{wait}");
    let limit = format!("\"requests\";r=0;t={wait}");
    assert_eq!(fields(&refused), (429, Some("\"requests\";q=2;w=60"), Some(limit.as_str()), None));
    assert_eq!(refused.json()["error"]["code"], "rate_limit_exceeded");
    assert_eq!(ask("/anthropic/v1/messages", "ann").json()["error"]["type"], "rate_limit_error");
    // An endpoint that is not known counts, too.
    assert_eq!((ask(openai, "bob").status, ask("/openai/v1/some/new", "bob").status), (200, 404));
    assert_eq!(ask("/openai/v1/some/new", "bob").status, 429);
    // It says where it stands, and is gone at once when it is taken away.
    let call = running.call(chat(false)).header("x-tollbook-call-id").unwrap().to_owned();
    std::thread::sleep(Duration::from_millis(300));
    let limits = running.place.json(&["budget", "explain", &call]);
    assert_eq!(limits["rate_limits"][0]["requests_left"], 1, "{limits}");
    let text = running.place.run(&["budget", "explain", &call]).ok().out;
    assert!(text.contains("1 requests may come at once, 0 calls are under way"), "{text}");
    assert!(running.place.run(&["limit", "list"]).ok().out.contains("all each user"));
    running.place.run(&["limit", "remove", "all each user"]).ok();
    assert_eq!(ask(openai, "ann").status, 200);
    running.end();
}

#[test]
fn a_place_is_free_as_soon_as_a_call_has_ended() {
    let mut running = Running::start();
    set(&running, &["all", "--concurrent", "1"]);
    let gate = Gate::new();
    running.upstream.queue(canned::chat("gpt-4o-mini", Tokens::of(0)).behind(&gate));
    let first = std::thread::scope(|scope| {
        let first = scope.spawn(|| running.call(chat(false)).status);
        assert!(running.upstream.wait_for(1, Duration::from_secs(10)));
        let refused = running.call(chat(false));
        let policy = Some("\"concurrent\";q=1;qu=\"concurrent-requests\"");
        assert_eq!(fields(&refused), (429, policy, Some("\"concurrent\";r=0;t=1"), None));
        gate.open();
        first.join().unwrap()
    });
    assert_eq!(first, 200);
    // It does not wait until the call is in the books.
    let since = Instant::now();
    for _ in 0..20 {
        assert_eq!(running.call(chat(false)).status, 200);
    }
    assert!(since.elapsed() < Duration::from_secs(3), "{:?}", since.elapsed());
    // Failed ones give their places back, too.
    for script in [Script::hangs_up(), Script::json(&json!({})).status(500), Script::resets()] {
        running.upstream.queue(script);
        assert!(running.call(chat(false)).status >= 500);
    }
    assert_eq!(running.call(chat(false)).status, 200);
    running.end();
}

#[test]
fn a_loop_is_broken_and_limits_of_the_configuration_hold() {
    let store = "[[rate_limits]]\nname = \"loops\"\neach = \"session\"\nidentical_per_minute = 3\n\
                 [[rate_limits]]\nname = \"tokens\"\nmatch = { user = \"ann\" }\ntokens_per_minute = 1";
    let mut running = Running::with(Setup { store: store.to_owned(), ..Setup::default() });
    let ask = |session: &str, text: &str| {
        let body =
            json!({"model": "gpt-4o-mini", "max_tokens": 5, "messages": [{"role": "user", "content": text}]});
        let call = Call::post("/openai/v1/chat/completions", &body);
        running.call(call.header("x-tollbook-session", session))
    };
    for _ in 0..3 {
        assert_eq!(ask("s1", "again").status, 200);
    }
    let refused = ask("s1", "again");
    assert_eq!(fields(&refused).1, Some("\"identical\";q=3;w=60"));
    assert!(refused.text().contains("it looks like a loop"), "{}", refused.text());
    assert_eq!((ask("s2", "again").status, ask("s1", "other").status), (200, 200));
    // One call of more tokens than a minute has goes when no other does.
    let ann = || running.call(chat(false).header("x-tollbook-user", "ann"));
    assert_eq!(ann().status, 200);
    let refused = ann();
    assert_eq!(fields(&refused).1, Some("\"tokens\";q=1;w=60;qu=\"tokens\""));
    assert_eq!(
        (refused.header("retry-after"), &refused.json()["error"]["type"]),
        (Some("60"), &json!("tokens"))
    );
    running.place.run(&["limit", "remove", "loops"]).code(1);
    assert!(running.place.run(&["limit", "set", "all"]).code(2).err.contains("--requests"));
    running.end();
}
