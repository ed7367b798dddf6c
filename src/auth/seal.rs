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

/// Most keys that an installation has at the same time.
const MAX_KEYS: usize = 5;

/// Characters of a check value that name a key in what it has sealed, and what stands behind them.
const ID_CHARS: usize = 8;
const ID_END: char = '.';

/// The secret key of an installation; every process on one database has the same. Beside it there may be
/// others, which open what they have sealed and seal nothing.
pub struct SecretKey {
    bytes: [u8; KEY_BYTES],
    others: Vec<[u8; KEY_BYTES]>,
}

impl SecretKey {
    pub fn generate() -> Self {
        let mut bytes = [0; KEY_BYTES];
        fill_random(&mut bytes);
        Self::of(bytes)
    }

    pub(super) fn of(bytes: [u8; KEY_BYTES]) -> Self {
        Self { bytes, others: Vec::new() }
    }

    /// Reads 32 bytes in base64; others may follow behind a comma, a space or a new line.
    pub fn parse(text: &str) -> Option<Self> {
        let parts = text.split(|c: char| c == ',' || c.is_whitespace());
        let keys = parts.filter(|part| !part.is_empty());
        let keys = keys.map(|part| STANDARD.decode(part).ok()?.try_into().ok());
        let mut keys = keys.collect::<Option<Vec<[u8; KEY_BYTES]>>>()?.into_iter();
        let key = Self { bytes: keys.next()?, others: keys.collect() };
        (key.others.len() < MAX_KEYS).then_some(key)
    }

    /// As [`SecretKey::parse`] reads it, a key on each line.
    pub fn to_text(&self) -> String {
        self.all().map(|bytes| STANDARD.encode(bytes)).collect::<Vec<String>>().join("\n")
    }

    /// A new key before those that there are.
    pub fn followed(&self) -> Self {
        Self { others: self.all().copied().collect(), ..Self::generate() }
    }

    /// The key without the others.
    pub fn alone(&self) -> Self {
        Self::of(self.bytes)
    }

    /// Every key, the one that seals first.
    fn all(&self) -> impl Iterator<Item = &[u8; KEY_BYTES]> {
        std::iter::once(&self.bytes).chain(&self.others)
    }

    /// A value by which a database recognises the key, and which does not lead back to it.
    pub fn check_value(&self) -> String {
        check_value(&self.bytes)
    }

    /// The same of every key, the one that seals first.
    pub fn check_values(&self) -> Vec<String> {
        self.all().map(check_value).collect()
    }

    /// The keys for one purpose.
    #[expect(clippy::expect_used, reason = "one block of HKDF and a key of the right length")]
    pub fn seal(&self, purpose: &str) -> Seal {
        let key = |bytes: &[u8; KEY_BYTES]| {
            let info = [purpose.as_bytes()];
            let material = Salt::new(HKDF_SHA256, b"rollbook").extract(bytes);
            let material = material.expand(&info, &AES_256_GCM).expect("one block");
            (key_id(&check_value(bytes)), LessSafeKey::new(UnboundKey::from(material)))
        };
        Seal { first: key(&self.bytes), others: self.others.iter().map(key).collect() }
    }

    /// 32 bytes for one purpose, for signatures that every process on the database recognises; those of
    /// the key first.
    #[expect(clippy::expect_used, reason = "one block of HKDF")]
    pub(super) fn derive(&self, purpose: &str) -> Vec<[u8; KEY_BYTES]> {
        let derived = |key: &[u8; KEY_BYTES]| {
            let info = [purpose.as_bytes()];
            let material = Salt::new(HKDF_SHA256, b"rollbook").extract(key);
            let mut bytes = [0; KEY_BYTES];
            let block = material.expand(&info, hmac::HMAC_SHA256).expect("one block");
            block.fill(&mut bytes).expect("the length of the block");
            bytes
        };
        self.all().map(derived).collect()
    }

    /// The keys of hashes for one purpose.
    #[expect(clippy::expect_used, reason = "one block of HKDF")]
    pub fn mac(&self, purpose: &str) -> Mac {
        let key = |bytes: &[u8; KEY_BYTES]| {
            let info = [purpose.as_bytes()];
            let material = Salt::new(HKDF_SHA256, b"rollbook").extract(bytes);
            hmac::Key::from(material.expand(&info, hmac::HMAC_SHA256).expect("one block"))
        };
        Mac { first: key(&self.bytes), others: self.others.iter().map(key).collect() }
    }
}

fn check_value(key: &[u8; KEY_BYTES]) -> String {
    let mut digest = Sha256::new();
    digest.update("rollbook secret key check");
    digest.update(key);
    URL_SAFE_NO_PAD.encode(digest.finalize())
}

/// The name of a key, by its check value.
pub fn key_id(check_value: &str) -> String {
    check_value.chars().take(ID_CHARS).collect()
}

/// 96 bits.
const MARK_CHARS: usize = 16;

/// Hashes that only the holder of the key can make (HMAC-SHA-256), for one purpose.
pub struct Mac {
    first: hmac::Key,
    others: Vec<hmac::Key>,
}

impl Mac {
    /// The hash of the text in its context, as 32 hexadecimal digits.
    pub fn hash(&self, context: &str, text: &str) -> String {
        hexadecimal(&sign(&self.first, context, text))
    }

    /// The same by every key: what may have been stored for it.
    pub fn hashes(&self, context: &str, text: &str) -> Vec<String> {
        self.keys().map(|key| hexadecimal(&sign(key, context, text))).collect()
    }

