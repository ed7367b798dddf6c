//! The primary directory of an organization: what a choice would change, and the choice itself.

use actix_web::web::{self, Path, ServiceConfig};
use askama::Template;
use serde_json::Value;

use super::shown::Shown;
use super::{Answer, By, Frame, Operator, Sent, Viewer, Visit, checked, html_with, sentences};
use crate::http::web::only;
use crate::http::web::text as filters;
use crate::service::administer::{DirectoryView, ListParameters, OrganizationView};
use crate::service::identity::PrimaryChange;

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(
        only("/console/identities/{organization}/primary", "GET, POST")
            .route(web::get().to(show))
            .route(web::post().to(choose)),
    );
}

#[derive(Template)]
#[template(path = "console/identities_primary.html")]
struct PrimaryPage<'p> {
    frame: &'p Frame,
    organization: &'p OrganizationView,
    directories: Vec<DirectoryView>,
    /// As the management API shows it; with `diff` what the choice would change.
    primary: Shown<'p>,
    faults: &'p [String],
}

async fn show(visit: By<Viewer>, organization: Path<String>) -> Answer {
    let stored = visit.service().primary_get(visit.access(), &organization).await?;
    page(&visit, &organization, &stored, &[]).await
}

async fn page(visit: &Visit, id: &str, primary: &Value, faults: &[String]) -> Answer {
    let (service, access) = (visit.service(), visit.access());
    let organization = &service.organization_get(access, id).await?;
    let most = ListParameters { limit: Some(500), ..ListParameters::default() };
    let directories = service.directory_list(access, Some(id.to_owned()), &most).await?.data;
    let (frame, primary) = (&visit.frame, Shown(primary));
    html_with(faults, &PrimaryPage { frame, organization, directories, primary, faults })
}

/// Shows what would follow, or makes it so.
async fn choose(sent: Sent<Operator>, organization: Path<String>) -> Answer {
    let (service, access) = (sent.service(), sent.access());
    let directory_id = Some(sent.form.filled("directory_id").map(str::to_owned));
    let dry_run = sent.form.get("do") != "store";
    let change = PrimaryChange { directory_id, dry_run };
    match checked(service.primary_put(access, &organization, change).await)? {
        Ok(preview) if dry_run => page(&sent, &organization, &preview, &[]).await,
        Ok(_) => sent.back_to(&format!("identities/{organization}"), "primary"),
        Err(faults) => {
            let stored = service.primary_get(access, &organization).await?;
            page(&sent, &organization, &stored, &sentences(&faults)).await
        }
    }
}
