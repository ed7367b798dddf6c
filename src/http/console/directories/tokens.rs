//! Tokens and OAuth clients of a directory: made and shown once, replaced with two that live at the same
//! time, revoked.

use actix_web::http::StatusCode;
use actix_web::web::Path;
use askama::Template;
use serde::Serialize;
use serde_json::Value;

use super::{
    Answer, By, Fault, Frame, Operator, Sent, Shown, Top, Viewer, Visit, back, checked, document,
    found, html_with, said, sentences, value,
};
use crate::http::web::browser::Form;
use crate::http::web::{page, text as filters};
use crate::service::ServiceError;
use crate::service::administer::{
    AuthMethod, ListMetadata, ListParameters, NewOAuthClient, NewToken, Rotation,
};
use crate::service::authenticate::TokenScope;

#[derive(Template)]
#[template(path = "console/directories/tokens.html")]
struct TokensPage<'p> {
    frame: &'p Frame,
    top: Top<'p>,
    tokens: Vec<Shown<'p>>,
    metadata: &'p ListMetadata,
    clients: Vec<Shown<'p>>,
    faults: &'p [String],
}

#[derive(Template)]
#[template(path = "console/directories/secret.html")]
struct SecretPage<'p> {
    frame: &'p Frame,
    top: Top<'p>,
    made: Shown<'p>,
}

/// Overlaps that a rotation offers: seconds, and in words.
const OVERLAPS: [(i64, &str); 4] = [
    (86_400, "a day"),
    (604_800, "a week"),
    (2_592_000, "30 days"),
    (0, "not at all: it ends now"),
];

pub(super) async fn show(visit: By<Viewer>, id: Path<String>) -> Answer {
    shown(&visit, &id, &[]).await
}

async fn shown(visit: &Visit, id: &str, faults: &[Fault]) -> Answer {
    let (service, access) = (visit.service(), visit.access());
    let directory = found(visit, id).await?;
    let tokens = service.token_list(access, id, &visit.stretch()).await?;
    let all = ListParameters { limit: Some(500), ..ListParameters::default() };
    let clients = service.oauth_client_list(access, id, &all).await?;
    let rows: Vec<Value> = tokens.data.iter().map(value).collect();
    let clients: Vec<Value> = clients.data.iter().map(value).collect();
    let (frame, faults) = (&visit.saying(said), sentences(faults));
    let page = TokensPage {
        frame,
        top: Top::new(frame, &directory, "tokens"),
        tokens: rows.iter().map(Shown).collect(),
        metadata: &tokens.list_metadata,
        clients: clients.iter().map(Shown).collect(),
        faults: &faults,
    };
    html_with(&faults, &page)
}

/// Shows what was made, once; or what was wrong with the form.
async fn made<T: Serialize>(visit: &Visit, id: &str, made: Result<T, ServiceError>) -> Answer {
    match checked(made)? {
        Ok(made) => {
            let (frame, directory) = (&visit.frame, found(visit, id).await?);
            let (top, made) = (Top::new(frame, &directory, "tokens"), value(made));
            let page = SecretPage { frame, top, made: Shown(&made) };
            Ok(page::respond(StatusCode::CREATED, &page))
        }
        Err(faults) => shown(visit, id, &faults).await,
    }
}

/// The scope and the end that a form asks for.
fn wanted(form: &Form) -> (Option<TokenScope>, Option<String>) {
    let scope = match form.get("scope") {
        "read" => TokenScope::Read,
        _ => TokenScope::Write,
    };
    (Some(scope), expiry(form))
}

/// A day, as browsers send it, ends where it ends in UTC.
fn expiry(form: &Form) -> Option<String> {
    let day = form.filled("expires_on")?;
    Some(format!("{day}T23:59:59Z"))
}

pub(super) async fn create(sent: Sent<Operator>, id: Path<String>) -> Answer {
    let (scope, expires_at) = wanted(&sent.form);
    let new = NewToken { expires_at, scope, user_id: None };
    let token = sent.service().token_create(sent.access(), &id, new).await;
    made(&sent, &id, token).await
}

pub(super) async fn rotate(sent: Sent<Operator>, path: Path<(String, String)>) -> Answer {
    let (id, token) = path.into_inner();
    let overlap = sent.form.filled("overlap").and_then(|seconds| seconds.parse().ok());
    let rotation = Rotation { overlap, expires_at: expiry(&sent.form) };
    let token = sent.service().token_rotate(sent.access(), &id, &token, rotation).await;
    made(&sent, &id, token).await
}

pub(super) async fn revoke(sent: Sent<Operator>, path: Path<(String, String)>) -> Answer {
    let (id, token) = path.into_inner();
    sent.service().token_delete(sent.access(), &id, &token).await?;
    back(&sent, &id, "/tokens", "revoked")
}

pub(super) async fn client_create(sent: Sent<Operator>, id: Path<String>) -> Answer {
    let (scope, expires_at) = wanted(&sent.form);
    let jwks = sent.form.filled("jwks").map(|text| document("jwks", text)).transpose();
    let client = match jwks {
        Err(error) => Err(error.into()),
        Ok(jwks) => {
            let auth_method = match jwks {
                Some(_) => AuthMethod::PrivateKeyJwt,
                None => AuthMethod::ClientSecret,
            };
            let name = sent.form.filled("name").map(str::to_owned);
            let new = NewOAuthClient { name, auth_method, jwks, scope, expires_at };
            sent.service().oauth_client_create(sent.access(), &id, new).await
        }
    };
    made(&sent, &id, client).await
}

pub(super) async fn client_delete(sent: Sent<Operator>, path: Path<(String, String)>) -> Answer {
    let (id, client) = path.into_inner();
    sent.service().oauth_client_delete(sent.access(), &id, &client).await?;
    back(&sent, &id, "/tokens", "client_deleted")
}
