//! The only write path: rate, journal, append, settle.
//!
//! An event is rated first, then its rated entry goes to the [`journal`], then one writer thread
//! makes groups durable, decides duplicates in journal order ([`resolve`]) and applies them to the
//! store together with the position. What was acknowledged is in the fsynced journal and visible to
//! every query. Replay never rates, so a new binary never changes the past. This crate must never
//! know SQL, HTTP or a provider's bytes.

pub mod alerts;
mod append;
mod audit;
pub mod budgets;
mod captures;
mod check;
mod cipher;
mod correct;
mod demo;
mod dir;
mod durable;
mod erase;
mod error;
mod feed;
pub mod journal;
pub mod keys;
mod ledger;
mod members;
mod prices;
mod rating;
mod resolve;
mod restore;
mod retain;
mod retention;
mod sessions;
mod shared;
mod status;
mod writer;

pub use audit::{Act, Actor, ActorKind, AuditPage, AuditQuery, AuditRecord, By, Target, audit_page};
pub use check::{Verification, verify};
pub use cipher::{DataKey, SECRET_CHARS_MIN, Secret};
pub use correct::{
    Backfill, Changes, Difference, ModelChange, Rerate, Rerating, Run, Scope, Settlement, by_model,
    last_rerate, run_in_progress,
};
pub use demo::{Demo, without_demo};
pub use dir::{DataDir, DirLock};
pub use durable::Durable;
pub use erase::{Erased, ErasureOrder};
pub use error::{LedgerError, StoreFault};
pub use feed::{Change, Follower, News, Skipped};
pub use keys::{KeyRing, NewKey};
pub use ledger::{Durability, Ledger, OpenReport, Options};
pub use members::{LINK_MINUTES, MemberChange, NewMember};
pub use prices::{OwnPrice, PriceError, own_prices, with_own_prices};
pub use rating::{Card, Rated, rate_event};
pub use resolve::Outcome;
pub use restore::{Restored, restore, restore_from_journal};
pub use retain::Purged;
pub use retention::{Retained, Retention, Stripped};
pub use sessions::{SESSION_SECONDS, SignedIn};
pub use shared::Health;
pub use status::Status;
