//! Provider ids, and the one table of other systems' names for them.

/// The canonical ids of the providers that Tollbook knows by name. Others pass as they are named.
pub const PROVIDERS: &[&str] = &[
    "openai",
    "anthropic",
    "google",
    "vertex",
    "azure",
    "bedrock",
    "mistral",
    "cohere",
    "deepseek",
    "groq",
    "cerebras",
    "together",
    "fireworks",
    "xai",
    "openrouter",
    "perplexity",
    "ollama",
    "vllm",
    "llamacpp",
    "moonshot",
    "alibaba",
    "zai",
    "voyage",
    "huggingface",
    "minimax",
    "writer",
    "snowflake",
    "lmstudio",
    "crusoe",
    "gpustack",
    "deepinfra",
];

/// Other names: OpenTelemetry's `gen_ai.provider.name`, LiteLLM's prefixes, genai-prices' ids,
/// host families. Left is what others say, right is the canonical id.
const ALIASES: &[(&str, &str)] = &[
    ("gcp.gemini", "google"),
    ("gcp.gen_ai", "google"),
    ("gemini", "google"),
    ("google_genai", "google"),
    ("google-gla", "google"),
    ("google_ai_studio", "google"),
    ("gcp.vertex_ai", "vertex"),
    ("google-vertex", "vertex"),
    ("google_vertex", "vertex"),
    ("google.vertex", "vertex"),
    ("vertex_ai", "vertex"),
    ("vertexai", "vertex"),
    ("vertex_ai_beta", "vertex"),
    ("aws", "bedrock"),
    ("aws.bedrock", "bedrock"),
    ("aws_bedrock", "bedrock"),
    ("amazon-bedrock", "bedrock"),
    ("bedrock_converse", "bedrock"),
    ("bedrock-mantle", "bedrock"),
    ("bedrock_mantle", "bedrock"),
    ("az.ai.openai", "azure"),
    ("az.ai.inference", "azure"),
    ("azure.ai.openai", "azure"),
    ("azure.ai.inference", "azure"),
    ("azure_openai", "azure"),
    ("azure-openai", "azure"),
    ("azure_ai", "azure"),
    ("azure_text", "azure"),
    ("x-ai", "xai"),
    ("x_ai", "xai"),
    ("grok", "xai"),
    ("mistral_ai", "mistral"),
    ("mistralai", "mistral"),
    ("codestral", "mistral"),
    ("cohere_chat", "cohere"),
    ("together_ai", "together"),
    ("togetherai", "together"),
    ("together-ai", "together"),
    ("fireworks_ai", "fireworks"),
    ("fireworks-ai", "fireworks"),
    ("moonshotai", "moonshot"),
    ("kimi", "moonshot"),
    ("dashscope", "alibaba"),
    ("alibaba_cloud", "alibaba"),
    ("qwen", "alibaba"),
    ("z.ai", "zai"),
    ("z-ai", "zai"),
    ("zhipu", "zai"),
    ("zhipuai", "zai"),
    ("voyageai", "voyage"),
    ("voyage_ai", "voyage"),
    ("hugging_face", "huggingface"),
    ("hf", "huggingface"),
    ("ollama_chat", "ollama"),
    ("hosted_vllm", "vllm"),
    ("llama.cpp", "llamacpp"),
    ("llama_cpp", "llamacpp"),
    ("llamafile", "llamacpp"),
    ("lm_studio", "lmstudio"),
    ("perplexity_ai", "perplexity"),
    ("text-completion-openai", "openai"),
];

/// The canonical id for a provider's name: lower case, aliases resolved, unknown names kept.
///
/// ```
/// use tollbook_types::canonical_provider;
/// assert_eq!(canonical_provider("gcp.gemini"), "google");
/// assert_eq!(canonical_provider("X-AI"), "xai");
/// assert_eq!(canonical_provider("my-own"), "my-own");
/// ```
pub fn canonical_provider(name: &str) -> String {
    let lower = name.trim().to_ascii_lowercase();
    match ALIASES.iter().find(|(alias, _)| *alias == lower) {
        Some((_, id)) => (*id).to_owned(),
        None => lower,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_alias_leads_to_a_known_provider() {
        for (alias, id) in ALIASES {
            assert!(PROVIDERS.contains(id), "{alias} -> {id}");
            assert!(!PROVIDERS.contains(alias), "{alias} is itself canonical");
        }
    }
}
