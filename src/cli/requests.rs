//! `rollbook requests` and `rollbook replay`: request records in the terminal.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::call::{Call, encoded};
use super::local::{perform, send};
use super::print;
use crate::app::{self, LocalAccess, StartError};
use crate::config::Config;
use crate::scim::key::{instant_ms, instant_text};

/// How often `tail` asks for more.
const EVERY: Duration = Duration::from_secs(1);

/// How far `tail` looks back: another process writes its records a little later.
const LOOK_BACK_MS: i64 = 10_000;

/// Longest value on one line, in characters.
const VALUE_CHARS: usize = 200;

#[derive(Subcommand, Debug)]
pub(super) enum Requests {
    /// Newest first
    List {
        /// Id of the directory
        directory: String,
        #[command(flatten)]
        search: Search,
        /// 1 to 500
        #[arg(long, default_value_t = 50)]
        limit: i64,
        /// Records older than this one
        #[arg(long)]
        after: Option<String>,
    },
    /// One record, as JSON
    Show {
        directory: String,
        /// `req_…`, as X-Request-ID of the answer has it
        request: String,
    },
    /// Follow the records of a running server, one line for each
    Tail {
        directory: String,
        #[command(flatten)]
        search: Search,
        /// How many of the newest to begin with
        #[arg(long, default_value_t = 10)]
        lines: i64,
        /// Also what was received, rewritten, ignored and changed, and the events
        #[arg(short, long)]
        verbose: bool,
    },
}

/// What to look for; everything that is given must hold.
#[derive(Args, Clone, Debug)]
pub(super) struct Search {
    /// 409, or 4xx
    #[arg(long)]
    status: Option<String>,
    /// A userName, an externalId or an id
    #[arg(long)]
    user: Option<String>,
    /// POST, PATCH, …
    #[arg(long)]
    method: Option<String>,
    /// 2031-01-01T00:00:00Z
    #[arg(long)]
    since: Option<String>,
    #[arg(long)]
    until: Option<String>,
    /// Stands anywhere in the record
    #[arg(long)]
    text: Option<String>,
}

#[derive(Args, Debug)]
pub(super) struct Replay {
    /// `req_…`
    request: String,
    /// The provider whose profile is tried, such as okta; without it the directory's own
    #[arg(long)]
    profile: Option<String>,
    /// Id of the directory; without it all directories are asked
    #[arg(long)]
    directory: Option<String>,
}

impl Search {
    /// Finds records of a directory, with more parameters.
    fn call(&self, directory: &str, more: &[(&str, Option<String>)]) -> Call {
        let own = [
            ("status", &self.status),
            ("user", &self.user),
            ("method", &self.method),
            ("since", &self.since),
            ("until", &self.until),
            ("text", &self.text),
        ];
        let own = own.iter().map(|(name, value)| (*name, (*value).clone()));
        let replaced = |name: &str| more.iter().any(|(known, _)| *known == name);
        let all = own.filter(|(name, _)| !replaced(name)).chain(more.iter().cloned());
        Call::find(path(directory), &all.collect::<Vec<_>>())
    }
}

fn path(directory: &str) -> String {
    format!("/api/v1/directories/{}/requests", encoded(directory))
}

pub(super) fn run(config: &Config, command: Requests) -> Result<(), StartError> {
    match command {
        Requests::List { directory, search, limit, after } => {
            let more = [("limit", Some(limit.to_string())), ("after", after)];
            print(&perform(config, &search.call(&directory, &more))?);
            Ok(())
        }
        Requests::Show { directory, request } => {
            let request = encoded(&request);
            print(&perform(config, &Call::get(format!("{}/{request}", path(&directory))))?);
            Ok(())
        }
        Requests::Tail { directory, search, lines, verbose } => {
            let access = app::running_server(&config.data_dir).ok_or_else(|| {
                StartError(
                    "no server runs on this data folder, so there is nothing to follow".into(),
                )
            })?;
            Tail { access, directory, search, verbose, seen: BTreeSet::new() }.follow(lines)
        }
    }
}

