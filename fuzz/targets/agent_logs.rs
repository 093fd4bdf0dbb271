//! Logs of coding agents: read twice in other pieces, they give the same events.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollbook_usage::import::FileReader;
use tollbook_usage::import::claude_code::ClaudeCode;
use tollbook_usage::import::codex::Codex;

fn read(mut reader: impl FileReader, data: &[u8], step: usize) -> Vec<tollbook_types::Event> {
    reader.open("projects/p/a.jsonl");
    data.chunks(step).for_each(|piece| reader.push(piece));
    reader.close();
    reader.finish().events
}

fuzz_target!(|data: &[u8]| {
    let now = "2026-11-22T12:00:00Z".parse().expect("an instant");
    assert_eq!(read(ClaudeCode::new(now), data, 4_096), read(ClaudeCode::new(now), data, 7));
    assert_eq!(read(Codex::new(now), data, 4_096), read(Codex::new(now), data, 7));
});
