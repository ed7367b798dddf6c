//! The management API under `/api/v1`: organizations, directories, tokens, OAuth clients, webhook
//! endpoints, API keys, directories that are read.

mod admins;
mod alarms;
pub(super) mod audit;
mod events;
mod handlers;
mod identities;
mod keys;
mod manager;
mod mapping;
mod overview;
mod people;
mod portal;
mod requests;
mod sources;
mod webhooks;

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::web::{self, ServiceConfig};

use self::manager::Manager;
use super::State;
use super::body::Query;
use super::error::HttpError;
use super::json::{
    Answer, created, delete_directory, failed, json, json_or_default, let_in, methods, ok, query,
};
use super::observe::RouteName;
use crate::service::administer::ListParameters;
use crate::service::error::AdminError;
use crate::service::{ApiAccess, ApiScope};

pub(super) fn routes(config: &mut ServiceConfig) {
    use {handlers as h, identities as i, sources as s, webhooks as w};
    config.service(
        web::scope("/api/v1")
            .service(
                methods("/organizations", "GET, POST")
                    .get(h::organization_list)
                    .post(h::organization_create),
            )
            .service(
                methods("/organizations/{id}", "GET, PATCH, DELETE")
                    .get(h::organization_get)
                    .patch(h::organization_update)
                    .delete(h::organization_delete),
            )
            .service(
                methods("/organizations/{id}/primary_directory", "GET, PUT")
                    .get(i::primary_get)
                    .put(i::primary_put),
            )
            .service(methods("/organizations/{id}/identities", "GET").get(i::list))
            .service(methods("/organizations/{id}/identities/{identity}", "GET").get(i::get))
            .service(
                methods("/organizations/{id}/identities/{identity}/accounts/{user}/unlink", "POST")
                    .post(i::unlink),
            )
            .service(
                methods("/organizations/{id}/identities/{identity}/aliases", "GET, POST")
                    .get(i::alias_list)
                    .post(i::alias_create),
            )
            .service(
                methods("/organizations/{id}/identities/{identity}/aliases/{email}", "DELETE")
                    .delete(i::alias_delete),
            )
            .service(
                methods("/organizations/{id}/identity_suggestions", "GET").get(i::suggestion_list),
            )
            .service(
                methods("/organizations/{id}/identity_suggestions/{suggestion}/accept", "POST")
                    .post(i::accept),
            )
            .service(
                methods("/organizations/{id}/identity_suggestions/{suggestion}/reject", "POST")
                    .post(i::reject),
            )
            .service(
                methods("/organizations/{id}/identity_suggestions/{suggestion}/undo", "POST")
                    .post(i::undo),
            )
            .service(methods("/organizations/{id}/orphaned_access", "GET").get(i::orphaned_access))
            .service(
                methods("/directories", "GET, POST")
                    .get(h::directory_list)
                    .post(h::directory_create),
            )
            .service(
                methods("/directories/{id}", "GET, PATCH, DELETE")
                    .get(h::directory_get)
                    .patch(h::directory_update)
                    .delete(h::directory_delete),
            )
            .service(
                methods("/directories/{id}/settings/preview", "POST").post(h::settings_preview),
            )
            .service(
                methods("/directories/{id}/schemas", "GET, PUT")
                    .get(h::schemas_get)
                    .put(h::schemas_put),
            )
            .service(
                methods("/directories/{id}/roles", "GET, PUT").get(h::roles_get).put(h::roles_put),
            )
            .service(
                methods("/directories/{id}/entitlements", "GET, PUT")
                    .get(h::entitlements_get)
                    .put(h::entitlements_put),
            )
            .service(
                methods("/directories/{id}/profile", "GET, PUT, PATCH")
                    .get(h::profile_get)
                    .put(h::profile_put)
                    .patch(h::profile_patch),
            )
            .service(
                methods("/directories/{id}/brake", "GET, PUT")
                    .get(alarms::brake_get)
                    .put(alarms::brake_put),
            )
            .service(methods("/directories/{id}/brake/release", "POST").post(alarms::brake_release))
            .service(methods("/directories/{id}/brake/undo", "POST").post(alarms::brake_undo))
            .service(
                methods("/directories/{id}/disconnect", "GET, POST, DELETE")
                    .get(portal::disconnection)
                    .post(portal::disconnect)
                    .delete(portal::call_off),
            )
            .service(
                methods("/branding", "GET, PUT")
                    .get(portal::branding_get)
                    .put(portal::branding_put),
            )
            .service(methods("/alarms", "GET").get(alarms::list))
            .service(methods("/audit", "GET").get(audit::list))
            .service(methods("/people", "GET").get(people::people))
            .service(methods("/people/{id}/story", "GET").get(people::story))
            .service(methods("/groups", "GET").get(people::groups))
            .service(methods("/groups/{id}", "GET").get(people::group))
            .service(methods("/admins", "GET, POST").get(admins::list).post(admins::create))
            .service(
                methods("/admins/{id}", "GET, PATCH, DELETE")
                    .get(admins::get)
                    .patch(admins::update)
                    .delete(admins::delete),
            )
            .service(methods("/admins/{id}/invitation", "POST").post(admins::invite))
            .service(
                methods("/admins/{id}/sessions", "GET, DELETE")
                    .get(admins::sessions)
                    .delete(admins::session_end_all),
            )
            .service(
                methods("/admins/{id}/sessions/{session}", "DELETE").delete(admins::session_end),
            )
            .service(methods("/directories/{id}/pending_members", "GET").get(h::pending_members))
            .service(methods("/directories/{id}/users", "GET").get(h::account_list))
            .service(
                methods("/directories/{id}/attribute_map", "GET, PUT")
                    .get(mapping::attributes_get)
                    .put(mapping::attributes_put),
            )
            .service(
                methods("/directories/{id}/attribute_map/preview", "POST")
                    .post(mapping::attributes_preview),
            )
            .service(
                methods("/directories/{id}/attribute_map/faults", "GET")
                    .get(mapping::attribute_faults),
            )
            .service(
                methods("/directories/{id}/role_map", "GET, PUT")
                    .get(mapping::roles_get)
                    .put(mapping::roles_put),
            )
            .service(
                methods("/directories/{id}/role_map/preview", "POST").post(mapping::roles_preview),
            )
            .service(methods("/directories/{id}/requests", "GET").get(requests::list))
            .service(methods("/directories/{id}/requests/{request}", "GET").get(requests::get))
            .service(
                methods("/directories/{id}/requests/{request}/replay", "POST")
                    .post(requests::replay),
            )
            .service(methods("/connectors", "GET").get(s::kinds))
            .service(methods("/connectors/{kind}", "GET").get(s::kind))
            .service(methods("/directories/{id}/test", "POST").post(s::test))
            .service(methods("/directories/{id}/sync", "POST").post(s::sync))
            .service(methods("/directories/{id}/syncs", "GET").get(s::list))
            .service(methods("/directories/{id}/syncs/{run}", "GET").get(s::get))
            .service(methods("/directories/{id}/syncs/{run}/diff", "GET").get(s::diff))
            .service(methods("/directories/{id}/syncs/{run}/approve", "POST").post(s::approve))
            .service(methods("/directories/{id}/syncs/{run}/reject", "POST").post(s::reject))
            .service(methods("/directories/{id}/files", "GET").get(s::file_list))
            .service(
                methods("/directories/{id}/files/{name}", "PUT, DELETE")
                    .put(s::file_put)
                    .delete(s::file_delete),
            )
            .service(
                methods("/directories/{id}/tokens", "GET, POST")
                    .get(h::token_list)
                    .post(h::token_create),
            )
            .service(methods("/directories/{id}/tokens/{token}", "DELETE").delete(h::token_delete))
            .service(
                methods("/directories/{id}/tokens/{token}/rotate", "POST").post(h::token_rotate),
            )
            .service(
                methods("/directories/{id}/oauth_clients", "GET, POST")
                    .get(h::oauth_client_list)
                    .post(h::oauth_client_create),
            )
            .service(
                methods("/directories/{id}/oauth_clients/{client}", "GET, DELETE")
                    .get(h::oauth_client_get)
                    .delete(h::oauth_client_delete),
            )
            .service(methods("/directories/{id}/snapshot", "GET").get(events::snapshot))
            .service(methods("/directories/{id}/reconcile", "POST").post(events::reconcile))
            .service(methods("/events", "GET").get(events::list))
            .service(methods("/events/stream", "GET").get(events::stream))
            .service(methods("/events/{id}", "GET").get(events::get))
            .service(methods("/consumers", "GET").get(events::consumer_list))
            .service(
                methods("/consumers/{name}", "GET, PUT, DELETE")
                    .get(events::consumer_get)
                    .put(events::consumer_put)
                    .delete(events::consumer_delete),
            )
            .service(methods("/webhook_endpoints", "GET, POST").get(w::list).post(w::create))
            .service(
                methods("/webhook_endpoints/{id}", "GET, PATCH, DELETE")
                    .get(w::get)
                    .patch(w::update)
                    .delete(w::delete),
            )
            .service(methods("/webhook_endpoints/{id}/rotate", "POST").post(w::rotate))
            .service(methods("/webhook_endpoints/{id}/test", "POST").post(w::test))
            .service(methods("/webhook_endpoints/{id}/deliveries", "GET").get(w::deliveries))
            .service(methods("/webhook_endpoints/{id}/parked", "GET").get(w::parked))
            .service(methods("/webhook_endpoints/{id}/replay", "POST").post(w::replay))
            .service(methods("/webhook_endpoints/{id}/replays", "GET").get(w::replays))
            .service(
                methods("/webhook_endpoints/{id}/replays/{replay}", "DELETE")
                    .delete(w::replay_cancel),
            )
            .service(methods("/overview", "GET").get(overview::get))
            .service(methods("/secret_keys", "GET").get(keys::secret_status))
            .service(methods("/secret_keys/rotate", "POST").post(keys::secret_rotate))
            .service(methods("/signing_keys", "GET").get(keys::list))
            .service(methods("/signing_keys/rotate", "POST").post(keys::rotate))
            .service(methods("/api_keys", "GET, POST").get(h::api_key_list).post(h::api_key_create))
            .service(methods("/api_keys/{id}", "DELETE").delete(h::api_key_delete)),
    );
}

/// Lets in keys that decide on administrators.
async fn keeper(request: &HttpRequest, state: &State) -> Result<Arc<ApiAccess>, HttpError> {
    let_in(request, state, RouteName("management"), ApiScope::Admins).await
}

/// `limit`, `after` and `before`.
fn parameters(query: &Query) -> Result<ListParameters, HttpError> {
    let text = |name: &str| query.get(name).filter(|t| !t.is_empty()).map(str::to_owned);
    let limit = text("limit").map(|limit| {
        limit
            .parse()
            .map_err(|_| HttpError::api(AdminError::invalid("limit", "it must be a whole number.")))
    });
    Ok(ListParameters { limit: limit.transpose()?, after: text("after"), before: text("before") })
}
