//! What the server promises when something breaks, and when there are several of it: nothing that was
//! acknowledged is lost, nothing is done by halves, and everybody gets a clear answer.
//!
//! Every scenario starts real processes. Writers record what was acknowledged ([`load`]), something is
//! broken in the middle, and when all is well again everything is read back: through SCIM ([`check`]) and
//! from the tables ([`tables`]). `README.md` lists the scenarios; those that take long are ignored
//! unless `tests/resilience/run` asks for them.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::needless_pass_by_value,
    unreachable_pub,
    reason = "a test that panics has failed, and the support module is its own small library"
)]

mod check;
mod cluster;
mod cut;
mod disk;
mod failover;
mod faults;
mod full_lane;
mod killed;
mod load;
mod model;
mod proxy;
mod reads;
mod replicas;
mod stopped;
#[path = "../it/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the other tests use the rest of it")]
mod support;
mod tables;
mod webhooks;
mod world;
