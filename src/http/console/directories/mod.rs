//! Directories: the list, and the pages of one. Each shows what the management API answers, and each form
//! calls what the management API calls.

mod brake;
mod disconnect;
mod files;
mod list;
mod mapping;
mod members;
mod overview;
mod profile;
mod requests;
mod runs;
mod settings;
mod tokens;

use actix_web::web::{ServiceConfig, get, post};
use serde::Serialize;
use serde_json::Value;

use super::shown::Shown;
use super::{
    Answer, By, Fault, Faults, Frame, Operator, PageError, Sent, Viewer, Visit, checked, html,
    html_with, link, sentences,
};
use crate::http::web::only;
use crate::service::error::AdminError;

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(only("/console/directories", "GET").route(get().to(list::show)))
        .service(
            only("/console/directories/new", "GET, POST")
                .route(get().to(list::blank))
                .route(post().to(list::create)),
        )
        .service(only("/console/directories/{id}", "GET").route(get().to(overview::show)))
        .service(
            only("/console/directories/{id}/state", "POST").route(post().to(overview::set_state)),
        )
        .service(
            only("/console/directories/{id}/delete", "GET, POST")
                .route(get().to(overview::before_delete))
                .route(post().to(overview::delete)),
        )
        .service(
            only("/console/directories/{id}/brake", "GET, POST")
                .route(get().to(brake::show))
                .route(post().to(brake::set)),
        )
        .service(
            only("/console/directories/{id}/brake/release", "POST")
                .route(post().to(brake::release)),
        )
        .service(
            only("/console/directories/{id}/brake/undo", "GET, POST")
                .route(get().to(brake::before_undo))
                .route(post().to(brake::undo)),
        )
        .service(
            only("/console/directories/{id}/disconnect", "GET, POST")
                .route(get().to(disconnect::show))
                .route(post().to(disconnect::act)),
        )
        .service(
            only("/console/directories/{id}/profile", "GET, POST")
                .route(get().to(profile::show))
                .route(post().to(profile::set)),
        )
        .service(
            only("/console/directories/{id}/settings", "GET, POST")
                .route(get().to(settings::show))
                .route(post().to(settings::set)),
        )
        .service(only("/console/directories/{id}/name", "POST").route(post().to(settings::rename)))
        .service(
            only("/console/directories/{id}/source", "POST").route(post().to(settings::set_source)),
        )
        .service(only("/console/directories/{id}/test", "POST").route(post().to(runs::test)))
        .service(only("/console/directories/{id}/mapping", "GET").route(get().to(mapping::show)))
        .service(
            only("/console/directories/{id}/attribute_map", "POST")
                .route(post().to(mapping::attributes)),
        )
        .service(
            only("/console/directories/{id}/role_map", "POST").route(post().to(mapping::roles)),
        )
        .service(
            only("/console/directories/{id}/tokens", "GET, POST")
                .route(get().to(tokens::show))
                .route(post().to(tokens::create)),
        )
        .service(
            only("/console/directories/{id}/tokens/{token}/rotate", "POST")
                .route(post().to(tokens::rotate)),
        )
        .service(
            only("/console/directories/{id}/tokens/{token}/revoke", "POST")
                .route(post().to(tokens::revoke)),
        )
        .service(
            only("/console/directories/{id}/oauth_clients", "POST")
                .route(post().to(tokens::client_create)),
        )
        .service(
            only("/console/directories/{id}/oauth_clients/{client}/delete", "POST")
                .route(post().to(tokens::client_delete)),
        )
        .service(only("/console/directories/{id}/requests", "GET").route(get().to(requests::list)))
        .service(
            only("/console/directories/{id}/requests/{request}", "GET")
                .route(get().to(requests::show)),
        )
        .service(
            only("/console/directories/{id}/requests/{request}/replay", "POST")
                .route(post().to(requests::replay)),
        )
        .service(
            only("/console/directories/{id}/runs", "GET, POST")
                .route(get().to(runs::list))
                .route(post().to(runs::start)),
        )
        .service(only("/console/directories/{id}/runs/{run}", "GET").route(get().to(runs::show)))
        .service(
            only("/console/directories/{id}/runs/{run}/approve", "POST")
                .route(post().to(runs::approve)),
        )
        .service(
            only("/console/directories/{id}/runs/{run}/reject", "POST")
                .route(post().to(runs::reject)),
        )
        .service(only("/console/directories/{id}/files", "POST").route(post().to(files::upload)))
        .service(
            only("/console/directories/{id}/files/{name}/delete", "POST")
                .route(post().to(files::delete)),
        )
        .service(only("/console/directories/{id}/members", "GET").route(get().to(members::show)));
}

