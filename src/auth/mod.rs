//! Bearer secrets: their form, their hashes, and the memory of those already verified. Signed
//! tokens: our own, and the keys that check those of others.

pub mod access_token;
pub mod failures;
pub mod hash;
pub mod jwt;
mod jwt_crypto;
pub mod passphrase;
pub mod password;
pub mod private_key;
pub mod seal;
pub mod secret;
pub mod signing;
pub mod verified;

pub use access_token::{AccessClaims, AccessTokens};
pub use failures::Failures;
pub use jwt::{JwtFault, KeySet};
pub use seal::{Mac, Seal, SecretKey, key_id};
pub use secret::{Presented, Secret, SecretKind};
pub use signing::SigningKey;
pub use verified::Verified;
