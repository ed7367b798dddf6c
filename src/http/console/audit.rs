//! The audit log: a search, and exports of what it selects.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::{self, Data, ServiceConfig};
use askama::Template;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::{Answer, Frame, enter, failed, page_parameters};
use crate::http::State;
use crate::http::admin::audit::{export, wanted};
use crate::http::body::Query;
use crate::http::web::only;
use crate::http::web::page::respond;
use crate::http::web::text as filters;
use crate::service::administer::ListPage;
use crate::service::audit::{AuditQuery, AuditView, action};
use crate::service::console::Role;

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(only("/console/audit", "GET").route(web::get().to(list)))
        .service(only("/console/audit/export", "GET").route(web::get().to(download)));
}

#[derive(Template)]
#[template(path = "console/audit.html")]
struct AuditPage {
    frame: Frame,
    entries: ListPage<AuditView>,
    wanted: AuditQuery,
    actions: &'static [&'static str],
    /// The search as it stands in links, with a & at its end.
    search: String,
}

/// Names and values of what an entry tells, one a line: before, after.
fn lines(entry: &AuditView) -> Vec<(String, String, String)> {
    let object = |value: &Option<Value>| match value {
        Some(Value::Object(members)) => members.clone(),
        _ => serde_json::Map::new(),
    };
    let (before, after) = (object(&entry.before), object(&entry.after));
    let mut names: Vec<&String> = before.keys().collect();
    names.extend(after.keys().filter(|name| !before.contains_key(*name)));
    let shown = |value: Option<&Value>| match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let line = |name: &String| (name.clone(), shown(before.get(name)), shown(after.get(name)));
    names.into_iter().map(line).collect()
}

/// The parameters of a search as they stand in a link.
fn search(wanted: &AuditQuery) -> String {
    let pairs = [
        ("q", &wanted.q),
        ("action", &wanted.action),
        ("actor", &wanted.actor),
        ("organization_id", &wanted.organization_id),
        ("directory_id", &wanted.directory_id),
        ("target", &wanted.target),
        ("from", &wanted.from),
        ("to", &wanted.to),
    ];
    let encoded = pairs.into_iter().filter_map(|(name, value)| {
        Some(format!("{name}={}&", utf8_percent_encode(value.as_deref()?, NON_ALPHANUMERIC)))
    });
    encoded.collect()
}

/// A day of the form means its beginning in UTC.
fn instants(wanted: AuditQuery) -> AuditQuery {
    let instant = |day: Option<String>| {
        day.map(|day| if day.contains('T') { day } else { format!("{day}T00:00:00Z") })
    };
    AuditQuery { from: instant(wanted.from.clone()), to: instant(wanted.to.clone()), ..wanted }
}

async fn list(request: HttpRequest, state: Data<State>) -> Answer {
    let (admin, frame) = enter(&request, &state, Role::Viewer).await?;
    let query = Query::parse(request.query_string()).map_err(failed)?;
    let asked = wanted(&query);
    let mut selected = instants(asked.clone());
    selected.page = page_parameters(&request)?;
    let entries = state.service.audit_list(&admin.access, &selected).await.map_err(failed)?;
    let (search, actions) = (search(&asked), action::ALL);
    let page = AuditPage { frame, entries, wanted: asked, actions, search };
    Ok(respond(StatusCode::OK, &page))
}

async fn download(request: HttpRequest, state: Data<State>) -> Answer {
    let (admin, _) = enter(&request, &state, Role::Viewer).await?;
    let query = Query::parse(request.query_string()).map_err(failed)?;
    let format = query.get("format").unwrap_or("csv");
    export(&state, &admin.access, &instants(wanted(&query)), format).map_err(failed)
}
