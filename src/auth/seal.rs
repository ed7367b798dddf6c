//! Authenticated encryption of short texts that clients or the database keep for the server.
//!
//! AES-256-GCM with a random nonce. Each purpose has a key of its own, derived from the one secret
//! key by HKDF-SHA-256, so that what was sealed for one purpose does not open for another.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::hmac;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::clock::fill_random;

/// Length of the secret key in bytes.
const KEY_BYTES: usize = 32;

/// The secret key of an installation; every process on one database has the same.
pub struct SecretKey([u8; KEY_BYTES]);

impl SecretKey {
    pub fn generate() -> Self {
        let mut bytes = [0; KEY_BYTES];
        fill_random(&mut bytes);
        Self(bytes)
    }

    pub(super) fn of(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// Reads 32 bytes in base64.
    pub fn parse(text: &str) -> Option<Self> {
        Some(Self(STANDARD.decode(text.trim()).ok()?.try_into().ok()?))
    }

    pub fn to_text(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// A value by which a database recognises the key, and which does not lead back to it.
    pub fn check_value(&self) -> String {
        let mut digest = Sha256::new();
        digest.update("rollbook secret key check");
        digest.update(self.0);
        URL_SAFE_NO_PAD.encode(digest.finalize())
    }

    /// The key for one purpose.
    #[expect(clippy::expect_used, reason = "one block of HKDF and a key of the right length")]
    pub fn seal(&self, purpose: &str) -> Seal {
        let salt = Salt::new(HKDF_SHA256, b"rollbook");
        let info = [purpose.as_bytes()];
        let material = salt.extract(&self.0);
        let material = material.expand(&info, &AES_256_GCM).expect("one block");
        Seal(LessSafeKey::new(UnboundKey::from(material)))
    }

    /// 32 bytes for one purpose, for signatures that every process on the database recognises.
    #[expect(clippy::expect_used, reason = "one block of HKDF")]
    pub(super) fn derive(&self, purpose: &str) -> [u8; KEY_BYTES] {
        let info = [purpose.as_bytes()];
        let material = Salt::new(HKDF_SHA256, b"rollbook").extract(&self.0);
        let mut bytes = [0; KEY_BYTES];
        let block = material.expand(&info, hmac::HMAC_SHA256).expect("one block");
        block.fill(&mut bytes).expect("the length of the block");
        bytes
    }
}

impl SecretKey {
    /// The key of hashes for one purpose.
    #[expect(clippy::expect_used, reason = "one block of HKDF")]
    pub fn mac(&self, purpose: &str) -> Mac {
        let salt = Salt::new(HKDF_SHA256, b"rollbook");
        let info = [purpose.as_bytes()];
        let material = salt.extract(&self.0);
        Mac(hmac::Key::from(material.expand(&info, hmac::HMAC_SHA256).expect("one block")))
    }
}

/// 96 bits.
const MARK_CHARS: usize = 16;

/// Hashes that only the holder of the key can make (HMAC-SHA-256), for one purpose.
pub struct Mac(hmac::Key);

impl Mac {
    /// The hash of the text in its context, as 32 hexadecimal digits.
    pub fn hash(&self, context: &str, text: &str) -> String {
        self.sign(context, text)
            .as_ref()
            .iter()
            .take(16)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// The whole hash: a secret that nobody without the key can know, as 43 unreserved URL characters.
    pub fn secret(&self, context: &str, text: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.sign(context, text))
    }

    /// The text with a mark of 16 unreserved URL characters behind it: whoever has the key knows such texts
    /// from others without looking anything up.
    pub fn marked(&self, context: &str, text: &str) -> String {
        format!("{text}{}", self.mark(context, text))
    }

    /// True for what [`Mac::marked`] has made in that context. Compares in constant time.
    pub fn is_marked(&self, context: &str, marked: &str) -> bool {
        let split = marked.len().checked_sub(MARK_CHARS).and_then(|at| marked.split_at_checked(at));
        split.is_some_and(|(text, mark)| {
            bool::from(mark.as_bytes().ct_eq(self.mark(context, text).as_bytes()))
        })
    }

    fn mark(&self, context: &str, text: &str) -> String {
        self.secret(context, text).chars().take(MARK_CHARS).collect()
    }

    fn sign(&self, context: &str, text: &str) -> hmac::Tag {
        let mut hash = hmac::Context::with_key(&self.0);
        hash.update(context.as_bytes());
        hash.update(&[0]);
        hash.update(text.as_bytes());
        hash.sign()
    }
}

/// Seals and opens for one purpose.
pub struct Seal(LessSafeKey);

impl Seal {
    /// Text of unreserved URL characters. `context` is not part of it but must be the same when it
    /// is opened.
    #[expect(clippy::expect_used, reason = "the message is far below the limit of the cipher")]
    pub fn seal(&self, context: &[u8], message: &[u8]) -> String {
        let mut nonce = [0; NONCE_LEN];
        fill_random(&mut nonce);
        let mut sealed = message.to_vec();
        let unique = Nonce::assume_unique_for_key(nonce);
        self.0
            .seal_in_place_append_tag(unique, Aad::from(context), &mut sealed)
            .expect("short enough");
        let bytes = [nonce.as_slice(), &sealed].concat();
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// What was sealed, or `None` for anything else.
    pub fn open(&self, context: &[u8], text: &str) -> Option<Vec<u8>> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LEN>()?;
        let mut sealed = sealed.to_vec();
        let unique = Nonce::assume_unique_for_key(*nonce);
        let opened = self.0.open_in_place(unique, Aad::from(context), &mut sealed).ok()?;
        Some(opened.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_sealed_opens() {
        let key = SecretKey::generate();
        let seal = key.seal("cursor");
        let text = seal.seal(b"context", b"message");
        assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)), "{text}");
        assert_eq!(seal.open(b"context", &text).as_deref(), Some(b"message".as_slice()));
        assert_eq!(seal.open(b"other", &text), None);
        assert_eq!(key.seal("credential").open(b"context", &text), None);
        assert_eq!(SecretKey::generate().seal("cursor").open(b"context", &text), None);
        for at in 0..text.len() {
            let mut forged = text.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).expect("ASCII");
            assert_eq!(seal.open(b"context", &forged), None, "{at}");
        }
        assert_eq!(seal.open(b"context", ""), None);
    }

