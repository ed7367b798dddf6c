//! Administrators of the installation: who signs in to the console, with which role, in which browsers.
//!
//! Roles are looked at where requests come in; a use case is given an access that opens every organization
//! under the administrator's id.
//!
//! - [`admin`]: accounts are made, changed and removed
//! - [`session`]: browsers in which somebody is signed in
//! - [`sign_in`]: a password becomes a session
//! - [`guesses`]: limits on wrong ones
//! - [`link`]: links by which somebody chooses a password, once
//! - [`openid`]: an OpenID provider names somebody
//! - [`role_claim`]: the roles that it gives

mod admin;
mod guesses;
mod link;
mod openid;
mod role_claim;
mod session;
mod sign_in;

pub use admin::{AdminChange, AdminView, NewAdmin};
pub use link::{Newcomer, Welcome};
pub use openid::{Departure, OpenIdSettings};
pub use role_claim::RoleClaim;
pub use session::{Admin, Place, Role, SessionView};
pub use sign_in::{SignInError, SignedIn};

use guesses::Guesses;
use tokio::sync::Semaphore;

use crate::auth::{Mac, Seal, SecretKey};
use crate::outbound::Outbound;

/// Passwords that are hashed or wait for it, of strangers, and of others; each hash takes 64 MiB, so one is
/// computed at a time. Strangers, who may be many, leave room for the others.
const MAX_WAITING: usize = 16;

/// What the use cases of the console share.
pub struct Console {
    /// Knows the secrets that were made here.
    mac: Mac,
    guesses: Guesses,
    hashing: Semaphore,
    strangers: Semaphore,
    others: Semaphore,
    openid: Option<openid::OpenId>,
    /// For what a browser keeps while it is away.
    seal: Seal,
}

impl Console {
    pub(super) fn new(secret_key: &SecretKey) -> Self {
        Self {
            mac: secret_key.mac("console"),
            guesses: Guesses::new(),
            hashing: Semaphore::new(1),
            strangers: Semaphore::new(MAX_WAITING),
            others: Semaphore::new(MAX_WAITING),
            openid: None,
            seal: secret_key.seal("console"),
        }
    }

    /// The same where that provider also says who somebody is.
    pub(super) fn with_openid(self, settings: OpenIdSettings, outbound: Outbound) -> Self {
        let openid = openid::OpenId::new(settings, outbound);
        Self { openid: Some(openid), ..self }
    }
}
