//! The integration tests of this crate, in one binary.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests say what they saw and stop at what must not be"
)]

mod cases;
mod chunking;
mod corpus;
mod dialects;
mod hostile;
mod import;
mod otel;
mod otel_agents;
mod support;
