//! A caller over plain sockets: it sees every byte, and can leave when it wants.

use crate::upstream::wire::{chunks, exactly, line};
use serde_json::Value;
use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long a caller waits for bytes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request to be sent.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Headers beside `host` and `content-length`.
    pub headers: Vec<(String, String)>,
    /// The body; nothing is told of an empty one unless it is a POST.
    pub body: Vec<u8>,
}

impl Call {
    /// A POST of JSON.
    #[must_use]
    pub fn post(target: &str, body: &Value) -> Call {
        Call {
            method: "POST".to_owned(),
            target: target.to_owned(),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.to_string().into_bytes(),
        }
    }

    /// A GET.
    #[must_use]
    pub fn get(target: &str) -> Call {
        Call { method: "GET".to_owned(), target: target.to_owned(), headers: Vec::new(), body: Vec::new() }
    }

    /// With a key where most SDKs put it.
    #[must_use]
    pub fn bearer(self, key: &str) -> Call {
        self.header("authorization", &format!("Bearer {key}"))
    }

    /// With a further header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Call {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The bytes of the request.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\nhost: tollbook\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let is_framed = self.headers.iter().any(|(name, _)| name == "transfer-encoding");
        if !is_framed && (!self.body.is_empty() || self.method == "POST") {
            head.push_str(&format!("content-length: {}\r\n", self.body.len()));
        }
        head.push_str("\r\n");
        [head.as_bytes(), &self.body].concat()
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Header names in lower case, in their order.
    pub headers: Vec<(String, String)>,
    /// The body without its framing.
    pub body: Vec<u8>,
    /// Whether the body came to its end.
    pub whole: bool,
}

impl Answer {
    /// A header's first value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null where it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

/// Calls one server, over one connection as long as it lasts.
#[derive(Debug)]
pub struct Caller {
    address: SocketAddr,
    connection: Option<BufReader<TcpStream>>,
}

impl Caller {
    /// A caller of this server. It connects with the first call.
    #[must_use]
    pub fn new(address: SocketAddr) -> Caller {
        Caller { address, connection: None }
    }

    /// Calls and reads the whole answer.
    ///
    /// # Errors
    /// The connection cannot be made, or ends before a head has come.
    pub fn call(&mut self, call: &Call) -> io::Result<Answer> {
        let (mut connection, mut answer) = self.begin(call)?;
        let told = |name: &str, value: &str| {
            answer.headers.iter().any(|(known, found)| known == name && found.eq_ignore_ascii_case(value))
        };
        let (chunked, closes) = (told("transfer-encoding", "chunked"), told("connection", "close"));
        let length = answer.header("content-length").and_then(|length| length.parse().ok());
        let bodiless = call.method == "HEAD" || matches!(answer.status, 100..200 | 204 | 304);
        let read = match length {
            _ if bodiless => Ok(()),
            _ if chunked => chunks(&mut connection, &mut answer.body),
            Some(length) => exactly(&mut connection, length, &mut answer.body),
            None => connection.read_to_end(&mut answer.body).map(|_| ()),
        };
        answer.whole = read.is_ok();
        if answer.whole && !closes && (chunked || length.is_some() || bodiless) {
            self.connection = Some(connection);
        }
        Ok(answer)
    }

    /// Calls, reads the head and so many bytes behind it as they come, and leaves.
    ///
    /// # Errors
    /// As [`Caller::call`].
    pub fn quit_after(&mut self, call: &Call, bytes: u64) -> io::Result<Answer> {
        let (mut connection, mut answer) = self.begin(call)?;
        exactly(&mut connection, bytes, &mut answer.body)?;
        Ok(answer)
    }

    /// Calls and reads the head; the connection is handed over.
    ///
    /// # Errors
    /// As [`Caller::call`].
    pub fn begin(&mut self, call: &Call) -> io::Result<(BufReader<TcpStream>, Answer)> {
        let kept = self.connection.take();
        let is_kept = kept.is_some();
        let mut connection = match kept {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let sent = connection.get_mut().write_all(&call.bytes());
        let answer = sent.and_then(|()| head(&mut connection));
        if is_kept && answer.is_err() {
            // It may have been closed meanwhile.
            return self.begin(call);
        }
        Ok((connection, answer?))
    }

    fn connect(&self) -> io::Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(BufReader::new(stream))
    }
}

fn head(connection: &mut BufReader<TcpStream>) -> io::Result<Answer> {
    let first = line(connection)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, first))?;
    let mut headers = Vec::new();
    loop {
        let header = line(connection)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if header.is_empty() {
            return Ok(Answer { status, headers, body: Vec::new(), whole: false });
        }
        if let Some((name, value)) = header.split_once(':') {
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
}
