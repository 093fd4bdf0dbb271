//! Amounts and instants: whatever is read is written back as the same amount.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollbook_types::{Money, json, parse_instant};

fuzz_target!(|data: &[u8]| {
    let _ = json::parse(data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = parse_instant(text);
    if let Ok(money) = text.parse::<Money>() {
        assert_eq!(money.to_string().parse(), Ok(money));
        assert_eq!(Money::parse_rounding(text), Ok(money));
    }
    let _ = Money::parse_rounding(text);
});
