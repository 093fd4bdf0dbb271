//! An event: what we are told of a call. Never changed once recorded.

use crate::attribution::Attribution;
use crate::digest::Digest;
use crate::money::Money;
use crate::time::Timestamp;
use crate::usage::{Evidence, ProviderCost, Usage};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The flag of a call that a budget had go to another model: its `request_model` is what was asked
/// for, and was not sent.
pub const DOWNGRADED: &str = "downgraded";

/// Circumstances that prices depend on, by name: `service_tier`, `processing` (`batch`), `speed`,
/// `region`, `route`, `search_type`, `search_context_size`, `inference_geo`, … Values are lower case.
pub type Conditions = BTreeMap<String, String>;

/// How a call ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The answer is whole.
    #[default]
    Ok,
    /// The provider answered with an error, or not with an answer.
    UpstreamError,
    /// The caller went away.
    ClientClosed,
    /// A time limit ended it.
    Timeout,
    /// The recording process ended before the call did.
    Interrupted,
    /// An orderly shutdown cut it.
    Shutdown,
}

impl Status {
    /// Every status.
    pub const ALL: &'static [Status] = &[
        Status::Ok,
        Status::UpstreamError,
        Status::ClientClosed,
        Status::Timeout,
        Status::Interrupted,
        Status::Shutdown,
    ];

    /// The public name.
    pub const fn name(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::UpstreamError => "upstream_error",
            Status::ClientClosed => "client_closed",
            Status::Timeout => "timeout",
            Status::Interrupted => "interrupted",
            Status::Shutdown => "shutdown",
        }
    }

    /// The status with this public name.
    pub fn from_name(name: &str) -> Option<Status> {
        Status::ALL.iter().copied().find(|s| s.name() == name)
    }
}

/// Why a call has nothing to bill: its usage is absent and its cost is exactly 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FreeReason {
    /// The provider answered with an error and reported no usage.
    HttpError,
    /// A token-counting request.
    CountTokens,
    /// A request that starts no billable work: a poll, a list, a file.
    NotBillable,
    /// Served from the response cache.
    CacheHit,
    /// The request was never sent.
    NeverSent,
    /// Settled by hand as costing nothing.
    Settled,
}

/// A call answered from the response cache, and what that saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheHit {
    /// What the call would have cost.
    pub saved: Money,
    /// The tokens it would have used.
    pub saved_tokens: u64,
}

/// The digest of an event's content as it was sent: its members after parsing (instants in UTC,
/// null as absent, sorted), without members that the receiver filled in.
pub type Content = Digest;

/// Who an event is: unique for ever.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// The project, if any.
    pub project: Option<String>,
    /// Where the event came in: `api`, `gateway`, `otlp` or an import format.
    pub source: String,
    /// The producer's id for it.
    pub id: String,
}

impl Identity {
    /// A digest that differs between any two identities.
    pub fn digest(&self) -> Digest {
        let project = self.project.as_deref();
        Digest::of(&framed(&[project, Some(&self.source), Some(&self.id)]))
    }
}

/// What joins reports of one call from several sources.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ResponseKey {
    /// The project, if any.
    pub project: Option<String>,
    /// The provider.
    pub provider: String,
    /// The id that the provider gave its answer.
    pub response_id: String,
}

impl ResponseKey {
    /// A digest that differs between any two keys.
    pub fn digest(&self) -> Digest {
        let project = self.project.as_deref();
        Digest::of(&framed(&[project, Some(&self.provider), Some(&self.response_id)]))
    }
}

/// The parts with their lengths, so that no two lists of parts give the same bytes.
fn framed(parts: &[Option<&str>]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(96);
    for part in parts {
        match part {
            None => bytes.push(0),
            Some(text) => {
                bytes.push(1);
                bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
                bytes.extend_from_slice(text.as_bytes());
            }
        }
    }
    bytes
}

