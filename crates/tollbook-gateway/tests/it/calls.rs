//! Calls that go well.

use crate::rig::{CHAT, PROVIDER_KEY, Rig, STREAM};
use serde_json::json;
use tollbook_gateway::{CacheOptions, Compat};
use tollbook_testkit::upstream::{Coding, Script, Tokens, canned};
use tollbook_types::{Evidence, Meter, Status};

#[test]
fn a_call_is_answered_recorded_and_priced() {
    let rig = Rig::new();
    let reply = rig.post("/openai/v1/chat/completions", &[], CHAT);
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(reply.whole);
    let served = &rig.upstream.served()[0];
    assert_eq!(served.target, "/v1/chat/completions");
    assert_eq!(served.body, CHAT.as_bytes());
    assert_eq!(served.header("authorization"), Some(format!("Bearer {PROVIDER_KEY}").as_str()));
    let entry = rig.entry();
    let tokens = served.tokens.unwrap();
    let total = entry.event.usage.as_ref().unwrap().total();
    assert_eq!(total.input_tokens(), tokens.input);
    assert_eq!(total.output_tokens(), tokens.output);
    assert_eq!(entry.event.id, reply.header("x-tollbook-call-id").unwrap());
    assert_eq!((entry.event.status, entry.event.evidence), (Status::Ok, Evidence::ProviderUsage));
    assert_eq!(entry.rating.cost.unwrap().to_string(), reply.header("x-tollbook-cost-usd").unwrap());
    assert_eq!(reply.header("x-tollbook-cost-status"), Some("exact"));
    let told = format!(
        "in={},cached={},out={},reasoning={}",
        tokens.input,
        total.cache_read_tokens(),
        tokens.output,
        total.get(Meter::Reasoning).unwrap_or(0)
    );
    assert_eq!(reply.header("x-tollbook-tokens"), Some(told.as_str()));
    assert_eq!(rig.open_calls(), 0);
    assert!(entry.event.attribution.key.is_some());
}

#[test]
fn a_stream_passes_as_it_is_and_is_recorded_before_its_end() {
    let rig = Rig::new();
    let reply = rig.post("/openai/v1/chat/completions", &[], STREAM);
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(reply.whole && reply.text().ends_with("data: [DONE]\n\n"), "{}", reply.text());
    assert_eq!(reply.header("x-tollbook-cost-status"), Some("pending"));
    let served = &rig.upstream.served()[0];
    assert_eq!(served.body, STREAM.as_bytes());
    assert!(reply.text().contains("\"usage\":{"));
    let tokens = served.tokens.unwrap();
    let entry = rig.entry();
    let total = entry.event.usage.as_ref().unwrap().total();
    assert_eq!((total.input_tokens(), total.output_tokens()), (tokens.input, tokens.output));
    assert!(entry.event.time_to_first_token_ms.is_some());
}

