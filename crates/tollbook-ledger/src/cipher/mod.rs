//! Encryption at rest: one random key for a data directory, and what is made of it.
//!
//! The data key never changes and never leaves memory but wrapped, in [`keyfile`], under the secret
//! that people keep. So another secret is a small file written anew, and nothing else. The store's
//! file has a key of its own made of it, and each line of the journal and of `erasures.jsonl` is
//! sealed by [`lines`] with the key of its file. This module must never know what is encrypted.

pub(crate) mod keyfile;
pub(crate) mod lines;

use crate::error::LedgerError;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf;
use std::fmt;
use std::sync::Arc;

/// Bytes of every key here.
const KEY_BYTES: usize = 32;

/// The key that everything in a data directory is encrypted with.
#[derive(Clone)]
pub struct DataKey(Arc<[u8; KEY_BYTES]>);

impl DataKey {
    /// The key in these bytes, which must be random.
    pub fn new(bytes: [u8; KEY_BYTES]) -> DataKey {
        DataKey(Arc::new(bytes))
    }

    /// A new one.
    pub fn random() -> Result<DataKey, LedgerError> {
        let mut bytes = [0; KEY_BYTES];
        random(&mut bytes)?;
        Ok(DataKey::new(bytes))
    }

    /// The key of the store's file.
    pub fn for_store(&self) -> Result<[u8; KEY_BYTES], LedgerError> {
        self.derived("store")
    }

    /// The key of the file of captured words.
    pub fn for_captures(&self) -> Result<[u8; KEY_BYTES], LedgerError> {
        self.derived("captures")
    }

    /// The key of a file of lines, which its name belongs to: lines moved to another file do not open.
    fn for_file(&self, name: &str) -> Result<Cipher, LedgerError> {
        Cipher::new(&self.derived(&format!("file {name}"))?)
    }

    /// HKDF-SHA256 (RFC 5869). The data key is random, so that there is no salt.
    fn derived(&self, purpose: &str) -> Result<[u8; KEY_BYTES], LedgerError> {
        let mut derived = [0; KEY_BYTES];
        let base = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(self.0.as_slice());
        base.expand(&[b"tollbook ", purpose.as_bytes()], hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut derived))
            .map_err(|_| failed("no key could be derived"))?;
        Ok(derived)
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey")
    }
}

/// What people keep: the text that opens the books. It is never written anywhere.
#[derive(Clone)]
pub struct Secret(String);

/// Fewer characters could be guessed.
pub const SECRET_CHARS_MIN: usize = 16;

impl Secret {
    /// The secret in a text, if it is long enough to be one.
    pub fn new(text: String) -> Option<Secret> {
        (text.chars().count() >= SECRET_CHARS_MIN).then_some(Secret(text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// AES-256-GCM under one key.
struct Cipher(LessSafeKey);

impl Cipher {
    fn new(key: &[u8; KEY_BYTES]) -> Result<Cipher, LedgerError> {
        let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| failed("a key could not be used"))?;
        Ok(Cipher(LessSafeKey::new(key)))
    }

    /// Seals what stands in `bytes` from `from` on, where it is, and appends the tag. A nonce may be
    /// used once only.
    fn seal(&self, nonce: [u8; NONCE_LEN], bytes: &mut Vec<u8>, from: usize) -> Result<(), LedgerError> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let sealed = self.0.seal_in_place_separate_tag(nonce, Aad::empty(), &mut bytes[from..]);
        let tag = sealed.map_err(|_| failed("a record could not be encrypted"))?;
        bytes.extend_from_slice(tag.as_ref());
        Ok(())
    }

    /// What was sealed, opened where it is. `None` when a bit of it differs, or the key does.
    fn open<'a>(&self, nonce: [u8; NONCE_LEN], bytes: &'a mut [u8]) -> Option<&'a [u8]> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.0.open_in_place(nonce, Aad::empty(), bytes).ok().map(|plain| &*plain)
    }
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cipher")
    }
}

fn random(bytes: &mut [u8]) -> Result<(), LedgerError> {
    getrandom::fill(bytes).map_err(|error| failed(&format!("the system gives no random bytes: {error}")))
}

fn failed(what: &str) -> LedgerError {
    LedgerError::Invalid(what.to_owned())
}
