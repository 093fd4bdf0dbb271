//! From configuration to the gateway's options. Secrets are looked up here, and nowhere else.

use super::demo;
use crate::config::gateway::{self as settings, SecretRef};
use crate::config::{ChannelSet, Config, env};
use crate::failure::Failure;
use std::net::SocketAddr;
use std::time::Duration;
use tollbook_gateway::capture::{CaptureOptions, Redactor};
use tollbook_gateway::upstream::{AuthStyle, ProviderKey, RESERVED, Upstream, built_in};
use tollbook_gateway::{CacheOptions, Compat, Limits, Options, Timeouts, TlsFiles};
use tollbook_ledger::Durability;
use tollbook_notify::{ChannelForm, Secret};
use tollbook_types::canonical_provider;

/// Memory for the response cache, unless configured.
const CACHE_MIB: usize = 64;
const MIB: usize = 1024 * 1024;

/// The gateway's options; everything that is wrong is reported at once.
pub fn gateway(config: &Config, listen: SocketAddr) -> Result<Options, Failure> {
    let mut problems = Vec::new();
    let set = &config.gateway;
    let mut upstreams = built_in(&|name| env::get(name)?.into_string().ok());
    for (name, changes) in &set.upstreams {
        match upstreams.iter_mut().find(|upstream| upstream.name == *name) {
            Some(upstream) => change(upstream, changes, &mut problems),
            None => {
                let upstream = added(name, changes, &mut problems);
                upstreams.extend(upstream);
            }
        }
    }
    let capture = capture(config, &upstreams, &mut problems);
    if !problems.is_empty() {
        return Err(Failure::config(problems));
    }
    let caches = upstreams.iter().any(|upstream| upstream.cache_ttl_s.is_some());
    let tls = config.tls_cert.clone().zip(config.tls_key.clone());
    Ok(Options {
        listen,
        threads: set.threads.unwrap_or(0),
        limits: limits(set),
        timeouts: timeouts(set),
        upstreams,
        compat: Compat { litellm: set.litellm_headers, usage_cost: set.usage_cost },
        durability_strict: config.durability.value == Durability::Strict,
        cache: caches.then(|| CacheOptions { bytes: set.cache_mib.unwrap_or(CACHE_MIB) * MIB }),
        capture,
        tls: tls.map(|(cert, key)| TlsFiles { cert, key }),
        budget_status: set.budget_status.unwrap_or(402),
    })
}

/// Whose words are kept, if anybody's are.
fn capture(config: &Config, upstreams: &[Upstream], problems: &mut Vec<String>) -> Option<CaptureOptions> {
    let set = &config.capture;
    for name in set.upstreams.iter().filter(|name| upstreams.iter().all(|known| known.name != **name)) {
        problems.push(format!("{}: there is no upstream {name:?}", set.place));
    }
    // What is wrong with a pattern was told when the file was read.
    let redactor = Redactor::new(&set.redact).ok().filter(|_| set.enabled)?;
    Some(CaptureOptions {
        upstreams: set.upstreams.clone(),
        projects: set.projects.clone(),
        redactor,
        bytes_max: u64::from(set.max_mib) * MIB as u64,
    })
}

/// The channels of the configuration, with their secrets; everything that is wrong is reported at once.
pub fn channels(config: &Config) -> Result<Vec<ChannelForm>, Failure> {
    let (mut problems, mut forms) = (Vec::new(), Vec::new());
    for ChannelSet { form, secrets, origin } in &config.channels {
        let (mut form, place) = (form.clone(), origin.to_string());
        for (name, reference) in secrets {
            let Ok(secret) = looked_up(reference, &place, &mut problems) else { continue };
            let secret = Some(Secret::from(secret));
            match *name {
                "url" => form.url = secret,
                "secret" => form.secret = secret,
                _ => form.smtp_password = secret,
            }
        }
        let faults = form.read().err().unwrap_or_default();
        // A secret that is missing has been told already.
        let is_told = |member: &str| secrets.contains_key(member) && !problems.is_empty();
        let faults: Vec<String> = faults
            .iter()
            .filter(|fault| !is_told(fault.member))
            .map(|fault| format!("{place}: {} {}", fault.member, fault.detail))
            .collect();
        problems.extend(faults);
        forms.push(form);
    }
    if problems.is_empty() { Ok(forms) } else { Err(Failure::config(problems)) }
}

/// Whether the server would start with this configuration; everything that is wrong is reported at once.
pub fn check(config: &Config) -> Result<(), Failure> {
    let parts = [gateway(config, config.listen.value).map(drop), channels(config).map(drop)];
    let problems: Vec<String> =
        parts.into_iter().filter_map(Result::err).flat_map(|part| part.errors).collect();
    if problems.is_empty() { Ok(()) } else { Err(Failure::config(problems)) }
}

