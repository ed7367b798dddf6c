//! Integration tests: a real server on a real socket, on SQLite and on PostgreSQL.
//!
//! Test names are statements. A test that runs on both databases is a function of a `&TestApp`,
//! named in `on_both_databases!`; its two runs end in `::sqlite` and `::postgres`.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::print_stdout,
    clippy::needless_pass_by_value,
    unreachable_pub,
    reason = "a test that panics has failed, and the support module is its own small library"
)]

mod attack;
mod checklist;
mod docs;
mod flows;
mod fuzz;
mod http;
mod layering;
mod process;
mod rfc;
mod service;
mod soak;
mod store;
mod support;
