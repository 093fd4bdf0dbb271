//! The price texts that are part of the program: every file of `prices/`.

/// Each text with its name.
pub(crate) const TEXTS: &[(&str, &str)] = &[
    ("anthropic.toml", include_str!("../../../prices/anthropic.toml")),
    ("azure.toml", include_str!("../../../prices/azure.toml")),
    ("bedrock.toml", include_str!("../../../prices/bedrock.toml")),
    ("cerebras.toml", include_str!("../../../prices/cerebras.toml")),
    ("cohere.toml", include_str!("../../../prices/cohere.toml")),
    ("deepseek.toml", include_str!("../../../prices/deepseek.toml")),
    ("fireworks.toml", include_str!("../../../prices/fireworks.toml")),
    ("google.toml", include_str!("../../../prices/google.toml")),
    ("groq.toml", include_str!("../../../prices/groq.toml")),
    ("llamacpp.toml", include_str!("../../../prices/llamacpp.toml")),
    ("lmstudio.toml", include_str!("../../../prices/lmstudio.toml")),
    ("minimax.toml", include_str!("../../../prices/minimax.toml")),
    ("mistral.toml", include_str!("../../../prices/mistral.toml")),
    ("moonshot.toml", include_str!("../../../prices/moonshot.toml")),
    ("ollama.toml", include_str!("../../../prices/ollama.toml")),
    ("openai.toml", include_str!("../../../prices/openai.toml")),
    ("openrouter.toml", include_str!("../../../prices/openrouter.toml")),
    ("perplexity.toml", include_str!("../../../prices/perplexity.toml")),
    ("together.toml", include_str!("../../../prices/together.toml")),
    ("vertex.toml", include_str!("../../../prices/vertex.toml")),
    ("vllm.toml", include_str!("../../../prices/vllm.toml")),
    ("voyage.toml", include_str!("../../../prices/voyage.toml")),
    ("xai.toml", include_str!("../../../prices/xai.toml")),
    ("zai.toml", include_str!("../../../prices/zai.toml")),
];
