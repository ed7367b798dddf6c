//! The audit log: a search, and exports of what it selects.

use actix_web::web::{self, ServiceConfig};
use askama::Template;
use serde_json::Value;

use super::{Answer, By, Frame, Viewer, html, link};
use crate::http::admin::audit::{export, wanted};
use crate::http::web::only;
use crate::http::web::text as filters;
use crate::service::administer::ListPage;
use crate::service::audit::{AuditQuery, AuditView, action};

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
    /// The search as it stands in links.
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
    link("", &pairs.map(|(name, value)| (name, value.as_deref())))
}

/// A day of the form means its beginning in UTC.
fn instants(wanted: AuditQuery) -> AuditQuery {
    let instant = |day: Option<String>| {
        day.map(|day| if day.contains('T') { day } else { format!("{day}T00:00:00Z") })
    };
    AuditQuery { from: instant(wanted.from.clone()), to: instant(wanted.to.clone()), ..wanted }
}

async fn list(visit: By<Viewer>) -> Answer {
    let wanted = wanted(&visit.query);
    let selected = AuditQuery { page: visit.stretch(), ..instants(wanted.clone()) };
    let entries = visit.service().audit_list(visit.access(), &selected).await?;
    let (search, actions) = (search(&wanted), action::ALL);
    html(&AuditPage { frame: visit.frame.clone(), entries, wanted, actions, search })
}

async fn download(visit: By<Viewer>) -> Answer {
    let format = visit.query.get("format").unwrap_or("csv");
    Ok(export(&visit.state, &visit.admin.access, &instants(wanted(&visit.query)), format)?)
}
