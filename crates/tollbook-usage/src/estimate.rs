//! Estimates of token counts from text, for calls whose provider reported none.
//!
//! Models of the OpenAI family are counted with their own vocabularies by a tokenizer that takes
//! linear time on any input; its tables are loaded when they are first needed. Other families use
//! a documented number of bytes per token. The estimator is always named.

use bpe_openai::Tokenizer;

/// Bytes per token, in tenths, by family: typical English prose and code.
const BYTES_PER_TOKEN: &[(&str, u64, &str)] = &[
    ("claude", 35, "bytes/3.5"),
    ("gemini", 40, "bytes/4"),
    ("gemma", 40, "bytes/4"),
    ("mistral", 38, "bytes/3.8"),
    ("llama", 40, "bytes/4"),
];
const OTHER: (u64, &str) = (40, "bytes/4");

/// Names of models that read the older vocabulary.
const CL100K: &[&str] = &["gpt-4-", "gpt-3.5", "gpt-35", "text-embedding-", "davinci-002", "babbage-002"];
/// Names of models that read the newer one.
const O200K: &[&str] = &[
    "gpt-4o",
    "gpt-4.1",
    "gpt-4.5",
    "gpt-5",
    "gpt-6",
    "gpt-oss",
    "chatgpt",
    "o1",
    "o3",
    "o4",
    "codex",
    "gpt-audio",
    "gpt-realtime",
];

/// An estimate of a text's tokens, and the estimator's name.
///
/// ```
/// use tollbook_usage::estimate::estimate_tokens;
/// assert_eq!(estimate_tokens("gpt-4o", "hello world"), (2, "bpe-openai/o200k"));
/// assert_eq!(estimate_tokens("claude-sonnet-4-5", "hello world"), (4, "bytes/3.5"));
/// ```
pub fn estimate_tokens(model: &str, text: &str) -> (u64, &'static str) {
    let lower = model.to_ascii_lowercase();
    // `openai/gpt-4o`, `us.openai.gpt-oss`, `ft:gpt-4o`
    let name =
        lower.rsplit(['/', ':']).find(|part| part.contains("gpt") || part.starts_with('o')).unwrap_or(&lower);
    let starts =
        |known: &[&str]| known.iter().any(|prefix| name.starts_with(prefix) || lower.starts_with(prefix));
    if starts(O200K) {
        return (bpe(bpe_openai::o200k_base(), text), "bpe-openai/o200k");
    }
    if starts(CL100K) || name == "gpt-4" {
        return (bpe(bpe_openai::cl100k_base(), text), "bpe-openai/cl100k");
    }
    estimate_by_bytes(&lower, text.len() as u64)
}

/// An estimate from the number of a text's bytes alone, and the estimator's name. It needs no
/// tokenizer.
///
/// ```
/// use tollbook_usage::estimate::estimate_by_bytes;
/// assert_eq!(estimate_by_bytes("gpt-4o", 400), (100, "bytes/4"));
/// assert_eq!(estimate_by_bytes("claude-sonnet-4-5", 35), (10, "bytes/3.5"));
/// ```
pub fn estimate_by_bytes(model: &str, bytes: u64) -> (u64, &'static str) {
    let lower = model.to_ascii_lowercase();
    let (tenths, estimator) = BYTES_PER_TOKEN
        .iter()
        .find(|(family, _, _)| lower.contains(family))
        .map_or(OTHER, |(_, tenths, estimator)| (*tenths, *estimator));
    (bytes.saturating_mul(10).div_ceil(tenths), estimator)
}

fn bpe(tokenizer: &'static Tokenizer, text: &str) -> u64 {
    tokenizer.count(text) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimators_are_chosen_by_family() {
        for (model, estimator) in [
            ("gpt-4o-mini-2024-07-18", "bpe-openai/o200k"),
            ("openai/gpt-5.2", "bpe-openai/o200k"),
            ("o3-mini", "bpe-openai/o200k"),
            ("gpt-4", "bpe-openai/cl100k"),
            ("gpt-4-0613", "bpe-openai/cl100k"),
            ("gpt-3.5-turbo", "bpe-openai/cl100k"),
            ("text-embedding-3-small", "bpe-openai/cl100k"),
            ("us.anthropic.claude-3", "bytes/3.5"),
            ("anything", "bytes/4"),
            ("", "bytes/4"),
        ] {
            assert_eq!(estimate_tokens(model, "some text").1, estimator, "{model}");
        }
        assert_eq!(estimate_tokens("claude", "").0, 0);
    }

    #[test]
    fn repeated_characters_are_counted_in_full() {
        let (tokens, _) = estimate_tokens("gpt-4o", &"a".repeat(400_000));
        assert!(tokens > 10_000);
    }
}
