//! The members of answers that matter, as a tree: the only place that says where they stand.
//!
//! One tree serves all dialects, because their names do not collide where it matters; what a
//! captured value means is decided elsewhere.

use crate::names::Places;
use crate::text::escaped_name;

/// What a captured value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// A usage object.
    Usage,
    /// A usage object that only repeats another one of the same document.
    UsageAside,
    /// Provisional usage that a later event supersedes.
    UsageStep,
    /// Cohere's `meta`.
    Meta,
    /// Bedrock's `amazon-bedrock-invocationMetrics`.
    Metrics,
    Model,
    Id,
    Object,
    Type,
    Status,
    Tier,
    Error,
    /// A top-level `message` text, as AWS errors have it.
    ErrorText,
    /// A finish reason.
    Finish,
    /// One choice of a chat answer begins.
    Choice,
    /// One output item begins.
    Item,
    ItemType,
    ItemAction,
    ItemContainer,
    /// The queries of a grounded answer.
    Queries,
    /// A grounding chunk from maps begins.
    Maps,
    /// One thing was made: an image or an embedding.
    Made,
    /// A top-level count beside no usage object: (Ollama, Titan, Llama, llama.cpp).
    PromptCount,
    OutputCount,
    CachedCount,
    /// An output count of one of several results, to be added up.
    ResultCount,
    /// A prediction's token count, to be added up.
    PredictionCount,
    Characters,
    Seconds,
    /// The transcription model of a realtime session.
    Transcriber,
    // Requests.
    Stream,
    MaxTokens,
    Many,
    Size,
    Quality,
    ToolType,
    ToolName,
    Background,
    Speed,
    SearchContext,
    IncludeUsage,
    Geo,
}

pub(crate) const SLOTS: u32 = Slot::Geo as u32 + 1;

/// What is wanted of a value and of what is inside of it.
#[derive(Debug)]
pub(crate) struct Node {
    /// Where a scalar goes, and a container if `whole`.
    pub slot: Option<Slot>,
    /// Whether a container is captured as it stands.
    pub whole: bool,
    /// Noted when an object begins here.
    pub mark: Option<Slot>,
    /// Whether an object here is handed on as a document of its own.
    pub entry: bool,
    /// Wanted members of an object.
    pub members: &'static [(&'static str, &'static Node)],
    /// Wanted items of an array.
    pub items: Option<&'static Node>,
    places: Places,
}

impl Node {
    /// The node of a member, if it is wanted: by its name as it stands between the quotes.
    #[inline]
    pub fn member(&self, name: &[u8]) -> Option<&'static Node> {
        self.named(name).or_else(|| self.named(escaped_name(name)?.as_bytes()))
    }

    #[inline]
    fn named(&self, name: &[u8]) -> Option<&'static Node> {
        let (first, last) = (*name.first()?, *name.last()?);
        let is = |number: usize| self.members[number].0.as_bytes() == name;
        self.places.find(name.len(), first, last, is).map(|number| self.members[number].1)
    }
}

const NONE: Node = Node {
    slot: None,
    whole: false,
    mark: None,
    entry: false,
    members: &[],
    items: None,
    places: Places::NONE,
};

const fn scalar(slot: Slot) -> Node {
    Node { slot: Some(slot), ..NONE }
}

const fn whole(slot: Slot) -> Node {
    Node { slot: Some(slot), whole: true, ..NONE }
}

const fn object(members: &'static [(&'static str, &'static Node)]) -> Node {
    let mut places = Places::NONE;
    let mut at = 0;
    while at < members.len() {
        places = places.with(at, members[at].0);
        at += 1;
    }
    Node { members, places, ..NONE }
}

const fn list(items: &'static Node) -> Node {
    Node { items: Some(items), ..NONE }
}

const USAGE: Node = whole(Slot::Usage);
const MODEL: Node = scalar(Slot::Model);
const ID: Node = scalar(Slot::Id);
const OBJECT: Node = scalar(Slot::Object);
const TYPE: Node = scalar(Slot::Type);
const STATUS: Node = scalar(Slot::Status);
const TIER: Node = scalar(Slot::Tier);
const ERROR: Node = whole(Slot::Error);
const META: Node = whole(Slot::Meta);

