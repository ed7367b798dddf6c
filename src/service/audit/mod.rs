//! The audit log: what people and keys have done through the management interfaces, who it was, and how
//! things were before and after.
//!
//! A use case makes an [`Entry`] before its unit and writes it in the unit, so no change is without its row
//! and no row without its change:
//!
//! ```ignore
//! let audit = self.audit(access, action::TOKEN_REVOKED);
//! self.store.write("token_delete", move |tx| {
//!     …
//!     audit.write(tx, Target::in_directory(&row, &token.id, None), before, Value::Null)?;
//! })
//! ```
//!
//! What a unit only looks at, and what jobs and identity providers do, is not here: the former changes
//! nothing, the latter is in the event log and the request records.

pub mod action;
mod difference;
mod entry;
mod read;
mod retention;

pub use entry::{Entry, Target};
pub use read::{AuditPages, AuditQuery, AuditView, ExportFormat};
pub use retention::RETENTION;
