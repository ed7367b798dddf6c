//! argon2id hashes of passwords.
//!
//! A password, unlike a bearer secret, can be guessed: a hash takes 64 MiB and three passes, which RFC 9106
//! §4 recommends where memory is scarce.

use std::sync::LazyLock;

use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};

use super::secret;

/// Shortest password, in characters (NIST SP 800-63B §3.1.1.2 asks for at least eight, and for more without
/// another factor).
pub const MIN_CHARS: usize = 12;

/// Longest password, in bytes.
pub const MAX_BYTES: usize = 512;

#[expect(clippy::expect_used, reason = "constants that argon2 accepts")]
fn argon2() -> Argon2<'static> {
    let params = Params::new(64 * 1_024, 3, 1, None).expect("valid parameters");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// The PHC string to store. Takes tens of milliseconds.
#[expect(clippy::expect_used, reason = "the parameters are constants that argon2 accepts")]
pub fn hash(password: &str) -> String {
    let hashed = argon2().hash_password(password.as_bytes());
    hashed.expect("hashing with valid parameters works").to_string()
}

/// What nobody's password is compared with.
static NOBODY: LazyLock<String> = LazyLock::new(|| hash(&secret::random_text()));

/// True when the stored PHC string is of this password. Takes as long where there is none.
pub fn verify(password: &str, stored: Option<&str>) -> bool {
    let of_somebody = stored.is_some();
    let stored = stored.unwrap_or_else(|| NOBODY.as_str());
    let is_same = argon2().verify_password(password.as_bytes(), stored).is_ok();
    is_same && of_somebody
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verifies_only_its_own_password() {
        let stored = hash("correct horse battery");
        assert!(stored.starts_with("$argon2id$v=19$m=65536,t=3,p=1$"), "{stored}");
        assert!(verify("correct horse battery", Some(&stored)));
        assert!(!verify("correct horse batterz", Some(&stored)));
        assert!(!verify("correct horse battery", Some("not a hash")));
        assert!(!verify("correct horse battery", None));
    }
}
