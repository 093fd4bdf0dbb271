//! What every handler has at hand, and the bounded way to threads that may wait.

use crate::Options;
use crate::code::Code;
use crate::metrics::{Counts, Figures};
use crate::otlp::Telemetry;
use crate::problem::Problem;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tollbook_ledger::Ledger;
use tollbook_store::{Store, StoreError};
use tollbook_types::Clock;

/// Questions that the store answers at once.
const READS_MAX: usize = 16;
/// Writes that wait for the ledger at once: they share its groups.
const WRITES_MAX: usize = 64;
/// How long a request waits for its turn.
const TURN_MAX: Duration = Duration::from_secs(10);

/// What every handler has at hand.
pub struct Shared {
    /// The books.
    pub ledger: Arc<Ledger>,
    /// The present.
    pub clock: Arc<dyn Clock>,
    /// How the API is run.
    pub options: Options,
    /// Further metrics.
    pub figures: Option<Arc<dyn Figures>>,
    /// Its own.
    pub counts: Counts,
    /// What telemetry needs from one request to the next.
    pub telemetry: Telemetry,
    reads: Arc<Semaphore>,
    writes: Arc<Semaphore>,
}

impl Shared {
    /// With nothing running yet.
    pub fn new(ledger: Arc<Ledger>, clock: Arc<dyn Clock>, options: Options) -> Shared {
        Shared {
            ledger,
            clock,
            options,
            figures: None,
            counts: Counts::default(),
            telemetry: Telemetry::default(),
            reads: Arc::new(Semaphore::new(READS_MAX)),
            writes: Arc::new(Semaphore::new(WRITES_MAX)),
        }
    }

    /// The zone of days and budgets where none is named, and what it is called.
    pub fn zone(&self) -> (String, tollbook_store::Zone) {
        (self.options.zone.name.clone(), self.options.zone.zone.clone())
    }

    /// Asks the store, on a thread that may wait.
    pub async fn read<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Problem> {
        let store = self.ledger.store().clone();
        on_thread(&self.reads, move || ask(store.as_ref()).map_err(Problem::from)).await
    }

    /// Works with the ledger, on a thread that may wait.
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Ledger) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let ledger = self.ledger.clone();
        on_thread(&self.writes, move || work(&ledger)).await
    }
}

async fn on_thread<T: Send + 'static>(
    turns: &Arc<Semaphore>,
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let turn = tokio::time::timeout(TURN_MAX, turns.clone().acquire_owned()).await;
    let Ok(Ok(turn)) = turn else {
        let problem = Problem::new(Code::Busy, "too much to do; try again");
        return Err(Problem { retry_after_s: Some(2), ..problem });
    };
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
