//! Requests of the identity provider: found, and one with what arrived, how it was understood, what it
//! changed and what the app was told; done again without storing anything.

use actix_web::web::Path;
use askama::Template;
use serde_json::Value;

use super::{
    Answer, By, Fault, Faults, Frame, Operator, Sent, Shown, Top, Viewer, Visit, checked, found,
    html_with, link, sentences,
};
use crate::http::web::text as filters;
use crate::profile::PROVIDERS;
use crate::service::administer::ListMetadata;
use crate::service::exchange::{RecordQuery, Replay};

/// What lists of requests can be narrowed to: a status or a class, and in words.
const STATUSES: [(&str, &str); 4] =
    [("2xx", "done"), ("4xx", "refused"), ("5xx", "failed"), ("409", "conflicts (409)")];

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

#[derive(Template)]
#[template(path = "console/directories/requests.html")]
struct RequestsPage<'p> {
    frame: &'p Frame,
    top: Top<'p>,
    wanted: &'p RecordQuery,
    rows: Vec<Shown<'p>>,
    metadata: &'p ListMetadata,
    /// The path of this list, to which a cursor is added.
    next: String,
    /// The path of this very page, from which it is read again.
    again: String,
    faults: &'p [String],
}

impl RequestsPage<'_> {
    fn is_filtered(&self) -> bool {
        let RecordQuery { status, user, method, text, .. } = self.wanted;
        [status, user, method, text].iter().any(|given| given.is_some())
    }

    fn given<'g>(&self, value: &'g Option<String>) -> &'g str {
        value.as_deref().unwrap_or_default()
    }
}

#[derive(Template)]
#[template(path = "console/directories/request.html")]
struct RequestPage<'p> {
    frame: &'p Frame,
    top: Top<'p>,
    record: Shown<'p>,
    /// What doing it again has done.
    replay: Option<Shown<'p>>,
    faults: &'p [String],
}

impl RequestPage<'_> {
    /// A write of one resource over SCIM 2.0 can be done again.
    fn can_be_replayed(&self) -> bool {
        ["POST", "PUT", "PATCH", "DELETE"].contains(&self.record.text("method"))
            && self.record.has("resource")
            && self.record.text("scim") == "2.0"
    }
}

/// The class of a status, as a badge.
fn tone(status: i64) -> &'static str {
    match status {
        ..400 => "good",
        500.. => "bad",
        _ => "warn",
    }
}

pub(super) async fn list(visit: By<Viewer>, id: Path<String>) -> Answer {
    let wanted = RecordQuery {
        status: visit.asked("status"),
        user: visit.asked("user"),
        method: visit.asked("method"),
        since: None,
        until: None,
        text: visit.asked("text"),
        page: visit.stretch(),
    };
    let directory = found(&visit, &id).await?;
    let listed = visit.service().record_list(visit.access(), &id, &wanted).await;
    let (rows, metadata, faults) = match checked(listed)? {
        Ok(list) => (list.data, list.list_metadata, Vec::new()),
        Err(faults) => (Vec::new(), ListMetadata::default(), sentences(&faults)),
    };
    let top = Top::new(&visit.frame, &directory, "requests");
    let here = format!("{}/requests", top.path);
    let given = [
        ("status", wanted.status.as_deref()),
        ("user", wanted.user.as_deref()),
        ("method", wanted.method.as_deref()),
        ("text", wanted.text.as_deref()),
    ];
    let cursors =
        [("after", wanted.page.after.as_deref()), ("before", wanted.page.before.as_deref())];
    let page = RequestsPage {
        frame: &visit.frame,
        top,
        wanted: &wanted,
        rows: rows.iter().map(Shown).collect(),
        metadata: &metadata,
        next: link(&here, &given),
        again: link(&here, &[given.as_slice(), &cursors].concat()),
        faults: &faults,
    };
    html_with(&faults, &page)
}

pub(super) async fn show(visit: By<Viewer>, path: Path<(String, String)>) -> Answer {
    let (id, record) = path.into_inner();
    shown(&visit, (&id, &record), None, &[]).await
}

async fn shown(
    visit: &Visit,
    (id, record): (&str, &str),
    replay: Option<Value>,
    faults: &[Fault],
) -> Answer {
    let directory = found(visit, id).await?;
    let record = Value::Object(visit.service().record_get(visit.access(), id, record).await?);
    let (frame, faults) = (&visit.frame, sentences(faults));
    let page = RequestPage {
        frame,
        top: Top::new(frame, &directory, "requests"),
        record: Shown(&record),
        replay: replay.as_ref().map(Shown),
        faults: &faults,
    };
    html_with(&faults, &page)
}

/// Nothing is stored, but the directory is held up for a moment: whoever acts may ask for it.
pub(super) async fn replay(sent: Sent<Operator>, path: Path<(String, String)>) -> Answer {
    let (id, record) = path.into_inner();
    let wanted = Replay { profile: sent.form.filled("profile").map(str::to_owned) };
    let outcome = sent.service().replay(sent.access(), &id, &record, wanted).await;
    let (replay, faults) = match checked(outcome)? {
        Ok(replay) => (Some(replay), Faults::new()),
        Err(faults) => (None, faults),
    };
    shown(&sent, (&id, &record), replay, &faults).await
}
