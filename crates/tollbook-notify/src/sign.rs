//! Signatures of webhooks, as of Standard Webhooks 1: HMAC-SHA256 over id, instant and body.

use crate::secret::Secret;
use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// What a secret begins with.
const SECRET_START: &str = "whsec_";
/// Bytes of a key.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Bytes of a key that is made here.
const KEY_BYTES_MADE: usize = 32;

/// A new secret.
///
/// # Errors
/// The system gives no random bytes.
pub fn new_secret() -> std::io::Result<Secret> {
    let mut key = [0; KEY_BYTES_MADE];
    getrandom::fill(&mut key).map_err(|error| std::io::Error::other(error.to_string()))?;
    Ok(Secret::from(format!("{SECRET_START}{}", BASE64.encode(&key))))
}

/// The key that a secret is; `None` when it is none.
pub(crate) fn key_of(secret: &Secret) -> Option<Vec<u8>> {
    let key = BASE64.decode(secret.expose().strip_prefix(SECRET_START)?.as_bytes()).ok()?;
    KEY_BYTES.contains(&key.len()).then_some(key)
}

/// The signature of a body that goes out at `seconds` since 1970; `None` when the secret is none.
pub fn signature(secret: &Secret, id: &str, seconds: i64, body: &[u8]) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&key_of(secret)?).ok()?;
    mac.update(format!("{id}.{seconds}.").as_bytes());
    mac.update(body);
    Some(format!("v1,{}", BASE64.encode(&mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_the_published_example() {
        // The example of the Standard Webhooks libraries.
        let secret = Secret::from("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned());
        let body = br#"{"test": 2432232314}"#;
        let made = signature(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body).unwrap();
        assert_eq!(made, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_has_its_form() {
        assert!(key_of(&new_secret().unwrap()).is_some());
        for text in [
            "",
            "whsec_",
            "whsec_AAAA",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",
        ] {
            assert!(key_of(&Secret::from(text.to_owned())).is_none(), "{text}");
        }
        assert_eq!(format!("{:?}", new_secret().unwrap()), "[secret]");
    }
}
