//! The brake for push: a directory that takes away more than it should within an hour.
//!
//! SCIM is answered and stored as always. What a unit is about to take away is counted ([`count`]); with
//! more than the limits an alarm is raised, and in mode `hold` the events of the directory wait from then
//! on, in their order, the later ones behind them. An operator has them told ([`release`]) or has what was
//! taken away put back ([`undo`]). Until somebody decides nothing happens by itself.

mod account;
mod count;
mod fold;
mod release;
mod restore;
mod settings;
mod undo;
mod view;

pub use settings::{BrakeMode, BrakeSettings, Limit, Limits};
pub use undo::UndoRequest;
pub use view::{BrakeChange, BrakeView};

pub(super) use count::{excess, window};
pub(super) use release::let_go;
