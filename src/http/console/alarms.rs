//! Alarms. What waits behind the brake of a directory is on the directory's page.

use actix_web::web::{self, ServiceConfig};
use askama::Template;

use super::{Answer, By, Frame, Viewer, html};
use crate::http::web::only;
use crate::http::web::text as filters;
use crate::service::administer::{ListPage, Names};
use crate::service::alarms::{AlarmQuery, AlarmView};

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(only("/console/alarms", "GET").route(web::get().to(list)));
}

#[derive(Template)]
#[template(path = "console/alarms.html")]
struct AlarmsPage {
    frame: Frame,
    alarms: ListPage<AlarmView>,
    names: Names,
    /// `raised`, `resolved` or `all`.
    state: String,
}

async fn list(visit: By<Viewer>) -> Answer {
    let state = visit.asked("state").unwrap_or_else(|| "raised".to_owned());
    let wanted =
        AlarmQuery { state: Some(state.clone()), page: visit.stretch(), ..AlarmQuery::default() };
    let alarms = visit.service().alarm_list(visit.access(), &wanted).await?;
    let directories = alarms.data.iter().filter_map(|alarm| alarm.directory_id.as_ref());
    let names = visit.service().names(visit.access(), directories).await?;
    html(&AlarmsPage { frame: visit.frame.clone(), alarms, names, state })
}
