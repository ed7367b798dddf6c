//! Organizations: the customers, their directories, links to the set-up portal, alarms.

use actix_web::web::{self, Path, ServiceConfig};
use askama::Template;
use serde_json::Value;

use super::{Again, Answer, By, Frame, Operator, Sent, Viewer, Visit, checked, html, html_with};
use crate::http::web::only;
use crate::http::web::text as filters;
use crate::service::administer::{
    DirectoryView, ListPage, Names, NewOrganization, OrganizationChange, OrganizationView,
};
use crate::service::alarms::{AlarmQuery, AlarmView};
use crate::service::portal::{NewPortalLink, PortalRevocation};
use crate::service::read::{Metadata, Order, OrganizationQuery, PageRequest, PageWords};

pub(super) fn routes(config: &mut ServiceConfig) {
    let (get, post) = (web::get, web::post);
    config
        .service(
            only("/console/organizations", "GET, POST")
                .route(get().to(list))
                .route(post().to(create)),
        )
        .service(only("/console/organizations/{id}", "GET").route(get().to(one)))
        .service(only("/console/organizations/{id}/change", "POST").route(post().to(change)))
        .service(only("/console/organizations/{id}/delete", "POST").route(post().to(delete)))
        .service(only("/console/organizations/{id}/links", "POST").route(post().to(link)))
        .service(only("/console/organizations/{id}/links/revoke", "POST").route(post().to(revoke)));
}

#[derive(Template)]
#[template(path = "console/organizations.html")]
struct ListedPage<'p> {
    frame: Frame,
    search: String,
    organizations: Vec<Listed>,
    metadata: Metadata,
    /// What the links to neighbouring pages begin with.
    path: String,
    again: &'p Again<'p>,
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
struct OnePage<'p> {
    frame: Frame,
    organization: OrganizationView,
    directories: ListPage<DirectoryView>,
    alarms: Vec<AlarmView>,
    names: Names,
    again: &'p Again<'p>,
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

async fn list(visit: By<Viewer>) -> Answer {
    listed(&visit, &Again::default()).await
}

async fn listed(visit: &Visit, again: &Again<'_>) -> Answer {
    let search = visit.asked("search");
    let words = PageWords {
        before: visit.query.get("before"),
        after: visit.query.get("after"),
        ..PageWords::default()
    };
    let wanted = OrganizationQuery {
        domains: Vec::new(),
        search: search.clone(),
        page: PageRequest::parse(words, Order::Desc)?,
    };
    let found = visit.service().read_organizations(visit.access(), wanted).await?;
    let search = search.unwrap_or_default();
    let page = ListedPage {
        path: visit.address(&format!("organizations?search={}&", filters::encoded(&search))),
        frame: visit.saying(said),
        search,
        organizations: found.data.iter().map(Listed::of).collect(),
        metadata: found.list_metadata,
        again,
    };
    html_with(&again.faults, &page)
}

async fn create(sent: Sent<Operator>) -> Answer {
    let new = NewOrganization {
        name: sent.form.get("name").trim().to_owned(),
        external_id: sent.form.filled("external_id").map(str::to_owned),
    };
    match checked(sent.service().organization_create(sent.access(), new).await)? {
        Ok(made) => sent.back_to(&format!("organizations/{}", made.id), "created"),
        Err(faults) => listed(&sent, &Again::of(&sent, &faults)).await,
    }
}

async fn one(visit: By<Viewer>, id: Path<String>) -> Answer {
    shown(&visit, &id, &Again::default()).await
}

async fn shown(visit: &Visit, id: &str, again: &Again<'_>) -> Answer {
    let (service, access) = (visit.service(), visit.access());
    let organization = service.organization_get(access, id).await?;
    let wanted = Some(organization.id.clone());
    let directories = service.directory_list(access, wanted, &visit.stretch()).await?;
    // Alarms of this organization alone.
    let within = visit.admin.within(&organization.id);
    let alarms = service.alarm_list(&within, &AlarmQuery::default()).await?;
    let alarming = alarms.data.iter().filter_map(|alarm| alarm.directory_id.as_ref());
    let page = OnePage {
        frame: visit.saying(said),
        organization,
        directories,
        names: service.names(access, alarming).await?,
        alarms: alarms.data,
        again,
    };
    html_with(&again.faults, &page)
}

async fn change(sent: Sent<Operator>, id: Path<String>) -> Answer {
    let change = OrganizationChange {
        name: Some(sent.form.get("name").trim().to_owned()),
        external_id: Some(sent.form.filled("external_id").map(str::to_owned)),
    };
    match checked(sent.service().organization_update(sent.access(), &id, change).await)? {
        Ok(_) => sent.back_to(&format!("organizations/{id}"), "changed"),
        Err(faults) => shown(&sent, &id, &Again::of(&sent, &faults)).await,
    }
}

async fn delete(sent: Sent<Operator>, id: Path<String>) -> Answer {
    sent.service().organization_delete(sent.access(), &id).await?;
    sent.back_to("organizations", "deleted")
}

/// How long a link of the console may wait to be used, in seconds.
const LINK_SECONDS: i64 = 3 * 24 * 60 * 60;

/// The page with the link is the answer to the form: it is nowhere else.
async fn link(sent: Sent<Operator>, id: Path<String>) -> Answer {
    let service = sent.service();
    let organization = service.organization_get(sent.access(), &id).await?;
    let new = NewPortalLink {
        organization: organization.id.clone(),
        intent: None,
        return_url: sent.form.filled("return_url").map(str::to_owned),
        success_url: None,
        external_user_id: sent.form.filled("external_user_id").map(str::to_owned),
        expires_in: Some(LINK_SECONDS),
    };
    let expires_at = service.clock.now_ms() + LINK_SECONDS * 1_000;
    let link = service.portal_link(sent.access(), new, &sent.public_url()).await?.link;
    html(&LinkPage { frame: sent.frame.clone(), organization, link, expires_at })
}

async fn revoke(sent: Sent<Operator>, id: Path<String>) -> Answer {
    let which = PortalRevocation { organization: id.clone(), external_user_id: None };
    sent.service().portal_revoke(sent.access(), which).await?;
    sent.back_to(&format!("organizations/{id}"), "revoked")
}
