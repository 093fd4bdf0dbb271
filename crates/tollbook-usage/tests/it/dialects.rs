//! Small answers of every dialect, and the meters they come to.

use tollbook_types::Meter;

/// A JSON answer: provider, path, body, the meters it comes to.
pub type Case = (&'static str, &'static str, &'static str, &'static [(Meter, u64)]);

pub const JSON: &[Case] = &[
    (
        "openai",
        "/v1/chat/completions",
        r#"{"id":"c","model":"m","choices":[{"message":{"content":"\"usage\":{\"prompt_tokens\":9}"}}],"usage":{"prompt_tokens":100,
            "completion_tokens":50,"total_tokens":150,"prompt_tokens_details":{"cached_tokens":40,"audio_tokens":10},
            "completion_tokens_details":{"reasoning_tokens":20,"audio_tokens":5,"rejected_prediction_tokens":3}}}"#,
        &[
            (Meter::Input, 50),
            (Meter::CacheRead, 40),
            (Meter::InputAudio, 10),
            (Meter::Output, 25),
            (Meter::Reasoning, 20),
            (Meter::OutputAudio, 5),
        ],
    ),
    (
        "openai",
        "/v1/chat/completions",
        r#"{"usage":{"prompt_tokens":7,"completion_tokens":0,"prompt_tokens_details":null}}"#,
        &[(Meter::Input, 7), (Meter::Output, 0)],
    ),
    (
        // Cached and image tokens overlap: no more than must be is cached image.
        "openai",
        "/v1/chat/completions",
        r#"{"usage":{"prompt_tokens":265,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":162,"image_tokens":256}}}"#,
        &[
            (Meter::Input, 0),
            (Meter::CacheRead, 9),
            (Meter::CacheReadImage, 153),
            (Meter::InputImage, 103),
            (Meter::Output, 1),
        ],
    ),
    (
        "openai",
        "/v1/responses",
        r#"{"output":[{"type":"web_search_call","action":{"type":"search"}},{"type":"web_search_call","action":{"type":"open_page"}},
            {"type":"web_search_call"},{"type":"file_search_call"},{"type":"code_interpreter_call","container_id":"a"},
            {"type":"code_interpreter_call","container_id":"a"},{"type":"message"}],
            "usage":{"input_tokens":10,"input_tokens_details":{"cached_tokens":4,"cache_write_tokens":2},
            "output_tokens":6,"output_tokens_details":{"reasoning_tokens":5},"total_tokens":16}}"#,
        &[
            (Meter::Input, 4),
            (Meter::CacheRead, 4),
            (Meter::CacheWrite, 2),
            (Meter::Output, 1),
            (Meter::Reasoning, 5),
            (Meter::WebSearch, 2),
            (Meter::FileSearch, 1),
            (Meter::CodeSession, 1),
        ],
    ),
    (
        "openai",
        "/v1/embeddings",
        r#"{"data":[{"embedding":[0.1,-2e-3]}],"usage":{"prompt_tokens":5,"total_tokens":5}}"#,
        &[(Meter::Input, 5)],
    ),
    (
        "openai",
        "/v1/audio/transcriptions",
        r#"{"text":"x","usage":{"type":"tokens","input_tokens":37,"input_token_details":{"text_tokens":7,"audio_tokens":30},"output_tokens":4}}"#,
        &[(Meter::Input, 7), (Meter::InputAudio, 30), (Meter::Output, 4)],
    ),
    (
        "openai",
        "/v1/audio/transcriptions",
        r#"{"text":"x","usage":{"type":"duration","seconds":4.25}}"#,
        &[(Meter::AudioMs, 4_250)],
    ),
    (
        "openai",
        "/v1/images/generations",
        r#"{"data":[{"b64_json":"AAAA"}],"usage":{"input_tokens":50,"input_tokens_details":{"text_tokens":10,"image_tokens":40},
            "output_tokens":272,"output_tokens_details":{"image_tokens":272,"text_tokens":0}}}"#,
        &[(Meter::Input, 10), (Meter::InputImage, 40), (Meter::Output, 0), (Meter::OutputImage, 272)],
    ),
    (
        "anthropic",
        "/v1/messages",
        r#"{"model":"claude","content":[{"type":"tool_use","input":{"usage":{"input_tokens":9}}}],"usage":{"input_tokens":6,
            "cache_read_input_tokens":100,"cache_creation_input_tokens":60,
            "cache_creation":{"ephemeral_5m_input_tokens":40,"ephemeral_1h_input_tokens":15},"output_tokens":20,
            "output_tokens_details":{"thinking_tokens":8},"server_tool_use":{"web_search_requests":3}}}"#,
        &[
            (Meter::Input, 6),
            (Meter::CacheRead, 100),
            (Meter::CacheWrite, 5),
            (Meter::CacheWrite5m, 40),
            (Meter::CacheWrite1h, 15),
            (Meter::Output, 12),
            (Meter::Reasoning, 8),
            (Meter::WebSearch, 3),
        ],
    ),
    (
        "google",
        "/v1beta/models/gemini-2.5-flash:generateContent",
        r#"{"modelVersion":"gemini-2.5-flash","candidates":[{"groundingMetadata":{"webSearchQueries":["a","b"]}}],
            "usageMetadata":{"promptTokenCount":100,"cachedContentTokenCount":30,"candidatesTokenCount":10,"thoughtsTokenCount":5,
            "toolUsePromptTokenCount":7,"promptTokensDetails":[{"modality":"AUDIO","tokenCount":20},{"modality":"TEXT"}],
            "cacheTokensDetails":[{"modality":"AUDIO","tokenCount":15}],"totalTokenCount":122}}"#,
        &[
            (Meter::Input, 65),
            (Meter::CacheRead, 15),
            (Meter::CacheReadAudio, 15),
            (Meter::InputAudio, 5),
            (Meter::ToolPrompt, 7),
            (Meter::Output, 10),
            (Meter::Reasoning, 5),
            (Meter::WebSearch, 1),
        ],
    ),
    (
        "google",
        "/v1beta/models/gemini-3-flash:generateContent",
        r#"{"modelVersion":"gemini-3-flash","candidates":[{"groundingMetadata":{"webSearchQueries":["a","b"],
            "groundingChunks":[{"maps":{"uri":"x"}}]}}],"usageMetadata":{"promptTokenCount":3}}"#,
        &[(Meter::Input, 3), (Meter::WebSearch, 2), (Meter::MapsGrounding, 1)],
    ),
    (
        // Thoughts show in the total only.
        "google",
        "/v1beta/openai/chat/completions",
        r#"{"usage":{"prompt_tokens":35,"completion_tokens":12,"total_tokens":109}}"#,
        &[(Meter::Input, 35), (Meter::Output, 12), (Meter::Reasoning, 62)],
    ),
    (
        "google",
        "/v1beta/interactions",
        r#"{"usage":{"total_input_tokens":22,"total_cached_tokens":2,"total_output_tokens":9,"total_thought_tokens":4,"total_tool_use_tokens":5}}"#,
        &[
            (Meter::Input, 20),
            (Meter::CacheRead, 2),
            (Meter::ToolPrompt, 5),
            (Meter::Output, 9),
            (Meter::Reasoning, 4),
        ],
    ),
    (
        "vertex",
        "/v1/projects/p/locations/l/publishers/google/models/t:predict",
        r#"{"predictions":[{"embeddings":{"statistics":{"token_count":4},"values":[1]}},{"embeddings":{"statistics":{"token_count":3}}}]}"#,
        &[(Meter::Input, 7)],
    ),
    (
        "bedrock",
        "/model/m/converse",
        r#"{"usage":{"inputTokens":3,"outputTokens":9,"totalTokens":32,"cacheReadInputTokens":12,"cacheReadInputTokenCount":12,
            "cacheWriteInputTokens":8,"cacheDetails":[{"ttl":"1h","inputTokens":8}]}}"#,
        &[(Meter::Input, 3), (Meter::CacheRead, 12), (Meter::CacheWrite1h, 8), (Meter::Output, 9)],
    ),
    (
        "bedrock",
        "/model/amazon.titan-text/invoke",
        r#"{"inputTextTokenCount":5,"results":[{"tokenCount":10,"outputText":"x"},{"tokenCount":2}]}"#,
        &[(Meter::Input, 5), (Meter::Output, 12)],
    ),
    (
        "bedrock",
        "/model/meta.llama/invoke",
        r#"{"generation":"x","prompt_token_count":5,"generation_token_count":9}"#,
        &[(Meter::Input, 5), (Meter::Output, 9)],
    ),
    (
        "cohere",
        "/v2/chat",
        r#"{"usage":{"billed_units":{"input_tokens":7,"output_tokens":21},"tokens":{"input_tokens":502,"output_tokens":25},"cached_tokens":448}}"#,
        &[(Meter::Input, 7), (Meter::Output, 21)],
    ),
    (
        "cohere",
        "/v2/rerank",
        r#"{"results":[{"index":0}],"meta":{"billed_units":{"search_units":2}}}"#,
        &[(Meter::RerankSearch, 2)],
    ),
    (
        "mistral",
        "/v1/chat/completions",
        r#"{"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":386,"prompt_audio_seconds":4,"prompt_tokens_details":{"audio_tokens":375}}}"#,
        &[(Meter::Input, 9), (Meter::InputAudio, 375), (Meter::Output, 2), (Meter::AudioMs, 4_000)],
    ),
    (
        "mistral",
        "/v1/chat/completions",
        r#"{"usage":{"prompt_tokens":77,"completion_tokens":2,"num_cached_tokens":76}}"#,
        &[(Meter::Input, 1), (Meter::CacheRead, 76), (Meter::Output, 2)],
    ),
    (
        "mistral",
        "/v1/ocr",
        r#"{"pages":[{"index":0}],"usage_info":{"pages_processed":3,"doc_size_bytes":9}}"#,
        &[(Meter::Pages, 3)],
    ),
    (
        "deepseek",
        "/chat/completions",
        "\n\n\n{\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":3,\"prompt_cache_hit_tokens\":16,\"prompt_cache_miss_tokens\":4}}",
        &[(Meter::Input, 4), (Meter::CacheRead, 16), (Meter::Output, 3)],
    ),
    (
        "moonshot",
        "/v1/chat/completions",
        r#"{"usage":{"prompt_tokens":20,"completion_tokens":3,"cached_tokens":10}}"#,
        &[(Meter::Input, 10), (Meter::CacheRead, 10), (Meter::Output, 3)],
    ),
    (
        "xai",
        "/v1/chat/completions",
        r#"{"usage":{"prompt_tokens":10,"completion_tokens":2,"total_tokens":92,"completion_tokens_details":{"reasoning_tokens":80}}}"#,
        &[(Meter::Input, 10), (Meter::Output, 2), (Meter::Reasoning, 80)],
    ),
    (
        "perplexity",
        "/chat/completions",
        r#"{"usage":{"prompt_tokens":33,"completion_tokens":70,"total_tokens":103,"citation_tokens":8,"num_search_queries":2,"reasoning_tokens":500}}"#,
        &[
            (Meter::Input, 33),
            (Meter::Output, 70),
            (Meter::Reasoning, 500),
            (Meter::Citation, 8),
            (Meter::WebSearch, 2),
            (Meter::Requests, 1),
        ],
    ),
    ("voyage", "/v1/embeddings", r#"{"data":[],"usage":{"total_tokens":12}}"#, &[(Meter::Input, 12)]),
    (
        "ollama",
        "/api/generate",
        r#"{"model":"l","response":"x","done":true,"eval_count":38}"#,
        &[(Meter::Output, 38)],
    ),
    (
        "llamacpp",
        "/completion",
        r#"{"content":"x","tokens_evaluated":11,"tokens_predicted":4}"#,
        &[(Meter::Input, 11), (Meter::Output, 4)],
    ),
    (
        "openai",
        "/v1/chat/completions",
        r#"{"model":"gpt-4o-search-preview","usage":{"prompt_tokens":1,"completion_tokens":1}}"#,
        &[(Meter::Input, 1), (Meter::Output, 1), (Meter::WebSearch, 1)],
    ),
];

