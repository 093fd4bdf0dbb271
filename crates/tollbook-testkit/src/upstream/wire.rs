//! HTTP/1.1 as it stands on the wire: one connection of the stand-in reads requests, plays scripts.

use super::coding::Encoder;
use super::script::{Before, Framing, How, NUMBER, Script, Stop};
use super::{Served, Shared};
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const HEAD_BYTES_MAX: usize = 256 * 1024;
const BODY_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// How long a gate or a stalled answer keeps a connection at most.
const PATIENCE: Duration = Duration::from_secs(600);

/// Serves requests until either side ends the connection.
pub(super) fn serve(stream: TcpStream, connection: u64, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    loop {
        shared.pass();
        let Some(request) = read_request(&mut reader, &mut stream, connection)? else { return Ok(()) };
        shared.pass();
        let close = request.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let head_only = request.method == "HEAD";
        let body_whole = request.body_whole;
        let (nth, script) = shared.note(request);
        let mut play = Play { stream: &mut stream, shared, status: None, sent: 0 };
        let ended = play.answer(&script, nth, head_only);
        let (status, sent, whole) = (play.status, play.sent, matches!(ended, Ok(Ended::Whole { .. })));
        shared.sent(nth, status, sent, whole);
        match ended? {
            Ended::Whole { reusable: true } if !close && body_whole => {}
            Ended::Reset => return reset(&stream),
            _ => return stream.shutdown(std::net::Shutdown::Both),
        }
    }
}

enum Ended {
    Whole { reusable: bool },
    Broken,
    Reset,
}

/// The connection goes with a reset instead of an end.
fn reset(stream: &TcpStream) -> io::Result<()> {
    socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO))
}

struct Play<'a> {
    stream: &'a mut TcpStream,
    shared: &'a Shared,
    status: Option<u16>,
    sent: u64,
}

