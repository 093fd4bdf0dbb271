//! The other half of the address: what is no upstream's goes to the control plane.

use crate::inbound::Inbound;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;

/// The body of a control plane's answer.
pub type ControlBody = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// An answer that is being made.
pub type ControlAnswer = Pin<Box<dyn Future<Output = Response<ControlBody>> + Send>>;

/// Answers what is no upstream's. It is called on the data plane's threads and must hand the work
/// to threads of its own.
pub trait Control: Send + Sync {
    /// Answers a request that came from this address.
    fn call(&self, request: Request<Inbound>, peer: SocketAddr) -> ControlAnswer;
}
