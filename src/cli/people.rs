//! `rollbook people`: who is who, in all directories.

use clap::Subcommand;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::Call;

#[derive(Subcommand, Debug)]
pub(super) enum People {
    /// Users whose user name, address or external id begins so
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
}

pub(super) fn people(command: People) -> Call {
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let (path, pairs) = match command {
        People::Search { text, groups, organization, limit, after } => {
            let path = if groups { "/api/v1/groups" } else { "/api/v1/people" };
            let pairs = vec![
                ("q", Some(text)),
                ("organization_id", organization),
                ("limit", Some(limit.to_string())),
                ("after", after),
            ];
            (path.to_owned(), pairs)
        }
        People::Story { user, limit, after } => {
            let path = format!("/api/v1/people/{}/story", encoded(&user));
            (path, vec![("limit", Some(limit.to_string())), ("after", after)])
        }
    };
    let pairs = pairs.into_iter();
    let pairs = pairs.filter_map(|(name, value)| Some(format!("{name}={}", encoded(&value?))));
    Call::get(format!("{path}?{}", pairs.collect::<Vec<_>>().join("&")))
}
