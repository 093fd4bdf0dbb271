//! The words every part of Tollbook shares: money, meters, usage, events, entries, attribution.
//!
//! Everything here is a value. This crate must never know I/O, async, a wall clock or a floating
//! point number; whoever needs "now" takes a [`Timestamp`] or a [`Clock`] as an argument.
//! [`record`] is the form of entries and open calls in the journal; everything else is recorded as
//! its shape serialises, so a member is only ever added (optional, skipped when absent), never renamed.

mod attribution;
mod calendar;
mod capture;
mod card;
mod digest;
mod dimension;
mod entry;
mod erasure;
mod event;
pub mod json;
mod key;
pub mod limits;
mod member;
mod meter;
mod money;
mod provider;
mod ratio;
pub mod record;
mod time;
mod usage;

pub use attribution::Attribution;
pub use calendar::{Period, Zone, first_of_days, hour_of_day};
pub use capture::{Capture, Captured};
pub use card::{CardId, CardRate, CostLine, RateCard, RateStep};
pub use digest::Digest;
pub use dimension::Dimension;
pub use entry::{Adjustment, CostBasis, Entry, LegRating, OpenCall, Rating, Seq};
pub use erasure::{Eraser, Erasure, Erasures, json_mentions};
pub use event::{
    CacheHit, Conditions, Content, DEMO_SOURCE, DOWNGRADED, Event, FreeReason, Identity, ResponseKey, Status,
};
pub use key::{KEY_START, Key, Role};
pub use member::{Link, Member};
pub use meter::{Meter, Side};
pub use money::{Money, MoneyError, charge};
pub use provider::{PROVIDERS, canonical_provider};
pub use ratio::Ratio;
pub use time::{Clock, TimeRange, Timestamp, floor_to_micros, parse_instant};
pub use usage::{Evidence, Leg, Meters, ProviderCost, Usage, UsageError};
