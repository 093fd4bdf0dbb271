//! Sessions: who signed in, and for how long. A session is a document, so that it outlives a
//! restart; of its text only the digest is kept.
//!
//! Everybody has a few places for sessions. A new one takes a free place or that of the one unused for
//! longest, so that neither memory nor documents grow with the number of times that people sign in.

use crate::error::LedgerError;
use crate::keys::new_text;
use crate::ledger::Ledger;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tollbook_store::Store;
use tollbook_types::{Digest, Key, Timestamp};

/// Where the documents are.
const DOCUMENTS: &str = "session/";
/// Sessions of one member or key.
const PLACES: usize = 8;
/// A session that is not used for so long ends.
const IDLE_MICROS: i64 = 12 * 3_600 * 1_000_000;
/// However much it is used, a session ends after this.
pub const SESSION_SECONDS: u64 = 7 * 86_400;
/// How often it is written down that a session is in use: a restart takes at most this off its idle time.
const NOTE_MICROS: i64 = 3_600 * 1_000_000;

/// Whose a session is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Holder {
    /// A member.
    Member(String),
    /// Whoever has the text with this digest: a key that is revoked or gets another text ends it.
    Key(Digest),
}

/// A session as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Session {
    hash: Digest,
    holder: Holder,
    seen_at: Timestamp,
    expires_at: Timestamp,
}

#[derive(Debug)]
struct Live {
    document: String,
    session: Session,
    seen_micros: AtomicI64,
    noted_micros: AtomicI64,
}

/// The sessions that there are, by the digests of their texts.
#[derive(Debug, Default)]
pub(crate) struct Sessions(RwLock<HashMap<Digest, Arc<Live>>>);

/// A good session.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// What it acts as.
    pub key: Arc<Key>,
    /// Whether it is a member's.
    pub is_member: bool,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// It should be written down that it is in use.
    pub is_due: bool,
}

impl Sessions {
    pub fn load(store: &dyn Store) -> Result<Sessions, LedgerError> {
        let sessions = Sessions::default();
        for control in store.controls(DOCUMENTS)? {
            // One that cannot be read opens nothing.
            if let Some(session) = control.body.and_then(|body| serde_json::from_str(&body).ok()) {
                sessions.put(control.key, session);
            }
        }
        Ok(sessions)
    }

    fn put(&self, document: String, session: Session) {
        let seen = session.seen_at.as_microsecond();
        let hash = session.hash;
        let live =
            Live { document, session, seen_micros: AtomicI64::new(seen), noted_micros: AtomicI64::new(seen) };
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, other| other.document != live.document);
        all.insert(hash, Arc::new(live));
    }

    fn get(&self, hash: Digest) -> Option<Arc<Live>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&hash).cloned()
    }

    /// The place for a new session of this member or key.
    fn place(&self, id: &str) -> String {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let used = |name: &String| {
            let live = all.values().find(|live| live.document == *name);
            live.map_or(i64::MIN, |live| live.seen_micros.load(Ordering::Relaxed))
        };
        document_names(id).min_by_key(used).unwrap_or_default()
    }

    /// Ends the sessions of a member or key in this process.
    pub fn forget(&self, id: &str) {
        let start = format!("{DOCUMENTS}{id}/");
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, live| !live.document.starts_with(&start));
    }
}

/// The documents of the sessions of a member or key.
pub(crate) fn document_names(id: &str) -> impl Iterator<Item = String> {
    (0..PLACES).map(move |place| format!("{DOCUMENTS}{id}/{place}"))
}

impl Ledger {
    /// The session with this text, if it is good: it was used lately, has not reached its end, and its
    /// member or key is good still. It counts as used now.
    ///
    /// It is looked up by the digest of its text, as keys are.
    pub fn session(&self, text: &str) -> Option<SignedIn> {
        let now = self.shared().clock.now();
        let live = self.people().sessions.get(Digest::of(text.as_bytes()))?;
        let now_micros = now.as_microsecond();
        let seen = live.seen_micros.load(Ordering::Relaxed);
        if now >= live.session.expires_at || now_micros - seen >= IDLE_MICROS {
            return None;
        }
        let (key, is_member) = match &live.session.holder {
            Holder::Member(id) => (Arc::new(self.people().get(id)?.as_key()), true),
            Holder::Key(hash) => (self.keys().find_hash(*hash, now)?, false),
        };
        live.seen_micros.fetch_max(now_micros, Ordering::Relaxed);
        let noted = live.noted_micros.load(Ordering::Relaxed);
        // Of many requests at once, one has it written down.
        let is_due = now_micros - noted >= NOTE_MICROS
            && live
                .noted_micros
                .compare_exchange(noted, now_micros, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        Some(SignedIn { key, is_member, expires_at: live.session.expires_at, is_due })
    }

    /// Begins a session for whoever has this key. Returns its text, this once.
    pub fn begin_session(&self, key: &Key) -> Result<String, LedgerError> {
        let _changing = self.people().change();
        self.begin_session_locked(key, false, self.shared().clock.now())
    }

    pub(crate) fn begin_session_locked(
        &self,
        key: &Key,
        is_member: bool,
        now: Timestamp,
    ) -> Result<String, LedgerError> {
        let text = new_text()?;
        let session = Session {
            hash: Digest::of(text.as_bytes()),
            holder: if is_member { Holder::Member(key.id.clone()) } else { Holder::Key(key.hash) },
            seen_at: now,
            expires_at: now + Duration::from_secs(SESSION_SECONDS),
        };
        let document = self.people().sessions.place(&key.id);
        self.write_session(&document, Some(&session))?;
        self.people().sessions.put(document, session);
        Ok(text)
    }

    /// Writes down that a session is in use.
    pub fn note_session(&self, text: &str) -> Result<(), LedgerError> {
        let _changing = self.people().change();
        let Some(live) = self.people().sessions.get(Digest::of(text.as_bytes())) else { return Ok(()) };
        let session = Session { seen_at: self.shared().clock.now(), ..live.session.clone() };
        self.write_session(&live.document, Some(&session))
    }

    /// Ends a session: on return its text opens nothing.
    pub fn end_session(&self, text: &str) -> Result<(), LedgerError> {
        let hash = Digest::of(text.as_bytes());
        let _changing = self.people().change();
        let Some(live) = self.people().sessions.get(hash) else { return Ok(()) };
        self.write_session(&live.document, None)?;
        self.people().sessions.0.write().unwrap_or_else(PoisonError::into_inner).remove(&hash);
        Ok(())
    }

    fn write_session(&self, document: &str, session: Option<&Session>) -> Result<(), LedgerError> {
        let body = session.map(serde_json::to_string).transpose();
        let body = body.map_err(|error| LedgerError::Invalid(error.to_string()))?;
        self.control(document, body).map(drop)
    }
}