/// Streams: provider, path, body, the meters they come to.
pub const STREAMS: &[Case] = &[
    (
        "openai",
        "/v1/chat/completions",
        "data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"delta\":{}}],\"usage\":null}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\ndata: {\"choices\":[],\"usage\":null}\n\ndata: [DONE]\n\n",
        &[(Meter::Input, 3), (Meter::Output, 4)],
    ),
    (
        // Several lines, carriage returns, comments, no space after the colon.
        "openai",
        "/v1/chat/completions",
        ": keep-alive\r\n\r\ndata:{\r\ndata:\"choices\":[],\r\ndata:\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}\r\ndata:}\r\n\r\n",
        &[(Meter::Input, 3), (Meter::Output, 4)],
    ),
    (
        "openai",
        "/v1/chat/completions",
        "data: {\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\rdata: [DONE]\r\r",
        &[(Meter::Input, 3), (Meter::Output, 4)],
    ),
    (
        "openai",
        "/v1/responses",
        "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"r\",\"model\":\"m\",\"usage\":null}}\n\nevent: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"r\",\"output\":[{\"type\":\"web_search_call\",\"action\":{\"type\":\"search\"}}],\"usage\":{\"input_tokens\":5,\"output_tokens\":6}}}\n\n",
        &[(Meter::Input, 5), (Meter::Output, 6), (Meter::WebSearch, 1)],
    ),
    (
        // Later members win, the breakdown may be stale, a repeated start does not double.
        "anthropic",
        "/v1/messages",
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"a\",\"model\":\"c\",\"usage\":{\"input_tokens\":10,\"cache_creation_input_tokens\":30,\"cache_creation\":{\"ephemeral_5m_input_tokens\":30},\"output_tokens\":1}}}\n\nevent: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"a\",\"usage\":{\"input_tokens\":10,\"output_tokens\":1}}}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"input_tokens\":12,\"cache_creation_input_tokens\":33,\"output_tokens\":40}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
        &[(Meter::Input, 12), (Meter::CacheWrite, 3), (Meter::CacheWrite5m, 30), (Meter::Output, 40)],
    ),
    (
        // Cumulative in every chunk: the last one, even where it is smaller.
        "google",
        "/v1beta/models/g:streamGenerateContent?alt=sse",
        "data: {\"usageMetadata\":{\"promptTokenCount\":9,\"candidatesTokenCount\":5}}\r\n\r\ndata: {\"candidates\":[{\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":7,\"thoughtsTokenCount\":2}}\r\n\r\n",
        &[(Meter::Input, 7), (Meter::Output, 0), (Meter::Reasoning, 2)],
    ),
    (
        "groq",
        "/openai/v1/chat/completions",
        "data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[]}\n\ndata: {\"choices\":[{\"finish_reason\":\"stop\"}],\"x_groq\":{\"usage\":{\"prompt_tokens\":8,\"completion_tokens\":2}}}\n\n",
        &[(Meter::Input, 8), (Meter::Output, 2)],
    ),
    (
        "cohere",
        "/v2/chat",
        "data: {\"type\":\"message-start\",\"id\":\"x\"}\n\ndata: {\"type\":\"message-end\",\"delta\":{\"usage\":{\"billed_units\":{\"input_tokens\":4,\"output_tokens\":5}}}}\n\n",
        &[(Meter::Input, 4), (Meter::Output, 5)],
    ),
];
