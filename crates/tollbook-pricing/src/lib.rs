//! The price book and exact rating: which price a call has, and what its usage costs at it.
//!
//! The book is data: the texts in `prices/`, which are part of the program, and what a user adds.
//! [`Book::find`] matches provider, model, instant and conditions; [`Book::card`] decides tier,
//! circumstance and adjustments and gives a rate card; [`lines`] multiplies meters by a card, the
//! same for ever; [`rate`] decides whose figure counts for an event.
//!
//! This crate must never read a clock, open a file or a socket, pass money through a floating
//! point number, or know how a provider's answer looks.

mod book;
mod card;
mod ceiling;
mod check;
mod embedded;
mod explain;
mod genai;
mod import;
mod index;
mod lines;
mod litellm;
mod merge;
mod model;
mod overrides;
mod parse;
mod problem;
mod rates;
mod rating;
mod reader;
mod rule;
mod write;

pub use book::{Book, Match, NoMatch, Query};
pub use card::Card;
pub use ceiling::{Tokens, ceiling};
pub use explain::{Explanation, Lost, NearMiss};
pub use genai::{feed_meter, regex_test};
pub use import::{Change, Import};
pub use lines::{Unpriced, lines};
pub use merge::{end_prices, graft};
pub use model::{Alias, Bound, DAYS, Model, Price, Provider, Surcharge, Tier, Window};
pub use parse::{parse_bound, parse_provider, parse_window};
pub use problem::Problem;
pub use rates::{Rates, key as price_key, meter_of, price_text, unit};
pub use rating::{Rated, RatedLeg, rate};
pub use rule::{Pattern, Rule, Test};
pub use write::write_provider;
