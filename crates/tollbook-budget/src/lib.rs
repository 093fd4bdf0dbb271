//! Budgets: what may be spent, by whom, in which stretch of time, and whether one more call fits.
//!
//! A pure state machine. A call is *admitted* against all budgets that match it in one decision and
//! leaves a *hold* in each; when it is *booked* the hold goes and the cost stays. What is spent is
//! only ever what was booked, so budgets and reports cannot disagree. Time is an argument. This crate
//! must never know a store, a provider, a price, HTTP or a wall clock.

mod account;
mod alert;
mod definition;
mod engine;
mod form;
mod scope;
mod typical;
mod window;
mod words;

pub use account::Sums;
pub use alert::{Crossing, Turn};
pub use definition::{AtLimit, Budget, Limit, Mode, Raise};
pub use engine::{
    Admitted, Ask, Booked, Booking, Bound, Denied, Engine, Hold, Item, Limits, Reason, Standing, Start,
};
pub use form::{BudgetForm, Fault, RaiseForm};
pub use scope::{Scope, Subject};
pub use window::Window;
