//! Google's usage objects: Gemini, Vertex, the Live and the Interactions APIs.
//!
//! Thoughts and tool prompts stand beside the counts of candidates and prompt. Grounding is
//! billed by the prompt for older models and by the query for newer ones; no usage object says so.

use crate::shape::{Field, Place, Rows, Shape, Split};

/// `usageMetadata`.
pub(crate) static METADATA: Shape = Shape {
    name: "google_metadata",
    marks: &[
        "promptTokenCount",
        "candidatesTokenCount",
        "responseTokenCount",
        "totalTokenCount",
        "thoughtsTokenCount",
        "toolUsePromptTokenCount",
    ],
    rows: Rows::of(&[
        ("promptTokenCount", Field::Input),
        ("candidatesTokenCount", Field::Output),
        ("responseTokenCount", Field::Output),
        ("totalTokenCount", Field::Total),
        ("cachedContentTokenCount", Field::CacheRead),
        ("thoughtsTokenCount", Field::Reasoning),
        ("toolUsePromptTokenCount", Field::ToolPrompt),
    ]),
    seconds: &[],
    splits: &[
        ("promptTokensDetails", "modality", "tokenCount", Split::Input),
        ("promptTokenDetails", "modality", "tokenCount", Split::Input),
        ("cacheTokensDetails", "modality", "tokenCount", Split::Cache),
        ("candidatesTokensDetails", "modality", "tokenCount", Split::Output),
        ("responseTokensDetails", "modality", "tokenCount", Split::Output),
    ],
    cache: Place::Inside,
    reasoning: Place::Beside,
};

/// The interactions API.
pub(crate) static INTERACTION: Shape = Shape {
    name: "google_interaction",
    marks: &["total_input_tokens", "total_output_tokens"],
    rows: Rows::of(&[
        ("total_input_tokens", Field::Input),
        ("total_output_tokens", Field::Output),
        ("total_tokens", Field::Total),
        ("total_cached_tokens", Field::CacheRead),
        ("total_thought_tokens", Field::Reasoning),
        ("total_tool_use_tokens", Field::ToolPrompt),
    ]),
    seconds: &[],
    splits: &[
        ("input_tokens_by_modality", "modality", "tokens", Split::Input),
        ("cached_tokens_by_modality", "modality", "tokens", Split::Cache),
        ("output_tokens_by_modality", "modality", "tokens", Split::Output),
    ],
    cache: Place::Inside,
    reasoning: Place::Beside,
};

/// The search fee of a grounded answer: one for each prompt up to the 2.x models, one for each
/// query since.
pub(crate) fn searches(model: &str, queries: u64) -> u64 {
    if queries == 0 {
        return 0;
    }
    let by_prompt = ["gemini-1", "gemini-2"].iter().any(|family| model.contains(family));
    if by_prompt { queries.min(1) } else { queries }
}
