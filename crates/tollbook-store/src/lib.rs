//! Durable storage behind two narrow traits, and the queries that every reader asks.
//!
//! [`EventStore`] keeps entries, adjustments, open calls, gaps, seals and rollups; [`ControlStore`]
//! keeps small versioned documents (rate cards, keys, budgets). The ledger is the only writer. One
//! `conformance` suite (a feature) says what a back end must do; [`MemoryStore`] is the reference that the
//! others are compared with. This crate must never know a driver, HTTP or how a price is made.

mod batch;
mod bucket;
mod capture;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod erase;
mod error;
pub mod fold;
mod identity;
mod memory;
mod query;
mod record;
mod stats;
mod store;
mod stored;

pub use batch::{Batch, Control, Gap, Join, Op, Seal};
pub use bucket::{bucket_end, bucket_start};
pub use capture::Captures;
pub use erase::{erased_call, same_figures, stripped_call};
pub use error::StoreError;
pub use identity::{IdentityRef, ResponseRef};
pub use memory::MemoryStore;
pub use query::{
    CallsCursor, CallsOrder, CallsPage, CallsQuery, Dimension, Filter, Interval, Measures, UsageQuery,
    UsageReport, UsageRow, View, Zone,
};
pub use record::{adjustment_digest, entry_digest};
pub use stats::{Percentiles, Stats, StatsQuery, StatsReport, StatsRow};
pub use store::{Audit, ControlStore, EventStore, Known, Position, RangeSum, Store};
pub use stored::{State, StoredCall};
