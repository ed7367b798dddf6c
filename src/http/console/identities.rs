//! Identities of an organization: persons with their accounts, and suggestions of who is the same.

use actix_web::web::{self, Path, ServiceConfig};
use askama::Template;
use serde_json::Value;

use super::{Answer, By, Frame, Operator, Sent, Viewer, html};
use crate::http::web::only;
use crate::http::web::text as filters;
use crate::service::ServiceError;
use crate::service::administer::{ListPage, ListParameters, OrganizationView};
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
    // Without a primary directory there is no profile, and the accounts say who it is.
    let known = [&*name, text(identity, "/email"), text(identity, "/accounts/0/email")];
    let known = known.into_iter().find(|known| !known.is_empty());
    known.unwrap_or_else(|| text(identity, "/id")).to_owned()
}

fn said(key: &str) -> Option<&'static str> {
    match key {
        "accept" => Some("The two are one person now."),
        "reject" => Some("The two stay apart; it is not suggested again."),
        "undo" => Some("The decision is taken back; the suggestion is open again."),
        "primary" => {
            Some("The primary directory is chosen; what follows is done in the background.")
        }
        "unlink" => Some("The account has an identity of its own now."),
        _ => None,
    }
}

async fn choose(visit: By<Viewer>) -> Answer {
    let service = visit.service();
    let organizations = service.organization_list(visit.access(), &visit.stretch()).await?;
    html(&ChoosePage { frame: visit.frame.clone(), organizations })
}

async fn list(visit: By<Viewer>, organization: Path<String>) -> Answer {
    let (service, access) = (visit.service(), visit.access());
    let state = visit.asked("state").unwrap_or_else(|| "open".to_owned());
    let email = visit.asked("email");
    let found = service.organization_get(access, &organization).await?;
    let selected =
        IdentityQuery { email: email.clone(), page: visit.stretch(), ..IdentityQuery::default() };
    let identities = match service.identity_list(access, &organization, selected).await {
        Err(ServiceError::Admin(error)) if error.code == "identities_off" => {
            return html(&OffPage { frame: visit.frame.clone(), organization: found });
        }
        listed => listed?,
    };
    let first = ListParameters { limit: Some(100), ..ListParameters::default() };
    let suggestions = service.suggestion_list(access, &organization, Some(&state), &first).await?;
    html(&IdentitiesPage {
        frame: visit.saying(said),
        organization: found,
        email: email.unwrap_or_default(),
        identities,
        state,
        suggestions: suggestions.data,
    })
}

async fn decide(sent: Sent<Operator>, path: Path<(String, String, String)>) -> Answer {
    let (organization, id, verb) = path.into_inner();
    let decision = match verb.as_str() {
        "accept" => Decision::Accept,
        "reject" => Decision::Reject,
        "undo" => Decision::Undo,
        _ => return Err(AdminError::not_found("This page").into()),
    };
    let service = sent.service();
    service.suggestion_decide(sent.access(), &organization, &id, decision).await?;
    sent.back_to(&format!("identities/{organization}"), &verb)
}

async fn unlink(sent: Sent<Operator>, path: Path<(String, String)>) -> Answer {
    let (organization, identity) = path.into_inner();
    let user = sent.form.get("user");
    let service = sent.service();
    service.account_unlink(sent.access(), &organization, &identity, user).await?;
    sent.back_to(&format!("identities/{organization}"), "unlink")
}
