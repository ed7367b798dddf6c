//! The conditions that the look for alarms finds, in words.

use std::collections::BTreeMap;

use serde_json::json;

use super::{Alarm, AlarmKind, Place};
use crate::scim::key::instant_text;
use crate::service::mapping::attributes::Fault;
use crate::store::alarm_look::{EndingRow, FaultyRow, SilentRow, StoppedRow};

const HOUR_MS: i64 = 60 * 60 * 1_000;
pub(super) const DAY_MS: i64 = 24 * HOUR_MS;

pub(super) fn silence(row: SilentRow, now: i64) -> Alarm {
    let hours = (now - row.last_request) / HOUR_MS;
    let longest = row.longest_silence / HOUR_MS;
    Alarm {
        message: format!(
            "The identity provider has sent nothing for {hours} hours; before, it was never silent for \
             more than {longest} hours. Look whether its provisioning still runs."
        ),
        detail: json!({
            "last_request_at": instant_text(row.last_request),
            "longest_silence_seconds": row.longest_silence / 1_000,
        }),
        place: place(row.directory_key, row.directory_id.clone(), row.organization_id),
        kind: AlarmKind::DirectorySilent,
        subject: row.directory_id,
        level: 0,
    }
}

pub(super) fn ending(row: EndingRow, days: i64) -> Alarm {
    let unit = if days == 1 { "day" } else { "days" };
    let what = match &row.suffix {
        Some(suffix) => format!("directory token that ends in {suffix}"),
        None => format!("OAuth client {}", row.id),
    };
    Alarm {
        message: format!(
            "The {what} expires at {}, in less than {days} {unit}, and there is no other one that lives \
             longer. Make a new one and give it to the identity provider.",
            instant_text(row.expires)
        ),
        detail: json!({
            "credential": if row.suffix.is_some() { "token" } else { "oauth_client" },
            "token_suffix": row.suffix,
            "expires_at": instant_text(row.expires),
            "days": days,
        }),
        place: place(row.directory_key, row.directory_id, row.organization_id),
        kind: AlarmKind::TokenExpiring,
        subject: row.id,
        level: days,
    }
}

pub(super) fn stopped(row: StoppedRow) -> Alarm {
    let why = match row.reason.as_str() {
        "gone" => "its receiver has answered 410",
        _ => "deliveries to it have failed for too long",
    };
    let only = Some(row.scope).filter(|scope| !scope.is_empty() && !scope.contains(','));
    Alarm {
        place: Place { directory_key: 0, directory_id: None, organization_id: only },
        kind: AlarmKind::EndpointPaused,
        message: format!(
            "The webhook endpoint {} gets no events, because {why}. It keeps its place: mend the receiver, \
             then enable the endpoint before its events are too old.",
            row.id
        ),
        detail: json!({
            "endpoint_url": row.url,
            "state": row.state,
            "reason": row.reason,
            "since": instant_text(row.since),
        }),
        subject: row.id,
        level: 0,
    }
}

pub(super) fn paused(row: StoppedRow) -> Alarm {
    let only = Some(row.scope).filter(|scope| !scope.is_empty() && !scope.contains(','));
    Alarm {
        place: Place { directory_key: 0, directory_id: None, organization_id: only },
        kind: AlarmKind::StreamPaused,
        message: format!(
            "The stream {} of Security Event Tokens is paused: {} Sessions are not revoked. It keeps its \
             place: mend the receiver, then enable the stream before its events are too old.",
            row.id, row.reason
        ),
        detail: json!({
            "endpoint_url": row.url,
            "status": row.state,
            "reason": row.reason,
            "since": instant_text(row.since),
        }),
        subject: row.id,
        level: 0,
    }
}

/// An alarm for each attribute that somebody lacks, by what is stored of their faults.
pub(super) fn lacking(row: &FaultyRow, faults: &[String]) -> Vec<Alarm> {
    let mut users: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for text in faults {
        let of_user: BTreeMap<String, Fault> = serde_json::from_str(text).unwrap_or_default();
        for (attribute, fault) in of_user {
            let (missing, failed) = users.entry(attribute).or_default();
            *match fault {
                Fault::Missing => missing,
                Fault::Failed { .. } => failed,
            } += 1;
        }
    }
    let alarms = users.into_iter().map(|(attribute, (missing, failed))| Alarm {
        place: place(row.directory_key, row.directory_id.clone(), row.organization_id.clone()),
        kind: AlarmKind::AttributeMissing,
        message: format!(
            "Users of the directory lack the attribute \"{attribute}\": of those looked at, {missing} have \
             nothing that it could be made of, and for {failed} its expression has failed."
        ),
        detail: json!({"attribute": attribute, "missing": missing, "failed": failed}),
        subject: attribute,
        level: 0,
    });
    alarms.collect()
}

fn place(directory_key: i64, directory_id: String, organization_id: String) -> Place {
    Place {
        directory_key,
        directory_id: Some(directory_id),
        organization_id: Some(organization_id),
    }
}
