//! SCIM 2.0 for identity providers: `/scim/v2/{external_key}/…` and `/scim/v2/…`, where the token
//! alone names the directory. The version may be left out. SCIM 1.1 at `/scim/v1` is [`v1`].

mod asynchronous;
mod bulk;
mod client;
mod discovery;
mod me;
mod members;
mod resources;
mod route;
mod v1;

use std::sync::Arc;

use actix_web::http::Method;
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};

use super::body::Query;
use super::error::{HttpError, Problem, Surface};
use super::exchange::{self, Exchange};
use super::observe::RouteName;
use super::{State, caller, limit};
use crate::scim::{ScimError, ScimType};
use crate::service::authenticate::{Holder, TokenScope};
use crate::service::context::State as DirectoryState;
use crate::service::exchange::Kind;
use crate::service::limit::Cost;
use crate::service::oauth::TokenFault;
use crate::service::render::Links;
use crate::service::{self, Access, AuthError};
use route::{Route, Target, Version};

/// What stands in front of every SCIM path; the version that follows may be left out.
const ROOT: &str = "/scim";

const MEDIA_TYPE: &str = "application/scim+json";

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(web::scope(ROOT).default_service(web::to(entry)));
    // A server address with a slash at its end, and the path behind it.
    config.service(web::scope("/{more:/+}scim").default_service(web::to(entry)));
}

/// Every SCIM request, with its record; what fails is told in the error body of its version.
async fn entry(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<State>,
) -> HttpResponse {
    let path = request.path().trim_start_matches('/');
    let tail = path.strip_prefix(ROOT.trim_start_matches('/')).unwrap_or_default();
    let route = route::parse(tail);
    let surface = match route.version {
        Version::V1 => Surface::Scim1,
        Version::V2 => Surface::Scim,
    };
    let exchange = exchange::begin(&request, &state, route.version.number());
    let served = async |exchange: &mut Exchange| {
        let answer = serve(request, payload, &state, route, exchange).await;
        answer.map_err(|error| error.shown_on(surface))
    };
    exchange.recorded(served).await
}

/// A SCIM request whose caller is known.
struct Call {
    request: HttpRequest,
    query: Query,
    access: Arc<Access>,
    /// The SCIM base URL of the directory, in front of every link.
    base: String,
    target: Target,
}

impl Call {
    fn links(&self) -> Links<'_> {
        Links { base: &self.base, registry: &self.access.directory.registry }
    }
}

/// Lets the caller in and does what the path and the method say.
async fn serve(
    request: HttpRequest,
    payload: web::Payload,
    state: &State,
    route: Route,
    exchange: &mut Exchange,
) -> Result<HttpResponse, HttpError> {
    request.extensions_mut().insert(RouteName(name(&route)));
    let base = format!("{}{}", caller::public_url(&request, state), route.version.prefix());

    // Facts about the server are readable without a token (RFC 7643 §5).
    let anonymous = request.headers().get("authorization").is_none();
    if route.target == Target::ServiceProviderConfig && anonymous {
        let query = Query::parse(request.query_string()).map_err(HttpError::scim)?;
        return match route.version {
            Version::V1 => v1::service_provider_config(&request, &query, &base, None),
            Version::V2 => {
                discovery::service_provider_config(request.method(), &query, &base, None)
            }
        };
    }
    let access = admit(&request, state, route.external_key.as_deref()).await?;
    // Entra speaks SCIM 2.0 alone, and what it issues counts there alone.
    if route.version == Version::V1 && matches!(access.holder, Holder::Entra(_)) {
        state.metrics.signed_token_refused(TokenFault::NotEnabled.reason());
        return Err(HttpError::scim(AuthError::InvalidToken(TokenFault::NotEnabled)));
    }
    let reads = reads(request.method(), &route.target);
    let access = exchange.enter(access, if reads { Kind::Read } else { Kind::Write });
    if let Some((endpoint, id)) = route.target.resource() {
        exchange.about(endpoint, id);
    }
    // Also what is refused anyhow is counted: it costs a look at the token and a record.
    limit::directory(&request, state, &access, Cost::One)?;
    allow(&access, reads)?;
    let base = format!("{base}/{}", access.directory.external_key);
    let query = Query::parse(request.query_string()).map_err(HttpError::scim)?;
    let (directory_key, identities) = (access.directory.key, access.directory.identities);
    let call = Call { request, query, access, base, target: route.target };
    let answer = answer(&call, route.version, state, payload);
    service::in_turn(directory_key, identities, answer).await
}

/// Does what a caller asks who was let in.
async fn answer(
    call: &Call,
    version: Version,
    state: &State,
    payload: web::Payload,
) -> Result<HttpResponse, HttpError> {
    // A request with a body is looked at when that is there.
    if matches!(*call.request.method(), Method::GET | Method::HEAD | Method::DELETE) {
        client::notice(call, state, None);
    }
    match version {
        Version::V1 => v1::serve(call, state, payload).await,
        Version::V2 => answer_v2(call, state, payload).await,
    }
}

