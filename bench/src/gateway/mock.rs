//! The upstream: as cheap as it can be, so that what is measured is what stands before it.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Bytes of the JSON answer's body.
const BODY_BYTES: usize = 1_162;
/// Events of a stream, the last two of them usage and `[DONE]`.
pub const EVENTS: usize = 203;
/// Between two events of a paced stream.
pub const PACE: Duration = Duration::from_millis(5);
/// Between two events of a stream that is only held open.
const SLOW_PACE: Duration = Duration::from_millis(500);
/// A large answer, for callers that do not read it.
const LARGE_BYTES: usize = 8 * 1024 * 1024;
/// Tokens that every answer tells.
pub const INPUT_TOKENS: u64 = 1_250;
pub const OUTPUT_TOKENS: u64 = 150;
const READ_BYTES: usize = 16 * 1024;

/// What the mock is asked for, in a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Json,
    /// Events every [`PACE`].
    Paced,
    /// Events as fast as they go.
    Firehose,
    /// Events every [`SLOW_PACE`].
    Slow,
    /// A body that nobody can take at once.
    Large,
}

/// The running mock; it goes with the process.
pub struct Mock {
    pub address: SocketAddr,
    served: Arc<AtomicU64>,
}

struct Answers {
    json: Vec<u8>,
    event: Vec<u8>,
    end: Vec<u8>,
    large: Vec<u8>,
    served: Arc<AtomicU64>,
    since: Instant,
}

/// Digits of an answer's number and of a stamp.
const DIGITS: usize = 14;
/// Stands in prepared answers where the number goes.
const NUMBER: &str = "chatcmpl-00000000000000";
/// Stands before a stamp.
const STAMP: u8 = b'@';
const STREAM_HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

impl Mock {
    /// Starts it on a thread of its own. `since` is what stamps count from, in nanoseconds.
    pub fn start(since: Instant) -> Result<Mock, String> {
        let served = Arc::new(AtomicU64::new(0));
        let answers = Arc::new(Answers::new(Arc::clone(&served), since));
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::Builder::new()
            .name("mock".to_owned())
            .spawn(move || on_runtime(serve(answers, tell)))
            .map_err(|error| error.to_string())?;
        let address = told.recv().map_err(|_| "the mock did not start".to_owned())?;
        Ok(Mock { address, served })
    }

    /// Calls answered so far.
    pub fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }
}

/// Runs something on a runtime of this thread.
pub fn on_runtime<T>(work: impl Future<Output = T>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Ok(runtime.map_err(|error| error.to_string())?.block_on(work))
}

async fn serve(answers: Arc<Answers>, tell: std::sync::mpsc::Sender<SocketAddr>) -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let _ = tell.send(listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let answers = Arc::clone(&answers);
        tokio::spawn(async move {
            let _ = connection(stream, &answers).await;
        });
    }
}

async fn connection(mut stream: TcpStream, answers: &Answers) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; READ_BYTES];
    let mut json = answers.json.clone();
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        if read == 0 {
            return Ok(());
        }
        filled += read;
        while let Some((length, kind)) = request(&buffer[..filled])? {
            if filled < length {
                break;
            }
            buffer.copy_within(length..filled, 0);
            filled -= length;
            let nth = answers.served.fetch_add(1, Ordering::Relaxed);
            if kind == Kind::Json {
                number(&mut json, nth);
                stream.write_all(&json).await?;
            } else {
                answers.give(&mut stream, kind, nth).await?;
            }
        }
    }
}

/// The length of the request at the start of these bytes, once its head is whole.
fn request(bytes: &[u8]) -> io::Result<Option<(usize, Kind)>> {
    let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else { return Ok(None) };
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    request.parse(bytes).map_err(|error| io::Error::other(error.to_string()))?;
    let (mut length, mut kind) = (0, Kind::Json);
    for header in request.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            length = std::str::from_utf8(header.value).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        } else if header.name.eq_ignore_ascii_case("x-mock") {
            kind = match header.value {
                b"paced" => Kind::Paced,
                b"firehose" => Kind::Firehose,
                b"slow" => Kind::Slow,
                b"large" => Kind::Large,
                _ => Kind::Json,
            };
        }
    }
    Ok(Some((end + 4 + length, kind)))
}

