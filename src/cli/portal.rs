//! `rollbook portal`: setup links.

use clap::Subcommand;
use serde_json::json;

use super::Call;

#[derive(Subcommand, Debug)]
pub(super) enum Portal {
    /// Make a link that opens the set-up pages of one organization, once
    Link {
        /// Id of the organization
        organization: String,
        /// Where the pages lead back to; of an origin of ROLLBOOK_PORTAL_ORIGINS
        #[arg(long)]
        return_url: Option<String>,
        /// Where they lead when the set-up is finished
        #[arg(long)]
        success_url: Option<String>,
        /// Seconds that the link may wait to be used: 60 to 604800, 300 by default
        #[arg(long)]
        expires_in: Option<i64>,
        /// Your own id of whom the link is for, by which it can be revoked
        #[arg(long)]
        external_user_id: Option<String>,
    },
    /// End the links of an organization and the sessions that came of them
    Revoke {
        /// Id of the organization
        organization: String,
        /// Only those that were made for this one
        #[arg(long)]
        external_user_id: Option<String>,
    },
}

pub(super) fn call(command: Portal) -> Call {
    match command {
        Portal::Link { organization, return_url, success_url, expires_in, external_user_id } => {
            Call::post(
                "/portal/generate_link",
                json!({
                    "organization": organization,
                    "return_url": return_url,
                    "success_url": success_url,
                    "expires_in": expires_in,
                    "external_user_id": external_user_id,
                }),
            )
        }
        Portal::Revoke { organization, external_user_id } => Call::post(
            "/portal/revoke_link",
            json!({"organization": organization, "external_user_id": external_user_id}),
        ),
    }
}
