//! The suite that every back end must pass, and the seeded workload that it is made from.
//!
//! A back end implements [`Backend`] in its tests and says `tollbook_store::conformance!(MyBackend)`;
//! each topic becomes a test. What a topic expects is either written down in it or is the answer of
//! [`crate::MemoryStore`]. The suite must never know how a back end keeps anything.

mod erasing;
mod likeness;
mod questions;
mod random;
mod reading;
mod stats;
mod sums;
mod upkeep;
mod workload;
mod writing;

pub use erasing::{erased_ids, erasing, stripping};
pub use likeness::{huge_costs, random_workloads, readers_see_whole_batches};
pub use questions::{
    ZONES, assert_alike, assert_same_stats, assert_same_sums, calls_query, stats_query, usage_query,
};
pub use random::Random;
pub use reading::{adjustments_and_views, pages_of_calls, round_trip};
pub use stats::{stats_by_hand, stats_by_sessions, stats_of_the_dearest};
pub use sums::{
    days_of_every_zone, every_dimension, every_interval, filters, legs, nothing_is_no_row, order_of_rows,
    splits_add_up,
};
pub use upkeep::{
    audit_and_rebuild, backup, controls, dropping, extent, gaps_and_seals, purge, range_sums_and_digests,
    reopening, versions,
};
pub use workload::{MODELS, Made, Workload};
pub use writing::{identities_and_joins, open_calls, positions, refusals, response_keys};

use crate::batch::{Batch, Op};
use crate::error::StoreError;
use crate::query::Zone;
use crate::record::{adjustment_digest, entry_digest};
use crate::store::Store;
use std::path::PathBuf;
use std::sync::Arc;
use tollbook_types::{Adjustment, Entry, Seq};

/// How the suite gets at the stores of one back end. Every test makes a value of its own.
pub trait Backend: Sync {
    /// Opens the store of this name; it is empty when there was none. Its days are those of `zone`.
    fn open(&self, name: &str, zone: &Zone) -> Box<dyn Store>;

    /// The file of the store of this name, which [`EventStore::backup`](crate::EventStore::backup)
    /// can write too. `None` where stores have no files: nothing is then reopened or copied.
    fn path(&self, name: &str) -> Option<PathBuf> {
        let _ = name;
        None
    }
}

/// Makes one test of each topic, in a module of its own. The argument is an expression that makes a
/// [`Backend`].
#[macro_export]
macro_rules! conformance {
    ($backend:expr) => {
        $crate::conformance! { $backend;
            positions refusals identities_and_joins response_keys open_calls
            round_trip adjustments_and_views pages_of_calls
            every_dimension every_interval days_of_every_zone filters legs splits_add_up order_of_rows
            nothing_is_no_row stats_by_hand stats_by_sessions stats_of_the_dearest
            controls gaps_and_seals range_sums_and_digests audit_and_rebuild purge dropping extent reopening backup versions
            erasing erased_ids stripping
            random_workloads huge_costs readers_see_whole_batches
        }
    };
    ($backend:expr; $($topic:ident)*) => {
        mod conformance {
            #[allow(unused_imports)]
            use super::*;
            $(
                #[test]
                fn $topic() {
                    $crate::conformance::$topic(&$backend);
                }
            )*
        }
    };
}

/// A store in UTC, as most topics need it.
fn fresh(backend: &dyn Backend) -> Box<dyn Store> {
    backend.open("fresh", &Zone::UTC)
}

/// The value, or the end of the test.
trait Must<T> {
    fn must(self) -> T;
}

impl<T, E: std::fmt::Display> Must<T> for Result<T, E> {
    #[track_caller]
    fn must(self) -> T {
        match self {
            Ok(value) => value,
            Err(error) => panic!("{error}"),
        }
    }
}

/// An entry as an operation.
fn entered(seq: Seq, entry: &Entry) -> Op {
    Op::Entry { seq, digest: entry_digest(seq, entry), entry: Arc::new(entry.clone()) }
}

/// An adjustment as an operation.
fn adjusted(seq: Seq, adjustment: &Adjustment) -> Op {
    Op::Adjust { seq, digest: adjustment_digest(seq, adjustment), adjustment: Arc::new(adjustment.clone()) }
}

/// Appends operations up to a position.
#[track_caller]
fn append(store: &dyn Store, through: Seq, ops: Vec<Op>) {
    store.append(&Batch { ops, through }).must();
}

/// Asserts that a batch is refused as [`StoreError::Invalid`] and changes nothing.
#[track_caller]
fn refused(store: &dyn Store, through: Seq, ops: Vec<Op>) {
    let before = store.position().must();
    match store.append(&Batch { ops, through }) {
        Err(StoreError::Invalid(_)) => {}
        other => panic!("expected a refusal as invalid, not {other:?}"),
    }
    assert_eq!(store.position().must(), before);
}
