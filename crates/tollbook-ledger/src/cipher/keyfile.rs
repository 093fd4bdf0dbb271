//! `encryption.json`: the data key, wrapped under the secret that people keep.
//!
//! It is replaced by a rename, so that a process that is killed leaves the old one or the new one.

use super::{Cipher, DataKey, KEY_BYTES, Secret, failed, random};
use crate::error::{LedgerError, at};
use crate::journal::sync_dir;
use data_encoding::BASE64;
use ring::aead::NONCE_LEN;
use ring::pbkdf2;
use serde::{Deserialize, Serialize};
use std::fs::OpenOptions;
use std::io::Write;
use std::num::NonZeroU32;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// How often the secret is hashed: what OWASP's cheat sheet on password storage asks of PBKDF2 with
/// SHA-256. It costs every start a tenth of a second.
const ROUNDS: NonZeroU32 = NonZeroU32::new(600_000).unwrap();
/// More would be a file that is made to keep us busy.
const ROUNDS_MAX: u32 = 10_000_000;
const SALT_BYTES: usize = 16;
/// A file that is larger is none.
const FILE_BYTES_MAX: u64 = 4 * 1024;
const VERSION: u32 = 1;
const MADE_BY: &str = "pbkdf2-hmac-sha256";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    v: u32,
    kdf: String,
    rounds: NonZeroU32,
    salt: String,
    /// Nonce, encrypted data key and tag.
    key: String,
}

/// Takes the data key out of a file. Nothing is changed.
pub(crate) fn unwrap(path: &Path, secret: &Secret) -> Result<DataKey, LedgerError> {
    let damaged = || LedgerError::KeyFile(path.to_owned());
    if std::fs::metadata(path).map_err(at(path))?.len() > FILE_BYTES_MAX {
        return Err(damaged());
    }
    let text = std::fs::read(path).map_err(at(path))?;
    let file: KeyFile = serde_json::from_slice(&text).map_err(|_| damaged())?;
    if file.v != VERSION || file.kdf != MADE_BY || file.rounds.get() > ROUNDS_MAX {
        return Err(damaged());
    }
    let salt = BASE64.decode(file.salt.as_bytes()).map_err(|_| damaged())?;
    let mut wrapped = BASE64.decode(file.key.as_bytes()).map_err(|_| damaged())?;
    let (nonce, sealed) = wrapped.split_first_chunk_mut::<NONCE_LEN>().ok_or_else(damaged)?;
    let opened = wrapping(secret, &salt, file.rounds)?.open(*nonce, sealed).map(<[u8; KEY_BYTES]>::try_from);
    match opened {
        Some(Ok(key)) => Ok(DataKey::new(key)),
        Some(Err(_)) => Err(damaged()),
        None => Err(LedgerError::WrongKey(path.to_owned())),
    }
}

/// Puts a data key into a file, whatever was there before. On return it is on the disk.
pub(crate) fn wrap(path: &Path, key: &DataKey, secret: &Secret) -> Result<(), LedgerError> {
    let (mut salt, mut nonce) = ([0; SALT_BYTES], [0; NONCE_LEN]);
    random(&mut salt)?;
    random(&mut nonce)?;
    let mut wrapped = nonce.to_vec();
    wrapped.extend_from_slice(key.0.as_slice());
    wrapping(secret, &salt, ROUNDS)?.seal(nonce, &mut wrapped, NONCE_LEN)?;
    let file = KeyFile {
        v: VERSION,
        kdf: MADE_BY.to_owned(),
        rounds: ROUNDS,
        salt: BASE64.encode(&salt),
        key: BASE64.encode(&wrapped),
    };
    let mut text = serde_json::to_vec(&file).map_err(|error| failed(&error.to_string()))?;
    text.push(b'\n');
    let unfinished = path.with_extension("unfinished");
    let mut options = OpenOptions::new();
    let mut out = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)
        .map_err(at(&unfinished))?;
    out.write_all(&text).and_then(|()| out.sync_all()).map_err(at(&unfinished))?;
    std::fs::rename(&unfinished, path).map_err(at(path))?;
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => sync_dir(parent),
        None => sync_dir(Path::new(".")),
    }
}

fn wrapping(secret: &Secret, salt: &[u8], rounds: NonZeroU32) -> Result<Cipher, LedgerError> {
    let mut key = [0; KEY_BYTES];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, salt, secret.0.as_bytes(), &mut key);
    Cipher::new(&key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned()).unwrap()
    }

    #[test]
    fn only_the_secret_opens_the_file_and_damage_is_told_from_a_wrong_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("encryption.json");
        let key = DataKey::random().unwrap();
        let (old, new) = (secret("the old secret, long"), secret("the new secret, long"));
        wrap(&path, &key, &old).unwrap();
        assert_eq!(unwrap(&path, &old).unwrap().0, key.0);
        assert!(matches!(unwrap(&path, &new), Err(LedgerError::WrongKey(_))));
        wrap(&path, &key, &new).unwrap();
        assert_eq!(unwrap(&path, &new).unwrap().0, key.0);
        assert!(matches!(unwrap(&path, &old), Err(LedgerError::WrongKey(_))));
        let whole = std::fs::read_to_string(&path).unwrap();
        let rounds = format!("{ROUNDS}");
        for (text, is_damage) in [
            (String::new(), true),
            ("{}".to_owned(), true),
            (whole[..whole.len() - 4].to_owned(), true),
            (whole.replace("\"v\":1", "\"v\":2"), true),
            (whole.replace(&rounds, "0"), true),
            (whole.replace(&rounds, "4000000000"), true),
            (whole.replace(&rounds, "600001"), false),
        ] {
            std::fs::write(&path, &text).unwrap();
            match unwrap(&path, &new) {
                Err(LedgerError::KeyFile(_)) => assert!(is_damage, "{text}"),
                Err(LedgerError::WrongKey(_)) => assert!(!is_damage, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }
}
