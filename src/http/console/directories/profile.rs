//! The profile of a directory: each flag, what counts and where that comes from.

use actix_web::web::Path;
use askama::Template;
use serde_json::Value;

use super::{
    Answer, By, Fault, Frame, Operator, Sent, Shown, Top, Viewer, Visit, back, checked, found,
    html_with, said, sentences, value,
};
use crate::profile::flags;
use crate::scim::Object;
use crate::service::administer::{Others, ProfileChange};

#[derive(Template)]
#[template(path = "console/directories/profile.html")]
struct ProfilePage<'p> {
    frame: &'p Frame,
    top: Top<'p>,
    provider: &'p str,
    flags: Vec<Flag<'p>>,
    faults: &'p [String],
}

struct Flag<'p> {
    name: &'p str,
    shown: Shown<'p>,
    /// The values that an override may have, and whether it has this one.
    choices: Vec<(String, bool)>,
}

impl Flag<'_> {
    /// Where the value comes from, in words.
    fn origin(&self, provider: &str) -> String {
        match self.shown.text("from") {
            "override" => "set here".to_owned(),
            "provider" => format!("profile of {provider}"),
            _ => "default".to_owned(),
        }
    }

    /// What counts without an override.
    fn otherwise(&self) -> String {
        match self.shown.has("provider") {
            true => self.shown.plain("provider"),
            false => self.shown.plain("default"),
        }
    }
}

pub(super) async fn show(visit: By<Viewer>, id: Path<String>) -> Answer {
    shown(&visit, &id, &[]).await
}

async fn shown(visit: &Visit, id: &str, faults: &[Fault]) -> Answer {
    let directory = found(visit, id).await?;
    let profile = value(visit.service().profile_get(visit.access(), id).await?);
    let flags = Shown(&profile).members("flags").map(|(name, shown)| {
        let is_override = shown.text("from") == "override";
        let choice = |choice: Value| {
            let chosen = is_override && choice == *shown.at("value").0;
            (choice.as_str().map_or_else(|| choice.to_string(), str::to_owned), chosen)
        };
        Flag { name, shown, choices: flags::allowed(name).into_iter().map(choice).collect() }
    });
    let (frame, faults) = (&visit.saying(said), sentences(faults));
    let page = ProfilePage {
        frame,
        top: Top::new(frame, &directory, "profile"),
        provider: Shown(&profile).text("provider"),
        flags: flags.collect(),
        faults: &faults,
    };
    html_with(&faults, &page)
}

/// Sets one override, or takes it away.
pub(super) async fn set(sent: Sent<Operator>, id: Path<String>) -> Answer {
    let value = match sent.form.get("value") {
        "" => Value::Null,
        "true" => true.into(),
        "false" => false.into(),
        word => word.into(),
    };
    let overrides = Object::from_iter([(sent.form.get("flag").to_owned(), value)]);
    let change = ProfileChange { overrides };
    let changed = sent.service().profile_change(sent.access(), &id, change, Others::Stay).await;
    match checked(changed)? {
        Ok(_) => back(&sent, &id, "/profile", "profile"),
        Err(faults) => shown(&sent, &id, &faults).await,
    }
}
