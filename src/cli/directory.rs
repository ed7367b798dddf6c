//! `rollbook directory`: directories and what belongs to each.

use clap::Subcommand;
use serde_json::{Value, json};

use super::call::{Call, Page};
use super::{json_file, portal};

#[derive(Subcommand, Debug)]
pub(super) enum Directory {
    /// Make a directory, and its first token where an identity provider pushes into it
    Create {
        name: String,
        /// Id of the organization
        #[arg(long)]
        organization: String,
        /// scim.okta, scim.entra, … for one that is pushed; pull.csv, pull.ldap, … for one that is read:
        /// "rollbook sync kinds" lists those
        #[arg(long, default_value = "scim.generic")]
        kind: String,
        /// File with the configuration of a directory that is read (JSON)
        #[arg(long, value_name = "FILE", value_parser = json_file)]
        config: Option<Value>,
        /// Settings of its own (JSON). One that is read is read at once, unless they say
        /// {"schedule": "off"}
        #[arg(long, value_name = "JSON")]
        settings: Option<String>,
    },
    /// Newest first, 50 at a time
    List {
        /// Id of an organization
        #[arg(long)]
        organization: Option<String>,
        /// linked, paused, disabled, validating, invalid_credentials, error, …
        #[arg(long)]
        state: Option<String>,
        /// scim.okta, pull.csv, …
        #[arg(long)]
        kind: Option<String>,
        /// What the name contains, in any letter case
        #[arg(long)]
        search: Option<String>,
        #[command(flatten)]
        page: Page,
    },
    /// Show one
    Get {
        /// directory_…
        id: String,
    },
    /// Give it another name
    Rename {
        /// directory_…
        id: String,
        name: String,
    },
    /// Change the configuration of a directory that is read
    Configure {
        /// directory_…
        id: String,
        /// File with the members that change (JSON); null takes one away
        #[arg(value_name = "FILE", value_parser = json_file)]
        config: Value,
    },
    /// List the users, also those of whom the app is told nothing, 50 at a time
    Users {
        /// directory_…
        id: String,
        #[command(flatten)]
        page: Page,
    },
    /// List members of groups that have not arrived yet
    PendingMembers {
        /// directory_…
        id: String,
    },
    /// Put settings in place of the ones before
    Settings {
        /// directory_…
        id: String,
        /// A JSON object, which is taken as a whole: what it leaves out has its default. For example
        /// {"inactive_users": "delete"}, or {"schedule": {"every": "1h"}}
        settings: String,
        /// Only show what the app would be told
        #[arg(long)]
        preview: bool,
    },
    /// Show what counts in its profile and where it comes from, and override flags
    Profile {
        /// directory_…
        id: String,
        /// Override a flag of the provider's profile, such as boolean_text=false
        #[arg(long, value_name = "FLAG=VALUE", value_parser = flag_and_value)]
        set: Vec<(String, Value)>,
        /// Take an override away
        #[arg(long, value_name = "FLAG")]
        unset: Vec<String>,
    },
    /// Show or put what the app sees as custom attributes
    AttributeMap {
        /// directory_…
        id: String,
        /// File with a JSON object of attributes: {"badge": {"expression": "raw.badge"}}
        #[arg(long, value_name = "FILE", value_parser = json_file)]
        set: Option<Value>,
        /// Only show what it would make of stored users
        #[arg(long, requires = "set")]
        preview: bool,
    },
    /// List users with an attribute that is required and missing, or whose expression has failed
    AttributeFaults {
        /// directory_…
        id: String,
    },
    /// Show or put which groups and values give which roles
    RoleMap {
        /// directory_…
        id: String,
        /// File with a JSON object: {"rules": [{"role": "admin", "group": "directory_group_…"}]}
        #[arg(long, value_name = "FILE", value_parser = json_file)]
        set: Option<Value>,
        /// Only show what it would make of stored users
        #[arg(long, requires = "set")]
        preview: bool,
    },
    /// Answer requests with 503 until it is resumed
    Pause {
        /// directory_…
        id: String,
    },
    /// Answer requests with 403 until it is resumed
    Disable {
        /// directory_…
        id: String,
    },
    /// Go on after a pause
    Resume {
        /// directory_…
        id: String,
    },
    /// End the connection: freeze it, take access away from everybody and delete it, or hand everybody over
    Disconnect {
        /// directory_…
        id: String,
        mode: portal::Disconnection,
        /// Of a hand over: id of the directory that takes the users over
        #[arg(long, required_if_eq("mode", "hand-over"))]
        to: Option<String>,
        /// Only show what would happen
        #[arg(long)]
        dry_run: bool,
    },
    /// Show how far the disconnection is, and what stands in its way
    Disconnection { id: String },
    /// Call the disconnection off: what is done stays so, the directory stays disabled
    CallOff { id: String },
    /// Delete the directory and everything in it
    Delete {
        /// directory_…
        id: String,
    },
}

