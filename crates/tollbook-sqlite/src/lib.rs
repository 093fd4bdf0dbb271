//! The SQLite back end: a whole [`tollbook_store::Store`] in one file.
//!
//! One connection writes, a few read beside it. Rows are compact: what calls have in common is
//! stored once ([`terms`]), the rest is packed ([`row`]); rollups ([`rollup`]) count all but the
//! newest calls, which are added when somebody asks ([`pending`]). The journal is what survives a power loss, so commits do not wait for
//! the disk; [`SqliteStore::sync`](tollbook_store::EventStore::sync) does. This crate must never
//! know HTTP, how a price is made, or the journal's files.

/// Whether stores can have a key in this build.
pub const CAN_ENCRYPT: bool = cfg!(feature = "sqlcipher");

mod amount;
mod audit;
mod calls;
mod captures;
mod connection;
mod copy;
mod encode;
mod erase;
mod fault;
mod fold;
mod grouping;
mod identity;
mod key;
mod meta;
mod money_pack;
mod pack;
mod parts;
mod pending;
mod plan;
mod quick;
mod rollup;
mod row;
mod schema;
mod sealed;
mod stats;
mod store;
mod sums;
mod sweep;
mod template;
mod terms;
mod touched;
mod upkeep;
mod usage;
mod writer;

pub use captures::SqliteCaptures;
pub use connection::FileKey;
pub use copy::{convert, is_plain};
pub use store::{Bounds, Options, SqliteStore};
