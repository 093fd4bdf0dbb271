//! The data plane: forwards calls to their providers, reads what they used, and records it.
//!
//! ```text
//! accept → guard → pipeline: route → authenticate → read → admit → open record
//!                            → exchange → answer (metered beside its way) → one event
//! ```
//!
//! A [`Server`] has a thread for each core, and each thread its own listener, connections and
//! upstream connections: a call never leaves the thread that accepted it. What is no upstream's is
//! handed to a [`Control`].
//!
//! It must never know SQL, reports, or a body without a bound in memory.

mod admission;
mod answer;
mod answering;
pub mod ask;
pub mod attribution;
pub mod cache;
mod call;
pub mod capture;
mod change;
mod control;
mod core;
mod cost;
mod counters;
pub mod decode;
mod dial;
mod exchange;
mod flights;
mod guard;
mod heads;
mod hold;
mod ids;
mod inbound;
mod listen;
mod members;
pub mod multipart;
mod options;
mod outbound;
mod path;
mod patience;
mod pipeline;
mod pool;
mod prepare;
pub mod refusal;
mod respond;
mod server;
mod stream;
mod target;
pub mod upstream;
mod worker;

pub use admission::{Admission, Admitted, Ask, Open};
pub use control::{Control, ControlAnswer, ControlBody};
pub use counters::{Count, Counters, Gauge, OVERHEAD_MICROS, Overhead, UpstreamCounters};
pub use flights::{Flight, Flights};
pub use inbound::{Inbound, InboundError};
pub use listen::TlsError;
pub use options::{CacheOptions, Compat, Limits, Options, Timeouts, TlsFiles};
pub use server::{Server, StartError};
