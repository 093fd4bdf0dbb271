//! The tally of one answer: what its documents say, gathered as they come.
//!
//! Cumulative figures replace one another, Anthropic's are merged member by member, realtime turns
//! and batch lines are added up. Nothing is concluded here; that is `reading.rs`'s work.

use crate::anthropic::{self, Iteration};
use crate::api::Api;
use crate::bill;
use crate::disjoint::{Reported, disjoint};
use crate::fees::Fees;
use crate::json_push::Doc;
use crate::request::{bounded, lower, tier};
use crate::shape::{Field, Figures, recognise};
use crate::tree::Slot;
use crate::value::{Value, quantity, scalar_text};
use crate::{bedrock, openai, plain};
use tollbook_types::limits::{ERROR_BYTES_MAX, FLAGS_MAX, LEGS_MAX, RAW_USAGE_BYTES_MAX};
use tollbook_types::{Conditions, Leg, ProviderCost};

/// How usage objects of one answer relate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sum {
    /// Each one says all; the last counts.
    Last,
    /// Each turn is billed.
    Turns,
    /// Each line is a call of its own.
    Lines,
}

/// A usage object: as it stood, its figures, its steps.
type Read<'a> = (&'a str, Box<Figures>, Vec<Iteration>);

/// Usage objects, the ones that say most first.
const USAGES: [Slot; 5] = [Slot::Usage, Slot::Meta, Slot::UsageAside, Slot::UsageStep, Slot::Metrics];

/// Counts that stand outside of any usage object.
const COUNTS: [Slot; 7] = [
    Slot::PromptCount,
    Slot::OutputCount,
    Slot::ResultCount,
    Slot::PredictionCount,
    Slot::Made,
    Slot::Characters,
    Slot::Seconds,
];

/// What has been seen so far.
#[derive(Debug)]
pub(crate) struct Tally {
    pub api: Api,
    pub figures: Option<Box<Figures>>,
    pub iterations: Vec<Iteration>,
    /// Bedrock's metrics, which speak when no usage object does.
    pub metrics: Option<Box<Figures>>,
    /// Counts that stand in no object, which speak after them.
    pub counts: Option<Box<Figures>>,
    /// Figures from response headers, which fill what the counts lack.
    pub headers: Option<Box<Figures>>,
    /// The last document has no end.
    pub open: bool,
    /// The body is a stream of events.
    pub stream: bool,
    /// A usage object without any count came.
    pub zero: bool,
    /// Added-up turns, transcriptions and lines.
    pub legs: Vec<Leg>,
    pub cost: Option<ProviderCost>,
    pub fees: Fees,
    pub raw: String,
    pub model: Option<String>,
    pub id: Option<String>,
    pub status: Option<String>,
    pub conditions: Conditions,
    pub error: Option<String>,
    pub error_text: Option<String>,
    pub flags: Vec<String>,
    pub inconsistent: bool,
    pub reported: Reported,
    /// The figures so far are not the last ones.
    pub provisional: bool,
    /// The output count is a placeholder.
    pub placeholder: bool,
    /// Things made: images, embeddings.
    pub made: u64,
    pub characters: Option<u64>,
    pub audio_ms: Option<u64>,
    pub events: u64,
    transcriber: Option<String>,
}

impl Tally {
    pub fn new(api: Api) -> Tally {
        Tally {
            api,
            figures: None,
            iterations: Vec::new(),
            metrics: None,
            counts: None,
            headers: None,
            open: false,
            stream: false,
            zero: false,
            legs: Vec::new(),
            cost: None,
            fees: Fees::default(),
            raw: String::new(),
            model: None,
            id: None,
            status: None,
            conditions: Conditions::new(),
            error: None,
            error_text: None,
            flags: Vec::new(),
            inconsistent: false,
            reported: Reported::new(),
            provisional: false,
            placeholder: false,
            made: 0,
            characters: None,
            audio_ms: None,
            events: 0,
            transcriber: None,
        }
    }

    /// Whether figures that will last have been seen.
    pub fn is_settled(&self) -> bool {
        let reported = self.figures.is_some() || self.metrics.is_some() || !self.legs.is_empty();
        !self.placeholder && (reported || self.counts_are_final())
    }

    /// Whether the loose counts are those of a whole answer. Models on Bedrock count as they go.
    pub fn counts_are_final(&self) -> bool {
        let output = self.counts.as_ref().and_then(|counts| counts.get(Field::Output));
        output.is_some() && self.api != Api::Invoke && !self.open
    }

