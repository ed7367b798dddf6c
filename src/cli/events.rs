//! `rollbook events`: the event log in the terminal, one JSON object for each line.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use ureq::http::StatusCode;

use super::call::{Call, encoded};
use super::local::{exchange, perform, understood};
use super::{print, print_line};
use crate::app::{self, StartError};
use crate::config::Config;

const PATH: &str = "/api/v1/events";

/// Events asked for at a time: a command without a running server starts one for each page.
const PAGE: &str = "1000";

/// How long `tail` waits for the next event, in seconds.
const WAIT: &str = "30";

/// How often `tail` asks again when the server does not answer, and after what pause.
const TRIES: u32 = 60;
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Subcommand, Debug)]
pub(super) enum Events {
    /// Follow the events of a running server
    Tail {
        /// Where to begin: a position, the id of an event, oldest or newest
        #[arg(long, default_value = "newest")]
        after: String,
        #[command(flatten)]
        filter: Filter,
    },
    /// All events that are kept, oldest first
    Export {
        /// Where to begin: a position, the id of an event, or oldest
        #[arg(long, default_value = "oldest")]
        after: String,
        #[command(flatten)]
        filter: Filter,
    },
    /// The newest events, newest first
    List {
        #[command(flatten)]
        filter: Filter,
        /// Id of the user, group or other thing that an event is about
        #[arg(long)]
        resource: Option<String>,
        /// 2031-01-01T00:00:00Z
        #[arg(long)]
        from: Option<String>,
        #[arg(long)]
        to: Option<String>,
        /// 1 to 500
        #[arg(long, default_value_t = 50)]
        limit: i64,
        /// Older than this position: "before" of the page before
        #[arg(long)]
        before: Option<i64>,
    },
    /// One event
    Show {
        /// event_…
        id: String,
    },
    /// How far named consumers have got
    Consumers,
    /// Set the checkpoint of a consumer
    Checkpoint {
        name: String,
        /// A position, oldest or newest
        position: String,
    },
    /// Forget a consumer
    Forget { name: String },
}

#[derive(Args, Clone, Debug)]
pub(super) struct Filter {
    /// dsync.user.created, …
    #[arg(long, value_delimiter = ',')]
    events: Vec<String>,
    /// Id of an organization
    #[arg(long)]
    organization: Option<String>,
    /// Id of a directory
    #[arg(long)]
    directory: Option<String>,
}

impl Filter {
    /// Events that pass, with more parameters.
    fn find(&self, more: &[(&'static str, Option<String>)]) -> Call {
        let events = (!self.events.is_empty()).then(|| self.events.join(","));
        let own = [
            ("events", events),
            ("organization_id", self.organization.clone()),
            ("directory_id", self.directory.clone()),
        ];
        Call::find(PATH, &[more, &own].concat())
    }

    /// The next ones behind a place.
    fn call(&self, after: &str, wait: &str) -> Call {
        let some = |text: &str| Some(text.to_owned());
        self.find(&[("after", some(after)), ("limit", some(PAGE)), ("wait", some(wait))])
    }
}

pub(super) fn run(config: &Config, command: Events) -> Result<(), StartError> {
    match command {
        Events::Tail { after, filter } => {
            // Without a server at the beginning there is nothing to wait for.
            let mut after = after;
            let mut page = follow(config, &filter.call(&after, WAIT), 0)?;
            loop {
                after = show(&page)?;
                page = follow(config, &filter.call(&after, WAIT), TRIES)?;
            }
        }
        Events::Export { after, filter } => {
            let mut after = after;
            loop {
                let page = perform(config, &filter.call(&after, "0"))?;
                after = show(&page)?;
                if page.get("more").and_then(Value::as_bool) != Some(true) {
                    return Ok(());
                }
            }
        }
        Events::List { filter, resource, from, to, limit, before } => {
            let call = filter.find(&[
                ("order", Some("desc".to_owned())),
                ("resource_id", resource),
                ("range_start", from),
                ("range_end", to),
                ("limit", Some(limit.to_string())),
                ("before", before.map(|before| before.to_string())),
            ]);
            print(&perform(config, &call)?);
            Ok(())
        }
        Events::Show { id } => {
            print(&perform(config, &Call::get(format!("{PATH}/{}", encoded(&id))))?);
            Ok(())
        }
        Events::Consumers => {
            print(&perform(config, &Call::get("/api/v1/consumers"))?);
            Ok(())
        }
        Events::Checkpoint { name, position } => {
            print(&perform(config, &Call::put(consumer(&name), json!({"position": position})))?);
            Ok(())
        }
        Events::Forget { name } => perform(config, &Call::delete(consumer(&name))).map(|_| ()),
    }
}

/// The next page of the server that runs. One that stops and starts again is asked again: it may listen
/// elsewhere by then and has another key for commands. What else it refuses is final.
fn follow(config: &Config, call: &Call, tries: u32) -> Result<Value, StartError> {
    let mut left = tries;
    loop {
        let answer = app::running_server(&config.data_dir)
            .ok_or_else(|| {
                StartError(
                    "no server runs on this data folder, so there is nothing to follow".into(),
                )
            })
            .and_then(|access| exchange(&access, call));
        match answer {
            Ok((status, _))
                if left > 0 && (status.is_server_error() || status == StatusCode::UNAUTHORIZED) => {
            }
            Err(_) if left > 0 => {}
            Ok((status, text)) => return understood(status, &text),
            Err(error) => return Err(error),
        }
        left -= 1;
        std::thread::sleep(PAUSE);
    }
}

fn consumer(name: &str) -> String {
    format!("/api/v1/consumers/{}", encoded(name))
}

/// Prints the events of a page and answers where the next one begins.
fn show(page: &Value) -> Result<String, StartError> {
    for event in page["data"].as_array().into_iter().flatten() {
        print_line(format_args!("{event}"));
    }
    let next = page["next"].as_i64();
    next.map(|next| next.to_string())
        .ok_or_else(|| StartError("the answer of the server has no \"next\"".into()))
}
