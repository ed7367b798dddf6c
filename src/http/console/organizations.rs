//! Organizations: the customers, their directories, links to the set-up portal, alarms.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::{self, Data, Path, Payload, ServiceConfig};
use askama::Template;
use serde_json::Value;

use super::{Answer, Frame, enter, failed, page_parameters, submitted};
use crate::http::body::Query;
use crate::http::web::only;
use crate::http::web::page::{lead_to, respond};
use crate::http::web::text as filters;
use crate::http::{State, caller};
use crate::service::administer::{
    DirectoryView, ListPage, NewOrganization, OrganizationChange, OrganizationView,
};
use crate::service::alarms::AlarmQuery;
use crate::service::console::Role;
use crate::service::portal::{NewPortalLink, PortalRevocation};
use crate::service::read::{Metadata, Order, OrganizationQuery, PageRequest, PageWords};

pub(super) fn routes(config: &mut ServiceConfig) {
    let (get, post) = (web::get, web::post);
    let form = |path: &str| only(path, "POST");
    config
        .service(
            only("/console/organizations", "GET, POST")
                .route(get().to(list))
                .route(post().to(create)),
        )
        .service(only("/console/organizations/{id}", "GET").route(get().to(one)))
        .service(form("/console/organizations/{id}/change").route(post().to(change)))
        .service(form("/console/organizations/{id}/delete").route(post().to(delete)))
        .service(form("/console/organizations/{id}/links").route(post().to(link)))
        .service(form("/console/organizations/{id}/links/revoke").route(post().to(revoke)));
}

#[derive(Template)]
#[template(path = "console/organizations.html")]
struct ListedPage<'p> {
    frame: Frame,
    search: &'p str,
    organizations: Vec<Listed>,
    metadata: Metadata,
    /// What the links to neighbouring pages begin with.
    path: String,
}

/// An organization in the list.
struct Listed {
    id: String,
    name: String,
    external_id: String,
    domains: String,
    created_at: String,
}

impl Listed {
    /// From how the read API shows it.
    fn of(shown: &Value) -> Self {
        let text = |value: &Value, name: &str| {
            value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let domains = shown.get("domains").and_then(Value::as_array);
        let domains: Vec<String> =
            domains.into_iter().flatten().map(|domain| text(domain, "domain")).collect();
        Self {
            id: text(shown, "id"),
            name: text(shown, "name"),
            external_id: text(shown, "external_id"),
            domains: domains.join(", "),
            created_at: text(shown, "created_at"),
        }
    }
}

#[derive(Template)]
#[template(path = "console/organizations_one.html")]
struct OnePage {
    frame: Frame,
    organization: OrganizationView,
    directories: ListPage<DirectoryView>,
    alarms: Vec<StandingAlarm>,
}

/// An alarm that stands.
struct StandingAlarm {
    kind: String,
    message: String,
    raised_at: String,
}

#[derive(Template)]
#[template(path = "console/organizations_link.html")]
struct LinkPage {
    frame: Frame,
    organization: OrganizationView,
    link: String,
    expires_at: i64,
}

fn said(key: &str) -> Option<&'static str> {
    match key {
        "created" => Some("The organization was made. Connect its first directory below."),
        "changed" => Some("The organization was changed."),
        "deleted" => Some("The organization was deleted."),
        "revoked" => Some("Its set-up links and the sessions that came of them have ended."),
        _ => None,
    }
}

async fn list(request: HttpRequest, state: Data<State>) -> Answer {
    let (admin, frame) = enter(&request, &state, Role::Viewer).await?;
    let query = Query::parse(request.query_string()).map_err(failed)?;
    let search = query.get("search").unwrap_or_default().trim();
    let words = PageWords {
        before: query.get("before"),
        after: query.get("after"),
        ..PageWords::default()
    };
    let wanted = OrganizationQuery {
        domains: Vec::new(),
        search: (!search.is_empty()).then(|| search.to_owned()),
        page: PageRequest::parse(words, Order::Desc).map_err(failed)?,
    };
    let found = state.service.read_organizations(&admin.access, wanted).await.map_err(failed)?;
    let search_words = match search {
        "" => String::new(),
        text => format!("search={}&", crate::http::web::text::encoded(text)),
    };
    let page = ListedPage {
        path: format!("{}/console/organizations?{search_words}", frame.base),
        frame: frame.saying(said),
        search,
        organizations: found.data.iter().map(Listed::of).collect(),
        metadata: found.list_metadata,
    };
    Ok(respond(StatusCode::OK, &page))
}