    /// Takes the figures that speak: what an object says, else what stands about; headers fill
    /// gaps.
    pub fn speaking(&mut self) -> Option<Box<Figures>> {
        let body = [&mut self.figures, &mut self.metrics, &mut self.counts];
        let Some(mut both) = body.into_iter().find_map(Option::take) else { return self.headers.take() };
        if let Some(headers) = &self.headers {
            for field in [Field::Input, Field::Output] {
                if let (None, Some(count)) = (both.get(field), headers.get(field)) {
                    both.set(field, headers.name(field), count);
                }
            }
        }
        Some(both)
    }

    /// Whether only loose counts are known.
    pub fn is_loose(&self) -> bool {
        self.figures.is_none() && self.metrics.is_none() && self.headers.is_none() && self.counts.is_some()
    }

    pub fn flag(&mut self, flag: &str) {
        if self.flags.len() < FLAGS_MAX && !self.flags.iter().any(|known| known == flag) {
            self.flags.push(bounded(flag));
        }
    }

    /// Takes in one document.
    pub fn document(&mut self, doc: &Doc<'_>, provider: &str) {
        if doc.truncated {
            self.flag("capture_truncated: a member of interest was too large to be held");
        }
        if doc.malformed && self.stream {
            self.flag("event_malformed: an event is no whole JSON text");
        }
        let kind = doc.last(Slot::Type).and_then(scalar_text).unwrap_or_default();
        if self.api == Api::AssistantsRun {
            let object = doc.last(Slot::Object).and_then(scalar_text).unwrap_or_default();
            if object.starts_with("thread.") && object != "thread.run" {
                return;
            }
        }
        self.identity(doc);
        self.circumstances(doc);
        if doc.has(&COUNTS) {
            self.counts(doc);
        }
        self.fees.document(doc);
        if doc.has(&USAGES) {
            self.usage(doc, &kind, provider);
        }
    }

    fn identity(&mut self, doc: &Doc<'_>) {
        if let Some(model) = doc.last(Slot::Model).and_then(scalar_text) {
            self.model = Some(bounded(model.strip_prefix("models/").unwrap_or(&model)));
        }
        if doc.has(&[Slot::Id]) && self.id.is_none() && self.api != Api::BatchResults {
            let mut ids = doc.items().filter(|(slot, _)| *slot == Slot::Id);
            self.id = ids.find_map(|(_, captured)| scalar_text(captured)).map(|id| bounded(&id));
        }
        if let Some(model) = doc.last(Slot::Transcriber).and_then(scalar_text) {
            self.transcriber = Some(bounded(&model));
        }
        if let Some(status) = doc.last(Slot::Status).and_then(scalar_text) {
            self.status = Some(status.into_owned());
        }
    }

    fn circumstances(&mut self, doc: &Doc<'_>) {
        if let Some(tier) = doc.last(Slot::Tier).and_then(tier) {
            self.condition("service_tier", &tier);
        }
        if let Some(speed) = doc.last(Slot::Speed).and_then(scalar_text) {
            self.condition("speed", &speed);
        }
        if let Some(captured) = doc.last(Slot::Error)
            && captured != b"{}"
            && let Some(message) = error_message(captured)
        {
            self.error = Some(message);
        }
        if let Some(message) = doc.last(Slot::ErrorText).and_then(scalar_text) {
            self.error_text = Some(clipped(&message, ERROR_BYTES_MAX));
        }
    }

    fn condition(&mut self, name: &str, value: &str) {
        let value = lower(value);
        // Early stream events still say what was asked for.
        if name == "service_tier" && value == "auto" {
            return;
        }
        if name == "service_tier" && value == "batch" {
            self.conditions.insert("processing".to_owned(), "batch".to_owned());
        }
        self.conditions.insert(name.to_owned(), value);
    }

