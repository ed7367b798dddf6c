//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::connection::{Connection, Origin};
use crate::drive::{self, Address, Loop, MOST_KNOWN, Plan, Seed};
use crate::measure::{self, Row};
use crate::operation::Mix;
use crate::people::People;
use crate::report;

/// Measures a SCIM server.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Creates users and groups.
    Seed {
        #[command(flatten)]
        target: Target,
        /// Users to create.
        #[arg(long, default_value_t = 1_000)]
        users: u64,
        /// Groups to create.
        #[arg(long, default_value_t = 10)]
        groups: u64,
        /// Members of each group; the first users of the seed.
        #[arg(long, default_value_t = 100)]
        members: u64,
    },
    /// Sends a mix of requests to a seeded directory.
    Run {
        #[command(flatten)]
        target: Target,
        /// Kinds of requests with their shares, such as get=8,find-user-name=2.
        #[arg(long, default_value = "get")]
        mix: Mix,
        /// Seconds to run.
        #[arg(long, default_value_t = 10)]
        seconds: u64,
        /// Requests a second, whatever the server takes (open loop). Without it every client sends
        /// its next request when it has its answer (closed loop).
        #[arg(long)]
        rate: Option<f64>,
        /// Users of the seed.
        #[arg(long, default_value_t = 1_000)]
        users: u64,
        /// Groups of the seed.
        #[arg(long, default_value_t = 10)]
        groups: u64,
    },
    /// Measures Rollbook against the figures that it is to reach.
    Report(report::Options),
    /// Prints the figures of several runs side by side, from their files.
    Compare {
        /// What --json wrote.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Asks for one address over and over: what this client can drive.
    Constant {
        /// The address, such as http://127.0.0.1:8080/health/live.
        url: String,
        #[command(flatten)]
        clients: Clients,
        /// Seconds to run.
        #[arg(long, default_value_t = 5)]
        seconds: u64,
    },
}

#[derive(Args)]
struct Target {
    /// The SCIM base URL.
    #[arg(long)]
    base_url: String,
    /// The bearer token.
    #[arg(long, env = "SCIM_TOKEN", hide_env_values = true)]
    token: String,
    /// Stands in all names, so that several data sets fit into one directory.
    #[arg(long, default_value = "bench")]
    namespace: String,
    #[command(flatten)]
    clients: Clients,
}

#[derive(Args)]
struct Clients {
    /// Connections at the same time.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    clients: u64,
    /// The same number makes the same requests.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the figures go as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

impl std::str::FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text)
    }
}

impl Target {
    fn plan(&self, work: Loop) -> Result<Plan, String> {
        Ok(Plan {
            connect: Connection::new(Origin::parse(&self.base_url)?, Some(&self.token)),
            clients: self.clients.clients,
            seed: self.clients.seed,
            work,
        })
    }

    fn people(&self) -> People {
        People { namespace: self.namespace.clone() }
    }
}

/// Runs the command that the arguments name; the first one is the name of the program.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Result<(), String> {
    match Arguments::try_parse_from(arguments) {
        Ok(arguments) => perform(arguments.command),
        Err(error) => error.exit(),
    }
}

fn perform(command: Command) -> Result<(), String> {
    let (report, json) = match command {
        Command::Seed { target, users, groups, members } => {
            let seed = Seed { people: target.people(), users, groups, members };
            let plan = target.plan(Loop::Closed)?;
            (drive::seed(&plan, &seed), target.clients.json)
        }
        Command::Run { target, mix, seconds, rate, users, groups } => {
            let work = match rate {
                Some(rate) if rate > 0.0 && rate.is_finite() => Loop::Open(rate),
                Some(rate) => return Err(format!("a rate of {rate} requests a second is none")),
                None => Loop::Closed,
            };
            let plan = target.plan(work)?;
            let scene = drive::scene(&plan, target.people(), users, groups, MOST_KNOWN)?;
            let length = Duration::from_secs(seconds);
            (drive::mix(&plan, &scene, &mix, length), target.clients.json)
        }
        Command::Constant { url, clients, seconds } => {
            let plan = Plan {
                connect: Connection::new(Origin::parse(&url)?, None),
                clients: clients.clients,
                seed: clients.seed,
                work: Loop::Closed,
            };
            let address = [Address { path: String::new(), token: None }];
            (drive::gets(&plan, &address, Duration::from_secs(seconds)), clients.json)
        }
        Command::Report(options) => return report::run(&options),
        Command::Compare { files } => return compare(&files),
    };
    let rows = report.rows();
    #[expect(clippy::print_stdout, reason = "a command's result")]
    {
        print!("{}", measure::table(&rows));
    }
    if let Some(path) = json {
        let text = serde_json::to_string_pretty(&rows).map_err(|error| error.to_string())?;
        let written = std::fs::write(&path, text + "\n");
        written.map_err(|error| format!("{} is not written: {error}", path.display()))?;
    }
    match rows.iter().map(|row| row.errors).sum() {
        0_u64 => Ok(()),
        _ => Err("some requests failed; see the table".to_owned()),
    }
}

/// Prints the rows of several files under each other, request by request.
fn compare(files: &[PathBuf]) -> Result<(), String> {
    let read = |path: &PathBuf| {
        let wrong = |error: String| format!("{} cannot be read: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        let rows: Vec<Row> =
            serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok((name, rows))
    };
    let runs: Vec<(String, Vec<Row>)> = files.iter().map(read).collect::<Result<_, String>>()?;
    #[expect(clippy::print_stdout, reason = "a command's result")]
    {
        print!("{}", measure::side_by_side(&runs));
    }
    Ok(())
}
