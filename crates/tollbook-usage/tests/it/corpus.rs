//! The recorded answers: every firm expectation is met, whole and at any split.

use crate::support::Answer;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use tollbook_types::{Evidence, Meter, Meters};
use tollbook_usage::{Api, End, Reading, Request};

/// Deliberate differences, each explained in docs/usage-differences.md.
const DELIBERATE: &[&str] = &[
    "bedrock-invoke-n-3cfd45700b",
    "google-interactions-n-3cc3ad2ae7",
    "google-interactions-s-0d209f64f1",
    "openai-audio_transcription-n-f52fa8c221",
    "openai-audio_transcription-s-cd8a7947ab",
];

/// Answers that do report what they used, though nobody expected it of them; explained there too.
const REPORTED: &[&str] = &[
    "anthropic-batch_results-n-b8fae75fc6",
    "google-batch-n-15c9426796",
    "google-embeddings-n-5906ffe6d0",
    "google-embeddings-n-84b593da73",
    "google-embeddings-n-9b60a4ae70",
    "google-vertex-embeddings-n-63d78eefd7",
    "google-vertex-generateContent-n-f49e97b7f2",
    "google-vertex-predict-n-2bc765c5e8",
    "google-vertex-predict-n-5e93d05947",
    "google-vertex-predict-n-60f8de8840",
    "mistral-ocr-n-cc8ee9ae9b",
    "openai-audio_transcription-n-cad01e6618",
    "xai-batch-n-2198241389",
    "xai-images-n-d3b07a1988",
    "xai-realtime_ws-s-34ec095a41",
    "xai-realtime_ws-s-6729e11519",
    "xai-realtime_ws-s-879b970f60",
    "xai-realtime_ws-s-9ad3374cae",
];

struct Case {
    id: String,
    answer: Answer,
    expected: Map<String, Value>,
}

impl Case {
    fn usage(&self) -> Option<&Map<String, Value>> {
        self.expected.get("usage").and_then(Value::as_object)
    }

    fn is_firm(&self) -> bool {
        self.expected["agreeing_tools"].as_array().is_some_and(|tools| tools.len() >= 2)
    }
}

fn folder() -> PathBuf {
    std::env::var_os("TOLLBOOK_CORPUS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/responses"),
        PathBuf::from,
    )
}

/// The recorded answers, or none (and a loud word) where they are not at hand.
fn corpus() -> Vec<Case> {
    let folder = folder();
    let (Ok(cases), Ok(expected)) = (
        std::fs::read_to_string(folder.join("cases.jsonl")),
        std::fs::read_to_string(folder.join("expected.jsonl")),
    ) else {
        println!("SKIPPED: no recorded answers at {}; set TOLLBOOK_CORPUS", folder.display());
        return Vec::new();
    };
    let mut by_id: HashMap<String, Map<String, Value>> = expected
        .lines()
        .map(|line| serde_json::from_str::<Map<String, Value>>(line).unwrap())
        .map(|line| (line["id"].as_str().unwrap().to_owned(), line))
        .collect();
    cases
        .lines()
        .map(|line| serde_json::from_str::<Map<String, Value>>(line).unwrap())
        .map(|line| {
            let id = line["id"].as_str().unwrap().to_owned();
            let expected = by_id.remove(&id).unwrap();
            Case { answer: answer(&line), id, expected }
        })
        .collect()
}

fn answer(line: &Map<String, Value>) -> Answer {
    let text = |name: &str| line.get(name).and_then(Value::as_str);
    let sent = line.get("request_body").or_else(|| line.get("request_params")).filter(|body| !body.is_null());
    let sent = sent.map(|body| match body {
        Value::String(text) => text.clone().into_bytes(),
        other => serde_json::to_vec(other).unwrap(),
    });
    let body = text("response_body").unwrap_or_default();
    let body = match text("response_body_encoding") {
        Some("base64") => data_encoding::BASE64.decode(body.as_bytes()).unwrap(),
        _ => body.as_bytes().to_vec(),
    };
    let headers = line.get("response_headers").and_then(Value::as_object);
    Answer {
        request: Request::new(
            text("provider").unwrap(),
            text("method").unwrap(),
            text("url_path").unwrap(),
            text("request_model"),
            sent.as_deref(),
        ),
        status: u16::try_from(line["status"].as_u64().unwrap()).unwrap(),
        content_type: text("response_content_type").map(str::to_owned),
        headers: headers
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
            .collect(),
        body,
    }
}

