//! How a directory is: its state in words, what to do next, what is in it; and its end.

use actix_web::web::Path;
use askama::Template;
use serde_json::Value;

use super::{
    Answer, By, Frame, Operator, Sent, Shown, Top, Viewer, Visit, back, checked, found, html,
    html_with, said, sentences, value,
};
use crate::http::after;
use crate::http::web::text as filters;
use crate::service::administer::{DirectoryChange, ListParameters};
use crate::service::alarms::AlarmQuery;
use crate::service::error::AdminError;
use crate::service::exchange::RecordQuery;

#[derive(Template)]
#[template(path = "console/directories/overview.html")]
struct OverviewPage<'p> {
    frame: &'p Frame,
    top: Top<'p>,
    advice: Advice,
    alarms: Vec<Shown<'p>>,
    /// The newest request that was refused.
    refused: Option<Shown<'p>>,
}

#[derive(Template)]
#[template(path = "console/directories/delete.html")]
struct DeletePage<'p> {
    frame: &'p Frame,
    top: Top<'p>,
    fault: Option<&'p String>,
}

/// What the state means, and where to go on.
struct Advice {
    /// Class of the note.
    tone: &'static str,
    sentence: &'static str,
    /// End of a path, and what is there.
    next: Option<(&'static str, &'static str)>,
}

impl Advice {
    fn of(directory: Shown<'_>, is_read: bool) -> Self {
        let advice = |tone, sentence, next| Self { tone, sentence, next };
        match (directory.text("state"), is_read) {
            ("paused", true) => advice("warn", "It is paused: it is not read.", None),
            ("paused", false) => advice(
                "warn",
                "It is paused: requests are answered with 503, and identity providers come again later.",
                None,
            ),
            ("disabled", true) => advice("bad", "It is switched off: it is not read.", None),
            ("disabled", false) => {
                advice("bad", "It is switched off: requests are answered with 403.", None)
            }
            ("deleting", _) => advice("bad", "It is being deleted.", None),
            ("invalid_credentials", _) => advice(
                "bad",
                "The source refuses the credentials. Give it new ones, then test them.",
                Some(("/settings", "Credentials")),
            ),
            ("error", _) => advice(
                "bad",
                "The last read failed. If the reason is gone, read it again; else change the configuration.",
                Some(("/runs", "Runs")),
            ),
            ("validating", _) => advice(
                "warn",
                "It has not been read yet. Test the connection, look at a dry run, then start the first run.",
                Some(("/runs", "Runs")),
            ),
            (_, false) if !directory.has("last_request_at") => advice(
                "warn",
                "Nothing has arrived yet. Paste the base URL and a token into the identity provider, and \
                 test the connection there.",
                Some(("/tokens", "Tokens")),
            ),
            (_, true) => advice("good", "It works: what the source says is read and told.", None),
            (_, false) => advice("good", "It works: the identity provider may write.", None),
        }
    }
}

pub(super) async fn show(visit: By<Viewer>, id: Path<String>) -> Answer {
    let directory = found(&visit, &id).await?;
    let alarms = AlarmQuery { directory_id: Some(id.to_string()), ..AlarmQuery::default() };
    let alarms = visit.service().alarm_list(visit.access(), &alarms).await?;
    let alarms: Vec<Value> = alarms.data.iter().map(value).collect();
    let is_read = super::is_read(&directory);
    let refused = match is_read {
        true => None,
        false => {
            let page = ListParameters { limit: Some(1), ..ListParameters::default() };
            let status = Some("4xx".to_owned());
            let wanted = RecordQuery { status, page, ..RecordQuery::default() };
            let list = visit.service().record_list(visit.access(), &id, &wanted).await?;
            list.data.into_iter().next()
        }
    };
    html(&OverviewPage {
        top: Top::new(&visit.frame, &directory, "overview"),
        advice: Advice::of(Shown(&directory), is_read),
        alarms: alarms.iter().map(Shown).collect(),
        refused: refused.as_ref().map(Shown),
        frame: &visit.saying(said),
    })
}

pub(super) async fn set_state(sent: Sent<Operator>, id: Path<String>) -> Answer {
    let wanted = sent.form.get("state").to_owned();
    let change = DirectoryChange { state: Some(wanted.clone()), ..DirectoryChange::default() };
    sent.service().directory_update(sent.access(), &id, change).await?;
    back(&sent, &id, "", &wanted)
}

/// What would go with the directory.
pub(super) async fn before_delete(visit: By<Operator>, id: Path<String>) -> Answer {
    let directory = found(&visit, &id).await?;
    deletion(&visit, &directory, &[])
}

fn deletion(visit: &Visit, directory: &Value, faults: &[String]) -> Answer {
    let (frame, fault) = (&visit.frame, faults.first());
    html_with(faults, &DeletePage { frame, top: Top::new(frame, directory, "overview"), fault })
}

/// Deletes it, once its name was written out.
pub(super) async fn delete(sent: Sent<Operator>, id: Path<String>) -> Answer {
    let directory = found(&sent, &id).await?;
    let name = Shown(&directory).text("name");
    let outcome = match sent.form.get("name").trim() == name.trim() {
        true => sent.service().directory_delete(sent.access(), &id).await,
        false => {
            let message = format!("write \"{name}\", the name of the directory.");
            Err(AdminError::invalid("name", message).into())
        }
    };
    match checked(outcome)? {
        Ok(()) => {
            after::purge(&sent.state);
            sent.back_to("directories", "deleted")
        }
        Err(faults) => deletion(&sent, &directory, &sentences(&faults)),
    }
}
