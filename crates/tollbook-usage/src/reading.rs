//! What an answer came to: usage, evidence, and why there is none where there is none.
//!
//! A count that the provider did not report is never passed off as one that it did.

use crate::api::Api;
use crate::disjoint::{Reported, disjoint, reported};
use crate::estimate::{estimate_by_bytes, estimate_tokens};
use crate::reader::{Framing, Kept, text_mark};
use crate::request::{Request, bounded, lower};
use crate::script::Words;
use crate::shape::Figures;
use crate::tally::Tally;
use crate::{bedrock, text};
use tollbook_types::limits::{CAPTURE_BYTES_MAX, FLAGS_MAX};
use tollbook_types::{Conditions, Evidence, FreeReason, Leg, Meter, Meters, ProviderCost, Usage};

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It is whole.
    Complete,
    /// It was cut: by an error, a time limit, or because somebody went away.
    Cut,
}

/// What is known after reading an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// What it used; absent when unknown or when nothing is billable.
    pub usage: Option<Usage>,
    /// How that is known.
    pub evidence: Evidence,
    /// Set when there is nothing to bill.
    pub free: Option<FreeReason>,
    /// The model that the answer names.
    pub model: Option<String>,
    /// The id that the provider gave the answer.
    pub provider_response_id: Option<String>,
    /// What else the price depends on.
    pub conditions: Conditions,
    /// The bill that the provider reported.
    pub provider_cost: Option<ProviderCost>,
    /// The usage object as it stood; several, one a line.
    pub raw_usage: Option<String>,
    /// The provider's own inclusive totals by public key, where the legs add up to something
    /// else: contradictory figures, or steps that its totals leave out.
    pub reported: Reported,
    /// Observations.
    pub flags: Vec<String>,
    /// The provider's figures contradict each other.
    pub inconsistent: bool,
    /// The error that the body reports.
    pub error: Option<String>,
    /// What made the estimate, where there is one.
    pub estimator: Option<String>,
    /// Events or documents that were seen.
    pub events_seen: u64,
    /// The words of the answer, where somebody keeps them.
    pub words: Option<Words>,
}

/// Draws the conclusion.
pub(crate) fn conclude(
    tally: &mut Tally,
    request: &Request,
    status: u16,
    end: End,
    framing: Framing,
    kept: &Kept,
) -> Reading {
    let conditions = conditions(std::mem::take(&mut tally.conditions), request);
    let loose = tally.is_loose() && !tally.counts_are_final();
    let mut reading = Reading {
        usage: None,
        evidence: Evidence::Unknown,
        free: None,
        model: tally.model.take(),
        provider_response_id: tally.id.take(),
        conditions,
        provider_cost: tally.cost.take(),
        raw_usage: (!tally.raw.is_empty()).then(|| std::mem::take(&mut tally.raw)),
        reported: std::mem::take(&mut tally.reported),
        flags: std::mem::take(&mut tally.flags),
        inconsistent: tally.inconsistent,
        error: tally.error.take(),
        estimator: None,
        events_seen: tally.events,
        words: None,
    };
    if status >= 400 {
        reading.error = reading.error.or_else(|| tally.error_text.take()).or(Some(format!("HTTP {status}")));
    }
    if let Some(flag) = tally.fees.flag() {
        reading.flag(flag);
    }
    reading.free = free_at_once(tally, request, status, &mut reading);
    if reading.free.is_some() {
        return reading.without_usage();
    }
    let written = Written { request, framing, kept };
    match legs(tally, request, end, &mut reading) {
        Some(legs) => reported_usage(tally, legs, &written, (end, loose), &mut reading),
        None => missing_usage(tally, request, status, &written, &mut reading),
    }
    reading
}

impl Reading {
    /// Takes the usage out, with the provider's own totals where they differ from its sums.
    pub fn take_usage(&mut self) -> Option<Usage> {
        let mut usage = self.usage.take()?;
        usage.reported = self.reported.iter().map(|(key, quantity)| ((*key).to_owned(), *quantity)).collect();
        Some(usage)
    }

    fn flag(&mut self, flag: String) {
        if self.flags.len() < FLAGS_MAX && !self.flags.contains(&flag) {
            self.flags.push(flag);
        }
    }

