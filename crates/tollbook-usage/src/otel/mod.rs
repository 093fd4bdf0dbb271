//! OpenTelemetry spans and log records to events.
//!
//! Whoever receives them hands over [`Span`]s and [`Log`]s with only the attributes that are read
//! here; prompts and answers are never among them. What comes back is the event of a call, or why
//! there is none: the figures of an agent, a chain or an outer call are those of the calls below it.
//! Names are data ([`names`]); arithmetic is that of providers' answers. It must never know how
//! telemetry travels, nor what was recorded before.

mod agents;
mod event;
mod figures;
mod kind;
mod lineage;
mod merge;
mod names;

pub use lineage::{Lineage, Link, TakenBack, Verdict};
pub use merge::merge;

use crate::import::{Context, Problem};
use tollbook_types::Event;
use tollbook_types::limits::{ATTRIBUTE_BYTES_MAX, NAME_BYTES_MAX};

/// The source of these events.
pub const SOURCE: &str = "otlp";

/// Attributes with a meaning here, by their names in the tables; their values as text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes(Vec<(&'static str, String)>);

impl Attributes {
    /// Keeps an attribute if it is read here; its value is asked for only then. A value that is longer
    /// than what any of them needs is left out, as is a name that stands there already.
    pub fn put<T: Into<String> + AsRef<str>>(&mut self, name: &str, value: impl FnOnce() -> Option<T>) {
        let Some(name) = names::known(name) else { return };
        if self.get(name).is_some() {
            return;
        }
        let Some(value) = value() else { return };
        if name == names::ANSWER {
            self.0.extend(id_in(value.as_ref()).map(|id| (name, id)));
        } else if !value.as_ref().is_empty() && value.as_ref().len() <= ATTRIBUTE_BYTES_MAX {
            self.0.push((name, value.into()));
        }
    }

    /// The attribute's value, never empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// The first of the names that is there.
    fn first(&self, names: names::Names) -> Option<&str> {
        names.iter().find_map(|name| self.get(name))
    }
}

/// What stands above a span or log record: whose it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Of the resource.
    pub resource: Attributes,
    /// The name of the instrumentation.
    pub scope: String,
}

/// A span's own id, with its trace's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanId {
    /// The trace.
    pub trace: [u8; 16],
    /// The span in it.
    pub span: [u8; 8],
}

impl SpanId {
    /// An id of these bytes; neither may be all zeros.
    pub fn new(trace: [u8; 16], span: [u8; 8]) -> Option<SpanId> {
        (trace != [0; 16] && span != [0; 8]).then_some(SpanId { trace, span })
    }
}

/// A span, as far as it is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Its id.
    pub id: SpanId,
    /// The span above it, of the same trace.
    pub parent: Option<[u8; 8]>,
    /// Its name.
    pub name: String,
    /// When it began, in nanoseconds since 1970.
    pub start_nanos: u64,
    /// When it ended.
    pub end_nanos: u64,
    /// Whether its status is an error.
    pub failed: bool,
    /// What it says.
    pub attributes: Attributes,
}

/// A log record, as far as it is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// When it happened, in nanoseconds since 1970; 0 where it is not told.
    pub time_nanos: u64,
    /// The event's name, where the record has one of its own.
    pub event_name: String,
    /// The body, where it is a short text.
    pub body: String,
    /// The span that it was written in.
    pub span: Option<SpanId>,
    /// What it says.
    pub attributes: Attributes,
}

/// What a span or log record comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// A call with its usage.
    Call(Box<Event>),
    /// A call that tells no usage.
    NoUsage,
    /// No call to a model, or one whose figures are those of other spans.
    Other,
}

/// Reads a span.
///
/// # Errors
/// A figure that is no count, an instant that cannot be: all problems at once.
pub fn read_span(span: &Span, origin: &Origin, ctx: &Context<'_>) -> Result<Told, Vec<Problem>> {
    let kind = kind::of(span);
    if kind == kind::Kind::Other || agents::is_agent(origin) {
        return Ok(Told::Other);
    }
    let is_call = kind == kind::Kind::Call;
    let Some(told) = figures::read(&span.attributes, names::USAGE)? else {
        return Ok(if is_call { Told::NoUsage } else { Told::Other });
    };
    // Figures alone do not make a call.
    let says_what = [names::PROVIDER, names::MODEL, names::REQUEST_MODEL, names::RESPONSE_ID];
    if !is_call && says_what.iter().all(|names| span.attributes.first(names).is_none()) {
        return Ok(Told::Other);
    }
    event::of_span(span, origin, told, ctx).map(|event| Told::Call(Box::new(event)))
}

/// Reads a log record: a coding agent's, or the event that the conventions write beside a span.
///
/// # Errors
/// As [`read_span`].
pub fn read_log(log: &Log, origin: &Origin, ctx: &Context<'_>) -> Result<Told, Vec<Problem>> {
    if let Some(row) = agents::of(log, origin) {
        return agents::read(row, log, origin, ctx);
    }
    if agents::is_agent(origin) || !event::is_of_span(log) {
        return Ok(Told::Other);
    }
    let Some(told) = figures::read(&log.attributes, names::USAGE)? else { return Ok(Told::NoUsage) };
    match event::of_log(log, origin, told, ctx)? {
        Some(event) => Ok(Told::Call(Box::new(event))),
        None => Ok(Told::Other),
    }
}

/// The id in a provider's answer, if it is one that has an id.
fn id_in(answer: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        id: std::borrow::Cow<'a, str>,
    }
    let is_object = answer.trim_start().starts_with('{');
    let answer: Answer<'_> = is_object.then(|| serde_json::from_str(answer).ok()).flatten()?;
    Some(short(&answer.id)).filter(|id| !id.is_empty())
}

/// A name that is short enough to be kept, else cut.
fn short(text: &str) -> String {
    crate::import::tidy(text, NAME_BYTES_MAX).unwrap_or_default()
}
