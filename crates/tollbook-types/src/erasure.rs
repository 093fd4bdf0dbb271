//! Erasures: what is taken out of the records of a person's calls, so that the sums stay and the
//! person goes.
//!
//! An erasure never holds the person's name, only a digest of it, since it is kept for ever: it has
//! to find the same calls again in an older backup. Whoever holds the data and guesses the name can
//! confirm the guess; nobody can read it. What is done to a record depends on that record and the
//! erasure alone, so it comes out the same however often and whenever it is done.

use crate::attribution::Attribution;
use crate::digest::Digest;
use crate::entry::{Adjustment, Entry, OpenCall};
use crate::event::{Event, Identity};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// What every text begins with that stands in the place of an erased one.
const MARK: &str = "erased:";
/// A shorter name is only taken out where it is the whole text: it stands by chance in too many.
const MENTION_CHARS_MIN: usize = 3;

/// The erasure of a person, told by the user of their calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    /// `erasure_` and a time-ordered unique number.
    pub id: String,
    /// Who: [`Erasure::subject`] of the user's name.
    pub subject: Digest,
    /// Only in this project, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// What the calls' user is from now on: `erased:` and a random text.
    pub pseudonym: String,
    /// It is of what occurred before this; what occurs later counts as somebody new's.
    pub before: Timestamp,
    /// When it was ordered.
    pub at: Timestamp,
    /// Why, for people.
    pub reason: String,
}

impl Erasure {
    /// The pseudonym that a random text makes.
    pub fn pseudonym(random: &str) -> String {
        format!("{MARK}{random}")
    }

    /// Whether a user's name is a pseudonym.
    pub fn is_pseudonym(user: &str) -> bool {
        user.starts_with(MARK)
    }

    /// The digest that stands for a user. It differs between ledgers.
    pub fn subject(ledger: &str, user: &str) -> Digest {
        keyed(ledger, user)
    }

    /// Whether it is of a call on this account, whose user's subject is `subject`.
    fn is_of(&self, subject: Digest, attribution: &Attribution, occurred_at: Timestamp) -> bool {
        self.subject == subject
            && occurred_at < self.before
            && (self.project.is_none() || self.project == attribution.project)
    }

    /// Whether it is of a call on this account.
    pub fn covers(&self, ledger: &str, attribution: &Attribution, occurred_at: Timestamp) -> bool {
        let Some(user) = attribution.user.as_deref() else { return false };
        occurred_at < self.before && self.is_of(Erasure::subject(ledger, user), attribution, occurred_at)
    }
}

/// The first 16 bytes of a SHA-256 over a key, its length and a text.
fn keyed(key: &str, text: &str) -> Digest {
    let mut bytes = Vec::with_capacity(8 + key.len() + text.len());
    bytes.extend_from_slice(&(key.len() as u64).to_be_bytes());
    bytes.extend_from_slice(key.as_bytes());
    bytes.extend_from_slice(text.as_bytes());
    Digest::of(&bytes)
}

/// All erasures of a ledger.
#[derive(Clone, Debug, Default)]
pub struct Erasures {
    ledger: String,
    /// By subject; the earlier ones first.
    by_subject: HashMap<Digest, Vec<Arc<Erasure>>>,
    ids: HashMap<String, Arc<Erasure>>,
    /// No erasure is of anything that occurred at or after this.
    before: Option<Timestamp>,
}

impl Erasures {
    /// None yet, of this ledger.
    pub fn new(ledger: impl Into<String>) -> Erasures {
        Erasures { ledger: ledger.into(), ..Erasures::default() }
    }

