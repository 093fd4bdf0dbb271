//! Back-off for those who fail to prove who they are, by their address and by what they present.
//!
//! A text that this server made holds 256 random bits. Nobody guesses one, so a good one passes at
//! once, whatever others at the same address did. What is slowed down is guessing texts that people
//! chose, and hammering with what does not open: after some failures each further one must wait,
//! twice as long each time, half a minute at most. Who has opened with a chosen text from an address
//! goes on doing so from there. Pure but for a lock; memory is bounded.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tollbook_types::{Digest, Timestamp};

/// Failures that cost nothing: a wrong setting is tried a few times.
const FREE: u32 = 20;
/// The longest wait.
const WAIT_SECONDS_MAX: u32 = 30;
/// After so long without a failure the earlier ones are forgotten.
const FORGET_MICROS: i64 = 15 * 60 * 1_000_000;
/// Addresses, texts, and pairs of both that are remembered.
const REMEMBERED_MAX: usize = 4_096;

/// One try: what was presented, and from where.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    address: Option<IpAddr>,
    text: Digest,
}

impl Attempt {
    /// A text from an address. Of IPv6, a network of 64 bits counts as one address.
    pub fn new(address: Option<IpAddr>, text: &str) -> Attempt {
        let network = |address| match address {
            IpAddr::V6(whole) => {
                let whole: Ipv6Addr = whole;
                let [a, b, c, d, ..] = whole.segments();
                whole.to_ipv4_mapped().map_or(IpAddr::from([a, b, c, d, 0, 0, 0, 0]), IpAddr::V4)
            }
            v4 @ IpAddr::V4(_) => v4,
        };
        Attempt { address: address.map(network), text: Digest::of(text.as_bytes()) }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Failures {
    count: u32,
    last_micros: i64,
}

impl Failures {
    fn waits_until(self) -> i64 {
        let beyond = self.count.saturating_sub(FREE);
        let seconds = match beyond {
            0 => 0,
            _ => 1u32.checked_shl(beyond - 1).map_or(WAIT_SECONDS_MAX, |wait| wait.min(WAIT_SECONDS_MAX)),
        };
        self.last_micros.saturating_add(i64::from(seconds) * 1_000_000)
    }
}

#[derive(Debug, Default)]
struct State {
    addresses: HashMap<IpAddr, Failures>,
    texts: HashMap<Digest, Failures>,
    /// Who has opened from where, and when last.
    opened: HashMap<(IpAddr, Digest), i64>,
}

/// What is remembered of failures.
#[derive(Debug, Default)]
pub struct Backoff(Mutex<State>);

impl Backoff {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Seconds that this attempt has to wait; `None` when it may be made now.
    pub fn wait_s(&self, attempt: Attempt, now: Timestamp) -> Option<u32> {
        let state = self.state();
        let is_known = |address| state.opened.contains_key(&(address, attempt.text));
        if attempt.address.is_some_and(is_known) {
            return None;
        }
        let by_address = attempt.address.and_then(|address| state.addresses.get(&address));
        let by_text = state.texts.get(&attempt.text);
        let until = by_address.into_iter().chain(by_text).map(|failures| failures.waits_until()).max()?;
        let left = until - now.as_microsecond();
        let seconds = u32::try_from(left.div_euclid(1_000_000) + 1).unwrap_or(u32::MAX);
        // A clock that was set back must not lock anybody out: nobody waits longer than the longest wait.
        (left > 0 && seconds <= WAIT_SECONDS_MAX + 1).then_some(seconds.min(WAIT_SECONDS_MAX))
    }

    /// Remembers a failure.
    pub fn failed(&self, attempt: Attempt, now: Timestamp) {
        let mut state = self.state();
        let now = now.as_microsecond();
        if let Some(address) = attempt.address {
            count(&mut state.addresses, address, now);
            state.opened.remove(&(address, attempt.text));
        }
        count(&mut state.texts, attempt.text, now);
    }

    /// Remembers that a text opened from an address.
    pub fn opened(&self, attempt: Attempt, now: Timestamp) {
        let Some(address) = attempt.address else { return };
        let mut state = self.state();
        make_room(&mut state.opened, |at| *at);
        state.opened.insert((address, attempt.text), now.as_microsecond());
    }
}

fn count<K: Copy + Eq + Hash>(known: &mut HashMap<K, Failures>, key: K, now: i64) {
    if !known.contains_key(&key) {
        make_room(known, |failures| failures.last_micros);
    }
    let failures = known.entry(key).or_default();
    if now.saturating_sub(failures.last_micros) > FORGET_MICROS {
        failures.count = 0;
    }
    *failures = Failures { count: failures.count.saturating_add(1), last_micros: now };
}

/// Where there is no room, the older half goes.
fn make_room<K: Copy + Eq + Hash, V>(known: &mut HashMap<K, V>, at: impl Fn(&V) -> i64) {
    if known.len() < REMEMBERED_MAX {
        return;
    }
    let mut instants: Vec<i64> = known.values().map(&at).collect();
    let (_, middle, _) = instants.select_nth_unstable(REMEMBERED_MAX / 2);
    let middle = *middle;
    known.retain(|_, value| at(value) > middle);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + seconds).unwrap()
    }