    /// Counts that stand outside of any usage object.
    fn counts(&mut self, doc: &Doc<'_>) {
        for (slot, captured) in doc.items() {
            let (field, add) = match slot {
                Slot::PromptCount => (Field::Input, false),
                Slot::OutputCount => (Field::Output, false),
                Slot::ResultCount => (Field::Output, true),
                Slot::PredictionCount => (Field::Input, true),
                Slot::Made => {
                    self.made += 1;
                    continue;
                }
                Slot::Characters => {
                    self.characters = number(captured);
                    continue;
                }
                Slot::Seconds => {
                    let seconds =
                        Value::parse(captured, &mut Vec::new()).and_then(|value| value.millis().ok());
                    self.audio_ms = seconds.or(self.audio_ms);
                    continue;
                }
                _ => continue,
            };
            if captured == b"null" {
                continue;
            }
            let Some(count) = number(captured) else {
                self.inconsistent = true;
                self.flag("usage_damaged: a token count is not a whole number");
                continue;
            };
            let figures = self.counts.get_or_insert_with(|| Box::new(Figures::empty(&openai::CHAT)));
            let known = if add { figures.or_zero(field) } else { 0 };
            let name = if field == Field::Input { "prompt count" } else { "output count" };
            figures.set(field, name, known.saturating_add(count));
        }
    }