    fn keys(&self) -> impl Iterator<Item = &hmac::Key> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// The whole hash: a secret that nobody without the key can know, as 43 unreserved URL characters.
    pub fn secret(&self, context: &str, text: &str) -> String {
        URL_SAFE_NO_PAD.encode(sign(&self.first, context, text))
    }

    /// The text with a mark of 16 unreserved URL characters behind it: whoever has the key knows such texts
    /// from others without looking anything up.
    pub fn marked(&self, context: &str, text: &str) -> String {
        format!("{text}{}", mark(&self.first, context, text))
    }

    /// The text of what [`Mac::marked`] has made in that context. Compares in constant time.
    pub fn unmarked<'m>(&self, context: &str, marked: &'m str) -> Option<&'m str> {
        let at = marked.len().checked_sub(MARK_CHARS)?;
        let (text, found) = marked.split_at_checked(at)?;
        let is_of = |key| bool::from(found.as_bytes().ct_eq(mark(key, context, text).as_bytes()));
        self.keys().any(is_of).then_some(text)
    }

    /// True for what [`Mac::marked`] has made in that context.
    pub fn is_marked(&self, context: &str, marked: &str) -> bool {
        self.unmarked(context, marked).is_some()
    }
}

fn sign(key: &hmac::Key, context: &str, text: &str) -> hmac::Tag {
    let mut hash = hmac::Context::with_key(key);
    hash.update(context.as_bytes());
    hash.update(&[0]);
    hash.update(text.as_bytes());
    hash.sign()
}

fn mark(key: &hmac::Key, context: &str, text: &str) -> String {
    URL_SAFE_NO_PAD.encode(sign(key, context, text)).chars().take(MARK_CHARS).collect()
}

fn hexadecimal(tag: &hmac::Tag) -> String {
    tag.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Seals and opens for one purpose.
pub struct Seal {
    first: (String, LessSafeKey),
    others: Vec<(String, LessSafeKey)>,
}

impl Seal {
    /// Text of unreserved URL characters that begins with the name of the key and a full stop. `context` is
    /// not part of it but must be the same when it is opened.
    #[expect(clippy::expect_used, reason = "the message is far below the limit of the cipher")]
    pub fn seal(&self, context: &[u8], message: &[u8]) -> String {
        let mut nonce = [0; NONCE_LEN];
        fill_random(&mut nonce);
        let mut sealed = message.to_vec();
        let unique = Nonce::assume_unique_for_key(nonce);
        let (id, key) = &self.first;
        key.seal_in_place_append_tag(unique, Aad::from(context), &mut sealed)
            .expect("short enough");
        let bytes = [nonce.as_slice(), &sealed].concat();
        format!("{id}{ID_END}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// What was sealed, or `None` for anything else. Text from before keys had names is tried with each.
    pub fn open(&self, context: &[u8], text: &str) -> Option<Vec<u8>> {
        let (named, encoded) = match text.split_once(ID_END) {
            Some((id, encoded)) => (Some(id), encoded),
            None => (None, text),
        };
        let bytes = URL_SAFE_NO_PAD.decode(encoded).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LEN>()?;
        let keys = std::iter::once(&self.first).chain(&self.others);
        keys.filter(|(id, _)| named.is_none_or(|named| named == id)).find_map(|(_, key)| {
            let mut sealed = sealed.to_vec();
            let unique = Nonce::assume_unique_for_key(*nonce);
            let opened = key.open_in_place(unique, Aad::from(context), &mut sealed).ok()?;
            Some(opened.to_vec())
        })
    }

    /// What text that the key seals now begins with.
    pub fn prefix(&self) -> String {
        format!("{}{ID_END}", self.first.0)
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
        assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)), "{text}");
        assert!(text.starts_with(&seal.prefix()), "{text}");
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
    fn keys_beside_the_first_open_and_seal_nothing() {
        let old = SecretKey::generate();
        let both = old.followed();
        let (before, during, after) = (old.seal("x"), both.seal("x"), both.alone().seal("x"));
        let text = before.seal(b"c", b"message");
        assert_eq!(during.open(b"c", &text).as_deref(), Some(b"message".as_slice()));
        assert_eq!(after.open(b"c", &text), None);
        // As it was sealed before keys had names.
        let (_, nameless) = text.split_once('.').expect("a name");
        for seal in [&before, &during] {
            assert_eq!(seal.open(b"c", nameless).as_deref(), Some(b"message".as_slice()));
        }
        let again = during.seal(b"c", b"message");
        assert!(again.starts_with(&after.prefix()) && !again.starts_with(&before.prefix()));
        assert_eq!(after.open(b"c", &again).as_deref(), Some(b"message".as_slice()));
        assert_eq!(before.open(b"c", &again), None);
        let (marker, knower) = (old.mac("x"), both.mac("x"));
        assert!(knower.is_marked("link", &marker.marked("link", "rbl_x")));
        assert!(!both.alone().mac("x").is_marked("link", &marker.marked("link", "rbl_x")));
        assert_eq!(knower.hashes("d", "ada")[1], marker.hash("d", "ada"));
        assert_eq!(knower.hashes("d", "ada")[0], knower.hash("d", "ada"));
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
        assert!(SecretKey::parse("c2hvcnQ=").is_none() && SecretKey::parse(" \n").is_none());
        let both = key.followed();
        for text in [both.to_text(), both.to_text().replace('\n', ", ")] {
            let read = SecretKey::parse(&text).expect("two keys");
            assert_eq!(read.check_values(), both.check_values());
            assert_eq!(read.check_values()[1], key.check_value());
        }
        let many = key.followed().followed().followed().followed();
        assert!(SecretKey::parse(&many.to_text()).is_some());
        assert!(SecretKey::parse(&many.followed().to_text()).is_none());
    }
}
