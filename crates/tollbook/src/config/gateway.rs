//! `[gateway]` and `[gateway.upstreams.NAME]`.
//!
//! A provider's key is never written here: only where it is found.

use super::file::Reader;
use super::{Origin, Set, beside};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Keys of `[gateway]`.
pub const KEYS: &[&str] = &[
    "budget_status",
    "threads",
    "connections",
    "connections_per_address",
    "connect_timeout_s",
    "first_byte_timeout_s",
    "idle_timeout_s",
    "stream_timeout_s",
    "shutdown_grace_s",
    "litellm_headers",
    "usage_cost",
    "cache_mib",
    "upstreams",
];
/// Keys of an upstream.
pub const UPSTREAM_KEYS: &[&str] =
    &["base_url", "dialect", "provider", "auth", "api_key", "passthrough", "asks_usage", "cache_ttl_s"];

/// Longest time that can be set, in seconds: a day.
const SECONDS_MAX: u64 = 86_400;

/// What is set for the gateway; what is absent has its default there.
#[derive(Clone, Debug, Default)]
pub struct Gateway {
    /// The status of a refusal because a budget is spent: 402 or 429.
    pub budget_status: Option<u16>,
    /// Threads of the data plane.
    pub threads: Option<usize>,
    /// Connections in all.
    pub connections: Option<usize>,
    /// Connections from one address.
    pub connections_per_address: Option<usize>,
    /// Seconds until a connection to a provider stands.
    pub connect_timeout_s: Option<u64>,
    /// Seconds until a provider's answer begins.
    pub first_byte_timeout_s: Option<u64>,
    /// Seconds between two pieces of an answer.
    pub idle_timeout_s: Option<u64>,
    /// Seconds for a whole answer.
    pub stream_timeout_s: Option<u64>,
    /// Seconds that running answers have when the server ends.
    pub shutdown_grace_s: Option<u64>,
    /// Whether answers carry the headers of LiteLLM, too.
    pub litellm_headers: bool,
    /// Whether answers carry `usage.cost`.
    pub usage_cost: bool,
    /// Memory for the response cache.
    pub cache_mib: Option<usize>,
    /// Upstreams by name: new ones, and changes to those that are built in.
    pub upstreams: BTreeMap<String, Upstream>,
}

/// What is set for an upstream.
#[derive(Clone, Debug, Default)]
pub struct Upstream {
    /// Where its section is.
    pub place: String,
    /// Where it is.
    pub base_url: Option<String>,
    /// The wire format it speaks: a provider's id.
    pub dialect: Option<String>,
    /// The provider in the books.
    pub provider: Option<String>,
    /// Where its key goes: `bearer`, `x-api-key`, `x-goog-api-key`, `api-key`.
    pub auth: Option<String>,
    /// Where its key is found.
    pub api_key: Option<Set<SecretRef>>,
    /// Whether callers bring their own provider key.
    pub passthrough: Option<bool>,
    /// Whether chat streams are asked for usage.
    pub asks_usage: Option<bool>,
    /// How long answers may be served from the cache.
    pub cache_ttl_s: Option<u64>,
}

/// Where a secret is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretRef {
    /// In an environment variable.
    Env(String),
    /// In a file, without the white space around it.
    File(PathBuf),
}

pub(super) fn read(reader: &mut Reader<'_>, gateway: &mut Gateway, table: &DeTable<'_>) {
    for (key, found) in table {
        let seconds = |reader: &mut Reader<'_>| bounded(reader, found, 1, SECONDS_MAX);
        match key.get_ref().as_ref() {
            "budget_status" => gateway.budget_status = status(reader, found),
            "threads" => gateway.threads = size(bounded(reader, found, 1, 256)),
            "connections" => gateway.connections = size(bounded(reader, found, 1, 1_000_000)),
            "connections_per_address" => {
                gateway.connections_per_address = size(bounded(reader, found, 1, 1_000_000));
            }
            "connect_timeout_s" => gateway.connect_timeout_s = seconds(reader),
            "first_byte_timeout_s" => gateway.first_byte_timeout_s = seconds(reader),
            "idle_timeout_s" => gateway.idle_timeout_s = seconds(reader),
            "stream_timeout_s" => gateway.stream_timeout_s = seconds(reader),
            "shutdown_grace_s" => gateway.shutdown_grace_s = seconds(reader),
            "litellm_headers" => gateway.litellm_headers = reader.truth(found).unwrap_or_default(),
            "usage_cost" => gateway.usage_cost = reader.truth(found).unwrap_or_default(),
            "cache_mib" => gateway.cache_mib = size(bounded(reader, found, 1, 65_536)),
            "upstreams" => upstreams(reader, gateway, found),
            other => reader.unknown_key("gateway", other, key.span()),
        }
    }
}

fn upstreams(reader: &mut Reader<'_>, gateway: &mut Gateway, found: &Spanned<DeValue<'_>>) {
    let Some(tables) = reader.table("gateway.upstreams", found) else { return };
    for (name, found) in tables {
        let text = name.get_ref().as_ref();
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if text.is_empty() || !text.chars().all(is_name) {
            reader.problem(
                name.span(),
                "an upstream's name has small letters, digits, - and _: it stands in URLs",
            );
            continue;
        }
        if let Some(table) = reader.table(&format!("gateway.upstreams.{text}"), found) {
            let upstream = upstream(reader, table, name.span());
            gateway.upstreams.insert(text.to_owned(), upstream);
        }
    }
}

