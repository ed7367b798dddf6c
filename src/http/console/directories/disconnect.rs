//! The end of a connection: freeze, take access away, hand over; each says first what would happen.

use actix_web::web::Path;
use askama::Template;

use super::{
    Answer, By, Fault, Frame, Operator, Sent, Top, Viewer, Visit, back, checked, found, html_with,
    said, sentences,
};
use crate::http::web::disconnect::Act;
use crate::http::web::text as filters;
use crate::service::administer::{DirectoryFilter, ListParameters};
use crate::service::disconnect::{
    DisconnectReport, DisconnectRequest, Disconnection, DisconnectionView, HandOverReport,
};

/// Directories that are offered to take everybody over, the newest ones.
const OFFERED: i64 = 100;

#[derive(Template)]
#[template(path = "console/directories/disconnect.html")]
struct DisconnectPage<'p> {
    frame: &'p Frame,
    top: Top<'p>,
    faults: Vec<String>,
    about: DisconnectReport,
    under_way: Option<DisconnectionView>,
    /// Id and name of directories that may take everybody over.
    targets: Vec<(String, String)>,
    /// What a hand over to one of them would do, or why it cannot be done.
    chosen: Option<HandOverReport>,
    problem: Option<String>,
}

pub(super) async fn show(visit: By<Viewer>, id: Path<String>) -> Answer {
    let to = visit.asked("to");
    shown(&visit, &id, to, &[]).await
}

async fn shown(visit: &Visit, id: &str, to: Option<String>, faults: &[Fault]) -> Answer {
    let directory = found(visit, id).await?;
    let (service, access) = (visit.service(), visit.access());
    let wanted = DisconnectRequest::preview(Disconnection::Deprovision);
    let about = service.directory_disconnect(access, id, wanted).await?;
    let under_way = service.disconnection_find(access, id).await?;
    let organization = directory.get("organization_id").and_then(serde_json::Value::as_str);
    let neighbours = DirectoryFilter {
        organization_id: organization.map(str::to_owned),
        ..DirectoryFilter::default()
    };
    let newest = ListParameters { limit: Some(OFFERED), ..ListParameters::default() };
    let others = service.directory_list(access, neighbours, &newest).await?;
    let is_fit = |state: &str| !matches!(state, "disabled" | "deleting");
    let others = others.data.into_iter().filter(|other| other.id != id && is_fit(&other.state));
    let (chosen, problem) = match to {
        None => (None, None),
        Some(to) => service.hand_over_look(access, id, &to).await?,
    };
    let frame = &visit.saying(said);
    let page = DisconnectPage {
        frame,
        top: Top::new(frame, &directory, "disconnect"),
        faults: sentences(faults),
        about,
        under_way,
        targets: others.map(|other| (other.id, other.name)).collect(),
        chosen,
        problem,
    };
    html_with(faults, &page)
}

pub(super) async fn act(sent: Sent<Operator>, id: Path<String>) -> Answer {
    let act = Act::read(&sent.form)?;
    let (service, access, said) = (sent.service(), sent.access(), act.said());
    let done = match act {
        Act::CallOff => service.disconnection_call_off(access, &id).await.map(drop),
        Act::Disconnect(wanted) => {
            service.directory_disconnect(access, &id, wanted).await.map(drop)
        }
    };
    match checked(done)? {
        Ok(()) => back(&sent, &id, "/disconnect", said),
        Err(faults) => shown(&sent, &id, None, &faults).await,
    }
}
