//! `rollbook api-key`: keys of the management and read APIs.

use clap::Subcommand;
use serde_json::json;

use super::call::Call;

#[derive(Subcommand, Debug)]
pub(super) enum ApiKey {
    Create {
        name: String,
        /// read, webhooks, manage, admins, ssf.manage
        #[arg(long, value_delimiter = ',', default_value = "read")]
        scopes: Vec<String>,
        /// Limit the key to these organizations
        #[arg(long, value_delimiter = ',')]
        organizations: Option<Vec<String>>,
        #[arg(long)]
        expires_at: Option<String>,
    },
    List,
    Revoke {
        id: String,
    },
}

pub(super) fn call(command: ApiKey) -> Call {
    const PATH: &str = "/api/v1/api_keys";
    match command {
        ApiKey::Create { name, scopes, organizations, expires_at } => Call::post(
            PATH,
            json!({
                "name": name,
                "scopes": scopes,
                "organization_ids": organizations,
                "expires_at": expires_at,
            }),
        ),
        ApiKey::List => Call::get(PATH),
        ApiKey::Revoke { id } => Call::delete(format!("{PATH}/{id}")),
    }
}
