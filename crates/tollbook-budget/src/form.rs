//! A budget as people and programs write it: `POST /budgets`, the configuration, the command line.
//! Everything that is wrong with one is told at once.

use crate::definition::{AtLimit, Budget, Limit, Mode, Raise};
use crate::scope::Scope;
use crate::window::Window;
use jiff::civil::Weekday;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tollbook_types::{Dimension, Money, Period, Timestamp, Zone, canonical_provider, limits::NAME_BYTES_MAX};

/// Where it is told, unless said.
const WARN_AT: [u32; 3] = [80, 90, 100];
/// Thresholds of one budget.
const WARN_AT_MAX: usize = 16;
/// The highest threshold, in percent.
const PERCENT_MAX: u32 = 1_000;
/// The longest rolling window: 400 days.
const MINUTES_MAX: u32 = 400 * 24 * 60;

/// The members of a budget, as they are written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BudgetForm {
    /// What people call it.
    pub name: String,
    /// Which calls count: dimensions and their values, all of which must hold. Empty: all calls.
    #[serde(rename = "match")]
    pub matches: BTreeMap<String, String>,
    /// A dimension each value of which has the limit for itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub each: Option<String>,
    /// The limit in dollars, as decimal text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_usd: Option<String>,
    /// The limit in tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_tokens: Option<u64>,
    /// The limit in calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_calls: Option<u64>,
    /// `hour`, `day`, `week`, `month`, `total` or `rolling`.
    pub window: String,
    /// The length of a rolling window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minutes: Option<u32>,
    /// The day on which weeks begin: `monday` unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_day: Option<String>,
    /// The day of the month on which months begin: 1 unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reset_day: Option<u8>,
    /// The zone in which the calendar is read; that of the server unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// `warn`, `throttle`, `downgrade` or `block`; `block` unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_limit: Option<String>,
    /// For `downgrade`: from the model that is asked for to the one that is used.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub downgrade: BTreeMap<String, String>,
    /// Percentages of the limit at which it is told: 80, 90 and 100 unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warn_at: Option<Vec<u32>>,
    /// `strict` or `expected`; `expected` unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// For strict budgets that block: a call that does not fit is let go with as many tokens out as
    /// do, instead of being refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fit_max_tokens: Option<bool>,
    /// Channels that are told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notify: Vec<String>,
    /// More, for a while.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub raises: Vec<RaiseForm>,
}

/// A limit raised for a while, as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RaiseForm {
    /// By how much, in the unit of the limit: decimal text.
    pub by: String,
    /// Until when.
    pub until: Timestamp,
}

/// What is wrong with a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The member.
    pub member: &'static str,
    /// What is wrong with it.
    pub detail: String,
}

/// Collects what is wrong.
pub(crate) struct Faults(pub Vec<Fault>);

impl Faults {
    pub fn add(&mut self, member: &'static str, detail: impl Into<String>) {
        self.0.push(Fault { member, detail: detail.into() });
    }

    /// The value, or what is wrong with it and the value to go on with.
    fn take<T>(&mut self, member: &'static str, found: Result<T, String>, otherwise: T) -> T {
        found.unwrap_or_else(|detail| {
            self.add(member, detail);
            otherwise
        })
    }
}

impl BudgetForm {
    /// The names of its members.
    pub const MEMBERS: &[&str] = &[
        "name",
        "match",
        "each",
        "limit_usd",
        "limit_tokens",
        "limit_calls",
        "window",
        "minutes",
        "first_day",
        "reset_day",
        "time_zone",
        "at_limit",
        "downgrade",
        "warn_at",
        "mode",
        "fit_max_tokens",
        "notify",
        "raises",
    ];

