//! Replays the recorded flows of identity providers against a SCIM server and reports.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::{fs, process};

use clap::{ArgGroup, Parser};
use rollbook_conformance::allow::AllowList;
use rollbook_conformance::flow::{is_scim11, label};
use rollbook_conformance::management::Management;
use rollbook_conformance::{Flow, FlowReport, Target, load_flows, run_flow};

/// Replay the requests of identity providers against a SCIM server.
#[derive(Parser)]
#[command(group(ArgGroup::new("server").required(true).args(["management_url", "base_url"])))]
struct Args {
    /// Only flows whose `provider/file` contains one of these texts.
    filters: Vec<String>,

    /// Rollbook server; every flow runs against a fresh directory made through `/api/v1`.
    #[arg(long, value_name = "URL", requires = "api_key")]
    management_url: Option<String>,

    /// API key for `--management-url`.
    #[arg(long, value_name = "KEY", env = "ROLLBOOK_API_KEY", hide_env_values = true)]
    api_key: Option<String>,

    /// SCIM base URL of any server; all flows run against this one directory.
    #[arg(long, value_name = "URL", requires = "token")]
    base_url: Option<String>,

    /// SCIM 1.1 base URL of the same directory; without it the SCIM 1.1 flows are skipped.
    #[arg(long, value_name = "URL", requires = "base_url")]
    v1_base_url: Option<String>,

    /// Bearer token for `--base-url`.
    #[arg(long, value_name = "TOKEN", env = "SCIM_TOKEN", hide_env_values = true)]
    token: Option<String>,

    /// Folder with one folder of flows per provider.
    #[arg(long, value_name = "DIR", default_value = "conformance/idp")]
    flows: PathBuf,

    /// List of flows that may fail, one `provider/file # reason` per line.
    #[arg(long, value_name = "FILE")]
    allow: Option<PathBuf>,
}

/// Where the directory of a flow comes from.
enum Server {
    Fresh { management: Management, organization_id: String },
    Given { target: Target, v1_base_url: Option<String> },
}

