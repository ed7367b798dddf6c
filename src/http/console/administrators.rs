//! Who may sign in, with which role, and from where they are signed in. Owners only.

use actix_web::web::{self, Path, ServiceConfig};
use askama::Template;

use super::{Again, Answer, By, Frame, Owner, Sent, Visit, checked, html, html_with};
use crate::http::web::only;
use crate::http::web::text as filters;
use crate::service::administer::ListPage;
use crate::service::console::{AdminChange, AdminView, NewAdmin, Role, SessionView};
use crate::service::error::AdminError;

pub(super) fn routes(config: &mut ServiceConfig) {
    let (get, post) = (web::get, web::post);
    config
        .service(
            only("/console/administrators", "GET, POST")
                .route(get().to(list))
                .route(post().to(invite)),
        )
        .service(only("/console/administrators/{id}", "GET").route(get().to(one)))
        .service(only("/console/administrators/{id}/role", "POST").route(post().to(set_role)))
        .service(
            only("/console/administrators/{id}/invitation", "POST").route(post().to(invite_again)),
        )
        .service(only("/console/administrators/{id}/sign-out", "POST").route(post().to(sign_out)))
        .service(only("/console/administrators/{id}/delete", "POST").route(post().to(delete)));
}

/// What each role may do.
const ROLES: [(Role, &str); 3] = [
    (Role::Viewer, "sees everything"),
    (Role::Operator, "also acts"),
    (Role::Owner, "also decides on administrators, API keys and secret keys"),
];

#[derive(Template)]
#[template(path = "console/administrators.html")]
struct ListedPage<'p> {
    frame: Frame,
    admins: ListPage<AdminView>,
    roles: [(Role, &'static str); 3],
    again: &'p Again<'p>,
}

#[derive(Template)]
#[template(path = "console/administrators_one.html")]
struct OnePage {
    frame: Frame,
    admin: AdminView,
    sessions: Vec<SessionView>,
    roles: [(Role, &'static str); 3],
}

#[derive(Template)]
#[template(path = "console/administrators_invited.html")]
struct InvitedPage {
    frame: Frame,
    admin: AdminView,
}

fn said(key: &str) -> Option<&'static str> {
    match key {
        "role" => Some("The role was changed; every browser is signed out."),
        "signed-out" => Some("The account is signed out there."),
        "deleted" => Some("The account was removed."),
        _ => None,
    }
}

fn role(word: &str) -> Result<Role, AdminError> {
    let message = "it must be viewer, operator or owner.";
    Role::parse(word).ok_or_else(|| AdminError::invalid("role", message))
}

async fn list(visit: By<Owner>) -> Answer {
    listed(&visit, &Again::default()).await
}

async fn listed(visit: &Visit, again: &Again<'_>) -> Answer {
    let admins = visit.service().admin_list(visit.access(), &visit.stretch()).await?;
    let page = ListedPage { frame: visit.saying(said), admins, roles: ROLES, again };
    html_with(&again.faults, &page)
}

/// The page with the link is the answer to the form: it is nowhere else.
async fn invite(sent: Sent<Owner>) -> Answer {
    let new = NewAdmin {
        email: sent.form.get("email").to_owned(),
        name: sent.form.get("name").to_owned(),
        role: role(sent.form.get("role"))?,
        password: None,
    };
    match checked(sent.service().admin_create(sent.access(), new, &sent.public_url()).await)? {
        Ok(admin) => html(&InvitedPage { frame: sent.frame.clone(), admin }),
        Err(faults) => listed(&sent, &Again::of(&sent, &faults)).await,
    }
}

async fn one(visit: By<Owner>, id: Path<String>) -> Answer {
    let admin = visit.service().admin_get(visit.access(), &id).await?;
    let sessions = visit.service().admin_sessions(visit.access(), &id).await?;
    html(&OnePage { frame: visit.saying(said), admin, sessions, roles: ROLES })
}

async fn set_role(sent: Sent<Owner>, id: Path<String>) -> Answer {
    let change = AdminChange { role: Some(role(sent.form.get("role"))?), ..AdminChange::default() };
    sent.service().admin_update(sent.access(), &id, change).await?;
    sent.back_to(&format!("administrators/{id}"), "role")
}

async fn invite_again(sent: Sent<Owner>, id: Path<String>) -> Answer {
    let admin = sent.service().admin_invite(sent.access(), &id, &sent.public_url()).await?;
    html(&InvitedPage { frame: sent.frame.clone(), admin })
}

async fn sign_out(sent: Sent<Owner>, id: Path<String>) -> Answer {
    let session = sent.form.filled("session");
    sent.service().admin_session_end(sent.access(), &id, session).await?;
    sent.back_to(&format!("administrators/{id}"), "signed-out")
}

async fn delete(sent: Sent<Owner>, id: Path<String>) -> Answer {
    sent.service().admin_delete(sent.access(), &id).await?;
    sent.back_to("administrators", "deleted")
}
