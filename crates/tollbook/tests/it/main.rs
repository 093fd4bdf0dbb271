//! The real program, end to end, each test in a directory of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod acts;
mod bad_input;
mod books;
mod budgets;
mod configuration;
mod crash;
mod demo;
mod differential;
mod encryption;
mod exports;
mod figures;
mod gateway;
mod ingest;
mod keys;
mod memory;
mod output;
mod processes;
mod program;
mod script;
mod statusline;
