//! `rollbook webhook`: endpoints that events are sent to, and what has become of the deliveries.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::call::{Call, Page, encoded, given};

const PATH: &str = "/api/v1/webhook_endpoints";

#[derive(Subcommand, Debug)]
pub(super) enum Webhook {
    /// Make an endpoint; its secret is shown once
    Create {
        url: String,
        /// dsync.user.created, …
        #[arg(long, value_delimiter = ',', required = true)]
        events: Vec<String>,
        /// Only events of these organizations
        #[arg(long, value_delimiter = ',')]
        organizations: Option<Vec<String>>,
        /// Where to begin: newest, oldest, a position or the id of an event
        #[arg(long)]
        after: Option<String>,
        /// Send nothing until it is resumed
        #[arg(long)]
        paused: bool,
    },
    /// Newest first, 50 at a time
    List(Page),
    /// State, lag and failures of an endpoint
    Get {
        id: String,
    },
    /// Change address, events or organizations
    Update {
        id: String,
        #[arg(long)]
        url: Option<String>,
        #[arg(long, value_delimiter = ',')]
        events: Option<Vec<String>>,
        /// Only events of these organizations
        #[arg(long, value_delimiter = ',')]
        organizations: Option<Vec<String>>,
        /// Events of all organizations
        #[arg(long, conflicts_with = "organizations")]
        all_organizations: bool,
    },
    /// Send nothing until it is resumed; what is new waits
    Pause {
        id: String,
    },
    /// Go on where it stopped
    Resume {
        id: String,
    },
    /// Send nothing, and do not count it among those that are behind
    Disable {
        id: String,
    },
    Delete {
        id: String,
    },
    /// Make a new secret; the one before signs as well until the overlap is over
    Rotate {
        id: String,
        /// Seconds; a day by default
        #[arg(long)]
        overlap: Option<i64>,
    },
    /// Send a test event and show what came of it
    Test {
        id: String,
    },
    /// Attempts to deliver, newest first
    Deliveries {
        id: String,
        /// delivered or failed
        #[arg(long)]
        outcome: Option<String>,
        /// Id of an event
        #[arg(long)]
        event: Option<String>,
        /// 1 to 500
        #[arg(long, default_value_t = 50)]
        limit: i64,
    },
    /// Events that were put aside because the endpoint refuses them
    Parked {
        id: String,
        /// Behind this position
        #[arg(long, default_value_t = 0)]
        after: i64,
        /// 1 to 1,000
        #[arg(long, default_value_t = 100)]
        limit: i64,
    },
    /// Send events again: one, what is parked, or a range of positions or times
    Replay(Replay),
    /// Replays that are not done
    Replays {
        id: String,
    },
    /// Send nothing more of a replay
    Cancel {
        id: String,
        replay: String,
    },
}

#[derive(Args, Debug)]
pub(super) struct Replay {
    id: String,
    /// Id of one event
    #[arg(long)]
    event: Option<String>,
    /// All that is parked
    #[arg(long)]
    parked: bool,
    /// Behind this position or event, or oldest
    #[arg(long)]
    after: Option<String>,
    /// Up to this position or event, or newest
    #[arg(long)]
    until: Option<String>,
    /// From this time on: 2031-01-01T00:00:00Z
    #[arg(long)]
    from: Option<String>,
    /// Up to this time
    #[arg(long)]
    to: Option<String>,
}

pub(super) fn call(command: Webhook) -> Call {
    let state = |id: &str, state: &str| Call::patch(one(id), json!({"state": state}));
    match command {
        Webhook::Create { url, events, organizations, after, paused } => Call::post(
            PATH,
            given([
                ("endpoint_url", Some(url.into())),
                ("events", Some(events.into())),
                ("organization_ids", organizations.map(Value::from)),
                ("after", after.map(Value::from)),
                ("state", paused.then(|| "paused".into())),
            ]),
        ),
        Webhook::List(page) => Call::find(PATH, &page.parameters()),
        Webhook::Get { id } => Call::get(one(&id)),
        Webhook::Update { id, url, events, organizations, all_organizations } => Call::patch(
            one(&id),
            given([
                ("endpoint_url", url.map(Value::from)),
                ("events", events.map(Value::from)),
                (
                    "organization_ids",
                    match all_organizations {
                        true => Some(Value::Null),
                        false => organizations.map(Value::from),
                    },
                ),
            ]),
        ),
        Webhook::Pause { id } => state(&id, "paused"),
        Webhook::Resume { id } => state(&id, "enabled"),
        Webhook::Disable { id } => state(&id, "disabled"),
        Webhook::Delete { id } => Call::delete(one(&id)),
        Webhook::Rotate { id, overlap } => Call::post(
            format!("{}/rotate", one(&id)),
            given([("overlap", overlap.map(Value::from))]),
        ),
        Webhook::Test { id } => Call::post(format!("{}/test", one(&id)), json!({})),
        Webhook::Deliveries { id, outcome, event, limit } => {
            let limit = Some(limit.to_string());
            let wanted = [("limit", limit), ("outcome", outcome), ("event_id", event)];
            Call::find(format!("{}/deliveries", one(&id)), &wanted)
        }
        Webhook::Parked { id, after, limit } => {
            Call::get(format!("{}/parked?after={after}&limit={limit}", one(&id)))
        }
        Webhook::Replay(replay) => Call::post(
            format!("{}/replay", one(&replay.id)),
            given([
                ("event_id", replay.event.map(Value::from)),
                ("parked", replay.parked.then_some(Value::Bool(true))),
                ("after", replay.after.map(Value::from)),
                ("until", replay.until.map(Value::from)),
                ("range_start", replay.from.map(Value::from)),
                ("range_end", replay.to.map(Value::from)),
            ]),
        ),
        Webhook::Replays { id } => Call::get(format!("{}/replays", one(&id))),
        Webhook::Cancel { id, replay } => {
            Call::delete(format!("{}/replays/{}", one(&id), encoded(&replay)))
        }
    }
}

fn one(id: &str) -> String {
    format!("{PATH}/{}", encoded(id))
}