    /// Adds one, unless it is there.
    pub fn add(&mut self, erasure: Arc<Erasure>) {
        if self.ids.insert(erasure.id.clone(), erasure.clone()).is_some() {
            return;
        }
        self.before = self.before.max(Some(erasure.before));
        let same = self.by_subject.entry(erasure.subject).or_default();
        same.push(erasure);
        same.sort_by(|a, b| (a.before, &a.id).cmp(&(b.before, &b.id)));
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Whether there is one with this id.
    pub fn has(&self, id: &str) -> bool {
        self.ids.contains_key(id)
    }

    /// All of them, oldest first.
    pub fn list(&self) -> Vec<Arc<Erasure>> {
        let mut all: Vec<Arc<Erasure>> = self.ids.values().cloned().collect();
        all.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
        all
    }

    /// Those of a user, whatever the project, the earlier ones first.
    pub fn of_user(&self, user: &str) -> &[Arc<Erasure>] {
        self.by_subject.get(&Erasure::subject(&self.ledger, user)).map_or(&[], Vec::as_slice)
    }

    /// The erasure that is of a call on this account, if there is one.
    pub fn of(&self, attribution: &Attribution, occurred_at: Timestamp) -> Option<&Arc<Erasure>> {
        // Nearly every call occurred after all of them.
        if self.before.is_none_or(|before| occurred_at >= before) {
            return None;
        }
        let user = attribution.user.as_deref().filter(|user| !user.starts_with(MARK))?;
        let subject = Erasure::subject(&self.ledger, user);
        let known = self.by_subject.get(&subject)?;
        known.iter().find(|erasure| erasure.is_of(subject, attribution, occurred_at))
    }
}

/// Whether a text is or holds a name, in large or small letters.
fn mentions(name: &str, text: &str) -> bool {
    let (text, name) = (text.to_lowercase(), name.to_lowercase());
    if name.chars().count() < MENTION_CHARS_MIN { text == name } else { text.contains(&name) }
}

/// Whether a text in some JSON is or holds a name, in large or small letters; a name of one or two
/// letters only where it is the whole text. What is no JSON is one text.
pub fn json_mentions(name: &str, json: &str) -> bool {
    fn any(name: &str, value: &Value) -> bool {
        match value {
            Value::String(text) => mentions(name, text),
            Value::Array(items) => items.iter().any(|item| any(name, item)),
            Value::Object(members) => {
                members.iter().any(|(member, value)| mentions(name, member) || any(name, value))
            }
            _ => false,
        }
    }
    serde_json::from_str(json).map_or_else(|_| mentions(name, json), |value| any(name, &value))
}

/// Takes a person out of the records of one call. The name is that of the call's user.
#[derive(Clone, Copy, Debug)]
pub struct Eraser<'a> {
    erasure: &'a Erasure,
    name: &'a str,
}

impl<'a> Eraser<'a> {
    /// For the records of a user whom the erasure is of.
    pub fn new(erasure: &'a Erasure, name: &'a str) -> Eraser<'a> {
        Eraser { erasure, name }
    }

    fn mentions(&self, text: &str) -> bool {
        mentions(self.name, text)
    }

    /// A text that differs wherever `text` does, and says nothing of it.
    fn hidden(&self, text: &str) -> String {
        if text.starts_with(MARK) {
            return text.to_owned();
        }
        let hidden = keyed(&self.erasure.id, text).to_string();
        Erasure::pseudonym(&hidden[..16])
    }

    /// A free text without the name.
    pub fn text(&self, text: &str) -> String {
        if self.mentions(text) { self.erasure.pseudonym.clone() } else { text.to_owned() }
    }

    /// Takes the person out of an account. What sums are made by is only changed where the account
    /// names the user itself.
    pub fn attribution(&self, who: &mut Attribution) {
        if self.is_own(who) {
            who.user = Some(self.erasure.pseudonym.clone());
            let members = [&mut who.customer, &mut who.agent, &mut who.agent_name, &mut who.operation];
            for text in members.into_iter().flatten() {
                *text = self.text(text);
            }
        }
        for text in [&mut who.session, &mut who.operation_id].into_iter().flatten() {
            *text = self.hidden(text);
        }
        who.tags.retain(|tag, _| !self.mentions(tag));
        for value in who.tags.values_mut() {
            *value = self.text(value);
        }
        who.metadata = None;
    }

    /// Whether an account names the user.
    fn is_own(&self, who: &Attribution) -> bool {
        who.user.as_deref().is_some_and(|user| user == self.name || user == self.erasure.pseudonym)
    }

    /// Takes the person out of an event. Its id stays where it does not name them; so do the
    /// provider's response id, by which other sources' reports find it, and all figures.
    pub fn event(&self, event: &mut Event) {
        if self.is_own(&event.attribution) && self.mentions(&event.id) {
            event.id = self.hidden(&event.id);
        }
        self.attribution(&mut event.attribution);
        event.error = None;
        self.observations(&mut event.flags, &mut event.raw_usage);
        if let Some(hold) = &mut event.hold_id {
            *hold = self.text(hold);
        }
    }

    /// Takes the person out of an adjustment.
    pub fn adjustment(&self, adjustment: &mut Adjustment) {
        self.attribution(&mut adjustment.attribution);
        self.observations(&mut adjustment.flags, &mut adjustment.raw_usage);
        adjustment.reason = self.text(&adjustment.reason);
    }

    fn observations(&self, flags: &mut Vec<String>, raw_usage: &mut Option<String>) {
        flags.retain(|flag| !self.mentions(flag));
        if raw_usage.as_deref().is_some_and(|raw| json_mentions(self.name, raw)) {
            *raw_usage = None;
        }
    }

    /// Takes the person out of an open call.
    pub fn open_call(&self, call: &mut OpenCall) {
        if self.is_own(&call.attribution) && self.mentions(&call.id) {
            call.id = self.hidden(&call.id);
        }
        self.attribution(&mut call.attribution);
    }

    /// Takes the person out of a further identity of a call.
    pub fn identity(&self, identity: &mut Identity) {
        if self.mentions(&identity.id) {
            identity.id = self.hidden(&identity.id);
        }
    }
}

