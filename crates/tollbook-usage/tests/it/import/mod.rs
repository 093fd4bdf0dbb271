//! Foreign files and messages: what is taken, what is refused, and that nothing counts twice.

mod claude_code;
mod codex;
mod litellm;
mod native;
mod properties;
mod recorded;

use tollbook_types::{Event, Meter, Timestamp};
use tollbook_usage::import::Context;

fn now() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

fn ctx() -> Context<'static> {
    Context::new("api", now())
}

fn total(event: &Event, meter: Meter) -> u64 {
    event.usage.as_ref().map_or(0, |usage| usage.total().quantity(meter))
}
