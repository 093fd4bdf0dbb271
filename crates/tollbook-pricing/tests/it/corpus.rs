//! The corpus: recorded responses with costs that independent tools agree on.

use crate::at;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use tollbook_pricing::{Book, rate};
use tollbook_types::{
    Conditions, Event, Evidence, Meter, Meters, Money, ProviderCost, Usage, canonical_provider,
};

/// The day that the corpus is priced at.
const PRICED_AT: &str = "2026-11-15T12:00:00Z";

/// A file of the corpus, by id; `None` when it is not there.
fn read(name: &str) -> Option<BTreeMap<String, Value>> {
    let folder = std::env::var("TOLLBOOK_CORPUS").map(PathBuf::from).unwrap_or_else(|_| {
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/responses"))
    });
    let text = std::fs::read_to_string(folder.join(name)).ok()?;
    let parse = |line: &str| serde_json::from_str::<Value>(line).unwrap();
    Some(text.lines().map(parse).map(|v| (v["id"].as_str().unwrap().to_owned(), v)).collect())
}

/// The text of the first (or last) member of this name in a body of any framing.
fn member(body: &str, name: &str, last: bool) -> Option<String> {
    let marker = format!("\"{name}\"");
    let mut found = body.match_indices(&marker).filter_map(|(at, _)| {
        let rest = body[at + marker.len()..].trim_start().strip_prefix(':')?.trim_start();
        let text = rest.strip_prefix('"')?;
        text.split('"').next().filter(|text| !text.is_empty()).map(str::to_owned)
    });
    if last { found.last() } else { found.next() }
}

/// The model in a Bedrock path, percent-decoded as far as ids need it.
fn path_model(path: &str) -> Option<String> {
    let rest = path.split_once("/model/")?.1;
    Some(rest.split('/').next()?.replace("%3A", ":").replace("%2F", "/"))
}

/// Cached tokens that are not text, which only the body tells apart.
fn cached(body: &Value, modality: &str) -> u64 {
    let details = body["usageMetadata"]["cacheTokensDetails"].as_array();
    let of =
        |detail: &Value| (detail["modality"] == modality).then(|| detail["tokenCount"].as_u64()).flatten();
    details.into_iter().flatten().filter_map(of).sum()
}

fn meters(usage: &Value, body: &str) -> Meters {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let get = |name: &str| usage.get(name).and_then(Value::as_u64).unwrap_or(0);
    // Where the parts exceed the whole, the images are among the cached tokens.
    let parts = get("cache_read_tokens") + get("input_image_tokens");
    let overlap = parts.saturating_sub(get("input_tokens"));
    let image = cached(&body, "IMAGE").max(overlap).min(get("input_image_tokens"));
    let audio = cached(&body, "AUDIO").min(get("input_audio_tokens"));
    let written = get("cache_write_tokens");
    let inside = get("cache_read_tokens")
        + written
        + (get("input_audio_tokens") - audio)
        + (get("input_image_tokens") - image)
        + get("input_tool_tokens");
    let out_inside = get("output_reasoning_tokens") + get("output_audio_tokens");
    Meters::from_pairs([
        (Meter::Input, get("input_tokens").saturating_sub(inside)),
        (Meter::CacheRead, get("cache_read_tokens") - image - audio),
        (Meter::CacheReadImage, image),
        (Meter::CacheReadAudio, audio),
        (Meter::CacheWrite5m, get("cache_write_5m_tokens")),
        (Meter::CacheWrite, written - get("cache_write_5m_tokens")),
        (Meter::InputAudio, get("input_audio_tokens") - audio),
        (Meter::InputImage, get("input_image_tokens") - image),
        (Meter::ToolPrompt, get("input_tool_tokens")),
        (Meter::Output, get("output_tokens").saturating_sub(out_inside)),
        (Meter::Reasoning, get("output_reasoning_tokens").min(get("output_tokens"))),
        (Meter::OutputAudio, get("output_audio_tokens")),
        (Meter::WebSearch, get("web_searches")),
        (Meter::RerankSearch, get("rerank_searches")),
    ])
}

pub fn event(case: &Value, expected: &Value) -> Event {
    let text = |name: &str| case[name].as_str().unwrap_or_default().to_owned();
    let body = text("response_body");
    let request_model =
        case["request_model"].as_str().map(str::to_owned).or_else(|| path_model(&text("url_path")));
    let model = member(&body, "model", false).or_else(|| member(&body, "modelVersion", false));
    let mut conditions = Conditions::new();
    for (member_name, name) in
        [("service_tier", "service_tier"), ("serviceTier", "service_tier"), ("speed", "speed")]
    {
        if let Some(value) = member(&body, member_name, true) {
            conditions.insert(name.to_owned(), value.to_lowercase());
        }
    }
    let bill = expected["provider_reported_cost_usd"].as_str().map(|text| ProviderCost {
        total: Money::parse_rounding(text).unwrap(),
        input: None,
        output: None,
        field: "usage.cost".to_owned(),
    });
    Event {
        provider: canonical_provider(&text("provider")),
        model: model.or_else(|| request_model.clone()).unwrap_or_default(),
        request_model,
        usage: Some(Usage::one(meters(&expected["usage"], &body))),
        evidence: Evidence::ProviderUsage,
        provider_cost: bill,
        conditions,
        ..Event::new(text("id"), "api".to_owned(), at(PRICED_AT))
    }
}

#[test]
fn costs_that_tools_agree_on_come_out() {
    let (Some(cases), Some(expected)) = (read("cases.jsonl"), read("expected.jsonl")) else {
        eprintln!("skipped: no corpus (set TOLLBOOK_CORPUS)");
        return;
    };
    let book = Book::embedded();
    let (mut firm, mut equal) = (0_u32, 0_u32);
    let mut others = BTreeMap::<String, (u32, u32)>::new();
    for (id, want) in &expected {
        let confidence = want["cost_confidence"].as_str().unwrap_or_default();
        if confidence.is_empty() || want.get("legs").is_some() {
            continue;
        }
        let event = event(&cases[id], want);
        let rated = rate(&book, &event);
        let cost: Money = want["cost_usd"].as_str().unwrap().parse().unwrap();
        let is_firm = matches!(confidence, "agree_litellm" | "provider_match");
        let got = if is_firm { rated.rating.cost } else { rated.rating.book_cost };
        let counts = others.entry(confidence.to_owned()).or_default();
        counts.0 += 1;
        counts.1 += u32::from(got == Some(cost));
        if is_firm {
            firm += 1;
            equal += u32::from(got == Some(cost));
        }
        if got != Some(cost) {
            let seen = got.map_or_else(|| format!("{:?}", rated.rating.note), |money| money.to_string());
            println!(
                "{confidence}: {id} {}/{} ({:?}): expected {cost}, is {seen}, price {:?}",
                event.provider, event.model, event.request_model, rated.rating.price_id
            );
        }
    }
    println!("firm: {equal} of {firm} equal; by confidence (all, equal): {others:?}");
    assert!(firm >= 400, "the corpus has {firm} firm costs");
    assert!(equal * 100 >= firm * 99, "{equal} of {firm} firm costs are equal");
}
