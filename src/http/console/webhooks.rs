//! Webhook endpoints: how far each is, what was sent to it, what it has refused, what is sent again.

use actix_web::http::StatusCode;
use actix_web::web::{self, Data, Path, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use super::events::instant;
use super::{Answer, Frame, enter, failed, submitted};
use crate::http::State;
use crate::http::body::Query;
use crate::http::error::HttpError;
use crate::http::web::browser::Form;
use crate::http::web::only;
use crate::http::web::page::{lead_to, respond};
use crate::http::web::text as filters;
use crate::service::administer::{ListMetadata, ListPage, ListParameters};
use crate::service::console::{Admin, Role};
use crate::service::error::AdminError;
use crate::service::events::name;
use crate::service::webhook::{
    DeliveryQuery, DeliveryView, EndpointChange, EndpointState, EndpointView, NewEndpoint,
    ParkedPage, Place, ReplayRequest, ReplayView, SecretRotation,
};

/// Attempts and parked events on the page of an endpoint.
const SHOWN: i64 = 20;

pub(super) fn routes(config: &mut ServiceConfig) {
    let (get, post) = (web::get, web::post);
    config
        .service(only("/console/webhooks", "GET").route(get().to(list)))
        .service(
            only("/console/webhooks/new", "GET, POST")
                .route(get().to(blank))
                .route(post().to(create)),
        )
        .service(only("/console/webhooks/{id}", "GET").route(get().to(one)))
        .service(only("/console/webhooks/{id}/deliveries", "GET").route(get().to(deliveries)))
        .service(only("/console/webhooks/{id}/update", "POST").route(post().to(update)))
        .service(only("/console/webhooks/{id}/state", "POST").route(post().to(set_state)))
        .service(only("/console/webhooks/{id}/test", "POST").route(post().to(test)))
        .service(only("/console/webhooks/{id}/rotate", "POST").route(post().to(rotate)))
        .service(only("/console/webhooks/{id}/replay", "POST").route(post().to(replay)))
        .service(only("/console/webhooks/{id}/cancel", "POST").route(post().to(cancel)))
        .service(only("/console/webhooks/{id}/delete", "POST").route(post().to(delete)));
}

/// What was just done.
fn said(key: &str) -> Option<&'static str> {
    match key {
        "changed" => Some("The endpoint was changed."),
        "enabled" => Some("The endpoint is enabled: what waits is sent now."),
        "paused" => Some("The endpoint is paused: events wait until it is enabled."),
        "disabled" => Some("The endpoint is disabled."),
        "accepted" => Some("The receiver has accepted the test event."),
        "refused" => Some("The receiver has not accepted the test event: see the last attempt."),
        "replay" => Some("The events are sent again, beside what is new."),
        "cancelled" => Some("Nothing more of it is sent again."),
        "deleted" => Some("The endpoint was deleted."),
        _ => None,
    }
}

#[derive(Template)]
#[template(path = "console/webhooks.html")]
struct WebhooksPage {
    frame: Frame,
    page: ListPage<EndpointView>,
}

#[derive(Template)]
#[template(path = "console/webhook_new.html")]
struct NewPage {
    frame: Frame,
    events: Vec<Choice>,
}

#[derive(Template)]
#[template(path = "console/webhook_secret.html")]
struct SecretPage {
    frame: Frame,
    endpoint: EndpointView,
    is_new: bool,
}

#[derive(Template)]
#[template(path = "console/webhook.html")]
struct WebhookPage {
    frame: Frame,
    endpoint: EndpointView,
    deliveries: Vec<DeliveryView>,
    parked: ParkedPage,
    replays: Vec<ReplayView>,
    events: Vec<Choice>,
}

#[derive(Template)]
#[template(path = "console/webhook_deliveries.html")]
struct DeliveriesPage {
    frame: Frame,
    endpoint: EndpointView,
    deliveries: Vec<DeliveryView>,
    metadata: ListMetadata,
    event_id: String,
    outcome: String,
    /// What the addresses of other pages begin with.
    path: String,
}

impl WebhooksPage {
    /// What the addresses of other pages begin with.
    fn path(&self) -> String {
        format!("{}/console/webhooks?", self.frame.base)
    }
}

impl WebhookPage {
    fn path(&self) -> String {
        format!("{}/console/webhooks/{}", self.frame.base, self.endpoint.id)
    }
}

/// An event that an endpoint may select.
struct Choice {
    name: String,
    is_chosen: bool,
}

