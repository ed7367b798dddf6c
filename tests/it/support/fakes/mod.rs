//! Vendors' APIs as they answer, each proved by the vendor's own client (tests/peers).

pub mod google;
pub mod graph;
mod graph_delta;
mod graph_token;
pub mod okta;
mod okta_filter;
