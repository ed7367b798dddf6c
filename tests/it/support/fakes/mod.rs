//! Vendors' APIs as they answer, each proved by the vendor's own client (tests/peers).

pub mod google;
