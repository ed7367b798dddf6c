//! One row of the audit log: made before the unit of the change, written in it.

use serde_json::Value;

use super::difference::reduce;
use crate::service::{ApiAccess, Service};
use crate::store::audit::AuditRow;
use crate::store::directory::DirectoryRow;
use crate::store::{StoreError, Tx};

/// Who does what, and when. Time and id are taken here: a unit may run twice.
#[derive(Clone, Debug)]
pub struct Entry {
    id: String,
    at: i64,
    actor_type: &'static str,
    actor_id: String,
    actor_name: Option<String>,
    action: &'static str,
}

/// What it is done to. Its type is the first word of the action.
#[derive(Clone, Copy, Debug)]
pub struct Target<'t> {
    organization_id: Option<&'t str>,
    directory_id: Option<&'t str>,
    id: &'t str,
    name: Option<&'t str>,
}

impl<'t> Target<'t> {
    /// The directory itself, or what it has one of.
    pub fn directory(row: &'t DirectoryRow) -> Self {
        Self::in_directory(row, &row.id, Some(&row.name))
    }

    /// Something in a directory.
    pub fn in_directory(row: &'t DirectoryRow, id: &'t str, name: Option<&'t str>) -> Self {
        let (organization_id, directory_id) = (Some(&*row.organization_id), Some(&*row.id));
        Self { organization_id, directory_id, id, name }
    }

    /// Something of an organization, or the organization itself.
    pub fn of_organization(organization: &'t str, id: &'t str, name: Option<&'t str>) -> Self {
        Self { organization_id: Some(organization), directory_id: None, id, name }
    }

    /// Something of the whole server.
    pub fn of_server(id: &'t str, name: Option<&'t str>) -> Self {
        Self { organization_id: None, directory_id: None, id, name }
    }

    /// Something that serves the organizations of a scope, whose ids have commas between them; all of them
    /// where it is empty. A row belongs to one organization or to the server.
    pub fn serving(scope: &'t str, id: &'t str, name: Option<&'t str>) -> Self {
        match scope.is_empty() || scope.contains(',') {
            true => Self::of_server(id, name),
            false => Self::of_organization(scope, id, name),
        }
    }
}

impl Service {
    /// Begins a row: what the holder of that access does now.
    pub(in crate::service) fn audit(&self, access: &ApiAccess, action: &'static str) -> Entry {
        Entry { actor_name: access.name.clone(), ..self.audit_by(&access.key_id, action) }
    }

    /// The same for whoever has that id.
    pub(in crate::service) fn audit_by(&self, actor: &str, action: &'static str) -> Entry {
        Entry {
            id: self.clock.id("audit"),
            at: self.clock.now_ms(),
            actor_type: actor_type(actor),
            actor_id: actor.to_owned(),
            actor_name: None,
            action,
        }
    }
}

/// The kind of actor that an id belongs to.
fn actor_type(id: &str) -> &'static str {
    match id.rsplit_once('_').map(|(prefix, _)| prefix) {
        Some("api_key") => "api_key",
        Some("admin") => "administrator",
        Some("portal_link") => "portal_link",
        // The key of the configuration, the one that commands on this machine have, the first start.
        _ => "operator",
    }
}

impl Entry {
    /// The same with what people call the actor.
    pub fn named(self, name: &str) -> Self {
        Self { actor_name: Some(name.to_owned()), ..self }
    }

    /// The same by somebody who is known only in the unit.
    pub fn by(&self, actor: &str) -> Self {
        let (actor_type, actor_id) = (actor_type(actor), actor.to_owned());
        Self { actor_type, actor_id, actor_name: None, ..self.clone() }
    }

    /// Writes the row. `before` and `after` are objects as the management API shows them, null where there
    /// is nothing; of both what differs is kept, without secrets.
    pub fn write(
        &self,
        tx: &mut Tx<'_>,
        target: Target<'_>,
        mut before: Value,
        mut after: Value,
    ) -> Result<(), StoreError> {
        reduce(&mut before, &mut after);
        let text = |value: Value| (!value.is_null()).then(|| value.to_string());
        tx.audit_insert(&AuditRow {
            id: self.id.clone(),
            at: self.at,
            actor_type: self.actor_type.to_owned(),
            actor_id: self.actor_id.clone(),
            actor_name: self.actor_name.clone(),
            action: self.action.to_owned(),
            organization_id: target.organization_id.map(str::to_owned),
            directory_id: target.directory_id.map(str::to_owned),
            target_id: target.id.to_owned(),
            target_name: target.name.map(str::to_owned),
            before: text(before),
            after: text(after),
        })
    }
}
