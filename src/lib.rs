//! Rollbook: a SCIM 2.0 server and directory-sync platform.
//!
//! Identity providers push over SCIM; every change becomes a stored resource and an event in one
//! transaction; the company's app reads the events.
//!
//! # Layers
//! Arrows point at what a module may import; `tests/it/layering.rs` holds the code to it.
//!
//! ```text
//! scim, profile (pure)  ◀─ store, pull ◀─ service ◀─ http ◀─ app, cli
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | [`scim`] | the protocol as pure functions: schemas, paths, filters, PATCH, bulk, validation, projection |
//! | [`profile`] | provider behaviour as TOML, and the rewrites that a profile may switch on |
//! | [`store`] | the only user of the database: lanes, units, statements, filters as SQL |
//! | [`auth`] | bearer secrets: form, hashes, memory of verified ones; signed tokens; the key that seals what clients carry |
//! | [`pull`] | directories that are read: connectors, and what follows from a read, as pure functions |
//! | [`outbound`] | the one client for addresses that somebody configured |
//! | [`event`] | what the app is told about a change |
//! | [`service`] | use cases: provision, query, bulk, administer; no HTTP types, no SQL |
//! | [`http`] | thin handlers: extract, one use case, respond |
//! | [`app`], [`cli`], [`config`], [`telemetry`], [`clock`] | wiring |
//!
//! # Where to add what
//! - A provider's quirk: a flow in `conformance/idp/<provider>/`, a flag in
//!   `src/profile/data/default.toml`, a named rewrite in [`profile::rewrite`], a line on its page in
//!   `docs/providers/`.
//! - A statement: a function on [`store::Tx`] in the file of its noun.
//! - A setting: a field of [`config::Config`], documented there; of a directory: of
//!   [`service::context::Settings`].
//! - What the app sees of users who come and go: `src/service/policy.rs` decides,
//!   `src/service/lifecycle.rs` tells.
//! - What a directory may take away before somebody looks: `src/service/brake/`; an alarm: a kind in
//!   `src/service/alarms/mod.rs`, raised in the unit that finds the condition.
//! - What the audit log says: a word in `src/service/audit/action.rs`, written in the unit of the use case.
//! - Who is one person: `src/service/identity/`; users reach it from `src/service/record.rs`.
//! - What an operator makes of users, custom attributes and roles: `src/service/mapping/`.
//! - A way to read the event log: a function in `src/service/events/`; positions are given in
//!   `src/store/sequencer.rs`.
//! - How events are sent: `src/service/webhook/`; when to try again, `src/event/deliver.rs`.
//! - What Security Event Tokens say: `src/event/set.rs`; how they are sent: `src/service/ssf/`.
//! - What the app reads: `src/service/read/`; its routes in `src/http/api/`.
//! - Who operates: `src/service/console/`; its pages in `src/http/console/` and `templates/console/`. What
//!   pages share is in `src/http/web/`, what browsers load in `web/`.
//! - What a customer's administrator sees: `src/service/portal/`; its routes in `src/http/setup/`, its
//!   pages in `templates/setup/`.
//! - The end of a connection: `src/service/disconnect/`.
//! - A source that is read: a file in `src/pull/connectors/` and a line in its list; a page in
//!   `docs/sources/`. Runs: `src/service/sync/`.
//! - A table: a pair of migrations of the same name in `migrations/`.
//! - A finding that the record of a request should show: a note in [`service::exchange::Trace`].

#![forbid(unsafe_code)]

// Fuzzing does not reach the outermost modules, and leaves them out (tests/fuzz/rustc).
#[cfg(not(fuzzing))]
pub mod app;
pub mod auth;
#[cfg(not(fuzzing))]
pub mod cli;
pub mod clock;
pub mod config;
pub mod event;
#[cfg(not(fuzzing))]
pub mod http;
pub mod outbound;
pub mod profile;
pub mod pull;
pub mod scim;
pub mod service;
pub mod store;
pub mod telemetry;
