//! The HTTP surface: thin handlers that extract, call one use case and respond.
//!
//! [`scim`] serves identity providers, [`oauth`] gives them access tokens, [`admin`] is the management
//! API, [`api`] the read API for the app, [`setup`] the set-up portal for people, [`ssf`] serves receivers of Security Event Tokens, [`health`] serves
//! orchestrators and Prometheus. Every request passes [`observe`], which gives it an id, counts it and logs it.

pub mod admin;
pub mod api;
mod body;
mod caller;
mod error;
mod exchange;
mod health;
mod json;
mod limit;
pub mod oauth;
mod observe;
mod once;
pub mod scim;
mod setup;
mod ssf;

use std::sync::Arc;

use actix_web::web;

use crate::service::Service;
use crate::telemetry::Metrics;

pub use observe::observe;

/// What handlers share. Built once, outside the server's worker threads.
pub struct State {
    pub service: Arc<Service>,
    pub metrics: Metrics,
    pub trusted_proxies: Vec<ipnet::IpNet>,
    pub trusted_hosts: Vec<String>,
    /// Set when the operator fixed where clients reach the server.
    pub fixed_public_url: Option<String>,
    pub is_tls: bool,
}

/// All routes.
pub fn routes(config: &mut web::ServiceConfig) {
    // Paths are compared in this order: what is asked for most stands first.
    config
        .configure(health::routes)
        .configure(scim::routes)
        .configure(admin::routes)
        .configure(api::routes)
        .configure(oauth::routes)
        .configure(setup::routes)
        .configure(ssf::routes)
        .default_service(web::to(error::unknown_route));
}
