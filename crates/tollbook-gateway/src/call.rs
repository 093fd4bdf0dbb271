//! One call, from the moment it is let go to its record. It ends exactly once: whoever holds it
//! ends it, and one that is dropped ends as cut.

use crate::admission::Admitted;
use crate::capture::{self, Draft, Prompt};
use crate::core::{Phase, Plane};
use crate::decode::Decoder;
use crate::flights::{Entered, Flight};
use crate::refusal::{Reason, Refusal};
use http::{HeaderMap, header};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;
use tollbook_ledger::LedgerError;
use tollbook_types::{
    Attribution, DOWNGRADED, Digest, Entry, Event, Evidence, FreeReason, Meter, Money, OpenCall, Seq, Status,
    Timestamp,
};
use tollbook_usage::{End, Reader, Reading, Request, ResponseHead};
use uuid::Uuid;

/// The source of calls that went through the gateway.
pub const SOURCE: &str = "gateway";
/// The source of answers to polls: their usage is that of a call that was made before.
pub const POLL_SOURCE: &str = "gateway_poll";

/// Bytes of an answer that are held while its usage has not come, as a sample for an estimate.
const SAMPLE_BYTES: usize = 4 * 1024;

/// How a call came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Its answer is whole.
    Complete,
    /// Its upstream broke off, or could not be understood.
    Broken(String),
    /// A time limit ended it.
    Timeout(String),
    /// Its caller left; the answer was read on to its end, or was not.
    ClientGone(End),
    /// The gateway ended before it did.
    Shutdown,
}

/// What is known of a call when it is let go.
pub(crate) struct Plan {
    pub id: Uuid,
    pub at: Timestamp,
    pub started: Instant,
    pub request: Request,
    /// The model that was asked for, where it was changed to the request's.
    pub asked_model: Option<String>,
    pub attribution: Arc<Attribution>,
    pub admitted: Admitted,
    /// The provider in the books.
    pub provider: String,
    /// It asks about work that was started before.
    pub is_poll: bool,
    /// What was asked, where the words of the call are kept.
    pub prompt: Option<Prompt>,
}

impl Plan {
    fn flight(&self) -> Flight {
        let model = self.request.model.as_deref().unwrap_or_default();
        Flight::new(self.id, self.at, &self.provider, model, &self.attribution)
    }
}

/// What a call came to, for the headers of its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub cost: Option<Money>,
    /// The model that answered.
    pub model: String,
    /// It failed, whatever its status says.
    pub is_error: bool,
    pub status: CostStatus,
    pub input: u64,
    pub cached: u64,
    pub output: u64,
    pub reasoning: u64,
    /// The position of its record.
    pub seq: Seq,
}

/// How the cost in an answer's headers is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CostStatus {
    Exact,
    Estimated,
    Unpriced,
}

/// A call that has not ended.
pub(crate) struct Call {
    plane: Arc<Plane>,
    told: Option<Box<Told>>,
}

struct Told {
    plan: Plan,
    /// The request is on its way.
    is_sent: bool,
    http_status: Option<u16>,
    is_stream: bool,
    first_at: Option<Instant>,
    metering: Option<Metering>,
    /// It is shown to whoever watches.
    entered: Option<Entered>,
}

/// Reads an answer beside its way to the caller.
struct Metering {
    reader: Reader,
    decoder: Option<Decoder>,
    /// Why the answer cannot be read any further.
    blind: Option<String>,
}

impl Call {
    /// A call that is let go. Billable work is recorded as open before anything is sent; where that
    /// cannot be, it passes and is counted when its end cannot be recorded either.
    ///
    /// A call that a strict budget counts does not pass without its record.
    pub fn open(plane: Arc<Plane>, plan: Plan) -> Result<Call, Refusal> {
        if !plan.is_poll {
            let opened = plane.core.ledger.open_call(open_call(&plan));
            if let Err(error) = opened {
                if plan.admitted.must_be_recorded {
                    let text = "the call cannot be recorded now, and a strict budget counts it: try again";
                    return Err(Refusal::new(Reason::NotRecordable, text));
                }
                tracing::warn!(%error, "a call goes out without a record that it does");
            }
        }
        plane.core.counters.in_flight.up();
        let told = Told {
            plan,
            is_sent: false,
            http_status: None,
            is_stream: false,
            first_at: None,
            metering: None,
            entered: None,
        };
        Ok(Call { plane, told: Some(Box::new(told)) })
    }