    fn without_usage(mut self) -> Reading {
        self.provider_cost = None;
        self.raw_usage = None;
        self.inconsistent = false;
        // A poll must never outrank what is known of the work it asks about.
        self.evidence = match self.free {
            Some(FreeReason::NotBillable) | None => Evidence::Unknown,
            Some(_) => Evidence::ProviderUsage,
        };
        self
    }
}

/// Reasons that hold whatever the body says.
fn free_at_once(tally: &Tally, request: &Request, status: u16, reading: &mut Reading) -> Option<FreeReason> {
    let api = request.api;
    if api == Api::CountTokens {
        return Some(if status >= 400 { FreeReason::HttpError } else { FreeReason::CountTokens });
    }
    if api == Api::BatchResults && request.path().contains("/files/") {
        if !tally.legs.is_empty() {
            reading.flag("batch_results: these calls are billed with their batch".to_owned());
        }
        return Some(FreeReason::NotBillable);
    }
    let idle = api == Api::Moderation || (api == Api::Other && request.method != "POST");
    (idle && status < 400).then_some(FreeReason::NotBillable)
}

impl Request {
    /// What the price of its answer depends on, as far as the request says.
    pub fn conditions(&self) -> Conditions {
        conditions(Conditions::new(), self)
    }
}

fn conditions(mut conditions: Conditions, request: &Request) -> Conditions {
    let mut fill = |name: &str, value: Option<&str>| {
        if let Some(value) = value.filter(|value| !matches!(*value, "" | "auto" | "not_available")) {
            conditions.entry(name.to_owned()).or_insert_with(|| lower(value));
        }
    };
    fill("service_tier", request.service_tier.as_deref());
    fill("speed", request.speed.as_deref());
    fill("inference_geo", request.inference_geo.as_deref());
    fill("search_context_size", request.search_context_size.as_deref());
    if matches!(request.api, Api::Batch | Api::BatchResults) {
        fill("processing", Some("batch"));
    }
    let model = request.model.as_deref().unwrap_or_default();
    if request.provider == "bedrock" {
        fill("region", bedrock::route(model));
    }
    if request.provider == "vertex" {
        let location = request.path().split_once("/locations/").and_then(|(_, rest)| rest.split('/').next());
        fill("region", location.filter(|name| !name.contains(['<', '%'])));
    }
    conditions
}

/// The legs that the provider reported.
fn legs(tally: &mut Tally, request: &Request, end: End, reading: &mut Reading) -> Option<Vec<Leg>> {
    let provider = request.provider.as_str();
    if !tally.legs.is_empty() {
        return Some(tally.legs.clone());
    }
    let Some(figures) = tally.speaking() else {
        if tally.zero && end == End::Complete && tally.made == 0 {
            let meters = Meters::from_pairs([(Meter::Input, 0), (Meter::Output, 0)]);
            return Some(vec![Leg { model: None, kind: None, meters }]);
        }
        return reading.provider_cost.as_ref().map(|_| {
            let meters = made(tally, request).unwrap_or_default();
            vec![Leg { model: None, kind: None, meters }]
        });
    };
    let mut legs = if tally.iterations.is_empty() {
        let meters = disjoined(figures, provider, reading);
        vec![Leg { model: None, kind: None, meters }]
    } else {
        reading.reported = reported(&figures, provider);
        iteration_legs(tally, figures, provider, reading)
    };
    let model = reading.model.as_deref().or(request.model.as_deref()).unwrap_or_default();
    if let Some(first) = legs.iter_mut().find(|leg| leg.kind.as_deref().is_none_or(|kind| kind == "message"))
    {
        tally.fees.add_to(&mut first.meters, model);
        flat_fees(request, model, &mut first.meters);
    }
    if let (Some(characters), true) = (tally.characters, legs[0].meters.is_empty()) {
        legs[0].meters.set(Meter::Characters, characters);
    }
    Some(legs)
}

/// Fees by the request.
fn flat_fees(request: &Request, model: &str, meters: &mut Meters) {
    if request.api != Api::Chat {
        return;
    }
    let searches = model.as_bytes().windows(6).any(|stretch| stretch == b"search");
    if searches && (model.contains("search-preview") || model.contains("-search-api")) {
        meters.set(Meter::WebSearch, meters.get(Meter::WebSearch).unwrap_or(1));
    }
    if request.provider == "perplexity" {
        meters.set(Meter::Requests, 1);
    }
}

