//! The integration tests of this crate, in one binary.

mod cases;
mod chunking;
mod corpus;
mod hostile;
mod support;
