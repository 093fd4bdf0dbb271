//! Keys: made, revoked and looked up. A key is a document like any other; its text is shown once
//! and kept nowhere, only the text's digest is.
//!
//! A presented text is looked up by its digest in a hash map. That needs no comparison in constant
//! time: what is compared depends on the text only through SHA-256, so its timing tells nothing that
//! brings a guess nearer to one of 2²⁵⁶ texts.

use crate::audit::{Act, By};
use crate::error::LedgerError;
use crate::ledger::Ledger;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use tollbook_store::{Control, ControlStore};
use tollbook_types::{Attribution, Digest, Eraser, Erasures, KEY_START, Key, Role, Timestamp, limits};

/// Where the documents are.
const DOCUMENTS: &str = "key/";
/// Random bytes in a text.
const SECRET_BYTES: usize = 32;
/// Characters of the random part that are kept, to recognise a key by.
const PREFIX_CHARS: usize = 8;
/// A longer text is no key, whatever it is.
pub const TEXT_BYTES_MAX: usize = 512;
/// A text chosen by people must have so many bytes to be taken for a key.
const LOCAL_BYTES_MIN: usize = 16;

/// A key that is to be made.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// For people.
    pub name: String,
    /// What it may do; at least one.
    pub roles: Vec<Role>,
    /// Attribution that it always has. A member's key must name the user.
    pub binding: Attribution,
    /// The first instant at which it is of no use any more.
    pub expires_at: Option<Timestamp>,
}

/// Every key at one moment. Later changes make a new ring.
#[derive(Debug, Default)]
pub struct KeyRing {
    recorded: Vec<Arc<Key>>,
    /// Keys of this process only: never recorded, never listed.
    local: Vec<Arc<Key>>,
    by_hash: HashMap<Digest, Arc<Key>>,
}

impl KeyRing {
    /// The key with this text, if there is one and it is neither revoked nor expired.
    pub fn find(&self, presented: &str, now: Timestamp) -> Option<Arc<Key>> {
        if presented.len() > TEXT_BYTES_MAX {
            return None;
        }
        self.find_hash(Digest::of(presented.as_bytes()), now)
    }

    /// The key whose text has this digest, if it is good.
    pub fn find_hash(&self, hash: Digest, now: Timestamp) -> Option<Arc<Key>> {
        self.by_hash.get(&hash).filter(|key| key.is_good(now)).cloned()
    }

    /// Whether a key that was found before still is one: neither revoked nor expired, its text the same.
    pub fn is_good(&self, key: &Key, now: Timestamp) -> bool {
        self.by_hash.get(&key.hash).is_some_and(|known| known.id == key.id && known.is_good(now))
    }

    /// Whether a text is that of a key of this process only, which may look like any text.
    pub fn is_local(&self, presented: &str) -> bool {
        !self.local.is_empty() && presented.len() <= TEXT_BYTES_MAX && {
            let hash = Digest::of(presented.as_bytes());
            self.local.iter().any(|key| key.hash == hash)
        }
    }

    /// Every recorded key, also those that are of no use any more, oldest first.
    pub fn list(&self) -> impl Iterator<Item = &Arc<Key>> {
        self.recorded.iter()
    }

    /// The recorded key with this id.
    pub fn get(&self, id: &str) -> Option<&Arc<Key>> {
        self.recorded.iter().find(|key| key.id == id)
    }

    fn new(mut recorded: Vec<Arc<Key>>, local: Vec<Arc<Key>>) -> KeyRing {
        recorded.sort_by(|left, right| (left.created_at, &left.id).cmp(&(right.created_at, &right.id)));
        let by_hash = recorded.iter().chain(&local).map(|key| (key.hash, key.clone())).collect();
        KeyRing { recorded, local, by_hash }
    }
}

/// The ring in force, and who may change it.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    ring: RwLock<Arc<KeyRing>>,
    /// Held from reading a key to writing its next version, so that no change undoes another.
    changing: Mutex<()>,
}

impl Keys {
    /// The ring of what the store has.
    pub fn load(store: &(impl ControlStore + ?Sized)) -> Result<Keys, LedgerError> {
        let ring = KeyRing::new(recorded(store)?, Vec::new());
        Ok(Keys { ring: RwLock::new(Arc::new(ring)), changing: Mutex::default() })
    }

