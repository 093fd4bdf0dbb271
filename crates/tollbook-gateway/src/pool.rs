//! Connections to upstreams, kept for the next call. Each thread has its own.

use crate::dial::{DialError, Dialer, Line};
use crate::outbound::Outbound;
use crate::target::Target;
use http::header::HOST;
use http::{Request, Response, Uri, Version};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Connections to one upstream that are kept while nothing is asked over them.
const KEPT_MAX: usize = 1_024;
/// What is read ahead of an answer, and the most that its head may be: a caller that takes nothing
/// must not make it grow.
const BUFFER_BYTES_MAX: usize = 32 * 1024;
/// An upstream is asked whether it is still there when nothing has come over HTTP/2 for so long.
const PING_AFTER: Duration = Duration::from_secs(20);

/// An answer's head, or why there is none; with the request where it was not sent.
pub(crate) type Sent = Result<Response<Incoming>, TrySendError<Request<Outbound>>>;
/// The way of a request to its answer's head.
pub(crate) type Sending = Pin<Box<dyn Future<Output = Sent> + Send>>;

enum Sender {
    One(http1::SendRequest<Outbound>),
    Many(http2::SendRequest<Outbound>),
}

/// A connection for one call.
pub(crate) struct Lease {
    sender: Sender,
    lane: usize,
    /// It has been used before, so that its upstream may have closed it meanwhile.
    pub is_used: bool,
}

impl Lease {
    /// Sends a request and waits for the head of its answer.
    pub fn send(&mut self, request: Request<Outbound>) -> Sending {
        match &mut self.sender {
            Sender::One(sender) => Box::pin(sender.try_send_request(request)),
            Sender::Many(sender) => Box::pin(sender.try_send_request(request)),
        }
    }

    /// Gives a request the form that the connection wants.
    pub fn fit(&self, request: &mut Request<Outbound>, target: &Target) -> Result<(), http::Error> {
        let path = request.uri().path_and_query().cloned();
        let mut parts = http::uri::Parts::default();
        parts.path_and_query = path;
        match &self.sender {
            Sender::One(_) => {
                *request.version_mut() = Version::HTTP_11;
                request.headers_mut().insert(HOST, target.header.clone());
            }
            Sender::Many(_) => {
                *request.version_mut() = Version::HTTP_2;
                request.headers_mut().remove(HOST);
                parts.scheme = Some(target.scheme.clone());
                parts.authority = Some(target.authority.clone());
            }
        }
        *request.uri_mut() = Uri::from_parts(parts)?;
        Ok(())
    }
}

struct Kept {
    sender: http1::SendRequest<Outbound>,
    since: Instant,
}

#[derive(Default)]
struct Lane {
    kept: Mutex<Vec<Kept>>,
    many: Mutex<Option<http2::SendRequest<Outbound>>>,
}

/// The connections of one thread.
pub(crate) struct Pool {
    dialer: Dialer,
    /// One for each upstream.
    lanes: Vec<Lane>,
    keep: Duration,
}

impl Pool {
    pub fn new(dialer: Dialer, upstreams: usize, keep: Duration) -> Pool {
        Pool { dialer, lanes: (0..upstreams).map(|_| Lane::default()).collect(), keep }
    }

    /// A connection that is kept, or a new one.
    pub async fn lease(&self, lane: usize, target: &Target) -> Result<Lease, DialError> {
        if let Some(lease) = self.lanes.get(lane).and_then(|known| known.take(lane)) {
            return Ok(lease);
        }
        self.new_lease(lane, target).await
    }

    /// A new connection.
    pub async fn new_lease(&self, lane: usize, target: &Target) -> Result<Lease, DialError> {
        let line = self.dialer.dial(target).await?;
        let sender = if line.is_h2() { self.many(lane, line).await? } else { one(line).await? };
        Ok(Lease { sender, lane, is_used: false })
    }

    async fn many(&self, lane: usize, line: Line) -> Result<Sender, DialError> {
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_AFTER)
            .adaptive_window(true)
            .handshake(TokioIo::new(line))
            .await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to an upstream ended");
            }
        });
        if let Some(lane) = self.lanes.get(lane) {
            *lock(&lane.many) = Some(sender.clone());
        }
        Ok(Sender::Many(sender))
    }

    /// Keeps a connection whose answer has been read to its end.
    pub fn keep(&self, lease: Lease) {
        let Sender::One(sender) = lease.sender else { return };
        let Some(lane) = self.lanes.get(lease.lane) else { return };
        let mut kept = lock(&lane.kept);
        if !sender.is_closed() && kept.len() < KEPT_MAX {
            kept.push(Kept { sender, since: Instant::now() });
        }
    }

    /// Lets connections go that have been kept for long enough, or that their upstreams closed.
    pub fn sweep(&self) {
        for lane in &self.lanes {
            lock(&lane.kept).retain(|kept| !kept.sender.is_closed() && kept.since.elapsed() < self.keep);
            let mut many = lock(&lane.many);
            if many.as_ref().is_some_and(http2::SendRequest::is_closed) {
                *many = None;
            }
        }
    }
}

impl Lane {
    fn take(&self, lane: usize) -> Option<Lease> {
        let mut kept = lock(&self.kept);
        // One that is not ready yet is still putting its last answer away.
        if let Some(place) = kept.iter().rposition(|kept| kept.sender.is_ready()) {
            let Kept { sender, .. } = kept.swap_remove(place);
            return Some(Lease { sender: Sender::One(sender), lane, is_used: true });
        }
        drop(kept);
        let many = lock(&self.many).clone()?;
        many.is_ready().then_some(Lease { sender: Sender::Many(many), lane, is_used: true })
    }
}

async fn one(line: Line) -> Result<Sender, DialError> {
    let (sender, connection) =
        http1::Builder::new().max_buf_size(BUFFER_BYTES_MAX).handshake(TokioIo::new(line)).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to an upstream ended");
        }
    });
    Ok(Sender::One(sender))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
