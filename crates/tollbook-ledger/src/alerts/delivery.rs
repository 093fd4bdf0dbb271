//! One message on its way to one channel: when it is tried, and when it is given up. Pure: instants
//! are arguments.

use serde::{Deserialize, Serialize};
use std::time::Duration;
use tollbook_types::{Digest, Timestamp};

/// How long a channel is tried.
const TRIED: Duration = Duration::from_secs(24 * 3_600);
/// How long it is waited after an attempt that failed; the last one again and again.
const WAITS_S: [u64; 9] = [2, 5, 15, 60, 300, 900, 1_800, 3_600, 7_200];
/// No channel is waited for longer because it asks for that.
const ASKED_WAIT_MAX: Duration = Duration::from_secs(3_600);
/// An error that is kept, in bytes.
const ERROR_BYTES_MAX: usize = 256;

/// What a message tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    /// The rule's limit is passed.
    Firing,
    /// It is not, any more, or its period is over.
    Resolved,
}

impl AlertState {
    /// Its name, as programs read it.
    pub fn name(self) -> &'static str {
        match self {
            AlertState::Firing => "firing",
            AlertState::Resolved => "resolved",
        }
    }
}

/// How far a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// It is to be tried.
    Pending,
    /// The channel took it.
    Delivered,
    /// It was given up.
    Failed,
}

/// A message for a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The channel's name.
    pub channel: String,
    /// What it tells.
    pub tells: AlertState,
    /// How far it is.
    pub progress: Progress,
    /// How often it was tried.
    #[serde(default)]
    pub attempts: u32,
    /// When it came into being.
    pub since: Timestamp,
    /// When it is tried next, or was settled.
    pub at: Timestamp,
    /// Why the last attempt failed. Never a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// The channel took it.
    Taken,
    /// It did not.
    Refused {
        /// In words, without a secret.
        why: String,
        /// Whether it makes sense to try again.
        again: bool,
        /// When the channel wants to be asked again.
        after: Option<Duration>,
    },
}

impl Delivery {
    /// A message that is to be tried at once.
    pub fn new(channel: &str, tells: AlertState, now: Timestamp) -> Delivery {
        Delivery {
            channel: channel.to_owned(),
            tells,
            progress: Progress::Pending,
            attempts: 0,
            since: now,
            at: now,
            error: None,
        }
    }

    /// Whether it is to be tried now.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.progress == Progress::Pending && self.at <= now
    }

    /// After an attempt, at `now`. `salt` spreads what failed together.
    #[must_use]
    pub fn after(&self, attempt: Attempt, salt: &str, now: Timestamp) -> Delivery {
        let attempts = self.attempts.saturating_add(1);
        let settled = |progress, error| Delivery { progress, attempts, at: now, error, ..self.clone() };
        match attempt {
            Attempt::Taken => settled(Progress::Delivered, None),
            Attempt::Refused { why, again, after } => {
                let error = Some(short(why));
                let at = now + wait(attempts, after, salt);
                if !again || at > self.since + TRIED {
                    return settled(Progress::Failed, error);
                }
                Delivery { attempts, at, error, ..self.clone() }
            }
        }
    }
}

/// How long it is waited after so many attempts: up to a fifth longer than the table says.
fn wait(attempts: u32, asked: Option<Duration>, salt: &str) -> Duration {
    let step = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX).min(WAITS_S.len() - 1);
    let millis = WAITS_S[step] * 1_000;
    let spread = Digest::of(format!("{salt} {attempts}").as_bytes()).short() % (millis / 5);
    let own = Duration::from_millis(millis + spread);
    own.max(asked.unwrap_or_default().min(ASKED_WAIT_MAX))
}

fn short(mut text: String) -> String {
    let mut end = text.len().min(ERROR_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn refused(again: bool, after: Option<u64>) -> Attempt {
        Attempt::Refused { why: "no".to_owned(), again, after: after.map(Duration::from_secs) }
    }

    #[test]
    fn an_attempt_settles_a_message_or_puts_it_off() {
        let now = at("2026-11-22T10:00:00Z");
        let check = |attempt: Attempt, progress: Progress, seconds: std::ops::RangeInclusive<i64>| {
            let after = Delivery::new("ops", AlertState::Firing, now).after(attempt.clone(), "a", now);
            let waited = after.at.duration_since(now).as_secs();
            assert!(after.progress == progress && seconds.contains(&waited), "{attempt:?}: {after:?}");
            assert_eq!(after.attempts, 1);
        };
        check(Attempt::Taken, Progress::Delivered, 0..=0);
        check(refused(false, None), Progress::Failed, 0..=0);
        check(refused(true, None), Progress::Pending, 2..=3);
        check(refused(true, Some(40)), Progress::Pending, 40..=40);
        check(refused(true, Some(1)), Progress::Pending, 2..=3);
        check(refused(true, Some(1_000_000)), Progress::Pending, 3_600..=3_600);
    }

    #[test]
    fn a_channel_is_tried_for_a_day_with_longer_and_longer_waits() {
        let mut delivery = Delivery::new("ops", AlertState::Firing, at("2026-11-22T10:00:00Z"));
        let mut waits = Vec::new();
        while delivery.progress == Progress::Pending {
            let now = delivery.at;
            assert!(delivery.is_due(now) && now <= delivery.since + TRIED);
            delivery = delivery.after(refused(true, None), "a", now);
            waits.push(delivery.at.duration_since(now).as_secs());
            assert!(waits.len() < 100, "it never ends");
        }
        assert_eq!(delivery.progress, Progress::Failed);
        let tried = delivery.at.duration_since(delivery.since).as_hours();
        assert!((21..=24).contains(&tried), "{tried} hours, {waits:?}");
        assert!(
            waits.is_sorted() || waits.windows(2).all(|pair| pair[0] <= pair[1] * 6 / 5 + 1 || pair[1] == 0)
        );
        assert!(!delivery.is_due(delivery.at + TRIED));
    }

    #[test]
    fn an_error_is_one_short_line() {
        let now = at("2026-11-22T10:00:00Z");
        let why = format!("a\nb{}", "ä".repeat(300));
        let attempt = Attempt::Refused { why, again: true, after: None };
        let error = Delivery::new("ops", AlertState::Firing, now).after(attempt, "a", now).error.unwrap();
        assert!(error.starts_with("a b") && error.len() <= ERROR_BYTES_MAX);
    }
}
