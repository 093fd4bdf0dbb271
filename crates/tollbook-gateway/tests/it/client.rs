//! A client that knows as much of HTTP/1.1 as it needs to.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// An answer as it came.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// It came to its end as its framing has it.
    pub whole: bool,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A connection.
pub struct Client {
    stream: TcpStream,
    held: Vec<u8>,
}

impl Client {
    pub fn new(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Client { stream, held: Vec::new() }
    }

    /// Sends bytes as they are; whether they went.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    pub fn request(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: gateway\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() || method == "POST" {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        self.send([head.as_bytes(), body].concat());
    }

    /// Reads an answer to its end, or as far as it comes.
    pub fn reply(&mut self) -> Reply {
        let mut reply = self.head();
        let told = |name: &str| reply.header(name).map(str::to_owned);
        if told("transfer-encoding").as_deref() == Some("chunked") {
            self.chunks(&mut reply);
        } else {
            let length: usize = told("content-length").map_or(0, |length| length.parse().unwrap());
            reply.whole = self.fill(length);
            let there = length.min(self.held.len());
            reply.body = self.held.drain(..there).collect();
        }
        reply
    }

    /// Reads an answer's head; status 0 when there is none.
    pub fn head(&mut self) -> Reply {
        let end = loop {
            if let Some(end) = self.held.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            if !self.more() {
                return Reply::default();
            }
        };
        let head: Vec<u8> = self.held.drain(..end + 4).collect();
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Reply { status, headers, ..Reply::default() }
    }

    /// Reads until so many bytes of the body are there, whatever its framing, and returns them.
    pub fn some(&mut self, bytes: usize) -> Vec<u8> {
        self.fill(bytes);
        self.held.clone()
    }

    fn chunks(&mut self, reply: &mut Reply) {
        loop {
            let Some(end) = self.held.windows(2).position(|two| two == b"\r\n") else {
                if !self.more() {
                    return;
                }
                continue;
            };
            let size = usize::from_str_radix(std::str::from_utf8(&self.held[..end]).unwrap(), 16).unwrap();
            if !self.fill(end + 2 + size + 2) {
                let from = (end + 2).min(self.held.len());
                reply.body.extend(self.held.drain(..).skip(from));
                return;
            }
            let chunk: Vec<u8> = self.held.drain(..end + 2 + size + 2).collect();
            reply.body.extend(&chunk[end + 2..end + 2 + size]);
            if size == 0 {
                reply.whole = true;
                return;
            }
        }
    }

    fn fill(&mut self, bytes: usize) -> bool {
        while self.held.len() < bytes {
            if !self.more() {
                return false;
            }
        }
        true
    }

    fn more(&mut self) -> bool {
        let mut piece = [0; 16 * 1024];
        match self.stream.read(&mut piece) {
            Ok(read) if read > 0 => {
                self.held.extend_from_slice(&piece[..read]);
                true
            }
            _ => false,
        }
    }

    /// Whether the other side has ended it, within the time.
    pub fn is_closed_within(&mut self, limit: Duration) -> bool {
        self.stream.set_read_timeout(Some(limit)).unwrap();
        let mut piece = [0; 1024];
        loop {
            match self.stream.read(&mut piece) {
                Ok(0) => return true,
                Ok(read) => self.held.extend_from_slice(&piece[..read]),
                Err(error) => {
                    let is_late =
                        matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut);
                    return !is_late;
                }
            }
        }
    }

    pub fn close(self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}