/// The upstream of `--demo`.
pub fn demo(address: SocketAddr) -> Upstream {
    Upstream {
        name: demo::NAME.to_owned(),
        provider: demo::NAME.to_owned(),
        dialect: "openai".to_owned(),
        base_url: format!("http://{address}"),
        auth: AuthStyle::Bearer,
        key: ProviderKey::None,
        passthrough: false,
        asks_usage: true,
        cache_ttl_s: None,
    }
}

fn limits(set: &settings::Gateway) -> Limits {
    let default = Limits::default();
    Limits {
        connections: set.connections.unwrap_or(default.connections),
        connections_per_address: set.connections_per_address.unwrap_or(default.connections_per_address),
        ..default
    }
}

fn timeouts(set: &settings::Gateway) -> Timeouts {
    let default = Timeouts::default();
    let seconds = |told: Option<u64>, default: Duration| told.map_or(default, Duration::from_secs);
    Timeouts {
        connect: seconds(set.connect_timeout_s, default.connect),
        answer_head: seconds(set.first_byte_timeout_s, default.answer_head),
        answer_idle: seconds(set.idle_timeout_s, default.answer_idle),
        answer: seconds(set.stream_timeout_s, default.answer),
        ..default
    }
}

fn added(name: &str, set: &settings::Upstream, problems: &mut Vec<String>) -> Option<Upstream> {
    if RESERVED.contains(&name) {
        problems.push(format!("{}: {name} is a path of the server's own; choose another name", set.place));
    }
    let Some(dialect) = &set.dialect else {
        problems.push(format!("{}: the upstream {name} needs a dialect, such as \"openai\"", set.place));
        return None;
    };
    if set.base_url.is_none() {
        problems.push(format!("{}: the upstream {name} needs a base_url", set.place));
    }
    let mut upstream = Upstream {
        name: name.to_owned(),
        provider: canonical_provider(name),
        dialect: canonical_provider(dialect),
        base_url: String::new(),
        auth: AuthStyle::Bearer,
        key: ProviderKey::None,
        passthrough: false,
        asks_usage: true,
        cache_ttl_s: None,
    };
    change(&mut upstream, set, problems);
    Some(upstream)
}

fn change(upstream: &mut Upstream, set: &settings::Upstream, problems: &mut Vec<String>) {
    if let Some(base_url) = &set.base_url {
        upstream.base_url.clone_from(base_url);
        if !(base_url.starts_with("http://") || base_url.starts_with("https://")) {
            problems.push(format!("{}: base_url must begin with http:// or https://", set.place));
        }
    }
    if let Some(dialect) = &set.dialect {
        upstream.dialect = canonical_provider(dialect);
        if !tollbook_types::PROVIDERS.contains(&upstream.dialect.as_str()) {
            problems.push(format!(
                "{}: there is no dialect {dialect:?}; say whose wire format it is, such as \"openai\"",
                set.place
            ));
        }
    }
    if let Some(provider) = &set.provider {
        upstream.provider = canonical_provider(provider);
    }
    if let Some(auth) = &set.auth {
        match AuthStyle::from_name(auth) {
            Some(style) => upstream.auth = style,
            None => problems.push(format!(
                "{}: there is no auth {auth:?}; there are bearer, x-api-key, x-goog-api-key and api-key",
                set.place
            )),
        }
    }
    if let Some(secret) = &set.api_key {
        upstream.key = secret_of(&secret.value, &secret.origin.to_string(), problems);
    }
    upstream.passthrough = set.passthrough.unwrap_or(upstream.passthrough);
    upstream.asks_usage = set.asks_usage.unwrap_or(upstream.asks_usage);
    upstream.cache_ttl_s =
        set.cache_ttl_s.and_then(|seconds| u32::try_from(seconds).ok()).or(upstream.cache_ttl_s);
}

/// The secret, or what is missing.
fn secret_of(reference: &SecretRef, place: &str, problems: &mut Vec<String>) -> ProviderKey {
    match looked_up(reference, place, problems) {
        Ok(text) => ProviderKey::Secret(text.as_str().into()),
        Err(what) => ProviderKey::Missing { what },
    }
}

/// A secret's text, or where it should be. Its value is never part of a message.
fn looked_up(reference: &SecretRef, place: &str, problems: &mut Vec<String>) -> Result<String, String> {
    match reference {
        SecretRef::Env(name) => match env::get(name).and_then(|value| value.into_string().ok()) {
            Some(value) => Ok(value.trim().to_owned()),
            None => {
                problems.push(format!("{place}: the environment variable {name} is not set"));
                Err(name.clone())
            }
        },
        SecretRef::File(path) => {
            let problem = match std::fs::read_to_string(path) {
                Ok(text) if !text.trim().is_empty() => return Ok(text.trim().to_owned()),
                Ok(_) => format!("{place}: {} is empty", path.display()),
                Err(error) => format!("{place}: {}: {}", path.display(), crate::config::reason(&error)),
            };
            problems.push(problem);
            Err(path.display().to_string())
        }
    }
}
