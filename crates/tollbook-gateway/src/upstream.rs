//! Upstreams: where providers are, how they are spoken to, and where their keys are found.
//!
//! A base URL is a scheme and a host: what follows an upstream's name in a request is the
//! provider's own path. This must never read the environment itself, nor print a secret.

use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use tollbook_types::PROVIDERS;

/// First path segments that are the control plane's: no upstream may have these names.
pub const RESERVED: &[&str] = &[
    "api",
    "v1",
    "metrics",
    "live",
    "reports",
    "healthz",
    "readyz",
    "openapi.json",
    "assets",
    "token-usage",
    "admin",
    "welcome",
    "explore",
    "calls",
    "budgets",
    "keys",
    "prices",
    "settings",
    "widget",
];

/// The first `api-version` of Azure that knows `stream_options`.
const AZURE_ASKS_SINCE: &str = "2024-09-01";

/// Where a provider expects its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthStyle {
    /// `authorization: Bearer KEY`.
    Bearer,
    /// `x-api-key: KEY`.
    XApiKey,
    /// `x-goog-api-key: KEY`.
    XGoogApiKey,
    /// `api-key: KEY`.
    ApiKey,
}

impl AuthStyle {
    /// Every style.
    pub const ALL: &'static [AuthStyle] =
        &[AuthStyle::Bearer, AuthStyle::XApiKey, AuthStyle::XGoogApiKey, AuthStyle::ApiKey];

    /// The name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            AuthStyle::Bearer => "bearer",
            AuthStyle::XApiKey => "x-api-key",
            AuthStyle::XGoogApiKey => "x-goog-api-key",
            AuthStyle::ApiKey => "api-key",
        }
    }

    /// The style with this name.
    pub fn from_name(name: &str) -> Option<AuthStyle> {
        AuthStyle::ALL.iter().copied().find(|style| style.name() == name)
    }

    /// The header that carries the key.
    pub const fn header(self) -> HeaderName {
        match self {
            AuthStyle::Bearer => AUTHORIZATION,
            AuthStyle::XApiKey => HeaderName::from_static("x-api-key"),
            AuthStyle::XGoogApiKey => HeaderName::from_static("x-goog-api-key"),
            AuthStyle::ApiKey => HeaderName::from_static("api-key"),
        }
    }

    /// The header's value for a key; `None` when the key cannot stand in a header.
    pub fn value(self, key: &SecretString) -> Option<HeaderValue> {
        let key = key.expose_secret();
        let mut value = match self {
            AuthStyle::Bearer => HeaderValue::try_from(format!("Bearer {key}")),
            _ => HeaderValue::from_str(key),
        }
        .ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// The key that is put in the place of a Tollbook key.
#[derive(Clone, Debug)]
pub enum ProviderKey {
    /// The provider wants none.
    None,
    /// The key.
    Secret(SecretString),
    /// It is not set.
    Missing {
        /// What to set, such as the name of an environment variable.
        what: String,
    },
}

/// A provider's endpoint.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// The first segment of a request's path.
    pub name: String,
    /// The provider in the books.
    pub provider: String,
    /// The shape that errors wear: a provider's id.
    pub dialect: String,
    /// Scheme and host, perhaps the start of a path, without a slash at the end. Empty when what
    /// it is made of is not set.
    pub base_url: String,
    /// Where the provider expects its key.
    pub auth: AuthStyle,
    /// The provider's key.
    pub key: ProviderKey,
    /// Whether callers bring their own provider key.
    pub passthrough: bool,
    /// Whether chat streams that do not ask for their usage are made to.
    pub asks_usage: bool,
    /// Seconds for which an answer may be served from the cache; never when absent.
    pub cache_ttl_s: Option<u32>,
}

impl Upstream {
    /// The provider whose API calls are read by: one of one's own is read as what it speaks.
    pub fn reads_as(&self) -> &str {
        let is_known = PROVIDERS.contains(&self.provider.as_str());
        if is_known { &self.provider } else { &self.dialect }
    }

    /// What has to be set before calls can be forwarded, in words that fit after "set".
    pub fn missing(&self) -> Option<String> {
        if self.base_url.is_empty() {
            let what = row(&self.name).map_or("", |row| row.place);
            let or = if what.is_empty() { "" } else { " or " };
            return Some(format!("{what}{or}base_url in [gateway.upstreams.{}]", self.name));
        }
        match &self.key {
            ProviderKey::Missing { what } if !self.passthrough => Some(what.clone()),
            _ => None,
        }
    }

    /// Whether a chat stream at this path and query may be made to report its usage. Older
    /// versions of Azure's interface refuse the question.
    pub fn may_ask_usage(&self, path: &str, query: Option<&str>) -> bool {
        if !self.asks_usage || self.provider != "azure" || path.contains("/openai/v1/") {
            return self.asks_usage;
        }
        let version = query
            .unwrap_or_default()
            .split('&')
            .filter_map(|pair| pair.strip_prefix("api-version="))
            .next_back()
            .unwrap_or_default();
        // Versions are dates, perhaps with an ending: they compare as texts.
        version.get(..AZURE_ASKS_SINCE.len()).is_some_and(|date| date >= AZURE_ASKS_SINCE)
    }
}

