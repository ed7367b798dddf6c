//! `rollbook check`: whether the database is sound.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::{print, print_line};
use crate::app::StartError;
use crate::config::Config;
use crate::store::{self, CheckPart, Location};

/// What the process ends with when something was found; 1 means that it could not be looked.
const FOUND: u8 = 2;

#[derive(Args, Debug)]
pub(super) struct Check {
    /// Answer with one JSON document
    #[arg(long)]
    json: bool,
    /// Count resources anew where the counters are wrong
    #[arg(long)]
    repair: bool,
}

pub(super) fn run(config: &Config, command: &Check) -> Result<ExitCode, StartError> {
    let location = config.location()?;
    if let Location::Sqlite(path) = &location
        && !path.is_file()
    {
        return Err(StartError(format!("there is no database at {}", path.display())));
    }
    let shown = !command.json;
    let mut parts = store::check(&location, |part| show(part, shown))?;
    let wrong = |parts: &[CheckPart]| parts.iter().any(|part| !part.findings.is_empty());
    let counters = |part: &CheckPart| {
        ["counters", "app counters"].contains(&part.name) && !part.findings.is_empty()
    };
    let repair = command.repair && parts.iter().any(counters);
    if repair {
        let directories = store::repair_counters(&location)?;
        if shown {
            print_line(format_args!("\ncounted anew in {directories} directories\n"));
        }
        parts = store::check(&location, |part| show(part, shown))?;
    }
    if command.json {
        print(&document(&parts, repair));
    }
    Ok(if wrong(&parts) { ExitCode::from(FOUND) } else { ExitCode::SUCCESS })
}

fn show(part: &CheckPart, shown: bool) {
    if !shown {
        return;
    }
    let verdict = match (part.findings.len(), part.more) {
        (0, _) => "ok".to_owned(),
        (n, false) => format!("{n} found"),
        (n, true) => format!("more than {n} found"),
    };
    print_line(format_args!("{:18} {verdict}", part.name));
    for finding in &part.findings {
        print_line(format_args!("    {finding}"));
    }
}

/// `{"ok", "repaired", "parts": [{"name", "ok", "findings", "more"}]}`
fn document(parts: &[CheckPart], repaired: bool) -> Value {
    let one = |part: &CheckPart| {
        json!({
            "name": part.name,
            "ok": part.findings.is_empty(),
            "findings": part.findings,
            "more": part.more,
        })
    };
    json!({
        "ok": parts.iter().all(|part| part.findings.is_empty()),
        "repaired": repaired,
        "parts": parts.iter().map(one).collect::<Vec<_>>(),
    })
}
