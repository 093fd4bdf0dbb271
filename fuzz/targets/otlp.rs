//! Telemetry as strangers send it, in both forms: what is a call fits the bounds and can be rated.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollbook_api::otlp::items::Batch;
use tollbook_api::otlp::{json, protobuf};
use tollbook_pricing::{Book, rate};
use tollbook_types::limits::{ID_BYTES_MAX, RECORD_BYTES_MAX, TELEMETRY_ITEMS_MAX};
use tollbook_usage::import::{Context, Problem};
use tollbook_usage::otel::{Log, Origin, Span, Told, read_log, read_span};

type Read<T> = fn(&T, &Origin, &Context<'_>) -> Result<Told, Vec<Problem>>;

fn take<T>(batch: Batch<T>, read: Read<T>) {
    let now = "2026-11-22T12:00:00Z".parse().expect("an instant");
    let ctx = Context::new("otlp", now);
    let items: usize = batch.groups.iter().map(|(_, items)| items.len()).sum();
    assert!(items + batch.faults.len() <= TELEMETRY_ITEMS_MAX);
    for (origin, items) in &batch.groups {
        for item in items {
            match read(item, origin, &ctx) {
                Ok(Told::Call(event)) => {
                    assert!(!event.id.is_empty() && event.id.len() <= ID_BYTES_MAX);
                    let rating = rate(&Book::embedded(), &event).rating;
                    let sides = [rating.input_cost, rating.output_cost, rating.other_cost];
                    if let Some(cost) = rating.cost {
                        let sum = tollbook_types::Money::checked_sum(sides.into_iter().flatten());
                        assert_eq!(sum, Some(cost));
                    }
                    assert!(serde_json::to_vec(&event).expect("json").len() < RECORD_BYTES_MAX);
                }
                Ok(_) => {}
                Err(problems) => assert!(!problems.is_empty()),
            }
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let spans: [Option<Batch<Span>>; 2] = [protobuf::spans(data).ok(), json::spans(data).ok()];
    spans.into_iter().flatten().for_each(|batch| take(batch, read_span));
    let logs: [Option<Batch<Log>>; 2] = [protobuf::logs(data).ok(), json::logs(data).ok()];
    logs.into_iter().flatten().for_each(|batch| take(batch, read_log));
    let _ = (protobuf::points(data), json::points(data));
});
