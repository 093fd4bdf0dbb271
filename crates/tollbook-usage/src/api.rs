//! API families: what kind of request a path is, and whether it can start billable work.
//!
//! The provider is known from elsewhere; only the path and the method decide here. This must
//! never know hosts or prices.

/// A family of endpoints that answer in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Api {
    /// Chat completions, OpenAI's and whoever copies them.
    Chat,
    /// Legacy text completions.
    Completions,
    /// OpenAI's responses.
    Responses,
    /// Anthropic's messages.
    Messages,
    /// Gemini's `generateContent` and `streamGenerateContent`.
    GenerateContent,
    /// Gemini's interactions.
    Interactions,
    /// Bedrock's `converse` and `converse-stream`.
    Converse,
    /// Bedrock's `invoke`, with bodies native to the model.
    Invoke,
    /// Cohere's chat, both versions.
    CohereChat,
    /// Ollama's own `/api/chat` and `/api/generate`.
    Ollama,
    /// llama.cpp's own `/completion`.
    LlamaCpp,
    /// Vertex's `predict`.
    Predict,
    /// Embeddings.
    Embeddings,
    /// Reranking.
    Rerank,
    /// Image generation and editing.
    Images,
    /// Video generation.
    Videos,
    /// Speech to text.
    AudioTranscription,
    /// Text to speech.
    Speech,
    /// Page reading.
    Ocr,
    /// A realtime session over a WebSocket.
    Realtime,
    /// Assistant runs.
    AssistantsRun,
    /// Creating or polling a batch.
    Batch,
    /// The results of a batch.
    BatchResults,
    /// Token counting.
    CountTokens,
    /// Moderation.
    Moderation,
    /// Anything else: lists, files, polls.
    Other,
}

/// Parts of a path (without its query) and what they mean; the first that fits decides.
const ENDS: &[(&str, Api)] = &[
    ("/count_tokens", Api::CountTokens),
    ("/count-tokens", Api::CountTokens),
    (":countTokens", Api::CountTokens),
    (":computeTokens", Api::CountTokens),
    ("/responses/input_tokens", Api::CountTokens),
    ("/tokenize", Api::CountTokens),
    ("/detokenize", Api::CountTokens),
    ("/chat/completions", Api::Chat),
    ("/v2/chat", Api::CohereChat),
    ("/completions", Api::Completions),
    ("/v1/complete", Api::Completions),
    ("/completion", Api::LlamaCpp),
    ("/messages", Api::Messages),
    (":rawPredict", Api::Messages),
    (":streamRawPredict", Api::Messages),
    (":generateContent", Api::GenerateContent),
    (":streamGenerateContent", Api::GenerateContent),
    (":batchGenerateContent", Api::Batch),
    (":asyncBatchEmbedContent", Api::Batch),
    (":embedContent", Api::Embeddings),
    (":batchEmbedContents", Api::Embeddings),
    (":predict", Api::Predict),
    (":predictLongRunning", Api::Videos),
    ("BidiGenerateContent", Api::Realtime),
    ("/converse", Api::Converse),
    ("/converse-stream", Api::Converse),
    ("/invoke", Api::Invoke),
    ("/invoke-with-response-stream", Api::Invoke),
    ("/api/chat", Api::Ollama),
    ("/api/generate", Api::Ollama),
    ("/api/embed", Api::Embeddings),
    ("/api/embeddings", Api::Embeddings),
    ("/interactions", Api::Interactions),
    ("/embeddings", Api::Embeddings),
    ("/embed", Api::Embeddings),
    ("/rerank", Api::Rerank),
    ("/images/generations", Api::Images),
    ("/images/edits", Api::Images),
    ("/images/variations", Api::Images),
    ("/videos", Api::Videos),
    ("/audio/transcriptions", Api::AudioTranscription),
    ("/audio/translations", Api::AudioTranscription),
    ("/stt", Api::AudioTranscription),
    ("/audio/speech", Api::Speech),
    ("/tts", Api::Speech),
    ("/ocr", Api::Ocr),
    ("/realtime", Api::Realtime),
    ("/moderations", Api::Moderation),
    ("/responses", Api::Responses),
    ("/responses/compact", Api::Responses),
    ("/results", Api::BatchResults),
    ("/messages/batches", Api::Batch),
    ("/batches", Api::Batch),
    ("/batch/jobs", Api::Batch),
    ("/runs", Api::AssistantsRun),
    ("/threads/runs", Api::AssistantsRun),
    ("/submit_tool_outputs", Api::AssistantsRun),
];

