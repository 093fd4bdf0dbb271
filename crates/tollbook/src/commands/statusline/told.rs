//! What the asking program says of itself: Claude Code writes a JSON object to its status line's
//! standard input. Others write nothing.

use serde::Deserialize;
use serde_json::value::RawValue;
use std::io::{IsTerminal, Read};
use std::sync::mpsc;
use std::time::Duration;
use tollbook_types::{Money, limits};

/// More is not read.
const BYTES_MAX: u64 = 256 * 1024;
/// How long it is waited for: a pipe that nobody closes must not hold up a prompt.
const PATIENCE: Duration = Duration::from_millis(100);

/// What is used of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The session's id.
    pub session: Option<String>,
    /// The model's name for people.
    pub model: Option<String>,
    /// What the session cost by the program's own count.
    pub cost: Option<Money>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Form<'a> {
    session_id: Option<String>,
    #[serde(borrow)]
    model: Option<Model<'a>>,
    #[serde(borrow)]
    cost: Option<Cost<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Model<'a> {
    id: Option<std::borrow::Cow<'a, str>>,
    display_name: Option<std::borrow::Cow<'a, str>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Cost<'a> {
    /// As it was written: it never becomes a float.
    #[serde(borrow)]
    total_cost_usd: Option<&'a RawValue>,
}

/// Reads what there is. Nothing, or nothing that makes sense, is nothing told.
pub fn read() -> Told {
    if std::io::stdin().is_terminal() {
        return Told::default();
    }
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = std::io::stdin().take(BYTES_MAX).read_to_end(&mut bytes);
        // Whoever waited may have gone on.
        let _ = sender.send(read.map(|_| bytes));
    });
    match receiver.recv_timeout(PATIENCE) {
        Ok(Ok(bytes)) => parse(&bytes),
        _ => Told::default(),
    }
}

fn parse(bytes: &[u8]) -> Told {
    let Ok(form) = serde_json::from_slice::<Form<'_>>(bytes) else { return Told::default() };
    let is_name = |text: &String| !text.is_empty() && text.len() <= limits::NAME_BYTES_MAX;
    let model = form.model.unwrap_or_default();
    let cost = form.cost.and_then(|cost| cost.total_cost_usd).map(RawValue::get);
    Told {
        session: form.session_id.filter(is_name),
        model: model.display_name.or(model.id).map(|name| name.into_owned()).filter(is_name),
        cost: cost.and_then(|text| Money::parse_rounding(text).ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_read_and_anything_else_is_nothing() {
        let told = |session: Option<&str>, model: Option<&str>, cost: Option<&str>| Told {
            session: session.map(str::to_owned),
            model: model.map(str::to_owned),
            cost: cost.map(|cost| cost.parse().unwrap()),
        };
        let whole = r#"{"hook_event_name":"Status","session_id":"abc","model":{"id":"claude-opus-4-1",
            "display_name":"Opus"},"cost":{"total_cost_usd":0.01234,"total_duration_ms":45000},"version":"1.0.80"}"#;
        let long = format!(r#"{{"session_id":"{}"}}"#, "x".repeat(300));
        let cases = [
            (whole, told(Some("abc"), Some("Opus"), Some("0.01234"))),
            (
                r#"{"model":{"id":"m"},"cost":{"total_cost_usd":1.5e-7}}"#,
                told(None, Some("m"), Some("0.00000015")),
            ),
            (r#"{"cost":{"total_cost_usd":"NaN"}}"#, Told::default()),
            (r#"{"cost":null,"model":null}"#, Told::default()),
            (r#"{"session_id":7}"#, Told::default()),
            (long.as_str(), Told::default()),
            ("", Told::default()),
            ("not JSON", Told::default()),
        ];
        for (text, wanted) in cases {
            assert_eq!(parse(text.as_bytes()), wanted, "{text}");
        }
    }
}