    /// A request that is no call: nothing is read of its answer, nothing recorded.
    pub fn untold(plane: Arc<Plane>) -> Call {
        Call { plane, told: None }
    }

    /// The request is handed to its upstream: from here on it may be billed.
    pub fn sent(&mut self) {
        if let Some(told) = &mut self.told {
            told.is_sent = true;
        }
    }

    /// The request was not taken after all.
    pub fn not_sent(&mut self) {
        if let Some(told) = &mut self.told {
            told.is_sent = false;
        }
    }

    /// The head of its answer is there.
    pub fn answered(&mut self, status: u16, headers: &HeaderMap) {
        let Some(told) = &mut self.told else { return };
        let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        // Only Bedrock tells anything in its headers.
        let told_there: Vec<(String, String)> = if told.plan.request.provider == "bedrock" {
            let text = |value: &http::HeaderValue| value.to_str().map(str::to_owned).ok();
            headers
                .iter()
                .filter_map(|(name, value)| Some((name.as_str().to_owned(), text(value)?)))
                .collect()
        } else {
            Vec::new()
        };
        let head = ResponseHead { status, content_type, headers: &told_there };
        let mut reader = Reader::new(&told.plan.request, &head).sample_text(SAMPLE_BYTES);
        if told.plan.prompt.is_some() {
            reader = reader.keep_words(capture::READ_BYTES_MAX);
        }
        let encoding = headers.get(header::CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("?"));
        let (decoder, blind) = match encoding.filter(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
            None => (None, None),
            Some(encoding) => {
                let decoder = Decoder::for_encoding(encoding);
                let blind = decoder.is_none().then(|| format!("content_encoding: {encoding} cannot be read"));
                (decoder, blind)
            }
        };
        told.http_status = Some(status);
        told.is_stream = content_type.is_some_and(is_stream);
        told.metering = Some(Metering { reader, decoder, blind });
        if told.is_stream && status < 400 && !told.plan.is_poll {
            told.entered = self.plane.core.flights.enter(told.plan.flight());
        }
    }

    /// Bytes of its answer, as they pass.
    pub fn read(&mut self, bytes: &[u8]) {
        let Some(told) = &mut self.told else { return };
        if told.is_stream && told.first_at.is_none() && !bytes.is_empty() {
            told.first_at = Some(Instant::now());
        }
        let Some(metering) = &mut told.metering else { return };
        metering.read(bytes);
        if let Some(Entered { flight, .. }) = &told.entered
            && flight.passed(bytes.len())
        {
            flight.estimated(metering.reader.output_so_far());
        }
    }

    /// The thread that it runs on.
    pub fn plane(&self) -> &Arc<Plane> {
        &self.plane
    }

    /// Whether its end is still to come.
    pub fn is_open(&self) -> bool {
        self.told.is_some()
    }

    /// Ends and records it. What it came to is known when it could be recorded.
    pub fn end(&mut self, ending: Ending) -> Option<Outcome> {
        let told = self.told.take()?;
        let core = &self.plane.core;
        core.counters.in_flight.down();
        let (id, must_be_recorded) = (told.plan.id, told.plan.admitted.must_be_recorded);
        if !told.plan.is_poll {
            core.admission.ended(&id.to_string());
        }
        let (event, draft) = told.event(&ending)?;
        let outcome = record(&self.plane, event);
        // Words without a call would be nobody's.
        if let (Some(recorder), Some(draft), Some(_)) = (&core.capture, draft, &outcome) {
            recorder.take(draft);
        }
        // What a strict budget counts stays held: its open record says that it went out.
        if outcome.is_none() && !must_be_recorded {
            core.admission.release(&id.to_string());
        }
        outcome
    }

