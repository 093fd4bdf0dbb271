//! The guard of a client's connection: nobody holds one for ever by saying or taking nothing.
//!
//! The socket and the service note what they see in a [`Watched`]; once a tick the thread looks
//! over all of its connections and ends those that have been still for too long. So no timer is set
//! or moved on the way of a call.

use crate::options::Timeouts;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is written to a client whose request head does not come to its end.
const HEAD_TIMEOUT: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// What a connection has been told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Order {
    /// Go on.
    Serve = 0,
    /// Take no further request.
    Finish = 1,
    /// Say that the head took too long, then end.
    HeadTimeout = 2,
    /// End now.
    Cut = 3,
}

/// A thread's clock of milliseconds: it moves once a tick, so reading it costs nothing.
#[derive(Debug, Default)]
pub(crate) struct Ticks(AtomicU64);

impl Ticks {
    pub fn set(&self, millis: u64) {
        // 0 stands for "never".
        self.0.store(millis.max(1), Relaxed);
    }

    pub fn now(&self) -> u64 {
        self.0.load(Relaxed).max(1)
    }
}

/// What is known of one client's connection.
#[derive(Debug)]
pub(crate) struct Watched {
    ticks: Arc<Ticks>,
    order: AtomicU8,
    waker: Mutex<Option<Waker>>,
    has_waker: AtomicBool,
    /// Requests that are being answered.
    in_flight: AtomicU32,
    /// It speaks HTTP/2: its bytes are not those of a head alone.
    is_h2: AtomicBool,
    /// It speaks another protocol now.
    is_upgraded: AtomicBool,
    /// Bytes have come.
    has_spoken: AtomicBool,
    /// A request has come.
    used: AtomicBool,
    /// Since when nothing is asked.
    idle_since: AtomicU64,
    /// Since when a head is coming; 0: none is.
    head_since: AtomicU64,
    /// Since when the client takes nothing; 0: it does.
    stuck_since: AtomicU64,
    head: Mutex<HeadWatch>,
    /// When each answer gave out a piece that has not been followed by a wish for the next.
    paces: Mutex<Vec<Weak<AtomicU64>>>,
}

/// How a request's head says where its body ends, as far as it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// By an encoding alone.
    Encoding,
    /// By an encoding and by a length: whoever framed it may see its end elsewhere.
    Both,
    /// By a length or not at all, or nobody looked.
    Unseen,
}

/// Notes how a client takes an answer. Over HTTP/2 a client that takes nothing does not hold up the
/// socket, only its own answer.
#[derive(Debug)]
pub(crate) struct Pace {
    given: Arc<AtomicU64>,
    ticks: Arc<Ticks>,
}

impl Pace {
    /// The next piece is wanted.
    pub fn wanted(&self) {
        self.given.store(0, Relaxed);
    }

    /// A piece is given out.
    pub fn given(&self) {
        self.given.store(self.ticks.now(), Relaxed);
    }
}

impl Watched {
    pub fn new(ticks: &Arc<Ticks>) -> Arc<Watched> {
        Arc::new(Watched {
            ticks: ticks.clone(),
            order: AtomicU8::new(Order::Serve as u8),
            waker: Mutex::default(),
            has_waker: AtomicBool::new(false),
            in_flight: AtomicU32::new(0),
            is_h2: AtomicBool::new(false),
            is_upgraded: AtomicBool::new(false),
            has_spoken: AtomicBool::new(false),
            used: AtomicBool::new(false),
            idle_since: AtomicU64::new(ticks.now()),
            head_since: AtomicU64::new(0),
            stuck_since: AtomicU64::new(0),
            head: Mutex::default(),
            paces: Mutex::default(),
        })
    }

    /// What it has been told.
    pub fn order(&self) -> Order {
        match self.order.load(Relaxed) {
            0 => Order::Serve,
            1 => Order::Finish,
            2 => Order::HeadTimeout,
            _ => Order::Cut,
        }
    }

