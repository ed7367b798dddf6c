//! Requests of the identity provider: found, and one with what arrived, how it was understood, what it
//! changed and what the app was told; done again without storing anything.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Payload};
use askama::Template;
use serde_json::Value;

use super::{Answer, Shown, Top, failed, faults, filled, found, link, query, sentences, stretch};
use crate::http::State;
use crate::http::console::{Frame, enter, submitted};
use crate::http::web::{page, text as filters};
use crate::profile::PROVIDERS;
use crate::service::administer::ListMetadata;
use crate::service::console::{Admin, Role};
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
    faults: Vec<String>,
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
    faults: Vec<String>,
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

pub(super) async fn list(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let (admin, frame) = enter(&request, &state, Role::Viewer).await?;
    let query = query(&request)?;
    let wanted = RecordQuery {
        status: filled(&query, "status"),
        user: filled(&query, "user"),
        method: filled(&query, "method"),
        since: None,
        until: None,
        text: filled(&query, "text"),
        page: stretch(&query),
    };
    let directory = found(&state, &admin, &id).await?;
    let (list, faults) = match state.service.record_list(&admin.access, &id, &wanted).await {
        Ok(list) => (Some(list), Vec::new()),
        Err(error) => (None, sentences(&faults(error)?)),
    };
    let (rows, metadata) = list.map(|list| (list.data, list.list_metadata)).unwrap_or_default();
    let top = Top::new(&frame, &directory, "requests");
    let here = format!("{}/requests", top.path);
    let given = [
        ("status", wanted.status.as_deref()),
        ("user", wanted.user.as_deref()),
        ("method", wanted.method.as_deref()),
        ("text", wanted.text.as_deref()),
    ];
    let cursors =
        [("after", wanted.page.after.as_deref()), ("before", wanted.page.before.as_deref())];
    let status = match faults.is_empty() {
        true => StatusCode::OK,
        false => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let page = RequestsPage {
        frame: &frame,
        top,
        wanted: &wanted,
        rows: rows.iter().map(Shown).collect(),
        metadata: &metadata,
        next: link(&here, &given),
        again: link(&here, &[given.as_slice(), &cursors].concat()),
        faults,
    };
    Ok(page::respond(status, &page))
}

pub(super) async fn show(
    request: HttpRequest,
    path: Path<(String, String)>,
    state: Data<State>,
) -> Answer {
    let (admin, frame) = enter(&request, &state, Role::Viewer).await?;
    let (id, record) = path.into_inner();
    shown(&state, &admin, &frame, (&id, &record), None, Vec::new()).await
}

async fn shown(
    state: &State,
    admin: &Admin,
    frame: &Frame,
    (id, record): (&str, &str),
    replay: Option<Value>,
    faults: Vec<String>,
) -> Answer {
    let directory = found(state, admin, id).await?;
    let record = state.service.record_get(&admin.access, id, record).await.map_err(failed)?;
    let record = Value::Object(record);
    let status = match faults.is_empty() {
        true => StatusCode::OK,
        false => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let page = RequestPage {
        frame,
        top: Top::new(frame, &directory, "requests"),
        record: Shown(&record),
        replay: replay.as_ref().map(Shown),
        faults,
    };
    Ok(page::respond(status, &page))
}

/// Nothing is stored, but the directory is held up for a moment: whoever acts may ask for it.
pub(super) async fn replay(
    request: HttpRequest,
    path: Path<(String, String)>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (admin, frame, form) = submitted(&request, payload, &state, Role::Operator).await?;
    let (id, record) = path.into_inner();
    let wanted = Replay { profile: form.filled("profile").map(str::to_owned) };
    let outcome = state.service.replay(&admin.access, &id, &record, wanted).await;
    let (replay, faults) = match outcome {
        Ok(replay) => (Some(replay), Vec::new()),
        Err(error) => (None, sentences(&faults(error)?)),
    };
    shown(&state, &admin, &frame, (&id, &record), replay, faults).await
}
