//! Helpers for tests: a clock that stands still, seeded workloads, a dumb model of a ledger, a
//! stand-in for a provider and one for a mail server, callers, relays for TLS, a strict reader of metrics,
//! what makes a process's system misbehave.
//!
//! Nothing here may become a dependency of anything but tests, and nothing here may read a wall
//! clock or draw a number that a seed does not give.

mod caller;
mod clock;
mod exposition;
mod mail;
mod model;
pub mod preload;
mod socket;
pub mod tls;
mod traffic;
pub mod upstream;

pub use caller::{Answer, Call, Caller};
pub use clock::ManualClock;
pub use exposition::{Labels, Scrape};
pub use mail::{Letter, MailServer};
pub use model::{LedgerModel, Totals, Verdict};
pub use socket::{Heard, Socket};
pub use tollbook_store::conformance::{Made, Random, Workload, calls_query, usage_query};
pub use traffic::Traffic;
