//! `rollbook brake` and `rollbook alarms`.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::call::{Call, encoded};

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Mode {
    Off,
    Alarm,
    Hold,
}

#[derive(Subcommand, Debug)]
pub(super) enum Brake {
    /// What it does, what was taken away lately, and what waits
    Show {
        /// Id of the directory
        directory: String,
    },
    /// Set what it does
    Set {
        directory: String,
        mode: Mode,
        /// A JSON object: {"users": {"at_least": 3, "more_than": 20, "percent": 10}}
        #[arg(long, value_parser = object)]
        limits: Option<serde_json::Value>,
    },
    /// Have the events told that wait
    Release { directory: String },
    /// Put back what was taken away; the app hears of the rest alone
    Undo {
        directory: String,
        /// Only show what would be put back
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Args, Debug)]
pub(super) struct Alarms {
    /// raised, resolved or all
    #[arg(long, default_value = "raised")]
    state: String,
    /// brake, directory_silent, token_expiring, …
    #[arg(long)]
    kind: Option<String>,
    /// Id of a directory
    #[arg(long)]
    directory: Option<String>,
}

fn object(text: &str) -> Result<serde_json::Value, String> {
    serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))
}

pub(super) fn brake(command: Brake) -> Call {
    let path = |directory: &str| format!("/api/v1/directories/{}/brake", encoded(directory));
    match command {
        Brake::Show { directory } => Call::get(path(&directory)),
        Brake::Set { directory, mode, limits } => {
            let mode = match mode {
                Mode::Off => "off",
                Mode::Alarm => "alarm",
                Mode::Hold => "hold",
            };
            Call::put(path(&directory), json!({"mode": mode, "limits": limits}))
        }
        Brake::Release { directory } => {
            Call::post(format!("{}/release", path(&directory)), json!({}))
        }
        Brake::Undo { directory, dry_run } => {
            Call::post(format!("{}/undo", path(&directory)), json!({"dry_run": dry_run}))
        }
    }
}

pub(super) fn alarms(wanted: Alarms) -> Call {
    let pairs = [
        ("limit", Some("500".to_owned())),
        ("state", Some(wanted.state)),
        ("kind", wanted.kind),
        ("directory_id", wanted.directory),
    ];
    Call::find("/api/v1/alarms", &pairs)
}
