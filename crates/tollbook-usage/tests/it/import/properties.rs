//! What holds for any bytes, and for any way to write the same event.

use super::claude_code::line;
use super::codex::rollout;
use super::litellm::spend_row;
use super::native::event;
use super::recorded::chat;
use super::{ctx, now};
use proptest::prelude::*;
use serde_json::json;
use tollbook_usage::import::claude_code::ClaudeCode;
use tollbook_usage::import::codex::Codex;
use tollbook_usage::import::json_lines::JsonLines;
use tollbook_usage::import::litellm::LiteLlm;
use tollbook_usage::import::{FileReader, native, recorded};

fn every_reader(bytes: &[u8]) {
    let _ = native::parse_event(bytes, &ctx());
    ClaudeCode::new(now()).then_read(bytes);
    Codex::new(now()).then_read(bytes);
    LiteLlm::new(now()).then_read(bytes);
    JsonLines::new(ctx(), native::parse_event).then_read(bytes);
    JsonLines::new(ctx(), recorded::parse_line).then_read(bytes);
}

trait ThenRead: FileReader + Sized {
    fn then_read(mut self, bytes: &[u8]) {
        self.open("f");
        for piece in bytes.chunks(7) {
            self.push(piece);
        }
        self.close();
        for event in self.finish().events {
            assert!(!event.id.is_empty() && event.id.len() <= 255 && !event.provider.is_empty());
            assert!(serde_json::to_vec(&event).unwrap().len() < 256 * 1024);
        }
    }
}

impl<T: FileReader> ThenRead for T {}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        every_reader(&bytes);
    }

    #[test]
    fn no_damage_makes_a_reader_panic(
        which in 0..5usize, at in 0..2_000usize, byte in any::<u8>(), cut in 0..2_000usize,
    ) {
        let texts = [
            event().to_string(),
            line("2026-05-01T10:00:00Z", "m", Some("r"), 100, 5, json!({})),
            rollout().join("\n"),
            json!([spend_row(), spend_row()]).to_string(),
            chat().to_string(),
        ];
        let mut bytes = texts[which].clone().into_bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        every_reader(&bytes);
        bytes.truncate(cut);
        every_reader(&bytes);
    }

    #[test]
    fn content_does_not_depend_on_order_null_or_zone(
        order in Just((0..6usize).collect::<Vec<_>>()).prop_shuffle(), hours in -11..12i32, nulls in any::<bool>(),
    ) {
        let instant = now().to_string();
        let zoned = tollbook_types::Timestamp::from_second(now().as_second() + i64::from(hours) * 3_600).unwrap().to_string();
        let zoned = format!("{}{}{:02}:00", zoned.trim_end_matches('Z'), if hours < 0 { '-' } else { '+' }, hours.abs());
        let members = |at: &str| [
            r#""id":"x""#.to_owned(), format!(r#""occurred_at":"{at}""#), r#""provider":"openai""#.to_owned(),
            r#""model":"m""#.to_owned(), r#""usage":{"input_tokens":1}"#.to_owned(), r#""tags":{"a":"b"}"#.to_owned(),
        ];
        let plain = format!("{{{}}}", members(&instant).join(","));
        let mixed = members(&zoned);
        let mut mixed: Vec<&str> = order.iter().map(|at| mixed[*at].as_str()).collect();
        if nulls {
            mixed.push(r#""user":null"#);
        }
        let mixed = format!("{{{}}}", mixed.join(","));
        let read = |text: &str| native::parse_event(text.as_bytes(), &ctx()).unwrap();
        prop_assert_eq!(read(&plain).content, read(&mixed).content);
        prop_assert_eq!(read(&plain).occurred_at, read(&mixed).occurred_at);
    }
}
