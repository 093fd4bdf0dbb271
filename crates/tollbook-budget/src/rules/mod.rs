//! Rules over the calls as they come into the books, and over the books themselves: what people
//! should know besides their budgets.
//!
//! A rule looks at one value at a time (a provider, a model, an operation) and tells of it once in a
//! period, an hour or a day; of what lasts, no second time while it does. It starts with nothing
//! seen. Pure: what is seen and the time are arguments. It must never know who is told, nor how.

mod books;
mod drift;
mod failures;
mod form;
mod long;
mod told;
mod unusual;

pub use books::Books;
pub use form::{RULE_KINDS, Rule, RuleFault, RuleForm, RuleKind};
pub use unusual::UnusualHour;

use crate::alert::Turn;
use books::Gap;
use drift::Drift;
use failures::Failures;
use long::{Long, TooLong};
use told::Told;
use tollbook_types::{Money, Period, Timestamp, Zone};

/// Calls that occurred longer ago are history that somebody imports: nobody is woken for them.
const NEWS_SECONDS: i64 = 24 * 3_600;

/// What rules look at of a call.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// When it happened.
    pub at: Timestamp,
    /// The provider.
    pub provider: &'a str,
    /// The model that answered.
    pub model: &'a str,
    /// What it was for.
    pub operation: Option<&'a str>,
    /// Whether it failed, other than by its caller's leave.
    pub has_failed: bool,
    /// Whether no price matched.
    pub is_unpriced: bool,
    /// Its tokens, where they are known.
    pub tokens: Option<u64>,
    /// What our price book says that it costs.
    pub book: Option<Money>,
    /// What its provider says.
    pub billed: Option<Money>,
}

/// What a rule has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule's kind.
    pub kind: RuleKind,
    /// What it is about.
    pub value: String,
    /// What was passed, as decimal text; of a fault of the books, its name.
    pub threshold: String,
    /// The start of the period that it is told once in.
    pub period: Timestamp,
    /// The end of the period, when it is over by itself; what lasts has none.
    pub until: Option<Timestamp>,
    /// Whether it holds, or holds no more.
    pub turn: Turn,
    /// What was found, in one sentence.
    pub summary: String,
    /// What was measured, as decimal text.
    pub measured: String,
    /// What it was measured against.
    pub limit: String,
    /// The unit of both.
    pub unit: &'static str,
    /// Channels that are told.
    pub notify: Vec<String>,
}

/// What was told of a value before the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The rule's kind.
    pub kind: RuleKind,
    /// What it is about.
    pub value: String,
    /// The start of the period that it was told in.
    pub period: Timestamp,
    /// Whether it still held.
    pub holds: bool,
}

/// What is said of a value.
struct Words {
    threshold: String,
    summary: String,
    measured: String,
    limit: String,
    unit: &'static str,
}

/// Rules, and what they have seen.
#[derive(Debug)]
pub struct Rules {
    rules: Vec<Rule>,
    zone: Zone,
    failures: Failures,
    long: Long,
    drift: Drift,
    gap: Gap,
    told: Told,
    /// Since when it is looked, where something was told before.
    since: Option<Timestamp>,
    found: Vec<Finding>,
}

impl Rules {
    /// Rules that have seen nothing. Their days are those of the zone.
    pub fn new(rules: Vec<Rule>, zone: Zone) -> Rules {
        Rules {
            rules,
            zone,
            failures: Failures::default(),
            long: Long::default(),
            drift: Drift::default(),
            gap: Gap::default(),
            told: Told::default(),
            since: None,
            found: Vec::new(),
        }
    }

    /// Takes over what was told before the start, so that it is not told again.
    pub fn remember(&mut self, known: Vec<Known>, now: Timestamp) {
        self.since = Some(now);
        for Known { kind, value, period, holds } in known {
            self.told.remember(kind, value, period, holds);
        }
    }

