//! The record of a SCIM request: begun when it comes, handed over with its answer. The same for every
//! version of the protocol.
//!
//! Only what is sent with a token of the directory that the path names is recorded: nobody writes into
//! the records of others.

use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, ResponseError};

use super::State;
use super::error::HttpError;
use super::observe::RequestId;
use crate::clock::Stopwatch;
use crate::profile::detect::Detection;
use crate::service::exchange::{self, GONE, Kind, Trace};
use crate::service::{Access, Service};

/// A request on its way.
pub(super) struct Exchange {
    watch: Stopwatch,
    at: i64,
    service: Arc<Service>,
    request: HttpRequest,
    scim: &'static str,
    entered: Option<Entered>,
}

/// Whose request it is.
struct Entered {
    access: Arc<Access>,
    kind: Kind,
    resource: Option<(String, String)>,
}

/// With the version of the protocol that it is served as.
pub(super) fn begin(request: &HttpRequest, state: &State, scim: &'static str) -> Exchange {
    Exchange {
        scim,
        watch: Stopwatch::start(),
        at: state.service.clock.now_ms(),
        service: Arc::clone(&state.service),
        request: request.clone(),
        entered: None,
    }
}

impl Exchange {
    /// Runs the request and records what it answers.
    pub(super) async fn recorded(
        mut self,
        serve: impl AsyncFnOnce(&mut Self) -> Result<HttpResponse, HttpError>,
    ) -> HttpResponse {
        let answer = serve(&mut self).await;
        let answer = answer.unwrap_or_else(|error| error.error_response());
        self.end(answer)
    }

    /// The directory is known: from here on the request is recorded. Answers the access to do it
    /// with, which notes what is found out.
    pub(super) fn enter(&mut self, access: Arc<Access>, kind: Kind) -> Arc<Access> {
        // A read finds nothing out, and is too frequent to pay for it.
        let is_safe = self.request.method().is_safe();
        let access = match is_safe {
            true => access,
            false => Arc::new(access.traced(Trace::on())),
        };
        self.entered = Some(Entered { access: Arc::clone(&access), kind, resource: None });
        access
    }

    /// The endpoint that the path names, and the id, which may be empty.
    pub(super) fn about(&mut self, endpoint: &str, id: &str) {
        if let Some(entered) = &mut self.entered {
            let directory = &entered.access.directory;
            let resource_type = directory.registry.by_endpoint(endpoint);
            entered.resource = resource_type.map(|kind| (kind.name.clone(), id.to_owned()));
        }
    }

    fn end(mut self, answer: HttpResponse) -> HttpResponse {
        let Some(entered) = self.entered.take() else { return answer };
        let status = answer.status().as_u16();
        if !self.is_wanted(&entered, status) {
            return answer;
        }
        if status < 400 {
            self.hand_over(entered, status, None);
            return answer;
        }
        let (head, body) = answer.into_parts();
        match body.try_into_bytes() {
            Ok(bytes) => {
                self.hand_over(entered, status, Some(bytes.to_vec()));
                head.set_body(BoxBody::new(bytes))
            }
            Err(body) => {
                self.hand_over(entered, status, None);
                head.set_body(body)
            }
        }
    }

    fn is_wanted(&self, entered: &Entered, status: u16) -> bool {
        self.service.records.wants(&entered.access.directory, entered.kind, status, self.at)
    }

    fn hand_over(&self, entered: Entered, status: u16, error: Option<Vec<u8>>) {
        let request = &self.request;
        let text = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        let (id, client_id) = match request.extensions().get::<RequestId>() {
            Some(RequestId::Ours(id)) => (id.clone(), None),
            Some(RequestId::Clients(id)) => (self.service.clock.id("req"), Some(id.clone())),
            None => (self.service.clock.id("req"), None),
        };
        self.service.records.push(exchange::Exchange {
            directory: Arc::clone(&entered.access.directory),
            id,
            client_id,
            at: self.at,
            kind: entered.kind,
            method: request.method().as_str().chars().take(32).collect(),
            path: path_and_query(request),
            scim: self.scim,
            client: request.extensions().get::<Detection>().map(|found| found.provider),
            user_agent: text("user-agent").unwrap_or_default().to_owned(),
            status,
            duration: self.watch.elapsed(),
            resource: entered.resource,
            error,
            trace: entered.access.trace.clone(),
        });
    }
}

impl Drop for Exchange {
    /// A client that goes away takes its request along, but not what the request has already done.
    fn drop(&mut self) {
        if let Some(entered) = self.entered.take()
            && self.is_wanted(&entered, GONE)
        {
            self.hand_over(entered, GONE, None);
        }
    }
}

fn path_and_query(request: &HttpRequest) -> String {
    let query = request.query_string();
    match query.is_empty() {
        true => request.path().to_owned(),
        false => format!("{}?{query}", request.path()),
    }
}
