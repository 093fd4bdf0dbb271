//! However a call ends, it ends once: as many entries as the upstream saw calls, none left open.

use crate::client::Reply;
use crate::rig::{CHAT, Rig, STREAM};
use std::time::{Duration, Instant};
use tollbook_gateway::Options;
use tollbook_testkit::upstream::{Gate, Script, Tokens, canned};
use tollbook_types::{Entry, Evidence, FreeReason, Status};

const TOKENS: Tokens = Tokens { input: 40, cached: 0, output: 12, reasoning: 0 };

fn chat() -> Script {
    canned::chat("gpt-4o-mini", TOKENS)
}

fn chat_stream() -> Script {
    canned::chat_stream("gpt-4o-mini", TOKENS, true)
}

fn short(options: &mut Options) {
    options.timeouts.answer_head = Duration::from_millis(300);
    options.timeouts.answer_idle = Duration::from_millis(300);
    options.timeouts.drain = Duration::from_millis(1_000);
}

/// What a fault leads to.
struct Case {
    name: &'static str,
    script: Script,
    is_stream: bool,
    /// What the caller sees: the status, and whether the body is whole.
    reply: (u16, bool),
    status: Status,
    evidence: Evidence,
    free: Option<FreeReason>,
}

fn cases() -> Vec<Case> {
    use Evidence::{Estimated, ProviderUsage, Unknown};
    let case = |name, script, is_stream, reply, status, evidence, free| Case {
        name,
        script,
        is_stream,
        reply,
        status,
        evidence,
        free,
    };
    let error = || Script::json(&serde_json::json!({"error": {"message": "no", "type": "x"}}));
    let (ok, upstream) = (Status::Ok, Status::UpstreamError);
    let http_error = Some(FreeReason::HttpError);
    vec![
        case("plain", chat(), false, (200, true), ok, ProviderUsage, None),
        case("chunked", chat().chunked(), false, (200, true), ok, ProviderUsage, None),
        case("until close", chat().until_close(), false, (200, true), ok, ProviderUsage, None),
        case("in bytes", chat().in_pieces_of(7), false, (200, true), ok, ProviderUsage, None),
        case("stream", chat_stream(), true, (200, true), ok, ProviderUsage, None),
        case("rate limit", error().status(429), false, (429, true), upstream, ProviderUsage, http_error),
        case("overloaded", error().status(529), true, (529, true), upstream, ProviderUsage, http_error),
        case("hangs up", Script::hangs_up(), false, (502, true), upstream, Unknown, None),
        case("resets", Script::resets(), false, (502, true), upstream, Unknown, None),
        case("garbage", Script::garbage("nonsense\r\n\r\n"), false, (502, true), upstream, Unknown, None),
        case("never", Script::never(), false, (504, true), Status::Timeout, Unknown, None),
        case("cut", chat().cut_after(20), false, (502, true), upstream, Unknown, None),
        case("stalls", chat().stall_after(20), false, (504, true), Status::Timeout, Unknown, None),
        case("stream cut", chat_stream().cut_after(300), true, (200, false), upstream, Estimated, None),
        case("stream reset", chat_stream().reset_after(300), true, (200, false), upstream, Estimated, None),
        case(
            "stream garbled",
            chat_stream().garbage_after(300),
            true,
            (200, false),
            upstream,
            Estimated,
            None,
        ),
        case(
            "stream stalls",
            chat_stream().stall_after(300),
            true,
            (200, false),
            Status::Timeout,
            Estimated,
            None,
        ),
        case("redirect", Script::body("text/plain", "").status(307), false, (307, true), ok, Unknown, None),
    ]
}

#[test]
fn each_fault_is_one_entry() {
    let rig = Rig::with(short);
    for (done, case) in cases().into_iter().enumerate() {
        rig.upstream.queue(case.script.clone());
        let began = Instant::now();
        let reply = rig.post("/openai/v1/chat/completions", &[], if case.is_stream { STREAM } else { CHAT });
        assert!(began.elapsed() < Duration::from_secs(2), "{}", case.name);
        assert_eq!((reply.status, reply.whole), case.reply, "{}: {reply:?}", case.name);
        let entries = rig.entries(done + 1);
        assert_eq!(entries.len(), done + 1, "{}", case.name);
        check(&case, &reply, &entries[done]);
    }
    // A connection that was kept and closed is tried anew, and that is not a call of its own.
    assert_eq!(rig.upstream.count(), cases().len());
    assert_eq!(rig.open_calls(), 0);
}

fn check(case: &Case, reply: &Reply, entry: &Entry) {
    let event = &entry.event;
    assert_eq!(event.id, reply.header("x-tollbook-call-id").unwrap(), "{}", case.name);
    let found = (event.status, event.evidence, event.free);
    assert_eq!(found, (case.status, case.evidence, case.free), "{}: {event:?}", case.name);
    let cost = entry.rating.cost.map(|cost| cost.picos());
    match case.evidence {
        Evidence::Unknown => assert_eq!(cost, None, "{}", case.name),
        Evidence::Estimated => assert_eq!(event.estimator.as_deref(), Some("bytes/4"), "{}", case.name),
        _ if case.free.is_some() => assert_eq!(cost, Some(0), "{}", case.name),
        _ => assert!(cost.unwrap() > 0, "{}", case.name),
    }
    if case.is_stream && !reply.whole {
        let text = reply.text();
        let last = text.trim_end().rsplit("data: ").next().unwrap();
        let error: serde_json::Value = serde_json::from_str(last).unwrap();
        assert!(error["error"]["message"].is_string(), "{}: {text}", case.name);
    }
}

