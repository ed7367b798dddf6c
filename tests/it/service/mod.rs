//! Use cases under concurrency, and their events.

mod concurrent;
mod cost;
mod events;