/// A provider that is known without being configured.
struct Row {
    /// Its name and its id in the books.
    name: &'static str,
    /// The shape of its errors.
    dialect: &'static str,
    /// Where it is, `{}` standing for the value of `place`.
    base_url: &'static str,
    /// The variable that says where it is.
    place: &'static str,
    auth: AuthStyle,
    /// The variables in which its own SDK looks for the key; the first is the one to name.
    keys: &'static [&'static str],
    passthrough: bool,
    asks_usage: bool,
}

const USUAL: Row = Row {
    name: "",
    dialect: "openai",
    base_url: "",
    place: "",
    auth: AuthStyle::Bearer,
    keys: &[],
    passthrough: false,
    asks_usage: false,
};

/// Usage comes unasked from those whose rows do not ask.
const ROWS: &[Row] = &[
    Row {
        name: "openai",
        base_url: "https://api.openai.com",
        keys: &["OPENAI_API_KEY"],
        asks_usage: true,
        ..USUAL
    },
    Row {
        name: "anthropic",
        dialect: "anthropic",
        base_url: "https://api.anthropic.com",
        auth: AuthStyle::XApiKey,
        keys: &["ANTHROPIC_API_KEY"],
        asks_usage: true,
        ..USUAL
    },
    Row {
        name: "google",
        dialect: "google",
        base_url: "https://generativelanguage.googleapis.com",
        auth: AuthStyle::XGoogApiKey,
        keys: &["GEMINI_API_KEY", "GOOGLE_API_KEY"],
        asks_usage: true,
        ..USUAL
    },
    Row {
        name: "vertex",
        dialect: "google",
        base_url: "https://aiplatform.googleapis.com",
        passthrough: true,
        asks_usage: true,
        ..USUAL
    },
    Row {
        name: "azure",
        base_url: "{}",
        place: "AZURE_OPENAI_ENDPOINT",
        auth: AuthStyle::ApiKey,
        keys: &["AZURE_OPENAI_API_KEY"],
        asks_usage: true,
        ..USUAL
    },
    Row {
        name: "bedrock",
        base_url: "https://bedrock-runtime.{}.amazonaws.com",
        place: "AWS_REGION",
        keys: &["AWS_BEARER_TOKEN_BEDROCK"],
        asks_usage: true,
        ..USUAL
    },
    Row { name: "mistral", base_url: "https://api.mistral.ai", keys: &["MISTRAL_API_KEY"], ..USUAL },
    Row {
        name: "cohere",
        base_url: "https://api.cohere.com",
        keys: &["CO_API_KEY", "COHERE_API_KEY"],
        asks_usage: true,
        ..USUAL
    },
    Row { name: "deepseek", base_url: "https://api.deepseek.com", keys: &["DEEPSEEK_API_KEY"], ..USUAL },
    Row { name: "groq", base_url: "https://api.groq.com", keys: &["GROQ_API_KEY"], ..USUAL },
    Row { name: "cerebras", base_url: "https://api.cerebras.ai", keys: &["CEREBRAS_API_KEY"], ..USUAL },
    Row { name: "together", base_url: "https://api.together.xyz", keys: &["TOGETHER_API_KEY"], ..USUAL },
    Row { name: "fireworks", base_url: "https://api.fireworks.ai", keys: &["FIREWORKS_API_KEY"], ..USUAL },
    Row { name: "xai", base_url: "https://api.x.ai", keys: &["XAI_API_KEY"], ..USUAL },
    Row { name: "openrouter", base_url: "https://openrouter.ai", keys: &["OPENROUTER_API_KEY"], ..USUAL },
    Row {
        name: "perplexity",
        base_url: "https://api.perplexity.ai",
        keys: &["PERPLEXITY_API_KEY", "PPLX_API_KEY"],
        ..USUAL
    },
    Row { name: "ollama", base_url: "http://127.0.0.1:11434", asks_usage: true, ..USUAL },
    Row { name: "vllm", base_url: "http://127.0.0.1:8000", asks_usage: true, ..USUAL },
    Row { name: "llamacpp", base_url: "http://127.0.0.1:8080", asks_usage: true, ..USUAL },
];

fn row(name: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.name == name)
}

/// The upstreams that need no configuration but their keys, which are looked up with `variable`:
/// the value of an environment variable by its name.
pub fn built_in(variable: &dyn Fn(&str) -> Option<String>) -> Vec<Upstream> {
    let set = |name: &str| {
        let value = variable(name)?;
        let value = value.trim();
        (!value.is_empty()).then(|| value.to_owned())
    };
    ROWS.iter()
        .map(|row| Upstream {
            name: row.name.to_owned(),
            provider: row.name.to_owned(),
            dialect: row.dialect.to_owned(),
            base_url: place(row, set(row.place)),
            auth: row.auth,
            key: match (row.keys.iter().find_map(|name| set(name)), row.keys.first()) {
                (Some(key), _) => ProviderKey::Secret(SecretString::from(key)),
                (None, Some(name)) => ProviderKey::Missing { what: (*name).to_owned() },
                (None, None) => ProviderKey::None,
            },
            passthrough: row.passthrough,
            asks_usage: row.asks_usage,
            cache_ttl_s: None,
        })
        .collect()
}

