//! Integration tests: a real server on a real socket, on SQLite and on PostgreSQL.
//!
//! Test names are statements. A test that runs on both databases is a function of a `&TestApp`,
//! named in `on_both_databases!`; its two runs end in `::sqlite` and `::postgres`.

mod flows;
mod http;
mod layering;
mod process;
mod service;
mod store;
mod support;
