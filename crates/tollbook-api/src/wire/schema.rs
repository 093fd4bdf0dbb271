//! The shapes, for the OpenAPI document, of what other crates' types become as JSON: amounts, instants,
//! quantities, accounts, prices. Nothing is ever made of these types; they stand for others in
//! `#[schema(value_type = …)]`, and tests hold every answer against them.

use std::collections::BTreeMap;
use tollbook_types as types;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

/// Names the shape of a text.
macro_rules! text {
    ($(#[doc = $about:literal])* $name:ident, $build:expr) => {
        $(#[doc = $about])*
        pub enum $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let build: fn(ObjectBuilder) -> ObjectBuilder = $build;
                let about = concat!($($about,)*).trim();
                build(ObjectBuilder::new().schema_type(Type::String).description(Some(about))).into()
            }
        }

        impl ToSchema for $name {}
    };
}

text!(
    /// An amount in US dollars, exact: decimal text with at most twelve places.
    Usd,
    |usd| usd.pattern(Some(r"^-?\d{1,27}(\.\d{1,12})?$")).examples(["0.0002775"])
);
text!(
    /// A ratio: decimal text, rounded half to even at six places.
    Ratio,
    |ratio| ratio.pattern(Some(r"^\d{1,20}(\.\d{1,6})?$")).examples(["0.333333"])
);
text!(
    /// An instant (RFC 3339).
    Instant,
    |at| at.format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))).examples(["2026-11-22T10:30:45Z"])
);
text!(
    /// How a call ended.
    Status,
    |status| status.enum_values(Some(words(types::Status::ALL)))
);
text!(
    /// How the usage is known, weakest first.
    Evidence,
    |evidence| evidence.enum_values(Some(words(types::Evidence::ALL)))
);
text!(
    /// Which cost counts, or why there is none.
    CostBasis,
    |basis| basis.enum_values(Some(words(types::CostBasis::ALL)))
);
text!(
    /// Why a call costs nothing.
    FreeReason,
    |reason| reason.pattern(Some("^[a-z_]+$"))
);
text!(
    /// A kind of quantity, disjoint from all others.
    Meter,
    |meter| meter.enum_values(Some(words(types::Meter::ALL)))
);

/// What these are written as.
fn words<T: serde::Serialize>(all: &[T]) -> Vec<serde_json::Value> {
    all.iter().filter_map(|one| serde_json::to_value(one).ok()).collect()
}

/// Quantities by meter; the meters are disjoint.
#[derive(ToSchema)]
pub struct Meters(pub BTreeMap<String, u64>);

/// On whose account a call goes.
#[derive(ToSchema)]
pub struct Attribution {
    /// The tenant inside the organisation.
    pub project: Option<String>,
    /// Whom it was done for: a customer's name or domain.
    pub customer: Option<String>,
    /// The end user.
    pub user: Option<String>,
    /// The agent's id.
    pub agent: Option<String>,
    /// The agent's name for people.
    pub agent_name: Option<String>,
    /// The kind of work, such as `rag_answer`.
    pub operation: Option<String>,
    /// One piece of that work.
    pub operation_id: Option<String>,
    /// The conversation.
    pub session: Option<String>,
    /// The id of the Tollbook key that was used.
    pub key: Option<String>,
    /// Free dimensions.
    pub tags: Option<BTreeMap<String, String>>,
    /// A JSON object that is kept beside the call, at most 4 KiB.
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<()>,
}

/// What was used. Totals include their parts; `meters` are disjoint. What was not reported is absent.
#[derive(ToSchema)]
pub struct Quantities {
    /// All input: fresh, cached, audio, images, tools' prompts.
    pub input_tokens: u64,
    /// All output: text, reasoning, audio, images.
    pub output_tokens: u64,
    pub total_tokens: u64,
    pub cache_read_tokens: Option<u64>,
    pub cache_write_tokens: Option<u64>,
    pub cache_write_5m_tokens: Option<u64>,
    pub cache_write_1h_tokens: Option<u64>,
    pub reasoning_tokens: Option<u64>,
    pub input_audio_tokens: Option<u64>,
    pub input_image_tokens: Option<u64>,
    pub input_video_tokens: Option<u64>,
    pub output_audio_tokens: Option<u64>,
    pub output_image_tokens: Option<u64>,
    pub output_video_tokens: Option<u64>,
    pub meters: Meters,
    /// Other quantities, by their public names.
    #[serde(flatten)]
    pub others: BTreeMap<String, u64>,
}

/// The bill that the provider reported.
#[derive(ToSchema)]
pub struct ProviderCost {
    pub total: Usd,
    pub input: Option<Usd>,
    pub output: Option<Usd>,
    /// The member that it was read from.
    pub field: String,
}

/// The rates that applied, and why these.
#[derive(ToSchema)]
pub struct RateCard {
    /// The price in the book, such as `openai/gpt-4o@2024-10-01`.
    pub price_id: String,
    /// The rule that matched, in words.
    pub rule: String,
    /// What else decided, in words.
    pub conditions: Option<Vec<String>>,
    /// Where the figures are from.
    pub source: String,
    /// The day on which they were last compared with the source.
    pub checked: String,
    pub effective_from: Option<String>,
    pub effective_to: Option<String>,
    /// The user's override that made or changed these rates, in words.
    pub overridden_by: Option<String>,
    /// The digest of the whole book.
    pub book: String,
    pub rates: Vec<CardRate>,
}

