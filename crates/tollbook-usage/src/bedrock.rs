//! Bedrock's usage objects and headers. Bodies of `invoke` are native to the model and read by
//! its own family.

use crate::shape::{Field, Figures, Place, Rows, Shape, Split};
use crate::value::quantity;

/// Converse, and Nova's own bodies.
pub(crate) static CONVERSE: Shape = Shape {
    name: "bedrock_converse",
    marks: &["inputTokens", "outputTokens"],
    rows: Rows::of(&[
        ("inputTokens", Field::Input),
        ("outputTokens", Field::Output),
        ("cacheReadInputTokens", Field::CacheRead),
        ("cacheReadInputTokenCount", Field::CacheRead),
        ("cacheWriteInputTokens", Field::CacheWrite),
        ("cacheWriteInputTokenCount", Field::CacheWrite),
    ]),
    seconds: &[],
    splits: &[("cacheDetails", "ttl", "inputTokens", Split::Writes)],
    cache: Place::Beside,
    reasoning: Place::Inside,
};

/// `amazon-bedrock-invocationMetrics`, at the end of any stream of `invoke`.
pub(crate) static METRICS: Shape = Shape {
    name: "bedrock_metrics",
    marks: &["inputTokenCount", "outputTokenCount"],
    rows: Rows::of(&[
        ("inputTokenCount", Field::Input),
        ("outputTokenCount", Field::Output),
        ("cacheReadInputTokenCount", Field::CacheRead),
        ("cacheWriteInputTokenCount", Field::CacheWrite),
    ]),
    seconds: &[],
    splits: &[],
    cache: Place::Beside,
    reasoning: Place::Inside,
};

/// Response headers, which are there whatever the body says.
const HEADERS: &[(&str, Field)] = &[
    ("x-amzn-bedrock-input-token-count", Field::Input),
    ("x-amzn-bedrock-output-token-count", Field::Output),
    ("x-amzn-bedrock-cache-read-input-token-count", Field::CacheRead),
    ("x-amzn-bedrock-cache-write-input-token-count", Field::CacheWrite),
];

/// Fireworks' headers, the same for OpenAI-shaped bodies without usage.
const FIREWORKS: &[(&str, Field)] =
    &[("fireworks-prompt-tokens", Field::Input), ("fireworks-cached-prompt-tokens", Field::CacheRead)];

/// The figures that stand in response headers.
pub(crate) fn from_headers(headers: &[(String, String)]) -> Option<Box<Figures>> {
    read(headers, HEADERS, &METRICS).or_else(|| read(headers, FIREWORKS, &crate::openai::CHAT))
}

fn read(
    headers: &[(String, String)],
    table: &'static [(&'static str, Field)],
    shape: &'static Shape,
) -> Option<Box<Figures>> {
    let known = |header: &str| table.iter().any(|(name, _)| header.eq_ignore_ascii_case(name));
    if !headers.iter().any(|(header, _)| known(header)) {
        return None;
    }
    let mut figures = Box::new(Figures::empty(shape));
    for (name, field) in table {
        let found = headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name));
        if let Some(count) = found.and_then(|(_, text)| quantity(text.trim()).ok()) {
            figures.set(*field, name, count);
        }
    }
    (!figures.is_empty()).then_some(figures)
}

/// The routing prefix of an inference profile, which decides the price list.
pub(crate) fn route(model: &str) -> Option<&'static str> {
    let name = model.rsplit('/').next().unwrap_or(model);
    ["global", "us-gov", "us", "eu", "apac", "jp", "au", "ca", "sa"]
        .into_iter()
        .find(|prefix| name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.')))
}
