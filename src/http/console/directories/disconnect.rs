//! The end of a connection: freeze, take access away, hand over; each says first what would happen.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Payload};
use askama::Template;

use super::{Answer, Top, back, failed, faults, filled, found, query, said, sentences};
use crate::http::State;
use crate::http::console::{Frame, enter, submitted};
use crate::http::web::disconnect::Act;
use crate::http::web::{page, text as filters};
use crate::service::administer::ListParameters;
use crate::service::console::{Admin, Role};
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

pub(super) async fn show(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let (admin, frame) = enter(&request, &state, Role::Viewer).await?;
    let to = filled(&query(&request)?, "to");
    shown(&state, &admin, &frame.saying(said), &id, to, Vec::new()).await
}

async fn shown(
    state: &State,
    admin: &Admin,
    frame: &Frame,
    id: &str,
    to: Option<String>,
    faults: Vec<String>,
) -> Answer {
    let directory = found(state, admin, id).await?;
    let (service, access) = (&state.service, &admin.access);
    let wanted = DisconnectRequest::preview(Disconnection::Deprovision);
    let about = service.directory_disconnect(access, id, wanted).await.map_err(failed)?;
    let under_way = service.disconnection_find(access, id).await.map_err(failed)?;
    let organization = directory.get("organization_id").and_then(serde_json::Value::as_str);
    let organization = organization.map(str::to_owned);
    let newest = ListParameters { limit: Some(OFFERED), ..ListParameters::default() };
    let others = service.directory_list(access, organization, &newest).await.map_err(failed)?;
    let is_fit = |state: &str| !matches!(state, "disabled" | "deleting");
    let others = others.data.into_iter().filter(|other| other.id != id && is_fit(&other.state));
    let (chosen, problem) = match to {
        None => (None, None),
        Some(to) => service.hand_over_look(access, id, &to).await.map_err(failed)?,
    };
    let status = match faults.is_empty() {
        true => StatusCode::OK,
        false => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let page = DisconnectPage {
        frame,
        top: Top::new(frame, &directory, "disconnect"),
        faults,
        about,
        under_way,
        targets: others.map(|other| (other.id, other.name)).collect(),
        chosen,
        problem,
    };
    Ok(page::respond(status, &page))
}

pub(super) async fn act(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (admin, frame, form) = submitted(&request, payload, &state, Role::Operator).await?;
    let act = Act::read(&form).map_err(failed)?;
    let said = act.said();
    let done = match act {
        Act::CallOff => state.service.disconnection_call_off(&admin.access, &id).await.map(drop),
        Act::Disconnect(wanted) => {
            state.service.directory_disconnect(&admin.access, &id, wanted).await.map(drop)
        }
    };
    match done {
        Ok(()) => back(&frame, &id, "/disconnect", said),
        Err(error) => {
            let faults = sentences(&faults(error)?);
            shown(&state, &admin, &frame, &id, None, faults).await
        }
    }
}
