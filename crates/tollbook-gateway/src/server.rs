//! The server: its threads, its start and its end.

use crate::admission::Admission;
use crate::capture::Recorder;
use crate::control::Control;
use crate::core::{Core, Parts, Phase, Plane, Room, Route};
use crate::counters::Counters;
use crate::dial::{Dialer, client_config};
use crate::flights::Flights;
use crate::ids::Ids;
use crate::listen::{self, TlsError};
use crate::options::Options;
use crate::pool::Pool;
use crate::target::Target;
use crate::upstream::{RESERVED, Upstream};
use crate::worker::{Guests, Worker};
use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tollbook_ledger::Ledger;
use tollbook_types::Clock;

/// How long what was cut has to end.
const CUT_GRACE: Duration = Duration::from_secs(5);
/// How often the end is looked for.
const END_LOOK: Duration = Duration::from_millis(5);

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened at.
    #[error("{address} cannot be listened at: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// An upstream is not one that can be called.
    #[error("upstream {name}: {why}")]
    Upstream {
        /// Its name.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// No TLS to upstreams.
    #[error("TLS to upstreams: {0}")]
    Roots(#[from] rustls::Error),
    /// A thread does not start.
    #[error("a thread does not start: {0}")]
    Thread(io::Error),
}

/// A gateway that runs.
pub struct Server {
    core: Arc<Core>,
    address: SocketAddr,
    phase: watch::Sender<Phase>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Server {
    /// Starts a gateway: on return it takes calls.
    pub fn start(
        mut options: Options,
        ledger: Arc<Ledger>,
        admission: Arc<dyn Admission>,
        control: Arc<dyn Control>,
        clock: Arc<dyn Clock>,
    ) -> Result<Server, StartError> {
        let routes = routes(std::mem::take(&mut options.upstreams))?;
        let tls = options.tls.as_ref().map(listen::server_config).transpose()?;
        let client = Arc::new(client_config()?);
        let threads = match options.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            told => told,
        };
        let at = |source| StartError::Listen { address: options.listen, source };
        let listeners = listen::bind(options.listen, threads).map_err(at)?;
        let address = listeners.first().map_or(Ok(options.listen), |first| first.local_addr()).map_err(at)?;
        let (limits, timeouts) = (options.limits, options.timeouts);
        let guests = Arc::new(Guests::new(limits.connections, limits.connections_per_address));
        let counters = Arc::new(Counters::new(routes.iter().map(|route| route.upstream.name.as_str())));
        let recorder = |set| Recorder::start(set, ledger.clone(), counters.captures.clone());
        let capture = options.capture.take().map(recorder).transpose().map_err(StartError::Thread)?;
        let parts = Parts { ledger, admission, control, clock, counters, capture };
        let core = Arc::new(Core::new(routes, &options, parts));
        let (phase, _) = watch::channel(Phase::Serving);
        let server = Server { core, address, phase, threads: Mutex::default() };
        for (number, listener) in listeners.into_iter().enumerate() {
            let dialer = Dialer::new(client.clone(), timeouts.connect);
            let plane = Plane {
                pool: Pool::new(dialer, server.core.routes.len(), timeouts.upstream_keep_alive),
                core: server.core.clone(),
                ids: Ids::new(),
                ticks: Arc::default(),
                watch: Default::default(),
                tasks: Room::new(usize::MAX),
                phase: server.phase.subscribe(),
            };
            let worker = Worker {
                plane: Arc::new(plane),
                guests: guests.clone(),
                tls: tls.clone(),
                phase: server.phase.subscribe(),
            };
            let thread = start_thread(number, worker, listener).map_err(StartError::Thread)?;
            server.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        }
        Ok(server)
    }

    /// The address that it listens at.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it counts.
    pub fn counters(&self) -> Arc<Counters> {
        self.core.counters.clone()
    }

    /// The streams on their way.
    pub fn flights(&self) -> Arc<Flights> {
        self.core.flights.clone()
    }

    /// Ends it: no new calls, running ones have `grace`, what runs then is cut and recorded as such.
    /// On return everything is recorded.
    pub fn shutdown(self, grace: Duration) {
        self.end(grace);
    }

    fn end(&self, grace: Duration) {
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        self.tell(Phase::Stopping);
        let is_over = |limit: Duration| {
            let until = Instant::now() + limit;
            while Instant::now() < until {
                if threads.iter().all(JoinHandle::is_finished) {
                    return true;
                }
                std::thread::sleep(END_LOOK);
            }
            false
        };
        if !is_over(grace) {
            self.tell(Phase::Cutting);
            if !is_over(CUT_GRACE) {
                tracing::error!("calls do not end; they are recorded at the next start");
                return;
            }
        }
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the data plane panicked");
            }
        }
    }

    fn tell(&self, phase: Phase) {
        self.core.set_phase(phase);
        self.phase.send_replace(phase);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end(Duration::ZERO);
    }
}

fn start_thread(
    number: usize,
    worker: Worker,
    listener: std::net::TcpListener,
) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = {
        let _inside = runtime.enter();
        tokio::net::TcpListener::from_std(listener)?
    };
    std::thread::Builder::new()
        .name(format!("gateway-{number}"))
        .spawn(move || runtime.block_on(worker.run(listener)))
}

fn routes(upstreams: Vec<Upstream>) -> Result<Vec<Route>, StartError> {
    let mut names = HashSet::new();
    let mut routes = Vec::with_capacity(upstreams.len());
    for upstream in upstreams {
        let wrong = |why: String| StartError::Upstream { name: upstream.name.clone(), why };
        if RESERVED.contains(&upstream.name.as_str()) {
            return Err(wrong("this name is a path of the server's own".to_owned()));
        }
        if !names.insert(upstream.name.clone()) {
            return Err(wrong("it is there twice".to_owned()));
        }
        let target = if upstream.base_url.is_empty() {
            None
        } else {
            Some(Target::of(&upstream).map_err(|error| wrong(format!("base_url {error}")))?)
        };
        routes.push(Route::new(upstream, target));
    }
    Ok(routes)
}
