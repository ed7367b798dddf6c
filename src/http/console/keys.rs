//! API keys: made, with the secret shown once, and revoked. Owners only.

use actix_web::web::{self, Path, ServiceConfig};
use askama::Template;

use super::{
    Again, Answer, By, Frame, Owner, Sent, Visit, checked, html, html_with, organizations,
};
use crate::http::web::only;
use crate::http::web::text as filters;
use crate::service::ApiScope;
use crate::service::administer::{ApiKeyView, ListPage, NewApiKey};
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
struct KeysPage<'p> {
    frame: Frame,
    keys: ListPage<ApiKeyView>,
    scopes: [(ApiScope, &'static str); 5],
    again: &'p Again<'p>,
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

async fn list(visit: By<Owner>) -> Answer {
    shown(&visit, &Again::default()).await
}

async fn shown(visit: &Visit, again: &Again<'_>) -> Answer {
    let keys = visit.service().api_key_list(visit.access(), &visit.stretch()).await?;
    let page = KeysPage { frame: visit.saying(said), keys, scopes: SCOPES, again };
    html_with(&again.faults, &page)
}

/// The page with the secret is the answer to the form: it is nowhere else.
async fn create(sent: Sent<Owner>) -> Answer {
    let mut scopes = Vec::new();
    for word in sent.form.all("scope") {
        let known = SCOPES.iter().map(|(scope, _)| *scope).find(|scope| scope.as_str() == word);
        scopes.push(known.ok_or_else(|| {
            AdminError::invalid("scope", "it is none of the scopes on the page.")
        })?);
    }
    let new = NewApiKey {
        name: sent.form.get("name").trim().to_owned(),
        scopes,
        organization_ids: organizations(&sent.form, "organizations"),
        expires_at: sent.form.filled("expires_at").map(|day| match day.contains('T') {
            true => day.to_owned(),
            false => format!("{day}T00:00:00Z"),
        }),
    };
    match checked(sent.service().api_key_create(sent.access(), new).await)? {
        Ok(key) => html(&MadePage { frame: sent.frame.clone(), key }),
        Err(faults) => shown(&sent, &Again::of(&sent, &faults)).await,
    }
}

async fn revoke(sent: Sent<Owner>, id: Path<String>) -> Answer {
    sent.service().api_key_delete(sent.access(), &id).await?;
    sent.back_to("keys", "revoked")
}
