//! Bearer secrets: their form, their hashes, and the memory of those already verified.

pub mod failures;
pub mod hash;
pub mod secret;
pub mod verified;

pub use failures::Failures;
pub use secret::{Presented, Secret, SecretKind};
pub use verified::Verified;