enum Outcome {
    Ran(FlowReport),
    /// No directory could be made.
    NotRun(String),
    Skipped(&'static str),
}

/// Counts over the whole run.
#[derive(Default)]
struct Tally {
    /// Provider → passed, total.
    providers: BTreeMap<String, (usize, usize)>,
    passed: usize,
    failed: usize,
    /// Failed flows of the allow list, with their reasons.
    expected: Vec<(String, String)>,
    skipped: usize,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(tally) if tally.failed == 0 => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            // Nothing is left to do when standard error is closed.
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Result<Tally, String> {
    let allow = match &args.allow {
        None => AllowList::default(),
        Some(path) => fs::read_to_string(path)
            .map_err(|error| error.to_string())
            .and_then(|text| AllowList::parse(&text))
            .map_err(|error| format!("{}: {error}", path.display()))?,
    };
    let flows = load_flows(&args.flows).map_err(|error| error.to_string())?;
    if let Some(unknown) =
        allow.labels().find(|allowed| !flows.iter().any(|(path, _)| label(path) == *allowed))
    {
        return Err(format!("the allow list names `{unknown}`, which is no flow"));
    }
    let selected: Vec<_> = flows
        .into_iter()
        .map(|(path, flow)| (label(&path), is_scim11(&path), flow))
        .filter(|(label, ..)| {
            args.filters.is_empty() || args.filters.iter().any(|text| label.contains(text))
        })
        .collect();
    if selected.is_empty() {
        return Err(format!("no flow in {} was selected", args.flows.display()));
    }
    let server = connect(args)?;
    let tally = run_all(&selected, &server, &allow).map_err(|error| error.to_string());
    if let Server::Fresh { management, organization_id } = &server
        && let Err(error) = management.organization_remove(organization_id)
    {
        // What is left behind says nothing about the flows.
        let _ = writeln!(io::stderr(), "warning: the organization stays: {error}");
    }
    tally
}

fn connect(args: &Args) -> Result<Server, String> {
    match (&args.management_url, &args.api_key, &args.base_url, &args.token) {
        (Some(url), Some(api_key), ..) => {
            let management = Management::new(url, api_key);
            let name = format!("Conformance {}", process::id());
            let organization_id = management.organization_create(&name)?;
            Ok(Server::Fresh { management, organization_id })
        }
        (_, _, Some(base_url), Some(token)) => Ok(Server::Given {
            target: Target { base_url: base_url.clone(), token: token.clone() },
            v1_base_url: args.v1_base_url.clone(),
        }),
        _ => Err("give --management-url and --api-key, or --base-url and --token".into()),
    }
}

fn run_all(
    flows: &[(String, bool, Flow)],
    server: &Server,
    allow: &AllowList,
) -> io::Result<Tally> {
    let mut out = io::stdout().lock();
    let mut tally = Tally::default();
    for (label, scim11, flow) in flows {
        let outcome = run_one(label, *scim11, flow, server);
        report(&mut out, &mut tally, label, flow, &outcome, allow.reason(label))?;
        out.flush()?;
    }
    summary(&mut out, &tally)?;
    Ok(tally)
}

fn run_one(label: &str, scim11: bool, flow: &Flow, server: &Server) -> Outcome {
    match server {
        Server::Given { .. } if flow.settings.is_some() => {
            Outcome::Skipped("it needs a directory with settings of its own")
        }
        Server::Given { target, .. } if !scim11 => Outcome::Ran(run_flow(flow, target)),
        Server::Given { target, v1_base_url: Some(base_url) } => {
            let target = Target { base_url: base_url.clone(), token: target.token.clone() };
            Outcome::Ran(run_flow(flow, &target))
        }
        Server::Given { v1_base_url: None, .. } => Outcome::Skipped("no --v1-base-url"),
        Server::Fresh { management, organization_id } => {
            let kind = format!("scim.{}", flow.idp);
            let settings = flow.settings.as_ref();
            let made = management.directory_create_with(organization_id, label, &kind, settings);
            let directory = match made {
                Ok(directory) => directory,
                Err(error) => return Outcome::NotRun(error),
            };
            let base_url = if scim11 { directory.v1_base_url } else { directory.base_url };
            let report = run_flow(flow, &Target { base_url, token: directory.token });
            match management.directory_delete(&directory.id) {
                Ok(()) => Outcome::Ran(report),
                Err(error) => Outcome::NotRun(error),
            }
        }
    }
}

fn report(
    out: &mut impl Write,
    tally: &mut Tally,
    label: &str,
    flow: &Flow,
    outcome: &Outcome,
    reason: Option<&str>,
) -> io::Result<()> {
    if let Outcome::Skipped(why) = outcome {
        tally.skipped += 1;
        return writeln!(out, "skipped {label}: {why}");
    }
    let passed = matches!(outcome, Outcome::Ran(report) if report.passed());
    let provider = tally.providers.entry(flow.idp.clone()).or_default();
    provider.0 += usize::from(passed);
    provider.1 += 1;
    // Without a directory the flow was not tried, which no list excuses; a server that does not know
    // the settings of a flow makes none for it.
    let tried = matches!(outcome, Outcome::Ran(_)) || flow.settings.is_some();
    let excuse = reason.filter(|_| tried);
    match (passed, reason) {
        (true, None) => tally.passed += 1,
        (true, Some(_)) => {
            tally.failed += 1;
            return writeln!(out, "FAILED {label} passed although the allow list names it");
        }
        (false, _) => match excuse {
            Some(reason) => tally.expected.push((label.to_owned(), reason.to_owned())),
            None => tally.failed += 1,
        },
    }
    let word = if excuse.is_some() { "failed as expected" } else { "FAILED" };
    match outcome {
        Outcome::Ran(_) if passed => writeln!(out, "ok {label}"),
        Outcome::Ran(report) => {
            let (failed, total) = (report.failed_steps(), report.steps.len());
            writeln!(out, "{word} {label} ({failed} of {total} steps)")?;
            failures(out, report)
        }
        Outcome::NotRun(error) => {
            writeln!(out, "{word} {label} (no directory)\n    {error}")
        }
        Outcome::Skipped(_) => Ok(()),
    }
}

fn failures(out: &mut impl Write, report: &FlowReport) -> io::Result<()> {
    for (number, step) in (1..).zip(&report.steps) {
        if step.passed() {
            continue;
        }
        let status = step.status.map_or_else(|| "no answer".to_owned(), |code| code.to_string());
        writeln!(out, "    step {number}: {} {} → {status}", step.method, step.path)?;
        for failure in &step.failures {
            writeln!(out, "        {failure}")?;
        }
    }
    Ok(())
}

fn summary(out: &mut impl Write, tally: &Tally) -> io::Result<()> {
    let width = tally.providers.keys().map(String::len).max().unwrap_or_default();
    writeln!(out)?;
    for (provider, (passed, total)) in &tally.providers {
        writeln!(out, "{provider:width$} {passed}/{total}")?;
    }
    writeln!(out)?;
    if !tally.expected.is_empty() {
        writeln!(out, "expected failures:")?;
        for (label, reason) in &tally.expected {
            writeln!(out, "    {label}: {reason}")?;
        }
    }
    if tally.skipped > 0 {
        writeln!(out, "{} skipped", tally.skipped)?;
    }
    writeln!(out, "{} passed, {} failed", tally.passed, tally.failed)
}
