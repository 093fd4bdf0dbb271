//! Recorded provider answers, one a line: whatever the line says, it is an event within bounds or a
//! list of problems, and the same line is the same event.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollbook_types::limits;
use tollbook_usage::import::{Context, recorded};

fuzz_target!(|data: &[u8]| {
    let now = "2026-11-22T12:00:00Z".parse().expect("an instant");
    let context = Context::new(recorded::SOURCE, now);
    match recorded::parse_line(data, &context) {
        Ok(event) => {
            assert!(event.flags.len() <= limits::FLAGS_MAX);
            assert!(event.raw_usage.as_ref().is_none_or(|raw| raw.len() <= limits::RAW_USAGE_BYTES_MAX));
            assert_eq!(recorded::parse_line(data, &context).expect("the same again"), event);
        }
        Err(problems) => assert!(!problems.is_empty()),
    }
});
