//! Who may sign in, with which role, and from where they are signed in. Owners only.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::{self, Data, Path, Payload, ServiceConfig};
use askama::Template;

use super::{Answer, Frame, enter, failed, page_parameters, submitted};
use crate::http::web::only;
use crate::http::web::page::{lead_to, respond};
use crate::http::web::text as filters;
use crate::http::{State, caller};
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
struct ListedPage {
    frame: Frame,
    admins: ListPage<AdminView>,
    roles: [(Role, &'static str); 3],
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

fn role(word: &str) -> Result<Role, crate::http::error::HttpError> {
    let message = "it must be viewer, operator or owner.";
    Role::parse(word).ok_or_else(|| failed(AdminError::invalid("role", message)))
}

async fn list(request: HttpRequest, state: Data<State>) -> Answer {
    let (admin, frame) = enter(&request, &state, Role::Owner).await?;
    let parameters = page_parameters(&request)?;
    let admins = state.service.admin_list(&admin.access, &parameters).await.map_err(failed)?;
    let page = ListedPage { frame: frame.saying(said), admins, roles: ROLES };
    Ok(respond(StatusCode::OK, &page))
}

/// The page with the link is the answer to the form: it is nowhere else.
async fn invite(request: HttpRequest, payload: Payload, state: Data<State>) -> Answer {
    let (admin, frame, form) = submitted(&request, payload, &state, Role::Owner).await?;
    let new = NewAdmin {
        email: form.get("email").to_owned(),
        name: form.get("name").to_owned(),
        role: role(form.get("role"))?,
        password: None,
    };
    let public_url = caller::public_url(&request, &state);
    let made = state.service.admin_create(&admin.access, new, &public_url).await.map_err(failed)?;
    Ok(respond(StatusCode::OK, &InvitedPage { frame, admin: made }))
}

async fn one(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let (admin, frame) = enter(&request, &state, Role::Owner).await?;
    let shown = state.service.admin_get(&admin.access, &id).await.map_err(failed)?;
    let sessions = state.service.admin_sessions(&admin.access, &id).await.map_err(failed)?;
    let page = OnePage { frame: frame.saying(said), admin: shown, sessions, roles: ROLES };
    Ok(respond(StatusCode::OK, &page))
}

async fn set_role(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (admin, frame, form) = submitted(&request, payload, &state, Role::Owner).await?;
    let change = AdminChange { role: Some(role(form.get("role"))?), ..AdminChange::default() };
    state.service.admin_update(&admin.access, &id, change).await.map_err(failed)?;
    Ok(lead_to(&format!("{}/console/administrators/{id}?said=role", frame.base)))
}

async fn invite_again(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (admin, frame, _) = submitted(&request, payload, &state, Role::Owner).await?;
    let public_url = caller::public_url(&request, &state);
    let made = state.service.admin_invite(&admin.access, &id, &public_url).await.map_err(failed)?;
    Ok(respond(StatusCode::OK, &InvitedPage { frame, admin: made }))
}

async fn sign_out(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (admin, frame, form) = submitted(&request, payload, &state, Role::Owner).await?;
    let session = form.filled("session");
    let ended = state.service.admin_session_end(&admin.access, &id, session).await;
    ended.map_err(failed)?;
    Ok(lead_to(&format!("{}/console/administrators/{id}?said=signed-out", frame.base)))
}

async fn delete(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (admin, frame, _) = submitted(&request, payload, &state, Role::Owner).await?;
    state.service.admin_delete(&admin.access, &id).await.map_err(failed)?;
    Ok(lead_to(&format!("{}/console/administrators?said=deleted", frame.base)))
}
