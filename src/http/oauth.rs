//! The token endpoint (RFC 6749 §3.2, §4.4) and what clients read about it (RFC 8414).

use actix_web::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, PRAGMA};
use actix_web::web::{self, Data, Payload};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, Resource};
use percent_encoding::percent_decode_str;
use serde_json::json;

use super::error::{HttpError, Problem, Surface};
use super::observe::RouteName;
use super::{State, body, caller};
use crate::auth::jwt::PUBLIC_KEY_ALGORITHMS;
use crate::service::oauth::{
    ClientProof, GrantError, Granted, Refusal, SCOPES, TOKEN_PATH, TokenRequest,
};

/// Largest request body, in bytes: an assertion and a few words.
const MAX_BODY_BYTES: usize = 64 * 1024;

const METADATA_PATH: &str = "/.well-known/oauth-authorization-server";

/// The one type of assertion (RFC 7523 §2.2).
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(only(TOKEN_PATH, Surface::OAuth, "POST").route(web::post().to(token))).service(
        only(METADATA_PATH, Surface::Api, "GET, HEAD")
            .route(web::get().to(metadata))
            .route(web::head().to(metadata)),
    );
}

/// A path with the methods it has; others are 405 with `Allow`.
fn only(path: &str, surface: Surface, allowed: &'static str) -> Resource {
    let refuse = move || async move {
        Err::<HttpResponse, _>(HttpError::on(surface, Problem::Method(allowed)))
    };
    web::resource(path).default_service(web::to(refuse))
}

/// `POST /oauth/token`: an access token for a client that proves who it is.
async fn token(
    request: HttpRequest,
    payload: Payload,
    state: Data<State>,
) -> Result<HttpResponse, HttpError> {
    request.extensions_mut().insert(RouteName("oauth_token"));
    let granted = grant(&request, payload, &state).await;
    match &granted {
        Ok(granted) => state.metrics.token_granted(granted.method),
        Err(GrantError::Refused(refusal)) => state.metrics.grant_refused(refusal.reason),
        Err(GrantError::TooMany(_)) => state.metrics.grant_refused("too_many"),
        Err(GrantError::Limited { provider, .. }) => {
            state.metrics.grant_refused("rate_limit");
            state.metrics.rate_limited("oauth", provider);
        }
        Err(GrantError::Store(_)) => state.metrics.grant_refused("store"),
    }
    let granted = granted.map_err(|error| HttpError::on(Surface::OAuth, error))?;
    Ok(HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((PRAGMA, "no-cache"))
        .json(json!({
            "access_token": granted.access_token,
            "token_type": "Bearer",
            "expires_in": granted.expires_in,
            "scope": granted.scope,
        })))
}

async fn grant(
    request: &HttpRequest,
    payload: Payload,
    state: &State,
) -> Result<Granted, GrantError> {
    let form = form(request, payload).await.map_err(GrantError::Refused)?;
    let wanted = token_request(request, &form).map_err(GrantError::Refused)?;
    let issuer = caller::public_url(request, state);
    state.service.token_grant(wanted, &issuer, caller::address(request, state)).await
}

