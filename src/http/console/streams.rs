//! Who else reads the log: receivers of Security Event Tokens, and consumers with a name.

use actix_web::web::{self, Path, ServiceConfig};
use askama::Template;

use super::{Answer, By, Frame, Operator, Sent, Viewer, html};
use crate::http::web::only;
use crate::http::web::text as filters;
use crate::service::events::{Checkpoint, CheckpointPut, Place};
use crate::service::ssf::{StatusRequest, StatusView, StreamView, VerificationRequest};

pub(super) fn routes(config: &mut ServiceConfig) {
    let (get, post) = (web::get, web::post);
    config
        .service(only("/console/streams", "GET").route(get().to(list)))
        .service(only("/console/streams/{id}", "GET").route(get().to(one)))
        .service(only("/console/streams/{id}/status", "POST").route(post().to(set_status)))
        .service(only("/console/streams/{id}/verify", "POST").route(post().to(verify)))
        .service(only("/console/streams/{id}/delete", "POST").route(post().to(delete)))
        .service(only("/console/consumers/{name}/move", "POST").route(post().to(consumer_move)))
        .service(
            only("/console/consumers/{name}/delete", "POST").route(post().to(consumer_delete)),
        );
}

/// What was just done.
fn said(key: &str) -> Option<&'static str> {
    match key {
        "enabled" => Some("The stream is enabled: what waits is sent now."),
        "paused" => Some("The stream is paused: tokens wait until it is enabled."),
        "disabled" => Some("The stream is disabled."),
        "verified" => Some("A verification event is on its way to the receiver."),
        "deleted" => Some("The stream was deleted."),
        "moved" => Some("The consumer goes on from there."),
        "forgotten" => Some("The consumer was deleted."),
        _ => None,
    }
}

#[derive(Template)]
#[template(path = "console/streams.html")]
struct StreamsPage {
    frame: Frame,
    streams: Vec<(StreamView, StatusView)>,
    consumers: Vec<Checkpoint>,
}

#[derive(Template)]
#[template(path = "console/stream.html")]
struct StreamPage {
    frame: Frame,
    stream: StreamView,
    status: StatusView,
}

impl StreamsPage {
    fn consumer_path(&self, name: &str) -> String {
        format!("{}/console/consumers/{name}", self.frame.base)
    }
}

impl StreamPage {
    fn path(&self) -> String {
        format!("{}/console/streams/{}", self.frame.base, self.stream.stream_id)
    }
}

async fn list(visit: By<Viewer>) -> Answer {
    let streams = visit.service().stream_statuses(visit.access()).await?;
    let consumers = visit.service().checkpoint_list(visit.access()).await?;
    html(&StreamsPage { frame: visit.saying(said), streams, consumers })
}

async fn one(visit: By<Viewer>, id: Path<String>) -> Answer {
    let stream = visit.service().stream_get(visit.access(), &id).await?;
    let status = visit.service().stream_status(visit.access(), &id).await?;
    html(&StreamPage { frame: visit.saying(said), stream, status })
}

async fn set_status(sent: Sent<Operator>, id: Path<String>) -> Answer {
    let wanted = StatusRequest {
        stream_id: id.into_inner(),
        status: sent.form.get("status").to_owned(),
        reason: sent.form.filled("reason").map(str::to_owned),
    };
    let set = sent.service().stream_status_set(sent.access(), wanted).await?;
    sent.back_to(&format!("streams/{}", set.stream_id), &set.status)
}

async fn verify(sent: Sent<Operator>, id: Path<String>) -> Answer {
    let wanted = VerificationRequest { stream_id: id.clone(), state: None };
    sent.service().stream_verify(sent.access(), wanted).await?;
    sent.back_to(&format!("streams/{id}"), "verified")
}

async fn delete(sent: Sent<Operator>, id: Path<String>) -> Answer {
    sent.service().stream_delete(sent.access(), &id).await?;
    sent.back_to("streams", "deleted")
}

async fn consumer_move(sent: Sent<Operator>, name: Path<String>) -> Answer {
    let position = Place::Word(sent.form.get("position").trim().to_owned());
    let put = CheckpointPut { position: Some(position), event_id: None, expected: None };
    sent.service().checkpoint_put(sent.access(), &name, &put).await?;
    sent.back_to("streams", "moved")
}

async fn consumer_delete(sent: Sent<Operator>, name: Path<String>) -> Answer {
    sent.service().checkpoint_delete(sent.access(), &name).await?;
    sent.back_to("streams", "forgotten")
}
