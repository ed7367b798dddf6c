//! `rollbook sync`: runs of directories that are read, in the terminal.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::backup::tell;
use super::call::{Call, Page, encoded};
use super::local::{exchange, local_agent, perform, send, server, understood};
use super::{print, print_line};
use crate::app::{LocalAccess, StartError};
use crate::config::Config;

/// Changes asked for at a time.
const CHANGES: i64 = 1_000;

/// How a command ends whose run waits for a decision; with 1 it ends when the run has failed.
const HELD: u8 = 3;

/// How long one look at a run waits for its end, in seconds: that often the bar moves.
const WAIT: u64 = 1;

#[derive(Subcommand, Debug)]
pub(super) enum Sync {
    /// Kinds of sources, or the fields of one kind
    Kinds {
        /// pull.csv, pull.scim, …
        kind: Option<String>,
    },
    /// Whether the source can be reached; ends with 1 where it cannot
    Test {
        /// Id of the directory
        directory: String,
    },
    /// Hand in a file that the directory is read from; "sync run" reads it
    Upload {
        /// Id of the directory
        directory: String,
        /// users.csv or memberships.csv: its name says which it is
        file: PathBuf,
        /// Which file it is, whatever its name: users or memberships
        #[arg(long)]
        name: Option<String>,
    },
    /// Files that the directory is read from
    Files {
        /// Id of the directory
        directory: String,
    },
    /// Remove such a file
    RemoveFile {
        /// Id of the directory
        directory: String,
        /// users or memberships
        name: String,
    },
    /// Read the source now, and wait for the end
    ///
    /// Ends with 0 when the run is completed, with 1 when it has failed and with 3 when it is held and waits
    /// for a decision. Objects that cannot be used are listed and counted; they are no failure.
    Run {
        /// Id of the directory
        directory: String,
        /// Only show what would change
        #[arg(long)]
        dry_run: bool,
        /// full or incremental; without it, changes alone where the source can tell them
        #[arg(long)]
        mode: Option<String>,
        /// A JSON object with settings that the dry run goes by in place of those in force, such as
        /// {"group_scope": ["Staff"]}
        #[arg(long, requires = "dry_run")]
        settings: Option<String>,
        /// Print the run and its changes as JSON: {"run", "data"}
        #[arg(long)]
        json: bool,
    },
    /// Runs of a directory, newest first
    Runs {
        /// Id of the directory
        directory: String,
        #[command(flatten)]
        page: Page,
        /// Print them as JSON: {"data", "list_metadata"}
        #[arg(long)]
        json: bool,
    },
    /// A run with what it has done, would do or waits to do
    ///
    /// A line for each change: "+" comes, "~" changes, "-" goes, "!" could not be done. Runs that are no
    /// dry runs keep what went and what failed. Ends as "sync run" does.
    Show {
        /// Id of the directory
        directory: String,
        /// Id of the run: sync_…
        run: String,
        /// Print the run and its changes as JSON: {"run", "data"}
        #[arg(long)]
        json: bool,
    },
    /// Let a held run take away what it waits to take away; ends as "sync run" does
    Approve {
        /// Id of the directory
        directory: String,
        /// Id of the run: sync_…
        run: String,
    },
    /// Drop what a held run waits to take away; the next read finds it again
    Reject {
        /// Id of the directory
        directory: String,
        /// Id of the run: sync_…
        run: String,
    },
}

/// A member of an answer; null where there is none.
fn member<'v>(value: &'v Value, name: &str) -> &'v Value {
    value.get(name).unwrap_or(&Value::Null)
}

fn path(directory: &str, rest: &str) -> String {
    format!("/api/v1/directories/{}/{rest}", encoded(directory))
}

fn run_path(directory: &str, run: &str) -> String {
    path(directory, &format!("syncs/{}", encoded(run)))
}

