//! Use cases under concurrency, and their events.

mod asynchronous;
mod bulk;
mod concurrent;
mod cost;
mod create_baseline;
mod event_readers;
mod events;
mod history;
mod pending_model;
mod pending_race;
mod policy_cost;
mod policy_model;
mod policy_race;
mod policy_work;
mod role_race;
mod round_trips;
