//! `rollbook stream`: streams of Security Event Tokens. `rollbook signing-key`: what signs them.

use clap::Subcommand;
use serde_json::{Value, json};

use super::call::{Call, encoded, given};
use crate::service::ssf::{STATUS_PATH, STREAMS_PATH, VERIFY_PATH};

const KEYS_PATH: &str = "/api/v1/signing_keys";

#[derive(Subcommand, Debug)]
pub(super) enum Stream {
    /// Make a stream: pushed to the address, or polled without one
    Create {
        url: Option<String>,
        /// A file whose first line is the header Authorization of what is pushed; - for the standard input
        #[arg(long, value_name = "FILE", value_parser = first_line, requires = "url")]
        authorization_header_file: Option<String>,
        /// URIs of events; without it all but those that carry whole resources
        #[arg(long, value_delimiter = ',')]
        events: Option<Vec<String>>,
        /// Only events of these organizations
        #[arg(long, value_delimiter = ',')]
        organizations: Option<Vec<String>>,
        /// How accounts are named: iss_sub or email
        #[arg(long)]
        subject_format: Option<String>,
        #[arg(long)]
        description: Option<String>,
    },
    List,
    Get {
        id: String,
    },
    /// State, lag, failures and the last refusal of a stream
    Status {
        id: String,
    },
    /// Change where a stream is pushed to, which events it gets, or its description
    Update {
        id: String,
        #[arg(long)]
        url: Option<String>,
        /// A file whose first line is the header Authorization of what is pushed; - for the standard input
        #[arg(long, value_name = "FILE", value_parser = first_line, requires = "url")]
        authorization_header_file: Option<String>,
        #[arg(long, value_delimiter = ',')]
        events: Option<Vec<String>>,
        #[arg(long)]
        description: Option<String>,
    },
    /// Send nothing until it is resumed; what is new waits
    Pause {
        id: String,
        #[arg(long)]
        reason: Option<String>,
    },
    /// Go on where it stopped; one that fails is tried at once
    Resume {
        id: String,
    },
    /// Send nothing, and keep nothing for it
    Disable {
        id: String,
        #[arg(long)]
        reason: Option<String>,
    },
    /// Send a verification event
    Verify {
        id: String,
        #[arg(long)]
        state: Option<String>,
    },
    Delete {
        id: String,
    },
}

#[derive(Subcommand, Debug)]
pub(super) enum SigningKey {
    /// Keys that are published
    List,
    /// Publish a new key, which signs later
    Rotate {
        /// Seconds until it signs; a day by default
        #[arg(long)]
        publish: Option<i64>,
        /// Seconds that the keys before it stay published from then on; 30 days by default
        #[arg(long)]
        keep: Option<i64>,
    },
}

pub(super) fn call(command: Stream) -> Call {
    match command {
        Stream::Create {
            url,
            authorization_header_file,
            events,
            organizations,
            subject_format,
            description,
        } => {
            let delivery = match url {
                Some(url) => pushed(url, authorization_header_file),
                None => json!({"method": "urn:ietf:rfc:8936"}),
            };
            Call::post(
                STREAMS_PATH,
                given([
                    ("delivery", Some(delivery)),
                    ("events_requested", events.map(Value::from)),
                    ("organization_ids", organizations.map(Value::from)),
                    ("subject_format", subject_format.map(Value::from)),
                    ("description", description.map(Value::from)),
                ]),
            )
        }
        Stream::List => Call::get(STREAMS_PATH),
        Stream::Get { id } => Call::get(one(STREAMS_PATH, &id)),
        Stream::Status { id } => Call::get(one(STATUS_PATH, &id)),
        Stream::Update { id, url, authorization_header_file, events, description } => Call::patch(
            STREAMS_PATH,
            given([
                ("stream_id", Some(id.into())),
                ("delivery", url.map(|url| pushed(url, authorization_header_file))),
                ("events_requested", events.map(Value::from)),
                ("description", description.map(Value::from)),
            ]),
        ),
        Stream::Pause { id, reason } => status(id, "paused", reason),
        Stream::Resume { id } => status(id, "enabled", None),
        Stream::Disable { id, reason } => status(id, "disabled", reason),
        Stream::Verify { id, state } => Call::post(
            VERIFY_PATH,
            given([("stream_id", Some(id.into())), ("state", state.map(Value::from))]),
        ),
        Stream::Delete { id } => Call::delete(one(STREAMS_PATH, &id)),
    }
}

pub(super) fn key_call(command: &SigningKey) -> Call {
    match command {
        SigningKey::List => Call::get(KEYS_PATH),
        SigningKey::Rotate { publish, keep } => Call::post(
            format!("{KEYS_PATH}/rotate"),
            given([("publish", publish.map(Value::from)), ("keep", keep.map(Value::from))]),
        ),
    }
}

fn pushed(url: String, authorization_header: Option<String>) -> Value {
    given([
        ("method", Some("urn:ietf:rfc:8935".into())),
        ("endpoint_url", Some(url.into())),
        ("authorization_header", authorization_header.map(Value::from)),
    ])
}

/// Reads a secret: other users of the machine see the arguments of a process.
fn first_line(file: &str) -> Result<String, String> {
    let text = match file {
        "-" => std::io::read_to_string(std::io::stdin()),
        file => std::fs::read_to_string(file),
    };
    let text = text.map_err(|error| error.to_string())?;
    match text.lines().next().map(str::trim).filter(|line| !line.is_empty()) {
        Some(line) => Ok(line.to_owned()),
        None => Err("its first line is empty".to_owned()),
    }
}

fn status(id: String, status: &str, reason: Option<String>) -> Call {
    let body = given([
        ("stream_id", Some(id.into())),
        ("status", Some(status.into())),
        ("reason", reason.map(Value::from)),
    ]);
    Call::post(STATUS_PATH, body)
}

fn one(path: &str, id: &str) -> String {
    format!("{path}?stream_id={}", encoded(id))
}
