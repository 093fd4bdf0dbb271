//! A provider's stand-in: real TCP, HTTP/1.1, answers by script, faults included.
//!
//! Which script answers a request: the next one that was queued, else the one that the request's
//! `x-script` header names, else the one of its path, else the [`canned`] answer of the API that the
//! path leads to, else 404. Every request is kept as it came, with what was sent for it, so that a
//! test compares what was served with what was recorded. It must never know who calls it.

pub mod canned;
mod coding;
mod script;
pub(crate) mod wire;

pub use canned::Tokens;
pub use coding::encoded;
pub use script::{Coding, Gate, Script};

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Threads of connections need little.
const STACK_BYTES: usize = 256 * 1024;

/// A request as it came, and what was sent for it.
#[derive(Clone, Debug)]
pub struct Served {
    /// The number of the request, from 0; [`canned`] answers carry it in their id.
    pub nth: u64,
    /// The number of the connection it came on.
    pub connection: u64,
    /// Its method.
    pub method: String,
    /// Path and query as they came.
    pub target: String,
    /// Header names in lower case, in their order.
    pub headers: Vec<(String, String)>,
    /// The body, without its framing.
    pub body: Vec<u8>,
    /// Whether the whole body came.
    pub body_whole: bool,
    /// The status that was sent; nothing where the connection ended before.
    pub status: Option<u16>,
    /// Bytes of the answer's body that were handed to the socket.
    pub sent_bytes: u64,
    /// Whether the answer was sent to its end.
    pub whole: bool,
    /// What a canned answer says was used.
    pub tokens: Option<Tokens>,
}

impl Served {
    /// A header's first value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The path without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
}

/// A running stand-in; it ends when it is dropped.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    ending: AtomicBool,
    frozen: Mutex<bool>,
    thawed: Condvar,
    connections: AtomicU64,
    open: Mutex<HashMap<u64, TcpStream>>,
    scripts: Mutex<Scripts>,
    served: Mutex<Vec<Served>>,
}

#[derive(Debug, Default)]
struct Scripts {
    queue: VecDeque<Script>,
    by_name: HashMap<String, Script>,
    by_path: HashMap<String, Script>,
}

impl Upstream {
    /// Starts one on a free port of the loopback interface.
    ///
    /// # Errors
    /// The port or the thread cannot be had.
    pub fn start() -> io::Result<Upstream> {
        Upstream::start_at(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// Starts one at this address.
    ///
    /// # Errors
    /// The address or the thread cannot be had.
    pub fn start_at(address: SocketAddr) -> io::Result<Upstream> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let accepting = Arc::clone(&shared);
        let acceptor = std::thread::Builder::new()
            .name("upstream".to_owned())
            .spawn(move || accept(&listener, &accepting))?;
        Ok(Upstream { address, shared, acceptor: Some(acceptor) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers the next request that has no queued answer yet.
    pub fn queue(&self, script: Script) {
        lock(&self.shared.scripts).queue.push_back(script);
    }

    /// Answers requests whose `x-script` header says this name.
    pub fn named(&self, name: &str, script: Script) {
        lock(&self.shared.scripts).by_name.insert(name.to_owned(), script);
    }

    /// Answers requests with this path (or this path and query).
    pub fn at_path(&self, path: &str, script: Script) {
        lock(&self.shared.scripts).by_path.insert(path.to_owned(), script);
    }

    /// All requests so far, in the order in which they were understood.
    #[must_use]
    pub fn served(&self) -> Vec<Served> {
        lock(&self.shared.served).clone()
    }

    /// How many requests came so far.
    #[must_use]
    pub fn count(&self) -> usize {
        lock(&self.shared.served).len()
    }

    /// How many connections were made so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// How many connections are open.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        lock(&self.shared.open).len()
    }

    /// Waits until so many requests came. Whether they did.
    #[must_use]
    pub fn wait_for(&self, requests: usize, limit: Duration) -> bool {
        let since = Instant::now();
        while self.count() < requests {
            if since.elapsed() > limit {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }

    /// Stops reading and writing, as a stopped process does: connections are still taken by the
    /// kernel, nothing moves. [`Upstream::thaw`] goes on.
    pub fn freeze(&self) {
        *lock(&self.shared.frozen) = true;
    }

    /// Goes on after [`Upstream::freeze`].
    pub fn thaw(&self) {
        *lock(&self.shared.frozen) = false;
        self.shared.thawed.notify_all();
    }

    /// Closes every open connection; new ones are still taken.
    pub fn hang_up(&self) {
        for stream in lock(&self.shared.open).values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Ends: from now on connections are refused.
    pub fn stop(&mut self) {
        self.shared.ending.store(true, Ordering::SeqCst);
        self.thaw();
        self.hang_up();
        // A last connection, so that the acceptor looks up.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        self.hang_up();
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }

    /// Waits while frozen.
    fn pass(&self) {
        let mut frozen = lock(&self.frozen);
        while *frozen && !self.is_ending() {
            frozen = self.thawed.wait(frozen).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Sleeps in pieces, so that an end is noticed.
    fn sleep(&self, time: Duration) {
        let since = Instant::now();
        while !self.is_ending() {
            let left = time.saturating_sub(since.elapsed());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(Duration::from_millis(50)));
        }
    }

    /// Keeps a request and finds its script.
    fn note(&self, mut request: Served) -> (u64, Script) {
        let mut scripts = lock(&self.scripts);
        let mut served = lock(&self.served);
        let nth = served.len() as u64;
        request.nth = nth;
        let named = request.header("x-script").and_then(|name| scripts.by_name.get(name)).cloned();
        let chosen = scripts
            .queue
            .pop_front()
            .or(named)
            .or_else(|| scripts.by_path.get(&request.target).cloned())
            .or_else(|| scripts.by_path.get(request.path()).cloned());
        let script = chosen.unwrap_or_else(|| match canned::answer(&request) {
            Some((script, tokens)) => {
                request.tokens = Some(tokens);
                script
            }
            None => Script::json(&serde_json::json!({"error":{"message":"no such path"}})).status(404),
        });
        served.push(request);
        (nth, script)
    }

    fn sent(&self, nth: u64, status: Option<u16>, sent_bytes: u64, whole: bool) {
        let mut served = lock(&self.served);
        if let Some(request) = usize::try_from(nth).ok().and_then(|nth| served.get_mut(nth)) {
            (request.status, request.sent_bytes, request.whole) = (status, sent_bytes, whole);
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.is_ending() {
            return;
        }
        let Ok(stream) = stream else { continue };
        let connection = shared.connections.fetch_add(1, Ordering::Relaxed);
        let Ok(copy) = stream.try_clone() else { continue };
        lock(&shared.open).insert(connection, copy);
        let serving = Arc::clone(shared);
        let started = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(move || {
            let _ = wire::serve(stream, connection, &serving);
            lock(&serving.open).remove(&connection);
        });
        if started.is_err() {
            lock(&shared.open).remove(&connection);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
