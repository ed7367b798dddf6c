//! argon2id hashes of bearer secrets.
//!
//! Secrets are random, so nothing is gained by making a guess expensive; small parameters keep the
//! first request of many tokens after a restart cheap.

use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};

/// 1 MiB, one pass, one lane.
fn argon2() -> Option<Argon2<'static>> {
    let params = Params::new(1_024, 1, 1, None).ok()?;
    Some(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// The PHC string to store.
#[expect(clippy::expect_used, reason = "the parameters are constants that argon2 accepts")]
pub fn hash(secret: &str) -> String {
    argon2()
        .expect("valid parameters")
        .hash_password(secret.as_bytes())
        .expect("hashing with valid parameters works")
        .to_string()
}

/// True when the stored PHC string is of this secret. Compares in constant time.
pub fn verify(secret: &str, stored: &str) -> bool {
    argon2().is_some_and(|argon2| argon2.verify_password(secret.as_bytes(), stored).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verifies_only_its_own_secret() {
        let stored = hash("one");
        assert!(stored.starts_with("$argon2id$"));
        assert!(verify("one", &stored));
        assert!(!verify("two", &stored));
        assert!(!verify("one", "not a hash"));
    }
}
