//! The maps of a directory: custom attributes and roles, tried on stored users before they are stored, and
//! the users of whom an attribute is missing.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Payload};
use askama::Template;
use serde_json::Value;

use super::{
    Answer, Shown, Top, back, failed, faults, found, query, said, sentences, stretch, typed, value,
};
use crate::http::State;
use crate::http::console::{Frame, enter, submitted};
use crate::http::web::page;
use crate::http::web::text as filters;
use crate::service::ServiceError;
use crate::service::administer::{ListMetadata, ListParameters};
use crate::service::console::{Admin, Role};
use crate::service::mapping::attributes::AttributeRules;
use crate::service::mapping::manage::{AttributeMapChange, AttributeMapPreview, RoleMapPreview};
use crate::service::mapping::roles::RoleRules;

#[derive(Template)]
#[template(path = "console/directories/mapping.html")]
struct MappingPage<'p> {
    frame: &'p Frame,
    top: Top<'p>,
    map: Shown<'p>,
    attributes: String,
    roles: String,
    tried: Tried<'p>,
    faulty: Vec<Shown<'p>>,
    metadata: &'p ListMetadata,
}

/// A map that was tried or refused.
#[derive(Default)]
struct Tried<'p> {
    /// `attribute_map` or `role_map`; empty for none.
    which: &'static str,
    text: String,
    faults: Vec<String>,
    preview: Option<Shown<'p>>,
}

pub(super) async fn show(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let (admin, frame) = enter(&request, &state, Role::Viewer).await?;
    let stretch = stretch(&query(&request)?);
    shown(&state, &admin, &frame.saying(said), &id, &stretch, Tried::default()).await
}

async fn shown(
    state: &State,
    admin: &Admin,
    frame: &Frame,
    id: &str,
    stretch: &ListParameters,
    tried: Tried<'_>,
) -> Answer {
    let (service, access) = (&state.service, &admin.access);
    let directory = found(state, admin, id).await?;
    let attributes = value(service.attribute_map(access, id).await.map_err(failed)?);
    let roles = service.role_map(access, id).await.map_err(failed)?;
    let faulty = service.attribute_faults(access, id, stretch).await.map_err(failed)?;
    let rows: Vec<Value> = faulty.data.iter().map(value).collect();
    let text = |which: &str, stored: String| match tried.which == which {
        true => tried.text.clone(),
        false => stored,
    };
    let status = match tried.faults.is_empty() {
        true => StatusCode::OK,
        false => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let page = MappingPage {
        frame,
        top: Top::new(frame, &directory, "mapping"),
        map: Shown(&attributes),
        attributes: text("attribute_map", Shown(&attributes).pretty("attributes")),
        roles: text("role_map", Shown(&value(&roles.map)).pretty("")),
        faulty: rows.iter().map(Shown).collect(),
        metadata: &faulty.list_metadata,
        tried,
    };
    Ok(page::respond(status, &page))
}

pub(super) async fn attributes(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (admin, frame, form) = submitted(&request, payload, &state, Role::Operator).await?;
    let (service, access, text) = (&state.service, &admin.access, form.get("map"));
    let outcome = async {
        let attributes: AttributeRules = typed("attributes", text)?;
        if form.get("do") == "store" {
            let change = AttributeMapChange { attributes };
            return service.attribute_map_put(access, &id, change).await.map(|_| None);
        }
        let wanted = AttributeMapPreview { attributes, user_ids: None, after: None, limit: None };
        service.attribute_map_preview(access, &id, wanted).await.map(Some)
    };
    let outcome = outcome.await;
    answered(&state, &admin, &frame, &id, ("attribute_map", text), outcome).await
}

pub(super) async fn roles(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (admin, frame, form) = submitted(&request, payload, &state, Role::Operator).await?;
    let (service, access, text) = (&state.service, &admin.access, form.get("map"));
    let outcome = async {
        let map: RoleRules = typed("role_map", text)?;
        if form.get("do") == "store" {
            return service.role_map_put(access, &id, map).await.map(|_| None);
        }
        let RoleRules { rules, default_role } = map;
        let wanted =
            RoleMapPreview { rules, default_role, user_ids: None, after: None, limit: None };
        service.role_map_preview(access, &id, wanted).await.map(Some)
    };
    let outcome = outcome.await;
    answered(&state, &admin, &frame, &id, ("role_map", text), outcome).await
}

/// The page after a map was stored (`None`), tried or refused.
async fn answered(
    state: &State,
    admin: &Admin,
    frame: &Frame,
    id: &str,
    (which, text): (&'static str, &str),
    outcome: Result<Option<Value>, ServiceError>,
) -> Answer {
    let (preview, faults) = match outcome {
        Ok(None) => return back(frame, id, "/mapping", which),
        Ok(preview) => (preview, Vec::new()),
        Err(error) => (None, sentences(&faults(error)?)),
    };
    let preview = preview.as_ref().map(Shown);
    let tried = Tried { which, text: text.to_owned(), faults, preview };
    let first = ListParameters { limit: Some(super::ROWS), ..ListParameters::default() };
    shown(state, admin, frame, id, &first, tried).await
}
