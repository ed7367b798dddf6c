//! Identities of an organization: persons with their accounts, and suggestions of who is the same.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::{self, Data, Path, Payload, ServiceConfig};
use askama::Template;
use serde_json::Value;

use super::{Answer, Frame, enter, failed, page_parameters, submitted};
use crate::http::State;
use crate::http::body::Query;
use crate::http::web::only;
use crate::http::web::page::{lead_to, respond};
use crate::http::web::text as filters;
use crate::service::ServiceError;
use crate::service::administer::{ListPage, ListParameters, OrganizationView};
use crate::service::console::Role;
use crate::service::error::AdminError;
use crate::service::identity::{Decision, IdentityQuery};

pub(super) fn routes(config: &mut ServiceConfig) {
    let (get, post) = (web::get, web::post);
    config
        .service(only("/console/identities", "GET").route(get().to(choose)))
        .service(only("/console/identities/{organization}", "GET").route(get().to(list)))
        .service(
            only("/console/identities/{organization}/suggestions/{id}/{verb}", "POST")
                .route(post().to(decide)),
        )
        .service(
            only("/console/identities/{organization}/{identity}/unlink", "POST")
                .route(post().to(unlink)),
        );
}

#[derive(Template)]
#[template(path = "console/identities_choose.html")]
struct ChoosePage {
    frame: Frame,
    organizations: ListPage<OrganizationView>,
}

#[derive(Template)]
#[template(path = "console/identities.html")]
struct IdentitiesPage {
    frame: Frame,
    organization: OrganizationView,
    email: String,
    identities: ListPage<Value>,
    /// `open`, `accepted` or `rejected`.
    state: String,
    suggestions: Vec<Value>,
}

/// Of an organization that keeps no identities.
#[derive(Template)]
#[template(path = "console/identities_off.html")]
struct OffPage {
    frame: Frame,
    organization: OrganizationView,
}

fn text<'v>(value: &'v Value, path: &str) -> &'v str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

fn accounts(identity: &Value) -> &[Value] {
    identity.get("accounts").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// What people call an identity.
fn name(identity: &Value) -> String {
    let parts = ["/first_name", "/last_name"].map(|part| text(identity, part));
    let name = parts.join(" ").trim().to_owned();
    let address = text(identity, "/email");
    match (name.is_empty(), address.is_empty()) {
        (false, _) => name,
        (true, false) => address.to_owned(),
        (true, true) => text(identity, "/id").to_owned(),
    }
}

fn said(key: &str) -> Option<&'static str> {
    match key {
        "accept" => Some("The two are one person now."),
        "reject" => Some("The two stay apart; it is not suggested again."),
        "undo" => Some("The decision is taken back; the suggestion is open again."),
        "unlink" => Some("The account has an identity of its own now."),
        _ => None,
    }
}

async fn choose(request: HttpRequest, state: Data<State>) -> Answer {
    let (admin, frame) = enter(&request, &state, Role::Viewer).await?;
    let page = page_parameters(&request)?;
    let organizations =
        state.service.organization_list(&admin.access, &page).await.map_err(failed)?;
    Ok(respond(StatusCode::OK, &ChoosePage { frame, organizations }))
}

async fn list(request: HttpRequest, organization: Path<String>, state: Data<State>) -> Answer {
    let (admin, frame) = enter(&request, &state, Role::Viewer).await?;
    let (service, access) = (&state.service, &admin.access);
    let query = Query::parse(request.query_string()).map_err(failed)?;
    let wanted = query.get("state").filter(|state| !state.is_empty()).unwrap_or("open");
    let email = query.get("email").unwrap_or_default().trim().to_owned();
    let found = service.organization_get(access, &organization).await.map_err(failed)?;
    let selected = IdentityQuery {
        email: Some(email.clone()).filter(|email| !email.is_empty()),
        page: page_parameters(&request)?,
        ..IdentityQuery::default()
    };
    let identities = match service.identity_list(access, &organization, selected).await {
        Err(ServiceError::Admin(error)) if error.code == "identities_off" => {
            return Ok(respond(StatusCode::OK, &OffPage { frame, organization: found }));
        }
        listed => listed.map_err(failed)?,
    };
    let first = ListParameters { limit: Some(100), ..ListParameters::default() };
    let suggestions = service
        .suggestion_list(access, &organization, Some(wanted), &first)
        .await
        .map_err(failed)?
        .data;
    let page = IdentitiesPage {
        frame: frame.saying(said),
        organization: found,
        email,
        identities,
        state: wanted.to_owned(),
        suggestions,
    };
    Ok(respond(StatusCode::OK, &page))
}

async fn decide(
    request: HttpRequest,
    path: Path<(String, String, String)>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (admin, frame, _) = submitted(&request, payload, &state, Role::Operator).await?;
    let (organization, id, verb) = path.into_inner();
    let decision = match verb.as_str() {
        "accept" => Decision::Accept,
        "reject" => Decision::Reject,
        "undo" => Decision::Undo,
        _ => return Err(failed(AdminError::not_found("This page"))),
    };
    let decided = state.service.suggestion_decide(&admin.access, &organization, &id, decision);
    decided.await.map_err(failed)?;
    let base = &frame.base;
    Ok(lead_to(&format!("{base}/console/identities/{organization}?said={verb}")))
}

async fn unlink(
    request: HttpRequest,
    path: Path<(String, String)>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (admin, frame, form) = submitted(&request, payload, &state, Role::Operator).await?;
    let (organization, identity) = path.into_inner();
    let user = form.get("user");
    let service = &state.service;
    service.account_unlink(&admin.access, &organization, &identity, user).await.map_err(failed)?;
    let base = &frame.base;
    Ok(lead_to(&format!("{base}/console/identities/{organization}?said=unlink")))
}
