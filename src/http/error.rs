//! Errors as answers: the SCIM error body on SCIM paths, that of OAuth at the token endpoint, a page where
//! people look, `{code, message, errors?}` elsewhere. The one place where failures of the server are logged.

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CACHE_CONTROL, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, ResponseError};
use serde_json::{Value, json};

use super::State;
use super::limit::TooMany;
use super::web::browser::Site;
use super::web::page::{self, Failure};
use crate::scim::{ScimError, ScimType, v1};
use crate::service::error::{AdminError, Trouble};
use crate::service::oauth::{GrantError, Refusal};
use crate::service::{AuthError, ServiceError};

/// Which error body an answer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Surface {
    Scim,
    /// SCIM 1.1, whose error body is another one.
    Scim1,
    Api,
    /// The token endpoint (RFC 6749 §5.2).
    OAuth,
    /// The set-up portal and the console, whose visitors read pages.
    Page,
}

/// A failed request.
#[derive(Debug)]
pub(super) struct HttpError {
    surface: Surface,
    problem: Problem,
}

#[derive(Debug)]
pub(super) enum Problem {
    Service(ServiceError),
    Auth(AuthError),
    /// 405 with the methods that are allowed.
    Method(&'static str),
    /// The directory is paused: come back later.
    Paused,
    /// A client gets no access token.
    Grant(Refusal),
    /// The directory or the API key is at its rate limit.
    Limited(TooMany),
    /// The same request runs already; another try is worth it in so many seconds.
    Busy(u64),
    /// What was asked for is behind another page, at this path: 303.
    Elsewhere(String),
}

impl HttpError {
    pub(super) fn scim(problem: impl Into<Problem>) -> Self {
        Self { surface: Surface::Scim, problem: problem.into() }
    }

    pub(super) fn api(problem: impl Into<Problem>) -> Self {
        Self { surface: Surface::Api, problem: problem.into() }
    }

    pub(super) fn on(surface: Surface, problem: impl Into<Problem>) -> Self {
        Self { surface, problem: problem.into() }
    }

    /// The same failure, shown to a client of another surface.
    pub(super) fn shown_on(self, surface: Surface) -> Self {
        Self { surface, ..self }
    }
}

impl From<ServiceError> for Problem {
    fn from(error: ServiceError) -> Self {
        Self::Service(error)
    }
}

impl From<ScimError> for Problem {
    fn from(error: ScimError) -> Self {
        Self::Service(error.into())
    }
}

impl From<AdminError> for Problem {
    fn from(error: AdminError) -> Self {
        Self::Service(error.into())
    }
}

impl From<GrantError> for Problem {
    fn from(error: GrantError) -> Self {
        match error {
            GrantError::Refused(refusal) => Self::Grant(refusal),
            GrantError::TooMany(seconds) => Self::Auth(AuthError::TooMany(seconds)),
            GrantError::Limited { limited, .. } => Self::Limited(limited.into()),
            GrantError::Store(error) => Self::Auth(AuthError::Store(error)),
        }
    }
}

impl From<TooMany> for Problem {
    fn from(too_many: TooMany) -> Self {
        Self::Limited(too_many)
    }
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        Self::Auth(error)
    }
}

impl std::fmt::Display for HttpError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.problem {
            Problem::Service(error) => error.fmt(f),
            Problem::Auth(AuthError::NoCredentials) => f.write_str("no credentials"),
            Problem::Auth(AuthError::Refused(reason)) => f.write_str(reason),
            Problem::Auth(AuthError::WrongPassword) => f.write_str("wrong user name or password"),
            Problem::Auth(AuthError::InvalidToken(fault)) => f.write_str(fault.reason()),
            Problem::Auth(AuthError::KeysUnavailable) => f.write_str("keys cannot be fetched"),
            Problem::Auth(AuthError::TooMany(_)) => f.write_str("too many failures"),
            Problem::Auth(AuthError::Store(error)) => error.fmt(f),
            Problem::Method(allowed) => write!(f, "allowed methods are {allowed}"),
            Problem::Paused => f.write_str("the directory is paused"),
            Problem::Busy(_) => f.write_str("the same request runs already"),
            Problem::Elsewhere(_) => f.write_str("another page comes first"),
            Problem::Grant(refusal) => f.write_str(refusal.error),
            Problem::Limited(_) => f.write_str("the caller is at its rate limit"),
        }
    }
}

/// Mark of an answer of 5xx that nobody expects: the server, its database or its machine failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unexpected;

/// Seconds after which a refused request is worth another try.
const RETRY_SECONDS: u64 = 1;

/// Seconds until keys that could not be fetched are fetched again.
const KEYS_SECONDS: u64 = 60;