impl Play<'_> {
    fn answer(&mut self, script: &Script, nth: u64, head_only: bool) -> io::Result<Ended> {
        match &script.before {
            Before::Nothing => {}
            Before::Wait(time) => self.shared.sleep(*time),
            Before::Gate(gate) => {
                if !gate.pass(PATIENCE) {
                    return Ok(Ended::Broken);
                }
            }
            Before::Never => return self.stall(),
            Before::Close => return Ok(Ended::Broken),
            Before::Reset => return Ok(Ended::Reset),
            Before::Garbage(bytes) => {
                self.stream.write_all(bytes)?;
                return Ok(Ended::Broken);
            }
        }
        let pieces = wire_pieces(script, nth)?;
        self.stream.write_all(&head(script, &pieces, nth))?;
        self.status = Some(script.status);
        if head_only {
            return Ok(Ended::Whole { reusable: true });
        }
        for (at, piece) in pieces.iter().enumerate() {
            if at > 0 && !script.between.is_zero() {
                self.shared.sleep(script.between);
            }
            self.shared.pass();
            if let Some(Stop { after, how }) = script.stop
                && self.sent + piece.len() as u64 >= after
            {
                let left = usize::try_from(after - self.sent).unwrap_or(0).min(piece.len());
                self.piece(script, &piece[..left])?;
                return self.break_off(how);
            }
            self.piece(script, piece)?;
        }
        if script.framing == Framing::Chunked {
            self.stream.write_all(b"0\r\n\r\n")?;
        }
        Ok(Ended::Whole { reusable: script.framing != Framing::Close })
    }

    fn piece(&mut self, script: &Script, piece: &[u8]) -> io::Result<()> {
        if piece.is_empty() {
            return Ok(());
        }
        if script.framing == Framing::Chunked {
            // One write a piece, as a provider's own frames come.
            let mut framed = format!("{:x}\r\n", piece.len()).into_bytes();
            framed.extend_from_slice(piece);
            framed.extend_from_slice(b"\r\n");
            self.stream.write_all(&framed)?;
        } else {
            self.stream.write_all(piece)?;
        }
        self.sent += piece.len() as u64;
        Ok(())
    }

    fn break_off(&mut self, how: How) -> io::Result<Ended> {
        match how {
            How::Close => Ok(Ended::Broken),
            How::Reset => {
                // What was sent should arrive before the reset does.
                self.shared.sleep(Duration::from_millis(20));
                Ok(Ended::Reset)
            }
            How::Stall => self.stall(),
            How::Garbage => {
                self.stream.write_all(b"\xff\xfe this is no chunk\r\n\r\n")?;
                Ok(Ended::Broken)
            }
        }
    }

    /// Sends nothing until the other side leaves.
    fn stall(&mut self) -> io::Result<Ended> {
        self.stream.set_read_timeout(Some(Duration::from_millis(100)))?;
        let since = std::time::Instant::now();
        while !self.shared.is_ending() && since.elapsed() < PATIENCE {
            match self.stream.read(&mut [0; 1024]) {
                Ok(0) => return Ok(Ended::Broken),
                Ok(_) => {}
                Err(error) if is_timeout(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Ended::Broken)
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

/// The pieces as they go out, without framing.
fn wire_pieces(script: &Script, nth: u64) -> io::Result<Vec<Vec<u8>>> {
    let number = format!("{nth:08}");
    let filled = script.pieces.iter().map(|piece| fill(piece, &number));
    let Some(coding) = script.coding else { return Ok(filled.collect()) };
    let mut encoder = Encoder::new(coding)?;
    let last = script.pieces.len();
    filled.enumerate().map(|(at, piece)| encoder.push(&piece, at + 1 == last)).collect()
}

fn fill(piece: &[u8], number: &str) -> Vec<u8> {
    let mut piece = piece.to_vec();
    let mut at = 0;
    while let Some(found) = piece[at..].windows(NUMBER.len()).position(|window| window == NUMBER.as_bytes()) {
        piece[at + found..at + found + NUMBER.len()].copy_from_slice(number.as_bytes());
        at += found + NUMBER.len();
    }
    piece
}

fn head(script: &Script, pieces: &[Vec<u8>], nth: u64) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {} Scripted\r\n", script.status);
    for (name, value) in &script.headers {
        let value = value.replace(NUMBER, &format!("{nth:08}"));
        let _ = write!(head, "{name}: {value}\r\n");
    }
    if let Some(coding) = script.coding {
        let _ = write!(head, "content-encoding: {}\r\n", Encoder::name(coding));
    }
    let _ = match script.framing {
        Framing::Length => {
            write!(head, "content-length: {}\r\n", pieces.iter().map(Vec::len).sum::<usize>())
        }
        Framing::Chunked => write!(head, "transfer-encoding: chunked\r\n"),
        Framing::Close => write!(head, "connection: close\r\n"),
    };
    head.push_str("\r\n");
    head.into_bytes()
}

/// Reads a request; none where the connection ends before one begins.
fn read_request(
    reader: &mut BufReader<TcpStream>,
    stream: &mut TcpStream,
    connection: u64,
) -> io::Result<Option<Served>> {
    let Some(first) = line(reader)? else { return Ok(None) };
    let mut words = first.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut request = Served {
        nth: 0,
        connection,
        method: method.to_owned(),
        target: target.to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
        body_whole: true,
        status: None,
        sent_bytes: 0,
        whole: false,
        tokens: None,
    };
    while let Some(header) = line(reader)?.filter(|line| !line.is_empty()) {
        if let Some((name, value)) = header.split_once(':') {
            request.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    if request.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let chunked = request.header("transfer-encoding").is_some_and(|value| value.contains("chunked"));
    let read = if chunked {
        chunks(reader, &mut request.body)
    } else {
        let length = request.header("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
        exactly(reader, length, &mut request.body)
    };
    request.body_whole = read.is_ok();
    Ok(Some(request))
}

/// Reads a body in chunks.
pub(crate) fn chunks(reader: &mut BufReader<TcpStream>, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let size = line(reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let size = size.split(';').next().unwrap_or_default().trim().to_owned();
        let size = u64::from_str_radix(&size, 16).map_err(|_| io::ErrorKind::InvalidData)?;
        if size == 0 {
            while line(reader)?.is_some_and(|line| !line.is_empty()) {}
            return Ok(());
        }
        exactly(reader, size, body)?;
        line(reader)?;
    }
}

/// Reads so many bytes.
pub(crate) fn exactly(reader: &mut BufReader<TcpStream>, length: u64, body: &mut Vec<u8>) -> io::Result<()> {
    if length + body.len() as u64 > BODY_BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let read = reader.take(length).read_to_end(body)?;
    if (read as u64) < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

/// A line without its end; none at the connection's end.
pub(crate) fn line(reader: &mut BufReader<TcpStream>) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    reader.take(HEAD_BYTES_MAX as u64).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    while line.last().is_some_and(|byte| matches!(byte, b'\r' | b'\n')) {
        line.pop();
    }
    Ok(Some(String::from_utf8_lossy(&line).into_owned()))
}
