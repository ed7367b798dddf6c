//! One function per route: read, call the use case, answer. [`Manager`] has let the caller in.

use actix_web::HttpResponse;
use actix_web::web::{Path, Payload};

use super::{Answer, Manager, created, delete_directory, failed, ok, parameters};
use crate::http::after;
use crate::scim::Object;
use crate::service::administer::{Catalogue, DirectoryFilter, Others};

pub(super) async fn organization_create(by: Manager, payload: Payload) -> Answer {
    by.once(payload, async |service, access, new| {
        service.organization_create(&access, new).await.map(created).map_err(failed)
    })
    .await
}

pub(super) async fn organization_list(by: Manager) -> Answer {
    let page = by.page()?;
    by.service().organization_list(&by.access, &page).await.map(ok).map_err(failed)
}

pub(super) async fn organization_get(by: Manager, id: Path<String>) -> Answer {
    by.service().organization_get(&by.access, &id).await.map(ok).map_err(failed)
}

pub(super) async fn organization_update(by: Manager, id: Path<String>, payload: Payload) -> Answer {
    let change = by.json(payload).await?;
    by.service().organization_update(&by.access, &id, change).await.map(ok).map_err(failed)
}

pub(super) async fn organization_delete(by: Manager, id: Path<String>) -> Answer {
    by.service().organization_delete(&by.access, &id).await.map_err(failed)?;
    Ok(HttpResponse::NoContent().finish())
}

pub(super) async fn directory_create(by: Manager, payload: Payload) -> Answer {
    by.once(payload, async |service, access, new| {
        service.directory_create(&access, new).await.map(created).map_err(failed)
    })
    .await
}

pub(super) async fn directory_list(by: Manager) -> Answer {
    let query = by.query()?;
    let text = |name: &str| query.get(name).filter(|t| !t.is_empty()).map(str::to_owned);
    let filter = DirectoryFilter {
        organization_id: query.get("organization_id").map(str::to_owned),
        state: text("state"),
        kind: text("kind"),
        search: text("search"),
    };
    let page = parameters(&query)?;
    by.service().directory_list(&by.access, filter, &page).await.map(ok).map_err(failed)
}

pub(super) async fn directory_get(by: Manager, id: Path<String>) -> Answer {
    by.service().directory_get(&by.access, &id).await.map(ok).map_err(failed)
}

pub(super) async fn directory_update(by: Manager, id: Path<String>, payload: Payload) -> Answer {
    let change = by.json(payload).await?;
    let changed = by.service().directory_update(&by.access, &id, change).await.map_err(failed)?;
    after::apply_policies(&by.state);
    Ok(ok(changed))
}

pub(super) async fn settings_preview(by: Manager, id: Path<String>, payload: Payload) -> Answer {
    let wanted = by.json(payload).await?;
    by.service().settings_preview(&by.access, &id, wanted).await.map(ok).map_err(failed)
}

/// 202: the directory serves nothing any more; its rows are removed afterwards.
pub(super) async fn directory_delete(by: Manager, id: Path<String>) -> Answer {
    delete_directory(&by.state, &by.access, &id).await
}

pub(super) async fn token_create(by: Manager, id: Path<String>, payload: Payload) -> Answer {
    by.once(payload, async move |service, access, new| {
        service.token_create(&access, &id, new).await.map(created).map_err(failed)
    })
    .await
}

pub(super) async fn token_list(by: Manager, id: Path<String>) -> Answer {
    let page = by.page()?;
    by.service().token_list(&by.access, &id, &page).await.map(ok).map_err(failed)
}

pub(super) async fn token_delete(by: Manager, path: Path<(String, String)>) -> Answer {
    let (id, token) = path.into_inner();
    by.service().token_delete(&by.access, &id, &token).await.map_err(failed)?;
    Ok(HttpResponse::NoContent().finish())
}

pub(super) async fn token_rotate(
    by: Manager,
    path: Path<(String, String)>,
    payload: Payload,
) -> Answer {
    let (id, token) = path.into_inner();
    by.once(payload, async move |service, access, rotation| {
        service.token_rotate(&access, &id, &token, rotation).await.map(created).map_err(failed)
    })
    .await
}