impl Choice {
    /// Every known name, and what else is chosen: names of other servers are kept.
    fn all(chosen: &[String]) -> Vec<Self> {
        let known = name::ALL.into_iter().chain(name::NATIVE).map(str::to_owned);
        let mut names: Vec<String> = known.collect();
        names.extend(
            chosen.iter().filter(|name| !names.contains(name)).cloned().collect::<Vec<_>>(),
        );
        let choice = |name: String| Self { is_chosen: chosen.contains(&name), name };
        names.into_iter().map(choice).collect()
    }
}

fn list_of(query: &Query) -> ListParameters {
    let text = |name: &str| query.get(name).filter(|text| !text.is_empty()).map(str::to_owned);
    ListParameters { limit: None, after: text("after"), before: text("before") }
}

/// The organizations in a field, with spaces, commas or lines between them; none means all.
fn organizations(form: &Form) -> Option<Vec<String>> {
    let ids = form.get("organization_ids").split([' ', ',', '\n', '\r', '\t']);
    let ids: Vec<String> = ids.filter(|id| !id.is_empty()).map(str::to_owned).collect();
    (!ids.is_empty()).then_some(ids)
}

fn chosen(form: &Form) -> Vec<String> {
    form.all("events").map(str::to_owned).collect()
}

async fn list(request: HttpRequest, state: Data<State>) -> Answer {
    let (admin, frame) = enter(&request, &state, Role::Viewer).await?;
    let list = list_of(&Query::parse(request.query_string()).map_err(failed)?);
    let page = state.service.webhook_list(&admin.access, &list).await.map_err(failed)?;
    Ok(respond(StatusCode::OK, &WebhooksPage { frame: frame.saying(said), page }))
}

async fn blank(request: HttpRequest, state: Data<State>) -> Answer {
    let (_, frame) = enter(&request, &state, Role::Operator).await?;
    let users_and_groups = name::ALL.map(str::to_owned);
    Ok(respond(StatusCode::OK, &NewPage { frame, events: Choice::all(&users_and_groups) }))
}

/// Makes an endpoint and shows its secret, once: the page is the answer to the form.
async fn create(request: HttpRequest, payload: Payload, state: Data<State>) -> Answer {
    let (admin, frame, form) = submitted(&request, payload, &state, Role::Operator).await?;
    let new = NewEndpoint {
        endpoint_url: form.get("endpoint_url").trim().to_owned(),
        events: chosen(&form),
        organization_ids: organizations(&form),
        state: None,
        after: (form.get("begin") == "oldest").then(|| Place::Word("oldest".to_owned())),
    };
    let endpoint = state.service.webhook_create(&admin.access, new).await.map_err(failed)?;
    Ok(respond(StatusCode::OK, &SecretPage { frame, endpoint, is_new: true }))
}

async fn one(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let (admin, frame) = enter(&request, &state, Role::Viewer).await?;
    let (service, access) = (&state.service, &admin.access);
    let endpoint = service.webhook_get(access, &id).await.map_err(failed)?;
    let query = DeliveryQuery {
        list: ListParameters { limit: Some(SHOWN), ..ListParameters::default() },
        ..DeliveryQuery::default()
    };
    let deliveries = service.webhook_deliveries(access, &id, query).await.map_err(failed)?.data;
    let parked = service.webhook_parked(access, &id, 0, SHOWN).await.map_err(failed)?;
    let replays = service.webhook_replays(access, &id).await.map_err(failed)?;
    let events = Choice::all(&endpoint.event_names());
    let frame = frame.saying(said);
    let page = WebhookPage { frame, endpoint, deliveries, parked, replays, events };
    Ok(respond(StatusCode::OK, &page))
}

async fn deliveries(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let (admin, frame) = enter(&request, &state, Role::Viewer).await?;
    let query = Query::parse(request.query_string()).map_err(failed)?;
    let text = |name: &str| query.get(name).unwrap_or_default().trim().to_owned();
    let (event_id, outcome) = (text("event_id"), text("outcome"));
    let wanted = DeliveryQuery {
        event_id: Some(event_id.clone()).filter(|id| !id.is_empty()),
        outcome: Some(outcome.clone()),
        list: list_of(&query),
    };
    let (service, access) = (&state.service, &admin.access);
    let endpoint = service.webhook_get(access, &id).await.map_err(failed)?;
    let page = service.webhook_deliveries(access, &id, wanted).await.map_err(failed)?;
    let path = format!(
        "{}/console/webhooks/{}/deliveries?event_id={}&outcome={outcome}&",
        frame.base,
        endpoint.id,
        percent_encoding::utf8_percent_encode(&event_id, percent_encoding::NON_ALPHANUMERIC),
    );
    let page = DeliveriesPage {
        frame,
        endpoint,
        deliveries: page.data,
        metadata: page.list_metadata,
        event_id,
        outcome,
        path,
    };
    Ok(respond(StatusCode::OK, &page))
}

