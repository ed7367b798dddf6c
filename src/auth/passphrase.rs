//! A secret in a backup, sealed with a passphrase that a person chose.
//!
//! The key is derived by argon2id with the parameters that RFC 9106 §4 recommends where memory is
//! scarce (64 MiB, three passes), because a passphrase, unlike a bearer secret, can be guessed.

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::SecretKey;
use crate::clock::fill_random;

/// What the parameters are; another number would mean others.
const FORM: &str = "1";

const PURPOSE: &str = "backup";

const SALT_BYTES: usize = 16;

/// Shortest passphrase, in characters.
pub const MIN_PASSPHRASE: usize = 12;

#[expect(clippy::expect_used, reason = "constants that argon2 accepts")]
fn key(passphrase: &str, salt: &[u8]) -> SecretKey {
    let params = Params::new(64 * 1_024, 3, 1, None).expect("valid parameters");
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut bytes = [0; 32];
    argon2.hash_password_into(passphrase.as_bytes(), salt, &mut bytes).expect("valid lengths");
    SecretKey::of(bytes)
}

/// The message as text that opens with the passphrase.
pub fn seal(passphrase: &str, message: &[u8]) -> String {
    let mut salt = [0; SALT_BYTES];
    fill_random(&mut salt);
    let sealed = key(passphrase, &salt).seal(PURPOSE).seal(&salt, message);
    format!("{FORM}.{}.{sealed}", URL_SAFE_NO_PAD.encode(salt))
}

/// What was sealed; `None` for another passphrase or text.
pub fn open(passphrase: &str, text: &str) -> Option<Vec<u8>> {
    let mut parts = text.splitn(3, '.');
    let (form, salt, sealed) = (parts.next()?, parts.next()?, parts.next()?);
    let salt: [u8; SALT_BYTES] = URL_SAFE_NO_PAD.decode(salt).ok()?.try_into().ok()?;
    if form != FORM {
        return None;
    }
    key(passphrase, &salt).seal(PURPOSE).open(&salt, sealed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_passphrase_opens() {
        let text = seal("correct horse battery", b"secret");
        assert_eq!(open("correct horse battery", &text).as_deref(), Some(b"secret".as_slice()));
        assert_eq!(open("correct horse batterz", &text), None);
        assert_ne!(seal("correct horse battery", b"secret"), text);
        for other in ["", "1.x.y", &text.replacen('1', "2", 1), &text[..text.len() - 1]] {
            assert_eq!(open("correct horse battery", other), None, "{other}");
        }
    }
}
