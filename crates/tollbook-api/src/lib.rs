//! The control plane: ingest, queries and keys over HTTP, in the shapes that programs read.
//!
//! A request goes through one gate that knows who may use which route ([`routes`]), then to a
//! handler that reads it, asks the ledger or the store on a thread that may wait, and answers in a
//! shape of [`wire`]. Refusals are problem+json. It must never know SQL, nor how a provider is called.

mod access;
mod admit;
mod alerts;
mod audit;
mod backoff;
mod body;
mod budgets;
mod calls;
mod captured;
mod channels;
mod cloudevents;
mod code;
mod dashboard;
pub mod demo;
mod doc;
mod etag;
mod events;
pub mod export;
mod feed;
mod held;
mod idempotency;
mod keys;
mod limits;
pub mod live;
mod members;
pub mod metrics;
mod object;
mod openapi;
pub mod otlp;
mod own_prices;
mod params;
mod prices;
mod privacy;
mod probes;
mod problem;
pub mod question;
mod rate_limits;
mod rerate;
mod routes;
mod seeds;
mod session;
mod settle;
mod shared;
mod stats;
mod stream;
mod summaries;
mod usage;
pub mod wire;

pub use access::Access;
pub use alerts::Courier;
pub use calls::card;
pub use captured::captured_of;
pub use channels::{Channels, Known};
pub use code::Code;
pub use held::{Person, held_on};
pub use routes::Listed;
pub use summaries::{SummaryFault, SummaryForm, SummaryOrder};

use live::Flights;
use metrics::Figures;
use question::NamedZone;
use shared::Shared;
use std::sync::Arc;
use tollbook_budget::rules::RuleForm;
use tollbook_ledger::Ledger;
use tollbook_notify::ChannelForm;
use tollbook_store::Store;
use tollbook_types::Clock;

/// How the API is run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `/metrics` without a key, for callers on this machine.
    pub open_metrics: bool,
    /// `/metrics` also under the names of earlier systems.
    pub seeds_metrics: bool,
    /// The zone of days and buckets, where a request names none.
    pub zone: NamedZone,
    /// Browsers send a session's cookie over TLS only.
    pub secure_cookies: bool,
    /// The host (and port, if it is not the usual one) that browsers know the server by, where a
    /// proxy in front does not pass it on.
    pub public_host: Option<String>,
    /// Channels of the configuration.
    pub channels: Vec<ChannelForm>,
    /// Rules of the configuration; kinds that it does not name are as they are unless said.
    pub alerts: Vec<RuleForm>,
    /// Summaries of the configuration.
    pub summaries: Vec<SummaryForm>,
}

/// The API over a ledger.
pub struct Api {
    shared: Shared,
}

impl Api {
    /// An API over this ledger. It starts a thread that reads along in the books until the ledger
    /// closes; the error is that of starting it, or of reading its channels.
    pub fn new(ledger: Arc<Ledger>, clock: Arc<dyn Clock>, options: Options) -> std::io::Result<Api> {
        let shared = Shared::new(ledger, clock, options)?;
        shared.hub.begin(shared.ledger.status().applied);
        feed::start(shared.ledger.follow(feed::CHANGES_MAX), shared.readers())?;
        Ok(Api { shared })
    }

    /// Asks this store instead of the ledger's own. It has the same books, and bounds on what one
    /// question may take.
    #[must_use]
    pub fn with_store(mut self, store: Arc<dyn Store>) -> Api {
        self.shared.store = store;
        self
    }

    /// Shows these among its metrics, too.
    #[must_use]
    pub fn with_figures(mut self, figures: Arc<dyn Figures>) -> Api {
        self.shared.figures = Some(figures);
        self
    }

    /// Shows these to whoever watches, too.
    #[must_use]
    pub fn with_flights(mut self, flights: Arc<dyn Flights>) -> Api {
        self.shared.flights = Some(flights);
        self
    }

    /// What brings alerts to their channels, for as long as it runs.
    pub fn courier(&self) -> Courier {
        Courier {
            ledger: self.shared.ledger.clone(),
            clock: self.shared.clock.clone(),
            channels: self.shared.channels.clone(),
            sender: self.shared.sender.clone(),
            hub: self.shared.hub.clone(),
            sent: self.shared.sent.clone(),
            watch: self.shared.watch.clone(),
            summaries: self.shared.summaries.clone(),
        }
    }

    /// Goes on with what the last end, or a crash, has left unfinished.
    pub fn unfinished(&self) -> impl Future<Output = ()> + Send + 'static {
        rerate::go_on(Arc::downgrade(&self.shared.ledger))
    }

    /// Its routes, ready to serve. A caller's address is taken from the extension
    /// `ConnectInfo<SocketAddr>`; without it a caller is taken for one from elsewhere.
    pub fn router(self) -> axum::Router {
        routes::router(Arc::new(self.shared))
    }

    /// Every route that there is, for tests and documentation.
    pub fn routes() -> Vec<Listed> {
        routes::listed()
    }

    /// The OpenAPI document of all routes, as it stands at `/openapi.json`.
    pub fn document() -> serde_json::Value {
        routes::document()
    }
}
