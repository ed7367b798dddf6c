//! The maps of a directory: custom attributes and roles, tried on stored users before they are stored, and
//! the users of whom an attribute is missing.

use actix_web::web::Path;
use askama::Template;
use serde_json::Value;

use super::{
    Answer, By, Frame, Operator, Sent, Shown, Top, Viewer, Visit, back, checked, found, html_with,
    said, sentences, typed, value,
};
use crate::http::web::text as filters;
use crate::service::ServiceError;
use crate::service::administer::ListMetadata;
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
    tried: &'p Tried<'p>,
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

pub(super) async fn show(visit: By<Viewer>, id: Path<String>) -> Answer {
    shown(&visit, &id, &Tried::default()).await
}

async fn shown(visit: &Visit, id: &str, tried: &Tried<'_>) -> Answer {
    let (service, access, frame) = (visit.service(), visit.access(), &visit.saying(said));
    let directory = found(visit, id).await?;
    let attributes = value(service.attribute_map(access, id).await?);
    let roles = service.role_map(access, id).await?;
    let faulty = service.attribute_faults(access, id, &visit.stretch()).await?;
    let rows: Vec<Value> = faulty.data.iter().map(value).collect();
    let text = |which: &str, stored: String| match tried.which == which {
        true => tried.text.clone(),
        false => stored,
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
    html_with(&tried.faults, &page)
}

pub(super) async fn attributes(sent: Sent<Operator>, id: Path<String>) -> Answer {
    let (service, access, text) = (sent.service(), sent.access(), sent.form.get("map"));
    let outcome = async {
        let attributes: AttributeRules = typed("attributes", text)?;
        if sent.form.get("do") == "store" {
            let change = AttributeMapChange { attributes };
            return service.attribute_map_put(access, &id, change).await.map(|_| None);
        }
        let wanted = AttributeMapPreview { attributes, user_ids: None, after: None, limit: None };
        service.attribute_map_preview(access, &id, wanted).await.map(Some)
    };
    let outcome = outcome.await;
    answered(&sent, &id, ("attribute_map", text), outcome).await
}

pub(super) async fn roles(sent: Sent<Operator>, id: Path<String>) -> Answer {
    let (service, access, text) = (sent.service(), sent.access(), sent.form.get("map"));
    let outcome = async {
        let map: RoleRules = typed("role_map", text)?;
        if sent.form.get("do") == "store" {
            return service.role_map_put(access, &id, map).await.map(|_| None);
        }
        let RoleRules { rules, default_role } = map;
        let wanted =
            RoleMapPreview { rules, default_role, user_ids: None, after: None, limit: None };
        service.role_map_preview(access, &id, wanted).await.map(Some)
    };
    let outcome = outcome.await;
    answered(&sent, &id, ("role_map", text), outcome).await
}

/// The page after a map was stored (`None`), tried or refused.
async fn answered(
    visit: &Visit,
    id: &str,
    (which, text): (&'static str, &str),
    outcome: Result<Option<Value>, ServiceError>,
) -> Answer {
    let (preview, faults) = match checked(outcome)? {
        Ok(None) => return back(visit, id, "/mapping", which),
        Ok(preview) => (preview, Vec::new()),
        Err(faults) => (None, sentences(&faults)),
    };
    let preview = preview.as_ref().map(Shown);
    let tried = Tried { which, text: text.to_owned(), faults, preview };
    shown(visit, id, &tried).await
}
