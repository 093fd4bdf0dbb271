//! What an answer came to, as the event that is recorded of its call.

use crate::api::Api;
use crate::import::error_text;
use crate::reading::Reading;
use crate::request::Request;
use tollbook_types::{Event, FreeReason, Status, Timestamp};

impl Reading {
    /// The event of this answer, by its HTTP status. Who, when and on whose account is not told here:
    /// id, source, instant, attribution, times and content are for the caller to fill in.
    pub fn into_event(mut self, request: &Request, http_status: u16) -> Event {
        let usage = self.take_usage();
        // A realtime session goes on after an error; any other answer ends with it.
        let ended = self.error.is_some() && request.api != Api::Realtime;
        let failed = http_status >= 400 || self.free == Some(FreeReason::HttpError) || ended;
        let blank = request.blank_event();
        let model = self.model.unwrap_or(blank.model);
        Event {
            request_model: request.model.clone().filter(|asked| *asked != model),
            model,
            status: if failed { Status::UpstreamError } else { Status::Ok },
            error: self.error.as_deref().and_then(error_text),
            http_status: Some(http_status),
            usage,
            evidence: self.evidence,
            free: self.free,
            provider_cost: self.provider_cost,
            conditions: self.conditions,
            provider_response_id: self.provider_response_id,
            flags: self.flags,
            inconsistent: self.inconsistent,
            raw_usage: self.raw_usage,
            estimator: self.estimator,
            ..blank
        }
    }
}

impl Request {
    /// The event of a call that has no answer: nothing is known of its usage.
    pub fn blank_event(&self) -> Event {
        Event {
            provider: self.provider.clone(),
            model: self.model.clone().unwrap_or_default(),
            api: Some(self.api.name().to_owned()),
            status: Status::UpstreamError,
            ..Event::new(String::new(), String::new(), Timestamp::UNIX_EPOCH)
        }
    }
}
