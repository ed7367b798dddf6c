//! The store: what commits, what does not, and in which order.

mod batch;
mod check;
mod directory_lock;
mod event_order;
mod housekeep;
mod keys;
mod migrations;
mod packed;
mod plan;
mod prepared;
mod sequencer;
mod statistics;