pub(super) fn replay(config: &Config, command: &Replay) -> Result<(), StartError> {
    let body = json!({"profile": command.profile});
    let request = encoded(&command.request);
    let directory = match &command.directory {
        Some(directory) => directory.clone(),
        None => directory_of(config, &request)?,
    };
    let call = Call::post(format!("{}/{request}/replay", path(&directory)), body);
    print(&perform(config, &call)?);
    Ok(())
}

/// The directory that has the record.
fn directory_of(config: &Config, request: &str) -> Result<String, StartError> {
    let mut after = String::new();
    loop {
        let page = Call::get(format!("/api/v1/directories?limit=500{after}"));
        let page = perform(config, &page)?;
        for directory in records(&page) {
            let id = id(&directory);
            if perform(config, &Call::get(format!("{}/{request}", path(id)))).is_ok() {
                return Ok(id.to_owned());
            }
        }
        match next(&page) {
            Some(last) => after = format!("&after={last}"),
            None => return Err(StartError(format!("no directory has a record {request}"))),
        }
    }
}

/// Follows the records of a directory.
struct Tail {
    access: LocalAccess,
    directory: String,
    search: Search,
    verbose: bool,
    /// What was shown and may be answered again.
    seen: BTreeSet<String>,
}

impl Tail {
    fn follow(mut self, lines: i64) -> Result<(), StartError> {
        let mut newest = None;
        let first = self.page(&[("limit", Some(lines.clamp(1, 500).to_string()))])?;
        self.show(&records(&first), &mut newest)?;
        loop {
            std::thread::sleep(EVERY);
            let since = newest.map(|at: i64| instant_text(at - LOOK_BACK_MS));
            let since = since.or_else(|| self.search.since.clone());
            let mut fresh = Vec::new();
            let mut after = None;
            loop {
                let page = [
                    ("limit", Some("500".to_owned())),
                    ("since", since.clone()),
                    ("after", after.clone()),
                ];
                let page = self.page(&page)?;
                fresh.extend(records(&page));
                after = next(&page);
                if after.is_none() {
                    break;
                }
            }
            fresh.retain(|record| !self.seen.contains(id(record)));
            self.show(&fresh, &mut newest)?;
        }
    }

    fn page(&self, more: &[(&str, Option<String>)]) -> Result<Value, StartError> {
        send(&self.access, &self.search.call(&self.directory, more))
    }

    /// Shows records, which come newest first, oldest first.
    fn show(&mut self, fresh: &[Value], newest: &mut Option<i64>) -> Result<(), StartError> {
        for record in fresh.iter().rev() {
            say(&line(record));
            if self.verbose {
                let path = format!("{}/{}", path(&self.directory), id(record));
                say(&details(&send(&self.access, &Call::get(path))?));
            }
            self.seen.insert(id(record).to_owned());
            *newest = (*newest).max(record["at"].as_str().and_then(instant_ms));
        }
        // Ids begin with their time: the last ones are enough to know what was shown.
        while self.seen.len() > 100_000 {
            self.seen.pop_first();
        }
        Ok(())
    }
}

fn records(page: &Value) -> Vec<Value> {
    page["data"].as_array().cloned().unwrap_or_default()
}

/// The cursor to the next page, if there is one.
fn next(page: &Value) -> Option<String> {
    page.pointer("/list_metadata/after").and_then(Value::as_str).map(str::to_owned)
}

fn id(record: &Value) -> &str {
    record["id"].as_str().unwrap_or_default()
}

/// `2026-03-01T10:00:00.000Z 409 POST /scim/v2/…/Users ada@example.com 3.1 ms okta req_… detail`
fn line(record: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut line = format!(
        "{} {} {} {}",
        text(&record["at"]),
        record["status"],
        text(&record["method"]),
        text(&record["path"]),
    );
    if let Some(user_name) = record.pointer("/resource/user_name").and_then(Value::as_str) {
        let _ = write!(line, " {user_name}");
    }
    let _ = write!(line, " {} ms", record["duration_ms"]);
    if let Some(client) = record["client"].as_str() {
        let _ = write!(line, " {client}");
    }
    let _ = write!(line, " {}", id(record));
    if let Some(detail) = record.pointer("/error/detail").and_then(Value::as_str) {
        let _ = write!(line, " {detail}");
    }
    plain(&line)
}

