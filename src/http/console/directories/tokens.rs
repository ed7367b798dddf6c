//! Tokens and OAuth clients of a directory: made and shown once, replaced with two that live at the same
//! time, revoked.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Payload};
use askama::Template;
use serde_json::Value;

use super::{
    Answer, Shown, Top, back, document, failed, faults, filled, found, query, said, sentences,
    value,
};
use crate::http::State;
use crate::http::console::{Frame, enter, submitted};
use crate::http::error::HttpError;
use crate::http::web::browser::Form;
use crate::http::web::{page, text as filters};
use crate::service::administer::{
    AuthMethod, ListMetadata, ListParameters, NewOAuthClient, NewToken, Rotation,
};
use crate::service::authenticate::TokenScope;
use crate::service::console::{Admin, Role};

#[derive(Template)]
#[template(path = "console/directories/tokens.html")]
struct TokensPage<'p> {
    frame: &'p Frame,
    top: Top<'p>,
    tokens: Vec<Shown<'p>>,
    metadata: &'p ListMetadata,
    clients: Vec<Shown<'p>>,
    faults: Vec<String>,
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

pub(super) async fn show(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let (admin, frame) = enter(&request, &state, Role::Viewer).await?;
    let query = query(&request)?;
    let stretch = ListParameters {
        limit: Some(100),
        after: filled(&query, "after"),
        before: filled(&query, "before"),
    };
    shown(&state, &admin, &frame.saying(said), &id, &stretch, Vec::new()).await
}

async fn shown(
    state: &State,
    admin: &Admin,
    frame: &Frame,
    id: &str,
    stretch: &ListParameters,
    faults: Vec<String>,
) -> Answer {
    let directory = found(state, admin, id).await?;
    let access = &admin.access;
    let tokens = state.service.token_list(access, id, stretch).await.map_err(failed)?;
    let all = ListParameters { limit: Some(500), ..ListParameters::default() };
    let clients = state.service.oauth_client_list(access, id, &all).await.map_err(failed)?;
    let rows: Vec<Value> = tokens.data.iter().map(value).collect();
    let clients: Vec<Value> = clients.data.iter().map(value).collect();
    let status = match faults.is_empty() {
        true => StatusCode::OK,
        false => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let page = TokensPage {
        frame,
        top: Top::new(frame, &directory, "tokens"),
        tokens: rows.iter().map(Shown).collect(),
        metadata: &tokens.list_metadata,
        clients: clients.iter().map(Shown).collect(),
        faults,
    };
    Ok(page::respond(status, &page))
}

/// Shows what was made, once; or what was wrong with the form.
async fn made(
    state: &State,
    admin: &Admin,
    frame: &Frame,
    id: &str,
    made: Result<Value, Result<Vec<(String, String)>, HttpError>>,
) -> Answer {
    match made {
        Ok(made) => {
            let directory = found(state, admin, id).await?;
            let top = Top::new(frame, &directory, "tokens");
            let page = SecretPage { frame, top, made: Shown(&made) };
            Ok(page::respond(StatusCode::CREATED, &page))
        }
        Err(faults) => {
            let (faults, first) = (sentences(&faults?), ListParameters::default());
            shown(state, admin, frame, id, &first, faults).await
        }
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

pub(super) async fn create(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (admin, frame, form) = submitted(&request, payload, &state, Role::Operator).await?;
    let (scope, expires_at) = wanted(&form);
    let new = NewToken { expires_at, scope, user_id: None };
    let token = state.service.token_create(&admin.access, &id, new).await;
    made(&state, &admin, &frame, &id, token.map(value).map_err(faults)).await
}

pub(super) async fn rotate(
    request: HttpRequest,
    path: Path<(String, String)>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (admin, frame, form) = submitted(&request, payload, &state, Role::Operator).await?;
    let (id, token) = path.into_inner();
    let overlap = form.filled("overlap").and_then(|seconds| seconds.parse().ok());
    let rotation = Rotation { overlap, expires_at: expiry(&form) };
    let token = state.service.token_rotate(&admin.access, &id, &token, rotation).await;
    made(&state, &admin, &frame, &id, token.map(value).map_err(faults)).await
}

pub(super) async fn revoke(
    request: HttpRequest,
    path: Path<(String, String)>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (admin, frame, _) = submitted(&request, payload, &state, Role::Operator).await?;
    let (id, token) = path.into_inner();
    state.service.token_delete(&admin.access, &id, &token).await.map_err(failed)?;
    back(&frame, &id, "/tokens", "revoked")
}

pub(super) async fn client_create(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (admin, frame, form) = submitted(&request, payload, &state, Role::Operator).await?;
    let (scope, expires_at) = wanted(&form);
    let jwks = form.filled("jwks").map(|text| document("jwks", text)).transpose();
    let client = match jwks {
        Err(error) => Err(error.into()),
        Ok(jwks) => {
            let auth_method = match jwks {
                Some(_) => AuthMethod::PrivateKeyJwt,
                None => AuthMethod::ClientSecret,
            };
            let name = form.filled("name").map(str::to_owned);
            let new = NewOAuthClient { name, auth_method, jwks, scope, expires_at };
            state.service.oauth_client_create(&admin.access, &id, new).await
        }
    };
    made(&state, &admin, &frame, &id, client.map(value).map_err(faults)).await
}

pub(super) async fn client_delete(
    request: HttpRequest,
    path: Path<(String, String)>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (admin, frame, _) = submitted(&request, payload, &state, Role::Operator).await?;
    let (id, client) = path.into_inner();
    state.service.oauth_client_delete(&admin.access, &id, &client).await.map_err(failed)?;
    back(&frame, &id, "/tokens", "client_deleted")
}