/// The source of demonstration calls. Nobody but the ledger's demo tells any; no budget and no metric
/// counts them.
pub const DEMO_SOURCE: &str = "demo";

/// What we are told of one call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The producer's id.
    pub id: String,
    /// `api`, `gateway`, `otlp` or an import format.
    pub source: String,
    /// When the call happened (for a gateway call: its admission). Decides price and time bucket.
    pub occurred_at: Timestamp,
    /// The provider, by its canonical id.
    pub provider: String,
    /// The model that answered; the requested one where the answer does not say; may be empty
    /// only when neither is known.
    pub model: String,
    /// The model that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_model: Option<String>,
    /// The API family, such as `chat`, `messages`, `responses`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
    /// How it ended.
    pub status: Status,
    /// The error, as text for people, when it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The HTTP status of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// What it used; absent when unknown or when nothing was billable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// How the usage is known.
    pub evidence: Evidence,
    /// Set when there is nothing to bill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free: Option<FreeReason>,
    /// The bill that the provider reported, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_cost: Option<ProviderCost>,
    /// What else the price depends on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub conditions: Conditions,
    /// The id that the provider gave its answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_response_id: Option<String>,
    /// On whose account.
    #[serde(default)]
    pub attribution: Attribution,
    /// From request to end of answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// From request to the first byte of content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_to_first_token_ms: Option<u64>,
    /// Set when the response cache answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_hit: Option<CacheHit>,
    /// Observations, such as `usage_inconsistent: cached_tokens (314) exceeds prompt_tokens (202)`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
    /// True when a provider's figures contradict each other: they are kept, the cost is absent
    /// unless the provider gave one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inconsistent: bool,
    /// The raw usage object as the provider sent it, for `explain`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw_usage: Option<String>,
    /// The estimator's name, when the evidence is `estimated`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimator: Option<String>,
    /// The most that it can have cost, where usage is unknown and a bound is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst_case: Option<Money>,
    /// The hold that this event settles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_id: Option<String>,
    /// The digest of the content as sent.
    pub content: Content,
}

impl Event {
    /// A call that went well and of which nothing else is known: what is known is set on it. `id`, `source`
    /// and `occurred_at` as the members say.
    pub fn new(id: String, source: String, occurred_at: Timestamp) -> Event {
        Event {
            id,
            source,
            occurred_at,
            provider: String::new(),
            model: String::new(),
            request_model: None,
            api: None,
            status: Status::Ok,
            error: None,
            http_status: None,
            usage: None,
            evidence: Evidence::Unknown,
            free: None,
            provider_cost: None,
            conditions: Conditions::new(),
            provider_response_id: None,
            attribution: Attribution::default(),
            latency_ms: None,
            time_to_first_token_ms: None,
            cache_hit: None,
            flags: Vec::new(),
            inconsistent: false,
            raw_usage: None,
            estimator: None,
            worst_case: None,
            hold_id: None,
            content: Content::default(),
        }
    }

    /// Its identity.
    pub fn identity(&self) -> Identity {
        Identity {
            project: self.attribution.project.clone(),
            source: self.source.clone(),
            id: self.id.clone(),
        }
    }

    /// What joins it with other reports of the same call, if the provider gave an id.
    pub fn response_key(&self) -> Option<ResponseKey> {
        Some(ResponseKey {
            project: self.attribution.project.clone(),
            provider: self.provider.clone(),
            response_id: self.provider_response_id.clone()?,
        })
    }

    /// Whether it is a demonstration, which never happened.
    pub fn is_demo(&self) -> bool {
        self.source == DEMO_SOURCE
    }

    /// Whether a budget had the call go to another model than it asked for.
    pub fn is_downgraded(&self) -> bool {
        self.flags.iter().any(|flag| flag == DOWNGRADED)
    }

    /// Whether the call counts as an error in reports.
    pub fn is_error(&self) -> bool {
        self.status != Status::Ok
    }
}