/// What was just done, by the key that the page's address has.
fn said(key: &str) -> Option<&'static str> {
    Some(match key {
        "created" => "The directory was made.",
        "deleted" => "The directory is being deleted.",
        "linked" => "The directory goes on.",
        "paused" => "The directory is paused.",
        "disabled" => "The directory is switched off.",
        "renamed" => "The directory has its new name.",
        "settings" => "The settings are stored.",
        "source" => "The configuration is stored.",
        "profile" => "The profile is stored; it counts from the next request.",
        "attribute_map" => "The attribute map is stored.",
        "role_map" => "The role map is stored.",
        "revoked" => "The token is revoked.",
        "client_deleted" => "The OAuth client is deleted, and its access tokens with it.",
        "brake" => "The brake is set.",
        "frozen" => "The directory is frozen.",
        "disconnecting" => "The directory is being disconnected.",
        "called_off" => "The disconnection was called off.",
        "released" => "The events are told now.",
        "undone" => "What was taken away is being put back.",
        "asked" => "The run was asked for; it begins as soon as somebody is free for it.",
        "approved" => "The run is approved and goes on.",
        "rejected" => "The run is rejected: nothing is taken away.",
        "uploaded" => "The file is stored; the next run reads it.",
        "file_deleted" => "The file is removed.",
        _ => return None,
    })
}

/// What stands above each page of a directory.
struct Top<'p> {
    directory: Shown<'p>,
    /// The part that the page is.
    tab: &'static str,
    /// Path of the directory's pages.
    path: String,
}

impl<'p> Top<'p> {
    fn new(frame: &Frame, directory: &'p Value, tab: &'static str) -> Self {
        let directory = Shown(directory);
        let path = format!("{}/console/directories/{}", frame.base, directory.text("id"));
        Self { directory, tab, path }
    }

    /// Whether the directory is read from its source; nobody pushes into it.
    fn is_read(&self) -> bool {
        is_read(self.directory.0)
    }

    /// A path below the directory's.
    fn to(&self, end: &str) -> String {
        format!("{}/{end}", self.path)
    }

    /// Where a form about something in the directory is sent.
    fn act(&self, what: &str, id: &str, verb: &str) -> String {
        format!("{}/{what}/{id}/{verb}", self.path)
    }

    fn id(&self) -> &'p str {
        self.directory.text("id")
    }

    /// The parts: key, end of the path, title.
    fn tabs(&self) -> Vec<(&'static str, &'static str, &'static str)> {
        let all = [
            ("overview", "", "Overview"),
            ("requests", "/requests", "Requests"),
            ("runs", "/runs", "Runs"),
            ("members", "/members", "Users and groups"),
            ("mapping", "/mapping", "Mapping"),
            ("tokens", "/tokens", "Tokens"),
            ("profile", "/profile", "Profile"),
            ("brake", "/brake", "Brake"),
            ("settings", "/settings", "Settings"),
            ("disconnect", "/disconnect", "Disconnect"),
        ];
        let others = if self.is_read() {
            ["requests", "tokens", "profile", "brake"].as_slice()
        } else {
            ["runs"].as_slice()
        };
        all.into_iter().filter(|(key, _, _)| !others.contains(key)).collect()
    }
}

fn is_read(directory: &Value) -> bool {
    directory.get("config").is_some()
}

fn value(view: impl Serialize) -> Value {
    serde_json::to_value(view).unwrap_or_default()
}

/// The directory as the management API shows it, with the name of its organization.
async fn found(visit: &Visit, id: &str) -> Result<Value, PageError> {
    let (service, access) = (visit.service(), visit.access());
    let directory = service.directory_get(access, id).await?;
    let organization = service.organization_get(access, &directory.organization_id).await?.name;
    let mut directory = value(directory);
    if let Some(members) = directory.as_object_mut() {
        members.insert("organization".to_owned(), organization.into());
    }
    Ok(directory)
}

/// Back to a page of the directory, which is there, and which says what was done.
fn back(visit: &Visit, id: &str, part: &str, said: &str) -> Answer {
    visit.back_to(&format!("directories/{id}{part}"), said)
}

/// A JSON document that somebody has written into a form.
fn document(field: &str, text: &str) -> Result<Value, AdminError> {
    let text = if text.trim().is_empty() { "{}" } else { text };
    let parsed: Value = serde_json::from_str(text)
        .map_err(|error| AdminError::invalid(field, format!("it is not JSON: {error}.")))?;
    match parsed.to_string().contains("\\u0000") {
        true => Err(AdminError::invalid(field, "it contains the character U+0000.")),
        false => Ok(parsed),
    }
}

/// The same, read into what a use case takes, where it stands at `field`.
fn typed<T: serde::de::DeserializeOwned>(field: &str, text: &str) -> Result<T, AdminError> {
    serde_path_to_error::deserialize(document(field, text)?).map_err(|error| {
        let (path, inner) = (error.path().to_string(), error.into_inner());
        let place = if path == "." { field.to_owned() } else { format!("{field}.{path}") };
        AdminError::invalid(&place, format!("{inner}."))
    })
}
