//! The store: what commits, what does not, and in which order.

mod batch;
mod directory_lock;
mod event_order;
mod migrations;
mod plan;
mod prepared;