/// Fills in an answer's number, so that every answer has an id of its own.
fn number(answer: &mut [u8], nth: u64) {
    let digits = format!("{nth:0DIGITS$}");
    if let Some(at) = memchr::memmem::find(answer, b"chatcmpl-") {
        answer[at + 9..at + 9 + DIGITS].copy_from_slice(digits.as_bytes());
    }
}

impl Kind {
    /// The header's value.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Json => "json",
            Kind::Paced => "paced",
            Kind::Firehose => "firehose",
            Kind::Slow => "slow",
            Kind::Large => "large",
        }
    }
}

impl Answers {
    fn new(served: Arc<AtomicU64>, since: Instant) -> Answers {
        let usage = format!(
            "\"usage\":{{\"prompt_tokens\":{INPUT_TOKENS},\"completion_tokens\":{OUTPUT_TOKENS},\"total_tokens\":{},\
             \"prompt_tokens_details\":{{\"cached_tokens\":0,\"audio_tokens\":0}},\
             \"completion_tokens_details\":{{\"reasoning_tokens\":0,\"audio_tokens\":0}}}}",
            INPUT_TOKENS + OUTPUT_TOKENS
        );
        let open = format!(
            "{{\"id\":\"{NUMBER}\",\"object\":\"chat.completion\",\"created\":1795000000,\
             \"model\":\"gpt-4o-mini-2024-07-18\",\"choices\":[{{\"index\":0,\"message\":{{\"role\":\"assistant\",\
             \"content\":\""
        );
        let close = format!(
            "\",\"refusal\":null}},\"logprobs\":null,\"finish_reason\":\"stop\"}}],{usage},\
             \"service_tier\":\"default\",\"system_fingerprint\":\"fp_44b2a1b7f0\"}}"
        );
        let words = "Every call is in the books. ".repeat(40);
        let text = &words[..BODY_BYTES - open.len() - close.len()];
        let json = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ndate: Wed, 18 Nov 2026 10:00:00 GMT\r\n\
             content-length: {BODY_BYTES}\r\n\r\n{open}{text}{close}"
        );
        let chunk = format!(
            "{{\"id\":\"{NUMBER}\",\"object\":\"chat.completion.chunk\",\"created\":1795000000,\
             \"model\":\"gpt-4o-mini-2024-07-18\",\"service_tier\":\"default\",\
             \"system_fingerprint\":\"fp_44b2a1b7f0\",\"choices\":"
        );
        let event = format!(
            "data: {chunk}[{{\"index\":0,\"delta\":{{\"content\":\" @00000000000000\"}},\"logprobs\":null,\
             \"finish_reason\":null}}],\"usage\":null}}\n\n"
        );
        let framed = |text: &str| format!("{:x}\r\n{text}\r\n", text.len()).into_bytes();
        let end = [framed(&format!("data: {chunk}[],{usage}}}\n\n")), framed("data: [DONE]\n\n")].concat();
        let mut large = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: {LARGE_BYTES}\r\n\r\n"
        )
        .into_bytes();
        large.resize(large.len() + LARGE_BYTES, b'x');
        Answers {
            json: json.into_bytes(),
            event: framed(&event),
            end: [end, b"0\r\n\r\n".to_vec()].concat(),
            large,
            served,
            since,
        }
    }

    async fn give(&self, stream: &mut TcpStream, kind: Kind, nth: u64) -> io::Result<()> {
        match kind {
            Kind::Paced => self.stream(stream, Some(PACE), nth).await,
            Kind::Slow => self.stream(stream, Some(SLOW_PACE), nth).await,
            Kind::Firehose => self.stream(stream, None, nth).await,
            Kind::Json | Kind::Large => stream.write_all(&self.large).await,
        }
    }

    async fn stream(&self, stream: &mut TcpStream, pace: Option<Duration>, nth: u64) -> io::Result<()> {
        let (mut event, mut end) = (self.event.clone(), self.end.clone());
        number(&mut event, nth);
        number(&mut end, nth);
        let stamp = memchr::memchr(STAMP, &event).map_or(0, |at| at + 1);
        stream.write_all(STREAM_HEAD).await?;
        let mut next = tokio::time::Instant::now();
        for _ in 0..EVENTS - 2 {
            let digits = format!("{:0DIGITS$}", self.since.elapsed().as_nanos());
            event[stamp..stamp + DIGITS].copy_from_slice(digits.as_bytes());
            stream.write_all(&event).await?;
            if let Some(pace) = pace {
                next += pace;
                tokio::time::sleep_until(next).await;
            }
        }
        stream.write_all(&end).await
    }
}
