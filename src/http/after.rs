//! Work that goes on behind an answer. What is not done then, the next look or the next start does.

use std::sync::Arc;

use super::State;

/// Removes what deleted directories had.
pub(super) fn purge(state: &State) {
    let service = Arc::clone(&state.service);
    actix_web::rt::spawn(async move {
        if let Err(error) = service.purge_deleted_directories().await {
            tracing::warn!(%error, "a deleted directory is not purged yet; the next start goes on");
        }
    });
}

/// Brings users to changed policies.
pub(super) fn apply_policies(state: &State) {
    let service = Arc::clone(&state.service);
    actix_web::rt::spawn(async move {
        if let Err(error) = service.apply_policies().await {
            tracing::warn!(%error, "changed policies are not applied yet; the next look goes on");
        }
    });
}
