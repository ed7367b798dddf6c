//! The event log: what the app is told, newest first; one event; sending it once more.

use actix_web::web::{self, Path, ServiceConfig};
use askama::Template;
use serde_json::Value;

use super::{Answer, By, Frame, Operator, Sent, Viewer, html};
use crate::http::body::Query;
use crate::http::web::only;
use crate::http::web::text as filters;
use crate::service::administer::{ListParameters, Names};
use crate::service::error::AdminError;
use crate::service::events::{Browse, LogEvent, name};
use crate::service::webhook::{EndpointView, ReplayRequest};

/// Endpoints to choose from; more are reached from their own pages.
const ENDPOINTS: i64 = 100;

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(only("/console/events", "GET").route(web::get().to(list)))
        .service(only("/console/events/{id}", "GET").route(web::get().to(one)))
        .service(only("/console/events/{id}/replay", "POST").route(web::post().to(replay)));
}

#[derive(Template)]
#[template(path = "console/events.html")]
struct EventsPage {
    frame: Frame,
    asked: Asked,
    events: Vec<Shown>,
    names: Names,
    /// The address of older events, if there may be some.
    older: Option<String>,
}

#[derive(Template)]
#[template(path = "console/event.html")]
struct EventPage {
    frame: Frame,
    event: Shown,
    names: Names,
    json: String,
    endpoints: Vec<EndpointView>,
}

/// What the form of the page was filled in with.
#[derive(Clone, Debug, Default)]
struct Asked {
    event: String,
    organization_id: String,
    directory_id: String,
    resource_id: String,
    range_start: String,
    range_end: String,
    before: Option<i64>,
}

impl Asked {
    fn of(query: &Query) -> Result<Self, AdminError> {
        let text = |name: &str| query.get(name).unwrap_or_default().trim().to_owned();
        let before = text("before");
        let wrong = |_| AdminError::invalid("before", "it must be a position.");
        Ok(Self {
            event: text("event"),
            organization_id: text("organization_id"),
            directory_id: text("directory_id"),
            resource_id: text("resource_id"),
            range_start: text("range_start"),
            range_end: text("range_end"),
            before: (!before.is_empty()).then(|| before.parse().map_err(wrong)).transpose()?,
        })
    }

    fn browse(&self) -> Browse {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Browse {
            events: some(&self.event).into_iter().collect(),
            organization_id: some(&self.organization_id),
            directory_id: some(&self.directory_id),
            resource_id: some(&self.resource_id),
            range_start: some(&self.range_start).map(|text| instant(&text)),
            range_end: some(&self.range_end).map(|text| instant(&text)),
            before: self.before,
            limit: None,
        }
    }

    /// The same with that position to go on from.
    fn address(&self, base: &str, before: Option<i64>) -> String {
        let fields = [
            ("event", &self.event),
            ("organization_id", &self.organization_id),
            ("directory_id", &self.directory_id),
            ("resource_id", &self.resource_id),
            ("range_start", &self.range_start),
            ("range_end", &self.range_end),
        ];
        let filled = fields.into_iter().filter(|(_, text)| !text.is_empty());
        let mut pairs: Vec<String> =
            filled.map(|(name, text)| format!("{name}={}", filters::encoded(text))).collect();
        pairs.extend(before.map(|position| format!("before={position}")));
        let mark = if pairs.is_empty() { "" } else { "?" };
        format!("{base}/console/events{mark}{}", pairs.join("&"))
    }

    fn is_filtered(&self) -> bool {
        *self.address("", None) != *"/console/events"
    }

    /// Names of events, with the group that they are shown in.
    fn names(&self) -> impl Iterator<Item = &'static str> {
        name::ALL.into_iter().chain(name::NATIVE)
    }
}

/// What browsers send of a field for date and time, which has no zone, counts as UTC.
pub(super) fn instant(text: &str) -> String {
    match (text.len(), text.contains('T')) {
        (16, true) => format!("{text}:00Z"),
        (19, true) => format!("{text}Z"),
        _ => text.to_owned(),
    }
}

/// An event as a row shows it.
struct Shown {
    id: String,
    name: String,
    at: String,
    position: Option<i64>,
    reason: Option<String>,
    /// Whom or what it is about, in a word that people know.
    about: String,
    /// The part of the console where its page is; empty for what has none, or none any more.
    page: &'static str,
    resource_id: String,
    directory_id: Option<String>,
}

