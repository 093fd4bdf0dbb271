//! What a budget is.

use crate::scope::Scope;
use crate::window::Window;
use tollbook_types::{Money, Timestamp, Zone};

/// A limit on what a set of calls may use in a window.
#[derive(Clone, Debug, PartialEq)]
pub struct Budget {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Which calls count.
    pub scope: Scope,
    /// How much they may use.
    pub limit: Limit,
    /// Over which time.
    pub window: Window,
    /// In which zone the calendar is read, and what it is called.
    pub zone: (String, Zone),
    /// What happens at the limit.
    pub at_limit: AtLimit,
    /// Percentages of the limit at which it is told, ascending.
    pub warn_at: Vec<u32>,
    /// What calls in flight count as.
    pub mode: Mode,
    /// Whether a call that does not fit is let go with as many tokens out as do.
    pub fits: bool,
    /// Channels that are told.
    pub notify: Vec<String>,
    /// More, for a while.
    pub raises: Vec<Raise>,
}

/// How much, and of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Money.
    Usd(Money),
    /// Tokens, in and out.
    Tokens(u64),
    /// Calls.
    Calls(u64),
}

impl Limit {
    /// The number: picodollars, tokens or calls.
    pub fn amount(self) -> i128 {
        match self {
            Limit::Usd(money) => money.picos(),
            Limit::Tokens(count) | Limit::Calls(count) => i128::from(count),
        }
    }

    /// What its unit is called: `usd`, `tokens`, `calls`.
    pub fn unit(self) -> &'static str {
        match self {
            Limit::Usd(_) => "usd",
            Limit::Tokens(_) => "tokens",
            Limit::Calls(_) => "calls",
        }
    }

    /// An amount of the same unit, as text: dollars, or a whole number.
    pub fn text(self, amount: i128) -> String {
        match self {
            Limit::Usd(_) => Money::from_picos(amount).to_string(),
            Limit::Tokens(_) | Limit::Calls(_) => amount.to_string(),
        }
    }
}

/// What happens at the limit. Thresholds are told whatever happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AtLimit {
    /// Nothing else.
    Warn,
    /// From the highest threshold below 100 % (90 % if there is none) calls are spaced so that what
    /// is left lasts to the end of the window; at the limit they are refused for a minute at a time.
    Throttle,
    /// From the same threshold calls go to another model, where one is named for theirs; at the limit
    /// calls to models without one are refused.
    Downgrade {
        /// From the model that is asked for to the one that is used.
        models: Vec<(String, String)>,
    },
    /// Calls that do not fit are refused.
    Block,
}

impl AtLimit {
    /// Its name.
    pub const fn name(&self) -> &'static str {
        match self {
            AtLimit::Warn => "warn",
            AtLimit::Throttle => "throttle",
            AtLimit::Downgrade { .. } => "downgrade",
            AtLimit::Block => "block",
        }
    }
}

/// What calls in flight count as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// As the most that they can cost; what cannot be bounded or priced is refused. The limit is
    /// never passed.
    Strict,
    /// As what such calls usually cost. The limit may be passed by what is in flight.
    Expected,
}

/// A limit raised for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raise {
    /// By how much: picodollars, tokens or calls.
    pub by: i128,
    /// Until when.
    pub until: Timestamp,
}

impl Budget {
    /// The limit at an instant, with what it is raised by.
    pub fn limit_at(&self, now: Timestamp) -> i128 {
        let raised = self.raises.iter().filter(|raise| now < raise.until);
        raised.fold(self.limit.amount(), |sum, raise| sum.saturating_add(raise.by))
    }

    /// Whether it holds the most dollars that a call can cost.
    pub fn is_strict_on_money(&self) -> bool {
        self.mode == Mode::Strict && matches!(self.limit, Limit::Usd(_))
    }

    /// The first instant after `now` at which its window moves on or a raise ends.
    pub(crate) fn changes_after(&self, now: Timestamp) -> Timestamp {
        let ends = self.raises.iter().map(|raise| raise.until).filter(|until| *until > now);
        ends.chain([self.window.moves_after(now, &self.zone.1)]).min().unwrap_or(now)
    }

    /// The percentage from which it throttles or downgrades.
    pub(crate) fn nearing_percent(&self) -> u32 {
        self.warn_at.iter().copied().filter(|percent| *percent < 100).max().unwrap_or(90)
    }
}
