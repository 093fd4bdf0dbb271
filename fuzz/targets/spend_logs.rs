//! LiteLLM's spend logs, as CSV, as a JSON array or as JSON Lines.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollbook_usage::import::FileReader;
use tollbook_usage::import::litellm::LiteLlm;

fuzz_target!(|data: &[u8]| {
    let now = "2026-11-22T12:00:00Z".parse().expect("an instant");
    let mut reader = LiteLlm::new(now);
    reader.open("spend");
    data.chunks(64).for_each(|piece| reader.push(piece));
    reader.close();
    let _ = reader.drain();
    let _ = reader.finish();
});
