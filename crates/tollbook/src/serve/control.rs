//! The control plane: its runtime, the API on it, signals, and the demo provider. It runs on the
//! main thread; the store is read on further ones.

use super::{demo, figures, flights, upkeep};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::failure::Failure;
use crate::open;
use http::{Request, Response};
use http_body_util::BodyExt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tollbook_api::Api;
use tollbook_gateway::{Control, ControlAnswer, ControlBody, Counters, Flights, Inbound, Server};
use tollbook_ledger::{Health, Ledger};
use tollbook_notify::ChannelForm;
use tower::ServiceExt;

/// Requests that may wait for the control plane.
const WAITING_MAX: usize = 1_024;
/// How long requests to the control plane may take to end with it.
const STOP_TIME: Duration = Duration::from_secs(5);
/// How often it is looked whether the ledger still can record.
const HEALTH_EVERY: Duration = Duration::from_millis(250);

/// A request on its way to the control plane, and the way back.
struct Handed {
    request: Request<Inbound>,
    peer: SocketAddr,
    answer: oneshot::Sender<Response<ControlBody>>,
}

/// The control plane while it runs.
pub struct ControlPlane {
    runtime: Runtime,
    sender: mpsc::Sender<Handed>,
    counters: Arc<OnceLock<Arc<Counters>>>,
    flights: Arc<OnceLock<Arc<Flights>>>,
    signals: EndSignals,
    /// Where the demo provider listens, if it does.
    pub demo: Option<SocketAddr>,
}

impl ControlPlane {
    /// Starts it. It answers what the data plane hands over.
    pub fn start(
        ledger: &Arc<Ledger>,
        clock: Arc<SystemClock>,
        config: &Config,
        channels: Vec<ChannelForm>,
        with_demo: bool,
    ) -> Result<ControlPlane, Failure> {
        let failed =
            |error: std::io::Error| Failure::new(format!("the control plane could not start: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let signals = {
            let _within = runtime.enter();
            EndSignals::catch().map_err(failed)?
        };
        let counters: Arc<OnceLock<Arc<Counters>>> = Arc::default();
        let flights: Arc<OnceLock<Arc<Flights>>> = Arc::default();
        let options = tollbook_api::Options {
            open_metrics: config.open_metrics.value,
            seeds_metrics: config.seeds_metrics,
            zone: config.time_zone.value.clone(),
            secure_cookies: config.is_public_tls(),
            public_host: config.public_url.as_ref().map(|url| url.host.clone()),
            channels,
            alerts: config.alerts.iter().map(|set| set.value.clone()).collect(),
            summaries: config.summaries.iter().map(|set| set.value.clone()).collect(),
        };
        let api = Api::new(ledger.clone(), clock, options).map_err(failed)?;
        let api = api
            .with_store(open::asked(config)?)
            .with_figures(figures::of(counters.clone()))
            .with_flights(flights::of(flights.clone()));
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        runtime.spawn(api.courier().run());
        runtime.spawn(api.unfinished());
        runtime.spawn(serve(receiver, api.router()));
        runtime.spawn(upkeep::retain(Arc::downgrade(ledger), config.retention()));
        let demo = match with_demo {
            true => Some(runtime.block_on(start_demo()).map_err(failed)?),
            false => None,
        };
        Ok(ControlPlane { runtime, sender, counters, flights, signals, demo })
    }

    /// What the data plane hands requests to.
    pub fn handle(&self) -> Arc<dyn Control> {
        Arc::new(Handle(self.sender.clone()))
    }

    /// Shows the data plane's counters among the metrics, and its streams to whoever watches.
    pub fn watch(&self, server: &Server) {
        // Set once: there is one data plane.
        let _ = self.counters.set(server.counters());
        let _ = self.flights.set(server.flights());
    }

    /// Serves until a signal says to end or the ledger fails for good, then ends the data plane,
    /// whose running answers have `grace` for it. A second signal ends the process at once.
    pub fn run(self, ledger: &Arc<Ledger>, server: Server, grace: Duration) -> Health {
        let ControlPlane { runtime, mut signals, .. } = self;
        let ended = runtime.block_on(async {
            let mut looks = tokio::time::interval(HEALTH_EVERY);
            let ended = loop {
                tokio::select! {
                    () = signals.next() => break Health::Ok,
                    _ = looks.tick() => {
                        if let fatal @ Health::Fatal(_) = ledger.health() {
                            return fatal;
                        }
                        // Without room still: it is looked again with the next tick.
                        let _ = ledger.recover();
                    }
                }
            };
            tokio::spawn(async move {
                signals.next().await;
                std::process::exit(1);
            });
            tracing::info!("ending: running answers are finished first; the same signal again ends at once");
            if tokio::task::spawn_blocking(move || server.shutdown(grace)).await.is_err() {
                tracing::error!("ending the data plane failed; what was recorded is in the journal");
            }
            ended
        });
        // What still runs is dropped: reads, and what is not acknowledged yet.
        runtime.shutdown_timeout(STOP_TIME);
        ended
    }
}

/// SIGTERM and SIGINT. From when it is made they no longer end the process by themselves.
struct EndSignals {
    term: Signal,
    interrupt: Signal,
}

impl EndSignals {
    /// Catches them. Must be called within a runtime.
    fn catch() -> std::io::Result<EndSignals> {
        let term = signal(SignalKind::terminate())?;
        Ok(EndSignals { term, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The next of either.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

async fn serve(mut handed: mpsc::Receiver<Handed>, router: axum::Router) {
    while let Some(Handed { mut request, peer, answer }) = handed.recv().await {
        let router = router.clone();
        tokio::spawn(async move {
            request.extensions_mut().insert(axum::extract::ConnectInfo(peer));
            let Ok(response) = router.oneshot(request.map(axum::body::Body::new)).await;
            // Who asked may have gone.
            let _ = answer.send(response.map(control_body));
        });
    }
}

async fn start_demo() -> std::io::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, demo::router()).await {
            tracing::warn!("the demo provider ended: {error}");
        }
    });
    Ok(address)
}

/// The data plane's way to the control plane.
struct Handle(mpsc::Sender<Handed>);

impl Control for Handle {
    fn call(&self, request: Request<Inbound>, peer: SocketAddr) -> ControlAnswer {
        let (answer, receiver) = oneshot::channel();
        let sent = self.0.try_send(Handed { request, peer, answer });
        Box::pin(async move {
            if sent.is_err() {
                return busy();
            }
            receiver.await.unwrap_or_else(|_| busy())
        })
    }
}

fn control_body(body: axum::body::Body) -> ControlBody {
    ControlBody::new(body.map_err(Into::into))
}

fn busy() -> Response<ControlBody> {
    let text = r#"{"type":"about:blank","title":"Busy","status":503,"code":"busy","detail":"the control plane has too much to do, or is ending; try again"}"#;
    let mut response = Response::new(control_body(axum::body::Body::from(text)));
    *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/problem+json"));
    response
}
