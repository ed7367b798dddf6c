//! Puts back what was noted when it was taken away.

use std::sync::Arc;

use serde_json::Value;

use crate::event::name;
use crate::scim::resource::{Document, convert};
use crate::scim::{Object, ResourceType, ScimError, urn};
use crate::service::content::{claim, content, mapped};
use crate::service::context::Directory;
use crate::service::exchange::Trace;
use crate::service::mapping::follow;
use crate::service::record::Recorder;
use crate::service::seen::object;
use crate::service::unit::{Edit, Prepared, Site};
use crate::service::{ServiceError, lifecycle};
use crate::store::brake_note::{Lost, LostMember, Membership, NoteRow};
use crate::store::resource::ResourceRow;
use crate::store::{StoreError, Tx};

/// Puts things back in a directory that the unit has for itself.
pub(super) struct Restorer<'d> {
    pub(super) directory: &'d Arc<Directory>,
    pub(super) now: i64,
    pub(super) members_at_once: usize,
}

impl Restorer<'_> {
    /// Puts some resources back that have lost this; false when there are none. What cannot be put back is
    /// noted with the reason.
    pub(super) fn resources(
        &self,
        tx: &mut Tx<'_>,
        recorder: &mut Recorder<'_>,
        lost: Lost,
        limit: i64,
    ) -> Result<bool, ServiceError> {
        let key = self.directory.key;
        let notes = tx.brake_notes(key, lost, limit)?;
        for note in &notes {
            let before = recorder.event_ids.clone();
            let done = tx.part(|tx| match lost {
                Lost::Deleted => self.resource(tx, recorder, note),
                Lost::Inactive => self.active(tx, recorder, note),
                Lost::Manager => self.manager(tx, recorder, note),
            })?;
            match done {
                Ok(()) => tx.brake_note_done(key, lost, &note.id)?,
                Err(error) => {
                    recorder.event_ids = before;
                    let why = error.to_scim().detail;
                    tracing::warn!(id = note.id, error = why, "a resource cannot be put back");
                    tx.brake_note_failed(key, lost, &note.id, &why)?;
                }
            }
        }
        Ok(!notes.is_empty())
    }

    fn site(&self, resource_type: &Arc<ResourceType>, id: &str, recorder: &Recorder<'_>) -> Site {
        Site {
            directory: Arc::clone(self.directory),
            resource_type: Arc::clone(resource_type),
            id: id.to_owned(),
            now: self.now,
            ids: recorder.ids.clone(),
            trace: Trace::off(),
            members_at_once: self.members_at_once,
            removal: None,
        }
    }

    fn type_of(&self, name: &str) -> Result<&Arc<ResourceType>, ScimError> {
        let found = self.directory.registry.by_name(name);
        found.ok_or_else(|| {
            ScimError::new(409, format!("The directory has no resource type \"{name}\" any more."))
        })
    }

    /// The resource as it was, under its id.
    fn resource(
        &self,
        tx: &mut Tx<'_>,
        recorder: &mut Recorder<'_>,
        note: &NoteRow,
    ) -> Result<(), ServiceError> {
        let key = self.directory.key;
        let resource_type = self.type_of(&note.resource_type)?;
        let (document, extra) = self.noted(tx, note, resource_type)?;
        let mut content = content(&document, &extra, resource_type, self.directory)?;
        // What follows from groups comes with the memberships.
        content.mapped = mapped(&content, resource_type, self.directory)?;
        let policies = &recorder.in_force.policies;
        let (active, suspended) = (content.columns.active, note.suspended);
        let excluded = self.directory.excludes_new(resource_type, &content.mapped);
        let state = match suspended {
            true => policies.state(active, true, excluded),
            false => self.directory.state_of_new(policies, resource_type, active, excluded),
        };
        let row_key = tx.resource_restore(key, note, &content, state, self.now)?;
        if excluded {
            tx.user_exclude(key, row_key)?;
        }
        claim(tx, key, row_key, &[], &content.columns.claims)?;
        tx.attribute_keys_change(key, row_key, &[], &content.columns.attributes)?;
        tx.count_add(key, &resource_type.name, content.columns.active, 1)?;
        let kept = match resource_type.is_user() {
            true => tx.departed_get(key, &note.id)?.map(lifecycle::departed_row),
            false => None,
        };
        if kept.is_some() {
            tx.departed_return(key, &note.id)?;
        }
        // Somebody else may have had the name meanwhile, and departed with it.
        if let Some(name) = &content.columns.user_name_key {
            lifecycle::take_name(tx, recorder, name)?;
        }
        let row = ResourceRow {
            created: note.created,
            version: note.version.saturating_add(1),
            suspended: note.suspended,
            groupless_since: note.groupless_since,
            ..self.site(resource_type, &note.id, recorder).new_row(row_key, &content, state)
        };
        match (row.app_state.is_visible(), kept) {
            (true, None) => recorder.created(tx, &[(&row, None)])?,
            // The app goes on seeing it; the fold compares with what it was told before.
            (true, Some(kept)) => recorder.told_as(tx, name::USER_UPDATED, &kept, &row)?,
            (false, Some(kept)) => recorder.deleted(tx, &kept, &row, None)?,
            (false, None) => {}
        }
        Ok(())
    }

    /// The document as it was noted, but for an `active` that came after the hold had begun.
    fn noted(
        &self,
        tx: &mut Tx<'_>,
        note: &NoteRow,
        resource_type: &ResourceType,
    ) -> Result<(Document, Object), StoreError> {
        let mut document = object(&note.doc);
        if tx.brake_was_given(self.directory.key, Lost::Inactive, &note.id)? {
            document.insert("active".to_owned(), false.into());
        }
        let extra = note.extra.as_deref().map(object).unwrap_or_default();
        Ok(convert(&document, &extra, resource_type))
    }

    /// `active` of a user, unless the user has it again or is gone.
    fn active(
        &self,
        tx: &mut Tx<'_>,
        recorder: &mut Recorder<'_>,
        note: &NoteRow,
    ) -> Result<(), ServiceError> {
        self.edit(tx, recorder, note, |row, document| {
            if !row.active {
                document.insert("active".to_owned(), true.into());
            }
        })
    }

    /// The manager of a user who has none.
    fn manager(
        &self,
        tx: &mut Tx<'_>,
        recorder: &mut Recorder<'_>,
        note: &NoteRow,
    ) -> Result<(), ServiceError> {
        let old = object(&note.doc);
        let lost = old.get(urn::ENTERPRISE_USER).and_then(|enterprise| enterprise.get("manager"));
        let Some(manager) = lost.cloned() else { return Ok(()) };
        let id = manager.get("value").and_then(Value::as_str).unwrap_or_default();
        if tx.resource_get(self.directory.key, "User", id)?.is_none() {
            return Ok(());
        }
        self.edit(tx, recorder, note, |_, document| {
            let enterprise = document
                .entry(urn::ENTERPRISE_USER.to_owned())
                .or_insert_with(|| Value::Object(Object::new()));
            if let Some(members) = enterprise.as_object_mut() {
                members.entry("manager".to_owned()).or_insert(manager);
            }
        })
    }

    /// Changes the document of a resource that is there, as a request would.
    fn edit(
        &self,
        tx: &mut Tx<'_>,
        recorder: &mut Recorder<'_>,
        note: &NoteRow,
        change: impl FnOnce(&ResourceRow, &mut Object),
    ) -> Result<(), ServiceError> {
        let resource_type = self.type_of(&note.resource_type)?;
        let site = self.site(resource_type, &note.id, recorder);
        let Some(row) = site.get(tx)? else { return Ok(()) };
        let mut document = object(&row.doc);
        change(&row, &mut document);
        let extra = row.extra.as_deref().map(object).unwrap_or_default();
        let (document, extra) = convert(&document, &extra, resource_type);
        let edit = Edit { document, extra, members: Vec::new() };
        let prepared = Prepared::whole(&row, edit, &site)?;
        if prepared.changes_nothing(&row) {
            return Ok(());
        }
        let groups = tx.membership_groups(self.directory.key, row.key)?;
        site.update(tx, &row, &prepared, Some(&groups), recorder)?;
        Ok(())
    }

    /// Puts some memberships back, of one group; false when there are none. Those of what is gone stay
    /// away.
    pub(super) fn members(
        &self,
        tx: &mut Tx<'_>,
        recorder: &mut Recorder<'_>,
        limit: i64,
    ) -> Result<bool, ServiceError> {
        let key = self.directory.key;
        let lost = tx.brake_members(key, limit)?;
        let Some(first) = lost.first() else { return Ok(false) };
        let same: Vec<&LostMember> =
            lost.iter().take_while(|member| member.group_id == first.group_id).collect();
        if let Some(group) = tx.resource_get(key, "Group", &first.group_id)? {
            let (mut quiet, mut told) = (Vec::new(), Vec::new());
            for member in &same {
                match member.silent && !ended_aloud(tx, key, member)? {
                    true => quiet.push(member.member_id.clone()),
                    false => told.push(member.member_id.clone()),
                }
            }
            self.join(tx, recorder, &group, &quiet, Membership::EndedSilently)?;
            self.join(tx, recorder, &group, &told, Membership::Ended)?;
        }
        let until = same.last().map_or("", |member| member.member_id.as_str());
        tx.brake_members_done(key, &first.group_id, until)?;
        Ok(true)
    }

    fn join(
        &self,
        tx: &mut Tx<'_>,
        recorder: &mut Recorder<'_>,
        group: &ResourceRow,
        ids: &[String],
        ended: Membership,
    ) -> Result<(), ServiceError> {
        let key = self.directory.key;
        let found = tx.member_candidates(key, ids)?;
        let keys: Vec<i64> = found.iter().map(|candidate| candidate.key).collect();
        let added = tx.member_add(key, group.key, &keys)?;
        if added.is_empty() {
            return Ok(());
        }
        tx.resource_touch(key, group.key, self.now)?;
        match ended {
            // That they ended was not told either.
            Membership::EndedSilently => {
                let followed = follow::lock(tx, recorder, group, &added)?;
                lifecycle::rejoined(tx, recorder, &added)?;
                follow::moved(tx, recorder, group, followed)?;
            }
            _ => drop(lifecycle::moved(tx, recorder, group, &[], &added)?),
        }
        Ok(())
    }
}

/// Whether the end of a membership that ended with its group is told after all: the user went first.
fn ended_aloud(tx: &mut Tx<'_>, key: i64, member: &LostMember) -> Result<bool, StoreError> {
    let rows = tx.held_of(key, (&member.group_id, &member.member_id))?;
    Ok(rows.last().is_some_and(|row| row.event == name::GROUP_USER_REMOVED))
}