impl Shown {
    fn of(event: &LogEvent) -> Self {
        let data: Value = serde_json::from_str(event.data.get()).unwrap_or_default();
        let text = |value: &Value, member: &str| value.get(member)?.as_str().map(str::to_owned);
        // An event of a membership is about both.
        let about = match (data.get("user"), data.get("group")) {
            (Some(user), Some(group)) => format!("{} in {}", title(user), title(group)),
            _ => title(&data),
        };
        let directory_id = match event.event.as_str() {
            name::ACTIVATED | name::DELETED => text(&data, "id"),
            _ => text(&data, "directory_id"),
        };
        let subject = data.get("user").unwrap_or(&data);
        let resource_id = text(subject, "id").unwrap_or_default();
        let page = match event.event.as_str() {
            // The page of a user stays when the user is gone.
            name::USER_CREATED | name::USER_UPDATED | name::USER_DELETED => "people",
            name::GROUP_USER_ADDED | name::GROUP_USER_REMOVED => "people",
            name::GROUP_CREATED | name::GROUP_UPDATED => "groups",
            _ => "",
        };
        Self {
            id: event.id.clone().unwrap_or_default(),
            name: event.event.clone(),
            at: event.created_at.clone(),
            position: event.position,
            reason: event.reason.clone(),
            about,
            page,
            resource_id,
            directory_id,
        }
    }
}

/// What people know a thing by.
fn title(thing: &Value) -> String {
    // An identity that has no profile is known by its first account.
    let known = ["/username", "/email", "/name", "/message", "/suffix", "/accounts/0/email", "/id"];
    let found = known.iter().find_map(|place| thing.pointer(place)?.as_str());
    found.unwrap_or_default().to_owned()
}

async fn list(visit: By<Viewer>) -> Answer {
    let asked = Asked::of(&visit.query)?;
    let page = visit.service().log_browse(visit.access(), &asked.browse()).await?;
    let events: Vec<Shown> = page.data.iter().map(Shown::of).collect();
    let directories = events.iter().filter_map(|event| event.directory_id.as_ref());
    let names = visit.service().names(visit.access(), directories).await?;
    let older = page.before.map(|position| asked.address(&visit.frame.base, Some(position)));
    html(&EventsPage { frame: visit.frame.clone(), asked, events, names, older })
}

async fn one(visit: By<Viewer>, id: Path<String>) -> Answer {
    let event = visit.service().log_get(visit.access(), &id).await?;
    let list = ListParameters { limit: Some(ENDPOINTS), ..ListParameters::default() };
    let endpoints = visit.service().webhook_list(visit.access(), &list).await?.data;
    let json = serde_json::to_value(&event).unwrap_or_default();
    let json = serde_json::to_string_pretty(&json).unwrap_or_default();
    let event = Shown::of(&event);
    let names = visit.service().names(visit.access(), &event.directory_id).await?;
    html(&EventPage { frame: visit.frame.clone(), event, names, json, endpoints })
}

/// Sends an event to an endpoint once more; leads to the endpoint, which shows what comes of it.
async fn replay(sent: Sent<Operator>, id: Path<String>) -> Answer {
    let endpoint = sent.form.get("endpoint_id");
    let wanted = ReplayRequest { event_id: Some(id.into_inner()), ..ReplayRequest::default() };
    let replay = sent.service().webhook_replay(sent.access(), endpoint, wanted).await?;
    sent.back_to(&format!("webhooks/{}", replay.endpoint_id), "replay")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_a_form_are_in_utc() {
        assert_eq!(instant("2026-11-21T10:30"), "2026-11-21T10:30:00Z");
        assert_eq!(instant("2026-11-21T10:30:15"), "2026-11-21T10:30:15Z");
        assert_eq!(instant("2026-11-21T10:30:15Z"), "2026-11-21T10:30:15Z");
    }

    #[test]
    fn address_of_older_events_has_what_was_asked_for() {
        let asked = Asked { event: "dsync.user.created".into(), ..Asked::default() };
        let address = asked.address("/base", Some(7));
        assert_eq!(address, "/base/console/events?event=dsync%2Euser%2Ecreated&before=7");
        assert_eq!(Asked::default().address("", None), "/console/events");
        assert!(asked.is_filtered() && !Asked::default().is_filtered());
    }
}
