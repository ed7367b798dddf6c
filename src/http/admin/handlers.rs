//! One function per route: let in, read, call the use case, answer.

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::{Answer, created, delete_directory, failed, json, manager, ok, parameters, query};
use crate::http::once::once;
use crate::http::{State, after};
use crate::scim::Object;
use crate::service::administer::{Catalogue, DirectoryFilter, Others};

pub(super) async fn organization_create(
    request: HttpRequest,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    once(&request, payload, &state, access, async |service, access, new| {
        service.organization_create(&access, new).await.map(created).map_err(failed)
    })
    .await
}

pub(super) async fn organization_list(request: HttpRequest, state: Data<State>) -> Answer {
    let access = manager(&request, &state).await?;
    let page = parameters(&query(&request)?)?;
    state.service.organization_list(&access, &page).await.map(ok).map_err(failed)
}

pub(super) async fn organization_get(
    request: HttpRequest,
    id: Path<String>,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    state.service.organization_get(&access, &id).await.map(ok).map_err(failed)
}

pub(super) async fn organization_update(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    let change = json(&request, payload).await?;
    state.service.organization_update(&access, &id, change).await.map(ok).map_err(failed)
}

pub(super) async fn organization_delete(
    request: HttpRequest,
    id: Path<String>,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    state.service.organization_delete(&access, &id).await.map_err(failed)?;
    Ok(HttpResponse::NoContent().finish())
}

pub(super) async fn directory_create(
    request: HttpRequest,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    once(&request, payload, &state, access, async |service, access, new| {
        service.directory_create(&access, new).await.map(created).map_err(failed)
    })
    .await
}

pub(super) async fn directory_list(request: HttpRequest, state: Data<State>) -> Answer {
    let access = manager(&request, &state).await?;
    let query = query(&request)?;
    let text = |name: &str| query.get(name).filter(|t| !t.is_empty()).map(str::to_owned);
    let filter = DirectoryFilter {
        organization_id: query.get("organization_id").map(str::to_owned),
        state: text("state"),
        kind: text("kind"),
        search: text("search"),
    };
    let page = parameters(&query)?;
    state.service.directory_list(&access, filter, &page).await.map(ok).map_err(failed)
}

pub(super) async fn directory_get(
    request: HttpRequest,
    id: Path<String>,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    state.service.directory_get(&access, &id).await.map(ok).map_err(failed)
}

pub(super) async fn directory_update(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    let change = json(&request, payload).await?;
    let changed = state.service.directory_update(&access, &id, change).await.map_err(failed)?;
    after::apply_policies(&state);
    Ok(ok(changed))
}

pub(super) async fn settings_preview(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    let wanted = json(&request, payload).await?;
    state.service.settings_preview(&access, &id, wanted).await.map(ok).map_err(failed)
}

/// 202: the directory serves nothing any more; its rows are removed afterwards.
pub(super) async fn directory_delete(
    request: HttpRequest,
    id: Path<String>,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    delete_directory(&state, &access, &id).await
}

pub(super) async fn token_create(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    once(&request, payload, &state, access, async move |service, access, new| {
        service.token_create(&access, &id, new).await.map(created).map_err(failed)
    })
    .await
}

pub(super) async fn token_list(
    request: HttpRequest,
    id: Path<String>,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    let page = parameters(&query(&request)?)?;
    state.service.token_list(&access, &id, &page).await.map(ok).map_err(failed)
}

pub(super) async fn token_delete(
    request: HttpRequest,
    path: Path<(String, String)>,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    let (id, token) = path.into_inner();
    state.service.token_delete(&access, &id, &token).await.map_err(failed)?;
    Ok(HttpResponse::NoContent().finish())
}

pub(super) async fn token_rotate(
    request: HttpRequest,
    path: Path<(String, String)>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    let (id, token) = path.into_inner();
    once(&request, payload, &state, access, async move |service, access, rotation| {
        service.token_rotate(&access, &id, &token, rotation).await.map(created).map_err(failed)
    })
    .await
}

pub(super) async fn oauth_client_create(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    once(&request, payload, &state, access, async move |service, access, new| {
        service.oauth_client_create(&access, &id, new).await.map(created).map_err(failed)
    })
    .await
}

