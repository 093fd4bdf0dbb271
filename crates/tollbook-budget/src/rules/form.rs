//! A rule as people write it, and what it means. Everything that is wrong is told at once.

use serde::{Deserialize, Serialize};
use tollbook_types::{Dimension, Period};

/// Channels that one rule may name.
const NOTIFY_MAX: usize = 16;
/// Dimensions that one rule may name.
const BY_MAX: usize = 3;

/// What a rule looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleKind {
    /// Many calls to a provider fail.
    FailureRate,
    /// A model has no price.
    UnpricedModel,
    /// A call uses far more tokens than others of its operation.
    LongCall,
    /// A provider bills something else than the price book says.
    PriceDrift,
    /// The books cannot record, have a gap, or the clock has stepped.
    LedgerFault,
    /// An hour comes to far more than its season has it.
    UnusualUsage,
}

/// Every kind.
pub const RULE_KINDS: &[RuleKind] = &[
    RuleKind::FailureRate,
    RuleKind::UnpricedModel,
    RuleKind::LongCall,
    RuleKind::PriceDrift,
    RuleKind::LedgerFault,
    RuleKind::UnusualUsage,
];

impl RuleKind {
    /// Its name, as programs read it.
    pub fn name(self) -> &'static str {
        match self {
            RuleKind::FailureRate => "failure_rate",
            RuleKind::UnpricedModel => "unpriced_model",
            RuleKind::LongCall => "long_call",
            RuleKind::PriceDrift => "price_drift",
            RuleKind::LedgerFault => "ledger_fault",
            RuleKind::UnusualUsage => "unusual_usage",
        }
    }

    /// Whether it is of a state, told until that ends; the others are of events, told once in a period.
    pub(super) fn lasts(self) -> bool {
        matches!(self, RuleKind::FailureRate | RuleKind::LedgerFault)
    }

    /// How often the same is told at most.
    pub(super) fn period(self) -> Period {
        match self {
            RuleKind::UnpricedModel | RuleKind::PriceDrift => Period::Day,
            RuleKind::FailureRate | RuleKind::LongCall | RuleKind::LedgerFault | RuleKind::UnusualUsage => {
                Period::Hour
            }
        }
    }

    /// Numbers that it has, with what they are unless said, the least and the most.
    fn numbers(self) -> &'static [(&'static str, u32, u32, u32)] {
        match self {
            RuleKind::FailureRate => {
                &[("percent", 20, 1, 100), ("minutes", 15, 1, 1_440), ("calls", 20, 1, 1_000_000)]
            }
            RuleKind::LongCall => &[("times", 5, 2, 1_000)],
            RuleKind::UnusualUsage => &[("times", 3, 2, 1_000)],
            RuleKind::PriceDrift => &[("percent", 1, 1, 1_000), ("calls", 10, 1, 1_000_000)],
            RuleKind::UnpricedModel | RuleKind::LedgerFault => &[],
        }
    }
}

/// The members of a rule, as they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleForm {
    /// The kind's name.
    pub kind: String,
    /// Whether it is in force; it is, unless said.
    pub enabled: Option<bool>,
    /// A share.
    pub percent: Option<u32>,
    /// How far it looks back.
    pub minutes: Option<u32>,
    /// Fewer calls tell nothing.
    pub calls: Option<u32>,
    /// How many times as much as is usual.
    pub times: Option<u32>,
    /// Dimensions whose values are looked at one by one.
    pub by: Vec<String>,
    /// Channels that are told.
    pub notify: Vec<String>,
}

/// A rule in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What it looks at.
    pub kind: RuleKind,
    /// A share, where it has one.
    pub percent: u32,
    /// How far it looks back.
    pub minutes: u32,
    /// Fewer calls tell nothing.
    pub calls: u32,
    /// How many times as much as is usual.
    pub times: u32,
    /// Dimensions whose values are looked at one by one.
    pub by: Vec<Dimension>,
    /// Channels that are told.
    pub notify: Vec<String>,
}

/// What is wrong with a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleFault {
    /// The member.
    pub member: &'static str,
    /// What is wrong with it.
    pub detail: String,
}

impl RuleForm {
    /// What it means; `None` when it is switched off.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(&self) -> Result<Option<Rule>, Vec<RuleFault>> {
        let mut faults = Vec::new();
        let mut fault = |member, detail: String| faults.push(RuleFault { member, detail });
        let Some(kind) = RULE_KINDS.iter().copied().find(|kind| kind.name() == self.kind) else {
            let names: Vec<&str> = RULE_KINDS.iter().map(|kind| kind.name()).collect();
            fault("kind", format!("it must be one of {}", names.join(", ")));
            return Err(faults);
        };
        let told = [
            ("percent", self.percent),
            ("minutes", self.minutes),
            ("calls", self.calls),
            ("times", self.times),
        ];
        let [percent, minutes, calls, times] = told.map(|(member, told)| {
            let known = kind.numbers().iter().find(|(name, ..)| *name == member);
            match (known, told) {
                (None, None) => 0,
                (None, Some(_)) => {
                    fault(member, format!("{} has none", kind.name()));
                    0
                }
                (Some((_, usual, ..)), None) => *usual,
                (Some((_, _, least, most)), Some(number)) => {
                    if !(*least..=*most).contains(&number) {
                        fault(member, format!("it must be {least} to {most}"));
                    }
                    number
                }
            }
        });
        let by = self.by.iter().map(|name| name.parse()).collect::<Result<Vec<Dimension>, String>>();
        let by = by.unwrap_or_else(|problem| {
            fault("by", problem);
            Vec::new()
        });
        if !by.is_empty() && kind != RuleKind::UnusualUsage {
            fault("by", format!("{} has none", kind.name()));
        } else if by.len() > BY_MAX {
            fault("by", format!("it may name {BY_MAX} dimensions"));
        }
        if self.notify.len() > NOTIFY_MAX {
            fault("notify", format!("it may name {NOTIFY_MAX} channels"));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let rule = Rule { kind, percent, minutes, calls, times, by, notify: self.notify.clone() };
        Ok(self.enabled.unwrap_or(true).then_some(rule))
    }

    /// The rules in force: those that are written, and every other kind as it is unless said. Wrong
    /// ones count as not written.
    pub fn rules(forms: &[RuleForm]) -> Vec<Rule> {
        let in_force = |kind: &RuleKind| {
            let usual = RuleForm { kind: kind.name().to_owned(), ..RuleForm::default() };
            let written = forms.iter().find(|form| form.kind == kind.name());
            written.unwrap_or(&usual).read().ok().flatten()
        };
        RULE_KINDS.iter().filter_map(in_force).collect()
    }
}
