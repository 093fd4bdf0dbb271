//! A client of a web socket that waits for JSON messages, and fails loudly when none come.

use serde_json::Value;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use tungstenite::client::IntoClientRequest;
use tungstenite::http::{HeaderName, HeaderValue};
use tungstenite::{Error, HandshakeError, Message, WebSocket};

/// How long a message is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// An open socket.
#[derive(Debug)]
pub struct Socket {
    inner: WebSocket<TcpStream>,
    /// The subprotocol that the server chose.
    pub protocol: Option<String>,
}

/// What a socket brings next.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// A message.
    Message(Value),
    /// The server has ended it, with this code if it said one.
    Closed(Option<u16>),
}

impl Socket {
    /// Opens one; status and body of the answer where it is refused.
    pub fn open(
        address: SocketAddr,
        target: &str,
        headers: &[(&str, &str)],
    ) -> io::Result<Result<Socket, (u16, String)>> {
        let mut request = format!("ws://{address}{target}").into_client_request().map_err(other)?;
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(other)?;
            request.headers_mut().insert(name, HeaderValue::from_str(value).map_err(other)?);
        }
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        match tungstenite::client(request, stream) {
            Ok((inner, answer)) => {
                let protocol = answer.headers().get("sec-websocket-protocol");
                let protocol = protocol.and_then(|name| name.to_str().ok()).map(str::to_owned);
                Ok(Ok(Socket { inner, protocol }))
            }
            Err(HandshakeError::Failure(Error::Http(answer))) => {
                let body = answer.body().clone().unwrap_or_default();
                Ok(Err((answer.status().as_u16(), String::from_utf8_lossy(&body).into_owned())))
            }
            Err(error) => Err(other(error)),
        }
    }

    /// What comes next.
    pub fn hear(&mut self) -> io::Result<Heard> {
        loop {
            match self.inner.read() {
                Ok(Message::Text(text)) => return Ok(Heard::Message(serde_json::from_str(&text)?)),
                Ok(Message::Close(frame)) => return Ok(Heard::Closed(frame.map(|frame| frame.code.into()))),
                Ok(_) => {}
                Err(Error::ConnectionClosed | Error::AlreadyClosed | Error::Protocol(_)) => {
                    return Ok(Heard::Closed(None));
                }
                Err(Error::Io(error)) => return Err(error),
                Err(error) => return Err(other(error)),
            }
        }
    }

    /// The next message of this type; others are passed over.
    pub fn next(&mut self, kind: &str) -> io::Result<Value> {
        loop {
            match self.hear()? {
                Heard::Message(message) if message["type"] == kind => return Ok(message),
                Heard::Message(_) => {}
                Heard::Closed(code) => {
                    return Err(other(format!("it was closed with {code:?}, without a {kind}")));
                }
            }
        }
    }

    /// Says something.
    pub fn say(&mut self, text: &str) -> io::Result<()> {
        self.inner.send(Message::text(text)).map_err(other)
    }
}

fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::other(error)
}
