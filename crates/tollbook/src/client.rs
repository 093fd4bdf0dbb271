//! Talking to the server that holds the books, where there is one: it says in `server.json`, which
//! only its owner can read, where it is and with which token to come.

use crate::failure::Failure;
use crate::serve::{PRESENCE_FILE, Told};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

/// How long one step of a request may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// An answer that is longer is not read.
const ANSWER_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The running server.
#[derive(Clone)]
pub struct Client {
    told: Told,
    patience: Duration,
}

impl Client {
    /// The server of a data directory, if one has announced itself.
    pub fn find(data_dir: &Path) -> Option<Client> {
        let text = std::fs::read(data_dir.join(PRESENCE_FILE)).ok()?;
        let told = serde_json::from_slice(&text).ok()?;
        Some(Client { told, patience: PATIENCE })
    }

    /// The same, for requests that take longer than others.
    pub fn patient(self, patience: Duration) -> Client {
        Client { patience, ..self }
    }

    /// Host and port, and a key, for a web socket; `None` where the server speaks TLS.
    pub fn live(&self) -> Option<(&str, &str)> {
        Some((self.told.url.strip_prefix("http://")?, &self.told.token))
    }

    /// The server's own address.
    pub fn url(&self) -> &str {
        &self.told.url
    }

    /// Asks the server; what it answers is `None` where it has nothing to say. A refusal is a failure.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Option<Value>, Failure> {
        let failed = |what: &str| Failure::new(format!("the server at {} {what}", self.told.url));
        let Some(address) = self.told.url.strip_prefix("http://") else {
            return Err(failed("speaks TLS, which this command does not")
                .hint("use its API with an admin key: see docs/reference/api/README.md"));
        };
        let answer = exchange(address, &self.request(method, address, path, body), self.patience)
            .map_err(|error| failed(&format!("does not answer: {error}")))?;
        let (status, text) = read(&answer).ok_or_else(|| failed("does not answer in HTTP"))?;
        let value: Option<Value> = match text.is_empty() {
            true => None,
            false => Some(serde_json::from_slice(&text).map_err(|_| failed("does not answer in JSON"))?),
        };
        if (200..300).contains(&status) {
            return Ok(value);
        }
        let problem = value.unwrap_or_default();
        let detail = problem["detail"].as_str();
        let faults = problem["errors"].as_array().map_or(&[][..], Vec::as_slice);
        let words = |fault: &Value| {
            let member = fault["pointer"].as_str().unwrap_or_default().trim_start_matches('/').to_owned();
            format!("{member} {}", fault["detail"].as_str().unwrap_or_default())
        };
        // One fault is what the detail says, too.
        let mut failure =
            Failure::new(detail.map_or_else(|| format!("the server refused: {status}"), str::to_owned));
        if let [one] = faults {
            failure = Failure::new(words(one));
        } else {
            failure.errors.extend(faults.iter().map(words));
        }
        Err(failure)
    }

    fn request(&self, method: &str, address: &str, path: &str, body: Option<&Value>) -> Vec<u8> {
        let body = body.map_or_else(String::new, Value::to_string);
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            self.told.token,
            body.len()
        );
        [head, body].concat().into_bytes()
    }
}

/// A text as a value in a query or a part of a path.
pub fn encoded(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                safe.push(char::from(byte))
            }
            other => safe.push_str(&format!("%{other:02X}")),
        }
    }
    safe
}

fn exchange(address: &str, request: &[u8], patience: Duration) -> std::io::Result<Vec<u8>> {
    let mut last = std::io::Error::from(std::io::ErrorKind::AddrNotAvailable);
    for address in address.to_socket_addrs()? {
        let mut stream = match TcpStream::connect_timeout(&address, patience.min(PATIENCE)) {
            Ok(stream) => stream,
            Err(error) => {
                last = error;
                continue;
            }
        };
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(request)?;
        let mut answer = Vec::new();
        stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
        return Ok(answer);
    }
    Err(last)
}

/// Status and body of an answer that ends with its connection.
fn read(answer: &[u8]) -> Option<(u16, Vec<u8>)> {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let body = &answer[end + 4..];
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let headers: Vec<(String, &str)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(n, v)| (n.to_ascii_lowercase(), v.trim()))
        .collect();
    let header = |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| *value);
    if header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        return Some((status, unchunk(body)?));
    }
    let length = header("content-length").map_or(Some(body.len()), |length| length.parse().ok())?;
    Some((status, body.get(..length)?.to_vec()))
}

fn unchunk(mut body: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let end = body.windows(2).position(|bytes| bytes == b"\r\n")?;
        let size = std::str::from_utf8(&body[..end]).ok()?.split(';').next()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        let (chunk, rest) = body.get(end + 2..)?.split_at_checked(size)?;
        if size == 0 {
            return Some(whole);
        }
        whole.extend_from_slice(chunk);
        body = rest.strip_prefix(b"\r\n")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_whole_or_not_at_all() {
        let cases: &[(&str, Option<(u16, &str)>)] = &[
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", Some((200, "{}"))),
            ("HTTP/1.1 204 No Content\r\n\r\n", Some((204, ""))),
            ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", None),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
                Some((200, "{}")),
            ),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{}", None),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n{}", None),
            ("HTTP/1.1 2", None),
            ("SSH-2.0-x\r\n\r\n", None),
            ("", None),
        ];
        for (answer, wanted) in cases {
            let found = read(answer.as_bytes());
            let wanted = wanted.map(|(status, body)| (status, body.as_bytes().to_vec()));
            assert_eq!(found, wanted, "{answer:?}");
        }
    }
}