    /// The budget that is meant, under this id, with its calendar in `zone` unless it names one.
    pub fn read(&self, id: &str, zone: &(String, Zone)) -> Result<Budget, Vec<Fault>> {
        let mut faults = Faults(Vec::new());
        check_name(&self.name, &mut faults);
        let limit = faults.take("limit_usd", self.limit(), Limit::Calls(0));
        let budget = Budget {
            id: id.to_owned(),
            name: self.name.clone(),
            scope: scope(&self.matches, self.each.as_ref(), &mut faults),
            limit,
            window: self.window(&mut faults),
            zone: faults.take("time_zone", self.zone(zone), zone.clone()),
            at_limit: self.at_limit(&mut faults),
            warn_at: self.warn_at(&mut faults),
            mode: match self.mode.as_deref() {
                None | Some("expected") => Mode::Expected,
                Some("strict") => Mode::Strict,
                Some(_) => {
                    faults.add("mode", "is strict or expected");
                    Mode::Expected
                }
            },
            fits: self.fit_max_tokens == Some(true),
            notify: self.notify.clone(),
            raises: self.raises(limit, &mut faults),
        };
        let can_fit = budget.mode == Mode::Strict && budget.at_limit == AtLimit::Block;
        if budget.fits && (!can_fit || matches!(limit, Limit::Calls(_))) {
            faults.add("fit_max_tokens", "is for strict budgets in dollars or tokens that block");
        }
        if faults.0.is_empty() { Ok(budget) } else { Err(faults.0) }
    }

    fn limit(&self) -> Result<Limit, String> {
        let one = "one of limit_usd, limit_tokens and limit_calls has to be there, and only one";
        match (&self.limit_usd, self.limit_tokens, self.limit_calls) {
            (Some(text), None, None) => match text.parse::<Money>() {
                Ok(money) if !money.is_negative() => Ok(Limit::Usd(money)),
                Ok(_) => Err("is not below 0".to_owned()),
                Err(error) => Err(format!("is an amount of dollars such as \"200.00\": {error}")),
            },
            (None, Some(tokens), None) => Ok(Limit::Tokens(tokens)),
            (None, None, Some(calls)) => Ok(Limit::Calls(calls)),
            _ => Err(one.to_owned()),
        }
    }

    fn window(&self, faults: &mut Faults) -> Window {
        let alone = |faults: &mut Faults, member, is_there: bool, window: &str| {
            if is_there && self.window != window {
                faults.add(member, format!("is for the window {window} only"));
            }
        };
        alone(faults, "minutes", self.minutes.is_some(), "rolling");
        alone(faults, "first_day", self.first_day.is_some(), "week");
        alone(faults, "reset_day", self.reset_day.is_some(), "month");
        match self.window.as_str() {
            "hour" => Window::Calendar(Period::Hour),
            "day" => Window::Calendar(Period::Day),
            "week" => {
                let day = self.first_day.as_deref().map_or(Ok(Weekday::Monday), weekday);
                Window::Calendar(Period::Week(faults.take("first_day", day, Weekday::Monday)))
            }
            "month" => match self.reset_day.unwrap_or(1) {
                day @ 1..=31 => Window::Calendar(Period::Month(day)),
                _ => {
                    faults.add("reset_day", "is a day of the month, 1 to 31");
                    Window::Total
                }
            },
            "total" => Window::Total,
            "rolling" => match self.minutes {
                Some(minutes @ 1..=MINUTES_MAX) => Window::Rolling { minutes },
                _ => {
                    faults.add("minutes", format!("of a rolling window are 1 to {MINUTES_MAX}"));
                    Window::Total
                }
            },
            _ => {
                faults.add("window", "is hour, day, week, month, total or rolling");
                Window::Total
            }
        }
    }

    fn zone(&self, otherwise: &(String, Zone)) -> Result<(String, Zone), String> {
        let Some(name) = &self.time_zone else { return Ok(otherwise.clone()) };
        match Zone::get(name) {
            Ok(zone) => Ok((zone.iana_name().unwrap_or(name).to_owned(), zone)),
            Err(_) => Err("is the IANA name of a zone, such as Europe/Berlin".to_owned()),
        }
    }

