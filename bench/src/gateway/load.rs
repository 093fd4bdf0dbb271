//! The callers: kept connections, one request at a time on each, every answer checked.

use super::mock::{EVENTS, Kind};
use crate::figure::Samples;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

/// A request is given up after this long.
const PATIENCE: Duration = Duration::from_secs(20);
const READ_BYTES: usize = 32 * 1024;
const MICROS: f64 = 1_000.0;
/// A stamp and the sign before it.
const STAMP_BYTES: usize = 15;
/// What is kept of a stream, so that its end is recognised in pieces.
const TAIL_BYTES: usize = 64;

/// Whom to call and how.
#[derive(Clone, Debug)]
pub struct Caller {
    pub address: SocketAddr,
    /// Path of the chat API there.
    pub path: &'static str,
    /// The key to show.
    pub key: String,
    /// Further lines of the head.
    pub headers: String,
}

/// What callers saw. Times in microseconds.
#[derive(Debug, Default)]
pub struct Seen {
    pub calls: u64,
    pub wrong: u64,
    /// Until the whole answer, or for streams until its first event.
    pub micros: Samples,
    /// For each event of a stream, from the upstream's writing to the caller's reading.
    pub held_micros: Samples,
    pub took: Duration,
}

impl Seen {
    /// Calls a second.
    pub fn rate(&self) -> f64 {
        self.calls as f64 / self.took.as_secs_f64()
    }

    fn add(&mut self, other: Seen) {
        self.calls += other.calls;
        self.wrong += other.wrong;
        self.micros.0.extend(other.micros.0);
        self.held_micros.0.extend(other.held_micros.0);
    }
}

/// The value below which this share of the samples is.
pub fn quantile(samples: &Samples, share: f64) -> f64 {
    let mut sorted = samples.0.clone();
    if sorted.is_empty() {
        return f64::NAN;
    }
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

/// How requests follow each other.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// The next when the last is answered.
    Closed,
    /// The same, one connection beginning so much after the other.
    Spread(Duration),
    /// So many a second by all connections together, whatever the answers do.
    Rate(u32),
}

/// Calls for so long on so many connections.
pub async fn calls(caller: &Caller, kind: Kind, connections: u32, pace: Pace, time: Duration) -> Seen {
    let request: Rc<[u8]> = request(caller, kind).into();
    let local = LocalSet::new();
    let start = Instant::now();
    let tasks: Vec<_> = (0..connections)
        .map(|nth| {
            let (request, address) = (Rc::clone(&request), caller.address);
            let due = match pace {
                Pace::Closed => None,
                // One stream after the other, so that not all events fall on one moment.
                Pace::Spread(step) => Some((start + step * nth, Duration::ZERO)),
                Pace::Rate(rate) => {
                    let step = Duration::from_secs(1) / rate;
                    Some((start + step * nth, step * connections))
                }
            };
            local.spawn_local(connection(address, request, kind, due, start + time))
        })
        .collect();
    let mut seen = Seen::default();
    local.await;
    for task in tasks {
        match task.await {
            Ok(one) => seen.add(one),
            Err(_) => seen.wrong += 1,
        }
    }
    seen.took = start.elapsed();
    seen
}

/// The bytes of a request; 0.7 KB of body, as a short chat has.
pub fn request(caller: &Caller, kind: Kind) -> Vec<u8> {
    let words = "Say in one sentence what a ledger is for, and be brief about it. ".repeat(8);
    let stream = match kind {
        Kind::Paced | Kind::Slow | Kind::Firehose => {
            ",\"stream\":true,\"stream_options\":{\"include_usage\":true}"
        }
        Kind::Json | Kind::Large => "",
    };
    let body = format!(
        "{{\"model\":\"gpt-4o-mini\",\"max_tokens\":150,\"user\":\"user-7\"{stream},\"messages\":[\
         {{\"role\":\"system\",\"content\":\"You are brief.\"}},{{\"role\":\"user\",\"content\":\"{words}\"}}]}}"
    );
    format!(
        "POST {} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\nuser-agent: bench/1\r\naccept: */*\r\n\
         content-type: application/json\r\nx-mock: {}\r\n{}content-length: {}\r\n\r\n{body}",
        caller.path,
        caller.address,
        caller.key,
        kind.name(),
        caller.headers,
        body.len()
    )
    .into_bytes()
}

