//! What the API promises, as tests: a real router over a real ledger on disk.
#![allow(clippy::unwrap_used)] // These are tests throughout.

mod alerts;
mod audit;
mod budgets;
mod cloudevents;
mod contract;
mod dashboard;
mod demo;
mod document;
mod events;
mod exports;
mod idempotency;
mod keys;
mod live;
mod matrix;
mod metrics;
mod otlp;
mod prices;
mod privacy;
mod probes;
mod queries;
mod rerate;
mod rig;
mod seeds;
mod session;
mod summaries;