const BEARER: &str = "Bearer realm=\"rollbook\"";

const BASIC: &str = "Basic realm=\"rollbook\", charset=\"UTF-8\"";

/// Seconds that a paused directory asks for.
const PAUSED_SECONDS: u64 = 3_600;

impl ResponseError for HttpError {
    fn status_code(&self) -> StatusCode {
        let code = match &self.problem {
            Problem::Service(error) => error.to_scim().status,
            Problem::Auth(AuthError::Store(error)) => Trouble::from(error).to_scim().status,
            Problem::Auth(
                AuthError::NoCredentials
                | AuthError::Refused(_)
                | AuthError::WrongPassword
                | AuthError::InvalidToken(_),
            ) => 401,
            Problem::Auth(AuthError::KeysUnavailable) => 503,
            Problem::Auth(AuthError::TooMany(_)) | Problem::Limited(_) => 429,
            Problem::Method(_) => 405,
            Problem::Paused => 503,
            Problem::Busy(_) => 409,
            Problem::Elsewhere(_) => 303,
            Problem::Grant(refusal) if refusal.error == "invalid_client" => 401,
            Problem::Grant(_) => 400,
        };
        StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status_code();
        if let Problem::Elsewhere(path) = &self.problem {
            return page::lead_to(path);
        }
        let expected = matches!(
            self.problem,
            Problem::Paused
                | Problem::Service(
                    ServiceError::SchemasChange
                        | ServiceError::MembersChange
                        | ServiceError::UndoRuns
                        | ServiceError::Admin(AdminError { status: 503, .. })
                )
                | Problem::Auth(AuthError::KeysUnavailable)
        ) || status == StatusCode::NOT_IMPLEMENTED;
        let unexpected = status.is_server_error() && !expected;
        if unexpected {
            tracing::error!(status = status.as_u16(), error = %self, "a request failed");
        } else {
            // The detail may hold what the client sent.
            let word = match &self.problem {
                Problem::Service(error) => error.to_scim().scim_type.map(ScimType::as_str),
                _ => None,
            };
            tracing::debug!(status = status.as_u16(), scim_type = word, "a request was refused");
        }
        let mut response = HttpResponse::build(status);
        if unexpected {
            response.extensions_mut().insert(Unexpected);
        }
        match &self.problem {
            Problem::Auth(AuthError::NoCredentials) => {
                // Clients that read one challenge read the first.
                response.append_header((WWW_AUTHENTICATE, BEARER));
                response.append_header((WWW_AUTHENTICATE, BASIC));
            }
            Problem::Auth(AuthError::Refused(_)) => {
                response.insert_header((WWW_AUTHENTICATE, BEARER));
            }
            Problem::Auth(AuthError::WrongPassword) => {
                response.insert_header((WWW_AUTHENTICATE, BASIC));
            }
            Problem::Auth(AuthError::InvalidToken(_)) => {
                let challenge = format!("{BEARER}, error=\"invalid_token\"");
                response.insert_header((WWW_AUTHENTICATE, challenge));
            }
            Problem::Auth(AuthError::KeysUnavailable) => {
                response.insert_header((RETRY_AFTER, KEYS_SECONDS.to_string()));
            }
            Problem::Grant(_) if status == StatusCode::UNAUTHORIZED => {
                response.insert_header((WWW_AUTHENTICATE, BASIC));
            }
            Problem::Auth(AuthError::TooMany(seconds)) => {
                response.insert_header((RETRY_AFTER, seconds.to_string()));
            }
            Problem::Limited(too_many) => {
                response.insert_header((RETRY_AFTER, too_many.limited.retry_seconds.to_string()));
            }
            Problem::Service(ServiceError::Admin(AdminError {
                retry_after: Some(seconds),
                ..
            })) => {
                response.insert_header((RETRY_AFTER, seconds.to_string()));
            }
            Problem::Method(allowed) => {
                response.insert_header((ALLOW, *allowed));
            }
            Problem::Paused => {
                response.insert_header((RETRY_AFTER, PAUSED_SECONDS.to_string()));
            }
            Problem::Busy(seconds) => {
                response.insert_header((RETRY_AFTER, seconds.to_string()));
            }
            _ if status == StatusCode::SERVICE_UNAVAILABLE => {
                response.insert_header((RETRY_AFTER, RETRY_SECONDS.to_string()));
            }
            _ => {}
        }
        match self.surface {
            Surface::Scim => scim_body(&mut response, &self.as_scim(status)),
            Surface::Scim1 => response.json(v1::error(&self.as_scim(status))),
            Surface::Api => response.json(self.as_api(status)),
            Surface::OAuth => response
                .insert_header((CACHE_CONTROL, "no-store"))
                .insert_header((PRAGMA, "no-cache"))
                .json(self.as_oauth(status)),
            Surface::Page => {
                let code = match &self.problem {
                    Problem::Service(ServiceError::Admin(error)) => Some(error.code),
                    _ => None,
                };
                Failure { code, sentence: self.sentence() }.answer(&mut response)
            }
        }
    }
}

