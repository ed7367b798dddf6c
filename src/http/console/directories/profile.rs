//! The profile of a directory: each flag, what counts and where that comes from.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Payload};
use askama::Template;
use serde_json::Value;

use super::{Answer, Shown, Top, back, failed, faults, found, said, sentences, value};
use crate::http::State;
use crate::http::console::{Frame, enter, submitted};
use crate::http::web::page;
use crate::profile::flags;
use crate::scim::Object;
use crate::service::administer::{Others, ProfileChange};
use crate::service::console::{Admin, Role};

#[derive(Template)]
#[template(path = "console/directories/profile.html")]
struct ProfilePage<'p> {
    frame: &'p Frame,
    top: Top<'p>,
    provider: &'p str,
    flags: Vec<Flag<'p>>,
    faults: Vec<String>,
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

pub(super) async fn show(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let (admin, frame) = enter(&request, &state, Role::Viewer).await?;
    shown(&state, &admin, &frame.saying(said), &id, Vec::new()).await
}

async fn shown(
    state: &State,
    admin: &Admin,
    frame: &Frame,
    id: &str,
    faults: Vec<String>,
) -> Answer {
    let directory = found(state, admin, id).await?;
    let profile = value(state.service.profile_get(&admin.access, id).await.map_err(failed)?);
    let flags = Shown(&profile).members("flags").map(|(name, shown)| {
        let is_override = shown.text("from") == "override";
        let choice = |choice: Value| {
            let chosen = is_override && choice == *shown.at("value").0;
            (choice.as_str().map_or_else(|| choice.to_string(), str::to_owned), chosen)
        };
        Flag { name, shown, choices: flags::allowed(name).into_iter().map(choice).collect() }
    });
    let status = match faults.is_empty() {
        true => StatusCode::OK,
        false => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let page = ProfilePage {
        frame,
        top: Top::new(frame, &directory, "profile"),
        provider: Shown(&profile).text("provider"),
        flags: flags.collect(),
        faults,
    };
    Ok(page::respond(status, &page))
}

/// Sets one override, or takes it away.
pub(super) async fn set(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (admin, frame, form) = submitted(&request, payload, &state, Role::Operator).await?;
    let value = match form.get("value") {
        "" => Value::Null,
        "true" => true.into(),
        "false" => false.into(),
        word => word.into(),
    };
    let overrides = Object::from_iter([(form.get("flag").to_owned(), value)]);
    let change = ProfileChange { overrides };
    match state.service.profile_change(&admin.access, &id, change, Others::Stay).await {
        Ok(_) => back(&frame, &id, "/profile", "profile"),
        Err(error) => {
            let faults = sentences(&faults(error)?);
            shown(&state, &admin, &frame, &id, faults).await
        }
    }
}
