//! Identities catch up with the users of a directory when its events have waited.
//!
//! An identity follows what the app was told of its accounts. So the units of a directory that holds only
//! note the users whose identities would change ([`Recorder`](crate::service::record::Recorder)); when
//! everything is told or undone, their accounts become what the users are by then. Of a user who is back
//! as before the identity hears nothing, and stays the same person.

use crate::service::context::Directory;
use crate::service::identity::{self, Facts};
use crate::service::lifecycle::departed_row;
use crate::service::record::{Recorder, app_view};
use crate::store::resource::ResourceRow;
use crate::store::{StoreError, Tx};

/// Users of whom one unit tells something.
const USERS: i64 = 100;

/// Brings the next identities to their accounts; false when none are left. The unit has the directory for
/// itself.
pub(super) fn follow(tx: &mut Tx<'_>, recorder: &mut Recorder<'_>) -> Result<bool, StoreError> {
    let directory = recorder.directory;
    let users = tx.brake_accounts(directory.key, USERS)?;
    let Some(last) = users.last() else { return Ok(false) };
    if let Some(mut ledger) = recorder.ledger() {
        for id in &users {
            match shown(tx, directory, id)?.and_then(|row| app_view(directory, &row)) {
                Some(view) => {
                    let facts = Facts::of(&view);
                    identity::account_seen(tx, &mut ledger, &directory.id, id, &facts)?;
                }
                None => identity::account_gone(tx, &mut ledger, id)?,
            }
        }
    }
    tx.brake_accounts_done(directory.key, last)?;
    Ok(true)
}

/// The user as the app knows it; also who is hidden, and who has departed and is kept for the app.
fn shown(
    tx: &mut Tx<'_>,
    directory: &Directory,
    id: &str,
) -> Result<Option<ResourceRow>, StoreError> {
    match tx.resource_get(directory.key, "User", id)? {
        Some(row) => Ok(Some(row)),
        None => Ok(tx.departed_get(directory.key, id)?.map(departed_row)),
    }
}