impl HttpError {
    fn as_scim(&self, status: StatusCode) -> ScimError {
        match &self.problem {
            Problem::Service(error) => error.to_scim(),
            _ => ScimError::new(status.as_u16(), self.sentence()),
        }
    }

    fn as_api(&self, status: StatusCode) -> Value {
        match &self.problem {
            Problem::Service(ServiceError::Admin(error)) => {
                let mut body = json!({"code": error.code, "message": error.message});
                if let (false, Some(object)) = (error.errors.is_empty(), body.as_object_mut()) {
                    let errors = error.errors.iter();
                    let errors = errors
                        .map(|(f, m)| json!({"field": f, "code": "invalid", "message": m}))
                        .collect();
                    object.insert("errors".into(), errors);
                }
                body
            }
            _ => json!({"code": api_code(status), "message": self.sentence()}),
        }
    }

    fn as_oauth(&self, status: StatusCode) -> Value {
        let error = match &self.problem {
            Problem::Grant(refusal) => refusal.error,
            _ if status == StatusCode::INTERNAL_SERVER_ERROR => "server_error",
            _ if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                "temporarily_unavailable"
            }
            _ => "invalid_request",
        };
        json!({"error": error, "error_description": self.sentence()})
    }

    fn sentence(&self) -> String {
        match &self.problem {
            Problem::Service(error) => error.to_scim().detail,
            Problem::Auth(AuthError::NoCredentials) => {
                "This endpoint needs credentials: send the header Authorization: Bearer <token>, \
                 or Basic with the id and the secret of a token or an OAuth client."
                    .into()
            }
            Problem::Auth(AuthError::WrongPassword) => {
                "The user name must be the id of a directory token or of an OAuth client, and the \
                 password its secret; one of them is wrong, has expired or was revoked."
                    .into()
            }
            Problem::Auth(AuthError::InvalidToken(fault)) => fault.sentence().to_owned(),
            Problem::Auth(AuthError::KeysUnavailable) => {
                "The keys of the Entra tenant cannot be fetched now; try again later.".into()
            }
            Problem::Grant(refusal) => refusal.description.clone(),
            Problem::Auth(AuthError::Store(error)) => Trouble::from(error).to_scim().detail,
            Problem::Auth(AuthError::Refused(reason)) => (*reason).to_owned(),
            Problem::Auth(AuthError::TooMany(seconds)) => {
                format!("Too many failed authentications; try again in {seconds} seconds.")
            }
            Problem::Method(allowed) => {
                format!("This endpoint does not support the method; it supports {allowed}.")
            }
            Problem::Limited(too_many) => too_many.sentence(),
            Problem::Paused => "This directory is paused by its operator; try again later.".into(),
            Problem::Elsewhere(_) => "Another page comes first.".into(),
            Problem::Busy(seconds) => format!(
                "A request with this Idempotency-Key is being carried out; try again in {} to have its \
                 answer.",
                match seconds {
                    1 => "a second".to_owned(),
                    seconds => format!("{seconds} seconds"),
                }
            ),
        }
    }
}

fn api_code(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "invalid_request",
        401 => "unauthorized",
        403 => "forbidden",
        404 => "entity_not_found",
        405 => "method_not_allowed",
        409 => "conflict",
        413 => "payload_too_large",
        415 => "unsupported_media_type",
        429 => "rate_limited",
        503 => "unavailable",
        _ => "server_error",
    }
}

fn scim_body(response: &mut HttpResponseBuilder, error: &ScimError) -> HttpResponse {
    response.content_type("application/scim+json").body(error.body().to_string())
}

/// Nothing is served at this path. Where people look, one may have typed a slash behind it.
pub(super) async fn unknown_route(
    request: HttpRequest,
    state: Data<State>,
) -> Result<HttpResponse, HttpError> {
    let path = request.path().trim_start_matches('/');
    let surface = if path.starts_with("scim") {
        Surface::Scim
    } else if ["setup", "console", "assets"].contains(&path.split('/').next().unwrap_or_default()) {
        Surface::Page
    } else {
        Surface::Api
    };
    if surface == Surface::Page && path.ends_with('/') {
        let (base, path) = (Site::of(&request, &state).base, path.trim_end_matches('/'));
        let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        return Ok(page::stands_at(&format!("{base}/{path}{query}")));
    }
    let what = ScimError::not_found("This path");
    Err(HttpError::on(surface, what))
}