/// The rate of one meter.
#[derive(ToSchema)]
pub struct CardRate {
    pub meter: Meter,
    /// Picodollars for `per` units.
    pub picos: i64,
    pub per: u64,
    /// Beyond `above` units, each unit costs the step's rate.
    pub steps: Option<Vec<RateStep>>,
}

/// One marginal step of a rate.
#[derive(ToSchema)]
pub struct RateStep {
    pub above: u64,
    /// Picodollars for the rate's `per` units.
    pub picos: i64,
}

/// One line of a bill: `quantity × picos / per`.
#[derive(ToSchema)]
pub struct CostLine {
    pub meter: Meter,
    pub quantity: u64,
    /// The meter whose rate was used: another one where the price has none of its own.
    pub priced_as: Meter,
    /// Picodollars for `per` units.
    pub picos: i64,
    pub per: u64,
    pub cost_usd: Usd,
    /// Whether it was rounded: half to even, to the picodollar.
    pub rounded: Option<bool>,
}

/// Sums of calls. An amount is of the calls that have a price; tokens of a kind that no call had are absent.
#[derive(ToSchema)]
pub struct Measures {
    pub calls: u64,
    pub errors: u64,
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub total_tokens: u64,
    pub cache_read_tokens: Option<u64>,
    pub cache_write_tokens: Option<u64>,
    pub cache_write_5m_tokens: Option<u64>,
    pub cache_write_1h_tokens: Option<u64>,
    pub reasoning_tokens: Option<u64>,
    pub input_audio_tokens: Option<u64>,
    pub input_image_tokens: Option<u64>,
    pub input_video_tokens: Option<u64>,
    pub input_tool_tokens: Option<u64>,
    pub cache_read_audio_tokens: Option<u64>,
    pub cache_read_image_tokens: Option<u64>,
    pub cache_read_video_tokens: Option<u64>,
    pub output_audio_tokens: Option<u64>,
    pub output_image_tokens: Option<u64>,
    pub output_video_tokens: Option<u64>,
    pub citation_tokens: Option<u64>,
    pub meters: Meters,
    pub cost_usd: Usd,
    pub input_cost_usd: Usd,
    pub output_cost_usd: Usd,
    pub other_cost_usd: Usd,
    pub unpriced_calls: u64,
    pub estimated_calls: u64,
    pub unknown_calls: u64,
    pub cache_hits: u64,
    pub saved_usd: Usd,
    pub cost_min_usd: Option<Usd>,
    pub cost_max_usd: Option<Usd>,
    pub latency_ms_avg: Option<u64>,
}

/// A row of a report: its bucket, one member for each dimension of `group_by`, and the sums.
#[derive(ToSchema)]
pub struct Row {
    /// The bucket's first instant, in the zone of the question.
    pub bucket: Option<Instant>,
    /// There where the row is what so many rows of the bucket come to; its dimensions are null then.
    #[schema(minimum = 1)]
    pub rest: Option<u64>,
    #[serde(flatten)]
    pub measures: Measures,
    /// The row's value of each dimension.
    #[serde(flatten)]
    pub keys: BTreeMap<String, serde_json::Value>,
}

/// Sums, with the question that they answer.
#[derive(ToSchema)]
pub struct Report {
    pub from: Option<Instant>,
    pub to: Option<Instant>,
    pub tz: String,
    /// `none`, `hour`, `day`, `week` or `month`.
    pub interval: String,
    pub group_by: Vec<String>,
    /// `corrected` or `billed`; absent where `as_of` is there.
    pub r#as: Option<String>,
    pub as_of: Option<Instant>,
    /// The run that rates calls again, there while one is under way: costs are changing.
    pub run_in_progress: Option<String>,
    pub rows: Vec<Row>,
    pub total: Measures,
}

/// Percentiles by nearest rank: each is one of the values.
#[derive(ToSchema)]
pub struct Percentiles {
    /// Values.
    pub count: u64,
    pub p50: u64,
    pub p90: u64,
    pub p95: u64,
    pub p99: u64,
}

/// Sums of calls, and what they are made into. What has nothing to be made of is null.
#[derive(ToSchema)]
pub struct Figures {
    #[serde(flatten)]
    pub measures: Measures,
    /// Of the calls whose latency is known.
    pub latency_ms: Option<Percentiles>,
    /// Of the calls that know it.
    pub time_to_first_token_ms: Option<Percentiles>,
    /// Calls with a cost and no error: the averages and bounds of the cost of a call are of these.
    pub priced_calls: u64,
    /// Rounded half to even to the picodollar, as are the other averages.
    pub cost_avg_usd: Option<Usd>,
    /// Of the calls that have a cost, tokens in and out.
    pub cost_per_1k_tokens_usd: Option<Usd>,
    /// Different users.
    pub users: u64,
    /// Different sessions.
    pub sessions: u64,
    /// Sessions with a call in the 30 minutes before `at`.
    pub active_sessions: u64,
    /// Of the calls that belong to a session.
    pub cost_per_session_usd: Option<Usd>,
    /// Output tokens for each input token.
    pub output_per_input: Option<Ratio>,
    /// The part of the input tokens that the provider read from its cache.
    pub cache_read_rate: Option<Ratio>,
    /// The part of the calls that the response cache answered.
    pub cache_hit_rate: Option<Ratio>,
    /// The part of the calls that ended without an error.
    pub success_rate: Option<Ratio>,
}

