//! A change of a resource as it was computed, often before its unit.

use super::ServiceError;
use super::content::{columns, content, mapped};
use super::membership::Plan;
use super::seen::object;
use super::unit::{Edit, Site};
use crate::scim::patch::MemberStep;
use crate::scim::resource::{Columns, Document};
use crate::store::resource::{ResourceContent, ResourceRow};

/// A computed change, with the version that it was computed from.
pub(super) struct Prepared {
    /// The version that the change was computed from.
    pub(super) version: i64,
    pub(super) content: ResourceContent,
    pub(super) old_columns: Columns,
    pub(super) members: Vec<MemberStep>,
    /// Who joins and leaves, if that was worked out before the unit.
    pub(super) plan: Option<Plan>,
}

impl Prepared {
    /// Without what the maps make of the content: who writes it asks for [`Prepared::mapped`].
    pub(super) fn of(row: &ResourceRow, edit: Edit, site: &Site) -> Result<Self, ServiceError> {
        let old = Document::stored(object(&row.doc));
        let (resource_type, profile) = (&site.resource_type, &site.directory.profile);
        Ok(Self {
            version: row.version,
            content: content(&edit.document, &edit.extra, resource_type, &site.directory)?,
            old_columns: columns(&old, resource_type, profile)?,
            members: edit.members,
            plan: None,
        })
    }

    pub(super) fn mapped(mut self, site: &Site) -> Result<Self, ServiceError> {
        self.content.mapped = mapped(&self.content, &site.resource_type, &site.directory)?;
        Ok(self)
    }

    pub(super) fn whole(row: &ResourceRow, edit: Edit, site: &Site) -> Result<Self, ServiceError> {
        let prepared = Self::of(row, edit, site)?;
        match prepared.same_content(row) {
            true => Ok(prepared),
            false => prepared.mapped(site),
        }
    }

    pub(super) fn same_content(&self, row: &ResourceRow) -> bool {
        self.content.doc == row.doc && self.content.extra == row.extra
    }

    /// Whether the filter keeps the user from the app then. Where nobody has asked it, or it fails, that
    /// stays as it is.
    pub(super) fn excludes(&self, row: &ResourceRow) -> bool {
        self.content.mapped.excluded.unwrap_or(row.excluded)
    }

    pub(super) fn changes_nothing(&self, row: &ResourceRow) -> bool {
        self.members.is_empty() && self.same_content(row)
    }
}