pub(super) async fn oauth_client_create(by: Manager, id: Path<String>, payload: Payload) -> Answer {
    by.once(payload, async move |service, access, new| {
        service.oauth_client_create(&access, &id, new).await.map(created).map_err(failed)
    })
    .await
}

pub(super) async fn oauth_client_list(by: Manager, id: Path<String>) -> Answer {
    let page = by.page()?;
    by.service().oauth_client_list(&by.access, &id, &page).await.map(ok).map_err(failed)
}

pub(super) async fn oauth_client_get(by: Manager, path: Path<(String, String)>) -> Answer {
    let (id, client) = path.into_inner();
    by.service().oauth_client_get(&by.access, &id, &client).await.map(ok).map_err(failed)
}

pub(super) async fn oauth_client_delete(by: Manager, path: Path<(String, String)>) -> Answer {
    let (id, client) = path.into_inner();
    by.service().oauth_client_delete(&by.access, &id, &client).await.map_err(failed)?;
    Ok(HttpResponse::NoContent().finish())
}

pub(super) async fn api_key_create(by: Manager, payload: Payload) -> Answer {
    by.once(payload, async |service, access, new| {
        service.api_key_create(&access, new).await.map(created).map_err(failed)
    })
    .await
}

pub(super) async fn api_key_list(by: Manager) -> Answer {
    let page = by.page()?;
    by.service().api_key_list(&by.access, &page).await.map(ok).map_err(failed)
}

pub(super) async fn api_key_delete(by: Manager, id: Path<String>) -> Answer {
    by.service().api_key_delete(&by.access, &id).await.map_err(failed)?;
    Ok(HttpResponse::NoContent().finish())
}

pub(super) async fn schemas_get(by: Manager, id: Path<String>) -> Answer {
    by.service().schemas_get(&by.access, &id).await.map(ok).map_err(failed)
}

pub(super) async fn schemas_put(by: Manager, id: Path<String>, payload: Payload) -> Answer {
    let document = by.json(payload).await?;
    by.service().schemas_put(&by.access, &id, document).await.map(ok).map_err(failed)
}

pub(super) async fn roles_get(by: Manager, id: Path<String>) -> Answer {
    catalogue_get(by, id, Catalogue::Roles).await
}

pub(super) async fn roles_put(by: Manager, id: Path<String>, payload: Payload) -> Answer {
    catalogue_put(by, id, payload, Catalogue::Roles).await
}

pub(super) async fn entitlements_get(by: Manager, id: Path<String>) -> Answer {
    catalogue_get(by, id, Catalogue::Entitlements).await
}

pub(super) async fn entitlements_put(by: Manager, id: Path<String>, payload: Payload) -> Answer {
    catalogue_put(by, id, payload, Catalogue::Entitlements).await
}

async fn catalogue_get(by: Manager, id: Path<String>, which: Catalogue) -> Answer {
    by.service().catalogue_get(&by.access, &id, which).await.map(ok).map_err(failed)
}

async fn catalogue_put(
    by: Manager,
    id: Path<String>,
    payload: Payload,
    which: Catalogue,
) -> Answer {
    let body: Object = by.json(payload).await?;
    by.service().catalogue_put(&by.access, &id, which, &body).await.map(ok).map_err(failed)
}

pub(super) async fn pending_members(by: Manager, id: Path<String>) -> Answer {
    by.service().pending_members(&by.access, &id).await.map(ok).map_err(failed)
}

pub(super) async fn account_list(by: Manager, id: Path<String>) -> Answer {
    let wanted = by.page()?;
    by.service().account_list(&by.access, &id, &wanted).await.map(ok).map_err(failed)
}

pub(super) async fn profile_get(by: Manager, id: Path<String>) -> Answer {
    by.service().profile_get(&by.access, &id).await.map(ok).map_err(failed)
}

pub(super) async fn profile_put(by: Manager, id: Path<String>, payload: Payload) -> Answer {
    profile_change(by, id, payload, Others::Go).await
}

pub(super) async fn profile_patch(by: Manager, id: Path<String>, payload: Payload) -> Answer {
    profile_change(by, id, payload, Others::Stay).await
}

async fn profile_change(by: Manager, id: Path<String>, payload: Payload, others: Others) -> Answer {
    let change = by.json(payload).await?;
    by.service().profile_change(&by.access, &id, change, others).await.map(ok).map_err(failed)
}