fn upstream(reader: &mut Reader<'_>, table: &DeTable<'_>, span: Range<usize>) -> Upstream {
    let mut upstream = Upstream { place: reader.origin(span).to_string(), ..Upstream::default() };
    for (key, found) in table {
        match key.get_ref().as_ref() {
            "base_url" => upstream.base_url = reader.text(found),
            "dialect" => upstream.dialect = reader.text(found),
            "provider" => upstream.provider = reader.text(found),
            "auth" => upstream.auth = reader.text(found),
            "api_key" => upstream.api_key = secret(reader, found),
            "passthrough" => upstream.passthrough = reader.truth(found),
            "asks_usage" => upstream.asks_usage = reader.truth(found),
            "cache_ttl_s" => upstream.cache_ttl_s = bounded(reader, found, 1, 30 * SECONDS_MAX),
            other => reader.unknown_key("gateway.upstreams", other, key.span()),
        }
    }
    upstream
}

/// `{ env = "NAME" }` or `{ file = "PATH" }`. A secret itself is refused, and not repeated.
pub(super) fn secret(reader: &mut Reader<'_>, found: &Spanned<DeValue<'_>>) -> Option<Set<SecretRef>> {
    let advice =
        "say where the key is found: { env = \"NAME\" } or { file = \"PATH\" }; never the key itself";
    let DeValue::Table(table) = found.get_ref() else {
        reader.problem(found.span(), advice);
        return None;
    };
    let mut entries = table.iter();
    let (Some((key, value)), None) = (entries.next(), entries.next()) else {
        reader.problem(found.span(), advice);
        return None;
    };
    let text = reader.text(value)?;
    let value = match key.get_ref().as_ref() {
        "env" => SecretRef::Env(text),
        "file" => SecretRef::File(beside(reader.path, &text)),
        _ => {
            reader.problem(key.span(), advice);
            return None;
        }
    };
    let origin: Origin = reader.origin(found.span());
    Some(Set { value, origin })
}

fn status(reader: &mut Reader<'_>, found: &Spanned<DeValue<'_>>) -> Option<u16> {
    match reader.whole(found)? {
        402 => Some(402),
        429 => Some(429),
        _ => {
            reader.problem(found.span(), "a spent budget is refused with 402 or 429");
            None
        }
    }
}

fn bounded(reader: &mut Reader<'_>, found: &Spanned<DeValue<'_>>, min: u64, max: u64) -> Option<u64> {
    let number = reader.whole(found)?;
    if (min..=max).contains(&number) {
        return Some(number);
    }
    reader.problem(found.span(), &format!("it must be from {min} to {max}, not {number}"));
    None
}

fn size(number: Option<u64>) -> Option<usize> {
    number.and_then(|number| usize::try_from(number).ok())
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;
    use std::path::Path;

    fn read(text: &str) -> (Config, Vec<String>) {
        let (mut config, mut problems) = (Config::default(), Vec::new());
        super::super::file::read(&mut config, Path::new("/c/t.toml"), text, &mut problems);
        (config, problems)
    }

    #[test]
    fn upstreams_say_where_their_keys_are() {
        let (config, problems) = read(
            "[gateway]\nbudget_status = 429\nidle_timeout_s = 5\n[gateway.upstreams.openai]\n\
             base_url = \"http://127.0.0.1:9\"\napi_key = { env = \"MY_KEY\" }\n\
             [gateway.upstreams.mine]\ndialect = \"openai\"\napi_key = { file = \"k\" }\npassthrough = true\n",
        );
        assert_eq!(problems, Vec::<String>::new());
        let gateway = &config.gateway;
        assert_eq!((gateway.budget_status, gateway.idle_timeout_s), (Some(429), Some(5)));
        let key = |name: &str| gateway.upstreams[name].api_key.as_ref().unwrap().value.clone();
        assert_eq!(key("openai"), SecretRef::Env("MY_KEY".to_owned()));
        assert_eq!(key("mine"), SecretRef::File("/c/k".into()));
        assert_eq!(gateway.upstreams["mine"].passthrough, Some(true));
    }

    #[test]
    fn what_is_wrong_is_named_and_no_secret_is_repeated() {
        let cases = [
            ("[gateway]\nbudget_status = 500\n", "402 or 429"),
            ("[gateway]\nidle_timeout_s = 0\n", "from 1 to 86400"),
            ("[gateway]\nidle_timeot_s = 1\n", "did you mean \"idle_timeout_s\"?"),
            ("[gateway.upstreams.\"A b\"]\n", "small letters"),
            ("[gateway.upstreams.openai]\napi_key = \"sk-secret\"\n", "never the key itself"),
            ("[gateway.upstreams.openai]\napi_key = { value = \"sk-secret\" }\n", "never the key itself"),
            ("[gateway.upstreams.openai]\nbase_ur = \"x\"\n", "did you mean \"base_url\"?"),
        ];
        for (text, part) in cases {
            let (_, problems) = read(text);
            assert_eq!(problems.len(), 1, "{text}: {problems:?}");
            assert!(problems[0].contains(part), "{problems:?}");
            assert!(!problems[0].contains("sk-secret"), "{problems:?}");
        }
    }
}
