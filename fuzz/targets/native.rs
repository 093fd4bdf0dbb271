//! Events as strangers send them: an event that is taken in fits the bounds and can be rated.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollbook_pricing::{Book, rate};
use tollbook_types::limits;
use tollbook_usage::import::{Context, native};

fuzz_target!(|data: &[u8]| {
    let now = "2026-11-22T12:00:00Z".parse().expect("an instant");
    if let Ok(event) = native::parse_event(data, &Context::new("api", now)) {
        assert!(!event.id.is_empty() && event.id.len() <= limits::ID_BYTES_MAX);
        let rated = rate(&Book::embedded(), &event);
        let sides = [rated.rating.input_cost, rated.rating.output_cost, rated.rating.other_cost];
        if let Some(cost) = rated.rating.cost {
            let sum = tollbook_types::Money::checked_sum(sides.into_iter().flatten());
            assert_eq!(sum, Some(cost));
        }
        assert!(serde_json::to_vec(&event).expect("json").len() < limits::RECORD_BYTES_MAX);
    }
});