    fn ring(&self) -> Arc<KeyRing> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, ring: KeyRing) {
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ring);
    }

    fn change(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger {
    /// The keys at this moment.
    pub fn keys(&self) -> Arc<KeyRing> {
        self.key_state().ring()
    }

    /// Makes and records a key. Its text is returned this once and can never be had again.
    pub fn create_key(&self, by: &By, new: NewKey) -> Result<(Key, String), LedgerError> {
        check(&new)?;
        let now = self.shared().clock.now();
        let text = new_text()?;
        let key = Key {
            id: new_id("key_", now)?,
            name: new.name,
            roles: new.roles,
            prefix: prefix(&text),
            hash: Digest::of(text.as_bytes()),
            binding: new.binding,
            created_at: now,
            expires_at: new.expires_at,
            revoked_at: None,
        };
        let _changing = self.key_state().change();
        let roles: Vec<&str> = key.roles.iter().map(|role| role.name()).collect();
        let act = Act::new("key.create").told("role", roles.join("+"));
        self.write_key(by, act, &key)?;
        Ok((key, text))
    }

    /// Ends a key for good; on return it opens nothing any more. `None` when there is none with this
    /// id. A key that has ended already keeps its instant.
    pub fn revoke_key(&self, by: &By, id: &str) -> Result<Option<Key>, LedgerError> {
        let _changing = self.key_state().change();
        let ring = self.keys();
        let Some(known) = ring.get(id) else { return Ok(None) };
        if known.revoked_at.is_some() {
            return Ok(Some((**known).clone()));
        }
        let revoked = Key { revoked_at: Some(self.shared().clock.now()), ..(**known).clone() };
        self.write_key(by, Act::new("key.revoke"), &revoked)?;
        Ok(Some(revoked))
    }

    /// Gives a key another text, which is returned this once; the old text is of no use from then
    /// on. `None` when there is no key with this id, or it has been revoked.
    pub fn rotate_key(&self, by: &By, id: &str) -> Result<Option<(Key, String)>, LedgerError> {
        let _changing = self.key_state().change();
        let ring = self.keys();
        let Some(known) = ring.get(id).filter(|key| key.revoked_at.is_none()) else { return Ok(None) };
        let text = new_text()?;
        let hash = Digest::of(text.as_bytes());
        let key = Key { prefix: prefix(&text), hash, ..(**known).clone() };
        self.write_key(by, Act::new("key.rotate"), &key)?;
        Ok(Some((key, text)))
    }

    /// Revokes the keys that are bound to somebody who was erased, and takes the person out of them.
    /// Returns how many.
    pub(crate) fn erase_keys(&self, erasures: &Erasures) -> Result<u64, LedgerError> {
        let _changing = self.key_state().change();
        let now = self.shared().clock.now();
        let mut count = 0;
        for known in self.keys().list() {
            let Some(erasure) = erasures.of(&known.binding, known.created_at) else { continue };
            let mut key = (**known).clone();
            let name = known.binding.user.clone().unwrap_or_default();
            Eraser::new(erasure, &name).attribution(&mut key.binding);
            key.name.clone_from(&erasure.pseudonym);
            key.revoked_at = key.revoked_at.or(Some(now));
            self.write_key(&By::server(), Act::new("key.erase"), &key)?;
            count += 1;
        }
        Ok(count)
    }

    /// Takes a text for an admin's key as long as this process runs. It is never recorded.
    pub fn trust_local(&self, name: &str, text: &str) -> Result<(), LedgerError> {
        if !(LOCAL_BYTES_MIN..=TEXT_BYTES_MAX).contains(&text.len()) {
            return Err(LedgerError::Invalid(format!(
                "the {name} key must have {LOCAL_BYTES_MIN} to {TEXT_BYTES_MAX} characters"
            )));
        }
        let _changing = self.key_state().change();
        let ring = self.keys();
        let key = Key {
            id: format!("key_{name}"),
            name: name.to_owned(),
            roles: vec![Role::Admin],
            prefix: String::new(),
            hash: Digest::of(text.as_bytes()),
            binding: Attribution::default(),
            created_at: self.shared().clock.now(),
            expires_at: None,
            revoked_at: None,
        };
        let local = ring.local.iter().cloned().chain([Arc::new(key)]).collect();
        self.key_state().set(KeyRing::new(ring.recorded.clone(), local));
        Ok(())
    }

    /// Records a key's next version, and puts what is recorded then in force.
    fn write_key(&self, by: &By, act: Act, key: &Key) -> Result<(), LedgerError> {
        let body = serde_json::to_string(key).map_err(|error| LedgerError::Invalid(error.to_string()))?;
        let name = format!("{DOCUMENTS}{}", key.id);
        self.write_documents(by, act.on("key", key.id.as_str()), vec![(name, Some(body))])?;
        let local = self.keys().local.clone();
        self.key_state().set(KeyRing::new(recorded(self.store().as_ref())?, local));
        Ok(())
    }
}

/// Whether a text looks like one that [`new_text`] made: nobody guesses a good one.
pub fn is_made(text: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_lowercase() || (b'2'..=b'7').contains(&byte);
    // 32 bytes in Base32.
    text.strip_prefix(KEY_START).is_some_and(|rest| rest.len() == 52 && rest.bytes().all(is_digit))
}

/// A new text for a key that this process makes up itself, such as a token for its own machine.
pub fn new_text() -> Result<String, LedgerError> {
    let mut secret = [0; SECRET_BYTES];
    random(&mut secret)?;
    Ok(format!("{KEY_START}{}", data_encoding::BASE32_NOPAD.encode(&secret).to_ascii_lowercase()))
}

/// A new id: a word and a time-ordered unique number.
pub(crate) fn new_id(start: &str, now: Timestamp) -> Result<String, LedgerError> {
    let mut bytes = [0; 10];
    random(&mut bytes)?;
    let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
    let id = uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid();
    Ok(format!("{start}{}", id.simple()))
}

/// A short random word.
pub(crate) fn random_word() -> Result<String, LedgerError> {
    let mut bytes = [0; 10];
    random(&mut bytes)?;
    Ok(data_encoding::BASE32_NOPAD.encode(&bytes).to_ascii_lowercase())
}

fn random(bytes: &mut [u8]) -> Result<(), LedgerError> {
    getrandom::fill(bytes)
        .map_err(|error| LedgerError::Invalid(format!("the system gives no random bytes: {error}")))
}

fn prefix(text: &str) -> String {
    text.chars().take(KEY_START.len() + PREFIX_CHARS).collect()
}

fn recorded(store: &(impl ControlStore + ?Sized)) -> Result<Vec<Arc<Key>>, LedgerError> {
    let read = |control: Control| -> Result<Option<Arc<Key>>, LedgerError> {
        let Some(body) = control.body else { return Ok(None) };
        let key = serde_json::from_str(&body).map_err(|error| {
            // A key that is left out would be one that cannot be revoked either.
            LedgerError::Invalid(format!("the document {} cannot be read: {error}", control.key))
        })?;
        Ok(Some(Arc::new(key)))
    };
    store.controls(DOCUMENTS)?.into_iter().filter_map(|control| read(control).transpose()).collect()
}

fn check(new: &NewKey) -> Result<(), LedgerError> {
    let invalid = |text: String| Err(LedgerError::Invalid(text));
    if new.roles.is_empty() {
        return invalid("a key has at least one role".to_owned());
    }
    if new.roles.contains(&Role::Member) && new.binding.user.is_none() {
        return invalid("a member's key names its user".to_owned());
    }
    let binding = &new.binding;
    if binding.key.is_some() || binding.metadata.is_some() {
        return invalid("a key is bound to neither a key nor metadata".to_owned());
    }
    if binding.tags.len() > limits::TAGS_MAX {
        return invalid(format!("a key is bound to at most {} tags", limits::TAGS_MAX));
    }
    let names = [
        &binding.project,
        &binding.customer,
        &binding.user,
        &binding.agent,
        &binding.agent_name,
        &binding.operation,
        &binding.operation_id,
        &binding.session,
    ];
    let tags = binding.tags.iter().flat_map(|(name, value)| [name, value]);
    check_names(names.into_iter().flatten().chain([&new.name]).chain(tags))
}

/// Refuses names that are empty, too long, or would not be one line.
pub(crate) fn check_names<'a>(names: impl Iterator<Item = &'a String>) -> Result<(), LedgerError> {
    for name in names {
        if name.is_empty() || name.len() > limits::NAME_BYTES_MAX || name.chars().any(char::is_control) {
            return Err(LedgerError::Invalid(format!(
                "names have 1 to {} bytes and no control characters",
                limits::NAME_BYTES_MAX
            )));
        }
    }
    Ok(())
}
