//! The form of bearer secrets: a prefix that says what they open, the public id of their row, and
//! 256 random bits.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::clock::{Clock, fill_random};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretKind {
    /// Opens one directory over SCIM.
    Directory,
    /// Opens the management and read APIs.
    Api,
    /// Lets an OAuth client fetch access tokens for one directory.
    Client,
}

impl SecretKind {
    fn prefix(self) -> &'static str {
        match self {
            Self::Directory => "rbd_",
            Self::Api => "sk_",
            Self::Client => "rbc_",
        }
    }

    fn id_prefix(self) -> &'static str {
        match self {
            Self::Directory => "directory_token",
            Self::Api => "api_key",
            Self::Client => "oauth_client",
        }
    }
}

/// A new secret; its text is shown once.
pub struct Secret {
    /// The id of its row, `directory_token_…`, `api_key_…` or `oauth_client_…`.
    pub id: String,
    pub text: String,
    /// The last four characters, by which people recognise it.
    pub suffix: String,
}

const ULID_CHARS: usize = 26;
const RANDOM_CHARS: usize = 43;

impl Secret {
    pub fn generate(kind: SecretKind, clock: &Clock) -> Self {
        let id = clock.id(kind.id_prefix());
        let ulid = id.rsplit('_').next().unwrap_or_default();
        let text = format!("{}{ulid}{}", kind.prefix(), random_text());
        let suffix = text.get(text.len() - 4..).unwrap_or_default().to_owned();
        Self { id, text, suffix }
    }
}

/// A secret that a client presented, taken apart.
pub struct Presented<'s> {
    pub kind: SecretKind,
    /// The id of the row that would belong to it.
    pub id: String,
    pub text: &'s str,
}

impl<'s> Presented<'s> {
    /// `None` for anything that does not have the form of a secret: it reaches no database.
    pub fn parse(text: &'s str) -> Option<Self> {
        let kind = [SecretKind::Directory, SecretKind::Api, SecretKind::Client]
            .into_iter()
            .find(|kind| text.starts_with(kind.prefix()))?;
        let rest = text.strip_prefix(kind.prefix())?;
        let well_formed = rest.len() == ULID_CHARS + RANDOM_CHARS
            && rest.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        if !well_formed {
            return None;
        }
        let id = format!("{}_{}", kind.id_prefix(), rest.get(..ULID_CHARS)?);
        Some(Self { kind, id, text })
    }

    /// What the process remembers it by.
    pub fn digest(&self) -> [u8; 32] {
        digest(self.text)
    }
}

/// What the secret of a setup link begins with.
const SETUP_PREFIX: &str = "rbl_";

/// 256 random bits as 43 unreserved URL characters.
pub fn random_text() -> String {
    let mut random = [0_u8; 32];
    fill_random(&mut random);
    URL_SAFE_NO_PAD.encode(random)
}

/// True for text of the form of [`random_text`].
pub fn is_random_text(text: &str) -> bool {
    text.len() == RANDOM_CHARS
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// What the secret of a setup link is made of: 256 random bits behind a prefix that says what they are.
pub fn setup_text() -> String {
    format!("{SETUP_PREFIX}{}", random_text())
}

/// SHA-256 of a secret: a key in memory.
pub fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// The same as text, for what the database has to recognise: what a client made up, and random secrets
/// that nothing but their text names.
pub fn text_digest(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_secret_is_recognised() {
        let clock = Clock::system();
        for kind in [SecretKind::Directory, SecretKind::Api, SecretKind::Client] {
            let secret = Secret::generate(kind, &clock);
            let presented = Presented::parse(&secret.text).expect("well formed");
            assert_eq!(presented.id, secret.id);
            assert_eq!(presented.kind, kind);
            assert!(secret.text.ends_with(&secret.suffix));
        }
    }

    #[test]
    fn other_text_is_no_secret() {
        for text in ["", "rbd_", "sk_short", "Bearer x", &"rbd_é".repeat(20), &setup_text()] {
            assert!(Presented::parse(text).is_none(), "{text}");
        }
    }
}
