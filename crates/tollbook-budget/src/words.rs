//! A budget in words: what it will do, said before it does it, and what it did when it was in the way.

use crate::definition::{AtLimit, Budget, Limit, Mode};
use crate::question::{Denied, Limits, Reason, Refused, Standing};
use crate::scope::Scope;
use crate::window::Window;
use std::fmt;
use tollbook_types::Period;

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} may use {}{}", self.scope, self.how_much(), self.when())?;
        match &self.at_limit {
            AtLimit::Warn => f.write_str("; beyond that nothing is stopped")?,
            AtLimit::Throttle => {
                write!(
                    f,
                    "; from {} % on they are spaced out, at the limit refused",
                    self.nearing_percent()
                )?;
            }
            AtLimit::Downgrade { models } => {
                let pairs: Vec<String> =
                    models.iter().map(|(from, to)| format!("{from} becomes {to}")).collect();
                write!(
                    f,
                    "; from {} % on {}, at the limit other models are refused",
                    self.nearing_percent(),
                    pairs.join(", ")
                )?;
            }
            AtLimit::Block if self.fits => {
                f.write_str("; a call that does not fit gets fewer tokens out, or is refused")?;
            }
            AtLimit::Block => f.write_str("; a call that does not fit is refused")?,
        }
        f.write_str(match self.mode {
            Mode::Strict => {
                ". Calls in flight count as the most they can cost, so the limit is never passed; what \
                 cannot be bounded or priced is refused."
            }
            Mode::Expected => {
                ". Calls in flight count as what such calls usually cost, so the limit may be passed by \
                 what is in flight."
            }
        })?;
        if !self.warn_at.is_empty() {
            let percents: Vec<String> = self.warn_at.iter().map(u32::to_string).collect();
            let whom = match self.notify.as_slice() {
                [] => "in the list of alerts".to_owned(),
                names => format!("to {}", names.join(", ")),
            };
            write!(f, " It is told at {} %, {whom}.", percents.join(", "))?;
        }
        Ok(())
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let conditions: Vec<String> =
            self.matches.iter().map(|(dimension, value)| format!("{dimension} = {value}")).collect();
        match conditions.as_slice() {
            [] => f.write_str("All calls")?,
            _ => write!(f, "Calls with {}", conditions.join(" and "))?,
        }
        match &self.each {
            None => f.write_str(" together"),
            Some(each) => write!(f, ", for each {each} alone (those without one share one limit),"),
        }
    }
}

impl Budget {
    fn how_much(&self) -> String {
        match self.limit {
            Limit::Usd(money) => format!("${money}"),
            Limit::Tokens(count) => format!("{count} tokens"),
            Limit::Calls(count) => format!("{count} calls"),
        }
    }

    fn when(&self) -> String {
        let zone = &self.zone.0;
        match self.window {
            Window::Calendar(Period::Hour) => format!(" in each hour ({zone})"),
            Window::Calendar(Period::Day) => format!(" in each day ({zone})"),
            Window::Calendar(Period::Week(first)) => format!(" in each week from {first:?} ({zone})"),
            Window::Calendar(Period::Month(1)) => format!(" in each month ({zone})"),
            Window::Calendar(Period::Month(day)) => format!(" in each month from day {day} ({zone})"),
            Window::Rolling { minutes } if minutes % 1_440 == 0 => {
                format!(" in any {} days", minutes / 1_440)
            }
            Window::Rolling { minutes } if minutes % 60 == 0 => format!(" in any {} hours", minutes / 60),
            Window::Rolling { minutes } => format!(" in any {minutes} minutes"),
            Window::Total => " in all".to_owned(),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Budget(denied) => denied.fmt(f),
            Refused::Rate(limited) => limited.fmt(f),
        }
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Standing { name, instance, resets_at, .. } = &self.standing;
        write!(f, "Budget '{name}'")?;
        if let Some(value) = instance {
            write!(f, " for {value}")?;
        }
        match &self.reason {
            Reason::NoBound(Limits::Unpriced) => {
                f.write_str(" is strict, and the model has no price: what the call would cost is not known.")
            }
            Reason::NoBound(Limits::Unbounded) => f.write_str(
                " is strict, and nothing bounds what this call can cost: say max_tokens, and leave out deferred jobs \
                 and tools that the provider runs.",
            ),
            Reason::Throttled { retry_after_s } => write!(
                f,
                " nears its limit and spaces calls out: {}. Try again in {retry_after_s} s.",
                self.figures()
            ),
            Reason::Spent | Reason::Downgrade { .. } => {
                write!(f, " is spent: {}.", self.figures())?;
                resets_at.map_or(Ok(()), |at| write!(f, " It resets at {at}."))
            }
        }
    }
}

impl Denied {
    fn figures(&self) -> String {
        let Standing { unit, sums, limit, .. } = &self.standing;
        let name = match unit {
            Limit::Usd(_) => "USD",
            Limit::Tokens(_) => "tokens",
            Limit::Calls(_) => "calls",
        };
        let text = |amount| unit.text(amount);
        let needed =
            self.needed.map_or(String::new(), |needed| format!("; this call may need {}", text(needed)));
        format!(
            "{} spent, {} held and {} unsettled of {} {name}{needed}",
            text(sums.spent),
            text(sums.held),
            text(sums.unsettled),
            text(*limit),
        )
    }
}
