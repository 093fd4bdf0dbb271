//! What providers, their services, makers of models and meters are called on bills. Facts of the world, as
//! their own pages have them (looked at in November 2026); who is not here is called as in the books.

use std::borrow::Cow;
use tollbook_types::Meter;

/// A provider's id, its name, and the name of what it sells.
const PROVIDERS: &[(&str, &str, &str)] = &[
    ("openai", "OpenAI", "OpenAI API"),
    ("anthropic", "Anthropic", "Claude API"),
    ("google", "Google", "Gemini API"),
    ("vertex", "Google Cloud", "Vertex AI"),
    ("azure", "Microsoft", "Azure OpenAI"),
    ("bedrock", "Amazon Web Services", "Amazon Bedrock"),
    ("mistral", "Mistral AI", "Mistral AI API"),
    ("cohere", "Cohere", "Cohere API"),
    ("deepseek", "DeepSeek", "DeepSeek API"),
    ("groq", "Groq", "GroqCloud"),
    ("cerebras", "Cerebras", "Cerebras Inference"),
    ("together", "Together AI", "Together AI API"),
    ("fireworks", "Fireworks AI", "Fireworks AI API"),
    ("xai", "xAI", "xAI API"),
    ("openrouter", "OpenRouter", "OpenRouter API"),
    ("perplexity", "Perplexity", "Perplexity API"),
    ("ollama", "Ollama", "Ollama"),
    ("vllm", "vLLM", "vLLM"),
    ("llamacpp", "llama.cpp", "llama.cpp"),
    ("moonshot", "Moonshot AI", "Moonshot AI API"),
    ("alibaba", "Alibaba Cloud", "Alibaba Cloud Model Studio"),
    ("zai", "Z.ai", "Z.ai API"),
    ("voyage", "Voyage AI", "Voyage AI API"),
    ("huggingface", "Hugging Face", "Hugging Face Inference Providers"),
    ("minimax", "MiniMax", "MiniMax API"),
    ("writer", "Writer", "Writer API"),
    ("snowflake", "Snowflake", "Snowflake Cortex AI"),
    ("lmstudio", "LM Studio", "LM Studio"),
    ("crusoe", "Crusoe", "Crusoe Managed Inference"),
    ("gpustack", "GPUStack", "GPUStack"),
    ("deepinfra", "DeepInfra", "DeepInfra API"),
];

/// Providers of others' models.
const HOSTS: &[&str] = &[
    "vertex",
    "azure",
    "bedrock",
    "groq",
    "cerebras",
    "together",
    "fireworks",
    "openrouter",
    "perplexity",
    "ollama",
    "vllm",
    "llamacpp",
    "huggingface",
    "snowflake",
    "lmstudio",
    "crusoe",
    "gpustack",
    "deepinfra",
];

/// What is in the names of a maker's models; the first that is decides.
const MAKERS: &[(&str, &str)] = &[
    ("claude", "Anthropic"),
    ("gpt-", "OpenAI"),
    ("gemini", "Google"),
    ("gemma", "Google"),
    // Distilled models are named after what they were made from, too.
    ("deepseek", "DeepSeek"),
    ("llama", "Meta"),
    ("mistral", "Mistral AI"),
    ("mixtral", "Mistral AI"),
    ("command", "Cohere"),
    ("qwen", "Alibaba Cloud"),
    ("grok", "xAI"),
    ("kimi", "Moonshot AI"),
    ("glm", "Z.ai"),
    ("sonar", "Perplexity"),
    ("amazon.", "Amazon Web Services"),
    ("nova-", "Amazon Web Services"),
];

/// Who sells, and what the service is called.
pub fn provider(id: &str) -> (&str, Cow<'_, str>) {
    match PROVIDERS.iter().find(|(known, ..)| *known == id) {
        Some((_, name, service)) => (name, Cow::Borrowed(service)),
        None if id.is_empty() => ("unknown", Cow::Borrowed("unknown")),
        None => (id, Cow::Owned(format!("{id} API"))),
    }
}

