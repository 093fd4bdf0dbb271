//! Calls that go well.

use crate::rig::{CHAT, PROVIDER_KEY, Rig};
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
    let body = CHAT.replace('{', r#"{"stream":true,"stream_options":{"include_usage":true},"#.trim_end());
    let body = body.replacen(
        r#""messages":[{"stream":true,"stream_options":{"include_usage":true},"#,
        r#""messages":[{"#,
        1,
    );
    let reply = rig.post("/openai/v1/chat/completions", &[], &body);
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(reply.whole && reply.text().ends_with("data: [DONE]\n\n"), "{}", reply.text());
    assert_eq!(reply.header("x-tollbook-cost-status"), Some("pending"));
    let tokens = rig.upstream.served()[0].tokens.unwrap();
    let entry = rig.entry();
    let total = entry.event.usage.as_ref().unwrap().total();
    assert_eq!((total.input_tokens(), total.output_tokens()), (tokens.input, tokens.output));
    assert!(entry.event.time_to_first_token_ms.is_some());
}