pub(super) fn run(config: &Config, command: Sync) -> Result<ExitCode, StartError> {
    match command {
        Sync::Kinds { kind: None } => print(&perform(config, &Call::get("/api/v1/connectors"))?),
        Sync::Kinds { kind: Some(kind) } => {
            let path = format!("/api/v1/connectors/{}", encoded(&kind));
            print(&perform(config, &Call::get(path))?);
        }
        Sync::Test { directory } => {
            let tested = perform(config, &Call::post(path(&directory, "test"), json!({})))?;
            print(&tested);
            if member(&tested, "ok") != true {
                return Err(StartError("the source cannot be read".into()));
            }
        }
        Sync::Upload { directory, file, name } => upload(config, &directory, &file, name)?,
        Sync::Files { directory } => {
            print(&perform(config, &Call::get(path(&directory, "files")))?);
        }
        Sync::RemoveFile { directory, name } => {
            let file = path(&directory, &format!("files/{}", encoded(&name)));
            perform(config, &Call::delete(file))?;
        }
        Sync::Run { directory, dry_run, mode, settings, json } => {
            // What is no JSON is refused by the server, as text.
            let settings = settings.map(|text| serde_json::from_str(&text).unwrap_or(json!(text)));
            let body = json!({"dry_run": dry_run, "mode": mode, "settings": settings});
            // A run outlives the command that asks for it.
            let access = server(config)?;
            let asked = send(&access, &Call::post(path(&directory, "sync"), body))?;
            let run =
                follow(&access, &directory, member(&asked, "id").as_str().unwrap_or_default())?;
            return show(&access, &directory, &run, json);
        }
        Sync::Runs { directory, page, json } => {
            let runs = Call::find(path(&directory, "syncs"), &page.parameters());
            list(&perform(config, &runs)?, json);
        }
        Sync::Show { directory, run, json } => {
            let access = server(config)?;
            let found = send(&access, &Call::get(run_path(&directory, &run)))?;
            return show(&access, &directory, &found, json);
        }
        Sync::Approve { directory, run } => {
            let access = server(config)?;
            let approve = format!("{}/approve", run_path(&directory, &run));
            send(&access, &Call::post(approve, json!({})))?;
            let ended = follow(&access, &directory, &run)?;
            print_line(format_args!("{}", line(&ended)));
            return code_of(&ended);
        }
        Sync::Reject { directory, run } => {
            let reject = format!("{}/reject", run_path(&directory, &run));
            let rejected = perform(config, &Call::post(reject, json!({})))?;
            print_line(format_args!("{}", line(&rejected)));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// How a command ends that has waited for a run, or shows one.
fn code_of(run: &Value) -> Result<ExitCode, StartError> {
    match member(run, "status").as_str() {
        Some("failed") => Err(StartError("the run has failed".into())),
        Some("cancelled") => Err(StartError("the run was cancelled".into())),
        Some("held") => Ok(ExitCode::from(HELD)),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Runs, each in a line, and how to see the older ones.
fn list(runs: &Value, json: bool) {
    if json {
        return print(runs);
    }
    for run in member(runs, "data").as_array().into_iter().flatten() {
        print_line(format_args!("{}", line(run)));
    }
    if let Some(after) = member(member(runs, "list_metadata"), "after").as_str() {
        tell(&format!("There are more: --after {after}"));
    }
}

fn upload(
    config: &Config,
    directory: &str,
    file: &PathBuf,
    name: Option<String>,
) -> Result<(), StartError> {
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let name = name.or(stem).unwrap_or_default();
    let failed = |error: std::io::Error| StartError(format!("{}: {error}", file.display()));
    let content = std::fs::read(file).map_err(failed)?;
    let access = server(config)?;
    let url = format!("{}{}", access.url, path(directory, &format!("files/{}", encoded(&name))));
    let request = ureq::http::Request::builder()
        .method("PUT")
        .uri(url)
        .header("Authorization", format!("Bearer {}", access.key))
        .header("Content-Type", "text/csv")
        .body(content)
        .map_err(|error| StartError(error.to_string()))?;
    let mut response = local_agent().run(request).map_err(|error| StartError(error.to_string()))?;
    let status = response.status();
    let text = response.body_mut().read_to_string();
    let text = text.map_err(|error| StartError(format!("the answer broke off: {error}")))?;
    print(&understood(status, &text)?);
    Ok(())
}

/// Waits for the end of a run, with a bar that shows how far it is.
fn follow(access: &LocalAccess, directory: &str, run: &str) -> Result<Value, StartError> {
    // Drawn on the standard error stream, and only where somebody sees it.
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(Duration::from_millis(120));
    let call = || Call::get(format!("{}?wait={WAIT}", run_path(directory, run)));
    loop {
        let (status, text) = exchange(access, &call())?;
        let found = understood(status, &text)?;
        let is_over = !matches!(member(&found, "status").as_str(), Some("pending" | "running"));
        if is_over {
            bar.finish_and_clear();
            return Ok(found);
        }
        draw(&bar, member(&found, "progress"));
    }
}

fn draw(bar: &ProgressBar, progress: &Value) {
    let number = |name: &str| member(progress, name).as_u64().unwrap_or(0);
    let is_applied = member(progress, "phase") == "applying" && number("planned") > 0;
    if !is_applied {
        return bar.set_message(how_far(progress));
    }
    if let Ok(style) =
        ProgressStyle::with_template("applying: {wide_bar} {pos} of {len} changes, {eta}")
    {
        bar.set_style(style);
    }
    bar.set_length(number("planned"));
    bar.set_position(number("done"));
}

/// How far a run is whose changes are not known yet.
fn how_far(progress: &Value) -> String {
    match member(progress, "phase").as_str() {
        None => "waiting for its turn".to_owned(),
        Some("reading") => format!("reading: {} objects", member(progress, "read")),
        Some(phase) => phase.to_owned(),
    }
}

/// A run in one line.
fn line(run: &Value) -> String {
    let text = |name: &str| member(run, name).as_str().unwrap_or("-").to_owned();
    let dry = if member(run, "dry_run") == true { " dry" } else { "" };
    let mut line = format!(
        "{}  {}  {}{dry}  {}",
        text("id"),
        text("created_at"),
        text("status"),
        text("mode")
    );
    for (label, name) in [("users", "users"), ("groups", "groups"), ("memberships", "memberships")]
    {
        let counts = member(member(run, "counts"), name).as_object().into_iter().flatten();
        let counts: Vec<String> = counts
            .filter(|(_, count)| count.as_u64().is_some_and(|count| count > 0))
            .map(|(what, count)| format!("{count} {what}"))
            .collect();
        if !counts.is_empty() {
            line.push_str(&format!("  {label}: {}", counts.join(", ")));
        }
    }
    if let Some(error) = member(run, "error").as_str() {
        line.push_str(&format!("  ({error})"));
    }
    line
}

/// A run and its changes, each in a line that begins with what is done, or both as JSON.
fn show(
    access: &LocalAccess,
    directory: &str,
    run: &Value,
    json: bool,
) -> Result<ExitCode, StartError> {
    let id = member(run, "id").as_str().unwrap_or_default();
    if json {
        let mut data = Vec::new();
        changes(access, directory, id, |change| data.push(change.clone()))?;
        print(&json!({"run": run, "data": data}));
        return code_of(run);
    }
    changes(access, directory, id, |change| {
        print_line(format_args!("{}", change_line(change)));
    })?;
    print_line(format_args!("{}", line(run)));
    let would = if member(run, "dry_run") == true { "would be held" } else { "held" };
    if let Some(message) = member(member(run, "held"), "message").as_str() {
        print_line(format_args!("{would}: {message}"));
    }
    if member(run, "status") == "held" {
        print_line(format_args!(
            "let it do so with \"rollbook sync approve {directory} {id}\", or drop it with \"rollbook sync \
             reject {directory} {id}\""
        ));
    }
    code_of(run)
}

/// All changes of a run, in their order.
fn changes(
    access: &LocalAccess,
    directory: &str,
    run: &str,
    mut take: impl FnMut(&Value),
) -> Result<(), StartError> {
    let mut after = 0;
    loop {
        let query = format!("{}/diff?after={after}&limit={CHANGES}", run_path(directory, run));
        let page = send(access, &Call::get(query))?;
        member(&page, "data").as_array().into_iter().flatten().for_each(&mut take);
        match member(&page, "next").as_i64() {
            Some(next) => after = next,
            None => return Ok(()),
        }
    }
}

/// `+ user ada@example.com (7)`
fn change_line(change: &Value) -> String {
    let text = |name: &str| member(change, name).as_str().unwrap_or_default();
    let sign = match (text("status"), text("action")) {
        ("failed", _) => "!",
        (_, "skip") => "!",
        (_, "create" | "add") => "+",
        (_, "update") => "~",
        _ => "-",
    };
    let what = match text("action") {
        "deactivate" => "deactivate ",
        _ => "",
    };
    let mut line = format!("{sign} {what}{}", text("kind"));
    if !text("name").is_empty() {
        line.push_str(&format!(" {}", text("name")));
    }
    line.push_str(&format!(" ({})", text("source_id")));
    if !text("group").is_empty() {
        line.push_str(&format!(" of group {}", text("group")));
    }
    let attributes: Vec<&str> = member(change, "attributes")
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if !attributes.is_empty() {
        line.push_str(&format!(": {}", attributes.join(", ")));
    }
    if !text("reason").is_empty() {
        line.push_str(&format!(" [{}]", text("reason")));
    }
    if !text("message").is_empty() {
        line.push_str(&format!(": {}", text("message")));
    }
    if text("status") == "held" {
        line.push_str(" held");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_does_is_said_with_what_is_counted() {
        let progress = |phase: &str| json!({"phase": phase, "read": 1463, "planned": 0, "done": 0});
        assert_eq!(how_far(&Value::Null), "waiting for its turn");
        assert_eq!(how_far(&progress("reading")), "reading: 1463 objects");
        assert_eq!(how_far(&progress("planning")), "planning");
    }

    #[test]
    fn end_of_a_command_says_how_its_run_ended() {
        for (status, code) in [("completed", ExitCode::SUCCESS), ("held", ExitCode::from(3))] {
            assert_eq!(code_of(&json!({"status": status})).expect("a code"), code);
        }
        assert!(code_of(&json!({"status": "failed"})).is_err());
    }
}
