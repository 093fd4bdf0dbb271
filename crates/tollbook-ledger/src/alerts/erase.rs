//! Taking a person out of alerts: those of a budget that counts a user, or each user for themselves, go on
//! under the pseudonym that their calls have, so that nothing is told a second time. Summaries name those
//! who cost most.

use super::thresholds::{RULE_START, sentence};
use super::{Alert, AlertKey};
use crate::error::LedgerError;
use crate::ledger::Ledger;
use tollbook_budget::rules::RuleKind;
use tollbook_types::{Attribution, Dimension, Eraser, Erasures};

/// What the value of an unusual hour begins with, where it is a user's.
const USER_START: &str = "user=";

impl Ledger {
    /// Takes erased persons out of the alerts that name them. It comes before they are taken out of the
    /// budgets, which tell whose the alerts are.
    pub(crate) fn erase_alerts(&self, erasures: &Erasures) -> Result<(), LedgerError> {
        let _changing = self.alert_state().changing();
        for known in self.alerts() {
            let mut alert = (*known).clone();
            for user in self.users_of(&known) {
                let who = Attribution { user: Some(user.clone()), ..Attribution::default() };
                if let Some(erasure) = erasures.of(&who, known.at) {
                    alert = without(&alert, &user, &Eraser::new(erasure, &user));
                }
            }
            if alert != *known {
                self.write_alert(alert)?;
            }
        }
        Ok(())
    }

    /// Whom an alert may be of: the value that it is for, and the user that its budget is of; of a
    /// summary whoever it names.
    fn users_of(&self, alert: &Alert) -> Vec<String> {
        if let Some(report) = &alert.report {
            return report.names().map(str::to_owned).collect();
        }
        let Some(id) = alert.key.rule.strip_prefix(RULE_START) else {
            let value =
                alert.key.value.as_deref().filter(|_| alert.key.rule == RuleKind::UnusualUsage.name());
            return value
                .and_then(|value| value.strip_prefix(USER_START))
                .map(str::to_owned)
                .into_iter()
                .collect();
        };
        let budget = self.budget(id);
        // Of a budget that has gone it is not known what its values are.
        let counts_users =
            budget.as_ref().is_none_or(|budget| budget.budget.scope.each == Some(Dimension::User));
        let value = alert.key.value.clone().filter(|_| counts_users);
        value.into_iter().chain(budget.and_then(|budget| budget.form.matches.get("user").cloned())).collect()
    }
}

fn without(alert: &Alert, user: &str, eraser: &Eraser<'_>) -> Alert {
    if let Some(report) = &alert.report {
        return Alert { report: Some(report.without(user, eraser)), ..alert.clone() };
    }
    let AlertKey { rule, value, threshold, .. } = &alert.key;
    if !rule.starts_with(RULE_START) {
        let (known, hidden) = (format!("{USER_START}{user}"), format!("{USER_START}{}", eraser.text(user)));
        let summary = alert.summary.replacen(&known, &hidden, 1);
        let key = AlertKey { value: Some(hidden.clone()), ..alert.key.clone() };
        return Alert { key, summary, subject: hidden, ..alert.clone() };
    }
    let subject = eraser.text(&alert.subject);
    let value = value.as_deref().map(|value| eraser.text(value));
    Alert {
        key: AlertKey { value, ..alert.key.clone() },
        summary: sentence(&subject, &alert.value, &alert.limit, &alert.unit, threshold),
        subject,
        ..alert.clone()
    }
}
