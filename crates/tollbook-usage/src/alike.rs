//! Events of one stream begin alike: ids, model and time stand in front of the little that is new.
//! What is known to say nothing is compared at once, and only the rest is searched.
//!
//! It must never let an event pass that the gate would have read: what it skips is, byte for byte,
//! what the gate searched in an earlier event without finding a name of interest.

use crate::gate::Gate;

/// Bytes of a beginning that are kept.
const HEAD_BYTES_MAX: usize = 384;

/// A beginning shorter than this saves less than it costs. What events of a messages stream share is 75 bytes.
const HEAD_BYTES_MIN: usize = 64;

/// Events in a row that began otherwise, after which nothing more is learnt.
const MISSES_MAX: u8 = 16;

/// How the events of a stream begin.
#[derive(Debug, Default)]
pub(crate) struct Alike {
    /// What stands before the event itself, and then how it begins.
    head: Vec<u8>,
    misses: u8,
}

impl Alike {
    /// Whether nothing is known, so that a look at what comes is worth nothing.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.head.is_empty()
    }

    /// How much of these bytes is known to say nothing; 0 when they begin otherwise.
    #[inline]
    pub fn known(&self, bytes: &[u8]) -> usize {
        // Nothing is compared with nothing: where no memory is, that costs some processors more than all else.
        if !self.is_empty() && bytes.starts_with(&self.head) { self.head.len() } else { 0 }
    }

    /// The last bytes began as expected.
    #[inline]
    pub fn met(&mut self) {
        self.misses = 0;
    }

    /// Learns from an event that the gate stopped; `lead` stands before it on its line.
    #[inline]
    pub fn learn(&mut self, lead: &[u8], event: &[u8]) {
        if self.misses < MISSES_MAX {
            self.misses += 1;
            self.replace(lead, &event[..Gate::silent(event).min(HEAD_BYTES_MAX)]);
        }
    }

    fn replace(&mut self, lead: &[u8], event: &[u8]) {
        let known = self.head.get(lead.len()..).unwrap_or_default();
        let same = known.iter().zip(event).take_while(|(known, new)| known == new).count();
        if same >= HEAD_BYTES_MIN {
            return self.head.truncate(lead.len() + same);
        }
        self.head.clear();
        if event.len() >= HEAD_BYTES_MIN {
            self.head.extend_from_slice(lead);
            self.head.extend_from_slice(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, text: &str) -> Vec<u8> {
        let ids = "x".repeat(HEAD_BYTES_MIN);
        format!("{{\"{name}\":\"{ids}\",\"content\":\"{text}, and a good deal more of it\",\"usage\":null}}")
            .into_bytes()
    }

    fn line(event: &[u8]) -> Vec<u8> {
        [b"data: ", event].concat()
    }

    #[test]
    fn what_events_share_is_learnt() {
        let mut alike = Alike::default();
        assert_eq!(alike.known(b"data: {"), 0);
        for text in ["one", "two", "three"] {
            alike.learn(b"data: ", &event("id", text));
        }
        let shared = "data: {\"id\":\"\",\"content\":\"".len() + HEAD_BYTES_MIN;
        assert_eq!(alike.known(&line(&event("id", "four"))), shared);
        assert_eq!(alike.known(&event("id", "four")), 0);
        assert_eq!(alike.known(b"data: {\"id\":\"xxx\"}"), 0);
    }

    #[test]
    fn a_name_of_interest_is_never_known() {
        let mut alike = Alike::default();
        for _ in 0..2 {
            alike.learn(b"", &event("id", "the same"));
        }
        let event = event("id", "the same");
        let named = event.len() - "usage\":null}".len();
        assert!((HEAD_BYTES_MIN..named).contains(&alike.known(&event)));
    }

    #[test]
    fn another_beginning_replaces_the_first_and_none_is_given_up() {
        let mut alike = Alike::default();
        alike.learn(b"", &event("id", "one"));
        alike.learn(b"", &event("ID", "two"));
        assert_eq!(alike.known(&event("id", "one")), 0);
        assert!(alike.known(&event("ID", "two")) > HEAD_BYTES_MIN);
        for _ in 0..MISSES_MAX {
            alike.learn(b"", b"{}");
        }
        alike.learn(b"", &event("id", "one"));
        assert_eq!(alike.known(&event("id", "one")), 0);
    }
}
