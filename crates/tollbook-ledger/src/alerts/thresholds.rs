//! From the thresholds of budgets to alerts.

use super::{Alert, AlertKey, AlertState, NewAlert, Severity};
use crate::budgets::Defined;
use crate::error::LedgerError;
use crate::ledger::Ledger;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use tollbook_budget::{Crossing, Limit, Remembered, Turn, Window};

/// What the rules of budgets begin with.
pub(super) const RULE_START: &str = "budget:";
/// From this share of a limit on an alert is critical, in percent.
const CRITICAL_PERCENT: u32 = 100;

/// Crossings that are not recorded yet.
pub(super) type Untold = Mutex<VecDeque<Crossing>>;

impl Ledger {
    /// Looks at the budgets, and records an alert for each threshold that was passed: once in a window,
    /// over restarts, too. Returns alerts that began or ended. What cannot be recorded now is
    /// recorded with the next look.
    pub fn alert_on_budgets(&self) -> Result<Vec<Arc<Alert>>, LedgerError> {
        let crossings = self.look_at_budgets();
        let mut untold = self.alert_state().untold.lock().unwrap_or_else(PoisonError::into_inner);
        untold.extend(crossings);
        let mut changed = Vec::new();
        while let Some(crossing) = untold.front() {
            changed.extend(self.alert_on(crossing)?);
            untold.pop_front();
        }
        drop(untold);
        changed.extend(self.end_orphans()?);
        Ok(changed)
    }

    fn alert_on(&self, crossing: &Crossing) -> Result<Option<Arc<Alert>>, LedgerError> {
        let Some(defined) = self.budget(&crossing.budget) else { return Ok(None) };
        let firing = self.firing_threshold(crossing);
        match crossing.turn {
            Turn::Resolved => match firing {
                // The end of a window is no news; that the money is back is.
                Some(alert) => self.resolve_alert(&alert.id, has_ended(&alert, crossing)),
                None => Ok(None),
            },
            Turn::Firing if firing.is_some() => Ok(None),
            Turn::Firing => self.raise_alert(new_alert(&defined, crossing)),
        }
    }

    /// The alert that this threshold has now.
    fn firing_threshold(&self, crossing: &Crossing) -> Option<Arc<Alert>> {
        let rule = format!("{RULE_START}{}", crossing.budget);
        let threshold = crossing.percent.to_string();
        let is_it = |alert: &&Arc<Alert>| {
            alert.state == AlertState::Firing
                && alert.key.rule == rule
                && alert.key.value == crossing.instance
                && alert.key.threshold == threshold
        };
        self.alerts().iter().filter(is_it).max_by_key(|alert| alert.at).cloned()
    }

    /// Ends alerts of budgets that are no more.
    fn end_orphans(&self) -> Result<Vec<Arc<Alert>>, LedgerError> {
        let is_orphan = |alert: &&Arc<Alert>| {
            let budget = alert.key.rule.strip_prefix(RULE_START);
            alert.state == AlertState::Firing && budget.is_some_and(|id| self.budget(id).is_none())
        };
        let orphans = self.alerts();
        let ended = orphans.iter().filter(is_orphan);
        ended.filter_map(|alert| self.resolve_alert(&alert.id, true).transpose()).collect()
    }

    /// Thresholds of a budget that people know of.
    pub(crate) fn remembered(&self, budget: &str) -> Vec<Remembered> {
        let rule = format!("{RULE_START}{budget}");
        let remembered = |alert: &Arc<Alert>| {
            Some(Remembered {
                instance: alert.key.value.clone(),
                window: alert.key.period,
                percent: alert.key.threshold.parse().ok()?,
                holds: alert.state == AlertState::Firing,
            })
        };
        let alerts = self.alerts();
        alerts.iter().filter(|alert| alert.key.rule == rule).filter_map(remembered).collect()
    }
}

/// Whether the alert is of a window before the crossing.
fn has_ended(alert: &Alert, crossing: &Crossing) -> bool {
    alert.until.is_some_and(|until| until <= crossing.at)
}

/// What is told of a threshold.
pub(super) fn sentence(subject: &str, value: &str, limit: &str, unit: &str, percent: &str) -> String {
    let unit = if unit == "usd" { "USD" } else { unit };
    format!("Budget {subject}: {value} of {limit} {unit} used, {percent} % reached")
}

fn new_alert(defined: &Defined, crossing: &Crossing) -> NewAlert {
    let budget = &defined.budget;
    let Crossing { percent, instance, at, .. } = crossing;
    let amount = |amount: i128| budget.limit.text(amount);
    let unit = match budget.limit {
        Limit::Usd(_) => "usd",
        Limit::Tokens(_) => "tokens",
        Limit::Calls(_) => "calls",
    };
    // A rolling window has no start that stays; such an alert is told from others by when it began.
    let period = match budget.window {
        Window::Rolling { .. } => Some(*at),
        _ => crossing.window,
    };
    let each = budget.scope.each.as_ref().map(|each| {
        let value = instance.as_deref().map_or_else(|| "nobody".to_owned(), |value| format!("{value:?}"));
        format!(", {each} {value}")
    });
    let subject = format!("{}{}", budget.name, each.unwrap_or_default());
    let (value, limit) = (amount(crossing.spent), amount(crossing.limit));
    let summary = sentence(&subject, &value, &limit, unit, &percent.to_string());
    let range = budget.window.range(*at, &budget.zone.1);
    NewAlert {
        key: AlertKey {
            rule: format!("{RULE_START}{}", budget.id),
            value: instance.clone(),
            threshold: percent.to_string(),
            period,
        },
        severity: if *percent >= CRITICAL_PERCENT { Severity::Critical } else { Severity::Warning },
        subject,
        summary,
        value,
        limit,
        unit: unit.to_owned(),
        until: range.to,
        channels: budget.notify.clone(),
        report: None,
    }
}
