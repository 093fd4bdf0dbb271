//! Price texts: a user's overrides, a provider's book.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollbook_pricing::{Book, parse_provider};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = parse_provider("fuzz.toml", text);
    let _ = Book::empty().with_overrides(text);
});
