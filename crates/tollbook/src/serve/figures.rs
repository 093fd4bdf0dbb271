//! The data plane's counters, as metrics.

use std::sync::{Arc, OnceLock};
use tollbook_api::metrics::{Family, Figures};
use tollbook_gateway::refusal::Reason;
use tollbook_gateway::{Counters, OVERHEAD_MICROS};

/// Names of the classes of a status.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The counters as metrics, from when the data plane runs.
pub fn of(counters: Arc<OnceLock<Arc<Counters>>>) -> Arc<dyn Figures> {
    Arc::new(Gateway(counters))
}

struct Gateway(Arc<OnceLock<Arc<Counters>>>);

impl Figures for Gateway {
    fn families(&self) -> Vec<Family> {
        let Some(counters) = self.0.get() else { return Vec::new() };
        let mut families =
            vec![upstreams(counters), refusals(counters), overhead(counters), captures(counters)];
        families.extend(gauges(counters));
        families.extend(counts(counters));
        families
    }
}

fn upstreams(counters: &Counters) -> Family {
    let name = "tollbook_gateway_requests_total";
    let mut family = Family::counter(name, "Requests to upstreams, by how they were answered.");
    for upstream in &counters.upstreams {
        let classes = upstream.answers.iter().zip(CLASSES).map(|(count, class)| (class, count.get()));
        let ends = [("failed", upstream.failed.get()), ("timeout", upstream.timeouts.get())];
        for (outcome, count) in classes.chain(ends).filter(|(_, count)| *count > 0) {
            family = family.with(&[("upstream", &upstream.name), ("outcome", outcome)], count);
        }
    }
    family
}

fn refusals(counters: &Counters) -> Family {
    let name = "tollbook_gateway_refusals_total";
    let family = Family::counter(name, "Requests that the gateway itself refused, by reason.");
    let reasons = Reason::ALL.iter().zip(&counters.refusals).filter(|(_, count)| count.get() > 0);
    reasons.fold(family, |family, (reason, count)| family.with(&[("reason", reason.name())], count.get()))
}

fn overhead(counters: &Counters) -> Family {
    let name = "tollbook_gateway_overhead_seconds";
    let family = Family::histogram(name, "How long the gateway itself kept a request.");
    let counts: Vec<u64> = counters.overhead.buckets.iter().map(|count| count.get()).collect();
    family.observed(&[], &OVERHEAD_MICROS, &counts, counters.overhead.sum_micros.get())
}

fn captures(counters: &Counters) -> Family {
    let name = "tollbook_captures_total";
    let family = Family::counter(name, "Calls whose words were to be kept, by what became of them.");
    let counts = &counters.captures;
    [("kept", &counts.kept), ("overrun", &counts.overrun), ("full", &counts.full), ("failed", &counts.failed)]
        .into_iter()
        .filter(|(_, count)| count.get() > 0)
        .fold(family, |family, (outcome, count)| family.with(&[("outcome", outcome)], count.get()))
}

fn gauges(counters: &Counters) -> [Family; 3] {
    [
        ("tollbook_gateway_connections", "Open connections of callers.", &counters.connections),
        ("tollbook_gateway_in_flight", "Calls under way.", &counters.in_flight),
        ("tollbook_gateway_draining", "Answers read on after their callers left.", &counters.draining),
    ]
    .map(|(name, help, gauge)| {
        Family::gauge(name, help).with(&[], u64::try_from(gauge.get()).unwrap_or_default())
    })
}

fn counts(counters: &Counters) -> [Family; 10] {
    [
        (
            "tollbook_gateway_connections_refused_total",
            "Connections closed at once: too many.",
            &counters.connections_refused,
        ),
        (
            "tollbook_gateway_connections_timed_out_total",
            "Connections that a time limit closed.",
            &counters.connections_timed_out,
        ),
        (
            "tollbook_gateway_clients_gone_total",
            "Callers that left before their answer's end.",
            &counters.clients_gone,
        ),
        (
            "tollbook_gateway_drains_refused_total",
            "Answers let go unread: too many were being read on.",
            &counters.drains_refused,
        ),
        ("tollbook_gateway_unrecorded_total", "Calls that passed without a record.", &counters.unrecorded),
        ("tollbook_gateway_request_bytes_total", "Bytes of requests.", &counters.bytes_in),
        ("tollbook_gateway_answer_bytes_total", "Bytes of answers.", &counters.bytes_out),
        ("tollbook_gateway_cache_hits_total", "Answers from the response cache.", &counters.cache_hits),
        (
            "tollbook_gateway_cache_misses_total",
            "Cachable requests whose answer was not there.",
            &counters.cache_misses,
        ),
        ("tollbook_gateway_panics_total", "Requests that a panic ended.", &counters.panics),
    ]
    .map(|(name, help, count)| Family::counter(name, help).with(&[], count.get()))
}
