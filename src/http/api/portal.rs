//! `/portal`: links by which an organization's administrator connects its directories.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::manager;
use crate::http::json::{Answer, created, failed, json};
use crate::http::once::once;
use crate::http::{State, caller};

pub(super) async fn generate_link(
    request: HttpRequest,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    let public_url = caller::public_url(&request, &state);
    once(&request, payload, &state, access, async move |service, access, new| {
        service.portal_link(&access, new, &public_url).await.map(created).map_err(failed)
    })
    .await
}

pub(super) async fn revoke_link(
    request: HttpRequest,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let access = manager(&request, &state).await?;
    let which = json(&request, payload).await?;
    state.service.portal_revoke(&access, which).await.map_err(failed)?;
    Ok(HttpResponse::NoContent().finish())
}
