//! Setup links: an administrator of an organization connects its directories without an account.
//!
//! The app asks for a link to one organization. Whoever opens it exchanges it, once, for a session of an
//! hour, in which one chooses the identity provider, takes base URL and token, follows its steps and sees
//! what arrives. A session opens what an API key that is limited to the organization would, by the same
//! use cases, so nothing of another organization is in reach.
//!
//! - [`link`]: links are made, revoked and forgotten
//! - [`session`]: a link becomes a session; forms are told from forged ones
//! - [`setup`]: what a visitor does; most of it is what the management API does, in the session
//! - [`source`]: the form of a source, and the directory that it makes
//! - [`status`]: what has arrived; [`log`]: each request as a sentence
//! - [`brand`]: how the pages look
//! - [`guide`]: the steps of each provider, as `docs/providers` has them

mod brand;
pub mod guide;
mod link;
mod log;
mod origin;
mod session;
mod setup;
mod source;
mod status;

pub use brand::{Branding, BrandingChange, MAX_LOGO_BYTES};
pub use link::{NewPortalLink, PortalLinkView, PortalRevocation};
pub use log::{Entry, Log, LogQuery, Piece};
pub use origin::Origin;
pub use session::{Issued, Landing, SecretOf, Visit, is_same_secret};
pub use setup::Offer;
pub use source::SourceForm;
pub use status::Arrived;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::limit::{Limiter, Rate};
use crate::auth::{Mac, SecretKey};

/// What one link, or one session, may ask for. Whoever holds one is an outsider, so the operator's own limits
/// say nothing about it.
const RATE: Rate = Rate { per_second: 5, burst: 60 };

/// What the use cases of setup links share.
pub struct Portal {
    pub metrics: PortalMetrics,
    /// Where links may lead back to.
    origins: Vec<Origin>,
    /// Knows the secrets that were made here.
    mac: Mac,
    /// By the hash of the secret.
    limiter: Limiter<[u8; 32]>,
}

impl Portal {
    pub(super) fn new(secret_key: &SecretKey) -> Self {
        Self {
            metrics: PortalMetrics::default(),
            origins: Vec::new(),
            mac: secret_key.mac("portal"),
            limiter: Limiter::default(),
        }
    }

    pub(super) fn leading_to(self, origins: Vec<Origin>) -> Self {
        Self { origins, ..self }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

/// Counters of setup links; clones share the same values.
#[derive(Clone, Debug, Default)]
pub struct PortalMetrics {
    made: Counter,
    exchanges: Family<OutcomeLabels, Counter>,
}

impl PortalMetrics {
    pub fn register(&self, registry: &mut Registry) {
        registry.register("portal_links", "Setup links that were made", self.made.clone());
        registry.register(
            "portal_exchanges",
            "Attempts to exchange a setup link for a session, by outcome",
            self.exchanges.clone(),
        );
    }

    fn exchanged(&self, outcome: &'static str) {
        self.exchanges.get_or_create(&OutcomeLabels { outcome }).inc();
    }
}