pub(super) fn call(command: Directory) -> Call {
    const PATH: &str = "/api/v1/directories";
    let state =
        |id: String, state: &str| Call::patch(format!("{PATH}/{id}"), json!({"state": state}));
    match command {
        Directory::Create { name, organization, kind, config, settings } => Call::post(
            PATH,
            json!({
                "organization_id": organization,
                "name": name,
                "kind": kind,
                "config": config,
                "settings": settings.map(parsed),
            }),
        ),
        Directory::List { organization, state, kind, search, page } => {
            let wanted = [
                ("organization_id", organization),
                ("state", state),
                ("kind", kind),
                ("search", search),
            ];
            Call::find(PATH, &[&wanted[..], &page.parameters()].concat())
        }
        Directory::Get { id } => Call::get(format!("{PATH}/{id}")),
        Directory::Rename { id, name } => {
            Call::patch(format!("{PATH}/{id}"), json!({"name": name}))
        }
        Directory::Configure { id, config } => {
            Call::patch(format!("{PATH}/{id}"), json!({"config": config}))
        }
        Directory::Users { id, page } => {
            Call::find(format!("{PATH}/{id}/users"), &page.parameters())
        }
        Directory::PendingMembers { id } => Call::get(format!("{PATH}/{id}/pending_members")),
        Directory::Settings { id, settings, preview } => {
            let body = json!({"settings": parsed(settings)});
            match preview {
                true => Call::post(format!("{PATH}/{id}/settings/preview"), body),
                false => Call::patch(format!("{PATH}/{id}"), body),
            }
        }
        Directory::Profile { id, set, unset } => profile(&id, set, unset),
        Directory::AttributeMap { id, set, preview } => {
            let set = set.map(|attributes| json!({"attributes": attributes}));
            map(format!("{PATH}/{id}/attribute_map"), set, preview)
        }
        Directory::AttributeFaults { id } => {
            Call::get(format!("{PATH}/{id}/attribute_map/faults?limit=500"))
        }
        Directory::RoleMap { id, set, preview } => {
            map(format!("{PATH}/{id}/role_map"), set, preview)
        }
        Directory::Pause { id } => state(id, "paused"),
        Directory::Disable { id } => state(id, "disabled"),
        Directory::Resume { id } => state(id, "linked"),
        Directory::Disconnect { id, mode, to, dry_run } => {
            portal::disconnect(&format!("{PATH}/{id}/disconnect"), mode, to.as_deref(), dry_run)
        }
        Directory::Disconnection { id } => Call::get(format!("{PATH}/{id}/disconnect")),
        Directory::CallOff { id } => Call::delete(format!("{PATH}/{id}/disconnect")),
        Directory::Delete { id } => Call::delete(format!("{PATH}/{id}")),
    }
}

fn profile(id: &str, set: Vec<(String, Value)>, unset: Vec<String>) -> Call {
    let path = format!("/api/v1/directories/{id}/profile");
    if set.is_empty() && unset.is_empty() {
        return Call::get(path);
    }
    let gone = unset.into_iter().map(|flag| (flag, Value::Null));
    let overrides: serde_json::Map<String, Value> = set.into_iter().chain(gone).collect();
    Call::patch(path, json!({"overrides": overrides}))
}

fn map(path: String, set: Option<Value>, preview: bool) -> Call {
    match set {
        None => Call::get(path),
        Some(body) if preview => Call::post(format!("{path}/preview"), body),
        Some(body) => Call::put(path, body),
    }
}

/// `flag=value`; true and false are booleans, anything else is a word.
fn flag_and_value(text: &str) -> Result<(String, Value), String> {
    let (flag, value) = text.split_once('=').ok_or("write it as flag=value")?;
    let value = match value {
        "true" => true.into(),
        "false" => false.into(),
        word => word.into(),
    };
    Ok((flag.to_owned(), value))
}

/// JSON of the command line; what is none is refused by the server, as text.
fn parsed(text: String) -> Value {
    serde_json::from_str(&text).unwrap_or(text.into())
}
