//! Takes access away from the users of a directory, a bounded part in each unit.

use std::sync::Arc;

use super::run::{Part, ROWS};
use super::view::failing;
use crate::event::Reason;
use crate::scim::resource::convert;
use crate::service::ServiceError;
use crate::service::brake::BrakeMode;
use crate::service::exchange::{Listed, Trace};
use crate::service::identity::Scope;
use crate::service::policy::InForce;
use crate::service::record::Recorder;
use crate::service::seen::object;
use crate::service::unit::{Edit, Prepared, Site};
use crate::store::Tx;
use crate::store::directory::Shared;
use crate::store::disconnection::DisconnectionRow;
use crate::store::resource::ResourceRow;

/// Deactivates the next users, each as a PATCH of `active` would; `None` when nobody is left.
pub(super) fn step(
    tx: &mut Tx<'_>,
    part: &Part,
    shared: &Shared,
    mut row: DisconnectionRow,
) -> Result<Option<DisconnectionRow>, ServiceError> {
    let directory = &part.directory;
    let users = tx.app_user_chunk(directory.key, row.reached, ROWS)?;
    let Some(last) = users.last().map(|user| user.key) else { return Ok(None) };
    let mut in_force = InForce::new(&shared.settings, shared.policy_cursor);
    // It was decided that everybody goes.
    in_force.policies.brake.mode = BrakeMode::Off;
    let mut recorder = Recorder {
        directory,
        in_force,
        identities: Scope::enter(tx, directory)?,
        ids: part.ids.clone(),
        now: part.now,
        event_ids: Listed::default(),
        has_intents: shared.has_intents,
        removal: Some(Reason::DirectoryDeleted),
    };
    let active: Vec<i64> = users.iter().filter(|user| user.active).map(|user| user.key).collect();
    for user in tx.resource_rows(directory.key, &active)? {
        // One user who cannot be stored any more keeps nobody else's access; the deletion ends theirs.
        if let Err(message) = deactivate(tx, part, &user, &mut recorder)? {
            row = failing(row, &user, message);
        }
    }
    row.reached = last;
    row.done = row.done.saturating_add(i64::try_from(users.len()).unwrap_or(i64::MAX));
    Ok(Some(row))
}

/// The inner error is why this user cannot be stored.
fn deactivate(
    tx: &mut Tx<'_>,
    part: &Part,
    row: &ResourceRow,
    recorder: &mut Recorder<'_>,
) -> Result<Result<(), String>, ServiceError> {
    let directory = &part.directory;
    let Some(resource_type) = directory.registry.by_name(&row.resource_type) else {
        return Ok(Err("The directory has no such resource type any more.".to_owned()));
    };
    let site = Site {
        directory: Arc::clone(directory),
        resource_type: Arc::clone(resource_type),
        id: row.id.clone(),
        now: recorder.now,
        ids: recorder.ids.clone(),
        trace: Trace::off(),
        members_at_once: part.members_at_once,
        removal: recorder.removal,
    };
    let mut document = object(&row.doc);
    document.insert("active".to_owned(), false.into());
    let extra = row.extra.as_deref().map(object).unwrap_or_default();
    let (document, extra) = convert(&document, &extra, resource_type);
    let edit = Edit { document, extra, members: Vec::new() };
    let prepared = match Prepared::whole(row, edit, &site) {
        Err(ServiceError::Scim(error)) => return Ok(Err(error.detail)),
        prepared => prepared?,
    };
    let groups = tx.membership_groups(directory.key, row.key)?;
    site.update(tx, row, &prepared, Some(&groups), recorder)?;
    Ok(Ok(()))
}