async fn answer_v2(
    call: &Call,
    state: &State,
    payload: web::Payload,
) -> Result<HttpResponse, HttpError> {
    match &call.target {
        Target::ServiceProviderConfig => {
            let directory = Some(&*call.access.directory);
            let method = call.request.method();
            discovery::service_provider_config(method, &call.query, &call.base, directory)
        }
        Target::Schemas | Target::Schema(_) | Target::ResourceTypes | Target::ResourceType(_) => {
            discovery::serve(call, &call.target)
        }
        Target::Root => resources::root(call, state).await,
        Target::Search(endpoint) => {
            resources::search(call, state, endpoint.as_deref(), payload).await
        }
        Target::Collection(endpoint) => resources::collection(call, state, endpoint, payload).await,
        Target::Resource(endpoint, id) => {
            resources::resource(call, state, endpoint, id, payload).await
        }
        Target::Me => me::serve(call, state, payload).await,
        Target::Bulk => bulk::serve(call, state, payload).await,
        Target::Async(txn) => asynchronous::completion(call, state, txn).await,
        Target::OpenApi => discovery::openapi(call),
        Target::Version(version) => Err(HttpError::scim(ScimError::bad_request(
            ScimType::InvalidVers,
            format!(
                "The version \"{version}\" of SCIM is not served; this server has v2 and, \
                 for SCIM 1.1, v1."
            ),
        ))),
        Target::Xml | Target::Unknown => Err(HttpError::scim(ScimError::not_found("This path"))),
    }
}

/// Lets the caller in, as for every request.
async fn authenticate(call: &Call, state: &State) -> Result<(), HttpError> {
    let key = &call.access.directory.external_key;
    let access = admit(&call.request, state, Some(key)).await?;
    allow(&access, reads(call.request.method(), &call.target))
}

/// Whose directory it is: a good token, for the directory that the path names. The token is checked
/// before anything else is told.
async fn admit(
    request: &HttpRequest,
    state: &State,
    external_key: Option<&str>,
) -> Result<Arc<Access>, HttpError> {
    let address = caller::address(request, state);
    let credentials = caller::credentials(request).map_err(HttpError::scim)?;
    let access = state.service.scim_access(credentials, external_key, address).await;
    if let Err(AuthError::InvalidToken(fault)) = &access {
        state.metrics.signed_token_refused(fault.reason());
    }
    let access = access.map_err(HttpError::scim)?;
    match external_key.is_some_and(|key| key != access.directory.external_key) {
        true => forbidden("The token belongs to another directory than this URL."),
        false => Ok(access),
    }
}

fn forbidden<T>(detail: &str) -> Result<T, HttpError> {
    Err(HttpError::scim(ScimError::new(403, detail)))
}

/// A search reads, although it is a POST.
fn reads(method: &Method, target: &Target) -> bool {
    matches!(*method, Method::GET | Method::HEAD) || matches!(target, Target::Search(_))
}

/// Whether the directory is in a state that serves, and the token has the scope that is needed.
fn allow(access: &Access, reads: bool) -> Result<(), HttpError> {
    match access.directory.state {
        DirectoryState::Paused => return Err(HttpError::scim(Problem::Paused)),
        DirectoryState::Disabled => {
            return forbidden("This directory is disabled by its operator.");
        }
        DirectoryState::Deleting => return forbidden("This directory is being deleted."),
        _ => {}
    }
    match !reads && access.scope == TokenScope::Read {
        true => forbidden("This token may only read."),
        false => Ok(()),
    }
}

/// The name of the route in metrics and logs.
fn name(route: &Route) -> &'static str {
    if route.version == Version::V1 {
        return v1::name(&route.target);
    }
    match &route.target {
        Target::ServiceProviderConfig => "scim_service_provider_config",
        Target::Schemas | Target::Schema(_) => "scim_schemas",
        Target::ResourceTypes | Target::ResourceType(_) => "scim_resource_types",
        Target::Collection(endpoint) if endpoint.eq_ignore_ascii_case("Users") => "scim_users",
        Target::Collection(endpoint) if endpoint.eq_ignore_ascii_case("Groups") => "scim_groups",
        Target::Collection(_) => "scim_collection",
        Target::Root => "scim_root",
        Target::Search(_) => "scim_search",
        Target::Resource(endpoint, _) if endpoint.eq_ignore_ascii_case("Users") => "scim_user",
        Target::Resource(endpoint, _) if endpoint.eq_ignore_ascii_case("Groups") => "scim_group",
        Target::Resource(..) => "scim_resource",
        Target::Me => "scim_me",
        Target::Bulk => "scim_bulk",
        Target::Async(_) => "scim_async",
        Target::OpenApi => "scim_openapi",
        Target::Version(_) => "scim_version",
        Target::Xml | Target::Unknown => "scim_unknown",
    }
}