/// Parts inside of a path, for what has an id after it.
const PARTS: &[(&str, Api)] = &[
    ("/chat/completions/", Api::Chat),
    ("/messages/batches/", Api::Batch),
    ("/batches/", Api::Batch),
    ("/batch/jobs/", Api::Batch),
    ("/responses/", Api::Responses),
    ("/interactions/", Api::Interactions),
    ("/runs/", Api::AssistantsRun),
    ("/videos/", Api::Videos),
    ("/realtime", Api::Realtime),
    ("/publishers/anthropic/", Api::Messages),
];

impl Api {
    /// The family of a request path.
    pub fn of(provider: &str, url_path: &str) -> Api {
        let path = path_only(url_path);
        let found = match path {
            // One name, two shapes.
            _ if path.ends_with("/v1/chat") && provider == "cohere" => Api::CohereChat,
            _ if path.ends_with("/v1/chat") => Api::Chat,
            _ if is_file_content(path) => Api::BatchResults,
            _ => ENDS
                .iter()
                .find(|(end, _)| path.ends_with(end))
                .or_else(|| PARTS.iter().find(|(part, _)| path.contains(part)))
                .map_or(Api::Other, |(_, api)| *api),
        };
        match found {
            Api::Messages if path.contains("/publishers/mistralai/") => Api::Chat,
            Api::Completions if path.contains("/prompts/") => Api::Chat,
            other => other,
        }
    }

    /// The public name.
    pub const fn name(self) -> &'static str {
        match self {
            Api::Chat => "chat",
            Api::Completions => "completions",
            Api::Responses => "responses",
            Api::Messages => "messages",
            Api::GenerateContent => "generate_content",
            Api::Interactions => "interactions",
            Api::Converse => "converse",
            Api::Invoke => "invoke",
            Api::CohereChat => "cohere_chat",
            Api::Ollama => "ollama",
            Api::LlamaCpp => "llamacpp",
            Api::Predict => "predict",
            Api::Embeddings => "embeddings",
            Api::Rerank => "rerank",
            Api::Images => "images",
            Api::Videos => "videos",
            Api::AudioTranscription => "audio_transcription",
            Api::Speech => "speech",
            Api::Ocr => "ocr",
            Api::Realtime => "realtime",
            Api::AssistantsRun => "assistants_run",
            Api::Batch => "batch",
            Api::BatchResults => "batch_results",
            Api::CountTokens => "count_tokens",
            Api::Moderation => "moderation",
            Api::Other => "other",
        }
    }

    /// Whether an answer's text is what is billed, so that a lost count can be estimated from it.
    pub const fn is_text(self) -> bool {
        matches!(
            self,
            Api::Chat
                | Api::Completions
                | Api::Responses
                | Api::Messages
                | Api::GenerateContent
                | Api::Interactions
                | Api::Converse
                | Api::Invoke
                | Api::CohereChat
                | Api::Ollama
                | Api::LlamaCpp
        )
    }

    /// Whether a request of this method can start work that is billed.
    pub fn starts_work(self, method: &str, url_path: &str) -> bool {
        let path = path_only(url_path);
        match self {
            Api::CountTokens | Api::Moderation | Api::Other | Api::BatchResults => false,
            Api::Realtime => true,
            _ if !method.eq_ignore_ascii_case("POST") => false,
            _ => !path.ends_with("/cancel") && !path.ends_with(":cancel"),
        }
    }

    /// Whether a request that [`Api::starts_work`] does not know might start work that is billed
    /// after all: whatever changes something and is not known to be free.
    pub fn may_start_work(self, method: &str, url_path: &str) -> bool {
        let is = |known: &str| method.eq_ignore_ascii_case(known);
        let path = path_only(url_path);
        let is_free = FREE.iter().any(|end| path.ends_with(end)) || path.contains("/uploads/");
        match self {
            _ if ["GET", "HEAD", "OPTIONS", "DELETE"].into_iter().any(is) => false,
            Api::CountTokens | Api::Moderation | Api::BatchResults => !is("POST"),
            Api::Other => !is_free,
            _ => !is_free || !is("POST"),
        }
    }

    /// The ends of paths that are known, each with its family.
    pub fn known_paths() -> impl Iterator<Item = (&'static str, Api)> {
        ENDS.iter().copied()
    }
}

