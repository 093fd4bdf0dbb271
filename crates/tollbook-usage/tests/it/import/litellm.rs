//! LiteLLM's spend logs in every form of export.

use super::{now, total};
use serde_json::{Value, json};
use tollbook_types::{Evidence, FreeReason, Meter, Status};
use tollbook_usage::import::litellm::LiteLlm;
use tollbook_usage::import::{FileReader, Import, code};

pub fn spend_row() -> Value {
    json!({"request_id":"chatcmpl-1","call_type":"acompletion","api_key":"ab".repeat(32),"spend":0.0125,
        "total_tokens":1100,"prompt_tokens":1000,"completion_tokens":100,"startTime":"2026-06-21T15:47:15.344000+00:00",
        "endTime":"2026-06-21T15:47:17.844000+00:00","completionStartTime":"2026-06-21T15:47:16.000000+00:00",
        "model":"anthropic/claude-sonnet-4-5","model_group":"sonnet","custom_llm_provider":"anthropic","user":"u1",
        "end_user":"customer-7","team_id":"t1","session_id":"s9","cache_hit":"False","cache_key":"Cache OFF",
        "request_tags":["jobID:21","User-Agent: sdk/1.0","prod"],"status":"success",
        "metadata":{"status":"success","user_api_key_alias":"ci","user_api_key_team_alias":"ops",
            "usage_object":{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100,
                "cache_read_input_tokens":600,"cache_creation_input_tokens":100,
                "prompt_tokens_details":{"cached_tokens":600,"cache_creation_tokens":100,
                    "cache_creation_token_details":{"ephemeral_5m_input_tokens":60,"ephemeral_1h_input_tokens":40}},
                "completion_tokens_details":{"reasoning_tokens":30}}}})
}

fn litellm(text: &str) -> Import {
    let mut reader = LiteLlm::new(now());
    reader.read("spend.json", text.as_bytes());
    reader.finish()
}

#[test]
fn spend_logs_become_events() {
    let import = litellm(&json!([spend_row()]).to_string());
    assert!(import.problems.is_empty(), "{:?}", import.problems);
    let event = &import.events[0];
    let meters = [
        (Meter::Input, 300),
        (Meter::CacheRead, 600),
        (Meter::CacheWrite5m, 60),
        (Meter::CacheWrite1h, 40),
        (Meter::Output, 70),
        (Meter::Reasoning, 30),
    ];
    for (meter, quantity) in meters {
        assert_eq!(total(event, meter), quantity, "{meter}");
    }
    assert_eq!((event.provider.as_str(), event.model.as_str()), ("anthropic", "claude-sonnet-4-5"));
    assert_eq!((event.request_model.as_deref(), event.api.as_deref()), (Some("sonnet"), Some("chat")));
    assert_eq!((event.latency_ms, event.time_to_first_token_ms), (Some(2_500), Some(656)));
    let attribution = &event.attribution;
    assert_eq!(
        (attribution.user.as_deref(), attribution.session.as_deref()),
        (Some("customer-7"), Some("s9"))
    );
    for (tag, value) in
        [("jobID", "21"), ("prod", "true"), ("team", "ops"), ("litellm_key", "ci"), ("litellm_user", "u1")]
    {
        assert_eq!(attribution.tags[tag], value);
    }
    assert_eq!(event.provider_cost, None, "LiteLLM's own figure is no bill");
    assert_eq!(attribution.metadata.as_ref().unwrap()["litellm_spend_usd"], "0.0125");
}

#[test]
fn every_export_of_a_row_has_the_same_identity_and_content() {
    let row = spend_row();
    let columns = row.as_object().unwrap();
    let quote = |text: String| format!("\"{}\"", text.replace('"', "\"\""));
    let values: Vec<String> = columns
        .iter()
        .map(|(name, value)| match (name.as_str(), value) {
            // A database writes its own form of an instant, without zone.
            ("startTime", _) => "2026-06-21 15:47:15.344".to_owned(),
            (_, Value::String(text)) => quote(text.clone()),
            (_, other) => quote(other.to_string()),
        })
        .collect();
    let names: Vec<&str> = columns.keys().map(String::as_str).collect();
    let csv = format!("{}\n{}\n", names.join(","), values.join(","));
    let pretty = serde_json::to_string_pretty(&json!({"data":[row],"total":1})).unwrap();
    let one = litellm(&json!([row]).to_string()).events.remove(0);
    for form in [row.to_string(), format!("{row}\n"), csv, pretty] {
        let import = litellm(&form);
        assert!(import.problems.is_empty(), "{:?}\n{form}", import.problems);
        let event = &import.events[0];
        assert_eq!((event.identity(), event.content), (one.identity(), one.content), "{form}");
    }
}

#[test]
fn failures_cache_hits_and_lost_counts() {
    let mut failed = spend_row();
    failed["status"] = json!("failure");
    for name in ["prompt_tokens", "completion_tokens", "total_tokens"] {
        failed[name] = json!(0);
    }
    let error = json!({"error_code":"429","error_class":"RateLimitError","error_message":"key sk-secret was refused"});
    failed["metadata"] = json!({"status":"failure","error_information":error,"usage_object":null});
    let mut refused = failed.clone();
    refused["model"] = json!("");
    refused["custom_llm_provider"] = json!("");
    let mut hit = spend_row();
    hit["cache_hit"] = json!("True");
    hit["request_id"] = json!("chatcmpl-1_cache_hit1750000000.5");
    let mut lost = failed.clone();
    lost["status"] = json!("success");
    lost["metadata"] = json!({"usage_object":null});
    let import = litellm(&json!([failed, refused, hit, lost]).to_string());
    assert_eq!((import.events.len(), import.counts.refused, import.counts.bad), (3, 1, 0));
    let [failed, hit, lost] = &import.events[..] else { unreachable!() };
    assert_eq!(
        (failed.status, failed.free, failed.http_status),
        (Status::UpstreamError, Some(FreeReason::HttpError), Some(429))
    );
    assert_eq!(failed.error.as_deref(), Some("RateLimitError (429)"));
    assert!(!serde_json::to_string(failed).unwrap().contains("sk-secret"));
    assert_eq!((hit.free, hit.cache_hit.as_ref().unwrap().saved_tokens), (Some(FreeReason::CacheHit), 1_100));
    assert_eq!((&hit.usage, &hit.provider_response_id), (&None, &None));
    assert_eq!((lost.free, lost.evidence, &lost.usage), (None, Evidence::Unknown, &None));
}

#[test]
fn bad_rows_are_told_by_their_number() {
    let mut twisted = spend_row();
    twisted["metadata"]["usage_object"]["cache_read_input_tokens"] = json!(5_000);
    let mut untimed = spend_row();
    untimed["startTime"] = json!("soon");
    let mut nameless = spend_row();
    nameless["request_id"] = json!("");
    nameless["prompt_tokens"] = json!(-4);
    let import = litellm(&json!([twisted, untimed, nameless]).to_string());
    assert!(import.events[0].inconsistent);
    assert_eq!(import.events[0].usage.as_ref().unwrap().total().input_tokens(), 1_000);
    let told: Vec<(u64, &str)> =
        import.problems.iter().map(|found| (found.line, found.problem.code)).collect();
    let expected = [(2, code::TIMESTAMP_INVALID), (3, code::FIELD_MISSING), (3, code::FIELD_INVALID)];
    assert_eq!((told.as_slice(), import.counts.bad), (&expected[..], 2));
}
