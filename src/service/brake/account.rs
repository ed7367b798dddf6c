//! Identities catch up with the users of a directory when its events have waited.
//!
//! An identity follows what the app was told of its accounts. So the units of a directory that holds only
//! note the users whose identities would change ([`Recorder`](crate::service::record::Recorder)); when
//! everything is told or undone, their accounts become what the users are by then. Of a user who is back
//! as before the identity hears nothing, and stays the same person.

use crate::service::context::Directory;
use crate::service::identity::{self, Facts, Ledger};
use crate::service::lifecycle::departed_row;
use crate::service::record::Recorder;
use crate::service::seen::app_view;
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
            catch_up(tx, directory, &mut ledger, id)?;
        }
    }
    tx.brake_accounts_done(directory.key, last)?;
    Ok(true)
}

/// The account becomes what the user is by now: seen by the app, hidden, departed and kept for the app, or
/// gone.
fn catch_up(
    tx: &mut Tx<'_>,
    directory: &Directory,
    ledger: &mut Ledger<'_>,
    id: &str,
) -> Result<(), StoreError> {
    let facts = |row: &ResourceRow| app_view(directory, row).map(|view| Facts::of(&view));
    if let Some(row) = tx.resource_get(directory.key, "User", id)? {
        return match facts(&row) {
            Some(facts) if row.app_state.is_visible() => {
                identity::account_seen(tx, ledger, &directory.id, id, &facts)
            }
            Some(facts) => identity::account_changed(tx, ledger, id, &facts).map(drop),
            None => identity::account_gone(tx, ledger, id),
        };
    }
    let departed = tx.departed_get(directory.key, id)?.map(departed_row);
    match departed.as_ref().and_then(facts) {
        Some(facts) => identity::account_seen(tx, ledger, &directory.id, id, &facts.departed()),
        None => identity::account_gone(tx, ledger, id),
    }
}
