//! A request of somebody who manages, as handlers take it.

use std::pin::Pin;
use std::sync::Arc;

use actix_web::dev;
use actix_web::web::{Data, Payload};
use actix_web::{FromRequest, HttpRequest};
use serde::de::DeserializeOwned;

use super::{Answer, json, parameters, query};
use crate::http::State;
use crate::http::body::Query;
use crate::http::error::HttpError;
use crate::http::json::let_in;
use crate::http::observe::RouteName;
use crate::http::once::once;
use crate::service::administer::ListParameters;
use crate::service::{ApiAccess, ApiScope, Service};

/// Let in with a key that manages.
pub(super) struct Manager {
    pub(super) request: HttpRequest,
    pub(super) state: Data<State>,
    pub(super) access: Arc<ApiAccess>,
}

impl Manager {
    pub(super) fn service(&self) -> &Arc<Service> {
        &self.state.service
    }

    pub(super) fn query(&self) -> Result<Query, HttpError> {
        query(&self.request)
    }

    /// Where a list starts and how long it is.
    pub(super) fn page(&self) -> Result<ListParameters, HttpError> {
        parameters(&self.query()?)
    }

    pub(super) async fn json<T: DeserializeOwned>(&self, payload: Payload) -> Result<T, HttpError> {
        json(&self.request, payload).await
    }

    /// Runs the request once, however often it is sent with the same `Idempotency-Key`.
    pub(super) async fn once<T: DeserializeOwned + 'static>(
        self,
        payload: Payload,
        run: impl AsyncFnOnce(Arc<Service>, Arc<ApiAccess>, T) -> Answer + 'static,
    ) -> Answer {
        once(&self.request, payload, &self.state, self.access, run).await
    }
}

impl FromRequest for Manager {
    type Error = actix_web::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Self::Error>>>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let state = Data::<State>::extract(&request).await?;
            let (route, scope) = (RouteName("management"), ApiScope::Manage);
            let access = let_in(&request, &state, route, scope).await?;
            Ok(Self { request, state, access })
        })
    }
}
