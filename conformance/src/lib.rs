//! Black-box checks of a SCIM server: recorded requests of identity providers, replayed against any
//! base URL.
//!
//! - [`flow`]: what a flow file says
//! - [`matching`]: variables, JSON pointers and the subset comparison; pure
//! - [`run`]: sends the steps of a flow and compares the answers
//! - [`management`]: a fresh directory per flow, through Rollbook's management API
//! - [`allow`]: the list of flows that are known to fail

pub mod allow;
pub mod flow;
mod http;
pub mod management;
pub mod matching;
pub mod run;

pub use flow::{Flow, load_flows};
pub use run::{FlowReport, StepReport, Target, run_flow};
