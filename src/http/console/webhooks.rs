//! Webhook endpoints: how far each is, what was sent to it, what it has refused, what is sent again.

use actix_web::web::{self, Path, ServiceConfig};
use askama::Template;

use super::events::instant;
use super::{
    Again, Answer, By, Frame, Operator, Sent, Viewer, Visit, checked, html, html_with,
    organizations,
};
use crate::http::web::browser::Form;
use crate::http::web::only;
use crate::http::web::text as filters;
use crate::service::administer::{ListMetadata, ListPage, ListParameters, Names};
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
struct NewPage<'p> {
    frame: Frame,
    events: Vec<Choice>,
    again: &'p Again<'p>,
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
struct WebhookPage<'p> {
    frame: Frame,
    endpoint: EndpointView,
    /// Of the organizations that it is limited to.
    names: Names,
    deliveries: Vec<DeliveryView>,
    parked: ParkedPage,
    replays: Vec<ReplayView>,
    events: Vec<Choice>,
    again: &'p Again<'p>,
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

impl WebhookPage<'_> {
    fn path(&self) -> String {
        format!("{}/console/webhooks/{}", self.frame.base, self.endpoint.id)
    }

    /// Ids of the organizations as the form has them.
    fn organizations(&self) -> String {
        let stored = self.endpoint.organization_ids.as_ref().map(|ids| ids.join(" "));
        self.again.or("organization_ids", &stored.unwrap_or_default()).to_owned()
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

fn chosen(form: &Form) -> Vec<String> {
    form.all("events").map(str::to_owned).collect()
}

async fn list(visit: By<Viewer>) -> Answer {
    let page = visit.service().webhook_list(visit.access(), &visit.stretch()).await?;
    html(&WebhooksPage { frame: visit.saying(said), page })
}

async fn blank(visit: By<Operator>) -> Answer {
    let users_and_groups = name::ALL.map(str::to_owned);
    new(&visit, &users_and_groups, &Again::default())
}

fn new(visit: &Visit, events: &[String], again: &Again<'_>) -> Answer {
    let page = NewPage { frame: visit.frame.clone(), events: Choice::all(events), again };
    html_with(&again.faults, &page)
}

/// Makes an endpoint and shows its secret, once: the page is the answer to the form.
async fn create(sent: Sent<Operator>) -> Answer {
    let wanted = NewEndpoint {
        endpoint_url: sent.form.get("endpoint_url").trim().to_owned(),
        events: chosen(&sent.form),
        organization_ids: organizations(&sent.form, "organization_ids"),
        state: None,
        after: (sent.form.get("begin") == "oldest").then(|| Place::Word("oldest".to_owned())),
    };
    match checked(sent.service().webhook_create(sent.access(), wanted).await)? {
        Ok(endpoint) => html(&SecretPage { frame: sent.frame.clone(), endpoint, is_new: true }),
        Err(faults) => new(&sent, &chosen(&sent.form), &Again::of(&sent, &faults)),
    }
}

async fn one(visit: By<Viewer>, id: Path<String>) -> Answer {
    shown(&visit, &id, &Again::default()).await
}

async fn shown(visit: &Visit, id: &str, again: &Again<'_>) -> Answer {
    let (service, access) = (visit.service(), visit.access());
    let endpoint = service.webhook_get(access, id).await?;
    let chosen = again.form.map_or_else(|| endpoint.event_names(), chosen);
    let list = ListParameters { limit: Some(SHOWN), ..ListParameters::default() };
    let newest = DeliveryQuery { list, ..DeliveryQuery::default() };
    let page = WebhookPage {
        frame: visit.saying(said),
        events: Choice::all(&chosen),
        deliveries: service.webhook_deliveries(access, id, newest).await?.data,
        parked: service.webhook_parked(access, id, 0, SHOWN).await?,
        replays: service.webhook_replays(access, id).await?,
        names: service.names(access, endpoint.organization_ids.iter().flatten()).await?,
        endpoint,
        again,
    };
    html_with(&again.faults, &page)
}

async fn deliveries(visit: By<Viewer>, id: Path<String>) -> Answer {
    let (event_id, outcome) = (visit.asked("event_id"), visit.asked("outcome"));
    let wanted = DeliveryQuery {
        event_id: event_id.clone(),
        outcome: outcome.clone(),
        list: visit.stretch(),
    };
    let (service, access) = (visit.service(), visit.access());
    let endpoint = service.webhook_get(access, &id).await?;
    let page = service.webhook_deliveries(access, &id, wanted).await?;
    let (event_id, outcome) = (event_id.unwrap_or_default(), outcome.unwrap_or_default());
    let search = format!("event_id={}&outcome={outcome}", filters::encoded(&event_id));
    html(&DeliveriesPage {
        path: visit.address(&format!("webhooks/{}/deliveries?{search}&", endpoint.id)),
        frame: visit.frame.clone(),
        endpoint,
        deliveries: page.data,
        metadata: page.list_metadata,
        event_id,
        outcome,
    })
}

/// Back to the endpoint's page, which says what was done.
fn back(visit: &Visit, id: &str, said: &str) -> Answer {
    visit.back_to(&format!("webhooks/{id}"), said)
}

async fn update(sent: Sent<Operator>, id: Path<String>) -> Answer {
    let change = EndpointChange {
        endpoint_url: Some(sent.form.get("endpoint_url").trim().to_owned()),
        events: Some(chosen(&sent.form)),
        organization_ids: Some(organizations(&sent.form, "organization_ids")),
        state: None,
    };
    match checked(sent.service().webhook_update(sent.access(), &id, change).await)? {
        Ok(_) => back(&sent, &id, "changed"),
        Err(faults) => shown(&sent, &id, &Again::of(&sent, &faults)).await,
    }
}

async fn set_state(sent: Sent<Operator>, id: Path<String>) -> Answer {
    let (wanted, key) = match sent.form.get("state") {
        "enabled" => (EndpointState::Enabled, "enabled"),
        "paused" => (EndpointState::Paused, "paused"),
        "disabled" => (EndpointState::Disabled, "disabled"),
        _ => {
            let message = "allowed are enabled, paused and disabled.";
            return Err(AdminError::invalid("state", message).into());
        }
    };
    let change = EndpointChange { state: Some(wanted), ..EndpointChange::default() };
    sent.service().webhook_update(sent.access(), &id, change).await?;
    back(&sent, &id, key)
}

async fn test(sent: Sent<Operator>, id: Path<String>) -> Answer {
    let tried = sent.service().webhook_test(sent.access(), &id).await?;
    back(&sent, &id, if tried.outcome == "delivered" { "accepted" } else { "refused" })
}

/// Makes another secret and shows it, once.
async fn rotate(sent: Sent<Operator>, id: Path<String>) -> Answer {
    let hours = sent.form.filled("hours").map(str::parse::<i64>).transpose();
    let hours =
        hours.map_err(|_| AdminError::invalid("hours", "it must be a whole number of hours."))?;
    let rotation = SecretRotation { overlap: hours.map(|hours| hours.saturating_mul(3_600)) };
    let endpoint = sent.service().webhook_rotate(sent.access(), &id, rotation).await?;
    html(&SecretPage { frame: sent.frame.clone(), endpoint, is_new: false })
}

/// Sends again what is parked, one event, or what was made within a time.
async fn replay(sent: Sent<Operator>, id: Path<String>) -> Answer {
    let field = |name: &str| sent.form.filled(name).map(str::to_owned);
    let wanted = ReplayRequest {
        event_id: field("event_id"),
        parked: (sent.form.get("what") == "parked").then_some(true),
        range_start: field("range_start").map(|text| instant(&text)),
        range_end: field("range_end").map(|text| instant(&text)),
        ..ReplayRequest::default()
    };
    sent.service().webhook_replay(sent.access(), &id, wanted).await?;
    back(&sent, &id, "replay")
}

async fn cancel(sent: Sent<Operator>, id: Path<String>) -> Answer {
    let replay = sent.form.get("replay");
    sent.service().webhook_replay_cancel(sent.access(), &id, replay).await?;
    back(&sent, &id, "cancelled")
}

async fn delete(sent: Sent<Operator>, id: Path<String>) -> Answer {
    sent.service().webhook_delete(sent.access(), &id).await?;
    sent.back_to("webhooks", "deleted")
}