/// The reading in the words of the expectations, zeros left out.
fn view(reading: &Reading) -> BTreeMap<String, u64> {
    let Some(usage) = &reading.usage else { return BTreeMap::new() };
    let mut main = Meters::new();
    let mut out = BTreeMap::new();
    for leg in &usage.legs {
        if leg.kind.as_deref() == Some("transcription") {
            out.insert("transcription_input_tokens".to_owned(), leg.meters.input_tokens());
            out.insert("transcription_output_tokens".to_owned(), leg.meters.output_tokens());
            out.insert("transcription_seconds".to_owned(), leg.meters.quantity(Meter::AudioMs) / 1_000);
        } else {
            main.add_all(&leg.meters);
        }
    }
    out.extend(totals(&main));
    for (key, quantity) in &reading.reported {
        let key = match *key {
            "reasoning_tokens" => "output_reasoning_tokens",
            other => other,
        };
        out.insert(key.to_owned(), *quantity);
    }
    let known = ["video", "output_image", "1h"];
    out.retain(|key, quantity| *quantity > 0 && !known.iter().any(|part| key.contains(part)));
    out
}

fn totals(meters: &Meters) -> BTreeMap<String, u64> {
    let q = |meter| meters.quantity(meter);
    [
        ("input_tokens", meters.input_tokens()),
        ("output_tokens", meters.output_tokens()),
        ("output_reasoning_tokens", q(Meter::Reasoning)),
        ("cache_read_tokens", meters.cache_read_tokens()),
        ("cache_write_tokens", meters.cache_write_tokens()),
        ("cache_write_5m_tokens", q(Meter::CacheWrite5m)),
        ("input_tool_tokens", q(Meter::ToolPrompt)),
        ("input_audio_tokens", q(Meter::InputAudio) + q(Meter::CacheReadAudio)),
        ("input_image_tokens", q(Meter::InputImage) + q(Meter::CacheReadImage)),
        ("output_audio_tokens", q(Meter::OutputAudio)),
        ("web_searches", q(Meter::WebSearch)),
        ("rerank_searches", q(Meter::RerankSearch)),
    ]
    .into_iter()
    .map(|(key, quantity)| (key.to_owned(), quantity))
    .collect()
}

/// What differs, in words; empty when nothing does. Figures that nobody expected come second.
fn difference(case: &Case, reading: &Reading) -> (Vec<String>, Vec<String>) {
    let mut wanted: BTreeMap<String, u64> = case
        .usage()
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.clone(), value.as_u64().unwrap()))
        .collect();
    wanted.retain(|_, quantity| *quantity > 0);
    let mut found = view(reading);
    let calls = case.expected.get("tool_calls").and_then(Value::as_object);
    let call = |name: &str| calls.and_then(|calls| calls.get(name)).and_then(Value::as_u64).unwrap_or(0);
    // Searches that are counted from items stand beside the expected usage, not in it.
    if !wanted.contains_key("web_searches") {
        let searches = found.remove("web_searches").unwrap_or(0);
        let preview = reading.model.as_deref().is_some_and(|model| model.contains("search-preview"));
        let known = u64::from(preview)
            .max(call("web_search_search"))
            .max(call("google_search_queries"))
            .max(call("grounded_prompt"));
        if (searches > 0) != (known > 0) || searches > known {
            return (vec![format!("web searches: {searches}, expected {known}")], Vec::new());
        }
    }
    let mut out = Vec::new();
    let mut more = Vec::new();
    for key in wanted.keys().chain(found.keys()).collect::<std::collections::BTreeSet<_>>() {
        let (a, b) = (found.get(key).copied(), wanted.get(key).copied());
        if b.is_none() && !case.usage().is_some_and(|usage| usage.contains_key(key)) {
            more.push(format!("{key}: {a:?}, expected nothing"));
        } else if a != b {
            out.push(format!("{key}: {a:?}, expected {b:?}"));
        }
    }
    let files = reading.usage.as_ref().map_or(0, |usage| usage.total().quantity(Meter::FileSearch));
    if files != call("file_search_call") {
        out.push(format!("file searches: {files}"));
    }
    out.extend(leg_difference(case, reading));
    (out, more)
}

fn leg_difference(case: &Case, reading: &Reading) -> Option<String> {
    let wanted = case.expected.get("legs")?.as_array()?;
    let legs = &reading.usage.as_ref()?.legs;
    let same = legs.len() == wanted.len()
        && legs.iter().zip(wanted).all(|(leg, wanted)| {
            let totals = totals(&leg.meters);
            let usage = wanted["usage"].as_object().unwrap();
            let model = leg.model.as_deref().or(reading.model.as_deref());
            leg.kind.as_deref() == wanted["type"].as_str()
                && model == wanted["model"].as_str()
                && usage.iter().all(|(key, value)| totals.get(key).copied() == value.as_u64())
        });
    (!same).then(|| format!("legs: {legs:?}"))
}

