//! The control plane: ingest, queries and keys over HTTP, in the shapes that programs read.
//!
//! It must never know SQL, nor how a provider is called.
