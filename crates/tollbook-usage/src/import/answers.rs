//! Raw provider answers inside of what is imported: from a body, and what is known of its request,
//! to a [`Reading`].

use crate::reader::{Reader, ResponseHead};
use crate::reading::{End, Reading};
use crate::request::Request;

/// Bytes that the reader is given at a time.
const PIECE_BYTES: usize = 64 * 1024;

/// Paths that stand for an API where no path is told, by the names that the API has.
const PATHS: &[(&[&str], &str)] = &[
    (&["chat", "chat_completions", "openai_chat"], "/v1/chat/completions"),
    (&["completions", "text_completions"], "/v1/completions"),
    (&["responses"], "/v1/responses"),
    (&["messages"], "/v1/messages"),
    (&["generate_content", "generateContent"], "/v1beta/models/:generateContent"),
    (&["interactions"], "/v1beta/interactions"),
    (&["converse"], "/model//converse"),
    (&["invoke"], "/model//invoke"),
    (&["cohere_chat"], "/v2/chat"),
    (&["ollama"], "/api/chat"),
    (&["llamacpp"], "/completion"),
    (&["predict"], "/v1/models/:predict"),
    (&["embeddings"], "/v1/embeddings"),
    (&["rerank"], "/v1/rerank"),
    (&["images"], "/v1/images/generations"),
    (&["videos"], "/v1/videos"),
    (&["audio_transcription", "transcription"], "/v1/audio/transcriptions"),
    (&["speech"], "/v1/audio/speech"),
    (&["ocr"], "/v1/ocr"),
    (&["realtime"], "/v1/realtime"),
    (&["count_tokens"], "/v1/messages/count_tokens"),
    (&["moderation"], "/v1/moderations"),
];

/// A path that leads to the API of this name; without a name, to what the provider answers by
/// default. `None` for a name that is not known.
pub(crate) fn path_of(api: Option<&str>, provider: &str) -> Option<&'static str> {
    let api = api.unwrap_or(match provider {
        "anthropic" => "messages",
        "google" | "vertex" => "generate_content",
        "bedrock" => "converse",
        "cohere" => "cohere_chat",
        "ollama" => "ollama",
        _ => "chat",
    });
    PATHS.iter().find(|(names, _)| names.contains(&api)).map(|(_, path)| *path)
}

/// Reads a whole body.
pub(crate) fn read(request: &Request, head: &ResponseHead<'_>, body: &[u8]) -> Reading {
    let mut reader = Reader::new(request, head);
    for piece in body.chunks(PIECE_BYTES) {
        reader.push(piece);
    }
    reader.finish(End::Complete)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Api;

    #[test]
    fn every_named_api_has_a_path_that_leads_to_it() {
        for (names, path) in PATHS {
            let provider = if names[0] == "cohere_chat" { "cohere" } else { "openai" };
            assert_eq!(Api::of(provider, path).name(), names[0], "{path}");
        }
        assert_eq!(path_of(None, "anthropic"), Some("/v1/messages"));
        assert_eq!(path_of(Some("no such api"), "openai"), None);
    }
}