    fn attempt(address: &str, text: &str) -> Attempt {
        Attempt::new(Some(address.parse().unwrap()), text)
    }

    #[test]
    fn waits_double_up_to_a_bound_and_are_forgotten() {
        let backoff = Backoff::default();
        let mut now = 0;
        for index in 0..20 {
            assert_eq!(backoff.wait_s(attempt("10.0.0.1", "guess"), at(now)), None, "{index}");
            backoff.failed(attempt("10.0.0.1", &format!("guess {index}")), at(now));
        }
        assert_eq!(backoff.wait_s(attempt("10.0.0.1", "guess"), at(now)), None, "the last free one");
        for wanted in [1, 2, 4, 8, 16, 30, 30] {
            backoff.failed(attempt("10.0.0.1", "guess"), at(now));
            let wait = backoff.wait_s(attempt("10.0.0.1", "another"), at(now)).unwrap();
            assert!((wanted..=wanted + 1).contains(&i64::from(wait)), "{wanted}: {wait}");
            assert_eq!(backoff.wait_s(attempt("10.0.0.2", "another"), at(now)), None, "not elsewhere");
            now += wanted;
            assert_eq!(backoff.wait_s(attempt("10.0.0.1", "another"), at(now)), None, "{wanted}");
        }
        backoff.failed(attempt("10.0.0.1", "guess"), at(now + 1_000));
        assert_eq!(backoff.wait_s(attempt("10.0.0.1", "another"), at(now + 1_000)), None, "forgotten");
        assert_eq!(backoff.wait_s(attempt("10.0.0.1", "another"), at(-10_000)), None, "the clock went back");
    }

    #[test]
    fn one_text_from_everywhere_waits_and_one_network_is_one_address() {
        let backoff = Backoff::default();
        for index in 0..30 {
            backoff.failed(attempt(&format!("10.0.1.{index}"), "leaked"), at(0));
            backoff.failed(attempt(&format!("2001:db8::{index:x}"), &format!("guess {index}")), at(0));
        }
        assert!(backoff.wait_s(attempt("10.9.9.9", "leaked"), at(0)).is_some());
        assert_eq!(backoff.wait_s(attempt("10.9.9.9", "mine"), at(0)), None);
        assert!(backoff.wait_s(attempt("2001:db8::ffff", "mine"), at(0)).is_some());
        assert_eq!(backoff.wait_s(attempt("2001:db8:0:1::1", "mine"), at(0)), None);
    }

    #[test]
    fn who_opened_before_goes_on_and_memory_is_bounded() {
        let backoff = Backoff::default();
        backoff.opened(attempt("10.0.0.1", "chosen"), at(0));
        for index in 0..20_000 {
            backoff.failed(attempt("10.0.0.1", &format!("guess {index}")), at(1));
            backoff.failed(attempt(&format!("10.1.{}.{}", index / 250, index % 250), "x"), at(1 + index));
        }
        assert_eq!(backoff.wait_s(attempt("10.0.0.1", "chosen"), at(1)), None);
        assert!(backoff.wait_s(attempt("10.0.0.1", "other"), at(1)).is_some());
        let state = backoff.state();
        assert!(state.addresses.len() <= REMEMBERED_MAX && state.texts.len() <= REMEMBERED_MAX);
    }
}