    /// Tells it something that goes further than what it has been told.
    pub fn tell(&self, order: Order) {
        if self.order.fetch_max(order as u8, Relaxed) < order as u8 {
            let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// Keeps the waker of the connection's task, which stays the same.
    pub fn know(&self, waker: &Waker) {
        if !self.has_waker.swap(true, Relaxed) {
            *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker.clone());
        }
    }

    /// A request's head is whole; it is being answered until what is returned is dropped.
    pub fn answering(self: &Arc<Watched>) -> InFlight {
        self.used.store(true, Relaxed);
        self.head_since.store(0, Relaxed);
        self.in_flight.fetch_add(1, Relaxed);
        InFlight(self.clone())
    }

    /// It speaks another protocol from here on: who speaks it ends it when it is idle.
    pub fn upgraded(&self) {
        self.is_upgraded.store(true, Relaxed);
    }

    /// How the head that came last says where its body ends. Forgets what it knows of the head.
    pub fn take_framing(&self) -> Framing {
        let head = std::mem::take(&mut *self.head.lock().unwrap_or_else(PoisonError::into_inner));
        match (head.encoding, head.length) {
            (true, false) => Framing::Encoding,
            (true, true) => Framing::Both,
            (false, _) => Framing::Unseen,
        }
    }

    /// What notes how the client takes one of its answers.
    pub fn pace(self: &Arc<Watched>) -> Pace {
        let given = Arc::new(AtomicU64::new(0));
        self.paces.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&given));
        Pace { given, ticks: self.ticks.clone() }
    }

    fn heard(&self, bytes: &[u8]) {
        if bytes.is_empty() || self.in_flight.load(Relaxed) > 0 || self.is_upgraded.load(Relaxed) {
            return;
        }
        if !self.has_spoken.swap(true, Relaxed) {
            self.is_h2.store(bytes.starts_with(b"PRI"), Relaxed);
        }
        if self.is_h2.load(Relaxed) {
            return;
        }
        if self.head_since.load(Relaxed) == 0 {
            self.head_since.store(self.ticks.now(), Relaxed);
        }
        self.head.lock().unwrap_or_else(PoisonError::into_inner).see(bytes);
    }

    fn sent<T>(&self, result: &Poll<io::Result<T>>) {
        let stuck = self.stuck_since.load(Relaxed) != 0;
        if result.is_pending() != stuck {
            let since = if result.is_pending() { self.ticks.now() } else { 0 };
            self.stuck_since.store(since, Relaxed);
        }
    }

    /// Ends it if it has been still for too long; whether it has.
    fn check(&self, now: u64, timeouts: &Timeouts) -> bool {
        let over = |since: u64, limit: Duration| u128::from(now.saturating_sub(since)) >= limit.as_millis();
        let stuck = self.stuck_since.load(Relaxed);
        if stuck != 0 && over(stuck, timeouts.write_idle) {
            self.tell(Order::Cut);
            return true;
        }
        let mut paces = self.paces.lock().unwrap_or_else(PoisonError::into_inner);
        let mut is_held = false;
        paces.retain(|given| {
            let since = given.upgrade().map(|given| given.load(Relaxed));
            is_held |= since.is_some_and(|since| since != 0 && over(since, timeouts.write_idle));
            since.is_some()
        });
        drop(paces);
        if is_held {
            self.tell(Order::Cut);
            return true;
        }
        if self.in_flight.load(Relaxed) > 0 || self.is_upgraded.load(Relaxed) {
            return false;
        }
        let head = self.head_since.load(Relaxed);
        if head != 0 {
            let late = over(head, timeouts.head);
            if late {
                self.tell(Order::HeadTimeout);
            }
            return late;
        }
        let limit = if self.used.load(Relaxed) { timeouts.keep_alive } else { timeouts.first_byte };
        let late = over(self.idle_since.load(Relaxed), limit);
        if late {
            self.tell(Order::Cut);
        }
        late
    }
}

/// A request is being answered as long as this lives.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Watched>);

impl Drop for InFlight {
    fn drop(&mut self) {
        if self.0.in_flight.fetch_sub(1, Relaxed) == 1 {
            self.0.idle_since.store(self.0.ticks.now(), Relaxed);
        }
    }
}

/// All connections of one thread.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    all: Mutex<Vec<Weak<Watched>>>,
}

impl Watch {
    pub fn add(&self, watched: &Arc<Watched>) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(watched));
    }

    /// Looks over all of them; returns how many it ended.
    pub fn check(&self, now: u64, timeouts: &Timeouts) -> u64 {
        let mut ended = 0;
        self.each(|watched| {
            ended += u64::from(watched.order() < Order::HeadTimeout && watched.check(now, timeouts))
        });
        ended
    }

    /// Tells all of them.
    pub fn tell(&self, order: Order) {
        self.each(|watched| watched.tell(order));
    }

    fn each(&self, mut see: impl FnMut(&Watched)) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|watched| watched.upgrade().inspect(|watched| see(watched)).is_some());
    }
}

/// A socket whose use is noted.
#[derive(Debug)]
pub(crate) struct Guard<T> {
    inner: T,
    watched: Arc<Watched>,
    /// Bytes of [`HEAD_TIMEOUT`] that have been written.
    told: usize,
}

impl<T> Guard<T> {
    pub fn new(inner: T, watched: Arc<Watched>) -> Guard<T> {
        Guard { inner, watched, told: 0 }
    }
}

