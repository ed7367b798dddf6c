//! Use cases under concurrency, and their events.

mod asynchronous;
mod concurrent;
mod cost;
mod events;
mod pending_model;
mod pending_race;