/// `GET /.well-known/oauth-authorization-server`
async fn metadata(request: HttpRequest, state: Data<State>) -> HttpResponse {
    request.extensions_mut().insert(RouteName("oauth_metadata"));
    let issuer = caller::public_url(&request, &state);
    HttpResponse::Ok().json(json!({
        "token_endpoint": format!("{issuer}{TOKEN_PATH}"),
        "issuer": issuer,
        "scopes_supported": SCOPES,
        "response_types_supported": [],
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported":
            ["client_secret_basic", "client_secret_post", "private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported":
            PUBLIC_KEY_ALGORITHMS.map(|(_, name)| name),
    }))
}

/// The parameters of a form. Unknown ones are passed over (RFC 6749 §3.2).
struct Form(Vec<(String, String)>);

impl Form {
    fn parse(text: &[u8]) -> Option<Self> {
        let decode = |piece: &str| {
            let spaced = piece.replace('+', " ");
            percent_decode_str(&spaced).decode_utf8().ok().map(std::borrow::Cow::into_owned)
        };
        let text = std::str::from_utf8(text).ok()?;
        let pairs = text.split('&').filter(|piece| !piece.is_empty()).map(|piece| {
            let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
            Some((decode(name)?, decode(value)?))
        });
        Some(Self(pairs.collect::<Option<_>>()?))
    }

    /// The value of a parameter, which may stand once; an empty one counts as left out.
    fn get(&self, name: &str) -> Result<Option<String>, Refusal> {
        let mut values = self.0.iter().filter(|(known, _)| known == name).map(|(_, value)| value);
        let first = values.next();
        if values.next().is_some() {
            return Err(Refusal::request(format!("The parameter {name} is there twice.")));
        }
        Ok(first.filter(|value| !value.is_empty()).cloned())
    }
}

async fn form(request: &HttpRequest, payload: Payload) -> Result<Form, Refusal> {
    let header = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = header.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(Refusal::request(
            "The request must be a form: Content-Type application/x-www-form-urlencoded.",
        ));
    }
    let body = body::read(payload, MAX_BODY_BYTES).await;
    let body = body.map_err(|error| Refusal::request(error.detail))?;
    Form::parse(&body).ok_or_else(|| Refusal::request("The form is not percent-encoded UTF-8."))
}

/// What the client wants and how it proves who it is: by the header, by a secret in the form or by an
/// assertion, and never by two of them (RFC 6749 §2.3).
fn token_request(request: &HttpRequest, form: &Form) -> Result<TokenRequest, Refusal> {
    let client_id = form.get("client_id")?;
    let secret = form.get("client_secret")?;
    let assertion = form.get("client_assertion")?;
    let assertion_type = form.get("client_assertion_type")?;
    let header = request.headers().get(AUTHORIZATION);
    if usize::from(header.is_some())
        + usize::from(secret.is_some())
        + usize::from(assertion.is_some() || assertion_type.is_some())
        > 1
    {
        return Err(Refusal::request(
            "The client must authenticate in one way: by the header Authorization, by \
             client_secret, or by client_assertion.",
        ));
    }
    let proof = if let Some(header) = header {
        by_header(header.to_str().unwrap_or_default(), client_id.as_deref())?
    } else if let (Some(client_id), Some(secret)) = (&client_id, secret) {
        ClientProof::Secret { client_id: client_id.clone(), secret }
    } else if assertion.is_some() || assertion_type.is_some() {
        let Some(assertion) =
            assertion.filter(|_| assertion_type.as_deref() == Some(ASSERTION_TYPE))
        else {
            return Err(Refusal::request(format!(
                "A client_assertion needs the client_assertion_type {ASSERTION_TYPE}."
            )));
        };
        ClientProof::Assertion { assertion, client_id }
    } else {
        let description = "The client did not authenticate: send client_id and client_secret by \
             Basic or in the form, or a client_assertion.";
        return Err(Refusal::client("none", description.to_owned()));
    };
    Ok(TokenRequest { grant_type: form.get("grant_type")?, scope: form.get("scope")?, proof })
}

/// Client id and secret by `Basic`; both are form-encoded before (RFC 6749 §2.3.1).
fn by_header(header: &str, named: Option<&str>) -> Result<ClientProof, Refusal> {
    let wrong = |description: &str| Refusal::client("none", description.to_owned());
    let (scheme, encoded) = header.trim().split_once(' ').unwrap_or_default();
    if !scheme.eq_ignore_ascii_case("Basic") {
        return Err(wrong("The header Authorization must be Basic with client_id and secret."));
    }
    let decode = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_decode_str(&spaced).decode_utf8().ok().map(std::borrow::Cow::into_owned)
    };
    let pair = caller::user_and_password(encoded)
        .and_then(|(id, secret)| Some((decode(&id)?, decode(&secret)?)));
    let Some((client_id, secret)) = pair else {
        return Err(wrong("The header Authorization is not base64 of client_id:secret."));
    };
    if named.is_some_and(|named| named != client_id) {
        return Err(Refusal::request("The client_id of the form is not that of the header."));
    }
    Ok(ClientProof::Secret { client_id, secret })
}
