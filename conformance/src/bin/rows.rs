//! Checks the requirements of RFC 7643 and RFC 7644 row by row and prints which hold.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgGroup, Parser, ValueEnum};
use rollbook_conformance::host::Host;
use rollbook_conformance::report::{self, Outcome, SectionReport};
use rollbook_conformance::rows::{Section, sections};
use rollbook_conformance::subject::Column;

/// Check every requirement of RFC 7643 and RFC 7644 against a SCIM server.
#[derive(Parser)]
#[command(group(
    ArgGroup::new("which").required(true).args(["server", "management_url", "base_url"])
))]
struct Args {
    /// Rollbook binary; it is started on a free port with a temporary folder, so that its database
    /// and its log can be looked at.
    #[arg(long, value_name = "PATH")]
    server: Option<PathBuf>,

    /// Running Rollbook; every row gets a fresh directory made through `/api/v1`.
    #[arg(long, value_name = "URL", requires = "api_key")]
    management_url: Option<String>,

    /// API key for `--management-url`.
    #[arg(long, value_name = "KEY", env = "ROLLBOOK_API_KEY", hide_env_values = true)]
    api_key: Option<String>,

    /// SCIM base URL of any server; all rows run against this one empty directory.
    #[arg(long, value_name = "URL", requires = "token")]
    base_url: Option<String>,

    /// Bearer token for `--base-url`.
    #[arg(long, value_name = "TOKEN", env = "SCIM_TOKEN", hide_env_values = true)]
    token: Option<String>,

    /// Only this column; both without it, and `rfc` for `--base-url`.
    #[arg(long, value_name = "PROFILE")]
    profile: Option<Profile>,

    /// Only these sections and rows: `A,B,X3`.
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    only: Vec<String>,

    /// Write the report as JSON to this file too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Profile {
    Rfc,
    Default,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // Nothing is left to do when standard error is closed.
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::from(2)
        }
    }
}

/// True when every row is as it was declared to be.
fn run(args: &Args) -> Result<bool, String> {
    let selected = select(&args.only)?;
    let host = connect(args)?;
    let columns = columns(args);
    let mut out = io::stdout().lock();
    let reports = report::run(&host, selected, columns, &mut out)
        .and_then(|reports| report::print(&mut out, &reports, columns).map(|()| reports))
        .map_err(|error| error.to_string())?;
    if let Some(path) = &args.json {
        let text = format!("{:#}\n", report::json(&reports, columns));
        fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let good = verdict(&reports, host.is_own());
    if let Err(error) = host.close() {
        // What is left behind says nothing about the rows.
        let _ = writeln!(io::stderr(), "warning: the organization stays: {error}");
    }
    Ok(good)
}

/// A row that could not be looked at is no failure of a server that the run did not start.
fn verdict(reports: &[SectionReport], own_server: bool) -> bool {
    let mut outcomes = reports.iter().flat_map(|report| &report.rows).flat_map(|row| &row.outcomes);
    outcomes.all(|(_, outcome)| {
        outcome.is_good() || (!own_server && matches!(outcome, Outcome::Skipped(_)))
    })
}

fn connect(args: &Args) -> Result<Host, String> {
    match (&args.server, &args.management_url, &args.base_url) {
        (Some(binary), ..) => Host::start(binary),
        (_, Some(url), _) => {
            let key = args.api_key.as_deref().ok_or("--management-url needs --api-key")?;
            Host::rollbook(url, key)
        }
        (.., Some(url)) => {
            let token = args.token.as_deref().ok_or("--base-url needs --token")?;
            Host::given(url, token)
        }
        _ => Err("give --server, --management-url or --base-url".into()),
    }
}

fn columns(args: &Args) -> &'static [Column] {
    match (args.profile, &args.base_url) {
        (Some(Profile::Default), _) => &[Column::Default],
        (Some(Profile::Rfc), _) | (None, Some(_)) => &[Column::Rfc],
        (None, None) => &Column::BOTH,
    }
}

/// The rows that the words name; all without words.
fn select(only: &[String]) -> Result<Vec<Section>, String> {
    let mut selected = sections();
    if only.is_empty() {
        return Ok(selected);
    }
    let is = |name: &str, word: &String| name.eq_ignore_ascii_case(word);
    for word in only {
        let known = selected
            .iter()
            .any(|section| is(section.letter, word) || section.rows.iter().any(|r| is(r.id, word)));
        if !known {
            return Err(format!("`{word}` is neither a section nor a row"));
        }
    }
    for section in &mut selected {
        let whole = only.iter().any(|word| is(section.letter, word));
        section.rows.retain(|row| whole || only.iter().any(|word| is(row.id, word)));
    }
    selected.retain(|section| !section.rows.is_empty());
    Ok(selected)
}
