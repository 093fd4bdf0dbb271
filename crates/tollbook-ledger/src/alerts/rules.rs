//! From what rules have found to alerts.

use super::{Alert, AlertKey, AlertState, NewAlert, Severity};
use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::shared::Health;
use std::sync::Arc;
use tollbook_budget::Turn;
use tollbook_budget::rules::{Books, Finding, Known, RULE_KINDS, RuleKind, Seen};
use tollbook_types::{CostBasis, Entry, Status};

/// A value that is shown, in characters.
const SUBJECT_CHARS_MAX: usize = 160;

/// What rules look at of an entry.
pub fn seen(entry: &Entry) -> Seen<'_> {
    let Entry { event, rating, .. } = entry;
    Seen {
        at: event.occurred_at,
        provider: &event.provider,
        model: &event.model,
        operation: event.attribution.operation.as_deref(),
        // Who hangs up, or ends the server, says nothing of the provider.
        has_failed: matches!(event.status, Status::UpstreamError | Status::Timeout),
        is_unpriced: rating.basis == CostBasis::Unpriced,
        tokens: event.usage.as_ref().map(|usage| usage.total().total_tokens()),
        book: rating.book_cost,
        billed: event.provider_cost.as_ref().map(|cost| cost.total),
    }
}

impl Ledger {
    /// How the books are now. A fault that keeps alerts from being recorded, too, is told once it is
    /// over; `/readyz`, the metrics and the log have it at once.
    pub fn books(&self) -> Books {
        let status = self.status();
        let store_fault = match status.health {
            Health::StoreDown(fault) => Some(fault.reason),
            _ => None,
        };
        Books {
            store_fault,
            unrecorded_calls: status.unrecorded_calls,
            has_clock_stepped: self.has_clock_stepped(),
        }
    }

    /// What rules have told before, of those in force. Alerts of others, that still hold, end.
    pub fn known_findings(&self, in_force: &[RuleKind]) -> Result<Vec<Known>, LedgerError> {
        let mut known = Vec::new();
        for alert in self.alerts() {
            let kind = RULE_KINDS.iter().copied().find(|kind| kind.name() == alert.key.rule);
            let (Some(kind), Some(value), Some(period)) = (kind, &alert.key.value, alert.key.period) else {
                continue;
            };
            let holds = alert.state == AlertState::Firing;
            if in_force.contains(&kind) {
                // Oldest first: the last of a value counts.
                known.push(Known { kind, value: value.clone(), period, holds });
            } else if holds {
                self.resolve_alert(&alert.id, true, None)?;
            }
        }
        Ok(known)
    }

    /// Records what a rule has found. `None` when people know of it.
    pub fn alert_on_finding(&self, finding: &Finding) -> Result<Option<Arc<Alert>>, LedgerError> {
        match finding.turn {
            // What lasts is told once, in whichever period it began.
            Turn::Firing if finding.until.is_none() && self.firing_rule(finding).is_some() => Ok(None),
            Turn::Firing => self.raise_alert(new_alert(finding)),
            Turn::Resolved => match self.firing_rule(finding) {
                Some(alert) => self.resolve_alert(&alert.id, false, None),
                None => Ok(None),
            },
        }
    }

    /// The alert that this rule has of the value now.
    fn firing_rule(&self, finding: &Finding) -> Option<Arc<Alert>> {
        let is_it = |alert: &&Arc<Alert>| {
            alert.state == AlertState::Firing
                && alert.key.rule == finding.kind.name()
                && alert.key.value == Some(plain(&finding.value))
        };
        self.alerts().iter().filter(is_it).max_by_key(|alert| alert.at).cloned()
    }
}

fn new_alert(finding: &Finding) -> NewAlert {
    let Finding { kind, value, threshold, period, until, summary, measured, limit, unit, notify, .. } =
        finding;
    NewAlert {
        key: AlertKey {
            rule: kind.name().to_owned(),
            // It came with calls, and names of alerts have no line breaks.
            value: Some(plain(value)),
            threshold: threshold.clone(),
            period: Some(*period),
            again: 0,
        },
        severity: match kind {
            RuleKind::LedgerFault => Severity::Critical,
            _ => Severity::Warning,
        },
        subject: plain(value).chars().take(SUBJECT_CHARS_MAX).collect(),
        summary: plain(summary),
        value: measured.clone(),
        limit: limit.clone(),
        unit: (*unit).to_owned(),
        until: *until,
        channels: notify.clone(),
        report: None,
    }
}

fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