    /// Looks at a call that has come into the books.
    pub fn see(&mut self, call: &Seen<'_>, now: Timestamp) {
        let is_news = now.as_second() - call.at.as_second() <= NEWS_SECONDS;
        let rules = std::mem::take(&mut self.rules);
        for rule in &rules {
            match rule.kind {
                RuleKind::FailureRate => self.failures.see(call),
                RuleKind::UnpricedModel if call.is_unpriced => {
                    let model = model_name(call);
                    self.tell(rule, &model, Some(true), now, || unpriced(&model));
                }
                RuleKind::LongCall => {
                    if let Some(long) = self.long.see(rule, call).filter(|_| is_news) {
                        let value = TooLong::value(call);
                        self.tell(rule, &value, Some(true), now, || long.words(rule, &value));
                    }
                }
                RuleKind::PriceDrift => {
                    let day = Period::Day.start(now, &self.zone);
                    if let Some((model, sums)) = self.drift.see(call, day) {
                        self.tell(rule, &model, sums.holds(rule), now, || sums.words(rule, &model));
                    }
                }
                RuleKind::UnpricedModel | RuleKind::LedgerFault | RuleKind::UnusualUsage => {}
            }
        }
        self.rules = rules;
    }

    /// Lets time pass, with how the books are now.
    pub fn tick(&mut self, books: &Books, now: Timestamp) {
        let rules = std::mem::take(&mut self.rules);
        for rule in &rules {
            match rule.kind {
                RuleKind::FailureRate => self.look_at_failures(rule, now),
                RuleKind::LedgerFault => self.look_at_books(rule, books, now),
                RuleKind::UnpricedModel
                | RuleKind::LongCall
                | RuleKind::PriceDrift
                | RuleKind::UnusualUsage => {}
            }
        }
        self.rules = rules;
        self.told.forget_before(Period::Day.start(now, &self.zone));
    }

    /// An hour has come to more than is usual.
    pub fn unusual(&mut self, hour: &UnusualHour) {
        let rules = std::mem::take(&mut self.rules);
        for rule in rules.iter().filter(|rule| rule.kind == RuleKind::UnusualUsage) {
            self.tell(rule, &hour.scope, Some(true), hour.at, || hour.words(rule));
        }
        self.rules = rules;
    }

    fn look_at_failures(&mut self, rule: &Rule, now: Timestamp) {
        let mut looked = self.failures.look(rule, now);
        for provider in self.told.holding(rule.kind) {
            if !looked.iter().any(|(name, _)| *name == provider) {
                looked.push((provider, failures::Count::default()));
            }
        }
        // What was told before the start is not over because nothing was seen since.
        let has_looked = self
            .since
            .is_none_or(|since| now.as_second() - since.as_second() >= i64::from(rule.minutes) * 60);
        for (provider, count) in looked {
            let holds = count.holds(rule).filter(|holds| *holds || has_looked);
            self.tell(rule, &provider, holds, now, || count.words(rule, &provider));
        }
    }

    fn look_at_books(&mut self, rule: &Rule, books: &Books, now: Timestamp) {
        let faults = self.gap.faults(books, now);
        for (name, detail) in &faults {
            self.tell(rule, name, Some(true), now, || books::words(name, detail));
        }
        for name in self.told.holding(RuleKind::LedgerFault) {
            if !faults.iter().any(|(fault, _)| *fault == name) {
                self.tell(rule, &name, Some(false), now, || books::words(&name, "they are well again"));
            }
        }
    }

    fn tell(
        &mut self,
        rule: &Rule,
        value: &str,
        holds: Option<bool>,
        now: Timestamp,
        words: impl FnOnce() -> Words,
    ) {
        let period = rule.kind.period();
        let start = period.start(now, &self.zone);
        let Some(turn) = self.told.turn(rule.kind, value, start, holds) else { return };
        let Words { threshold, summary, measured, limit, unit } = words();
        self.found.push(Finding {
            kind: rule.kind,
            value: value.to_owned(),
            threshold,
            period: start,
            until: (!rule.kind.lasts()).then(|| period.end(now, &self.zone)),
            turn,
            summary,
            measured,
            limit,
            unit,
            notify: rule.notify.clone(),
        });
    }

    /// What was found since it was asked last.
    pub fn take(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.found)
    }
}

fn unpriced(model: &str) -> Words {
    Words {
        threshold: "0".to_owned(),
        summary: format!("{model} has no price: what it costs is in no sum and no budget"),
        measured: "1".to_owned(),
        limit: "0".to_owned(),
        unit: "calls",
    }
}

fn model_name(call: &Seen<'_>) -> String {
    format!("{}/{}", call.provider, call.model)
}

/// Tenths of a percent as text.
fn percent_text(part: i128, whole: i128) -> String {
    let tenths = part.saturating_mul(1_000).checked_div(whole).unwrap_or(0);
    format!("{}.{}", tenths / 10, tenths.unsigned_abs() % 10)
}

#[cfg(test)]
mod tests;
