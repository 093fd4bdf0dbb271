//! Streams on their way, as the server's live socket tells of them.

use super::feed::News;
use crate::client::Client;
use serde::Deserialize;
use serde_json::Value;
use std::net::TcpStream;
use std::sync::mpsc::Sender;
use std::time::Duration;
use tungstenite::client::IntoClientRequest;
use tungstenite::http::HeaderValue;
use tungstenite::{Message, WebSocket};

/// Before the socket is opened again.
const AGAIN: Duration = Duration::from_secs(2);
/// The server pings every 20 seconds: one that is silent for longer has gone.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// A stream on its way.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Stream {
    pub id: String,
    pub occurred_at: String,
    pub provider: String,
    pub model: String,
    pub user: Option<String>,
    pub output_tokens_estimate: u64,
}

/// Watches, and again where the socket ends, until nobody listens any more.
pub fn watch(client: Client, news: Sender<News>) {
    std::thread::spawn(move || {
        loop {
            if let Some(socket) = open(&client)
                && !listen(socket, &news)
            {
                return;
            }
            if news.send(News::Streams(Vec::new())).is_err() {
                return;
            }
            std::thread::sleep(AGAIN);
        }
    });
}

fn open(client: &Client) -> Option<WebSocket<TcpStream>> {
    let (address, token) = client.live()?;
    let mut request = format!("ws://{address}/api/v1/live").into_client_request().ok()?;
    let mut key = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
    key.set_sensitive(true);
    request.headers_mut().insert("authorization", key);
    let stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(SILENCE_MAX)).ok()?;
    tungstenite::client(request, stream).ok().map(|(socket, _)| socket)
}

/// Returns whether somebody still listens.
fn listen(mut socket: WebSocket<TcpStream>, news: &Sender<News>) -> bool {
    while let Ok(message) = socket.read() {
        let Message::Text(text) = message else { continue };
        let Some(streams) = read(&text) else { continue };
        if news.send(News::Streams(streams)).is_err() {
            return false;
        }
    }
    true
}

fn read(text: &str) -> Option<Vec<Stream>> {
    let mut message: Value = serde_json::from_str(text).ok()?;
    if message["type"] != "progress" {
        return None;
    }
    serde_json::from_value(message["calls"].take()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_progress_is_heard() {
        let told = r#"{"type":"progress","calls":[{"id":"a","model":"m","provider":"p","user":null,
            "output_tokens_estimate":12,"answer_bytes":48,"new":1}],"more":0}"#;
        assert_eq!(read(told).unwrap()[0].output_tokens_estimate, 12);
        for other in [r#"{"type":"totals"}"#, r#"{"type":"progress"}"#, "{", ""] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