#[test]
fn an_upstream_that_is_not_there_costs_nothing() {
    let mut gone = tollbook_testkit::upstream::Upstream::start().unwrap();
    let url = gone.url();
    gone.stop();
    let rig = Rig::with(|options| options.upstreams[0].base_url = url);
    let name = &rig.first;
    let began = Instant::now();
    let reply = rig.post(&format!("/{name}/v1/chat/completions"), &[], CHAT);
    assert!(began.elapsed() < Duration::from_secs(1));
    assert_eq!(reply.status, 502, "{reply:?}");
    let entry = rig.entry();
    assert_eq!(entry.event.free, Some(FreeReason::NeverSent));
    assert_eq!(entry.rating.cost.unwrap().picos(), 0);
    assert_eq!(rig.open_calls(), 0);
}

#[test]
fn a_caller_that_leaves_at_any_byte_is_billed_in_full() {
    let rig = Rig::with(short);
    let whole = chat_stream().plain_body().len();
    let mut done = 0;
    for left_after in [0, 1, 50, whole / 2, whole - 40, whole - 20] {
        let gate = Gate::new();
        let script = chat_stream().every(Duration::from_millis(2));
        rig.upstream.queue(if left_after == 0 { script.behind(&gate) } else { script });
        let mut client = rig.client();
        let bearer = format!("Bearer {}", rig.key);
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        client.request("POST", "/openai/v1/chat/completions", &headers, STREAM.as_bytes());
        done += 1;
        assert!(rig.upstream.wait_for(done, Duration::from_secs(2)));
        if left_after > 0 {
            assert_eq!(client.head().status, 200);
            client.some(left_after);
        }
        client.close();
        std::thread::sleep(Duration::from_millis(30));
        gate.open();
        let entries = rig.entries(done);
        assert_eq!(entries.len(), done, "left after {left_after}");
        let event = &entries[done - 1].event;
        assert_eq!(event.evidence, Evidence::ProviderUsage, "left after {left_after}: {event:?}");
        let total = event.usage.as_ref().unwrap().total();
        assert_eq!((total.input_tokens(), total.output_tokens()), (TOKENS.input, TOKENS.output));
        if left_after < whole / 2 {
            assert_eq!(event.status, Status::ClientClosed, "left after {left_after}");
        }
    }
    assert_eq!(rig.open_calls(), 0);
}

#[test]
fn drains_are_bounded_in_number_and_time() {
    let rig = Rig::with(|options| {
        short(options);
        options.limits.drains = 2;
    });
    for _ in 0..4 {
        rig.upstream.queue(chat_stream().stall_after(200));
    }
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = rig.client();
        let bearer = format!("Bearer {}", rig.key);
        client.request(
            "POST",
            "/openai/v1/chat/completions",
            &[("authorization", bearer.as_str())],
            STREAM.as_bytes(),
        );
        assert_eq!(client.head().status, 200);
        clients.push(client);
    }
    drop(clients);
    let entries = rig.entries(4);
    assert_eq!(entries.len(), 4);
    assert!(entries.iter().all(|entry| entry.event.status == Status::ClientClosed), "{entries:?}");
    assert_eq!(rig.counters.drains_refused.get(), 2);
    assert_eq!((rig.open_calls(), rig.counters.in_flight.get()), (0, 0));
}

#[test]
fn an_orderly_end_waits_for_what_runs_then_cuts_it() {
    let rig = Rig::new();
    rig.upstream.queue(chat_stream().every(Duration::from_millis(20)));
    rig.upstream.queue(chat_stream().stall_after(200));
    let bearer = format!("Bearer {}", rig.key);
    let headers = [("authorization", bearer.as_str())];
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = rig.client();
        client.request("POST", "/openai/v1/chat/completions", &headers, STREAM.as_bytes());
        clients.push((client.head(), client));
    }
    let mut kept = rig.client();
    kept.request("GET", "/somewhere", &[], b"");
    assert_eq!(kept.reply().status, 200);
    let began = Instant::now();
    rig.shutdown(Duration::from_millis(700));
    assert!(began.elapsed() >= Duration::from_millis(700));
    assert!(kept.is_closed_within(Duration::from_millis(100)));
    assert!(std::net::TcpStream::connect(rig.address).is_err());
    let mut statuses: Vec<Status> = rig.entries(2).iter().map(|entry| entry.event.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [Status::Ok, Status::Shutdown]);
    assert_eq!(rig.open_calls(), 0);
}

#[test]
fn two_hundred_callers_add_up_exactly() {
    let rig = Rig::new();
    let rounds = 5;
    std::thread::scope(|scope| {
        for _ in 0..200 {
            scope.spawn(|| {
                let mut client = rig.client();
                let bearer = format!("Bearer {}", rig.key);
                let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
                for _ in 0..rounds {
                    client.request("POST", "/openai/v1/chat/completions", &headers, CHAT.as_bytes());
                    let reply = client.reply();
                    assert!(reply.status == 200 && reply.whole, "{reply:?}");
                }
            });
        }
    });
    let served = rig.upstream.served();
    assert_eq!(served.len(), 200 * rounds);
    let entries = rig.entries(200 * rounds);
    assert_eq!(entries.len(), served.len());
    let wanted: (u64, u64) = served
        .iter()
        .filter_map(|served| served.tokens)
        .fold((0, 0), |sum, tokens| (sum.0 + tokens.input, sum.1 + tokens.output));
    let found = entries
        .iter()
        .map(|entry| entry.event.usage.as_ref().unwrap().total())
        .fold((0, 0), |sum, total| (sum.0 + total.input_tokens(), sum.1 + total.output_tokens()));
    assert_eq!(found, wanted);
    assert_eq!(rig.open_calls(), 0);
}
