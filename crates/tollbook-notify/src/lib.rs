//! Channels: telling people something by webhook, Slack, e-mail or log.
//!
//! A message goes to one channel in one attempt, whose outcome says whether another one makes sense;
//! when that is, and that none is forgotten, is the caller's affair. What a channel names is hostile:
//! every address is checked when it is connected to, redirects are not followed, answers and times are
//! bounded. This crate must never know what a budget is, nor what a message is about.

mod address;
mod channel;
mod connect;
mod email;
mod message;
mod secret;
mod send;
mod sign;
mod slack;
mod webhook;

pub use address::is_public;
pub use channel::{Channel, ChannelForm, Fault, KINDS};
pub use message::Message;
pub use secret::Secret;
pub use send::{Failed, Sender};
pub use sign::{new_secret, signature};
