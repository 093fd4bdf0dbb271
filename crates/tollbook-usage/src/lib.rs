//! Foreign bytes to usage.
//!
//! A provider's answer goes in as bytes, in any chunking; out comes a [`Reading`]: the disjoint
//! meters it used, how they are known, and what else its price depends on. Push parsers read
//! JSON, server-sent events, one JSON text a line and AWS event streams in bounded memory; an
//! answer is never held whole. [`otel`] reads telemetry that others wrote of such calls.
//!
//! This crate must never know I/O, async, a clock, a floating point number, or a price.
//!
//! ```
//! use tollbook_types::{Evidence, Meter};
//! use tollbook_usage::{End, Reader, Request, ResponseHead};
//!
//! let request = Request::new("openai", "POST", "/v1/chat/completions", Some("gpt-4o"), None);
//! let head = ResponseHead { status: 200, content_type: Some("application/json"), headers: &[] };
//! let mut reader = Reader::new(&request, &head);
//! reader.push(br#"{"id":"c1","model":"gpt-4o-2024-08-06","usage":{"prompt_tokens":12,"#);
//! reader.push(br#""completion_tokens":3,"total_tokens":15}}"#);
//! let reading = reader.finish(End::Complete);
//! assert_eq!(reading.evidence, Evidence::ProviderUsage);
//! assert_eq!(reading.usage.unwrap().total().get(Meter::Input), Some(12));
//! ```

mod alike;
mod anthropic;
mod api;
mod bedrock;
mod bill;
mod bounds;
mod cohere;
mod compatible;
mod disjoint;
pub mod estimate;
mod event;
mod eventstream;
mod fees;
mod gate;
mod google;
pub mod import;
mod json_push;
mod json_whole;
mod names;
mod openai;
pub mod otel;
mod plain;
mod reader;
mod reading;
mod request;
mod script;
mod shape;
mod sse;
mod tally;
mod text;
mod tree;
mod value;

pub use api::Api;
pub use bounds::Bounds;
pub use disjoint::Reported;
pub use reader::{Reader, ResponseHead};
pub use reading::{End, Reading};
pub use request::{Facts, Request};
pub use script::Words;
pub use text::words_of_request;
