//! Tokens that were signed a moment ago.
//!
//! A receiver that polls is served a token until it acknowledges it, and a signature costs a quarter of a
//! millisecond. The same claims always make the same token, so it is kept.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::auth::SigningKey;

/// Tokens that are kept, and the longest of them in bytes: 8 MB in all.
const MOST: usize = 2_000;
const LONGEST: usize = 4_096;

type Digest = [u8; 32];

/// What was signed last.
#[derive(Default)]
pub(super) struct Signed(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    tokens: HashMap<Digest, String>,
    /// The oldest first.
    order: VecDeque<Digest>,
}

impl Signed {
    /// The claims as a signed token.
    pub(super) fn token(&self, key: &SigningKey, claims: &Value) -> Option<String> {
        let digest: Digest = Sha256::digest(format!("{}\0{claims}", key.kid())).into();
        let kept = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = kept().tokens.get(&digest) {
            return Some(token.clone());
        }
        let token = key.sign(claims)?;
        if token.len() <= LONGEST {
            let mut kept = kept();
            if kept.tokens.insert(digest, token.clone()).is_none() {
                kept.order.push_back(digest);
            }
            if kept.order.len() > MOST
                && let Some(oldest) = kept.order.pop_front()
            {
                kept.tokens.remove(&oldest);
            }
        }
        Some(token)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn token_is_that_of_its_key_and_its_claims() {
        let text = SigningKey::generate().expect("a key");
        let keys = ["a", "b"].map(|kid| SigningKey::parse(kid, &text).expect("a key"));
        let signed = Signed::default();
        for _ in 0..2 {
            for key in &keys {
                for claims in [json!({"jti": "1"}), json!({"jti": "2"})] {
                    assert_eq!(signed.token(key, &claims), key.sign(&claims));
                }
            }
        }
        let kept = signed.0.lock().expect("nobody has failed");
        assert_eq!((kept.tokens.len(), kept.order.len()), (4, 4));
    }
}
