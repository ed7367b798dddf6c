//! `rollbook people`: who is who, in all directories.

use clap::Subcommand;

use super::call::{Call, encoded};

#[derive(Subcommand, Debug)]
pub(super) enum People {
    /// Users whose user name, address, external id or name begins so
    Search {
        text: String,
        /// Groups instead, whose name or external id begins so
        #[arg(long)]
        groups: bool,
        /// Id of an organization
        #[arg(long)]
        organization: Option<String>,
        /// 1 to 200
        #[arg(long, default_value_t = 50)]
        limit: i64,
        /// list_metadata.after of the page before
        #[arg(long)]
        after: Option<String>,
    },
    /// Accounts, groups and changes of one user, with who caused them
    Story {
        /// Id of the user
        user: String,
        /// 1 to 500
        #[arg(long, default_value_t = 50)]
        limit: i64,
        /// Changes older than this one
        #[arg(long)]
        after: Option<String>,
    },
    /// One group with the users whom it has directly
    Group {
        /// Id of the group
        group: String,
        /// 1 to 500
        #[arg(long, default_value_t = 50)]
        limit: i64,
        /// Members behind this one
        #[arg(long)]
        after: Option<String>,
    },
}

pub(super) fn people(command: People) -> Call {
    let page = |limit: i64, after| [("limit", Some(limit.to_string())), ("after", after)];
    match command {
        People::Search { text, groups, organization, limit, after } => {
            let path = if groups { "/api/v1/groups" } else { "/api/v1/people" };
            let wanted = [("q", Some(text)), ("organization_id", organization)];
            Call::find(path, &[wanted, page(limit, after)].concat())
        }
        People::Story { user, limit, after } => {
            Call::find(format!("/api/v1/people/{}/story", encoded(&user)), &page(limit, after))
        }
        People::Group { group, limit, after } => {
            Call::find(format!("/api/v1/groups/{}", encoded(&group)), &page(limit, after))
        }
    }
}
