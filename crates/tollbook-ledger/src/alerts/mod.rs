//! Alerts: what people are told, and whom of them it has reached. Each is a document: it is durable
//! before anybody is told, so that what was going out when the process ended goes out after its start.
//!
//! An alert's id follows from its rule, threshold and period: whoever finds the same again, after a
//! restart or a second count, finds the alert there. It must never know how a message travels.

mod delivery;
mod erase;
mod rules;
mod summary;
mod thresholds;

pub use delivery::{AlertState, Attempt, Delivery, Progress};
pub use rules::seen;
pub use summary::{Every, Summary, Top, TopRow, Used};

use crate::audit::{Act, By};
use crate::error::LedgerError;
use crate::ledger::Ledger;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use thresholds::Untold;
use tollbook_store::Store;
use tollbook_types::{Digest, Timestamp};

/// Where the documents are.
const DOCUMENTS: &str = "alert/";
/// What an id begins with.
const ID_START: &str = "alr_";
/// Digits of an id behind that.
const ID_DIGITS: usize = 24;
/// How long an alert is kept that is over.
const KEPT: Duration = Duration::from_secs(90 * 24 * 3_600);
/// Alerts that are kept at once. Beyond it the oldest that are past go; where none is, further ones
/// are only in the log.
const ALERTS_MAX: usize = 10_000;
/// Alerts of which documents are dropped in one go.
const DROPPED_MAX: usize = 100;

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// To be known.
    Info,
    /// To be looked at.
    Warning,
    /// Something is stopped, or lost.
    Critical,
}

impl Severity {
    /// Its name, as programs read it.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        }
    }
}

/// What makes an alert the one it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AlertKey {
    /// `budget:ID`, or another rule's name.
    pub rule: String,
    /// Which of those that the rule is for, where it is for several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What was passed: `80` for percents.
    pub threshold: String,
    /// The start of the period; absent for all time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<Timestamp>,
    /// How often the same was told before in this period: of other limits.
    #[serde(default, skip_serializing_if = "is_first")]
    pub again: u32,
}

fn is_first(again: &u32) -> bool {
    *again == 0
}

impl AlertKey {
    /// The id that follows from it.
    pub fn id(&self) -> String {
        // Names have no line breaks, so no two keys have the same text.
        let AlertKey { rule, value, threshold, period, again } = self;
        let value = value.as_ref().map(|value| format!("={value}")).unwrap_or_default();
        let period = period.map(|at| at.to_string()).unwrap_or_default();
        let again = if is_first(again) { String::new() } else { format!("\n{again}") };
        let text = format!("{rule}\n{value}\n{threshold}\n{period}{again}");
        let digest = Digest::of(text.as_bytes()).to_hex();
        let digits: String = digest.iter().take(ID_DIGITS).map(|byte| char::from(*byte)).collect();
        format!("{ID_START}{digits}")
    }
}

/// Something that people are to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAlert {
    /// What makes it the one it is.
    pub key: AlertKey,
    /// How much it matters.
    pub severity: Severity,
    /// What it is about, for people.
    pub subject: String,
    /// What was found, in one sentence.
    pub summary: String,
    /// What was measured, as decimal text.
    pub value: String,
    /// What it is measured against.
    pub limit: String,
    /// The unit of both: `usd`, `tokens`, `calls`, …
    pub unit: String,
    /// When its period ends; it is over then.
    pub until: Option<Timestamp>,
    /// Channels that are told.
    pub channels: Vec<String>,
    /// What was used, of a summary: it holds for no time, and is told all the same.
    pub report: Option<Summary>,
}

/// Who has seen to an alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledged {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: crate::audit::Actor,
}

/// What was measured when an alert ended, where that is news.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// What was measured, as decimal text.
    pub value: String,
    /// What it was measured against, which may have changed.
    pub limit: String,
}

/// An alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// `alr_` and digits that follow from its key.
    pub id: String,
    /// What makes it the one it is.
    pub key: AlertKey,
    /// How much it matters.
    pub severity: Severity,
    /// Whether it still holds.
    pub state: AlertState,
    /// What it is about, for people.
    pub subject: String,
    /// What was found, in one sentence.
    pub summary: String,
    /// What was measured, as decimal text.
    pub value: String,
    /// What it is measured against.
    pub limit: String,
    /// The unit of both.
    pub unit: String,
    /// When it began.
    pub at: Timestamp,
    /// When its period ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_at: Option<Timestamp>,
    /// What it was then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
    /// Who has seen to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Acknowledged>,
    /// Whom it has reached.
    pub deliveries: Vec<Delivery>,
    /// What was used, of a summary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Summary>,
}

impl Alert {
    /// What is told when it ends, in one sentence.
    pub fn ending_summary(&self) -> String {
        match &self.ending {
            Some(ending) => thresholds::ending_sentence(self, ending),
            None => format!("Over: {}", self.summary),
        }
    }

