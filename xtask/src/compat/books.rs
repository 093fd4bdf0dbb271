//! What came to the provider and what is in the books, compared with what the program did.

use super::process::text;
use super::stand::Stand;
use serde_json::Value;
use std::time::{Duration, Instant};
use tollbook_types::Money;

/// A caller that leaves is read on for its usage: its call may come this late.
const LATE: Duration = Duration::from_secs(5);
/// Picodollars a token, of the prices that the server was given.
const INPUT_PICOS: i128 = 2_000_000;
const CACHED_PICOS: i128 = 500_000;
const OUTPUT_PICOS: i128 = 8_000_000;

/// How headers begin that are for gateways.
const OURS: [&str; 4] = ["x-tollbook-", "x-litellm-", "helicone-", "x-portkey-"];

/// Compares, and gives the number of calls.
pub fn check(stand: &mut Stand, printed: &str) -> Result<usize, String> {
    let (direct, behind) = stand.served()?;
    same_requests(&direct, &behind)?;
    nothing_leaked(&behind)?;
    let calls = same_usage(&behind, || stand.calls(), [used, recorded])?;
    attributed(printed, &calls)?;
    Ok(calls.len())
}

/// Compares what the provider itself served with the books that only heard of it. Not everybody tells what
/// came from a cache, so that tokens in and out have to be the same, and no more.
pub fn told(stand: &mut Stand) -> Result<(), String> {
    let (direct, _) = stand.served()?;
    let calls = same_usage(&direct, || stand.told(), [used_in_all, recorded_in_all])
        .map_err(|error| format!("told only: {error}"))?;
    let sources = calls.iter().map(|call| &call["source"]);
    match sources.into_iter().find(|source| **source != "otlp") {
        Some(source) => Err(format!("a call that was only told of is from {source}")),
        None => Ok(()),
    }
}

/// Every call that the provider billed is in the books, once, with what it used; gives them.
fn same_usage(
    served: &[Value],
    books: impl Fn() -> Result<Vec<Value>, String>,
    [used, recorded]: [fn(&Value) -> String; 2],
) -> Result<Vec<Value>, String> {
    let billed: Vec<&Value> = served.iter().filter(|served| served["tokens"].is_object()).collect();
    let since = Instant::now();
    let calls = loop {
        let calls = books()?;
        if calls.len() >= billed.len() || since.elapsed() > LATE {
            break calls;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    if calls.len() != billed.len() {
        return Err(format!("{} calls were served, {} are in the books", billed.len(), calls.len()));
    }
    let mut served: Vec<String> = billed.iter().map(|served| used(served)).collect();
    let mut booked: Vec<String> = calls.iter().map(recorded).collect();
    served.sort_unstable();
    booked.sort_unstable();
    match served.iter().zip(&booked).find(|(served, booked)| served != booked) {
        Some((served, booked)) => Err(format!("served:       {served}\nin the books: {booked}")),
        None => Ok(calls),
    }
}

/// The same requests, as often; only the question for usage is put in. What came at once may come
/// in another order.
fn same_requests(direct: &[Value], behind: &[Value]) -> Result<(), String> {
    let shown = |list: &[Value]| -> Vec<String> {
        let mut shown: Vec<String> = list
            .iter()
            .map(|one| {
                let body = one["body"].as_str().unwrap_or_default();
                let mut body: Value = serde_json::from_str(body).unwrap_or(Value::Null);
                if let Value::Object(members) = &mut body {
                    members.remove("stream_options");
                }
                format!("{} {} {body}", one["method"], one["target"])
            })
            .collect();
        shown.sort_unstable();
        shown
    };
    let (direct, behind) = (shown(direct), shown(behind));
    if direct == behind {
        return Ok(());
    }
    let odd = direct.iter().zip(&behind).find(|(direct, behind)| direct != behind);
    let (requests, through) = (direct.len(), behind.len());
    Err(format!(
        "the provider got {requests} requests without, {through} with the server; first other: {odd:?}"
    ))
}

/// The provider sees its own key, and nothing that was meant for the server.
fn nothing_leaked(behind: &[Value]) -> Result<(), String> {
    for header in behind.iter().filter_map(|served| served["headers"].as_array()).flatten() {
        let part = |nth: usize| header[nth].as_str().unwrap_or_default();
        let is_ours = OURS.iter().any(|start| part(0).starts_with(start));
        if is_ours || part(1).contains("tb_") {
            return Err(format!("the provider got the header {}", part(0)));
        }
    }
    Ok(())
}

/// What a call used and costs, as the stand-in told it.
fn used(served: &Value) -> String {
    let count = |name: &str| served["tokens"][name].as_u64().unwrap_or(0);
    // Ollama has no word for what came from its cache.
    let is_ollama = served["target"].as_str().is_some_and(|target| target.ends_with("/api/chat"));
    let cached = if is_ollama { 0 } else { count("cached") };
    let (input, output) = (count("input"), count("output"));
    let picos = i128::from(input - cached) * INPUT_PICOS
        + i128::from(cached) * CACHED_PICOS
        + i128::from(output) * OUTPUT_PICOS;
    let cost = Money::from_picos(picos);
    format!("input {input}, cached {cached}, output {output}, cost {cost}, provider_usage")
}

/// Tokens in and out of a call, as the stand-in told them.
fn used_in_all(served: &Value) -> String {
    format!("input {}, output {}", served["tokens"]["input"], served["tokens"]["output"])
}

/// The same of a call in the books.
fn recorded_in_all(call: &Value) -> String {
    format!("input {}, output {}", call["usage"]["input_tokens"], call["usage"]["output_tokens"])
}

/// What a call used and costs, as the books have it.
fn recorded(call: &Value) -> String {
    let usage = &call["usage"];
    let count = |value: &Value| value.as_u64().unwrap_or(0);
    let (input, output) = (count(&usage["input_tokens"]), count(&usage["output_tokens"]));
    let cached = count(&usage["meters"]["cache_read"]);
    let cost = call["cost_usd"].as_str().unwrap_or("none");
    let evidence = call["evidence"].as_str().unwrap_or("none");
    format!("input {input}, cached {cached}, output {output}, cost {cost}, {evidence}")
}

/// Whether what was told is there; the gateway may have seen more, such as the client's name among tags.
fn holds(found: &Value, told: &Value) -> bool {
    match (found.as_object(), told.as_object()) {
        (Some(found), Some(told)) => told.iter().all(|(name, value)| found.get(name) == Some(value)),
        _ => found == told,
    }
}

/// Calls stand in the order of what the program printed, with what it told of itself.
fn attributed(printed: &str, calls: &[Value]) -> Result<(), String> {
    let mut calls = calls.iter();
    for line in printed.lines() {
        let line: Value = serde_json::from_str(line).map_err(text)?;
        for _ in 0..line["calls"].as_u64().unwrap_or(1) {
            let call = calls.next().ok_or("the program did more than is in the books")?;
            for (name, value) in line["books"].as_object().into_iter().flatten() {
                if !holds(&call[name], value) {
                    return Err(format!("{}: {name} is {} instead of {value}", line["case"], call[name]));
                }
            }
            if !matches!(call["status"].as_str(), Some("ok" | "client_closed")) {
                return Err(format!("{}: its status is {}", line["case"], call["status"]));
            }
        }
    }
    match calls.next() {
        None => Ok(()),
        Some(call) => Err(format!("nobody made this call: {call}")),
    }
}
