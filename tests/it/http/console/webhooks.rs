//! Endpoints, deliveries, and what waits.