    /// What was asked, while the call has not ended.
    pub fn request(&self) -> Option<&Request> {
        self.told.as_ref().map(|told| &told.plan.request)
    }
}

/// Records an event; what it came to is known when it could be.
pub(crate) fn record(plane: &Plane, event: Event) -> Option<Outcome> {
    let core = &plane.core;
    match core.ledger.record_rated(event) {
        Ok((seq, entry)) => Some(Outcome::of(&entry, seq)),
        Err(LedgerError::Fatal(reason)) => {
            tracing::error!(reason, "nothing can be recorded any more");
            None
        }
        Err(error) => {
            core.counters.unrecorded.add(1);
            core.ledger.count_unrecorded(&error.to_string());
            tracing::warn!(%error, "a call could not be recorded");
            None
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.told.is_some() {
            let cutting = self.plane.core.phase() == Phase::Cutting;
            let ending = if cutting { Ending::Shutdown } else { Ending::ClientGone(End::Cut) };
            // A panic may be what drops it: a second one would end the process.
            let ended = catch_unwind(AssertUnwindSafe(|| self.end(ending)));
            if ended.is_err() {
                self.plane.core.counters.panics.add(1);
            }
        }
    }
}

impl Told {
    /// The event, and the words where they are kept; or nothing where there is nothing to tell.
    fn event(self: Box<Told>, ending: &Ending) -> Option<(Event, Option<Draft>)> {
        let Told { mut plan, is_sent, http_status, is_stream, first_at, metering, entered } = *self;
        drop(entered);
        let end = match ending {
            Ending::Complete | Ending::ClientGone(End::Complete) => End::Complete,
            _ => End::Cut,
        };
        let mut blind = None;
        let mut reading: Option<Reading> = metering.map(|metering| {
            let (reading, why) = metering.finish(end);
            blind = why;
            reading
        });
        let (prompt, answer) =
            (plan.prompt.take(), reading.as_mut().and_then(|reading| reading.words.take()));
        let mut event = match (reading, http_status) {
            (Some(reading), Some(status)) => reading.into_event(&plan.request, status),
            _ => plan.request.blank_event(),
        };
        event.provider.clone_from(&plan.provider);
        if plan.is_poll {
            return Some((poll(event, &plan)?, None));
        }
        if !is_sent {
            event.free = Some(FreeReason::NeverSent);
            event.evidence = Evidence::ProviderUsage;
        }
        event.flags.extend(blind);
        if let Some(asked) = plan.asked_model {
            event.flags.push(DOWNGRADED.to_owned());
            event.request_model = Some(asked);
        }
        finish(&mut event, ending);
        event.id = plan.id.to_string();
        SOURCE.clone_into(&mut event.source);
        event.occurred_at = plan.at;
        event.latency_ms = millis(plan.started.elapsed());
        event.time_to_first_token_ms =
            first_at.filter(|_| is_stream).and_then(|first| millis(first.duration_since(plan.started)));
        let draft = prompt.map(|prompt| {
            let Attribution { user, project, .. } = Attribution::clone(&plan.attribution);
            Draft { id: plan.id.to_string(), at: plan.at, user, project, prompt, answer }
        });
        event.attribution = Arc::unwrap_or_clone(plan.attribution);
        event.worst_case = plan.admitted.worst_case.filter(|_| event.evidence == Evidence::Unknown);
        // Nobody else can send this id: it tells the content apart as well.
        event.content = Digest(plan.id.into_bytes());
        Some((event, draft))
    }
}

/// Status and error, where the ending says more than the answer.
fn finish(event: &mut Event, ending: &Ending) {
    let (status, error) = match ending {
        Ending::Complete => return,
        Ending::Broken(why) => (Status::UpstreamError, why.as_str()),
        Ending::Timeout(why) => (Status::Timeout, why.as_str()),
        Ending::ClientGone(End::Complete) => (Status::ClientClosed, "the caller left before the end"),
        Ending::ClientGone(End::Cut) => (Status::ClientClosed, "the caller left and the answer was cut"),
        Ending::Shutdown => (Status::Shutdown, "the gateway ended before the answer did"),
    };
    event.status = status;
    event.error.get_or_insert_with(|| error.to_owned());
}

/// A poll tells of a call that was made before: only one that brings its usage and its id does.
fn poll(mut event: Event, plan: &Plan) -> Option<Event> {
    let id = event.provider_response_id.clone()?;
    event.usage.as_ref()?;
    // What the provider said is all of the content, so that a second poll is the same event.
    event.content = Digest::of(&serde_json::to_vec(&event).ok()?);
    event.id = id;
    POLL_SOURCE.clone_into(&mut event.source);
    event.occurred_at = plan.at;
    event.attribution = Attribution::clone(&plan.attribution);
    Some(event)
}

impl Metering {
    fn read(&mut self, bytes: &[u8]) {
        let Metering { reader, decoder, blind } = self;
        match decoder {
            _ if blind.is_some() => {}
            None => reader.push(bytes),
            Some(decoder) => {
                if let Err(error) = decoder.push(bytes, &mut |bytes| reader.push(bytes)) {
                    *blind = Some(format!("content_encoding: {error}"));
                }
            }
        }
    }

    fn finish(self, end: End) -> (Reading, Option<String>) {
        let Metering { reader, decoder, mut blind } = self;
        if let (Some(mut decoder), None, End::Complete) = (decoder, &blind, end)
            && let Err(error) = decoder.finish()
        {
            blind = Some(format!("content_encoding: {error}"));
        }
        let end = if blind.is_some() { End::Cut } else { end };
        (reader.finish(end), blind)
    }
}

impl Outcome {
    fn of(entry: &Entry, seq: Seq) -> Outcome {
        let Entry { event, rating, .. } = entry;
        let total = event.usage.as_ref().map(tollbook_types::Usage::total).unwrap_or_default();
        Outcome {
            cost: rating.cost,
            model: event.model.clone(),
            is_error: event.is_error(),
            status: match event.evidence {
                _ if rating.cost.is_none() => CostStatus::Unpriced,
                Evidence::Estimated | Evidence::Partial => CostStatus::Estimated,
                _ => CostStatus::Exact,
            },
            input: total.input_tokens(),
            cached: total.cache_read_tokens(),
            output: total.output_tokens(),
            reasoning: total.get(Meter::Reasoning).unwrap_or(0),
            seq,
        }
    }
}

impl CostStatus {
    /// The public name.
    pub const fn name(self) -> &'static str {
        match self {
            CostStatus::Exact => "exact",
            CostStatus::Estimated => "estimated",
            CostStatus::Unpriced => "unpriced",
        }
    }
}

/// Whether a content type is that of a stream of events.
pub(crate) fn is_stream(content_type: &str) -> bool {
    [
        "text/event-stream",
        "application/x-ndjson",
        "application/vnd.amazon.eventstream",
        "application/stream+json",
    ]
    .iter()
    .any(|kind| content_type.get(..kind.len()).is_some_and(|start| start.eq_ignore_ascii_case(kind)))
}

fn open_call(plan: &Plan) -> OpenCall {
    OpenCall {
        id: plan.id.to_string(),
        source: SOURCE.to_owned(),
        occurred_at: plan.at,
        provider: plan.provider.clone(),
        model: plan.request.model.clone().unwrap_or_default(),
        attribution: Attribution::clone(&plan.attribution),
        hold: plan.admitted.hold,
        worst_case: plan.admitted.worst_case,
    }
}

fn millis(duration: std::time::Duration) -> Option<u64> {
    u64::try_from(duration.as_millis()).ok()
}
