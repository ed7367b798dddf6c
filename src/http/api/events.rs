//! `/events`: what has changed, oldest first unless the caller asks for another order.

use actix_web::HttpRequest;
use actix_web::web::Data;

use super::{page, reader};
use crate::http::State;
use crate::http::json::{Answer, failed, ok, query};
use crate::service::events::EventQuery;
use crate::service::read::Order;

pub(super) async fn list(request: HttpRequest, state: Data<State>) -> Answer {
    let access = reader(&request, &state).await?;
    let query = query(&request)?;
    let text = |name: &str| query.get(name).filter(|text| !text.is_empty()).map(str::to_owned);
    let wanted = EventQuery {
        page: page(&query, Order::Asc)?,
        events: query.list("events"),
        organization_id: text("organization_id"),
        range_start: text("range_start"),
        range_end: text("range_end"),
    };
    state.service.event_list(&access, wanted).await.map(ok).map_err(failed)
}
