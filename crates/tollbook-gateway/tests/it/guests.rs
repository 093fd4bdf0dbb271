//! Clients that say nothing, take nothing, or come in too large a number.

use crate::rig::{CHAT, Rig, STREAM};
use std::time::{Duration, Instant};
use tollbook_gateway::Options;
use tollbook_testkit::upstream::Script;
use tollbook_types::{Evidence, Status};

const LIMIT: Duration = Duration::from_millis(400);
/// What a busy machine may add.
const SLACK: Duration = Duration::from_millis(1_500);

fn short(options: &mut Options) {
    let timeouts = &mut options.timeouts;
    timeouts.first_byte = LIMIT;
    timeouts.head = LIMIT;
    timeouts.keep_alive = LIMIT;
    timeouts.request_idle = LIMIT;
    timeouts.write_idle = LIMIT;
}

#[test]
fn whoever_stands_still_is_sent_away() {
    let rig = Rig::with(short);
    let key = format!("authorization: Bearer {}\r\n", rig.key);
    let body =
        format!("POST /openai/v1/chat/completions HTTP/1.1\r\nhost: a\r\n{key}content-length: 90\r\n\r\n{{");
    let cases = [
        ("says nothing", "", 0),
        ("half a request line", "POST /ope", 408),
        ("half a head", "POST /openai/v1 HTTP/1.1\r\nhost: a\r\nx", 408),
        ("half a body", &body, 408),
        ("half a preface", "PRI * HTTP/2.0\r\n", 0),
    ];
    for (name, said, status) in cases {
        let began = Instant::now();
        let mut client = rig.client();
        client.send(said);
        assert_eq!(client.head().status, status, "{name}");
        assert!(client.is_closed_within(SLACK) || status == 408, "{name}");
        let took = began.elapsed();
        assert!(took >= LIMIT - Duration::from_millis(60) && took < LIMIT + SLACK, "{name}: {took:?}");
    }
    let mut kept = rig.client();
    kept.request("GET", "/x", &[], b"");
    assert_eq!(kept.reply().status, 200);
    assert!(kept.is_closed_within(LIMIT + SLACK));
    assert!(rig.counters.connections_timed_out.get() >= 4);
    assert_eq!(rig.upstream.count(), 0);
}

#[test]
fn whoever_takes_nothing_is_sent_away_and_its_usage_kept() {
    let rig = Rig::with(short);
    let filler =
        format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{}\"}}}}]}}\n\n", "x".repeat(60_000));
    let mut events: Vec<String> = (0..400).map(|_| filler.clone()).collect();
    let usage = r#"{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12}"#;
    events.push(format!("data: {{\"model\":\"gpt-4o-mini\",\"choices\":[],\"usage\":{usage}}}\n\n"));
    events.push("data: [DONE]\n\n".to_owned());
    rig.upstream.queue(Script::sse(events));
    let mut client = rig.client();
    let bearer = format!("Bearer {}", rig.key);
    client.request("POST", "/openai/v1/chat/completions", &[("authorization", &bearer)], STREAM.as_bytes());
    let entry = rig.entry();
    assert_eq!((entry.event.status, entry.event.evidence), (Status::ClientClosed, Evidence::ProviderUsage));
    assert_eq!(entry.event.usage.unwrap().total().total_tokens(), 12);
    assert_eq!(rig.open_calls(), 0);
}

#[test]
fn connections_are_bounded_by_address_and_in_all() {
    for by_address in [true, false] {
        let rig = Rig::with(|options| {
            let limit = if by_address {
                &mut options.limits.connections_per_address
            } else {
                &mut options.limits.connections
            };
            *limit = 3;
        });
        let mut open: Vec<_> = (0..3).map(|_| rig.client()).collect();
        for client in &mut open {
            client.request("GET", "/x", &[], b"");
            assert_eq!(client.reply().status, 200);
        }
        let mut fourth = rig.client();
        assert!(fourth.is_closed_within(SLACK));
        drop(open);
        let until = Instant::now() + SLACK;
        loop {
            let mut next = rig.client();
            next.request("GET", "/x", &[], b"");
            if next.reply().status == 200 {
                break;
            }
            assert!(Instant::now() < until, "places are given back");
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(rig.counters.connections_refused.get() >= 1);
    }
}

#[test]
fn held_bodies_are_bounded_one_by_one_and_in_all() {
    let rig = Rig::with(|options| {
        options.limits.body_bytes = 200_000;
        options.limits.bodies_bytes = 250_000;
    });
    let large = CHAT.replace("hi", &"x".repeat(300_000));
    let reply = rig.post("/openai/v1/chat/completions", &[], &large);
    assert_eq!(reply.status, 413, "{reply:?}");
    // One that is being sent takes the room of another.
    let mut slow = rig.client();
    let key = format!("authorization: Bearer {}\r\n", rig.key);
    slow.send(format!(
        "POST /openai/v1/chat/completions HTTP/1.1\r\nhost: a\r\n{key}content-length: 190000\r\n\r\n{}",
        "x".repeat(150_000)
    ));
    std::thread::sleep(Duration::from_millis(50));
    let medium = CHAT.replace("hi", &"x".repeat(120_000));
    assert_eq!(rig.post("/openai/v1/chat/completions", &[], &medium).status, 413);
    drop(slow);
    let until = Instant::now() + SLACK;
    while rig.post("/openai/v1/chat/completions", &[], &medium).status != 200 {
        assert!(Instant::now() < until, "room is given back");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(rig.entry().event.status, Status::Ok);
}
