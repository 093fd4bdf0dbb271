//! What the engine is asked and told, and what it answers.

use crate::account::Sums;
use crate::definition::{Limit, Mode};
use crate::rates::Limited;
use crate::scope::Subject;
use tollbook_types::{Attribution, Digest, Money, Seq, Timestamp};

/// Why the cost of a call has no bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limits {
    /// The model has no price.
    Unpriced,
    /// Nothing bounds what it may use.
    Unbounded,
}

/// The most that a call can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Its cost.
    pub cost: Result<Money, Limits>,
    /// Its tokens, in and out; `None` if nothing bounds them.
    pub tokens: Option<u64>,
}

/// A call that asks to be let go.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The hold's id: that of the call.
    pub id: &'a str,
    /// Its admission.
    pub at: Timestamp,
    /// The provider.
    pub provider: &'a str,
    /// The model that it asks for, if known.
    pub request_model: Option<&'a str>,
    /// The model that a budget had that one changed to.
    pub model: Option<&'a str>,
    /// On whose account.
    pub who: &'a Attribution,
    /// The most that it can use.
    pub worst: Bound,
    /// The most that it can use with an answer of a usual length, for calls of which nothing is known.
    pub usual: Bound,
    /// When the hold goes by itself. Without it, never: it goes with its call.
    pub expires_at: Option<Timestamp>,
    /// What tells the same request from others, where a rate limit looks at that.
    pub fingerprint: Option<Digest>,
}

impl<'a> Ask<'a> {
    /// What is known of the call.
    pub fn subject(&self) -> Subject<'a> {
        let Ask { provider, request_model, model, who, .. } = *self;
        Subject { provider, request_model, model, who }
    }
}

/// What a call is let go with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// What is held for it: the most in any of the budgets that count money.
    pub held: Option<Money>,
    /// What is left of the tightest budget that counts money, after the hold.
    pub left: Option<Money>,
    /// How many budgets it was held against.
    pub budgets: usize,
    /// Whether one of them is strict, and does more than warn.
    pub is_strict: bool,
}

/// Why a call is not let go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It does not fit.
    Spent,
    /// It is too soon.
    Throttled {
        /// Seconds after which it may go.
        retry_after_s: u32,
    },
    /// Under a strict budget, a call without a bound.
    NoBound(Limits),
    /// Not with this model: ask again with the other.
    Downgrade {
        /// The other model.
        to: String,
    },
}

/// A call that is not let go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A budget is in the way.
    Budget(Box<Denied>),
    /// It comes too soon after others, or there are too many at once.
    Rate(Box<Limited>),
}

/// A call that a budget does not let go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// Why.
    pub reason: Reason,
    /// Where the budget stands.
    pub standing: Standing,
    /// What the call would have needed of it; `None` if that is not known.
    pub needed: Option<i128>,
}

/// Where a budget, or one value of its `each`, stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The budget's id.
    pub budget: String,
    /// Its name.
    pub name: String,
    /// The value of its `each`.
    pub instance: Option<String>,
    /// The unit.
    pub unit: Limit,
    /// What it has used.
    pub sums: Sums,
    /// What of that counts.
    pub mode: Mode,
    /// The limit, with what it is raised by.
    pub limit: i128,
    /// The first instant that counts; `None` for all time.
    pub since: Option<Timestamp>,
    /// When a new window begins, if it does.
    pub resets_at: Option<Timestamp>,
}

impl Standing {
    /// What is left; never below nothing.
    pub fn left(&self) -> i128 {
        self.limit.saturating_sub(self.sums.counted(self.mode)).max(0)
    }
}

/// One model's part of what is booked. Corrections have negative members.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    /// The model that it is for.
    pub model: &'a str,
    /// Its cost; nothing where it is not known.
    pub cost: Money,
    /// Its tokens.
    pub tokens: i128,
    /// 1 for the call itself.
    pub calls: i128,
    /// The most that it can have cost, where that is not known.
    pub unsettled: Money,
}

/// An entry of the books, or a correction of one.
#[derive(Clone, Copy, Debug)]
pub struct Booking<'a> {
    /// The position of its record.
    pub seq: Seq,
    /// When the call was admitted or occurred.
    pub at: Timestamp,
    /// What is known of it; the model is that of each item.
    pub subject: Subject<'a>,
    /// What it used.
    pub items: &'a [Item<'a>],
    /// The hold that it settles.
    pub hold: Option<&'a str>,
    /// Whether it tells what such calls usually use: a priced call that went well.
    pub is_typical: bool,
}

/// What a booking did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Booked {
    /// A hold was settled.
    pub settled: bool,
    /// It cost more than was held for it in a strict budget.
    pub exceeded: bool,
}

/// What a budget begins with: what its calls used, up to a position.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// The last record that is in the sums.
    pub through: Seq,
    /// Value of `each`, an instant in the window or its part, what counts then.
    pub used: Vec<(Option<String>, Timestamp, Sums)>,
}
