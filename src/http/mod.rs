//! The HTTP surface: thin handlers that extract, call one use case and respond.
//!
//! [`scim`] serves identity providers, [`oauth`] gives them access tokens, [`admin`] is the management
//! API, [`api`] the read API for the app, [`setup`] the set-up portal and [`console`] the operator's console, [`ssf`]
//! serves receivers of Security Event Tokens, [`health`] serves orchestrators and Prometheus. Every request passes [`observe`], which gives it an id, counts it and logs it.

pub mod admin;
mod after;
pub mod api;
mod body;
mod caller;
mod console;
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
mod web;

use std::sync::Arc;

use actix_web::web::ServiceConfig;

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
    /// What the operator may see of the configuration.
    pub settings: Vec<Setting>,
}

/// A setting of this process, without secrets.
#[derive(Clone, Debug)]
pub struct Setting {
    pub name: String,
    pub value: String,
}

/// All routes.
pub fn routes(config: &mut ServiceConfig) {
    // Paths are compared in this order: what is asked for most stands first.
    config
        .configure(health::routes)
        .configure(scim::routes)
        .configure(admin::routes)
        .configure(api::routes)
        .configure(oauth::routes)
        .configure(setup::routes)
        .configure(console::routes)
        .configure(web::routes)
        .configure(ssf::routes)
        .default_service(actix_web::web::to(error::unknown_route));
}
