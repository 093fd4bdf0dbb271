//! The public price feeds: whatever a file says, it is prices that can be loaded, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollbook_pricing::{Book, parse_bound};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let book = Book::empty();
    let checked = parse_bound("2026-11-22").expect("a day");
    for import in [book.import_genai(text, "2026-11-22"), book.import_litellm(text, &checked)] {
        if let Ok(import) = import {
            let _ = import.apply(&book);
        }
    }
});