/// The base URL of a row, with what its variable says.
fn place(row: &Row, value: Option<String>) -> String {
    if row.place.is_empty() {
        return row.base_url.to_owned();
    }
    let url = value.map(|value| row.base_url.replace("{}", &value)).unwrap_or_default();
    url.trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Variables = &'static [(&'static str, &'static str)];

    fn with(variables: Variables) -> Vec<Upstream> {
        built_in(&|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn one(name: &str, variables: Variables) -> Upstream {
        with(variables).into_iter().find(|upstream| upstream.name == name).unwrap()
    }

    #[test]
    fn rows_are_providers_with_their_own_names() {
        let rows = with(&[("AWS_REGION", "eu-west-1"), ("AZURE_OPENAI_ENDPOINT", "https://a.example/")]);
        for upstream in &rows {
            assert!(PROVIDERS.contains(&upstream.provider.as_str()), "{}", upstream.name);
            assert!(!RESERVED.contains(&upstream.name.as_str()), "{}", upstream.name);
            let uri: http::Uri = upstream.base_url.parse().unwrap();
            assert!(uri.scheme().is_some() && uri.host().is_some(), "{uri}");
            assert_eq!(uri.path(), "/", "a provider's path begins behind the name: {uri}");
            assert!(!upstream.base_url.ends_with('/'));
        }
        let mut names: Vec<&str> = rows.iter().map(|upstream| upstream.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 19);
    }

    #[test]
    fn what_is_missing_is_named() {
        let cases: &[(&str, Variables, Option<&str>)] = &[
            ("openai", &[], Some("OPENAI_API_KEY")),
            ("openai", &[("OPENAI_API_KEY", " ")], Some("OPENAI_API_KEY")),
            ("openai", &[("OPENAI_API_KEY", "sk-1")], None),
            ("google", &[("GOOGLE_API_KEY", "k")], None),
            ("azure", &[], Some("AZURE_OPENAI_ENDPOINT or base_url in [gateway.upstreams.azure]")),
            ("azure", &[("AZURE_OPENAI_ENDPOINT", "https://a.example/")], Some("AZURE_OPENAI_API_KEY")),
            ("bedrock", &[], Some("AWS_REGION or base_url in [gateway.upstreams.bedrock]")),
            ("bedrock", &[("AWS_REGION", "us-east-1"), ("AWS_BEARER_TOKEN_BEDROCK", "k")], None),
            ("ollama", &[], None),
            ("vertex", &[], None),
        ];
        for (name, variables, missing) in cases {
            assert_eq!(one(name, variables).missing().as_deref(), *missing, "{name}");
        }
        assert_eq!(
            one("bedrock", &[("AWS_REGION", "eu-west-1")]).base_url,
            "https://bedrock-runtime.eu-west-1.amazonaws.com"
        );
        let nameless = Upstream { name: "mine".into(), base_url: String::new(), ..one("openai", &[]) };
        assert_eq!(nameless.missing().as_deref(), Some("base_url in [gateway.upstreams.mine]"));
    }

    #[test]
    fn keys_stand_where_the_provider_looks_and_are_not_printed() {
        let upstream = one("openai", &[("OPENAI_API_KEY", "sk-canary")]);
        assert!(!format!("{upstream:?}").contains("canary"));
        let secret = SecretString::from("sk-canary".to_owned());
        for (style, header, value) in [
            (AuthStyle::Bearer, "authorization", "Bearer sk-canary"),
            (AuthStyle::XApiKey, "x-api-key", "sk-canary"),
            (AuthStyle::XGoogApiKey, "x-goog-api-key", "sk-canary"),
            (AuthStyle::ApiKey, "api-key", "sk-canary"),
        ] {
            let found = style.value(&secret).unwrap();
            assert_eq!((style.header().as_str(), found.to_str().unwrap()), (header, value));
            assert!(!format!("{found:?}").contains("canary"));
            assert_eq!(AuthStyle::from_name(style.name()), Some(style));
        }
        assert!(AuthStyle::Bearer.value(&SecretString::from("a\nb".to_owned())).is_none());
    }

    #[test]
    fn azure_is_asked_from_the_version_that_knows_the_question() {
        let azure = one("azure", &[]);
        let path = "/openai/deployments/d/chat/completions";
        for (path, query, asks) in [
            (path, Some("api-version=2024-02-01"), false),
            (path, Some("api-version=2024-08-01-preview"), false),
            (path, Some("a=b&api-version=2024-09-01-preview"), true),
            (path, Some("api-version=2025-01-01"), true),
            (path, Some("api-version=é"), false),
            (path, None, false),
            ("/openai/v1/chat/completions", None, true),
        ] {
            assert_eq!(azure.may_ask_usage(path, query), asks, "{path} {query:?}");
        }
        assert!(one("openai", &[]).may_ask_usage("/v1/chat/completions", None));
        assert!(!one("mistral", &[]).may_ask_usage("/v1/chat/completions", None));
    }
}