/// What a caller gets that asks without the usage question, beside what the stream holds.
#[test]
fn a_stream_that_does_not_ask_is_asked_and_does_not_show_it() {
    let rig = Rig::new();
    let body = STREAM.replace(r#""stream_options":{"include_usage":true},"#, "");
    let asked = rig.post("/openai/v1/chat/completions", &[("accept-encoding", "gzip")], &body);
    let served = rig.upstream.served();
    let sent: serde_json::Value = serde_json::from_slice(&served[0].body).unwrap();
    assert_eq!(sent["stream_options"]["include_usage"], true);
    assert_eq!(served[0].header("accept-encoding"), Some("identity"));
    assert!(asked.whole && asked.text().ends_with("data: [DONE]\n\n"), "{asked:?}");
    assert!(!asked.text().contains("usage"), "{}", asked.text());
    let entry = rig.entry();
    assert_eq!(entry.event.evidence, Evidence::ProviderUsage);
    assert_eq!(entry.event.usage.unwrap().total().output_tokens(), served[0].tokens.unwrap().output);
}

#[test]
fn a_caller_may_be_told_the_cost_of_a_stream() {
    let rig = Rig::new();
    let reply = rig.post("/openai/v1/chat/completions", &[("x-tollbook-include-cost", "true")], STREAM);
    let text = reply.text();
    let (before, last) = text.split_once(": tollbook ").unwrap();
    assert!(before.ends_with("\n\n"));
    let (told, last) = last.split_once("\n\n").unwrap();
    assert_eq!(last, "data: [DONE]\n\n");
    let told: serde_json::Value = serde_json::from_str(told).unwrap();
    let entry = rig.entry();
    assert_eq!(told["call_id"], entry.event.id);
    assert_eq!(told["cost_usd"], entry.rating.cost.unwrap().to_string());
    assert_eq!(told["total_tokens"], entry.event.usage.unwrap().total().total_tokens());
}

#[test]
fn programs_that_know_other_gateways_find_what_they_look_for() {
    let rig = Rig::with(|options| options.compat = Compat { litellm: true, usage_cost: true });
    let reply = rig.post("/openai/v1/chat/completions", &[], CHAT);
    let cost = rig.entry().rating.cost.unwrap().to_string();
    assert_eq!(reply.header("x-litellm-response-cost"), Some(cost.as_str()));
    assert_eq!(reply.header("x-litellm-call-id"), reply.header("x-tollbook-call-id"));
    assert!(reply.text().contains(&format!("\"usage\":{{\"cost\":{cost},")), "{}", reply.text());
    assert!(reply.whole);
}

#[test]
fn a_coded_answer_passes_as_it_is_and_is_read_all_the_same() {
    let rig = Rig::new();
    for (done, coding) in
        [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd].into_iter().enumerate()
    {
        rig.upstream.queue(canned::chat_stream("gpt-4o-mini", Tokens::of(9), true).coded(coding));
        let reply = rig.post("/openai/v1/chat/completions", &[], STREAM);
        assert!(reply.whole && reply.header("content-encoding").is_some(), "{coding:?}");
        let entry = rig.entries(done + 1).remove(done);
        assert_eq!(entry.event.evidence, Evidence::ProviderUsage, "{coding:?}");
        assert_eq!(entry.event.usage.unwrap().total().output_tokens(), Tokens::of(9).output);
    }
}

#[test]
fn the_very_same_request_is_answered_from_the_cache() {
    let rig = Rig::with(|options| {
        options.cache = Some(CacheOptions { bytes: 64 << 20 });
        options.upstreams.iter_mut().for_each(|upstream| upstream.cache_ttl_s = Some(60));
    });
    for (round, body) in [CHAT, STREAM].into_iter().enumerate() {
        let first = rig.post("/openai/v1/chat/completions", &[], body);
        let again = rig.post("/openai/v1/chat/completions", &[], body);
        assert_eq!(first.header("x-tollbook-cache"), Some("miss"));
        assert_eq!(again.header("x-tollbook-cache"), Some("hit"));
        assert_eq!(first.body, again.body);
        assert_eq!(again.header("x-tollbook-cost-usd"), Some("0"));
        assert_eq!(rig.upstream.count(), round + 1);
        let entries = rig.entries(2 * round + 2);
        let (paid, hit) = (&entries[2 * round], &entries[2 * round + 1]);
        let saved = hit.event.cache_hit.as_ref().unwrap();
        assert_eq!(Some(saved.saved), paid.rating.cost);
        assert_eq!(saved.saved_tokens, paid.event.usage.as_ref().unwrap().total().total_tokens());
        assert_eq!((hit.event.usage.as_ref(), hit.event.provider_response_id.as_ref()), (None, None));
        assert_eq!(hit.rating.cost.unwrap().picos(), 0);
    }
    let other = rig.post("/openai/v1/chat/completions", &[], &CHAT.replace("hi", "ho"));
    assert_eq!(other.header("x-tollbook-cache"), Some("miss"));
}

#[test]
fn a_poll_adjusts_what_it_asks_about_and_a_second_one_does_nothing() {
    let rig = Rig::new();
    let queued = json!({"id": "resp_1", "object": "response", "status": "queued", "model": "gpt-4o-mini"});
    let usage = json!({"input_tokens": 20, "output_tokens": 6, "total_tokens": 26});
    let done = json!({"id": "resp_1", "object": "response", "status": "completed", "model": "gpt-4o-mini",
        "usage": usage});
    rig.upstream.queue(Script::json(&queued));
    rig.upstream.queue(Script::json(&done));
    rig.upstream.queue(Script::json(&done));
    let body = r#"{"model":"gpt-4o-mini","background":true,"input":"hi"}"#;
    assert_eq!(rig.post("/openai/v1/responses", &[], body).status, 200);
    for _ in 0..2 {
        let mut client = rig.client();
        let bearer = format!("Bearer {}", rig.key);
        client.request("GET", "/openai/v1/responses/resp_1", &[("authorization", &bearer)], b"");
        assert_eq!(client.reply().status, 200);
    }
    rig.ledger.flush().unwrap();
    let calls = crate::rig::stored(rig.ledger.store().as_ref());
    assert_eq!(calls.len(), 1, "{calls:?}");
    assert_eq!(calls[0].entry.event.evidence, Evidence::Unknown);
    assert_eq!(calls[0].adjustments.len(), 1);
    assert_eq!(calls[0].corrected().usage.unwrap().total().total_tokens(), 26);
}

#[test]
fn what_starts_no_work_passes_without_a_record() {
    let rig = Rig::new();
    rig.upstream.at_path("/v1/models", Script::json(&json!({"data": []})));
    rig.upstream.at_path("/v1/files", Script::json(&json!({"id": "file-1"})));
    let bearer = format!("Bearer {}", rig.key);
    let mut client = rig.client();
    client.request("GET", "/openai/v1/models", &[("authorization", &bearer)], b"");
    assert_eq!(client.reply().json(), json!({"data": []}));
    let upload = "x".repeat(300_000);
    client.request("POST", "/openai/v1/files", &[("authorization", &bearer)], upload.as_bytes());
    assert_eq!(client.reply().json(), json!({"id": "file-1"}));
    assert_eq!(rig.upstream.served()[1].body.len(), 300_000);
    assert_eq!((rig.entries(0).len(), rig.open_calls()), (0, 0));
}

#[test]
fn an_answer_may_wait_for_the_disk() {
    let rig = Rig::with(|options| options.durability_strict = true);
    for (done, body) in [CHAT, STREAM, CHAT].into_iter().enumerate() {
        let reply = rig.post("/openai/v1/chat/completions", &[], body);
        assert!(reply.status == 200 && reply.whole, "{reply:?}");
        assert_eq!(rig.entries(done + 1).len(), done + 1);
    }
}
