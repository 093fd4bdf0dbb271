//! What a server does each day by itself: it drops what is past its time.

use crate::clock::SystemClock;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::time::MissedTickBehavior;
use tollbook_ledger::{Ledger, Retained, Retention};
use tollbook_types::{Clock, first_of_days};

/// How often it is looked whether another day has begun.
const EVERY: Duration = Duration::from_secs(3_600);
/// A start has other things to do first.
const FIRST: Duration = Duration::from_secs(10);

/// Drops what is past its time, as long as there is a ledger.
pub async fn retain(ledger: Weak<Ledger>, retention: Retention) {
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + FIRST, EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut done_on = None;
    loop {
        ticks.tick().await;
        let today = first_of_days(1, SystemClock.now(), &retention.zone);
        if done_on == Some(today) {
            continue;
        }
        let Some(ledger) = ledger.upgrade() else { return };
        let retention = retention.clone();
        match tokio::task::spawn_blocking(move || once(&ledger, &retention)).await {
            Ok(true) => done_on = Some(today),
            Ok(false) => {}
            Err(_) => tracing::error!("dropping what is past its time failed; it is tried again in an hour"),
        }
    }
}

/// Whether it is done for today.
fn once(ledger: &Arc<Ledger>, retention: &Retention) -> bool {
    let done = ledger.retain_unattended(retention);
    match &done {
        Ok((done, None)) => tell(done),
        Ok((_, Some(doubt))) => tracing::warn!(
            "nothing is dropped, since {doubt}: when the clock is right, end the server and run `tollbook retain` once"
        ),
        Err(error) => tracing::warn!("what is past its time is not dropped yet: {error}"),
    }
    done.is_ok()
}

fn tell(Retained { purged, stripped, captures, segments }: &Retained) {
    let purged = purged.as_ref().map_or(0, |purged| purged.calls);
    let stripped = stripped.as_ref().map_or(0, |stripped| stripped.calls);
    if purged + stripped + captures + segments > 0 {
        tracing::info!(purged, stripped, captures, segments, "dropped what is past its time");
    }
}
