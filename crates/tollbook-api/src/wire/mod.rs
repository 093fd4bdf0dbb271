//! The JSON shapes that programs read: calls, usage reports, explanations.
//!
//! Pure: from the books' values to serialisable values. Nothing here reads a store, a clock or a
//! file, so that every way out (command line, HTTP) says the same in the same words. Money is
//! decimal text, absent is `null`, members are only ever added.

mod alert;
mod audit;
mod budget;
mod call;
mod captured;
mod demo;
mod explain;
mod key;
mod member;
mod person;
mod quantity;
mod rate;
mod report;
pub mod schema;
mod stats;
mod summary;

pub use alert::{AlertView, ChannelTestView, ChannelView, DeliveryView, NewChannelView};
pub use audit::AuditView;
pub use budget::{BudgetView, LimitView, LimitsView, NewBudgetView, StandingView};
pub use call::CallView;
pub use captured::CapturedView;
pub use demo::{DemoView, RemovedView};
pub use explain::{Check, Explanation, LegView, explain};
pub use key::{KeyView, NewKeyView};
pub use member::{LinkView, MemberView, NewMemberView, SessionView, SignInView};
pub use person::{ErasedView, ErasureView, HeldView, NewErasureView, OpenCallView};
pub use rate::{NewRateLimitView, RateLimitView, RateView};
pub use report::{MeasuresView, ReportView, has_amount};
pub use stats::StatsView;
pub use summary::SummaryView;