async fn connection(
    address: SocketAddr,
    request: Rc<[u8]>,
    kind: Kind,
    mut due: Option<(Instant, Duration)>,
    until: Instant,
) -> Seen {
    let mut seen = Seen::default();
    let Ok(mut stream) = connect(address).await else {
        seen.wrong += 1;
        return seen;
    };
    let mut reader = Reader::default();
    let mut free = Instant::now();
    while Instant::now() < until {
        let mut from = Instant::now();
        if let Some((at, step)) = &mut due {
            tokio::time::sleep_until((*at).into()).await;
            // Waking late is the caller's own fault; answering late is not.
            from = if free > *at && !step.is_zero() { *at } else { Instant::now() };
            *at += *step;
        }
        let answered = tokio::time::timeout(PATIENCE, async {
            stream.write_all(&request).await?;
            reader.answer(&mut stream, kind, &mut seen.held_micros).await
        });
        match answered.await {
            Ok(Ok(first)) => {
                free = Instant::now();
                seen.calls += 1;
                let end = if kind == Kind::Json { free } else { first };
                seen.micros.add(end.duration_since(from).as_nanos() as f64 / MICROS);
            }
            _ => {
                seen.wrong += 1;
                let Ok(again) = connect(address).await else { return seen };
                (stream, reader) = (again, Reader::default());
            }
        }
    }
    seen
}

/// A connection without delays of its own.
pub async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The moment that stamps count from.
pub fn epoch() -> Instant {
    static EPOCH: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    *EPOCH.get_or_init(Instant::now)
}

/// Reads answers and insists that they are what the mock gives.
struct Reader {
    buffer: Vec<u8>,
}

impl Default for Reader {
    fn default() -> Reader {
        Reader { buffer: vec![0; READ_BYTES] }
    }
}

impl Reader {
    /// Reads one answer; the moment its first byte of body was there.
    async fn answer(
        &mut self,
        stream: &mut TcpStream,
        kind: Kind,
        held: &mut Samples,
    ) -> io::Result<Instant> {
        let mut filled = 0;
        let body = loop {
            filled += self.read(stream, filled).await?;
            if let Some(end) = memchr::memmem::find(&self.buffer[..filled], b"\r\n\r\n") {
                break end + 4;
            }
        };
        if !self.buffer.starts_with(b"HTTP/1.1 200 ") {
            return Err(wrong(&self.buffer[..filled]));
        }
        if kind == Kind::Json {
            let length = content_length(&self.buffer[..body])?;
            while filled < body + length {
                filled += self.read(stream, filled).await?;
            }
            let json = &self.buffer[body..filled];
            return match memchr::memmem::find(json, b"\"prompt_tokens\":1250,") {
                Some(_) => Ok(Instant::now()),
                None => Err(wrong(json)),
            };
        }
        self.events(stream, body, filled, held).await
    }

    /// Reads a chunked stream to its end; stamps tell how long each event was on its way.
    async fn events(
        &mut self,
        stream: &mut TcpStream,
        body: usize,
        mut filled: usize,
        held: &mut Samples,
    ) -> io::Result<Instant> {
        let (mut from, mut events, mut first) = (body, 0, None);
        loop {
            let now = Instant::now();
            if filled > body || events > 0 {
                first.get_or_insert(now);
            }
            let nanos = now.duration_since(epoch()).as_nanos();
            from = loop {
                match memchr::memchr(b'@', &self.buffer[from..filled]) {
                    None => break filled,
                    Some(at) if from + at + STAMP_BYTES > filled => break from + at,
                    Some(at) => {
                        let digits = &self.buffer[from + at + 1..from + at + STAMP_BYTES];
                        let stamp = std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok());
                        held.add(nanos.saturating_sub(stamp.unwrap_or(0)) as f64 / MICROS);
                        from += at + STAMP_BYTES;
                        events += 1;
                    }
                }
            };
            let seen = &self.buffer[..filled];
            if seen.ends_with(b"0\r\n\r\n") && memchr::memmem::find(seen, b"[DONE]").is_some() {
                let short = || io::Error::other(format!("{events} events"));
                return first.filter(|_| events == EVENTS - 2).ok_or_else(short);
            }
            let kept = from.min(filled.saturating_sub(TAIL_BYTES));
            self.buffer.copy_within(kept..filled, 0);
            (from, filled) = (from - kept, filled - kept);
            filled += self.read(stream, filled).await?;
        }
    }

    async fn read(&mut self, stream: &mut TcpStream, filled: usize) -> io::Result<usize> {
        match stream.read(&mut self.buffer[filled..]).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => Ok(read),
        }
    }
}

fn content_length(head: &[u8]) -> io::Result<usize> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    response.parse(head).map_err(|error| io::Error::other(error.to_string()))?;
    let found = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let text = found.and_then(|header| std::str::from_utf8(header.value).ok());
    text.and_then(|text| text.parse().ok()).ok_or_else(|| wrong(head))
}

fn wrong(answer: &[u8]) -> io::Error {
    io::Error::other(format!("not what was expected: {}", String::from_utf8_lossy(answer)))
}