pub(super) async fn oauth_client_list(
    request: HttpRequest,
    id: Path<String>,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    let page = parameters(&query(&request)?)?;
    state.service.oauth_client_list(&access, &id, &page).await.map(ok).map_err(failed)
}

pub(super) async fn oauth_client_get(
    request: HttpRequest,
    path: Path<(String, String)>,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    let (id, client) = path.into_inner();
    state.service.oauth_client_get(&access, &id, &client).await.map(ok).map_err(failed)
}

pub(super) async fn oauth_client_delete(
    request: HttpRequest,
    path: Path<(String, String)>,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    let (id, client) = path.into_inner();
    state.service.oauth_client_delete(&access, &id, &client).await.map_err(failed)?;
    Ok(HttpResponse::NoContent().finish())
}

pub(super) async fn api_key_create(
    request: HttpRequest,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    once(&request, payload, &state, access, async |service, access, new| {
        service.api_key_create(&access, new).await.map(created).map_err(failed)
    })
    .await
}

pub(super) async fn api_key_list(request: HttpRequest, state: Data<State>) -> Answer {
    let access = manager(&request, &state).await?;
    let page = parameters(&query(&request)?)?;
    state.service.api_key_list(&access, &page).await.map(ok).map_err(failed)
}

pub(super) async fn api_key_delete(
    request: HttpRequest,
    id: Path<String>,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    state.service.api_key_delete(&access, &id).await.map_err(failed)?;
    Ok(HttpResponse::NoContent().finish())
}

pub(super) async fn schemas_get(
    request: HttpRequest,
    id: Path<String>,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    state.service.schemas_get(&access, &id).await.map(ok).map_err(failed)
}

pub(super) async fn schemas_put(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    let document = json(&request, payload).await?;
    state.service.schemas_put(&access, &id, document).await.map(ok).map_err(failed)
}

pub(super) async fn roles_get(
    request: HttpRequest,
    id: Path<String>,
    state: Data<State>,
) -> Answer {
    catalogue_get(request, id, state, Catalogue::Roles).await
}

pub(super) async fn roles_put(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    catalogue_put(request, id, payload, state, Catalogue::Roles).await
}

pub(super) async fn entitlements_get(
    request: HttpRequest,
    id: Path<String>,
    state: Data<State>,
) -> Answer {
    catalogue_get(request, id, state, Catalogue::Entitlements).await
}

pub(super) async fn entitlements_put(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    catalogue_put(request, id, payload, state, Catalogue::Entitlements).await
}

async fn catalogue_get(
    request: HttpRequest,
    id: Path<String>,
    state: Data<State>,
    which: Catalogue,
) -> Answer {
    let access = manager(&request, &state).await?;
    state.service.catalogue_get(&access, &id, which).await.map(ok).map_err(failed)
}

async fn catalogue_put(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
    which: Catalogue,
) -> Answer {
    let access = manager(&request, &state).await?;
    let body: Object = json(&request, payload).await?;
    state.service.catalogue_put(&access, &id, which, &body).await.map(ok).map_err(failed)
}

pub(super) async fn pending_members(
    request: HttpRequest,
    id: Path<String>,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    state.service.pending_members(&access, &id).await.map(ok).map_err(failed)
}

pub(super) async fn account_list(
    request: HttpRequest,
    id: Path<String>,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    let wanted = parameters(&query(&request)?)?;
    state.service.account_list(&access, &id, &wanted).await.map(ok).map_err(failed)
}

pub(super) async fn profile_get(
    request: HttpRequest,
    id: Path<String>,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    state.service.profile_get(&access, &id).await.map(ok).map_err(failed)
}

pub(super) async fn profile_put(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    profile_change(request, id, payload, state, Others::Go).await
}

pub(super) async fn profile_patch(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    profile_change(request, id, payload, state, Others::Stay).await
}

async fn profile_change(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
    others: Others,
) -> Answer {
    let access = manager(&request, &state).await?;
    let change = json(&request, payload).await?;
    state.service.profile_change(&access, &id, change, others).await.map(ok).map_err(failed)
}