/// What was received and what became of it, indented.
fn details(record: &Value) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: String| {
        let _ = writeln!(text, "    {name:<10} {}", plain(&value));
    };
    if !record["received"].is_null() {
        row("received", short(&record["received"]));
    }
    if let Some(note) = record["received_note"].as_str() {
        row("received", format!("({note})"));
    }
    let each = |name: &str| record[name].as_array().cloned().unwrap_or_default();
    for fired in each("rewritten") {
        let word = |name: &str| fired.get(name).and_then(Value::as_str).unwrap_or_default();
        row("rewritten", format!("{} at {}", word("rule"), word("path")));
    }
    for path in each("ignored") {
        row("ignored", path.as_str().unwrap_or_default().to_owned());
    }
    for change in each("changes") {
        row("changed", changed(&change));
    }
    for operation in each("operations") {
        row("operation", short(&operation));
    }
    for event in each("event_ids") {
        row("event", event.as_str().unwrap_or_default().to_owned());
    }
    if !record["error"].is_null() {
        row("error", short(&record["error"]));
    }
    text.truncate(text.trim_end().len());
    text
}

/// `title: "a" → "b"`
fn changed(change: &Value) -> String {
    let Some(path) = change["path"].as_str() else { return short(change) };
    let mut text = format!("{path}:");
    for (name, sign) in [("added", "+"), ("removed", "-"), ("pending", "waiting ")] {
        if let Some(list) = change.get(name) {
            let _ = write!(text, " {sign}{} {}", list["count"], short(&list["first"]));
        }
    }
    if ["added", "removed", "pending"].iter().all(|name| change.get(name).is_none()) {
        let of = |name: &str| change.get(name).map_or("(none)".to_owned(), short);
        let _ = write!(text, " {} → {}", of("old"), of("new"));
    }
    text
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(VALUE_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// A client must not move the cursor of who reads its requests.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn say(text: &str) {
    if !text.is_empty() {
        super::print_line(format_args!("{text}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_on_one_line_and_in_full() {
        let record = json!({
            "id": "req_1", "at": "2026-03-01T10:00:00.000Z", "method": "PATCH", "status": 409,
            "path": "/scim/v2/K/Users/1", "duration_ms": 3.1, "client": "okta",
            "resource": {"type": "User", "id": "1", "user_name": "ada@example.com"},
            "received": {"a": 1}, "received_note": null,
            "rewritten": [{"rule": "boolean_text", "path": "active"}],
            "ignored": ["nickname"],
            "changes": [
                {"path": "title", "old": "a", "new": "b"},
                {"path": "members", "added": {"count": 2, "first": ["m"]}},
            ],
            "event_ids": ["event_1"],
            "error": {"detail": "Taken\u{1b}[2J."},
        });
        assert_eq!(
            line(&record),
            "2026-03-01T10:00:00.000Z 409 PATCH /scim/v2/K/Users/1 ada@example.com 3.1 ms okta req_1 \
             Taken\u{fffd}[2J."
        );
        assert_eq!(
            details(&record),
            "    received   {\"a\":1}\n    rewritten  boolean_text at active\n    \
             ignored    nickname\n    changed    title: \"a\" → \"b\"\n    \
             changed    members: +2 [\"m\"]\n    event      event_1\n    \
             error      {\"detail\":\"Taken\\u001b[2J.\"}"
        );
    }

    #[test]
    fn search_as_a_query_string() {
        let search = Search {
            status: Some("4xx".into()),
            user: Some("a b&c".into()),
            method: None,
            since: Some("x".into()),
            until: None,
            text: None,
        };
        let call = search.call("directory_1", &[("since", Some("y".into())), ("after", None)]);
        let path = "/api/v1/directories/directory_1/requests?status=4xx&user=a%20b%26c&since=y";
        assert_eq!(call.path, path);
    }
}