/// A row of figures: its bucket, one member for each dimension of `group_by`, and the figures.
#[derive(ToSchema)]
pub struct FiguresRow {
    /// The bucket's first instant, in the zone of the question.
    pub bucket: Option<Instant>,
    /// There where the row is what so many rows of the bucket come to; its dimensions are null then.
    #[schema(minimum = 1)]
    pub rest: Option<u64>,
    #[serde(flatten)]
    pub figures: Figures,
    /// The row's value of each dimension.
    #[serde(flatten)]
    pub keys: BTreeMap<String, serde_json::Value>,
}

/// Figures, with the question that they answer.
#[derive(ToSchema)]
pub struct FiguresReport {
    pub from: Option<Instant>,
    pub to: Option<Instant>,
    pub tz: String,
    /// `none`, `hour`, `day`, `week` or `month`.
    pub interval: String,
    pub group_by: Vec<String>,
    /// `corrected` or `billed`; absent where `as_of` is there.
    pub r#as: Option<String>,
    pub as_of: Option<Instant>,
    /// As in `usage`.
    pub run_in_progress: Option<String>,
    /// When sessions were looked at.
    pub at: Instant,
    pub rows: Vec<FiguresRow>,
    /// Of all: a user or a session of several rows counts once.
    pub total: Figures,
}

/// What a call used, as it is sent: totals that include their parts, or kinds of fees.
#[derive(ToSchema)]
pub struct SentUsage {
    #[schema(maximum = 1_000_000_000_000_000u64)]
    pub input_tokens: Option<u64>,
    #[schema(maximum = 1_000_000_000_000_000u64)]
    pub output_tokens: Option<u64>,
    pub cache_read_tokens: Option<u64>,
    pub cache_write_tokens: Option<u64>,
    pub cache_write_1h_tokens: Option<u64>,
    pub reasoning_tokens: Option<u64>,
    pub input_audio_tokens: Option<u64>,
    pub output_audio_tokens: Option<u64>,
}

/// A call that was made elsewhere. It has one of `usage`, `meters` and `response`, or failed, or was
/// answered by a cache.
#[derive(ToSchema)]
pub struct Event {
    /// The sender's own id of the call: the same one again counts once.
    #[schema(min_length = 1, max_length = 255)]
    pub id: String,
    /// Now, unless said.
    pub occurred_at: Option<Instant>,
    #[schema(min_length = 1, max_length = 256)]
    pub provider: String,
    /// The model; a `response` may say it instead.
    #[schema(min_length = 1, max_length = 256)]
    pub model: Option<String>,
    pub request_model: Option<String>,
    /// The provider's API, such as `chat`.
    pub api: Option<String>,
    pub usage: Option<SentUsage>,
    /// Disjoint quantities by meter.
    pub meters: Option<Meters>,
    /// The provider's answer, as JSON or as a text, to read the usage from.
    #[schema(value_type = Option<Object>)]
    pub response: Option<()>,
    /// The bill that the provider reported.
    pub provider_cost_usd: Option<Usd>,
    /// `true`, or what the cache saved.
    #[schema(value_type = Option<bool>)]
    pub cache_hit: Option<bool>,
    pub hold_id: Option<String>,
    pub service_tier: Option<String>,
    /// What else decides the price, such as a region.
    pub conditions: Option<BTreeMap<String, String>>,
    #[serde(flatten)]
    pub attribution: Attribution,
    pub latency_ms: Option<u64>,
    pub time_to_first_token_ms: Option<u64>,
    pub status: Option<Status>,
    pub http_status: Option<u16>,
    pub error: Option<String>,
    pub provider_response_id: Option<String>,
}

/// A CloudEvent (1.0) whose data is an event: what the envelope says need not stand in it again.
#[derive(ToSchema)]
pub struct CloudEvent {
    /// `1.0`
    pub specversion: String,
    #[schema(min_length = 1, max_length = 255)]
    pub id: String,
    pub source: String,
    pub r#type: String,
    /// When the call occurred; now, unless said.
    pub time: Option<Instant>,
    /// Who is metered.
    pub subject: Option<String>,
    #[schema(value_type = Object)]
    pub data: (),
}

/// At most 1,000 CloudEvents.
#[derive(ToSchema)]
pub struct CloudEvents(pub Vec<CloudEvent>);

/// An event of either kind, or at most 1,000 of them.
#[derive(ToSchema)]
#[serde(untagged)]
pub enum Events {
    One(Box<Event>),
    Enveloped(CloudEvent),
    Several(Vec<Event>),
}