    fn usage(&mut self, doc: &Doc<'_>, kind: &str, provider: &str) {
        let mut found: Option<(Slot, Read<'_>)> = None;
        for wanted in USAGES.iter().filter(|wanted| doc.has(&[**wanted])) {
            let captured = doc.items().filter(|(slot, captured)| slot == wanted && *captured != b"null");
            for (slot, captured) in captured {
                let Some(read) = self.read(captured, kind, provider) else { continue };
                let twice = found.as_ref().is_some_and(|(_, (known, _, _))| known.as_bytes() != captured);
                if twice && slot == Slot::Usage {
                    self.inconsistent = true;
                    self.flag("usage_damaged: usage stands twice");
                }
                found = Some((slot, read));
            }
            if found.is_some() {
                break;
            }
        }
        let Some((slot, (captured, figures, steps))) = found else { return };
        if slot == Slot::Metrics {
            // The model's own figures say more, where there are any.
            self.metrics = Some(figures);
            self.keep_raw(captured, false);
            return;
        }
        self.provisional = slot == Slot::UsageStep || self.is_provisional(doc, figures.shape.name);
        match self.sum(figures.shape.name) {
            Sum::Last => {
                self.keep_raw(captured, false);
                self.last(figures, steps, kind);
            }
            Sum::Turns => {
                self.keep_raw(captured, true);
                self.turn(figures, kind, provider);
            }
            Sum::Lines => {
                self.keep_raw(captured, true);
                let model = doc.last(Slot::Model).and_then(scalar_text);
                let model = model.map(|model| bounded(model.strip_prefix("models/").unwrap_or(&model)));
                self.add_leg(model, None, figures, provider);
            }
        }
    }

    fn sum(&self, shape: &str) -> Sum {
        match self.api {
            Api::Realtime => Sum::Turns,
            Api::BatchResults => Sum::Lines,
            Api::Batch if shape == "google_metadata" => Sum::Lines,
            _ => Sum::Last,
        }
    }

    /// Reads a usage object; its bill and circumstances are taken note of.
    fn read<'a>(&mut self, captured: &'a [u8], kind: &str, provider: &str) -> Option<Read<'a>> {
        let text = std::str::from_utf8(captured).ok();
        if let Some((text, figures)) = text.and_then(|text| Some((text, plain::read(text)?))) {
            return Some((text, figures, Vec::new()));
        }
        let mut duplicates = Vec::new();
        let value = text.and_then(|text| Value::parse_text(text, &mut duplicates));
        let (Some(text), Some(value)) = (text, value) else {
            self.inconsistent = true;
            self.flag("usage_damaged: the usage object is not JSON");
            return None;
        };
        for name in duplicates {
            self.inconsistent = true;
            self.flag(&format!("usage_damaged: {name} stands twice"));
        }
        self.usage_circumstances(&value);
        if let Some(cost) = bill::of_usage(&value, provider) {
            let sums = matches!(self.api, Api::BatchResults | Api::Realtime);
            self.cost = if sums { bill::added(self.cost.take(), cost) } else { Some(cost) };
        }
        let anthropic = self.api == Api::Messages || matches!(kind, "message_start" | "message_delta");
        let shape = match recognise(&value) {
            Some(shape) if shape.name == "openai_responses" && anthropic => &anthropic::MESSAGES,
            Some(shape) => shape,
            None => {
                // Zeros are left out by this encoder.
                self.zero |= value.at("trafficType").is_some();
                return None;
            }
        };
        let figures = Figures::read(&value, shape)?;
        Some((text, figures, anthropic::iterations(&value)))
    }

    fn usage_circumstances(&mut self, usage: &Value<'_>) {
        if !usage.has_text() {
            return;
        }
        for (path, name) in [
            ("service_tier", "service_tier"),
            ("serviceTier", "service_tier"),
            ("speed", "speed"),
            ("inference_geo", "inference_geo"),
            ("trafficType", "traffic_type"),
            ("search_context_size", "search_context_size"),
        ] {
            if let Some(text) = usage.at(path).and_then(Value::text)
                && !matches!(text, "not_available" | "")
            {
                self.condition(name, text);
            }
        }
    }

    fn is_provisional(&self, doc: &Doc<'_>, shape: &str) -> bool {
        if doc.malformed && self.stream {
            // An event without its end: what would say that it is the last may be missing.
            return true;
        }
        let finished = doc.last(Slot::Finish).is_some();
        match shape {
            "google_metadata" => self.api == Api::GenerateContent && !finished,
            "openai_chat" => doc.count(Slot::Choice) > 0 && !finished,
            _ => false,
        }
    }

    fn last(&mut self, figures: Box<Figures>, steps: Vec<Iteration>, kind: &str) {
        if !steps.is_empty() {
            self.iterations = steps;
        }
        if figures.shape.name != anthropic::MESSAGES.name {
            self.figures = Some(figures);
            return;
        }
        let had = self.figures.is_some() && !self.placeholder;
        self.placeholder = match kind {
            "message_start" => !had,
            "message_delta" => self.placeholder && figures.get(Field::Output).is_none(),
            _ => false,
        };
        match &mut self.figures {
            Some(known) => known.merge(&figures),
            None => self.figures = Some(figures),
        }
    }

    fn turn(&mut self, figures: Box<Figures>, kind: &str, provider: &str) {
        if kind.contains("transcription") {
            let model = self.transcriber.clone();
            self.add_leg(model, Some("transcription"), figures, provider);
        } else if kind.is_empty() || kind == "response.done" {
            self.add_leg(None, None, figures, provider);
        }
    }

    /// Adds to the leg of this model and kind.
    fn add_leg(&mut self, model: Option<String>, kind: Option<&str>, figures: Box<Figures>, provider: &str) {
        let found = disjoint(figures, provider);
        self.inconsistent |= found.inconsistent;
        for flag in &found.flags {
            self.flag(flag);
        }
        let leg = self.legs.iter_mut().find(|leg| leg.model == model && leg.kind.as_deref() == kind);
        if let Some(leg) = leg {
            leg.meters.add_all(&found.meters);
        } else if self.legs.len() < LEGS_MAX {
            let leg = Leg { model, kind: kind.map(str::to_owned), meters: found.meters };
            // The conversation's own leg stands first.
            if kind.is_none() { self.legs.insert(0, leg) } else { self.legs.push(leg) }
        } else {
            self.inconsistent = true;
            self.flag("legs_truncated: more models than are kept");
        }
    }

    fn keep_raw(&mut self, text: &str, add: bool) {
        if !add {
            self.raw.clear();
        }
        if self.raw.len() + text.len() + 1 > RAW_USAGE_BYTES_MAX {
            self.flag("raw_usage_truncated: the usage objects are longer than what is kept");
            return;
        }
        if !self.raw.is_empty() {
            self.raw.push('\n');
        }
        self.raw.push_str(text);
    }

    /// Figures from response headers, where the body has none.
    pub fn read_headers(&mut self, headers: &[(String, String)]) {
        if let Some(figures) = bedrock::from_headers(headers) {
            self.headers = Some(figures);
        }
        let id = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("x-amzn-requestid"));
        if let (None, Some((_, id))) = (&self.id, id) {
            self.id = Some(bounded(id));
        }
    }
}

fn number(captured: &[u8]) -> Option<u64> {
    quantity(std::str::from_utf8(captured).ok()?).ok()
}

/// The message of an `error` member, whatever its shape.
pub(crate) fn error_message(captured: &[u8]) -> Option<String> {
    let value = Value::parse(captured, &mut Vec::new());
    let text = match &value {
        Some(Value::Null) => return None,
        Some(Value::Text(text)) => text.to_string(),
        Some(object) => ["message", "type", "code"]
            .iter()
            .find_map(|name| object.at(name).and_then(Value::text))
            .map_or_else(|| String::from_utf8_lossy(captured).into_owned(), str::to_owned),
        None => String::from_utf8_lossy(captured).into_owned(),
    };
    (!text.is_empty()).then(|| clipped(&text, ERROR_BYTES_MAX))
}

pub(crate) fn clipped(text: &str, bytes_max: usize) -> String {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}
