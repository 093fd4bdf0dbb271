//! What the gateway promises, over real sockets, with a real ledger.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // These are tests throughout.

mod calls;
mod client;
mod corpus;
mod ends;
mod guests;
mod heads;
mod hostile;
mod panics;
mod rig;
