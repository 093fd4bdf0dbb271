//! The same bytes in any chunking give the same reading.

use crate::cases;
use crate::support::Answer;
use proptest::prelude::*;
use tollbook_usage::End;

/// The pieces of a body between cuts.
fn pieces<'a>(body: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut % (body.len() + 1)).collect();
    at.sort_unstable();
    let mut from = 0;
    let mut out = Vec::new();
    for cut in at.into_iter().chain([body.len()]) {
        out.push(&body[from..cut]);
        from = cut;
    }
    out
}

fn assert_same(answer: &Answer, pieces: Vec<&[u8]>) {
    for end in [End::Complete, End::Cut] {
        let whole = answer.read_chunks(std::iter::once(answer.body.as_slice()), end);
        assert_eq!(answer.read_chunks(pieces.iter().copied(), end), whole);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_chunking_reads_the_same(cuts in prop::collection::vec(any::<usize>(), 0..8)) {
        for answer in cases::answers() {
            assert_same(&answer, pieces(&answer.body, &cuts));
        }
    }

    #[test]
    fn any_chunking_of_any_bytes_reads_the_same(
        body in prop::collection::vec(any::<u8>(), 0..400),
        cuts in prop::collection::vec(any::<usize>(), 0..8),
        kind in 0..4_usize,
    ) {
        let kind = ["application/json", "text/event-stream", "application/x-ndjson", "application/vnd.amazon.eventstream"][kind];
        let answer = Answer::new("openai", "/v1/chat/completions", "m", kind, body);
        assert_same(&answer, pieces(&answer.body, &cuts));
    }

    #[test]
    fn any_json_like_text_reads_the_same(
        words in prop::collection::vec(prop::sample::select(WORDS), 0..60),
        cuts in prop::collection::vec(any::<usize>(), 0..8),
        kind in prop::sample::select(&["application/json", "text/event-stream", "application/x-ndjson"][..]),
    ) {
        let answer = Answer::new("anthropic", "/v1/messages", "m", kind, words.concat());
        assert_same(&answer, pieces(&answer.body, &cuts));
    }
}

/// Pieces of answers, in any order.
const WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\\",
    "\\u00",
    "\"usage\":",
    "\"message\":",
    "\"input_tokens\"",
    "\"output_tokens\":",
    "-1",
    "1.5",
    "12",
    "null",
    "NaN",
    "1e999",
    "99999999999999999999",
    "data: ",
    "data:",
    "event: x",
    "\n",
    "\r",
    "\r\n",
    "\n\n",
    "[DONE]",
    "\"iterations\":[",
    "\"type\":\"message_start\"",
    "\"model\":\"m\"",
    " ",
    "é",
    "\u{feff}",
    "\"error\":",
];

#[test]
fn byte_by_byte_is_no_exception() {
    for answer in cases::answers() {
        assert_same(&answer, answer.body.chunks(1).collect());
    }
}

/// A frame may begin with bytes that are blanks in a text.
#[test]
fn blanks_in_front_of_frames_are_not_blanks() {
    let body = b"\r\r\r\r\r\t\n\r\r\r\r\r\r\r\t\r\r\x03\r\r\x03".to_vec();
    let answer =
        Answer::new("bedrock", "/model/m/converse-stream", "m", "application/vnd.amazon.eventstream", body);
    for size in 1..answer.body.len() {
        assert_same(&answer, answer.body.chunks(size).collect());
    }
}

/// Events that say nothing teach the reader how events begin; the one with the figures begins likewise.
#[test]
fn what_events_share_hides_no_figures() {
    let figures = r#"{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}"#;
    let tails = [
        (r#","usage":null}"#, format!(r#","usage":{figures}}}"#)),
        (r#","x":"usage"}"#, format!(r#","usage":{figures}}}"#)),
        (r#"}"#, format!(r#","usage" : {figures}}}"#)),
        (r#","x_groq":{"id":"x"}}"#, format!(r#","x_groq":{{"usage":{figures}}}}}"#)),
    ];
    for pad in 0..200 {
        for (silent, telling) in &tails {
            let head = format!(r#"{{"id":"c","model":"m","pad":"{}","choices":[]"#, "x".repeat(pad));
            for (lead, kind, end) in
                [("data: ", "text/event-stream", "\n\n"), ("", "application/x-ndjson", "\n")]
            {
                let event = |tail: &str| format!("{lead}{head}{tail}{end}");
                let body = event(silent).repeat(5) + &event(telling) + &event(silent);
                let answer =
                    Answer::new("openai", "/v1/chat/completions", "m", kind, body.clone().into_bytes());
                let whole = answer.read_chunks(std::iter::once(answer.body.as_slice()), End::Complete);
                let total = whole.usage.as_ref().map(tollbook_types::Usage::total).unwrap_or_default();
                assert_eq!((total.input_tokens(), total.output_tokens()), (7, 2), "{body}");
                assert_eq!(whole.events_seen, 7, "{body}");
                assert_same(&answer, body.split_inclusive('\n').map(str::as_bytes).collect());
                assert_same(&answer, answer.body.chunks(97).collect());
            }
        }
    }
}
