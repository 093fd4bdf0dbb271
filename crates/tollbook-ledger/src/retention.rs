//! What is kept for how long, and when to drop it: by hand at any time, unattended only while the
//! clock can be believed.
//!
//! What is dropped cannot be had again, and a clock that is years ahead would drop everything. So an
//! unattended run withholds itself where the clock has stepped since the start, stands before what
//! is recorded, or comes after a silence that nobody saw. A run by hand says that the clock is right.

use crate::audit::{Act, By};
use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::retain::Purged;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tollbook_types::{Timestamp, Zone, first_of_days};

/// A clock that is further off than this, by the time that has passed, has stepped.
const STEP_SECONDS_MAX: u64 = 3_600;
/// A start so long after the newest call may be a clock that is ahead.
const SILENCE_SECONDS_MAX: i64 = 7 * 86_400;
/// Calls that lose their raw usage in one transaction: others write in between.
const STRIP_CALLS: usize = 2_000;

/// How long things are kept. What is `None` is kept for ever.
#[derive(Clone, Debug)]
pub struct Retention {
    /// Days that calls are kept, today included.
    pub entries_days: Option<u32>,
    /// Days that raw usage and metadata are kept with them, today included.
    pub raw_days: Option<u32>,
    /// Days that captured words are kept, today included; never longer than their calls.
    pub capture_days: Option<u32>,
    /// The zone of the days: the store's.
    pub zone: Zone,
}

/// What a run dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retained {
    /// Calls, if they are not kept for ever.
    pub purged: Option<Purged>,
    /// Raw usage and metadata, if they are not kept as long as their calls.
    pub stripped: Option<Stripped>,
    /// Captured words of so many calls.
    pub captures: u64,
    /// Journal segments past their age.
    pub segments: u64,
}

/// What lost its raw usage and metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stripped {
    /// Calls that had any.
    pub calls: u64,
    /// What occurred before this has none any more.
    pub before: Timestamp,
}

/// What is known of the clock since somebody could believe it.
#[derive(Debug)]
pub(crate) struct Watch(Mutex<Anchor>);

#[derive(Clone, Copy, Debug)]
struct Anchor {
    wall: Timestamp,
    since: Instant,
    /// The newest call of the books then; `None` when a person vouches for the clock.
    newest: Option<Timestamp>,
}

impl Watch {
    /// From a start on: the clock's time, and the newest call that was there.
    pub fn start(wall: Timestamp, newest: Option<Timestamp>) -> Watch {
        Watch(Mutex::new(Anchor { wall, since: Instant::now(), newest }))
    }

    fn anchor(&self) -> Anchor {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn vouch(&self, wall: Timestamp) {
        let anchor = Anchor { wall, since: Instant::now(), newest: None };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = anchor;
    }
}

impl Anchor {
    /// Whether the clock is further off than the time that has passed accounts for.
    fn has_stepped(&self, now: Timestamp, passed: Duration) -> bool {
        let due = self.wall.as_second().saturating_add_unsigned(passed.as_secs());
        now.as_second().abs_diff(due) > STEP_SECONDS_MAX
    }

    /// Why the clock cannot be believed now, if it cannot.
    fn doubt(&self, now: Timestamp, passed: Duration) -> Option<String> {
        if self.has_stepped(now, passed) {
            return Some("the clock has stepped by more than an hour".to_owned());
        }
        let newest = self.newest?;
        let silence = self.wall.as_second() - newest.as_second();
        match silence {
            _ if silence < -(STEP_SECONDS_MAX as i64) => {
                Some(format!("the clock stands before the newest call, of {newest}"))
            }
            _ if silence > SILENCE_SECONDS_MAX => {
                Some(format!("at the start the newest call was of {newest}, more than a week before"))
            }
            _ => None,
        }
    }
}

impl Ledger {
    /// Whether the clock has stepped since somebody could believe it.
    pub(crate) fn has_clock_stepped(&self) -> bool {
        let anchor = self.clock_watch().anchor();
        anchor.has_stepped(self.shared().clock.now(), anchor.since.elapsed())
    }

