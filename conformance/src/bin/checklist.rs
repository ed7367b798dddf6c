//! Prints the checklist with how its flows and tests went.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use rollbook_conformance::checklist::{self, Checklist};
use rollbook_conformance::flow::label;
use rollbook_conformance::load_flows;

/// Print what identity providers need of a server, and which flows and tests show it.
#[derive(Parser)]
struct Args {
    /// Folder with `checklist.toml` and one folder of flows per provider.
    #[arg(long, value_name = "DIR", default_value = "conformance/idp")]
    idp: PathBuf,

    /// What the flows reported: lines `ok provider/file`, `FAILED provider/file …`.
    #[arg(long, value_name = "FILE", required_unless_present = "test_filter")]
    flows: Option<PathBuf>,

    /// What the tests reported, in the same form; without it the flows alone decide.
    #[arg(long, value_name = "FILE")]
    tests: Option<PathBuf>,

    /// Print an expression that selects the tests of the list for `cargo nextest run -E`.
    #[arg(long)]
    test_filter: bool,
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

/// True when no line failed.
fn run(args: &Args) -> Result<bool, String> {
    let path = args.idp.join("checklist.toml");
    let list =
        Checklist::parse(&read(&path)?).map_err(|error| format!("{}: {error}", path.display()))?;
    let known = load_flows(&args.idp).map_err(|error| error.to_string())?;
    let is_known = |name: &str| known.iter().any(|(path, _)| label(path) == name);
    if let Some(unknown) = list.flows().into_iter().find(|name| !is_known(name)) {
        return Err(format!("{}: `{unknown}` is no flow", path.display()));
    }
    let mut out = io::stdout().lock();
    if args.test_filter {
        writeln!(out, "{}", list.test_filter()).map_err(|error| error.to_string())?;
        return Ok(true);
    }
    let outcomes = |path: &PathBuf| Ok::<_, String>(checklist::outcomes(&read(path)?));
    let flows = args.flows.as_ref().map(outcomes).transpose()?.unwrap_or_default();
    let tests = args.tests.as_ref().map(outcomes).transpose()?;
    let count = checklist::print(&mut out, &list, &flows, tests.as_ref());
    Ok(count.map_err(|error| error.to_string())?.failed == 0)
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}
