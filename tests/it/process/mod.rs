//! The binary as an operator uses it: started, asked, stopped, started again.

mod admin;
mod asynchronous;
mod backup;
mod bench_report;
mod brake;
mod cli;
mod disconnect;
mod events;
mod large_group;
mod looks;
mod members;
mod parity;
mod portal;
mod requests;
mod serve;
mod sync;
mod tls;
mod webhooks;

use crate::support::process::{Server, first_start, rollbook, run};
