//! `rollbook audit`: what was done through the management interfaces, and by whom.

use clap::{Args, Subcommand, ValueEnum};

use super::call::Call;
use super::local::{copy, perform, server};
use super::print;
use crate::app::StartError;
use crate::config::Config;

#[derive(Subcommand, Debug)]
pub(super) enum Audit {
    /// Newest first
    List {
        #[command(flatten)]
        filter: Filter,
        /// 1 to 500
        #[arg(long, default_value_t = 50)]
        limit: i64,
        /// Rows older than this one
        #[arg(long)]
        after: Option<String>,
    },
    /// All that is kept and selected, newest first; of a running server
    Export {
        #[command(flatten)]
        filter: Filter,
        #[arg(long, value_enum, default_value_t = Format::Jsonl)]
        format: Format,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Format {
    Csv,
    Jsonl,
}

/// What to look for; everything that is given must hold.
#[derive(Args, Clone, Debug)]
pub(super) struct Filter {
    /// Id of an organization
    #[arg(long)]
    organization: Option<String>,
    /// Id of a directory
    #[arg(long)]
    directory: Option<String>,
    /// Id of an API key, an administrator or a setup link; local or configured
    #[arg(long)]
    actor: Option<String>,
    /// directory.updated, …
    #[arg(long)]
    action: Option<String>,
    /// Id of what something was done to
    #[arg(long)]
    target: Option<String>,
    /// 2031-01-01T00:00:00Z
    #[arg(long)]
    from: Option<String>,
    #[arg(long)]
    to: Option<String>,
    /// Stands anywhere in the row
    #[arg(long)]
    q: Option<String>,
}

impl Filter {
    fn call(self, rest: [(&'static str, Option<String>); 2]) -> Call {
        let own = [
            ("organization_id", self.organization),
            ("directory_id", self.directory),
            ("actor", self.actor),
            ("action", self.action),
            ("target", self.target),
            ("from", self.from),
            ("to", self.to),
            ("q", self.q),
        ];
        Call::find("/api/v1/audit", &own.into_iter().chain(rest).collect::<Vec<_>>())
    }
}

pub(super) fn run(config: &Config, command: Audit) -> Result<(), StartError> {
    match command {
        Audit::List { filter, limit, after } => {
            let call = filter.call([("limit", Some(limit.to_string())), ("after", after)]);
            print(&perform(config, &call)?);
            Ok(())
        }
        Audit::Export { filter, format } => {
            let format = match format {
                Format::Csv => "csv",
                Format::Jsonl => "jsonl",
            };
            let call = filter.call([("format", Some(format.to_owned())), ("limit", None)]);
            copy(&server(config)?, &call)
        }
    }
}