/// Who made the model.
pub fn publisher<'a>(provider_id: &'a str, model: &str) -> &'a str {
    let model = model.to_ascii_lowercase();
    let maker = || MAKERS.iter().find(|(part, _)| model.contains(part)).map(|(_, maker)| *maker);
    let of_others = HOSTS.contains(&provider_id).then(maker).flatten();
    of_others.unwrap_or_else(|| provider(provider_id).0)
}

/// What a meter counts, and in which unit.
pub fn meter(meter: Meter) -> (&'static str, &'static str) {
    match meter {
        Meter::Input => ("Input Tokens", "Tokens"),
        Meter::CacheRead => ("Cached Input Tokens", "Tokens"),
        Meter::CacheWrite => ("Cache Write Tokens", "Tokens"),
        Meter::CacheWrite5m => ("Cache Write Tokens (5m)", "Tokens"),
        Meter::CacheWrite1h => ("Cache Write Tokens (1h)", "Tokens"),
        Meter::InputAudio => ("Audio Input Tokens", "Tokens"),
        Meter::CacheReadAudio => ("Cached Audio Input Tokens", "Tokens"),
        Meter::InputImage => ("Image Input Tokens", "Tokens"),
        Meter::CacheReadImage => ("Cached Image Input Tokens", "Tokens"),
        Meter::InputVideo => ("Video Input Tokens", "Tokens"),
        Meter::CacheReadVideo => ("Cached Video Input Tokens", "Tokens"),
        Meter::ToolPrompt => ("Tool Prompt Tokens", "Tokens"),
        Meter::Output => ("Output Tokens", "Tokens"),
        Meter::Reasoning => ("Reasoning Tokens", "Tokens"),
        Meter::OutputAudio => ("Audio Output Tokens", "Tokens"),
        Meter::OutputImage => ("Image Output Tokens", "Tokens"),
        Meter::OutputVideo => ("Video Output Tokens", "Tokens"),
        Meter::Citation => ("Citation Tokens", "Tokens"),
        Meter::WebSearch => ("Web Searches", "Searches"),
        Meter::FileSearch => ("File Searches", "Searches"),
        Meter::CodeSession => ("Code Sessions", "Sessions"),
        Meter::MapsGrounding => ("Maps Groundings", "Requests"),
        Meter::RerankSearch => ("Rerank Searches", "Searches"),
        Meter::Images => ("Images", "Images"),
        Meter::AudioMs => ("Audio", "Milliseconds"),
        Meter::VideoMs => ("Video", "Milliseconds"),
        Meter::Characters => ("Characters", "Characters"),
        Meter::Pages => ("Pages", "Pages"),
        Meter::Requests => ("Requests", "Requests"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollbook_types::PROVIDERS as IDS;

    #[test]
    fn every_provider_has_a_name_and_every_host_is_one() {
        for id in IDS {
            assert!(PROVIDERS.iter().any(|(known, ..)| known == id), "{id}");
        }
        assert!(HOSTS.iter().all(|host| IDS.contains(host)));
        assert_eq!(provider("acme"), ("acme", "acme API".into()));
    }

    #[test]
    fn makers_are_told_by_the_model() {
        for (provider, model, maker) in [
            ("bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0", "Anthropic"),
            ("bedrock", "amazon.nova-pro-v1:0", "Amazon Web Services"),
            ("groq", "deepseek-r1-distill-llama-70b", "DeepSeek"),
            ("openrouter", "x-ai/Grok-4", "xAI"),
            ("ollama", "something-new", "Ollama"),
            ("openai", "ft:claude-like", "OpenAI"),
            ("acme", "gpt-4o", "acme"),
        ] {
            assert_eq!(publisher(provider, model), maker, "{provider} {model}");
        }
    }
}
