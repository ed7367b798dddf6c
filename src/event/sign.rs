//! Signatures of webhooks: the one that the public WorkOS SDKs verify, and that of Standard Webhooks.
//!
//! Both are HMAC-SHA-256 with one secret, `whsec_` and 32 bytes in base64. The first takes the whole text
//! as its key, the second the bytes (Standard Webhooks 1.0, "Signature scheme").

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

/// What stands in front of every secret.
const PREFIX: &str = "whsec_";

/// Length of a secret, in bytes.
pub const SECRET_BYTES: usize = 32;

/// What an endpoint verifies with.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret {
    text: String,
    bytes: [u8; SECRET_BYTES],
}

impl SigningSecret {
    pub fn of(bytes: [u8; SECRET_BYTES]) -> Self {
        Self { text: format!("{PREFIX}{}", STANDARD.encode(bytes)), bytes }
    }

    /// Reads `whsec_` and 32 bytes in base64.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text.strip_prefix(PREFIX)?).ok()?;
        Some(Self { text: text.to_owned(), bytes: bytes.try_into().ok()? })
    }

    pub fn text(&self) -> &str {
        &self.text
    }
}

/// What one delivery is signed over.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'d> {
    /// The id of the event.
    pub id: &'d str,
    /// When the attempt is made, in milliseconds.
    pub at_ms: i64,
    pub body: &'d str,
}

impl Signed<'_> {
    /// The value of `WorkOS-Signature`: `t=<milliseconds>, v1=<hex>`. The SDKs cut it at the comma and
    /// the space, and know one `v1`.
    pub fn workos(&self, secret: &SigningSecret) -> String {
        let message = format!("{}.{}", self.at_ms, self.body);
        let tag = sign(secret.text.as_bytes(), &message);
        let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("t={}, v1={hex}", self.at_ms)
    }

    /// The value of `webhook-timestamp`, in seconds.
    pub fn timestamp(&self) -> i64 {
        self.at_ms.div_euclid(1_000)
    }

    /// The value of `webhook-signature`: `v1,<base64>` for each secret, with spaces.
    pub fn standard<'s>(&self, secrets: impl IntoIterator<Item = &'s SigningSecret>) -> String {
        let message = format!("{}.{}.{}", self.id, self.timestamp(), self.body);
        let each = |secret: &SigningSecret| {
            format!("v1,{}", STANDARD.encode(sign(&secret.bytes, &message).as_ref()))
        };
        secrets.into_iter().map(each).collect::<Vec<_>>().join(" ")
    }
}

fn sign(key: &[u8], message: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> SigningSecret {
        SigningSecret::of([7; SECRET_BYTES])
    }

    const SIGNED: Signed<'_> =
        Signed { id: "event_1", at_ms: 1_750_000_000_123, body: r#"{"a":1}"# };

    #[test]
    fn secret_is_its_text_and_its_bytes() {
        let secret = secret();
        assert_eq!(secret.text(), "whsec_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=");
        assert!(SigningSecret::parse(secret.text()) == Some(secret));
        for text in ["", "whsec_", "whsec_BwcH", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="] {
            assert!(SigningSecret::parse(text).is_none(), "{text}");
        }
    }

    /// Values of Python: `hmac.new(secret.encode(), b'1750000000123.{"a":1}', "sha256").hexdigest()`, and
    /// `base64.b64encode(hmac.new(bytes([7] * 32), b'event_1.1750000000.{"a":1}', "sha256").digest())`.
    #[test]
    fn signatures_are_those_of_the_specifications() {
        assert_eq!(
            SIGNED.workos(&secret()),
            "t=1750000000123, v1=a0eecdc773ca854bd986aad4df2439dbc30dd3962405ec5d91dcfde6bf2edc8b"
        );
        assert_eq!(SIGNED.timestamp(), 1_750_000_000);
        assert_eq!(SIGNED.standard([&secret()]), "v1,mHwULbePOYGCrbZGVg0zDG1NIbXH2KViw2+uSO6QwN0=");
    }

    #[test]
    fn each_secret_signs_in_its_turn() {
        let other = SigningSecret::of([8; SECRET_BYTES]);
        let both = SIGNED.standard([&secret(), &other]);
        let expected = format!("{} {}", SIGNED.standard([&secret()]), SIGNED.standard([&other]));
        assert_eq!(both, expected);
    }
}
