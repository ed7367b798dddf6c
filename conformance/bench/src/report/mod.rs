//! The report on Rollbook's speed: starts servers, measures every figure that was to be reached, several
//! times, and says which were. Every figure is a ratio within one run, of a server to a bare database or to
//! itself, so that it means the same on another machine.
//!
//! - `line`: figures and the table; `machine`: where they were measured
//! - `server`, `data`: the servers and what is in them
//! - `tokens`, `creates`, `reads`, `postgres`, `growth`, `pages`, `webhooks`, `process`: the
//!   lines, a file for each set-up

mod creates;
mod data;
mod growth;
mod line;
mod machine;
mod pages;
mod postgres;
mod process;
mod reads;
mod server;
mod tokens;
mod webhooks;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use serde::Serialize;

use line::Line;
use machine::Machine;

/// Clients of reads and changes.
const CLIENTS: u64 = 16;

/// Clients that create users, and creates in one transaction of the bare database.
const CREATORS: u64 = 64;

/// What there is to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Tokens: the first request, and many directories in turn.
    Tokens,
    /// Creates on SQLite, empty and full.
    Creates,
    /// GET by id and `userName eq` on SQLite.
    Reads,
    /// Creates and GET by id on PostgreSQL.
    Postgres,
    /// Changes of groups, look-ups and lists as directories grow.
    Growth,
    /// Pages of lists and walks.
    Pages,
    /// What webhooks cost those who make events.
    Webhooks,
    /// Start and memory of the process.
    Process,
}

/// Measures every figure that Rollbook is to reach.
#[derive(Args)]
pub(crate) struct Options {
    /// The program of the server; a release build for figures that mean something.
    #[arg(long, default_value = "target/release/rollbook")]
    server: PathBuf,
    /// Where servers keep their data. The large directory stays there for the next report.
    #[arg(long, default_value = "target/bench")]
    data_dir: PathBuf,
    /// An empty PostgreSQL database; needs pgbench and psql. Without it its lines are left out.
    #[arg(long)]
    postgres: Option<String>,
    /// Small numbers, to try the report itself.
    #[arg(long)]
    quick: bool,
    /// Users of the large directory; a tenth of them in its large group. 1,000,000, or 20,000 with --quick.
    #[arg(long, value_parser = clap::value_parser!(u64).range(100..=100_000_000))]
    users: Option<u64>,
    /// Directories with tokens of their own. 1,000, or 50 with --quick.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    directories: Option<u64>,
    /// How often everything is measured; the figure in the middle counts. 5, or 1 with --quick.
    #[arg(long)]
    runs: Option<usize>,
    /// Seconds of every measurement. 3, or 0.5 with --quick.
    #[arg(long)]
    seconds: Option<f64>,
    /// Only these parts.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Part>,
    /// Where the figures go as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// What every part needs to know.
struct Bench {
    program: PathBuf,
    folder: PathBuf,
    postgres: Option<String>,
    users: u64,
    directories: u64,
    runs: usize,
    length: Duration,
}

/// The report as JSON.
#[derive(Serialize)]
struct Written<'r> {
    machine: &'r Machine,
    users: u64,
    directories: u64,
    runs: usize,
    seconds: f64,
    lines: &'r [Line],
    failed: &'r [String],
}

/// Measures, prints the table, and fails when something could not be measured.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let bench = Bench::new(options)?;
    let machine = Machine::look(&bench.folder, bench.postgres.as_deref())?;
    let (mut lines, mut failed) = (Vec::new(), Vec::new());
    let begun = Instant::now();
    for part in Part::value_variants() {
        let wanted = options.only.is_empty() || options.only.contains(part);
        if !wanted {
            continue;
        }
        if *part == Part::Postgres && bench.postgres.is_none() {
            say("PostgreSQL is left out: no database was named");
            continue;
        }
        let name = part.to_possible_value().map_or(String::new(), |value| value.get_name().into());
        say(&format!("{:>5} s  {name}", begun.elapsed().as_secs()));
        match measure(*part, &bench) {
            Ok(measured) => lines.extend(measured),
            Err(error) => failed.push(format!("{name}: {error}")),
        }
    }
    say(&format!("{:>5} s  done", begun.elapsed().as_secs()));
    print(&bench, &machine, &lines);
    if let Some(path) = &options.json {
        let written = Written {
            machine: &machine,
            users: bench.users,
            directories: bench.directories,
            runs: bench.runs,
            seconds: bench.length.as_secs_f64(),
            lines: &lines,
            failed: &failed,
        };
        let text = serde_json::to_string_pretty(&written).map_err(|error| error.to_string())?;
        let written = std::fs::write(path, text + "\n");
        written.map_err(|error| format!("{} is not written: {error}", path.display()))?;
    }
    match failed.is_empty() {
        true => Ok(()),
        false => Err(format!("not everything was measured\n  {}", failed.join("\n  "))),
    }
}

fn measure(part: Part, bench: &Bench) -> Result<Vec<Line>, String> {
    match part {
        Part::Tokens => tokens::lines(bench),
        Part::Creates => creates::lines(bench),
        Part::Reads => reads::lines(bench),
        Part::Postgres => postgres::lines(bench),
        Part::Growth => growth::lines(bench),
        Part::Pages => pages::lines(bench),
        Part::Webhooks => webhooks::lines(bench),
        Part::Process => process::lines(bench),
    }
}

impl Bench {
    fn new(options: &Options) -> Result<Self, String> {
        let pick = |chosen: Option<u64>, quick: u64, full: u64| {
            chosen.unwrap_or(if options.quick { quick } else { full })
        };
        let seconds = options.seconds.unwrap_or(if options.quick { 0.5 } else { 3.0 });
        let length = Duration::try_from_secs_f64(seconds)
            .map_err(|_| format!("a measurement cannot take {seconds} seconds"))?;
        let runs = options.runs.unwrap_or(if options.quick { 1 } else { 5 });
        if runs == 0 {
            return Err("nothing is measured in 0 runs".to_owned());
        }
        let program = std::fs::canonicalize(&options.server)
            .map_err(|error| format!("the server {}: {error}", options.server.display()))?;
        let made = std::fs::create_dir_all(&options.data_dir)
            .and_then(|()| std::fs::canonicalize(&options.data_dir));
        let folder = made.map_err(|error| format!("{}: {error}", options.data_dir.display()))?;
        Ok(Self {
            program,
            folder,
            postgres: options.postgres.clone(),
            users: pick(options.users, 20_000, 1_000_000),
            directories: pick(options.directories, 50, 1_000),
            runs,
            length,
        })
    }
}

#[expect(clippy::print_stdout, reason = "a command's result")]
fn print(bench: &Bench, machine: &Machine, lines: &[Line]) {
    let seconds = bench.length.as_secs_f64();
    println!("{machine}\n");
    println!(
        "The median of {} runs of {seconds} s each, with the least and the most.\n",
        bench.runs
    );
    println!("{}", line::table(lines));
    println!("{} of {} held", lines.len() - line::missed(lines), lines.len());
}

/// Tells who waits what is being done.
#[expect(clippy::print_stderr, reason = "progress, beside the result")]
fn say(what: &str) {
    eprintln!("{what}");
}
