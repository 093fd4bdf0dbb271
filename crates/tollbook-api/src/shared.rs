//! What every handler has at hand, and the bounded way to threads that may wait.

use crate::Options;
use crate::alerts::{Sent, Watch};
use crate::backoff::Backoff;
use crate::channels::Channels;
use crate::code::Code;
use crate::feed::Reader;
use crate::idempotency::{Asked, Commands, Outcome};
use crate::live::{Flights, Hub};
use crate::metrics::{Calls, Counts, Figures, Seeds};
use crate::otlp::Telemetry;
use crate::problem::Problem;
use crate::summaries::Summaries;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tollbook_ledger::Ledger;
use tollbook_notify::Sender;
use tollbook_store::{Store, StoreError};
use tollbook_types::Clock;
use uuid::Uuid;

/// Questions that the store answers at once.
const READS_MAX: usize = 16;
/// Writes that wait for the ledger at once: they share its groups.
const WRITES_MAX: usize = 64;
/// Answers that are read from the store while they are sent: each may take as long as its caller does.
const STREAMS_MAX: usize = 4;
/// How long a request waits for its turn.
const TURN_MAX: Duration = Duration::from_secs(10);

/// What every handler has at hand.
pub struct Shared {
    /// The books.
    pub ledger: Arc<Ledger>,
    /// The same books, for questions: it may refuse some of them that the ledger's own store answers.
    pub store: Arc<dyn Store>,
    /// The present.
    pub clock: Arc<dyn Clock>,
    /// How the API is run.
    pub options: Options,
    /// A name of this run of the server: versions of the books count anew in each.
    pub run: Uuid,
    /// Further metrics.
    pub figures: Option<Arc<dyn Figures>>,
    /// Its own.
    pub counts: Counts,
    /// What telemetry needs from one request to the next.
    pub telemetry: Telemetry,
    /// Commands that are not done twice.
    pub commands: Arc<Commands>,
    /// The calls since the start, in figures.
    pub calls: Arc<Calls>,
    /// The same under the names of earlier systems, where that is wanted.
    pub seeds: Option<Arc<Seeds>>,
    /// Who watches the books.
    pub hub: Arc<Hub>,
    /// Where alerts go.
    pub channels: Arc<Channels>,
    /// What brings them there.
    pub sender: Sender,
    /// What became of them.
    pub sent: Arc<Sent>,
    /// What rules look at.
    pub watch: Arc<Watch>,
    /// What people are told from time to time.
    pub summaries: Arc<Summaries>,
    /// Streams on their way.
    pub flights: Option<Arc<dyn Flights>>,
    /// Who failed to prove who they are.
    pub backoff: Backoff,
    reads: Arc<Semaphore>,
    writes: Arc<Semaphore>,
    streams: Arc<Semaphore>,
}

impl Shared {
    /// With nothing running yet. The error is that of reading the channels.
    pub fn new(ledger: Arc<Ledger>, clock: Arc<dyn Clock>, options: Options) -> io::Result<Shared> {
        let channels = Channels::load(&ledger, &options.channels).map_err(io::Error::other)?;
        let sender = Sender::new().map_err(io::Error::other)?;
        let watch = Arc::new(Watch::new(&options, clock.clone()));
        let summaries = Arc::new(Summaries::new(&options, clock.clone()));
        Ok(Shared {
            store: ledger.store().clone(),
            ledger,
            clock,
            run: Uuid::now_v7(),
            figures: None,
            counts: Counts::default(),
            telemetry: Telemetry::default(),
            commands: Arc::default(),
            calls: Arc::default(),
            seeds: options.seeds_metrics.then(Arc::default),
            hub: Arc::default(),
            channels: Arc::new(channels),
            sender,
            sent: Arc::default(),
            watch,
            summaries,
            flights: None,
            options,
            backoff: Backoff::default(),
            reads: Arc::new(Semaphore::new(READS_MAX)),
            writes: Arc::new(Semaphore::new(WRITES_MAX)),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
        })
    }

    /// The zone of days and budgets where none is named, and what it is called.
    pub fn zone(&self) -> (String, tollbook_store::Zone) {
        (self.options.zone.name.clone(), self.options.zone.zone.clone())
    }

    /// Everybody who reads along in the books.
    pub fn readers(&self) -> Vec<Arc<dyn Reader>> {
        let mut readers: Vec<Arc<dyn Reader>> =
            vec![self.calls.clone(), self.hub.clone(), self.watch.clone()];
        readers.extend(self.seeds.iter().map(|seeds| seeds.clone() as Arc<dyn Reader>));
        readers
    }

    /// Asks the store, on a thread that may wait.
    pub async fn read<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Problem> {
        let store = self.store.clone();
        on_thread(&self.reads, move || ask(store.as_ref()).map_err(Problem::from)).await
    }

    /// The turn of an answer that is read while it is sent: to be dropped at its end.
    pub async fn stream_turn(&self) -> Result<OwnedSemaphorePermit, Problem> {
        turn_of(&self.streams).await
    }

    /// Works with the ledger, on a thread that may wait.
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Ledger) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let ledger = self.ledger.clone();
        on_thread(&self.writes, move || work(&ledger)).await
    }

    /// As [`Shared::write`], but not again where the same was asked and done before. The work gives
    /// what it made, with its id.
    pub async fn write_once<T: Send + 'static>(
        &self,
        asked: Option<Asked>,
        work: impl FnOnce(&Ledger) -> Result<(T, String), Problem> + Send + 'static,
    ) -> Result<Outcome<T>, Problem> {
        let (commands, now) = (self.commands.clone(), self.clock.now());
        self.write(move |ledger| commands.once(ledger, asked, now, || work(ledger))).await
    }
}

async fn turn_of(turns: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Problem> {
    match tokio::time::timeout(TURN_MAX, turns.clone().acquire_owned()).await {
        Ok(Ok(turn)) => Ok(turn),
        _ => {
            let problem = Problem::new(Code::Busy, "too much to do; try again");
            Err(Problem { retry_after_s: Some(2), ..problem })
        }
    }
}

async fn on_thread<T: Send + 'static>(
    turns: &Arc<Semaphore>,
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let turn = turn_of(turns).await?;
    let done = tokio::task::spawn_blocking(move || {
        let result = work();
        drop(turn);
        result
    });
    done.await.unwrap_or_else(|error| {
        tracing::error!("a request's work failed: {error}");
        Err(Problem::internal())
    })
}
