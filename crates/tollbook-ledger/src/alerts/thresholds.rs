//! From the thresholds of budgets to alerts.

use super::{Alert, AlertKey, AlertState, Ending, NewAlert, Severity};
use crate::budgets::Defined;
use crate::error::LedgerError;
use crate::ledger::Ledger;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use tollbook_budget::{Budget, Crossing, Limit, Remembered, Turn, Window};
use tollbook_types::Money;

/// What the rules of budgets begin with.
pub(super) const RULE_START: &str = "budget:";
/// From this share of a limit on an alert is critical, in percent.
const CRITICAL_PERCENT: u32 = 100;

/// Crossings that are not recorded yet.
pub(super) type Untold = Mutex<VecDeque<Crossing>>;

impl Ledger {
    /// Looks at the budgets, and records an alert for each threshold that was passed: once in a window
    /// and of a limit, over restarts, too. Of thresholds that were passed at once, channels are told of
    /// the highest. Returns alerts that began or ended. What cannot be recorded now is recorded with the
    /// next look.
    pub fn alert_on_budgets(&self) -> Result<Vec<Arc<Alert>>, LedgerError> {
        let crossings = self.look_at_budgets();
        let mut untold = self.alert_state().untold.lock().unwrap_or_else(PoisonError::into_inner);
        untold.extend(crossings);
        let mut changed = Vec::new();
        while let Some(crossing) = untold.front() {
            let is_topped = untold.iter().any(|other| tops(other, crossing));
            changed.extend(self.alert_on(crossing, is_topped)?);
            untold.pop_front();
        }
        drop(untold);
        changed.extend(self.end_orphans()?);
        Ok(changed)
    }

    fn alert_on(&self, crossing: &Crossing, is_topped: bool) -> Result<Option<Arc<Alert>>, LedgerError> {
        let Some(defined) = self.budget(&crossing.budget) else { return Ok(None) };
        let known = self.alerts_of(crossing);
        let firing = known.iter().rev().find(|alert| alert.state == AlertState::Firing);
        match (crossing.turn, firing) {
            (Turn::Resolved, Some(alert)) => {
                // The end of a window is no news; that the money is back is.
                let is_quiet = has_ended(alert, crossing);
                let limit = defined.budget.limit;
                let (value, limit) = (limit.text(crossing.spent), limit.text(crossing.limit));
                self.resolve_alert(&alert.id, is_quiet, (!is_quiet).then_some(Ending { value, limit }))
            }
            (Turn::Resolved, None) | (Turn::Firing, Some(_)) => Ok(None),
            (Turn::Firing, None) => {
                let mut new = new_alert(&defined, crossing);
                let before = known.iter().filter(|alert| alert.key.period == new.key.period);
                if let Some(last) = before.max_by_key(|alert| alert.key.again) {
                    if !is_of_another_limit(last, &new.limit) {
                        return Ok(None);
                    }
                    new.key.again = last.key.again.saturating_add(1);
                }
                if is_topped {
                    new.channels.clear();
                }
                self.raise_alert(new)
            }
        }
    }

    /// The alerts of this threshold, of whatever window, oldest first.
    fn alerts_of(&self, crossing: &Crossing) -> Vec<Arc<Alert>> {
        let rule = format!("{RULE_START}{}", crossing.budget);
        let threshold = crossing.percent.to_string();
        let mut alerts = self.alerts();
        alerts.retain(|alert| {
            let key = &alert.key;
            key.rule == rule && key.value == crossing.instance && key.threshold == threshold
        });
        alerts
    }

    /// Ends alerts of budgets, and of thresholds, that are no more.
    fn end_orphans(&self) -> Result<Vec<Arc<Alert>>, LedgerError> {
        let is_told = |id: &str, threshold: &str| {
            let known = self.budget(id);
            known.is_some_and(|known| known.budget.warn_at.iter().any(|at| at.to_string() == threshold))
        };
        let is_orphan = |alert: &&Arc<Alert>| {
            let budget = alert.key.rule.strip_prefix(RULE_START);
            alert.state == AlertState::Firing && budget.is_some_and(|id| !is_told(id, &alert.key.threshold))
        };
        let orphans = self.alerts();
        let ended = orphans.iter().filter(is_orphan);
        ended.filter_map(|alert| self.resolve_alert(&alert.id, true, None).transpose()).collect()
    }

    /// Thresholds of a budget that people know of.
    pub(crate) fn remembered(&self, budget: &Budget) -> Vec<Remembered> {
        let rule = format!("{RULE_START}{}", budget.id);
        let remembered = |alert: &Arc<Alert>| {
            Some(Remembered {
                instance: alert.key.value.clone(),
                window: alert.key.period,
                percent: alert.key.threshold.parse().ok()?,
                limit: amount(alert, budget.limit),
                holds: alert.state == AlertState::Firing,
            })
        };
        let is_known = |alert: &&Arc<Alert>| alert.key.rule == rule && !has_limit_changed(alert);
        self.alerts().iter().filter(is_known).filter_map(remembered).collect()
    }
}

/// Whether a threshold was passed together with a lower one.
fn tops(other: &Crossing, crossing: &Crossing) -> bool {
    let account = |of: &Crossing| (of.budget.clone(), of.instance.clone(), of.window, of.at);
    (other.turn, crossing.turn) == (Turn::Firing, Turn::Firing)
        && other.percent > crossing.percent
        && account(other) == account(crossing)
}

/// Whether the limit was another one already when the alert ended.
fn has_limit_changed(alert: &Alert) -> bool {
    alert.ending.as_ref().is_some_and(|ending| ending.limit != alert.limit)
}

/// Whether the limit is another one than what was told, or was in between.
fn is_of_another_limit(told: &Alert, limit: &str) -> bool {
    told.limit != limit || has_limit_changed(told)
}

/// What the alert's limit is in the unit of another.
fn amount(alert: &Alert, limit: Limit) -> Option<i128> {
    if alert.unit != limit.unit() {
        return None;
    }
    match limit {
        Limit::Usd(_) => alert.limit.parse::<Money>().ok().map(Money::picos),
        Limit::Tokens(_) | Limit::Calls(_) => alert.limit.parse().ok(),
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

/// What is told when a threshold holds no more.
pub(super) fn ending_sentence(alert: &Alert, ending: &Ending) -> String {
    let Alert { subject, unit, key, .. } = alert;
    let unit = if unit == "usd" { "USD" } else { unit };
    let Ending { value, limit } = ending;
    format!("Budget {subject}: {value} of {limit} {unit} used, below {} % again", key.threshold)
}

fn new_alert(defined: &Defined, crossing: &Crossing) -> NewAlert {
    let budget = &defined.budget;
    let Crossing { percent, instance, at, .. } = crossing;
    let amount = |amount: i128| budget.limit.text(amount);
    let unit = budget.limit.unit();
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
            again: 0,
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
