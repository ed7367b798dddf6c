//! Who else reads the log: receivers of Security Event Tokens, and consumers with a name.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::{self, Data, Path, Payload, ServiceConfig};
use askama::Template;

use super::{Answer, Frame, enter, failed, submitted};
use crate::http::State;
use crate::http::web::only;
use crate::http::web::page::{lead_to, respond};
use crate::http::web::text as filters;
use crate::service::console::Role;
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

async fn list(request: HttpRequest, state: Data<State>) -> Answer {
    let (admin, frame) = enter(&request, &state, Role::Viewer).await?;
    let streams = state.service.stream_statuses(&admin.access).await.map_err(failed)?;
    let consumers = state.service.checkpoint_list(&admin.access).await.map_err(failed)?;
    let frame = frame.saying(said);
    Ok(respond(StatusCode::OK, &StreamsPage { frame, streams, consumers }))
}

async fn one(request: HttpRequest, id: Path<String>, state: Data<State>) -> Answer {
    let (admin, frame) = enter(&request, &state, Role::Viewer).await?;
    let stream = state.service.stream_get(&admin.access, &id).await.map_err(failed)?;
    let status = state.service.stream_status(&admin.access, &id).await.map_err(failed)?;
    let frame = frame.saying(said);
    Ok(respond(StatusCode::OK, &StreamPage { frame, stream, status }))
}

async fn set_status(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (admin, frame, form) = submitted(&request, payload, &state, Role::Operator).await?;
    let wanted = StatusRequest {
        stream_id: id.into_inner(),
        status: form.get("status").to_owned(),
        reason: form.filled("reason").map(str::to_owned),
    };
    let set = state.service.stream_status_set(&admin.access, wanted).await.map_err(failed)?;
    let path = format!("{}/console/streams/{}", frame.base, set.stream_id);
    Ok(lead_to(&format!("{path}?said={}", set.status)))
}

async fn verify(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (admin, frame, _) = submitted(&request, payload, &state, Role::Operator).await?;
    let wanted = VerificationRequest { stream_id: id.clone(), state: None };
    state.service.stream_verify(&admin.access, wanted).await.map_err(failed)?;
    Ok(lead_to(&format!("{}/console/streams/{id}?said=verified", frame.base)))
}

async fn delete(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (admin, frame, _) = submitted(&request, payload, &state, Role::Operator).await?;
    state.service.stream_delete(&admin.access, &id).await.map_err(failed)?;
    Ok(lead_to(&format!("{}/console/streams?said=deleted", frame.base)))
}

async fn consumer_move(
    request: HttpRequest,
    name: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (admin, frame, form) = submitted(&request, payload, &state, Role::Operator).await?;
    let position = Place::Word(form.get("position").trim().to_owned());
    let put = CheckpointPut { position: Some(position), event_id: None, expected: None };
    state.service.checkpoint_put(&admin.access, &name, &put).await.map_err(failed)?;
    Ok(lead_to(&format!("{}/console/streams?said=moved", frame.base)))
}

async fn consumer_delete(
    request: HttpRequest,
    name: Path<String>,
    payload: Payload,
    state: Data<State>,
) -> Answer {
    let (admin, frame, _) = submitted(&request, payload, &state, Role::Operator).await?;
    state.service.checkpoint_delete(&admin.access, &name).await.map_err(failed)?;
    Ok(lead_to(&format!("{}/console/streams?said=forgotten", frame.base)))
}
