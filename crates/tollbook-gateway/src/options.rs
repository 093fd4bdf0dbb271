//! How a gateway is run: where it listens, what it allows, how long it waits.

use crate::capture::CaptureOptions;
use crate::upstream::Upstream;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// How a gateway is run.
#[derive(Debug)]
pub struct Options {
    /// The address to listen at; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Threads of the data plane; 0 is one for each core.
    pub threads: usize,
    /// What is allowed.
    pub limits: Limits,
    /// How long is waited.
    pub timeouts: Timeouts,
    /// Where calls go, by name.
    pub upstreams: Vec<Upstream>,
    /// What answers carry for programs that know other gateways.
    pub compat: Compat,
    /// An answer ends only when its record is fsynced.
    pub durability_strict: bool,
    /// The response cache, if there is one.
    pub cache: Option<CacheOptions>,
    /// What is kept of the words of calls; nothing unless somebody wants it.
    pub capture: Option<CaptureOptions>,
    /// Certificate and key, to be served over TLS.
    pub tls: Option<TlsFiles>,
    /// The status of a refusal because a budget is spent: 402 or 429.
    pub budget_status: u16,
}

/// What is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open connections in all.
    pub connections: usize,
    /// Open connections from one address.
    pub connections_per_address: usize,
    /// Bytes of a request that is held to be read.
    pub body_bytes: usize,
    /// Bytes of all requests that are held.
    pub bodies_bytes: usize,
    /// Calls whose callers left and whose answers are read on for their usage.
    pub drains: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 16_384,
            connections_per_address: 4_096,
            body_bytes: 64 * 1024 * 1024,
            bodies_bytes: 256 * 1024 * 1024,
            drains: 64,
        }
    }
}

/// How long is waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For the first byte on a new connection.
    pub first_byte: Duration,
    /// For the rest of a head that has begun.
    pub head: Duration,
    /// For the next request on a connection that is kept.
    pub keep_alive: Duration,
    /// Between two pieces of a request's body.
    pub request_idle: Duration,
    /// For a client that takes nothing of its answer.
    pub write_idle: Duration,
    /// For a connection to an upstream.
    pub connect: Duration,
    /// For the head of an upstream's answer.
    pub answer_head: Duration,
    /// Between two pieces of an upstream's answer.
    pub answer_idle: Duration,
    /// For an upstream's whole answer.
    pub answer: Duration,
    /// For an answer that is read on after its caller left.
    pub drain: Duration,
    /// For the next call over a connection to an upstream that is kept.
    pub upstream_keep_alive: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            first_byte: Duration::from_secs(10),
            head: Duration::from_secs(10),
            keep_alive: Duration::from_secs(75),
            request_idle: Duration::from_secs(30),
            write_idle: Duration::from_secs(30),
            connect: Duration::from_secs(10),
            answer_head: Duration::from_secs(600),
            answer_idle: Duration::from_secs(300),
            answer: Duration::from_secs(3_600),
            drain: Duration::from_secs(60),
            upstream_keep_alive: Duration::from_secs(90),
        }
    }
}

/// What answers carry for programs that know other gateways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compat {
    /// LiteLLM's headers.
    pub litellm: bool,
    /// `usage.cost` in answers that are not streamed.
    pub usage_cost: bool,
}

/// The response cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheOptions {
    /// Bytes of memory for it.
    pub bytes: usize,
}

/// Certificate and key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate chain, PEM.
    pub cert: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}