impl<T: AsyncWrite + Unpin> Guard<T> {
    /// Tells the client why, as far as it takes it, then fails.
    fn end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let answers = self.watched.order() == Order::HeadTimeout;
        while answers && self.told < HEAD_TIMEOUT.len() {
            match ready!(Pin::new(&mut self.inner).poll_write(cx, &HEAD_TIMEOUT[self.told..])) {
                Ok(written) if written > 0 => self.told += written,
                _ => break,
            }
        }
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Guard<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.watched.order() >= Order::HeadTimeout {
            return this.end(cx);
        }
        let before = buf.filled().len();
        let result = Pin::new(&mut this.inner).poll_read(cx, buf);
        if let Poll::Ready(Ok(())) = &result {
            this.watched.heard(&buf.filled()[before..]);
        }
        result
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Guard<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.inner).poll_write(cx, buf);
        this.watched.sent(&result);
        result
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.inner).poll_write_vectored(cx, bufs);
        this.watched.sent(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

/// Watches the lines of a request's head for the two ways to say where its body ends. The parser
/// behind it keeps only one of them.
#[derive(Debug, Default)]
struct HeadWatch {
    line: [u8; 18],
    /// Bytes of the line so far, as far as they are kept.
    len: usize,
    ended: bool,
    length: bool,
    encoding: bool,
}

impl HeadWatch {
    fn see(&mut self, mut bytes: &[u8]) {
        while !self.ended && !bytes.is_empty() {
            let end = memchr::memchr(b'\n', bytes);
            let (line, rest) = bytes.split_at(end.map_or(bytes.len(), |end| end + 1));
            let room = self.line.len() - self.len;
            let kept = &line[..line.len().min(room)];
            self.line[self.len..self.len + kept.len()].copy_from_slice(kept);
            self.len += kept.len();
            bytes = rest;
            if end.is_some() {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let line = &self.line[..self.len];
        let is = |name: &[u8]| line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        self.length |= is(b"content-length:");
        self.encoding |= is(b"transfer-encoding:");
        // A client may send an empty line before its request.
        self.ended = line == b"\r\n" || line == b"\n";
        self.len = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_that_says_its_length_twice_is_seen_in_any_pieces() {
        let heads = [
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTRANSFER-Encoding: chunked\r\n\r\n", true),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\ncontent-length: 3\r\n\r\n", true),
            ("POST / HTTP/1.1\r\nContent-Length: 30\r\n\r\ntransfer-encoding: chunked\r\n", false),
            ("POST / HTTP/1.1\r\nx-content-length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", false),
        ];
        for (head, ambiguous) in heads {
            for size in 1..head.len() {
                let mut watch = HeadWatch::default();
                head.as_bytes().chunks(size).for_each(|piece| watch.see(piece));
                assert_eq!(watch.length && watch.encoding, ambiguous, "{head} in {size}");
            }
        }
    }

    #[test]
    fn stillness_ends_a_connection() {
        let second = Duration::from_secs(1);
        let timeouts = Timeouts {
            first_byte: second,
            head: second * 2,
            keep_alive: second * 3,
            write_idle: second * 4,
            ..Timeouts::default()
        };
        let ticks = Arc::new(Ticks::default());
        let at = |millis: u64| {
            ticks.set(millis);
            millis
        };
        let made = |millis| {
            at(millis);
            Watched::new(&ticks)
        };
        let silent = made(1);
        assert!(!silent.check(at(1_000), &timeouts));
        assert!(silent.check(at(1_001), &timeouts));
        assert_eq!(silent.order(), Order::Cut);

        let slow = made(1);
        slow.heard(b"GET");
        assert!(!slow.check(at(2_000), &timeouts));
        assert!(slow.check(at(2_001), &timeouts));
        assert_eq!(slow.order(), Order::HeadTimeout);

        let kept = made(1);
        kept.heard(b"GET");
        let busy = kept.answering();
        assert!(!kept.check(at(100_000), &timeouts), "the client waits, not we");
        kept.sent(&Poll::<io::Result<()>>::Pending);
        assert!(!kept.check(at(103_999), &timeouts));
        kept.sent(&Poll::Ready(Ok(())));
        assert!(!kept.check(at(200_000), &timeouts));
        drop(busy);
        assert!(!kept.check(at(202_999), &timeouts));
        assert!(kept.check(at(203_000), &timeouts));

        let upgraded = made(1);
        upgraded.upgraded();
        upgraded.heard(b"no head");
        assert!(!upgraded.check(at(200_000), &timeouts), "who speaks its protocol ends it");
        upgraded.sent(&Poll::<io::Result<()>>::Pending);
        assert!(upgraded.check(at(204_001), &timeouts), "but not one who takes nothing");

        let stuck = made(1);
        let _busy = stuck.answering();
        stuck.sent(&Poll::<io::Result<()>>::Pending);
        assert!(stuck.check(at(4_001), &timeouts));
        assert_eq!(stuck.order(), Order::Cut);
    }
}