/// A form about an endpoint.
struct Sent {
    admin: Admin,
    frame: Frame,
    form: Form,
    id: String,
}

impl Sent {
    async fn read(
        request: &HttpRequest,
        id: Path<String>,
        payload: Payload,
        state: &State,
    ) -> Result<Self, HttpError> {
        let (admin, frame, form) = submitted(request, payload, state, Role::Operator).await?;
        Ok(Self { admin, frame, form, id: id.into_inner() })
    }

    /// Back to the endpoint's page, which says what was done.
    fn back(&self, said: &str) -> HttpResponse {
        lead_to(&format!("{}/console/webhooks/{}?said={said}", self.frame.base, self.id))
    }
}

async fn update(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let sent = Sent::read(&request, id, payload, &state).await?;
    let change = EndpointChange {
        endpoint_url: Some(sent.form.get("endpoint_url").trim().to_owned()),
        events: Some(chosen(&sent.form)),
        organization_ids: Some(organizations(&sent.form)),
        state: None,
    };
    let changed = state.service.webhook_update(&sent.admin.access, &sent.id, change).await;
    changed.map_err(failed)?;
    Ok(sent.back("changed"))
}

async fn set_state(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let sent = Sent::read(&request, id, payload, &state).await?;
    let (wanted, key) = match sent.form.get("state") {
        "enabled" => (EndpointState::Enabled, "enabled"),
        "paused" => (EndpointState::Paused, "paused"),
        "disabled" => (EndpointState::Disabled, "disabled"),
        _ => {
            let message = "allowed are enabled, paused and disabled.";
            return Err(failed(AdminError::invalid("state", message)));
        }
    };
    let change = EndpointChange { state: Some(wanted), ..EndpointChange::default() };
    let changed = state.service.webhook_update(&sent.admin.access, &sent.id, change).await;
    changed.map_err(failed)?;
    Ok(sent.back(key))
}

async fn test(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let sent = Sent::read(&request, id, payload, &state).await?;
    let tried = state.service.webhook_test(&sent.admin.access, &sent.id).await.map_err(failed)?;
    Ok(sent.back(if tried.outcome == "delivered" { "accepted" } else { "refused" }))
}

/// Makes another secret and shows it, once.
async fn rotate(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let sent = Sent::read(&request, id, payload, &state).await?;
    let hours = sent.form.filled("hours").map(str::parse::<i64>).transpose();
    let hours = hours
        .map_err(|_| failed(AdminError::invalid("hours", "it must be a whole number of hours.")))?;
    let rotation = SecretRotation { overlap: hours.map(|hours| hours.saturating_mul(3_600)) };
    let endpoint = state.service.webhook_rotate(&sent.admin.access, &sent.id, rotation).await;
    let endpoint = endpoint.map_err(failed)?;
    let page = SecretPage { frame: sent.frame, endpoint, is_new: false };
    Ok(respond(StatusCode::OK, &page))
}

/// Sends again what is parked, one event, or what was made within a time.
async fn replay(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let sent = Sent::read(&request, id, payload, &state).await?;
    let field = |name: &str| sent.form.filled(name).map(str::to_owned);
    let wanted = ReplayRequest {
        event_id: field("event_id"),
        parked: (sent.form.get("what") == "parked").then_some(true),
        range_start: field("range_start").map(|text| instant(&text)),
        range_end: field("range_end").map(|text| instant(&text)),
        ..ReplayRequest::default()
    };
    state.service.webhook_replay(&sent.admin.access, &sent.id, wanted).await.map_err(failed)?;
    Ok(sent.back("replay"))
}

async fn cancel(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let sent = Sent::read(&request, id, payload, &state).await?;
    let replay = sent.form.get("replay");
    let cancelled = state.service.webhook_replay_cancel(&sent.admin.access, &sent.id, replay).await;
    cancelled.map_err(failed)?;
    Ok(sent.back("cancelled"))
}

async fn delete(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let sent = Sent::read(&request, id, payload, &state).await?;
    state.service.webhook_delete(&sent.admin.access, &sent.id).await.map_err(failed)?;
    Ok(lead_to(&format!("{}/console/webhooks?said=deleted", sent.frame.base)))
}
