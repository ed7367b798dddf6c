//! Black-box checks of a SCIM server: the requirements of RFC 7643 and RFC 7644 row by row, and
//! recorded requests of identity providers, replayed against any base URL.
//!
//! - [`rows`]: the requirements, each with its check
//! - [`subject`]: the directory that a check talks to, and what it may ask for beside it
//! - [`scim`], [`answer`]: a client for checks, and sentences about what came back
//! - [`host`], [`server`]: where directories come from; a Rollbook that the run starts itself
//! - [`report`]: runs the rows and prints what held
//! - [`soak`]: many identity providers' clients at once, and a checker that reads everything back
//! - [`flow`]: what a flow file says
//! - [`matching`]: variables, JSON pointers and the subset comparison; pure
//! - [`run`]: sends the steps of a flow and compares the answers
//! - [`management`]: fresh directories through Rollbook's management API
//! - [`allow`]: the list of flows that are known to fail
//! - [`checklist`]: what providers need of a server, and the flows and tests that show it

pub mod allow;
pub mod answer;
pub mod checklist;
pub mod flow;
pub mod host;
mod http;
pub mod management;
pub mod matching;
pub mod report;
pub mod rows;
pub mod run;
pub mod scim;
pub mod server;
pub mod soak;
pub mod subject;

pub use flow::{Flow, load_flows};
pub use run::{FlowReport, StepReport, Target, run_flow};
