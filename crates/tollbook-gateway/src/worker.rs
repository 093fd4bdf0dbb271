//! One thread of the data plane: it accepts connections and serves them.

use crate::core::{Phase, Place, Plane, Room};
use crate::guard::{Guard, Order, Watched};
use crate::pipeline;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Requests at once on one connection of HTTP/2.
const STREAMS_MAX: u32 = 128;
/// Requests that a client takes back before they are answered, until its connection is closed.
const RESETS_MAX: usize = 64;
/// How long a thread waits after a connection could not be accepted for want of files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How often a thread that ends looks whether all is done.
const END_LOOK: Duration = Duration::from_millis(5);

/// Connections that are open, in all and by address.
#[derive(Debug)]
pub(crate) struct Guests {
    all: Arc<Room>,
    each_max: usize,
    each: Mutex<HashMap<IpAddr, usize>>,
}

impl Guests {
    pub fn new(all: usize, each: usize) -> Guests {
        Guests { all: Room::new(all), each_max: each, each: Mutex::default() }
    }

    /// Lets one in, until what is returned is dropped.
    fn admit(self: &Arc<Guests>, from: IpAddr) -> Option<Guest> {
        let place = self.all.take(1)?;
        let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        let open = each.entry(from).or_default();
        if *open >= self.each_max {
            return None;
        }
        *open += 1;
        Some(Guest { guests: self.clone(), from, _place: place })
    }
}

/// A connection that was let in.
#[derive(Debug)]
struct Guest {
    guests: Arc<Guests>,
    from: IpAddr,
    _place: Place,
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut each = self.guests.each.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = each.get_mut(&self.from) {
            *open -= 1;
            if *open == 0 {
                each.remove(&self.from);
            }
        }
    }
}

/// What a thread is started with.
pub(crate) struct Worker {
    pub plane: Arc<Plane>,
    pub guests: Arc<Guests>,
    pub tls: Option<Arc<ServerConfig>>,
    pub phase: watch::Receiver<Phase>,
}

impl Worker {
    /// Serves until all is over.
    pub async fn run(mut self, listener: TcpListener) {
        let tls = self.tls.take().map(TlsAcceptor::from);
        let builder = Arc::new(builder());
        let ticking = tokio::spawn(tick(self.plane.clone()));
        while *self.phase.borrow() == Phase::Serving {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = self.phase.changed() => continue,
            };
            match accepted {
                Ok((stream, peer)) => self.welcome(stream, peer, &tls, &builder),
                Err(error) => pause(&error).await,
            }
        }
        drop(listener);
        self.plane.watch.tell(Order::Finish);
        while self.plane.tasks.taken() > 0 {
            tokio::select! {
                () = tokio::time::sleep(END_LOOK) => {}
                _ = self.phase.changed() => {}
            }
            if *self.phase.borrow() == Phase::Cutting {
                self.plane.watch.tell(Order::Cut);
            }
        }
        ticking.abort();
    }

    fn welcome(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        tls: &Option<TlsAcceptor>,
        builder: &Arc<auto::Builder<TokioExecutor>>,
    ) {
        let counters = &self.plane.core.counters;
        let (Some(guest), Some(task)) = (self.guests.admit(peer.ip()), self.plane.tasks.take(1)) else {
            counters.connections_refused.add(1);
            return;
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection was gone at once");
            return;
        }
        counters.connections.up();
        let (plane, builder, tls) = (self.plane.clone(), builder.clone(), tls.clone());
        tokio::spawn(async move {
            let counted = plane.clone();
            match tls {
                None => serve(plane, builder, stream, peer).await,
                Some(tls) => {
                    let limit = plane.core.timeouts.first_byte;
                    match tokio::time::timeout(limit, tls.accept(stream)).await {
                        Ok(Ok(stream)) => serve(plane, builder, stream, peer).await,
                        Ok(Err(error)) => tracing::debug!(%error, "a client speaks no TLS that we do"),
                        Err(_) => plane.core.counters.connections_timed_out.add(1),
                    }
                }
            }
            counted.core.counters.connections.down();
            drop((guest, task));
        });
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // The guard has the time limits.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(HEAD_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEAD_BYTES_MAX as u32)
        .max_pending_accept_reset_streams(RESETS_MAX)
        .max_local_error_reset_streams(RESETS_MAX);
    builder
}

/// Serves one connection until its end, or until it is told to end.
async fn serve<T>(plane: Arc<Plane>, builder: Arc<auto::Builder<TokioExecutor>>, stream: T, peer: SocketAddr)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let watched = Watched::new(&plane.ticks);
    plane.watch.add(&watched);
    let service = service_fn(|request| {
        let (plane, watched) = (plane.clone(), watched.clone());
        // In a box of its own, which goes with the head of the answer: a connection has room for its
        // service as long as it lives, while a stream goes on and while nothing is asked.
        Box::pin(async move { Ok::<_, Infallible>(pipeline::serve(plane, watched, peer, request).await) })
    });
    let io = TokioIo::new(Guard::new(stream, watched.clone()));
    let mut connection = pin!(builder.serve_connection_with_upgrades(io, service));
    let mut is_finishing = false;
    std::future::poll_fn(|cx| {
        watched.know(cx.waker());
        let order = watched.order();
        if order == Order::Cut {
            return Poll::Ready(());
        }
        if order == Order::Finish && !is_finishing {
            is_finishing = true;
            connection.as_mut().graceful_shutdown();
        }
        connection.as_mut().poll(cx).map(|ended| {
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended");
            }
        })
    })
    .await;
}

/// Moves the thread's clock and looks for what stands still.
async fn tick(plane: Arc<Plane>) {
    let timeouts = plane.core.timeouts;
    let shortest = timeouts.first_byte.min(timeouts.head).min(timeouts.keep_alive).min(timeouts.write_idle);
    let every = (shortest / 8).clamp(Duration::from_millis(2), Duration::from_millis(250));
    let began = Instant::now();
    loop {
        let now = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1);
        plane.ticks.set(now);
        let ended = plane.watch.check(now, &timeouts);
        plane.core.counters.connections_timed_out.add(ended);
        plane.pool.sweep();
        tokio::time::sleep(every).await;
    }
}

/// Waits a little where accepting failed for want of something that may come back.
async fn pause(error: &io::Error) {
    let is_the_clients = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    );
    if !is_the_clients {
        tracing::warn!(%error, "no connection can be accepted for now");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}