    #[test]
    fn only_what_was_marked_is_known() {
        let key = SecretKey::generate();
        let mac = key.mac("portal");
        let marked = mac.marked("link", "rbl_x");
        assert!(marked.starts_with("rbl_x") && marked.len() == 5 + MARK_CHARS, "{marked}");
        assert!(mac.is_marked("link", &marked) && mac.marked("link", "rbl_x") == marked);
        assert!(!mac.is_marked("session", &marked) && !key.mac("other").is_marked("link", &marked));
        assert!(!SecretKey::generate().mac("portal").is_marked("link", &marked));
        for at in 0..marked.len() {
            let mut forged = marked.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).expect("ASCII");
            assert!(!mac.is_marked("link", &forged), "{at}");
        }
        for text in ["", "rbl_", "rbl_x", &marked[1..], &format!("{marked}A"), &"é".repeat(30)] {
            assert!(!mac.is_marked("link", text), "{text}");
        }
        assert!(!mac.is_marked("link", &format!("a{}", "é".repeat(30))));
    }

    #[test]
    fn hash_depends_on_key_purpose_context_and_text() {
        let key = SecretKey::generate();
        let hash = key.mac("users").hash("d1", "ada");
        assert_eq!(hash.len(), 32);
        assert_eq!(key.mac("users").hash("d1", "ada"), hash);
        for other in [
            key.mac("users").hash("d2", "ada"),
            key.mac("users").hash("d1", "bob"),
            key.mac("users").hash("d1a", "da"),
            key.mac("other").hash("d1", "ada"),
            SecretKey::generate().mac("users").hash("d1", "ada"),
        ] {
            assert_ne!(other, hash);
        }
        let secret = key.mac("users").secret("d1", "ada");
        assert_eq!(secret.len(), 43);
        assert_eq!(key.mac("users").secret("d1", "ada"), secret);
        assert_ne!(key.mac("users").secret("d2", "ada"), secret);
    }

    #[test]
    fn key_survives_as_text() {
        let key = SecretKey::generate();
        let again = SecretKey::parse(&format!(" {}\n", key.to_text())).expect("a key");
        assert_eq!(again.check_value(), key.check_value());
        assert_ne!(SecretKey::generate().check_value(), key.check_value());
        assert!(SecretKey::parse("c2hvcnQ=").is_none());
    }
}
