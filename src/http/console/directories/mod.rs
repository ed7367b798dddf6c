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
mod shown;
mod tokens;

use actix_web::HttpRequest;
use actix_web::web::{ServiceConfig, get, post};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::Value;

use self::shown::Shown;
use super::{Answer, Frame, failed};
use crate::http::State;
use crate::http::body::Query;
use crate::http::error::HttpError;
use crate::http::web::{only, page};
use crate::service::ServiceError;
use crate::service::administer::ListParameters;
use crate::service::console::Admin;
use crate::service::error::AdminError;

/// Rows on a page of a list.
const ROWS: i64 = 50;

pub(super) fn routes(config: &mut ServiceConfig) {
    let form = |path: &str| only(path, "POST");
    let page = |path: &str| only(path, "GET");
    config
        .service(page("/console/directories").route(get().to(list::show)))
        .service(
            only("/console/directories/new", "GET, POST")
                .route(get().to(list::blank))
                .route(post().to(list::create)),
        )
        .service(page("/console/directories/{id}").route(get().to(overview::show)))
        .service(form("/console/directories/{id}/state").route(post().to(overview::set_state)))
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
        .service(form("/console/directories/{id}/brake/release").route(post().to(brake::release)))
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
        .service(form("/console/directories/{id}/name").route(post().to(settings::rename)))
        .service(form("/console/directories/{id}/source").route(post().to(settings::set_source)))
        .service(form("/console/directories/{id}/test").route(post().to(runs::test)))
        .service(page("/console/directories/{id}/mapping").route(get().to(mapping::show)))
        .service(
            form("/console/directories/{id}/attribute_map").route(post().to(mapping::attributes)),
        )
        .service(form("/console/directories/{id}/role_map").route(post().to(mapping::roles)))
        .service(
            only("/console/directories/{id}/tokens", "GET, POST")
                .route(get().to(tokens::show))
                .route(post().to(tokens::create)),
        )
        .service(
            form("/console/directories/{id}/tokens/{token}/rotate")
                .route(post().to(tokens::rotate)),
        )
        .service(
            form("/console/directories/{id}/tokens/{token}/revoke")
                .route(post().to(tokens::revoke)),
        )
        .service(
            form("/console/directories/{id}/oauth_clients").route(post().to(tokens::client_create)),
        )
        .service(
            form("/console/directories/{id}/oauth_clients/{client}/delete")
                .route(post().to(tokens::client_delete)),
        )
        .service(page("/console/directories/{id}/requests").route(get().to(requests::list)))
        .service(
            page("/console/directories/{id}/requests/{request}").route(get().to(requests::show)),
        )
        .service(
            form("/console/directories/{id}/requests/{request}/replay")
                .route(post().to(requests::replay)),
        )
        .service(
            only("/console/directories/{id}/runs", "GET, POST")
                .route(get().to(runs::list))
                .route(post().to(runs::start)),
        )
        .service(page("/console/directories/{id}/runs/{run}").route(get().to(runs::show)))
        .service(
            form("/console/directories/{id}/runs/{run}/approve").route(post().to(runs::approve)),
        )
        .service(form("/console/directories/{id}/runs/{run}/reject").route(post().to(runs::reject)))
        .service(form("/console/directories/{id}/files").route(post().to(files::upload)))
        .service(
            form("/console/directories/{id}/files/{name}/delete").route(post().to(files::delete)),
        )
        .service(page("/console/directories/{id}/members").route(get().to(members::show)));
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
async fn found(state: &State, admin: &Admin, id: &str) -> Result<Value, HttpError> {
    let directory = state.service.directory_get(&admin.access, id).await.map_err(failed)?;
    let organization = state.service.organization_get(&admin.access, &directory.organization_id);
    let organization = organization.await.map_err(failed)?.name;
    let mut directory = value(directory);
    if let Some(members) = directory.as_object_mut() {
        members.insert("organization".to_owned(), organization.into());
    }
    Ok(directory)
}

/// Back to a page of the directory, which is there, and which says what was done.
fn back(frame: &Frame, id: &str, part: &str, said: &str) -> Answer {
    let path = format!("{}/console/directories/{id}{part}?said={said}", frame.base);
    Ok(page::lead_to(&path))
}

fn query(request: &HttpRequest) -> Result<Query, HttpError> {
    Query::parse(request.query_string()).map_err(failed)
}

/// A parameter that is not empty.
fn filled(query: &Query, name: &str) -> Option<String> {
    query.get(name).map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn stretch(query: &Query) -> ListParameters {
    ListParameters {
        limit: Some(ROWS),
        after: filled(query, "after"),
        before: filled(query, "before"),
    }
}

/// A path with parameters, to which further ones can be added.
fn link(path: &str, parameters: &[(&str, Option<&str>)]) -> String {
    let mut link = format!("{path}?");
    for (name, value) in parameters {
        if let Some(value) = value {
            link += &format!("{name}={}&", utf8_percent_encode(value, NON_ALPHANUMERIC));
        }
    }
    link
}

/// What is wrong with a form, field by field; other failures have a page of their own.
fn faults(error: ServiceError) -> Result<Vec<(String, String)>, HttpError> {
    match error {
        ServiceError::Admin(AdminError { status: 422 | 409, message, errors, .. }) => {
            match errors.is_empty() {
                true => Ok(vec![(String::new(), message)]),
                false => Ok(errors),
            }
        }
        other => Err(failed(other)),
    }
}

/// The faults as sentences, for a form whose fields are not told apart.
fn sentences(faults: &[(String, String)]) -> Vec<String> {
    let sentence = |(field, message): &(String, String)| match field.as_str() {
        "" => message.clone(),
        field => format!("{field}: {message}"),
    };
    faults.iter().map(sentence).collect()
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