    fn new(new: NewAlert, now: Timestamp) -> Alert {
        let NewAlert { key, severity, subject, summary, value, limit, unit, until, mut channels, report } =
            new;
        channels.sort();
        channels.dedup();
        let deliver = |channel: &String| Delivery::new(channel, AlertState::Firing, now);
        Alert {
            id: key.id(),
            key,
            severity,
            state: if report.is_some() { AlertState::Resolved } else { AlertState::Firing },
            subject,
            summary,
            value,
            limit,
            unit,
            at: now,
            until,
            resolved_at: report.as_ref().map(|_| now),
            ending: None,
            acknowledged: None,
            deliveries: channels.iter().map(deliver).collect(),
            report,
        }
    }

    /// As it is once it is over. Whoever was told that it began is told that it ended, unless that is
    /// `quiet`.
    fn resolved(&self, quiet: bool, now: Timestamp) -> Alert {
        let mut alert = self.clone();
        (alert.state, alert.resolved_at) = (AlertState::Resolved, Some(now));
        if !quiet {
            let told = self.deliveries.iter().filter(|told| told.progress != Progress::Failed);
            alert.deliveries.extend(told.map(|told| Delivery::new(&told.channel, AlertState::Resolved, now)));
        }
        alert
    }

    /// Whether a message may go out now: that it ended goes out after that it began.
    fn is_due(&self, place: usize, now: Timestamp) -> bool {
        let Some(delivery) = self.deliveries.get(place) else { return false };
        let is_earlier =
            |other: &&Delivery| other.channel == delivery.channel && other.progress == Progress::Pending;
        delivery.is_due(now) && !self.deliveries.iter().take(place).any(|other| is_earlier(&other))
    }

    /// Whether nothing more can become of it.
    fn is_past(&self, now: Timestamp) -> bool {
        let is_settled = self.deliveries.iter().all(|delivery| delivery.progress != Progress::Pending);
        // A period that still runs must not tell the same again.
        let has_period_ended = self.until.is_none_or(|until| until <= now);
        is_settled && has_period_ended && self.state == AlertState::Resolved
    }

    /// Whether it is past for so long that it goes.
    fn is_over(&self, now: Timestamp) -> bool {
        self.is_past(now) && self.resolved_at.is_some_and(|at| at + KEPT <= now)
    }
}

/// A message that is to go out.
#[derive(Clone, Debug)]
pub struct Due {
    /// The alert.
    pub alert: Arc<Alert>,
    /// Which of its deliveries.
    pub place: usize,
}

impl Due {
    /// The delivery.
    pub fn delivery(&self) -> Option<&Delivery> {
        self.alert.deliveries.get(self.place)
    }
}

/// Every alert that is kept.
#[derive(Debug, Default)]
pub(crate) struct Alerts {
    known: Mutex<BTreeMap<String, Arc<Alert>>>,
    /// Held from reading an alert to writing it.
    changing: Mutex<()>,
    untold: Untold,
}

