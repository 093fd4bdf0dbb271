//! The data plane: forwards calls to their providers, reads what they used, and records it.
//!
//! It must never know SQL, reports, or a body without a bound in memory.

pub mod decode;
pub mod multipart;
pub mod refusal;
pub mod upstream;
