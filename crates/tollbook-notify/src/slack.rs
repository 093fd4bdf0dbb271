//! What Slack's incoming webhooks take.

use crate::message::Message;
use serde_json::{Value, json};

/// Characters of a text in a block, by Slack's documentation.
const TEXT_CHARS_MAX: usize = 3_000;

/// A message as Slack takes it.
pub fn body(message: &Message) -> Value {
    let title = escaped(&message.title);
    let text = match message.text.is_empty() {
        true => format!("*{title}*"),
        false => format!("*{title}*\n{}", escaped(&message.text)),
    };
    let text: String = text.chars().take(TEXT_CHARS_MAX).collect();
    json!({ "text": title, "blocks": [{ "type": "section", "text": { "type": "mrkdwn", "text": text } }] })
}

/// Slack takes `<…>` for links and mentions.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_mentions_nobody() {
        let message = Message {
            id: "a".to_owned(),
            kind: "alert.firing".to_owned(),
            at: "2026-11-22T10:00:00Z".parse().unwrap(),
            title: "Budget <!channel> & co".to_owned(),
            text: String::new(),
            data: Value::Null,
        };
        let made = body(&message);
        assert_eq!(made["text"], "Budget &lt;!channel&gt; &amp; co");
        assert_eq!(made["blocks"][0]["text"]["text"], "*Budget &lt;!channel&gt; &amp; co*");
        let long = Message { text: "x".repeat(10_000), ..message };
        assert_eq!(
            body(&long)["blocks"][0]["text"]["text"].as_str().unwrap().chars().count(),
            TEXT_CHARS_MAX
        );
    }
}