impl Alerts {
    /// What the store has.
    pub fn load(store: &dyn Store) -> Result<Alerts, LedgerError> {
        let known = recorded_alerts(store)?.into_iter().map(|alert| (alert.id.clone(), Arc::new(alert)));
        Ok(Alerts { known: Mutex::new(known.collect()), ..Alerts::default() })
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Alert>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every alert in a store, oldest first.
pub fn recorded_alerts(store: &dyn Store) -> Result<Vec<Alert>, LedgerError> {
    let mut alerts = Vec::new();
    for control in store.controls(DOCUMENTS)? {
        let Some(body) = control.body else { continue };
        let alert: Alert = serde_json::from_str(&body).map_err(|error| {
            // One that is left out would be told again.
            LedgerError::Invalid(format!("the document {} cannot be read: {error}", control.key))
        })?;
        alerts.push(alert);
    }
    alerts.sort_by(|left, right| (left.at, &left.id).cmp(&(right.at, &right.id)));
    Ok(alerts)
}

impl Ledger {
    /// Every alert that is kept, oldest first.
    pub fn alerts(&self) -> Vec<Arc<Alert>> {
        let mut alerts: Vec<Arc<Alert>> = self.alert_state().known().values().cloned().collect();
        alerts.sort_by(|left, right| (left.at, &left.id).cmp(&(right.at, &right.id)));
        alerts
    }

    /// The alert with this id.
    pub fn alert(&self, id: &str) -> Option<Arc<Alert>> {
        self.alert_state().known().get(id).cloned()
    }

    /// Begins an alert: on return it is durable, and its messages are due. `None` when it is there
    /// already, or when so many are kept that it is only in the log.
    pub fn raise_alert(&self, new: NewAlert) -> Result<Option<Arc<Alert>>, LedgerError> {
        let alert = Alert::new(new, self.shared().clock.now());
        let _changing = self.alert_state().changing();
        let (count, past) = {
            let known = self.alert_state().known();
            if known.contains_key(&alert.id) {
                return Ok(None);
            }
            let past = known.values().filter(|other| other.is_past(alert.at));
            (known.len(), past.min_by_key(|other| other.at).map(|other| other.id.clone()))
        };
        if count >= ALERTS_MAX
            && let Some(id) = past
        {
            self.drop_alert(&id)?;
        } else if count >= ALERTS_MAX {
            tracing::error!(
                alert = alert.summary,
                "{ALERTS_MAX} alerts are kept; this one is told to nobody"
            );
            return Ok(None);
        }
        self.write_alert(alert).map(Some)
    }

    /// Ends an alert, with what was measured then. `None` when it is not there, or has ended.
    pub fn resolve_alert(
        &self,
        id: &str,
        quiet: bool,
        ending: Option<Ending>,
    ) -> Result<Option<Arc<Alert>>, LedgerError> {
        let _changing = self.alert_state().changing();
        let firing = self.alert(id).filter(|alert| alert.state == AlertState::Firing);
        let Some(alert) = firing else { return Ok(None) };
        let resolved = alert.resolved(quiet, self.shared().clock.now());
        self.write_alert(Alert { ending, ..resolved }).map(Some)
    }

    /// Notes that somebody has seen to an alert; the first one counts. `None` when it is not there.
    pub fn acknowledge_alert(&self, by: &By, id: &str) -> Result<Option<Arc<Alert>>, LedgerError> {
        let _changing = self.alert_state().changing();
        let Some(known) = self.alert(id) else { return Ok(None) };
        if known.acknowledged.is_some() {
            return Ok(Some(known));
        }
        let acknowledged = Some(Acknowledged { at: self.shared().clock.now(), by: by.actor.clone() });
        let alert = Alert { acknowledged, ..(*known).clone() };
        let document = (format!("{DOCUMENTS}{id}"), Some(written(&alert)?));
        self.write_documents(by, Act::new("alert.acknowledge").on("alert", id), vec![document])?;
        Ok(Some(self.keep_alert(alert)))
    }

    /// Messages that are to go out now, those that wait longest first.
    pub fn due_alerts(&self) -> Vec<Due> {
        let now = self.shared().clock.now();
        let mut due = Vec::new();
        for alert in self.alert_state().known().values() {
            let places = (0..alert.deliveries.len()).filter(|place| alert.is_due(*place, now));
            due.extend(places.map(|place| Due { alert: alert.clone(), place }));
        }
        due.sort_by_key(|due| due.delivery().map(|delivery| delivery.at));
        due
    }

    /// Notes what became of a message. Where that cannot be recorded it goes out again, with the same id.
    pub fn note_delivery(&self, id: &str, place: usize, attempt: Attempt) -> Result<(), LedgerError> {
        let now = self.shared().clock.now();
        let _changing = self.alert_state().changing();
        let Some(known) = self.alert(id) else { return Ok(()) };
        let mut alert = (*known).clone();
        let Some(delivery) = alert.deliveries.get_mut(place) else { return Ok(()) };
        *delivery = delivery.after(attempt, id, now);
        self.write_alert(alert).map(drop)
    }

    /// Ends alerts whose period is over, and drops those that are over for long. Returns those that ended.
    pub fn age_alerts(&self) -> Result<Vec<Arc<Alert>>, LedgerError> {
        let now = self.shared().clock.now();
        let has_ended = |alert: &Alert| {
            alert.state == AlertState::Firing && alert.until.is_some_and(|until| until <= now)
        };
        let (ended, over): (Vec<String>, Vec<String>) = {
            let known = self.alert_state().known();
            let ids = |is_it: &dyn Fn(&Alert) -> bool| {
                known.values().filter(|alert| is_it(alert)).map(|alert| alert.id.clone()).collect()
            };
            (ids(&has_ended), ids(&|alert| alert.is_over(now)))
        };
        for id in over.iter().take(DROPPED_MAX) {
            let _changing = self.alert_state().changing();
            self.drop_alert(id)?;
        }
        let ended = ended.iter().filter_map(|id| self.resolve_alert(id, true, None).transpose());
        ended.collect()
    }

    fn drop_alert(&self, id: &str) -> Result<(), LedgerError> {
        self.control(&format!("{DOCUMENTS}{id}"), None)?;
        self.alert_state().known().remove(id);
        Ok(())
    }

    fn write_alert(&self, alert: Alert) -> Result<Arc<Alert>, LedgerError> {
        self.control(&format!("{DOCUMENTS}{}", alert.id), Some(written(&alert)?))?;
        Ok(self.keep_alert(alert))
    }

    fn keep_alert(&self, alert: Alert) -> Arc<Alert> {
        let alert = Arc::new(alert);
        self.alert_state().known().insert(alert.id.clone(), alert.clone());
        alert
    }
}

fn written(alert: &Alert) -> Result<String, LedgerError> {
    serde_json::to_string(alert)
        .map_err(|error| LedgerError::Invalid(format!("the alert cannot be written: {error}")))
}
