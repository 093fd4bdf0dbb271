//! Budgets: what may be spent, by whom, in which stretch of time, and whether one more call fits.
//!
//! A pure state machine. A call is *admitted* against all budgets that match it in one decision and
//! leaves a *hold* in each; when it is *booked* the hold goes and the cost stays. What is spent is
//! only ever what was booked, so budgets and reports cannot disagree. Rate limits are asked in the
//! same decision. Time is an argument. This crate
//! must never know a store, a provider, a price, HTTP or a wall clock.

mod account;
mod accounts;
mod alert;
mod definition;
mod engine;
mod form;
mod hold;
mod question;
mod rate_form;
mod rates;
pub mod rules;
mod scope;
mod typical;
mod window;
mod words;

pub use account::Sums;
pub use alert::{Crossing, Remembered, Turn};
pub use definition::{AtLimit, Budget, Limit, Mode, Raise};
pub use engine::Engine;
pub use form::{BudgetForm, Fault, RaiseForm};
pub use question::{
    Admitted, Ask, Booked, Booking, Bound, Denied, Item, Limits, Reason, Refused, Standing, Start,
};
pub use rate_form::RateLimitForm;
pub use rates::{Limited, Rate, RateLimit, RateStanding, Rates};
pub use scope::{Scope, Subject};
pub use window::Window;
