//! API keys: made, with the secret shown once, and revoked. Owners only.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::{self, Data, Path, Payload, ServiceConfig};
use askama::Template;

use super::{Answer, Frame, enter, failed, page_parameters, submitted};
use crate::http::State;
use crate::http::web::only;
use crate::http::web::page::{lead_to, respond};
use crate::http::web::text as filters;
use crate::service::ApiScope;
use crate::service::administer::{ApiKeyView, ListPage, NewApiKey};
use crate::service::console::Role;
use crate::service::error::AdminError;

pub(super) fn routes(config: &mut ServiceConfig) {
    let (get, post) = (web::get, web::post);
    config
        .service(only("/console/keys", "GET, POST").route(get().to(list)).route(post().to(create)))
        .service(only("/console/keys/{id}/revoke", "POST").route(post().to(revoke)));
}

/// What each scope opens.
const SCOPES: [(ApiScope, &str); 5] = [
    (ApiScope::Read, "reads people, groups and events, as the app does"),
    (ApiScope::Webhooks, "manages webhook endpoints"),
    (ApiScope::Manage, "does everything that operators do, and makes keys"),
    (ApiScope::Admins, "decides on administrators, owners too"),
    (ApiScope::SsfManage, "manages streams of Security Event Tokens"),
];

#[derive(Template)]
#[template(path = "console/keys.html")]
struct KeysPage {
    frame: Frame,
    keys: ListPage<ApiKeyView>,
    scopes: [(ApiScope, &'static str); 5],
}

#[derive(Template)]
#[template(path = "console/key_made.html")]
struct MadePage {
    frame: Frame,
    key: ApiKeyView,
}

/// A JSON array of texts as people write it.
fn listed(list: &serde_json::Value) -> String {
    let texts: Vec<&str> =
        list.as_array().into_iter().flatten().filter_map(serde_json::Value::as_str).collect();
    texts.join(", ")
}

fn said(key: &str) -> Option<&'static str> {
    (key == "revoked").then_some("The key was revoked; nothing is let in with it any more.")
}

async fn list(request: HttpRequest, state: Data<State>) -> Answer {
    let (admin, frame) = enter(&request, &state, Role::Owner).await?;
    let parameters = page_parameters(&request)?;
    let keys = state.service.api_key_list(&admin.access, &parameters).await.map_err(failed)?;
    let page = KeysPage { frame: frame.saying(said), keys, scopes: SCOPES };
    Ok(respond(StatusCode::OK, &page))
}

/// The page with the secret is the answer to the form: it is nowhere else.
async fn create(request: HttpRequest, payload: Payload, state: Data<State>) -> Answer {
    let (admin, frame, form) = submitted(&request, payload, &state, Role::Owner).await?;
    let mut scopes = Vec::new();
    for word in form.all("scope") {
        let known = SCOPES.iter().map(|(scope, _)| *scope).find(|scope| scope.as_str() == word);
        scopes.push(known.ok_or_else(|| {
            failed(AdminError::invalid("scope", "it is none of the scopes on the page."))
        })?);
    }
    let ids: Vec<String> = form
        .get("organizations")
        .split([',', ' ', '\n', '\r'])
        .filter(|id| !id.is_empty())
        .map(str::to_owned)
        .collect();
    let new = NewApiKey {
        name: form.get("name").trim().to_owned(),
        scopes,
        organization_ids: (!ids.is_empty()).then_some(ids),
        expires_at: form.filled("expires_at").map(|day| match day.contains('T') {
            true => day.to_owned(),
            false => format!("{day}T00:00:00Z"),
        }),
    };
    let key = state.service.api_key_create(&admin.access, new).await.map_err(failed)?;
    Ok(respond(StatusCode::OK, &MadePage { frame, key }))
}

async fn revoke(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (admin, frame, _) = submitted(&request, payload, &state, Role::Owner).await?;
    state.service.api_key_delete(&admin.access, &id).await.map_err(failed)?;
    Ok(lead_to(&format!("{}/console/keys?said=revoked", frame.base)))
}