    fn at_limit(&self, faults: &mut Faults) -> AtLimit {
        let word = self.at_limit.as_deref().unwrap_or("block");
        if word != "downgrade" && !self.downgrade.is_empty() {
            faults.add("downgrade", "is for at_limit = downgrade only");
        }
        match word {
            "warn" => AtLimit::Warn,
            "throttle" => AtLimit::Throttle,
            "block" => AtLimit::Block,
            "downgrade" => {
                let is_self =
                    self.downgrade.iter().any(|(from, to)| self.downgrade.contains_key(to) || from == to);
                if self.downgrade.is_empty() || is_self {
                    faults.add(
                        "downgrade",
                        "names, for at least one model, another that is not changed itself",
                    );
                }
                AtLimit::Downgrade { models: self.downgrade.clone().into_iter().collect() }
            }
            _ => {
                faults.add("at_limit", "is warn, throttle, downgrade or block");
                AtLimit::Block
            }
        }
    }

    fn warn_at(&self, faults: &mut Faults) -> Vec<u32> {
        let Some(told) = &self.warn_at else { return WARN_AT.to_vec() };
        if told.len() > WARN_AT_MAX || told.iter().any(|percent| !(1..=PERCENT_MAX).contains(percent)) {
            faults.add("warn_at", format!("has at most {WARN_AT_MAX} percentages from 1 to {PERCENT_MAX}"));
        }
        let mut percents = told.clone();
        percents.sort_unstable();
        percents.dedup();
        percents
    }

    fn raises(&self, limit: Limit, faults: &mut Faults) -> Vec<Raise> {
        let read = |raise: &RaiseForm| {
            let by = match limit {
                Limit::Usd(_) => raise.by.parse::<Money>().ok().map(Money::picos),
                Limit::Tokens(_) | Limit::Calls(_) => raise.by.parse::<u64>().ok().map(i128::from),
            };
            by.filter(|by| *by > 0).map(|by| Raise { by, until: raise.until })
        };
        let raises: Option<Vec<Raise>> = self.raises.iter().map(read).collect();
        raises.unwrap_or_else(|| {
            faults.add("raises", "are by an amount above 0, in the unit of the limit");
            Vec::new()
        })
    }
}

/// What people call something.
pub(crate) fn check_name(name: &str, faults: &mut Faults) {
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        faults.add("name", format!("has 1 to {NAME_BYTES_MAX} bytes and no control characters"));
    }
}

/// Which calls are meant.
pub(crate) fn scope(matches: &BTreeMap<String, String>, each: Option<&String>, faults: &mut Faults) -> Scope {
    let mut scope = Scope::default();
    for (name, value) in matches {
        let dimension = faults.take("match", dimension(name).map(Some), None);
        let Some(dimension) = dimension else { continue };
        if value.is_empty() || value.len() > NAME_BYTES_MAX {
            faults.add("match", format!("the value of {dimension} has 1 to {NAME_BYTES_MAX} bytes"));
        }
        if dimension == Dimension::Model && value.contains('*') {
            faults.add("match", "a model is matched by its whole name, there are no patterns: name one, or leave it out and name the provider".to_owned());
        }
        let value = match dimension {
            Dimension::Provider => canonical_provider(value),
            _ => value.clone(),
        };
        scope.matches.insert(dimension, value);
    }
    if let Some(name) = each {
        scope.each = faults.take("each", dimension(name).map(Some), None);
    }
    scope
}

/// A dimension that is known before a call is made.
fn dimension(name: &str) -> Result<Dimension, String> {
    match name.parse::<Dimension>()? {
        Dimension::Status | Dimension::Source | Dimension::Evidence => {
            Err(format!("{name} is known only after a call; a budget cannot be for it"))
        }
        known => Ok(known),
    }
}

fn weekday(name: &str) -> Result<Weekday, String> {
    let days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let place = days.iter().position(|day| day.eq_ignore_ascii_case(name));
    let weekday = place.and_then(|place| Weekday::from_monday_zero_offset(i8::try_from(place).ok()?).ok());
    weekday.ok_or_else(|| format!("is one of {}", days.join(", ")))
}