const OUTPUT_ITEM: Node = Node {
    mark: Some(Slot::Item),
    ..object(&[
        ("type", &scalar(Slot::ItemType)),
        ("action", &object(&[("type", &scalar(Slot::ItemAction))])),
        ("container_id", &scalar(Slot::ItemContainer)),
    ])
};
const OUTPUT: Node = list(&OUTPUT_ITEM);

const CANDIDATES: Node = list(&object(&[
    ("finishReason", &scalar(Slot::Finish)),
    (
        "groundingMetadata",
        &object(&[
            ("webSearchQueries", &whole(Slot::Queries)),
            ("groundingChunks", &list(&object(&[("maps", &Node { mark: Some(Slot::Maps), ..NONE })]))),
        ]),
    ),
]));

/// A plain answer, as it stands inside of batches and events.
const ANSWER: &[(&str, &Node)] = &[
    ("usage", &USAGE),
    ("usageMetadata", &USAGE),
    ("model", &MODEL),
    ("modelVersion", &MODEL),
    ("id", &ID),
    ("responseId", &ID),
    ("service_tier", &TIER),
    ("status", &STATUS),
    ("object", &OBJECT),
    ("output", &OUTPUT),
    ("candidates", &CANDIDATES),
    ("error", &ERROR),
    ("meta", &META),
    ("speed", &scalar(Slot::Speed)),
    ("background", &scalar(Slot::Background)),
];

const BATCH_ENTRY: Node = Node {
    entry: true,
    ..object(&[
        // Titan's results and xAI's batch results share the name of their list.
        ("tokenCount", &scalar(Slot::ResultCount)),
        ("error", &ERROR),
        ("response", &object(ANSWER)),
        ("batch_result", &object(&[("response", &object(&[("chat_get_completion", &object(ANSWER))]))])),
    ])
};
const INLINED: Node = object(&[("inlinedResponses", &object(&[("inlinedResponses", &list(&BATCH_ENTRY))]))]);

// Ollama's answer text stands under the same name; a string is not wanted.
const RESPONSE: Node = object(&[
    ("usage", &USAGE),
    ("usageMetadata", &USAGE),
    ("model", &MODEL),
    ("modelVersion", &MODEL),
    ("id", &ID),
    ("responseId", &ID),
    ("service_tier", &TIER),
    ("status", &STATUS),
    ("object", &OBJECT),
    ("output", &OUTPUT),
    ("error", &ERROR),
    ("meta", &META),
    ("background", &scalar(Slot::Background)),
    ("body", &object(ANSWER)),
]);

const SESSION: Node = object(&[
    ("model", &MODEL),
    ("id", &ID),
    ("input_audio_transcription", &object(&[("model", &scalar(Slot::Transcriber))])),
    (
        "audio",
        &object(&[(
            "input",
            &object(&[("transcription", &object(&[("model", &scalar(Slot::Transcriber))]))]),
        )]),
    ),
]);

/// What is read of an answer. A top-level array is a list of answers.
pub(crate) static ANSWERS: Node = Node { items: Some(&Node { entry: true, ..object(ROOT) }), ..object(ROOT) };

