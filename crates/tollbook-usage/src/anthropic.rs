//! Anthropic's usage objects, on every host, and the legs that one message may bill.
//!
//! Cached tokens stand beside the input count. A stream's first figures are exact for the input
//! and a placeholder for the output.

use crate::shape::{Field, Figures, Place, Rows, Shape};
use crate::value::Value;

/// Messages.
pub(crate) static MESSAGES: Shape = Shape {
    name: "anthropic_messages",
    marks: &[
        "cache_creation_input_tokens",
        "cache_read_input_tokens",
        "cache_creation",
        "iterations",
        "server_tool_use",
        "inference_geo",
    ],
    rows: Rows::of(&[
        ("input_tokens", Field::Input),
        ("output_tokens", Field::Output),
        ("cache_read_input_tokens", Field::CacheRead),
        ("cache_creation_input_tokens", Field::CacheWrite),
        ("cache_creation.ephemeral_5m_input_tokens", Field::CacheWrite5m),
        ("cache_creation.ephemeral_1h_input_tokens", Field::CacheWrite1h),
        ("output_tokens_details.thinking_tokens", Field::Reasoning),
        ("server_tool_use.web_search_requests", Field::WebSearch),
    ]),
    seconds: &[],
    splits: &[],
    cache: Place::Beside,
    reasoning: Place::Inside,
};

/// One billed step of a message.
#[derive(Clone, Debug)]
pub(crate) struct Iteration {
    pub kind: String,
    pub model: Option<String>,
    pub figures: Box<Figures>,
}

/// The steps of a message, when they say more than its top level: some step is not a plain
/// message, and so is billed on top or at another model.
pub(crate) fn iterations(usage: &Value<'_>) -> Vec<Iteration> {
    let Some(list) = usage.at("iterations") else { return Vec::new() };
    let steps: Vec<Iteration> = list
        .list()
        .iter()
        .filter_map(|step| {
            Some(Iteration {
                kind: step.at("type").and_then(Value::text).unwrap_or("message").to_owned(),
                model: step.at("model").and_then(Value::text).map(str::to_owned),
                figures: Figures::read(step, &MESSAGES)?,
            })
        })
        .collect();
    if steps.iter().all(|step| step.kind == "message") { Vec::new() } else { steps }
}
