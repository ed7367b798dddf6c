//! SCIM 2.0 for identity providers: `/scim/v2/{external_key}/…` and `/scim/v2/…`, where the token
//! alone names the directory. The version may be left out.

mod asynchronous;
mod bulk;
mod discovery;
mod me;
mod resources;
mod route;

use std::sync::Arc;

use actix_web::http::Method;
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};

use super::body::Query;
use super::error::{HttpError, Problem};
use super::observe::RouteName;
use super::{State, caller};
use crate::scim::{ScimError, ScimType};
use crate::service::authenticate::TokenScope;
use crate::service::context::State as DirectoryState;
use crate::service::render::Links;
use crate::service::{Access, AuthError};
use route::Target;

/// What stands in front of every SCIM path; the version that follows may be left out.
const ROOT: &str = "/scim";

const PREFIX: &str = "/scim/v2";

const MEDIA_TYPE: &str = "application/scim+json";

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(web::scope(ROOT).default_service(web::to(serve)));
    // A server address with a slash at its end, and the path behind it.
    config.service(web::scope("/{more:/+}scim").default_service(web::to(serve)));
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

/// Every SCIM request: find the target, let the caller in, do it.
async fn serve(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<State>,
) -> Result<HttpResponse, HttpError> {
    let path = request.path().trim_start_matches('/');
    let tail = path.strip_prefix(ROOT.trim_start_matches('/')).unwrap_or_default();
    let route = route::parse(tail);
    request.extensions_mut().insert(RouteName(name(&route.target)));
    let base = format!("{}{PREFIX}", caller::public_url(&request, &state));

    // Facts about the server are readable without a token (RFC 7643 §5).
    let anonymous = request.headers().get("authorization").is_none();
    if route.target == Target::ServiceProviderConfig && anonymous {
        let query = Query::parse(request.query_string()).map_err(HttpError::scim)?;
        return discovery::service_provider_config(request.method(), &query, &base, None);
    }
    let access =
        authenticate(&request, &state, route.external_key.as_deref(), &route.target).await?;
    let base = format!("{base}/{}", access.directory.external_key);
    let query = Query::parse(request.query_string()).map_err(HttpError::scim)?;
    let call = Call { request, query, access, base, target: route.target.clone() };
    match route.target {
        Target::ServiceProviderConfig => {
            let directory = Some(&*call.access.directory);
            let method = call.request.method();
            discovery::service_provider_config(method, &call.query, &call.base, directory)
        }
        Target::Schemas | Target::Schema(_) | Target::ResourceTypes | Target::ResourceType(_) => {
            discovery::serve(&call, &route.target)
        }
        Target::Root => resources::root(&call, &state).await,
        Target::Search(endpoint) => {
            resources::search(&call, &state, endpoint.as_deref(), payload).await
        }
        Target::Collection(endpoint) => {
            resources::collection(&call, &state, &endpoint, payload).await
        }
        Target::Resource(endpoint, id) => {
            resources::resource(&call, &state, &endpoint, &id, payload).await
        }
        Target::Me => me::serve(&call, &state, payload).await,
        Target::Bulk => bulk::serve(&call, &state, payload).await,
        Target::Async(txn) => asynchronous::completion(&call, &state, &txn).await,
        Target::OpenApi => discovery::openapi(&call),
        Target::Version(version) => Err(HttpError::scim(ScimError::bad_request(
            ScimType::InvalidVers,
            format!("The version \"{version}\" of SCIM is not served; this server has v2."),
        ))),
        Target::Unknown => Err(HttpError::scim(ScimError::not_found("This path"))),
    }
}

/// Lets the caller in: a good token, for the directory that the path names, in a state that serves,
/// with the scope that the method needs. The token is checked before anything else is told.
async fn authenticate(
    request: &HttpRequest,
    state: &State,
    external_key: Option<&str>,
    target: &Target,
) -> Result<Arc<Access>, HttpError> {
    let address = caller::address(request, state);
    let credentials = caller::credentials(request).map_err(HttpError::scim)?;
    let access = state.service.scim_access(credentials, external_key, address).await;
    if let Err(AuthError::InvalidToken(fault)) = &access {
        state.metrics.signed_token_refused(fault.reason());
    }
    let access = access.map_err(HttpError::scim)?;
    let forbidden = |detail: &str| Err(HttpError::scim(ScimError::new(403, detail)));
    if external_key.is_some_and(|key| key != access.directory.external_key) {
        return forbidden("The token belongs to another directory than this URL.");
    }
    match access.directory.state {
        DirectoryState::Paused => return Err(HttpError::scim(Problem::Paused)),
        DirectoryState::Disabled => {
            return forbidden("This directory is disabled by its operator.");
        }
        DirectoryState::Deleting => return forbidden("This directory is being deleted."),
        _ => {}
    }
    // A search reads, although it is a POST.
    let reads = matches!(*request.method(), Method::GET | Method::HEAD)
        || matches!(target, Target::Search(_));
    if !reads && access.scope == TokenScope::Read {
        return forbidden("This token may only read.");
    }
    Ok(access)
}

fn name(target: &Target) -> &'static str {
    match target {
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
        Target::Unknown => "scim_unknown",
    }
}