    /// Drops what is past its time. Whoever calls this says that the clock is right.
    pub fn retain(&self, by: &By, retention: &Retention) -> Result<Retained, LedgerError> {
        let now = self.shared().clock.now();
        self.clock_watch().vouch(now);
        self.drop_old(by, retention, now)
    }

    /// As [`Ledger::retain`], but where the clock may be wrong only the journal's old segments go.
    /// The second value says why then.
    pub fn retain_unattended(
        &self,
        retention: &Retention,
    ) -> Result<(Retained, Option<String>), LedgerError> {
        let now = self.shared().clock.now();
        let anchor = self.clock_watch().anchor();
        match anchor.doubt(now, anchor.since.elapsed()) {
            None => Ok((self.drop_old(&By::server(), retention, now)?, None)),
            doubt => Ok((Retained { segments: self.trim_journal()?, ..Retained::default() }, doubt)),
        }
    }

    fn drop_old(&self, by: &By, retention: &Retention, now: Timestamp) -> Result<Retained, LedgerError> {
        let first = |days: Option<u32>| -> Result<Option<Timestamp>, LedgerError> {
            let too_many = |days| {
                LedgerError::Invalid(format!("{days} days cannot be kept: 1 or more, and not that many"))
            };
            days.map(|days| first_of_days(days, now, &retention.zone).ok_or_else(|| too_many(days)))
                .transpose()
        };
        let (entries, raw) = (first(retention.entries_days)?, first(retention.raw_days)?);
        let captured = first(retention.capture_days)?.max(entries).filter(|_| self.captures().is_some());
        let told = [("entries_before", entries), ("raw_before", raw), ("captures_before", captured)];
        let told = told.into_iter().filter_map(|(name, before)| Some((name, before?)));
        let act = Act::new("retention.apply");
        let act = told.fold(act, |act, (name, before)| act.told(name, before.to_string()));
        if !act.told.is_empty() {
            self.audit(by, act)?;
        }
        let purged = entries.map(|cutoff| self.drop_before(cutoff)).transpose()?;
        let stripped = raw.map(|before| self.strip(before)).transpose()?;
        let captures = captured.map(|before| self.drop_captures(before)).transpose()?.unwrap_or(0);
        self.scrub()?;
        Ok(Retained { purged, stripped, captures, segments: self.trim_journal()? })
    }

    /// Drops raw usage and metadata of what occurred before an instant.
    fn strip(&self, before: Timestamp) -> Result<Stripped, LedgerError> {
        self.flush()?;
        let mut calls = 0;
        loop {
            let step = self.store().strip(before, STRIP_CALLS)?;
            calls += step;
            if step < STRIP_CALLS as u64 {
                return Ok(Stripped { calls, before });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_may_be_wrong_is_doubted() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let (hour, day) = (3_600, 86_400);
        let start = 1_000 * day;
        let cases = [
            ("all is well", Some(start - 60), 600, 600, false),
            ("nothing is recorded yet", None, 600, 600, false),
            ("it drifts", Some(start), day, day + hour, false),
            ("it stepped ahead", Some(start), 600, 700 + hour, true),
            ("it stepped back", Some(start), 600, -hour, true),
            ("it stepped before the start", Some(start + 2 * hour), 600, 600, true),
            ("a caller's clock is ahead", Some(start + 300), 600, 600, false),
            ("a week of silence", Some(start - 7 * day), 0, 0, false),
            ("more than a week", Some(start - 7 * day - 1), 0, 0, true),
        ];
        for (what, newest, passed, moved, doubted) in cases {
            let anchor = Anchor { wall: at(start), since: Instant::now(), newest: newest.map(at) };
            let passed = Duration::from_secs(u64::try_from(passed).unwrap());
            assert_eq!(anchor.doubt(at(start + moved), passed).is_some(), doubted, "{what}");
        }
    }
}
