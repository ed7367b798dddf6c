//! `rollbook organization`: customers.

use clap::Subcommand;
use serde_json::{Value, json};

use super::call::{Call, Page, encoded, given};

#[derive(Subcommand, Debug)]
pub(super) enum Organization {
    Create {
        name: String,
        /// Your own id of the customer
        #[arg(long)]
        external_id: Option<String>,
    },
    /// Newest first, 50 at a time
    List(Page),
    Get {
        id: String,
    },
    /// Change the name or your own id
    Update {
        id: String,
        #[arg(long)]
        name: Option<String>,
        /// Your own id of the customer
        #[arg(long)]
        external_id: Option<String>,
        /// Take your own id away
        #[arg(long, conflicts_with = "external_id")]
        no_external_id: bool,
    },
    /// Remove an organization that has no directory
    Delete {
        id: String,
    },
}

pub(super) fn call(command: Organization) -> Call {
    const PATH: &str = "/api/v1/organizations";
    let one = |id: &str| format!("{PATH}/{}", encoded(id));
    match command {
        Organization::Create { name, external_id } => {
            Call::post(PATH, json!({"name": name, "external_id": external_id}))
        }
        Organization::List(page) => Call::find(PATH, &page.parameters()),
        Organization::Get { id } => Call::get(one(&id)),
        Organization::Update { id, name, external_id, no_external_id } => {
            let external_id = match no_external_id {
                true => Some(Value::Null),
                false => external_id.map(Value::from),
            };
            let change = [("name", name.map(Value::from)), ("external_id", external_id)];
            Call::patch(one(&id), given(change))
        }
        Organization::Delete { id } => Call::delete(one(&id)),
    }
}
