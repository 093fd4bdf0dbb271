//! What is recorded of a call, made of what its answer came to.

use tollbook_types::{Digest, Event, FreeReason, Status, Timestamp};
use tollbook_usage::{Api, Reading, Request};

/// A reading as an event; who, when and on whose account is for the caller to fill in.
pub(crate) fn of_reading(request: &Request, mut reading: Reading, http_status: u16) -> Event {
    let usage = reading.take_usage();
    // A realtime session goes on after an error; any other answer ends with it.
    let ended = reading.error.is_some() && request.api != Api::Realtime;
    let failed = http_status >= 400 || reading.free == Some(FreeReason::HttpError) || ended;
    let mut event = blank(request);
    if let Some(model) = reading.model {
        event.model = model;
    }
    event.request_model = request.model.clone().filter(|asked| *asked != event.model);
    event.status = if failed { Status::UpstreamError } else { Status::Ok };
    event.error = reading.error;
    event.http_status = Some(http_status);
    event.usage = usage;
    event.evidence = reading.evidence;
    event.free = reading.free;
    event.provider_cost = reading.provider_cost;
    event.conditions = reading.conditions;
    event.provider_response_id = reading.provider_response_id;
    event.flags = reading.flags;
    event.inconsistent = reading.inconsistent;
    event.raw_usage = reading.raw_usage;
    event.estimator = reading.estimator;
    event
}

/// The event of a request that has no answer.
pub(crate) fn blank(request: &Request) -> Event {
    Event {
        id: String::new(),
        source: String::new(),
        occurred_at: Timestamp::UNIX_EPOCH,
        provider: request.provider.clone(),
        model: request.model.clone().unwrap_or_default(),
        request_model: None,
        api: Some(request.api.name().to_owned()),
        status: Status::UpstreamError,
        error: None,
        http_status: None,
        usage: None,
        evidence: tollbook_types::Evidence::Unknown,
        free: None,
        provider_cost: None,
        conditions: Default::default(),
        provider_response_id: None,
        attribution: Default::default(),
        latency_ms: None,
        time_to_first_token_ms: None,
        cache_hit: None,
        flags: Vec::new(),
        inconsistent: false,
        raw_usage: None,
        estimator: None,
        worst_case: None,
        hold_id: None,
        content: Digest::default(),
    }
}
