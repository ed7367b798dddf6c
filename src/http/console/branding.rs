//! How the pages of the set-up portal look: name, logo and colours of the operator's product.

use actix_web::web::{self, Payload, ServiceConfig};
use askama::Template;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Answer, By, Frame, Operator, Viewer, Visit, checked, html_with, sentences};
use crate::http::web::look::Look;
use crate::http::web::only;
use crate::service::portal::{Branding, BrandingChange, MAX_LOGO_BYTES};

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(
        only("/console/branding", "GET, POST")
            .route(web::get().to(show))
            .route(web::post().to(change)),
    );
}

#[derive(Template)]
#[template(path = "console/branding.html")]
struct BrandingPage<'p> {
    frame: Frame,
    name: &'p str,
    color: &'p str,
    color_dark: &'p str,
    /// Path of the logo behind that of the public URL; empty without one.
    logo: String,
    faults: &'p [String],
}

fn said(key: &str) -> Option<&'static str> {
    (key == "changed").then_some("The pages of the set-up portal look so from now on.")
}

async fn show(visit: By<Viewer>) -> Answer {
    let stored = visit.service().branding_get(visit.access()).await?;
    page(&visit, &stored, stored.clone(), &[])
}

/// The stored logo, with what is stored of the rest, or was refused.
fn page(visit: &Visit, wanted: &Branding, stored: Branding, faults: &[String]) -> Answer {
    let page = BrandingPage {
        frame: visit.saying(said),
        name: wanted.name.as_deref().unwrap_or_default(),
        color: wanted.color.as_deref().unwrap_or_default(),
        color_dark: wanted.color_dark.as_deref().unwrap_or_default(),
        logo: Look::from(stored).logo,
        faults,
    };
    html_with(faults, &page)
}

async fn change(visit: By<Operator>, payload: Payload) -> Answer {
    let (sent, picture) = visit.uploaded(payload, MAX_LOGO_BYTES).await?;
    let filled = |name: &str| sent.form.filled(name).map(str::to_owned);
    let wanted = Branding {
        name: filled("name"),
        color: filled("color"),
        color_dark: filled("color_dark"),
        ..Branding::default()
    };
    let logo = match (picture.is_empty(), sent.form.get("no_logo") == "on") {
        (false, _) => Some(Some(STANDARD.encode(picture))),
        (true, true) => Some(None),
        (true, false) => None,
    };
    let Branding { name, color, color_dark, .. } = wanted.clone();
    let change = BrandingChange { name, color, color_dark, logo };
    match checked(sent.service().branding_put(sent.access(), change).await)? {
        Ok(_) => sent.back_to("branding", "changed"),
        Err(faults) => {
            let stored = sent.service().branding_get(sent.access()).await?;
            page(&sent, &wanted, stored, &sentences(&faults))
        }
    }
}