async fn create(request: HttpRequest, payload: Payload, state: Data<State>) -> Answer {
    let (admin, frame, form) = submitted(&request, payload, &state, Role::Operator).await?;
    let new = NewOrganization {
        name: form.get("name").trim().to_owned(),
        external_id: form.filled("external_id").map(str::to_owned),
    };
    let made = state.service.organization_create(&admin.access, new).await.map_err(failed)?;
    Ok(lead_to(&format!("{}/console/organizations/{}?said=created", frame.base, made.id)))
}

async fn one(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let (admin, frame) = enter(&request, &state, Role::Viewer).await?;
    let (service, parameters) = (&state.service, page_parameters(&request)?);
    let organization = service.organization_get(&admin.access, &id).await.map_err(failed)?;
    let wanted = Some(organization.id.clone());
    let directories = service.directory_list(&admin.access, wanted, &parameters).await;
    // Alarms of this organization alone.
    let within = admin.within(&organization.id);
    let alarms = service.alarm_list(&within, &AlarmQuery::default()).await.map_err(failed)?;
    let alarms = alarms.data.iter().filter_map(|alarm| {
        let alarm = serde_json::to_value(alarm).ok()?;
        let text = |name: &str| alarm.get(name).and_then(Value::as_str).map(str::to_owned);
        Some(StandingAlarm {
            kind: text("kind")?,
            message: text("message")?,
            raised_at: text("raised_at")?,
        })
    });
    let page = OnePage {
        frame: frame.saying(said),
        organization,
        directories: directories.map_err(failed)?,
        alarms: alarms.collect(),
    };
    Ok(respond(StatusCode::OK, &page))
}

async fn change(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (admin, frame, form) = submitted(&request, payload, &state, Role::Operator).await?;
    let change = OrganizationChange {
        name: Some(form.get("name").trim().to_owned()),
        external_id: Some(form.filled("external_id").map(str::to_owned)),
    };
    state.service.organization_update(&admin.access, &id, change).await.map_err(failed)?;
    Ok(lead_to(&format!("{}/console/organizations/{id}?said=changed", frame.base)))
}

async fn delete(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (admin, frame, _) = submitted(&request, payload, &state, Role::Operator).await?;
    state.service.organization_delete(&admin.access, &id).await.map_err(failed)?;
    Ok(lead_to(&format!("{}/console/organizations?said=deleted", frame.base)))
}

/// How long a link of the console may wait to be used, in seconds.
const LINK_SECONDS: i64 = 3 * 24 * 60 * 60;

/// The page with the link is the answer to the form: it is nowhere else.
async fn link(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (admin, frame, form) = submitted(&request, payload, &state, Role::Operator).await?;
    let service = &state.service;
    let organization = service.organization_get(&admin.access, &id).await.map_err(failed)?;
    let new = NewPortalLink {
        organization: organization.id.clone(),
        intent: None,
        return_url: form.filled("return_url").map(str::to_owned),
        success_url: None,
        external_user_id: form.filled("external_user_id").map(str::to_owned),
        expires_in: Some(LINK_SECONDS),
    };
    let expires_at = service.clock.now_ms() + LINK_SECONDS * 1_000;
    let public_url = caller::public_url(&request, &state);
    let made = service.portal_link(&admin.access, new, &public_url).await.map_err(failed)?;
    let page = LinkPage { frame, organization, link: made.link, expires_at };
    Ok(respond(StatusCode::OK, &page))
}

async fn revoke(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (admin, frame, _) = submitted(&request, payload, &state, Role::Operator).await?;
    let which = PortalRevocation { organization: id.clone(), external_user_id: None };
    state.service.portal_revoke(&admin.access, which).await.map_err(failed)?;
    Ok(lead_to(&format!("{}/console/organizations/{id}?said=revoked", frame.base)))
}
