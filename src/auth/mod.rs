//! Bearer secrets: their form, their hashes, and the memory of those already verified.

pub mod failures;
pub mod hash;
pub mod seal;
pub mod secret;
pub mod verified;

pub use failures::Failures;
pub use seal::{Mac, Seal, SecretKey};
pub use secret::{Presented, Secret, SecretKind};
pub use verified::Verified;