fn disjoined(figures: Box<Figures>, provider: &str, reading: &mut Reading) -> Meters {
    let found = disjoint(figures, provider);
    for flag in found.flags {
        reading.flag(flag);
    }
    reading.inconsistent |= found.inconsistent;
    reading.reported.extend(found.reported);
    found.meters
}

fn iteration_legs(
    tally: &mut Tally,
    figures: Box<Figures>,
    provider: &str,
    reading: &mut Reading,
) -> Vec<Leg> {
    let mut legs: Vec<Leg> = Vec::new();
    for step in std::mem::take(&mut tally.iterations) {
        let model = step.model.as_deref().map(bounded);
        let meters = disjoined(step.figures, provider, reading);
        if legs.len() < tollbook_types::limits::LEGS_MAX {
            legs.push(Leg { model, kind: Some(bounded(&step.kind)), meters });
        } else {
            reading.inconsistent = true;
            reading.flag("legs_truncated: more steps than are kept".to_owned());
        }
    }
    // Fees are told at the top level only.
    let fees = disjoint(figures, provider).meters;
    let main = legs.iter_mut().find(|leg| leg.kind.as_deref() == Some("message"));
    if let (Some(main), Some(searches)) = (main, fees.get(Meter::WebSearch)) {
        main.meters.set(Meter::WebSearch, searches);
    }
    legs
}

/// Everything an estimate can be made from.
struct Written<'a> {
    request: &'a Request,
    framing: Framing,
    kept: &'a Kept,
}

impl Written<'_> {
    /// An estimate of the answer's tokens, if any text was seen.
    fn output(&self, model: &str) -> Option<(u64, &'static str)> {
        if !self.kept.on || self.kept.bytes.is_empty() || self.framing == Framing::Opaque {
            return None;
        }
        let text = match text_mark(self.request.api) {
            Some(mark) if self.framing.is_stream() => marked_text(&self.kept.bytes, mark),
            _ => text::of_answer(&self.kept.bytes),
        };
        if text.is_empty() {
            return None;
        }
        let (tokens, estimator) = if self.kept.by_bytes {
            estimate_by_bytes(model, text.len() as u64)
        } else {
            estimate_tokens(model, &text)
        };
        Some((scaled(tokens, self.kept.total, self.kept.bytes.len() as u64), estimator))
    }

    fn input(&self, model: &str) -> Option<(u64, &'static str)> {
        if self.kept.by_bytes {
            // The whole body counts: what of it is no text is little.
            let bytes = Some(self.request.input_bytes).filter(|bytes| *bytes > 0)?;
            return Some(estimate_by_bytes(model, bytes));
        }
        let (tokens, estimator) = estimate_tokens(model, &self.request.input_text()?);
        let read = self.request.input_bytes.min(CAPTURE_BYTES_MAX as u64);
        Some((scaled(tokens, self.request.input_bytes, read), estimator))
    }
}

/// An estimate of the output tokens of an answer that is still being read.
pub(crate) fn output_so_far(request: &Request, framing: Framing, kept: &Kept) -> Option<u64> {
    let written = Written { request, framing, kept };
    written.output(request.model.as_deref().unwrap_or_default()).map(|(tokens, _)| tokens)
}

fn marked_text(bytes: &[u8], mark: &str) -> String {
    let finder = memchr::memmem::Finder::new(mark);
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| finder.find(line).is_some());
    lines.map(text::of_answer).collect()
}

