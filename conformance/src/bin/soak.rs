//! Plays the clients of every identity provider at once against a Rollbook, reads everything back,
//! and reports.

use std::io::{self, Write};
use std::process::{self, ExitCode};
use std::time::Duration;

use clap::Parser;
use rollbook_conformance::management::Management;
use rollbook_conformance::soak::{Options, Report, run};

/// Many identity providers' clients at once, each in a directory of its own.
#[derive(Parser)]
struct Args {
    /// Rollbook server; directories are made through `/api/v1` and deleted afterwards.
    #[arg(long, value_name = "URL")]
    management_url: String,

    /// API key for `--management-url`.
    #[arg(long, value_name = "KEY", env = "ROLLBOOK_API_KEY", hide_env_values = true)]
    api_key: String,

    /// How long the clients play.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    seconds: u64,

    /// Clients, each with a directory of its own and two connections; providers take turns.
    #[arg(long, value_name = "NUMBER", default_value_t = 64)]
    clients: usize,

    /// Decides what every client does. Without it, another one each time; the report names it.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
}

fn main() -> ExitCode {
    match soak(&Args::parse()) {
        Ok(report) if report.is_good() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            // Nothing is left to do when standard error is closed.
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::from(2)
        }
    }
}

fn soak(args: &Args) -> Result<Report, String> {
    let options = Options {
        clients: args.clients,
        duration: Duration::from_secs(args.seconds),
        seed: args.seed.unwrap_or_else(|| process::id().into()),
    };
    let mut out = io::stdout();
    writeln!(out, "seed {}, {} clients", options.seed, options.clients)
        .map_err(|error| error.to_string())?;
    let report = run(&Management::new(&args.management_url, &args.api_key), options)?;
    report.print(&mut out).map_err(|error| error.to_string())?;
    Ok(report)
}
