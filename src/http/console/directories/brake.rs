//! The brake of a directory: what it does, what waits because of it, and the decision about that.

use actix_web::web::Path;
use askama::Template;
use serde_json::{Value, json};

use super::{
    Answer, By, Fault, Frame, Operator, PageError, Sent, Shown, Top, Viewer, Visit, back, checked,
    found, html, html_with, said, sentences, value,
};
use crate::http::web::text as filters;
use crate::scim::Object;
use crate::service::brake::{BrakeChange, UndoRequest};

#[derive(Template)]
#[template(path = "console/directories/brake.html")]
struct BrakePage<'p> {
    frame: &'p Frame,
    top: Top<'p>,
    brake: Shown<'p>,
    faults: &'p [String],
}

#[derive(Template)]
#[template(path = "console/directories/undo.html")]
struct UndoPage<'p> {
    frame: &'p Frame,
    top: Top<'p>,
    report: Shown<'p>,
}

/// The limits as a form has them: group, name, label.
const LIMITS: [(&str, &str, &str); 6] = [
    ("users", "at_least", "Users: never for fewer than"),
    ("users", "more_than", "Users: always for more than"),
    ("users", "percent", "Users: for more than this percentage of the active ones"),
    ("memberships", "at_least", "Memberships: never for fewer than"),
    ("memberships", "more_than", "Memberships: always for more than"),
    ("memberships", "percent", "Memberships: for more than this percentage of all"),
];

impl BrakePage<'_> {
    fn mode_is(&self, mode: &str) -> bool {
        self.brake.text("mode") == mode
    }

    fn limit(&self, group: &str, name: &str) -> i64 {
        self.brake.number(&format!("limits.{group}.{name}"))
    }
}

pub(super) async fn show(visit: By<Viewer>, id: Path<String>) -> Answer {
    shown(&visit, &id, &[]).await
}

async fn shown(visit: &Visit, id: &str, faults: &[Fault]) -> Answer {
    let directory = found(visit, id).await?;
    let brake = value(visit.service().brake_get(visit.access(), id).await?);
    let (frame, faults) = (&visit.saying(said), sentences(faults));
    let top = Top::new(frame, &directory, "brake");
    html_with(&faults, &BrakePage { frame, top, brake: Shown(&brake), faults: &faults })
}

pub(super) async fn set(sent: Sent<Operator>, id: Path<String>) -> Answer {
    let number = |name: &str| -> Value {
        let text = sent.form.get(name).trim();
        text.parse::<i64>().map_or_else(|_| text.into(), Value::from)
    };
    let mut limits = Object::new();
    for (group, name, _) in LIMITS {
        let members = limits.entry(group).or_insert_with(|| json!({}));
        if let Some(members) = members.as_object_mut() {
            members.insert(name.to_owned(), number(&format!("{group}.{name}")));
        }
    }
    limits.insert("role_groups".to_owned(), number("role_groups"));
    let change = BrakeChange { mode: sent.form.get("mode").into(), limits: Some(limits.into()) };
    match checked(sent.service().brake_put(sent.access(), &id, change).await)? {
        Ok(_) => back(&sent, &id, "/brake", "brake"),
        Err(faults) => shown(&sent, &id, &faults).await,
    }
}

pub(super) async fn release(sent: Sent<Operator>, id: Path<String>) -> Answer {
    sent.service().brake_release(sent.access(), &id).await?;
    back(&sent, &id, "/brake", "released")
}

/// What an undo would put back.
pub(super) async fn before_undo(visit: By<Operator>, id: Path<String>) -> Answer {
    let report = undone(&visit, &id, true).await?;
    reported(&visit, &id, &report).await
}

/// Puts it back, and says what could not be.
pub(super) async fn undo(sent: Sent<Operator>, id: Path<String>) -> Answer {
    let report = undone(&sent, &id, false).await?;
    if !Shown(&report).has("not_restored") {
        return back(&sent, &id, "/brake", "undone");
    }
    reported(&sent, &id, &report).await
}

async fn undone(visit: &Visit, id: &str, dry_run: bool) -> Result<Value, PageError> {
    let wanted = UndoRequest { dry_run };
    Ok(value(visit.service().brake_undo(visit.access(), id, wanted).await?))
}

async fn reported(visit: &Visit, id: &str, report: &Value) -> Answer {
    let (frame, directory) = (&visit.frame, found(visit, id).await?);
    let top = Top::new(frame, &directory, "brake");
    html(&UndoPage { frame, top, report: Shown(report) })
}