/// What a part says of the whole.
fn scaled(tokens: u64, whole: u64, part: u64) -> u64 {
    if whole <= part || part == 0 {
        return tokens;
    }
    let scaled = u128::from(tokens) * u128::from(whole) / u128::from(part);
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

fn reported_usage(
    tally: &Tally,
    mut legs: Vec<Leg>,
    written: &Written<'_>,
    (end, loose): (End, bool),
    reading: &mut Reading,
) {
    let unfinished = tally.api == Api::Batch
        && tally.status.as_deref().is_some_and(|status| !is_final(status))
        && tally.legs.is_empty();
    let cut = end == End::Cut;
    let loose = cut && loose;
    let lines = cut && tally.api == Api::BatchResults;
    let output_open = tally.placeholder || (loose && tally.api.is_text());
    reading.evidence = if output_open {
        Evidence::Partial
    } else if reading.provider_cost.is_some() && !lines {
        Evidence::ProviderCost
    } else if unfinished || loose || lines || (cut && tally.provisional) {
        Evidence::Partial
    } else {
        Evidence::ProviderUsage
    };
    if output_open {
        open_output(&mut legs[0].meters, written, reading);
    }
    reading.usage = Some(Usage::of(legs));
}

/// The output is not counted: what was seen of it is estimated.
fn open_output(meters: &mut Meters, written: &Written<'_>, reading: &mut Reading) {
    for meter in [Meter::Output, Meter::Reasoning] {
        meters.remove(meter);
    }
    let model = reading.model.clone().or_else(|| written.request.model.clone()).unwrap_or_default();
    match written.output(&model) {
        Some((tokens, estimator)) => {
            meters.set(Meter::Output, tokens);
            reading.estimator = Some(estimator.to_owned());
        }
        None => reading.flag("output_unknown: the stream ended before its output was counted".to_owned()),
    }
}

fn is_final(status: &str) -> bool {
    matches!(
        status,
        "completed" | "failed" | "expired" | "cancelled" | "canceled" | "ended" | "SUCCESS" | "FAILED"
    )
}

fn missing_usage(
    tally: &Tally,
    request: &Request,
    status: u16,
    written: &Written<'_>,
    reading: &mut Reading,
) {
    reading.free = free_reason(tally, request, status, written.framing, reading);
    if reading.free.is_some() {
        *reading = reading.clone().without_usage();
        return;
    }
    let pending = tally.status.as_deref().is_some_and(|status| matches!(status, "queued" | "in_progress"));
    if request.api == Api::Batch || (pending && !written.framing.is_stream()) {
        // A later poll brings the usage.
        return;
    }
    if let Some(meters) = made(tally, request) {
        reading.evidence = Evidence::Estimated;
        reading.estimator = Some("facts".to_owned());
        reading.usage = Some(Usage::one(meters));
        return;
    }
    estimate(request, written, reading);
}

fn free_reason(
    tally: &Tally,
    request: &Request,
    status: u16,
    framing: Framing,
    reading: &Reading,
) -> Option<FreeReason> {
    // A body that is nothing but an error, whatever the status says.
    let only_error = framing == Framing::Json && reading.error.is_some() && tally.made == 0;
    if status >= 400 || only_error {
        return Some(FreeReason::HttpError);
    }
    (!request.is_billable_start()).then_some(FreeReason::NotBillable)
}

/// Quantities of what is not billed by tokens, from request and answer.
fn made(tally: &Tally, request: &Request) -> Option<Meters> {
    let (meter, quantity) = match request.api {
        Api::Images => (Meter::Images, Some(tally.made).filter(|made| *made > 0)),
        Api::Videos => (Meter::VideoMs, request.seconds.map(|seconds| seconds.saturating_mul(1_000))),
        Api::Speech => (Meter::Characters, request.input_characters()),
        Api::AudioTranscription => (Meter::AudioMs, tally.audio_ms),
        Api::Predict => (Meter::Characters, tally.characters),
        Api::Rerank if request.provider == "cohere" => (Meter::RerankSearch, Some(1)),
        _ => return None,
    };
    Some(Meters::from_pairs([(meter, quantity?)]))
}

/// An estimate from the texts, where both sides that must be there are.
fn estimate(request: &Request, written: &Written<'_>, reading: &mut Reading) {
    let model = reading.model.clone().or_else(|| request.model.clone()).unwrap_or_default();
    let output = written.output(&model);
    let embeds = request.api == Api::Embeddings && reading.error.is_none();
    if output.is_none() && !embeds {
        return;
    }
    let input = written.input(&model);
    let Some((_, estimator)) = output.or(input) else { return };
    let mut meters = Meters::new();
    for (meter, found) in [(Meter::Input, input), (Meter::Output, output)] {
        if let Some((tokens, _)) = found {
            meters.set(meter, tokens);
        }
    }
    if input.is_none() {
        reading.flag("input_unknown: the request's text is not at hand".to_owned());
    }
    reading.evidence = Evidence::Estimated;
    reading.estimator = Some(estimator.to_owned());
    reading.usage = Some(Usage::one(meters));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_scaled_to_the_whole() {
        assert_eq!(scaled(100, 400, 100), 400);
        assert_eq!(scaled(100, 50, 100), 100);
        assert_eq!(scaled(100, 50, 0), 100);
    }
}