/// Paths to which a request that changes something starts nothing that is billed.
const FREE: &[&str] = &["/files", "/uploads", "/cancel", ":cancel", "/api/show"];

/// The path without query and fragment.
pub(crate) fn path_only(url_path: &str) -> &str {
    let path = url_path.split(['?', '#']).next().unwrap_or_default();
    path.strip_suffix('/').unwrap_or(path)
}

fn is_file_content(path: &str) -> bool {
    path.contains("/files/") && path.ends_with("/content")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_families() {
        let cases = [
            ("openai", "/v1/chat/completions", Api::Chat),
            ("azure", "/openai/deployments/x/chat/completions?api-version=2024-02-01", Api::Chat),
            ("anthropic", "/v1/messages?beta=true", Api::Messages),
            ("anthropic", "/v1/messages/count_tokens", Api::CountTokens),
            ("anthropic", "/v1/messages/batches", Api::Batch),
            ("anthropic", "/v1/messages/batches/msgbatch_1/results", Api::BatchResults),
            ("google", "/v1beta/models/g:streamGenerateContent?alt=sse", Api::GenerateContent),
            ("google", "/v1beta/models/g:countTokens", Api::CountTokens),
            ("bedrock", "/model/anthropic.claude-v2%3A0/converse-stream", Api::Converse),
            ("bedrock", "/model/m/count-tokens", Api::CountTokens),
            ("openai", "/v1/responses/input_tokens", Api::CountTokens),
            ("openai", "/v1/responses/resp_1", Api::Responses),
            ("openai", "/v1/responses/compact", Api::Responses),
            ("openai", "/v1/files/file-1/content", Api::BatchResults),
            ("openai", "/v1/threads/t/runs/r", Api::AssistantsRun),
            ("cohere", "/v1/chat", Api::CohereChat),
            ("writer", "/v1/chat", Api::Chat),
            ("ollama", "/api/generate", Api::Ollama),
            ("openai", "/v1/models", Api::Other),
            ("vertex", "/v1/projects/p/locations/l/publishers/anthropic/models/c:rawPredict", Api::Messages),
        ];
        for (provider, path, api) in cases {
            assert_eq!(Api::of(provider, path), api, "{path}");
        }
    }

    #[test]
    fn what_is_not_known_to_be_free_may_be_billed() {
        let cases = [
            ("POST", "/v1/fine_tuning/jobs", true),
            ("POST", "/v1/something/new?x=/files", true),
            ("PUT", "/v1/chat/completions", true),
            ("BREW", "/v1/models", true),
            ("POST", "/v1/files", false),
            ("POST", "/v1/uploads/upload_1/parts", false),
            ("POST", "/v1/responses/resp_1/cancel", false),
            ("POST", "/v1/messages/count_tokens", false),
            ("GET", "/v1/models", false),
            ("DELETE", "/v1/files/f", false),
            ("HEAD", "/anything", false),
        ];
        for (method, path, wanted) in cases {
            assert_eq!(Api::of("openai", path).may_start_work(method, path), wanted, "{method} {path}");
        }
    }

    #[test]
    fn only_new_work_is_billable() {
        let starts = |method, path| Api::of("openai", path).starts_work(method, path);
        assert!(starts("POST", "/v1/responses"));
        assert!(!starts("GET", "/v1/responses/resp_1"));
        assert!(!starts("POST", "/v1/responses/resp_1/cancel"));
        assert!(!starts("POST", "/v1/responses/input_tokens"));
        assert!(!starts("POST", "/v1/moderations"));
        assert!(starts("GET", "/v1/realtime?model=gpt-realtime"));
        assert!(!starts("GET", "/v1/models"));
    }
}