const ROOT: &[(&str, &Node)] = &[
    ("usage", &USAGE),
    ("usageMetadata", &USAGE),
    ("model", &MODEL),
    ("id", &ID),
    ("object", &OBJECT),
    ("type", &TYPE),
    ("status", &STATUS),
    ("service_tier", &TIER),
    ("error", &ERROR),
    ("response", &RESPONSE),
    (
        "message",
        &Node {
            slot: Some(Slot::ErrorText),
            ..object(&[("usage", &USAGE), ("model", &MODEL), ("id", &ID), ("service_tier", &TIER)])
        },
    ),
    ("delta", &object(&[("usage", &USAGE)])),
    (
        "choices",
        &list(&Node {
            mark: Some(Slot::Choice),
            ..object(&[("finish_reason", &scalar(Slot::Finish)), ("usage", &whole(Slot::UsageAside))])
        }),
    ),
    ("x_groq", &object(&[("usage", &whole(Slot::UsageAside)), ("error", &ERROR)])),
    ("output", &OUTPUT),
    ("candidates", &CANDIDATES),
    ("modelVersion", &MODEL),
    ("responseId", &ID),
    ("response_id", &scalar(Slot::Id)),
    ("generation_id", &ID),
    ("serviceTier", &whole(Slot::Tier)),
    ("usage_info", &USAGE),
    ("meta", &META),
    ("interaction", &object(ANSWER)),
    (
        "metadata",
        &object(&[
            ("usage", &whole(Slot::UsageStep)),
            ("billableCharacterCount", &scalar(Slot::Characters)),
            ("model", &MODEL),
            ("output", &INLINED),
        ]),
    ),
    ("result", &object(&[("message", &object(ANSWER)), ("error", &ERROR)])),
    ("results", &list(&BATCH_ENTRY)),
    ("name", &scalar(Slot::Object)),
    ("session", &SESSION),
    (
        "predictions",
        &list(&object(&[(
            "embeddings",
            &object(&[("statistics", &object(&[("token_count", &scalar(Slot::PredictionCount))]))]),
        )])),
    ),
    ("data", &list(&Node { mark: Some(Slot::Made), ..NONE })),
    ("prompt_eval_count", &scalar(Slot::PromptCount)),
    ("eval_count", &scalar(Slot::OutputCount)),
    ("inputTextTokenCount", &scalar(Slot::PromptCount)),
    ("totalOutputTextTokenCount", &scalar(Slot::OutputCount)),
    ("prompt_token_count", &scalar(Slot::PromptCount)),
    ("generation_token_count", &scalar(Slot::OutputCount)),
    ("tokens_evaluated", &scalar(Slot::PromptCount)),
    ("tokens_predicted", &scalar(Slot::OutputCount)),
    ("tokens_cached", &scalar(Slot::CachedCount)),
    ("amazon-bedrock-invocationMetrics", &whole(Slot::Metrics)),
    ("duration", &scalar(Slot::Seconds)),
    ("speed", &scalar(Slot::Speed)),
    ("background", &scalar(Slot::Background)),
];

/// What is read of a request.
pub(crate) static REQUEST: Node = object(&[
    ("model", &MODEL),
    ("modelId", &MODEL),
    ("stream", &scalar(Slot::Stream)),
    ("max_tokens", &scalar(Slot::MaxTokens)),
    ("max_completion_tokens", &scalar(Slot::MaxTokens)),
    ("max_output_tokens", &scalar(Slot::MaxTokens)),
    ("max_tokens_to_sample", &scalar(Slot::MaxTokens)),
    ("max_gen_len", &scalar(Slot::MaxTokens)),
    ("generationConfig", &object(&[("maxOutputTokens", &scalar(Slot::MaxTokens))])),
    (
        "inferenceConfig",
        &object(&[("maxTokens", &scalar(Slot::MaxTokens)), ("max_new_tokens", &scalar(Slot::MaxTokens))]),
    ),
    ("options", &object(&[("num_predict", &scalar(Slot::MaxTokens))])),
    ("n", &scalar(Slot::Many)),
    ("size", &scalar(Slot::Size)),
    ("quality", &scalar(Slot::Quality)),
    ("seconds", &scalar(Slot::Seconds)),
    ("service_tier", &TIER),
    ("serviceTier", &whole(Slot::Tier)),
    ("background", &scalar(Slot::Background)),
    ("speed", &scalar(Slot::Speed)),
    ("inference_geo", &scalar(Slot::Geo)),
    ("tools", &list(&object(&[("type", &scalar(Slot::ToolType)), ("name", &scalar(Slot::ToolName))]))),
    (
        "web_search_options",
        &Node {
            mark: Some(Slot::ToolType),
            ..object(&[("search_context_size", &scalar(Slot::SearchContext))])
        },
    ),
    ("stream_options", &object(&[("include_usage", &scalar(Slot::IncludeUsage))])),
]);