#[test]
fn recorded_answers_are_read_as_expected() {
    let corpus = corpus();
    let (mut firm, mut firm_equal, mut rest, mut rest_equal) = (0, 0, 0, 0);
    let mut differences = Vec::new();
    for case in corpus.iter().filter(|case| case.usage().is_some()) {
        let reading = case.answer.read();
        let (difference, more) = difference(case, &reading);
        let known = reading.evidence >= Evidence::Partial && reading.free.is_none();
        let equal = difference.is_empty() && known;
        if case.is_firm() {
            firm += 1;
            firm_equal += usize::from(equal);
        } else {
            rest += 1;
            rest_equal += usize::from(equal);
        }
        if !equal || !more.is_empty() {
            differences.push(format!("{} {difference:?} {more:?} {:?}", case.id, reading.flags));
        }
    }
    println!("firm equal {firm_equal}/{firm}, rest equal {rest_equal}/{rest}");
    for difference in &differences {
        println!("  {difference}");
    }
    assert_eq!(firm_equal, firm);
    assert!(rest_equal * 100 >= rest * 97, "{rest_equal}/{rest}");
    for difference in &differences {
        assert!(DELIBERATE.iter().any(|id| difference.starts_with(id)), "unexplained: {difference}");
    }
}

#[test]
fn nothing_is_invented_where_nothing_was_reported() {
    let mut counts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for case in corpus().iter().filter(|case| case.usage().is_none()) {
        let reading = case.answer.read();
        let reason = case.expected["reason"].as_str().unwrap();
        if reason != "no_usage_in_body" {
            assert!(reading.free.is_some() && reading.usage.is_none(), "{}: {reading:?}", case.id);
        }
        let claims = reading.free.is_none() && reading.evidence >= Evidence::Partial;
        assert_eq!(claims, REPORTED.contains(&case.id.as_str()), "{}: {reading:?}", case.id);
        let what = match reading.free {
            Some(free) => format!("{free:?}"),
            None => reading.evidence.name().to_owned(),
        };
        let detail = format!("{} {:?}", case.id, reading.usage.map(|usage| usage.legs));
        counts.entry(what).or_default().push(detail);
    }
    for (what, ids) in &counts {
        println!("{what}: {}", ids.len());
        for id in ids.iter().take(60) {
            println!("    {id}");
        }
    }
}

#[test]
fn reported_bills_are_read() {
    let mut count = 0;
    for case in corpus() {
        let Some(wanted) = case.expected.get("provider_reported_cost_usd").and_then(Value::as_str) else {
            continue;
        };
        let reading = case.answer.read();
        let wanted = tollbook_types::Money::parse_rounding(wanted).unwrap();
        match reading.provider_cost {
            Some(cost) => assert_eq!(cost.total, wanted, "{}", case.id),
            None => println!("no bill: {} {wanted}", case.id),
        }
        count += 1;
    }
    println!("bills: {count}");
}

#[test]
fn recorded_answers_read_the_same_at_every_split() {
    let mut splits = 0_u64;
    for case in corpus() {
        let whole = case.answer.read();
        let body = &case.answer.body;
        // Every byte of short bodies, a hundred places of long ones, and byte by byte.
        let step = if body.len() <= 1_024 { 1 } else { body.len() / 100 };
        for at in (0..=body.len()).step_by(step) {
            let (head, tail) = body.split_at(at);
            let reading = case.answer.read_chunks([head, tail].into_iter(), End::Complete);
            assert_eq!(reading, whole, "{} split at {at}", case.id);
            splits += 1;
        }
        let reading = case.answer.read_chunks(body.chunks(1), End::Complete);
        assert_eq!(reading, whole, "{} byte by byte", case.id);
    }
    println!("splits: {splits}");
}

#[test]
fn a_cut_answer_claims_the_whole_or_less_than_certainty() {
    for case in corpus().iter().filter(|case| case.usage().is_some()) {
        let whole = case.answer.read();
        let (Some(usage), false) = (&whole.usage, whole.inconsistent) else { continue };
        let all = usage.total();
        let body = &case.answer.body;
        for at in (0..body.len()).step_by((body.len() / 40).max(1)) {
            let cut = case.answer.read_cut(at);
            let turns = case.answer.request.api == Api::Realtime;
            if let (true, None, Some(usage)) = (cut.evidence >= Evidence::ProviderUsage, cut.free, &cut.usage)
            {
                let total = usage.total();
                let tokens = (total.input_tokens(), total.output_tokens());
                let same = tokens == (all.input_tokens(), all.output_tokens());
                let less = turns && tokens.0 <= all.input_tokens() && tokens.1 <= all.output_tokens();
                assert!(same || less, "{} cut at {at}: {cut:?}", case.id);
            }
        }
    }
}