impl Entry {
    /// The entry without anything that an erasure may change or a retention drop: two forms of one
    /// record agree in this.
    #[must_use]
    pub fn figures(&self) -> Entry {
        let mut bare = self.clone();
        let event = &mut bare.event;
        let who = &event.attribution;
        event.attribution =
            Attribution { project: who.project.clone(), key: who.key.clone(), ..Attribution::default() };
        event.id.clear();
        (event.error, event.raw_usage, event.hold_id) = (None, None, None);
        event.flags.clear();
        bare
    }

    /// Whether the account stands under a pseudonym.
    pub fn is_erased(&self) -> bool {
        self.event.attribution.user.as_deref().is_some_and(|user| user.starts_with(MARK))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn erasure(id: &str, user: &str, project: Option<&str>, before: i64) -> Arc<Erasure> {
        Arc::new(Erasure {
            id: id.into(),
            subject: Erasure::subject("ledger", user),
            project: project.map(str::to_owned),
            pseudonym: Erasure::pseudonym(id),
            before: at(before),
            at: at(before),
            reason: "asked".into(),
        })
    }

    fn of(user: Option<&str>, project: Option<&str>) -> Attribution {
        Attribution {
            user: user.map(str::to_owned),
            project: project.map(str::to_owned),
            ..Attribution::default()
        }
    }

    #[test]
    fn the_first_erasure_that_covers_a_call_is_the_one() {
        let mut all = Erasures::new("ledger");
        assert!(all.of(&of(Some("alice"), None), at(0)).is_none());
        for one in [
            erasure("c", "alice", None, 300),
            erasure("a", "alice", Some("web"), 100),
            erasure("b", "alice", None, 200),
        ] {
            all.add(one.clone());
            all.add(one);
        }
        let cases = [
            (Some("alice"), Some("web"), 99, Some("a")),
            (Some("alice"), Some("web"), 100, Some("b")),
            (Some("alice"), None, 99, Some("b")),
            (Some("alice"), None, 200, Some("c")),
            (Some("alice"), None, 300, None),
            (Some("Alice"), None, 99, None),
            (Some("erased:b"), None, 99, None),
            (None, None, 99, None),
        ];
        for (user, project, second, expected) in cases {
            let found = all.of(&of(user, project), at(second));
            assert_eq!(found.map(|found| found.id.as_str()), expected, "{user:?} {project:?} {second}");
        }
        assert_eq!(all.of_user("alice").len(), 3);
        assert_eq!(all.list().iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    }

    #[test]
    fn what_names_the_person_goes_and_it_comes_out_the_same_again() {
        let erasure = erasure("x", "Ann", None, 100);
        let eraser = Eraser::new(&erasure, "Ann");
        let mut who: Attribution = serde_json::from_value(json!({
            "project": "ann", "customer": "ANN", "user": "Ann", "agent": "bot", "agent_name": "ann's bot",
            "operation": "chat", "operation_id": "op1", "session": "s1", "key": "key_1",
            "tags": {"team": "ops", "for": "joanna", "ann": "1"}, "metadata": {"n": 1},
        }))
        .unwrap();
        eraser.attribution(&mut who);
        let session = who.session.clone().unwrap();
        let expected = json!({
            "project": "ann", "customer": "erased:x", "user": "erased:x", "agent": "bot",
            "agent_name": "erased:x", "operation": "chat", "operation_id": who.operation_id, "session": session,
            "key": "key_1", "tags": {"team": "ops", "for": "erased:x"},
        });
        assert_eq!(serde_json::to_value(&who).unwrap(), expected);
        assert!(session.starts_with("erased:") && session.len() == 23 && who.operation_id != who.session);
        let once = who.clone();
        eraser.attribution(&mut who);
        assert_eq!(who, once);
        let mut other = of(Some("bob"), None);
        (other.session, other.customer) = (Some("s1".into()), Some("ann".into()));
        eraser.attribution(&mut other);
        assert_eq!((other.user.as_deref(), other.customer.as_deref()), (Some("bob"), Some("ann")));
        assert_eq!(other.session, Some(session), "a conversation stays one");
    }

    #[test]
    fn short_names_are_only_found_whole() {
        let cases = [
            ("42", r#"{"user":"42"}"#, true),
            ("42", r#"{"user":"1425","tokens":42}"#, false),
            ("42", "42", false),
            ("42", "no JSON: 42", false),
            ("Zoë Ö", r#"{"a":["x-ZO\u00cb \u00d6-1"]}"#, true),
            ("zoë", r#"{"to Zoë":1}"#, true),
            ("zoë", "no JSON: Zoë", true),
            ("zoë", r#"{"a":"Zoe"}"#, false),
        ];
        for (name, json, expected) in cases {
            assert_eq!(json_mentions(name, json), expected, "{name} in {json}");
        }
    }
}
