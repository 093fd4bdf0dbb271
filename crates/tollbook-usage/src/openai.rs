//! OpenAI's usage objects and those of everybody who copies them.
//!
//! Differences of compatible providers that are only other names stand here as aliases; those
//! that change the arithmetic are in `compatible.rs`.

use crate::shape::{Field, Place, Rows, Shape};

/// Chat completions, completions, embeddings, assistants, and their copies.
pub(crate) static CHAT: Shape = Shape {
    name: "openai_chat",
    marks: &["prompt_tokens", "completion_tokens"],
    rows: Rows::of(&[
        ("prompt_tokens", Field::Input),
        ("completion_tokens", Field::Output),
        ("total_tokens", Field::Total),
        ("prompt_tokens_details.cached_tokens", Field::CacheRead),
        ("prompt_token_details.cached_tokens", Field::CacheRead),
        // DeepSeek.
        ("prompt_cache_hit_tokens", Field::CacheRead),
        // Together, Moonshot, Hugging Face.
        ("cached_tokens", Field::CacheRead),
        // Mistral.
        ("num_cached_tokens", Field::CacheRead),
        ("prompt_tokens_details.cache_write_tokens", Field::CacheWrite),
        ("prompt_tokens_details.audio_tokens", Field::InputAudio),
        ("prompt_token_details.audio_tokens", Field::InputAudio),
        ("prompt_tokens_details.image_tokens", Field::InputImage),
        ("prompt_tokens_details.video_tokens", Field::InputVideo),
        ("prompt_tokens_details.cached_tokens_details.audio_tokens", Field::CacheAudio),
        ("prompt_tokens_details.cached_tokens_details.image_tokens", Field::CacheImage),
        ("completion_tokens_details.reasoning_tokens", Field::Reasoning),
        // Perplexity.
        ("reasoning_tokens", Field::Reasoning),
        ("completion_tokens_details.audio_tokens", Field::OutputAudio),
        ("completion_tokens_details.image_tokens", Field::OutputImage),
        ("citation_tokens", Field::Citation),
        ("num_search_queries", Field::WebSearch),
        ("server_tool_use_details.web_search_requests", Field::WebSearch),
        ("server_tool_use.web_search_requests", Field::WebSearch),
        ("server_side_tool_usage_details.web_search_calls", Field::WebSearch),
        ("server_side_tool_usage_details.x_search_calls", Field::SocialSearch),
        ("server_side_tool_usage_details.file_search_calls", Field::FileSearch),
        ("server_side_tool_usage_details.document_search_calls", Field::DocumentSearch),
        ("server_side_tool_usage_details.code_interpreter_calls", Field::CodeSession),
    ]),
    seconds: &["prompt_audio_seconds"],
    splits: &[],
    cache: Place::Inside,
    reasoning: Place::Inside,
};

/// Responses, images, transcriptions, realtime turns.
pub(crate) static RESPONSES: Shape = Shape {
    name: "openai_responses",
    marks: &["input_tokens", "output_tokens"],
    rows: Rows::of(&[
        ("input_tokens", Field::Input),
        ("output_tokens", Field::Output),
        ("total_tokens", Field::Total),
        ("input_tokens_details.cached_tokens", Field::CacheRead),
        ("input_token_details.cached_tokens", Field::CacheRead),
        ("input_tokens_details.cache_write_tokens", Field::CacheWrite),
        ("input_tokens_details.audio_tokens", Field::InputAudio),
        ("input_token_details.audio_tokens", Field::InputAudio),
        ("input_tokens_details.image_tokens", Field::InputImage),
        ("input_token_details.image_tokens", Field::InputImage),
        ("input_token_details.cached_tokens_details.audio_tokens", Field::CacheAudio),
        ("input_token_details.cached_tokens_details.image_tokens", Field::CacheImage),
        ("input_tokens_details.cached_tokens_details.audio_tokens", Field::CacheAudio),
        ("input_tokens_details.cached_tokens_details.image_tokens", Field::CacheImage),
        ("output_tokens_details.reasoning_tokens", Field::Reasoning),
        ("output_token_details.reasoning_tokens", Field::Reasoning),
        ("output_token_details.audio_tokens", Field::OutputAudio),
        ("output_tokens_details.audio_tokens", Field::OutputAudio),
        ("output_tokens_details.image_tokens", Field::OutputImage),
        ("output_tokens_details.image", Field::OutputImage),
        ("server_tool_use_details.web_search_requests", Field::WebSearch),
        ("server_side_tool_usage_details.web_search_calls", Field::WebSearch),
        ("server_side_tool_usage_details.x_search_calls", Field::SocialSearch),
        ("server_side_tool_usage_details.file_search_calls", Field::FileSearch),
        ("server_side_tool_usage_details.document_search_calls", Field::DocumentSearch),
        ("server_side_tool_usage_details.code_interpreter_calls", Field::CodeSession),
    ]),
    // xAI's voice sessions.
    seconds: &["billable_audio_seconds"],
    splits: &[],
    cache: Place::Inside,
    reasoning: Place::Inside,
};

/// Transcription billed by the minute.
pub(crate) static SECONDS: Shape = Shape {
    name: "seconds",
    marks: &["seconds"],
    rows: Rows::of(&[]),
    seconds: &["seconds"],
    splits: &[],
    cache: Place::Inside,
    reasoning: Place::Inside,
};

/// Page reading.
pub(crate) static PAGES: Shape = Shape {
    name: "pages",
    marks: &["pages_processed"],
    rows: Rows::of(&[("pages_processed", Field::Pages)]),
    seconds: &[],
    splits: &[],
    cache: Place::Inside,
    reasoning: Place::Inside,
};

/// Voyage and some rerankers: one number, all of it input.
pub(crate) static TOTAL_ONLY: Shape = Shape {
    name: "total_only",
    marks: &["total_tokens", "cost_in_usd_ticks", "cost", "search_units"],
    rows: Rows::of(&[("total_tokens", Field::Input), ("search_units", Field::RerankSearch)]),
    seconds: &[],
    splits: &[],
    cache: Place::Inside,
    reasoning: Place::Inside,
};
