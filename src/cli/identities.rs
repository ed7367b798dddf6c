//! `rollbook identity …`: persons of an organization, and which of its directories is the primary one.

use clap::Subcommand;
use serde_json::json;

use super::call::{Call, encoded};

#[derive(Subcommand, Debug)]
pub(super) enum Identity {
    /// Show the primary directory of an organization; with --set or --none what another one would
    /// change, and with --yes make it so. The organization keeps identities from then on
    Primary {
        organization: String,
        /// Id of the directory
        #[arg(long, value_name = "DIRECTORY", conflicts_with = "none")]
        set: Option<String>,
        /// No directory is to be the primary one
        #[arg(long)]
        none: bool,
        /// Do it
        #[arg(long)]
        yes: bool,
    },
    List {
        organization: String,
        /// active, inactive or ended
        #[arg(long)]
        state: Option<String>,
        #[arg(long)]
        email: Option<String>,
        /// Id of a user
        #[arg(long)]
        user: Option<String>,
        /// Go on behind this id
        #[arg(long)]
        after: Option<String>,
    },
    Get {
        organization: String,
        identity: String,
    },
    /// Who may be the same person
    Suggestions {
        organization: String,
        /// open, accepted or rejected
        #[arg(long)]
        state: Option<String>,
        /// Go on behind this id
        #[arg(long)]
        after: Option<String>,
    },
    /// They are the same person
    Accept {
        organization: String,
        suggestion: String,
    },
    /// They are not the same person
    Reject {
        organization: String,
        suggestion: String,
    },
    /// Take a decision back
    Undo {
        organization: String,
        suggestion: String,
    },
    /// An account is not the person whose it is: it becomes a person of its own
    Unlink {
        organization: String,
        identity: String,
        /// Id of the user
        user: String,
    },
    /// Addresses that were confirmed to be a person's
    Aliases {
        organization: String,
        identity: String,
    },
    /// Confirm that an address is a person's
    AddAlias {
        organization: String,
        identity: String,
        email: String,
    },
    RemoveAlias {
        organization: String,
        identity: String,
        email: String,
    },
    /// Accounts that are active while the primary directory says that the person is not
    Orphaned {
        organization: String,
        /// Go on behind this id
        #[arg(long)]
        after: Option<String>,
    },
}

pub(super) fn call(command: Identity) -> Call {
    let path = |organization: &str, rest: &str| {
        format!("/api/v1/organizations/{}/{rest}", encoded(organization))
    };
    let decide = |organization: &str, suggestion: &str, decision: &str| {
        let suggestion = encoded(suggestion);
        let rest = format!("identity_suggestions/{suggestion}/{decision}");
        Call::post(path(organization, &rest), json!({}))
    };
    let aliases =
        |identity: &str, rest: &str| format!("identities/{}/aliases{rest}", encoded(identity));
    match command {
        Identity::Primary { organization, set: None, none: false, .. } => {
            Call::get(path(&organization, "primary_directory"))
        }
        Identity::Primary { organization, set, none: _, yes } => Call::put(
            path(&organization, "primary_directory"),
            json!({"directory_id": set, "dry_run": !yes}),
        ),
        Identity::List { organization, state, email, user, after } => {
            let values = [("state", state), ("email", email), ("user_id", user), ("after", after)];
            Call::find(path(&organization, "identities"), &values)
        }
        Identity::Get { organization, identity } => {
            Call::get(path(&organization, &format!("identities/{}", encoded(&identity))))
        }
        Identity::Suggestions { organization, state, after } => {
            let values = [("state", state), ("after", after)];
            Call::find(path(&organization, "identity_suggestions"), &values)
        }
        Identity::Accept { organization, suggestion } => {
            decide(&organization, &suggestion, "accept")
        }
        Identity::Reject { organization, suggestion } => {
            decide(&organization, &suggestion, "reject")
        }
        Identity::Undo { organization, suggestion } => decide(&organization, &suggestion, "undo"),
        Identity::Unlink { organization, identity, user } => {
            let (identity, user) = (encoded(&identity), encoded(&user));
            let rest = format!("identities/{identity}/accounts/{user}/unlink");
            Call::post(path(&organization, &rest), json!({}))
        }
        Identity::Aliases { organization, identity } => {
            Call::get(path(&organization, &aliases(&identity, "")))
        }
        Identity::AddAlias { organization, identity, email } => {
            Call::post(path(&organization, &aliases(&identity, "")), json!({"email": email}))
        }
        Identity::RemoveAlias { organization, identity, email } => {
            let rest = format!("/{}", encoded(&email));
            Call::delete(path(&organization, &aliases(&identity, &rest)))
        }
        Identity::Orphaned { organization, after } => {
            Call::find(path(&organization, "orphaned_access"), &[("after", after)])
        }
    }
}
