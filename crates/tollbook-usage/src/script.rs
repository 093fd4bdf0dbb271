//! The words of an answer, written down as it passes, for whoever keeps them.
//!
//! One event at a time is held, and of all words no more than was asked for. It must never know why
//! somebody keeps them, or what of them must not be kept.

use crate::api::Api;
use crate::reader::{Framing, text_mark};
use crate::text;
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;
use tollbook_types::limits::CAPTURE_BYTES_MAX;

/// What an answer said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// As far as it is kept.
    pub text: String,
    /// There was more.
    pub is_cut: bool,
}

/// Writes the words of one answer down.
#[derive(Debug)]
pub(crate) struct Script {
    api: Api,
    /// The event, or the whole answer, that is being read.
    piece: Vec<u8>,
    /// It is longer than what is held of it.
    is_long: bool,
    words: Words,
    max: usize,
}

impl Script {
    pub fn new(api: Api, max: usize) -> Script {
        Script { api, piece: Vec::new(), is_long: false, words: Words::default(), max }
    }

    pub fn add(&mut self, bytes: &[u8]) {
        if self.words.is_cut {
            return;
        }
        let room = CAPTURE_BYTES_MAX.saturating_sub(self.piece.len());
        self.is_long |= bytes.len() > room;
        self.piece.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    pub fn end_event(&mut self) {
        // Where an answer is told twice, piece by piece and whole, the pieces count.
        let mark = text_mark(self.api).map(str::as_bytes);
        if mark.is_none_or(|mark| memmem::find(&self.piece, mark).is_some()) {
            let text = text::of_answer(&self.piece);
            self.say(&text);
        }
        self.piece.clear();
    }

    pub fn finish(mut self, framing: Framing) -> Words {
        if framing == Framing::Json {
            let text = text::of_whole_answer(output(self.api, &self.piece));
            self.say(&text);
        } else if framing != Framing::Opaque && !self.piece.is_empty() {
            self.end_event();
        }
        self.words
    }

    fn say(&mut self, text: &str) {
        if self.words.is_cut {
            return;
        }
        let mut end = text.len().min(self.max.saturating_sub(self.words.text.len()));
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.words.text.push_str(&text[..end]);
        self.words.is_cut = end < text.len() || self.is_long;
    }
}

/// The part of a whole answer that the model wrote: some repeat the question beside it.
fn output(api: Api, body: &[u8]) -> &[u8] {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        output: Option<&'a RawValue>,
    }
    let repeats = matches!(api, Api::Responses | Api::Interactions);
    let answer = repeats.then(|| serde_json::from_slice::<Answer<'_>>(body).ok()).flatten();
    answer.and_then(|answer| answer.output).map_or(body, |output| output.get().as_bytes())
}

#[cfg(test)]
mod tests {
    use crate::{End, Reader, Request, ResponseHead, Words};

    fn words(path: &str, content_type: &str, answer: &str, max: usize, step: usize) -> Words {
        let provider = if path.contains("messages") { "anthropic" } else { "openai" };
        let request = Request::facts(provider, "POST", path, None, Some(br#"{"stream":true}"#));
        let head = ResponseHead { status: 200, content_type: Some(content_type), headers: &[] };
        let mut reader = Reader::new(&request, &head).sample_text(64).keep_words(max);
        answer.as_bytes().chunks(step).for_each(|piece| reader.push(piece));
        reader.finish(End::Complete).words.unwrap()
    }

    #[test]
    fn each_answer_says_its_words_once() {
        const SSE: &str = "text/event-stream";
        const CHAT: &str = "/v1/chat/completions";
        let chat = "data: {\"id\":\"c\",\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"Grüße\"}}]}\n\n\
            data: {\"id\":\"c\",\"choices\":[{\"delta\":{\"content\":\", Welt\"}}]}\n\n\
            data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n";
        let responses = "event: response.output_text.delta\n\
            data: {\"type\":\"response.output_text.delta\",\"delta\":\"Hi\"}\n\n\
            data: {\"type\":\"response.output_text.done\",\"text\":\"Hi\"}\n\n\
            data: {\"type\":\"response.completed\",\"response\":{\"output\":[{\"content\":[{\"text\":\"Hi\"}]}]}}\n\n";
        let messages = "data: {\"type\":\"content_block_start\",\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n\
            data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi\"}}\n\n";
        let whole =
            r#"{"id":"c","choices":[{"message":{"role":"assistant","content":"Hi\nyou"}}],"usage":{}}"#;
        let echo = r#"{"instructions":"be kind","output":[{"type":"message","content":[{"type":"output_text","text":"Hi"}]}]}"#;
        let cases = [
            ("a stream", CHAT, SSE, chat, 99, "Grüße, Welt", false),
            ("cut at a letter of two bytes", CHAT, SSE, chat, 3, "Gr", true),
            ("just enough", CHAT, SSE, chat, 13, "Grüße, Welt", false),
            ("told in pieces and whole", "/v1/responses", SSE, responses, 99, "Hi", false),
            ("blocks", "/v1/messages", SSE, messages, 99, "Hi", false),
            ("whole", CHAT, "application/json", whole, 99, "Hi\nyou", false),
            ("whole, cut", CHAT, "application/json", whole, 2, "Hi", true),
            ("whole, with the question", "/v1/responses", "application/json", echo, 99, "Hi", false),
            ("no text at all", CHAT, "audio/mpeg", "\u{1}\u{2}\u{3}\u{4}\u{5}\u{6}\u{7}", 99, "", false),
        ];
        for (what, path, kind, answer, max, text, is_cut) in cases {
            for step in [answer.len(), 1, 7] {
                let expected = Words { text: text.to_owned(), is_cut };
                assert_eq!(words(path, kind, answer, max, step), expected, "{what} by {step}");
            }
        }
    }

    #[test]
    fn what_is_held_of_an_answer_has_a_bound() {
        let long = "x".repeat(600 * 1024);
        let body = format!(r#"{{"choices":[{{"message":{{"content":"{long}"}}}}]}}"#);
        let found = words("/v1/chat/completions", "application/json", &body, 1 << 20, 1 << 16);
        assert!(found.is_cut && found.text.len() < 256 * 1024, "{}", found.text.len());
        let event = format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{long}\"}}}}]}}\n\n");
        let found = words("/v1/chat/completions", "text/event-stream", &event.repeat(3), 1 << 20, 1 << 16);
        assert!(found.is_cut && found.text.len() < 256 * 1024, "{}", found.text.len());
    }
}
