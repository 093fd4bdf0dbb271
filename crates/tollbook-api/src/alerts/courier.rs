//! From the books to the channels: looks what is to be told, brings it there, notes what became of it.
//!
//! What is to be told is durable before it goes out; what became of it is noted after. A process that
//! ends in between sends it again, with the same id.

use super::{Watch, message_of};
use crate::channels::Channels;
use crate::live::Hub;
use crate::metrics::Family;
use crate::summaries::Summaries;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};
use tokio::time::MissedTickBehavior;
use tollbook_ledger::alerts::{Alert, AlertState, Attempt, Due};
use tollbook_ledger::{Ledger, LedgerError};
use tollbook_notify::{Failed, Sender};
use tollbook_types::Clock;

/// How often it is looked.
const EVERY: Duration = Duration::from_millis(250);

/// What became of messages since the start.
#[derive(Debug, Default)]
pub struct Sent {
    delivered: AtomicU64,
    refused: AtomicU64,
}

impl Sent {
    /// As metrics.
    pub fn families(&self, ledger: &Ledger) -> Vec<Family> {
        let firing = ledger.alerts().iter().filter(|alert| alert.state == AlertState::Firing).count();
        let attempts =
            Family::counter("tollbook_alert_attempts_total", "Attempts to bring an alert to a channel.")
                .with(&[("result", "delivered")], self.delivered.load(Ordering::Relaxed))
                .with(&[("result", "failed")], self.refused.load(Ordering::Relaxed));
        vec![
            Family::gauge("tollbook_alerts_firing", "Alerts that hold now.").with(&[], firing as u64),
            attempts,
        ]
    }
}

/// An attempt that is over and not noted yet.
struct Over {
    channel: String,
    alert: String,
    place: usize,
    attempt: Attempt,
}

/// Brings alerts to their channels, as long as it is polled.
pub struct Courier {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) channels: Arc<Channels>,
    pub(crate) sender: Sender,
    pub(crate) hub: Arc<Hub>,
    pub(crate) sent: Arc<Sent>,
    pub(crate) watch: Arc<Watch>,
    pub(crate) summaries: Arc<Summaries>,
}

impl Courier {
    /// Runs for ever. One message at a time goes to a channel, so that a slow one delays no other.
    pub async fn run(self) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut flying, mut busy, mut over) = (JoinSet::new(), BTreeSet::new(), Vec::new());
        let mut asking = self.ask();
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    over = self.note(over, &mut busy).await;
                    if asking.is_finished() {
                        let asked = std::mem::replace(&mut asking, self.ask()).await;
                        asked.unwrap_or_default().iter().for_each(|alert| self.tell(alert));
                    }
                    for due in self.look().await {
                        let Some(delivery) = due.delivery() else { continue };
                        if busy.insert(delivery.channel.clone()) {
                            flying.spawn(self.attempt(due));
                        }
                    }
                }
                Some(done) = flying.join_next() => match done {
                    Ok(done) => {
                        over.push(done);
                        over = self.note(over, &mut busy).await;
                    }
                    Err(error) => {
                        tracing::error!("sending an alert failed: {error}");
                        // Whose turn it was is not known: all are tried again.
                        busy.clear();
                    }
                },
            }
        }
    }

    /// What takes questions to the store, which may be long ones: no other alert waits for them.
    fn ask(&self) -> JoinHandle<Vec<Arc<Alert>>> {
        let (ledger, watch, summaries) = (self.ledger.clone(), self.watch.clone(), self.summaries.clone());
        spawn_blocking(move || {
            watch.look_at_hours(&ledger);
            found(summaries.look(&ledger))
        })
    }

    /// What is to be told now, after whoever watches was told what is new.
    async fn look(&self) -> Vec<Due> {
        let (ledger, watch) = (self.ledger.clone(), self.watch.clone());
        let looked = spawn_blocking(move || {
            let found = look(&ledger, &watch);
            (found, ledger.due_alerts())
        });
        let Ok((found, due)) = looked.await else { return Vec::new() };
        for alert in found {
            self.tell(&alert);
        }
        due
    }

    fn tell(&self, alert: &Arc<Alert>) {
        let (id, rule) = (&alert.id, &alert.key.rule);
        match alert.state {
            _ if alert.report.is_some() => tracing::info!(id, rule, "{}", alert.summary),
            AlertState::Firing => tracing::warn!(id, rule, "{}", alert.summary),
            AlertState::Resolved => tracing::info!(id, rule, "{}", alert.ending_summary()),
        }
        self.hub.alert(alert);
    }

    fn attempt(&self, due: Due) -> impl Future<Output = Over> + Send + use<> {
        let (sender, channels, now) = (self.sender.clone(), self.channels.clone(), self.clock.now());
        let sent = self.sent.clone();
        async move {
            let (channel, tells) = due.delivery().map_or((String::new(), AlertState::Firing), |delivery| {
                (delivery.channel.clone(), delivery.tells)
            });
            let attempt = match channels.get(&channel) {
                None => {
                    let why = "there is no such channel".to_owned();
                    Attempt::Refused { why, again: true, after: None }
                }
                Some(known) => match sender.send(&known.channel, &message_of(&due.alert, tells), now).await {
                    Ok(()) => Attempt::Taken,
                    Err(Failed { why, again, after }) => Attempt::Refused { why, again, after },
                },
            };
            let count = if attempt == Attempt::Taken { &sent.delivered } else { &sent.refused };
            count.fetch_add(1, Ordering::Relaxed);
            if let Attempt::Refused { why, again, .. } = &attempt {
                tracing::warn!(channel, alert = due.alert.id, again, "an alert was not delivered: {why}");
            }
            Over { channel, alert: due.alert.id.clone(), place: due.place, attempt }
        }
    }

    /// Notes attempts; their channels are free then. Returns those that cannot be noted now.
    async fn note(&self, over: Vec<Over>, busy: &mut BTreeSet<String>) -> Vec<Over> {
        let mut left = Vec::new();
        for over in over {
            let ledger = self.ledger.clone();
            let (alert, place, attempt) = (over.alert.clone(), over.place, over.attempt.clone());
            let noted = spawn_blocking(move || ledger.note_delivery(&alert, place, attempt)).await;
            if matches!(noted, Ok(Ok(()))) {
                busy.remove(&over.channel);
            } else {
                left.push(over);
            }
        }
        left
    }
}

/// What has changed. A part that fails keeps no other from being told.
fn look(ledger: &Ledger, watch: &Watch) -> Vec<Arc<Alert>> {
    let parts = [ledger.alert_on_budgets(), watch.look(ledger), ledger.age_alerts()];
    parts.into_iter().flat_map(found).collect()
}

fn found(looked: Result<Vec<Arc<Alert>>, LedgerError>) -> Vec<Arc<Alert>> {
    looked.unwrap_or_else(|error| {
        // It is found again with the next look.
        tracing::debug!("alerts cannot be recorded now: {error}");
        Vec::new()
    })
}
