//! Changes of resources inside a unit.
//!
//! The unit locks the row, checks that it still has the version that the change was computed from,
//! and writes; if another writer was faster it computes again on what it has locked, so no update is
//! lost and every request ends.

use std::sync::Arc;

use serde_json::Value;

use super::ServiceError;
use super::context::{Directory, State};
use super::membership;
use super::record::{Recorder, object};
use crate::event::name;
use crate::profile::Profile;
use crate::scim::patch::MemberStep;
use crate::scim::resource::meta::Condition;
use crate::scim::resource::{Columns, Document, convert, extract};
use crate::scim::schema::{Claim, MANAGER};
use crate::scim::{Object, ResourceType, ScimError, urn};
use crate::store::pending::Guard;
use crate::store::resource::{ResourceContent, ResourceRow};
use crate::store::{StoreError, Tx, UniqueRule};

/// Largest `extra`, in bytes of JSON; beyond it nothing unknown is kept.
const MAX_EXTRA_BYTES: usize = 64 * 1024;

/// Largest document, in bytes of JSON. A list answer holds many.
const MAX_DOCUMENT_BYTES: usize = 1024 * 1024;

/// Most values of indexed attributes: each is a row that the writer keeps.
const MAX_INDEXED_VALUES: usize = 1_000;

const DELETING: &str = "This directory is being deleted.";

/// Scope of unique group names in `resource_unique`.
pub(super) const GROUP_NAME: &str = "group.displayName";

/// Scope of unique externalIds in `resource_unique`, with the name of the resource type behind it. No
/// scope of a schema begins so: they have a colon.
pub(super) const EXTERNAL_ID: &str = "externalId.";

/// Where a change happens.
#[derive(Clone)]
pub(super) struct Site {
    pub(super) directory: Arc<Directory>,
    pub(super) resource_type: Arc<ResourceType>,
    pub(super) id: String,
    pub(super) now: i64,
    pub(super) ids: crate::clock::Ids,
    pub(super) slot: i32,
}

/// What an edit makes of a document.
pub(super) struct Edit {
    pub(super) document: Document,
    pub(super) extra: Object,
    pub(super) members: Vec<MemberStep>,
}

/// A new resource.
pub(super) struct Creation {
    pub(super) site: Site,
    pub(super) content: ResourceContent,
    pub(super) members: Vec<MemberStep>,
}

impl Creation {
    pub(super) fn run(&self, tx: &mut Tx<'_>) -> Result<ResourceRow, ServiceError> {
        let mut recorder = self.site.recorder();
        let row = self.insert(tx, &mut recorder)?;
        self.join(tx, &row, &mut recorder)?;
        Ok(row)
    }

    /// Several new resources that refer to each other: all or none. The error names the one that
    /// failed.
    pub(super) fn run_circle(
        tx: &mut Tx<'_>,
        creations: &[&Self],
    ) -> Result<Vec<ResourceRow>, (usize, ServiceError)> {
        let mut made = Vec::with_capacity(creations.len());
        for (index, creation) in creations.iter().enumerate() {
            let mut recorder = creation.site.recorder();
            let row = creation.insert(tx, &mut recorder).map_err(|error| (index, error))?;
            made.push((creation, row, recorder));
        }
        let mut rows = Vec::with_capacity(made.len());
        for (index, (creation, row, mut recorder)) in made.into_iter().enumerate() {
            creation.join(tx, &row, &mut recorder).map_err(|error| (index, error))?;
            rows.push(row);
        }
        Ok(rows)
    }

    /// The resource without its members, which need not exist yet.
    fn insert(
        &self,
        tx: &mut Tx<'_>,
        recorder: &mut Recorder<'_>,
    ) -> Result<ResourceRow, ServiceError> {
        self.site.share_directory(tx, guard(&self.members))?;
        self.site.insert(tx, &self.content, recorder)
    }

    fn join(
        &self,
        tx: &mut Tx<'_>,
        row: &ResourceRow,
        recorder: &mut Recorder<'_>,
    ) -> Result<(), ServiceError> {
        let site = &self.site;
        let rt = &site.resource_type;
        let members = membership::apply(tx, &site.directory, rt, row.key, &self.members, site.now)?;
        Ok(recorder.members(tx, name::GROUP_USER_ADDED, row, &members.added)?)
    }
}

/// Computes a change from what is stored.
pub(super) type Editor = dyn Fn(&ResourceRow) -> Result<Edit, ServiceError> + Send + Sync;

/// A change of a resource that exists.
pub(super) struct Revision {
    pub(super) site: Site,
    pub(super) condition: Option<Condition>,
    pub(super) edit: Box<Editor>,
}

impl Revision {
    /// `prepared` is the change as it was computed before the unit, if it was.
    pub(super) fn run(
        &self,
        tx: &mut Tx<'_>,
        prepared: Option<&Prepared>,
    ) -> Result<ResourceRow, ServiceError> {
        let site = &self.site;
        // A unit that has to compute the change first may turn out to look for members.
        site.share_directory(tx, prepared.map_or(Guard::Look, |p| guard(&p.members)))?;
        let row = site.lock(tx)?.ok_or_else(|| site.missing())?;
        check(self.condition.as_ref(), &row)?;
        let mut recorder = site.recorder();
        match prepared.filter(|prepared| prepared.version == row.version) {
            Some(prepared) => site.update(tx, &row, prepared, &mut recorder),
            None => {
                let prepared = Prepared::of(&row, (self.edit)(&row)?, site)?;
                site.update(tx, &row, &prepared, &mut recorder)
            }
        }
    }
}

/// The end of a resource.
pub(super) struct Deletion {
    pub(super) site: Site,
    pub(super) condition: Option<Condition>,
}

impl Deletion {
    pub(super) fn run(&self, tx: &mut Tx<'_>) -> Result<(), ServiceError> {
        let site = &self.site;
        site.share_directory(tx, Guard::Write)?;
        let row = site.get(tx)?.ok_or_else(|| site.missing())?;
        check(self.condition.as_ref(), &row)?;
        site.delete(tx, &row, self.condition.as_ref())
    }
}

/// What a unit with these steps does in a directory whose groups may wait.
fn guard(members: &[MemberStep]) -> Guard {
    if members.is_empty() { Guard::Write } else { Guard::Look }
}

/// A computed change, with the version that it was computed from.
pub(super) struct Prepared {
    version: i64,
    content: ResourceContent,
    old_columns: Columns,
    members: Vec<MemberStep>,
}

impl Prepared {
    pub(super) fn of(row: &ResourceRow, edit: Edit, site: &Site) -> Result<Self, ServiceError> {
        let old = Document::stored(object(&row.doc));
        let (resource_type, profile) = (&site.resource_type, &site.directory.profile);
        Ok(Self {
            version: row.version,
            content: content(&edit.document, &edit.extra, resource_type, profile)?,
            old_columns: columns(&old, resource_type, profile)?,
            members: edit.members,
        })
    }

    fn same_content(&self, row: &ResourceRow) -> bool {
        self.content.doc == row.doc && self.content.extra == row.extra
    }

    pub(super) fn changes_nothing(&self, row: &ResourceRow) -> bool {
        self.members.is_empty() && self.same_content(row)
    }
}

impl Site {
    pub(super) fn missing(&self) -> ServiceError {
        let id: String = self.id.chars().take(80).collect();
        ScimError::not_found(&format!("{} \"{id}\"", self.resource_type.name)).into()
    }

    pub(super) fn get(&self, tx: &mut Tx<'_>) -> Result<Option<ResourceRow>, StoreError> {
        tx.resource_get(self.directory.key, &self.resource_type.name, &self.id)
    }

    fn lock(&self, tx: &mut Tx<'_>) -> Result<Option<ResourceRow>, StoreError> {
        tx.resource_lock(self.directory.key, &self.resource_type.name, &self.id)
    }

    /// Keeps the directory from being deleted while the unit runs, and groups from missing a member
    /// that comes meanwhile.
    fn share_directory(&self, tx: &mut Tx<'_>, guard: Guard) -> Result<(), ServiceError> {
        match tx.directory_share(self.directory.key)? {
            None => Err(ScimError::new(403, DELETING).into()),
            Some(shared) if shared.state == State::Deleting.as_str() => {
                Err(ScimError::new(403, DELETING).into())
            }
            // The document was checked against schemas that are no longer the directory's.
            Some(shared)
                if shared.converting || shared.schema_version != self.directory.schema_version =>
            {
                Err(ServiceError::SchemasChange)
            }
            Some(_) => Ok(membership::guard(tx, &self.directory, guard)?),
        }
    }

    fn recorder(&self) -> Recorder<'_> {
        Recorder { directory: &self.directory, ids: self.ids.clone(), now: self.now }
    }

    fn insert(
        &self,
        tx: &mut Tx<'_>,
        content: &ResourceContent,
        recorder: &mut Recorder<'_>,
    ) -> Result<ResourceRow, ServiceError> {
        let directory_key = self.directory.key;
        let rt = &self.resource_type;
        let key = tx.resource_insert(directory_key, &rt.name, &self.id, content, self.now)?;
        claim(tx, directory_key, key, &[], &content.columns.claims)?;
        tx.attribute_keys_change(directory_key, key, &[], &content.columns.attributes)?;
        let row = ResourceRow {
            key,
            id: self.id.clone(),
            resource_type: rt.name.clone(),
            active: content.columns.active,
            doc: content.doc.clone(),
            extra: content.extra.clone(),
            version: 1,
            created: self.now,
            modified: self.now,
        };
        recorder.created(tx, &row)?;
        tx.count_add(directory_key, &rt.name, row.active, self.slot, 1)?;
        self.arrive(tx, &row, None, content, recorder)?;
        Ok(row)
    }

    /// Groups that wait for the externalId that the resource has now take it in.
    fn arrive(
        &self,
        tx: &mut Tx<'_>,
        row: &ResourceRow,
        before: Option<&str>,
        content: &ResourceContent,
        recorder: &mut Recorder<'_>,
    ) -> Result<(), ServiceError> {
        let waits = self.directory.profile.hold_unknown_members;
        let external_id = content.columns.external_id.as_deref().filter(|id| Some(*id) != before);
        let (true, Some(external_id)) = (waits, external_id) else { return Ok(()) };
        let joined = membership::arrive(tx, &self.directory, external_id, row.key)?;
        for group in &joined {
            tx.resource_touch(self.directory.key, *group, self.now)?;
        }
        let mut groups = tx.resource_rows(self.directory.key, &joined)?;
        groups.sort_unstable_by_key(|group| group.key);
        for group in groups {
            recorder.members(tx, name::GROUP_USER_ADDED, &group, &[row.key])?;
        }
        Ok(())
    }

    fn update(
        &self,
        tx: &mut Tx<'_>,
        row: &ResourceRow,
        prepared: &Prepared,
        recorder: &mut Recorder<'_>,
    ) -> Result<ResourceRow, ServiceError> {
        let (directory_key, rt) = (self.directory.key, &self.resource_type);
        let content = &prepared.content;
        // A request that waited for the lock may have come before the one it waited for.
        let now = self.now.max(row.modified);
        let rewrites = !prepared.same_content(row);
        if rewrites {
            // The row is locked and its version was compared: this cannot miss.
            let written = tx.resource_update(directory_key, row.key, row.version, content, now)?;
            if !written {
                return Err(StoreError::MissingReference.into());
            }
            let (old, new) = (&prepared.old_columns.claims, &content.columns.claims);
            claim(tx, directory_key, row.key, old, new)?;
            let (old, new) = (&prepared.old_columns.attributes, &content.columns.attributes);
            tx.attribute_keys_change(directory_key, row.key, old, new)?;
        }
        let members = membership::apply(tx, &self.directory, rt, row.key, &prepared.members, now)?;
        if !rewrites && members.is_empty() {
            return Ok(row.clone());
        }
        if !rewrites {
            tx.resource_touch(directory_key, row.key, now)?;
        }
        let new = ResourceRow {
            active: content.columns.active,
            doc: content.doc.clone(),
            extra: content.extra.clone(),
            version: row.version + 1,
            modified: now,
            ..row.clone()
        };
        recorder.updated(tx, row, &new)?;
        let external_id = prepared.old_columns.external_id.as_deref();
        self.arrive(tx, &new, external_id, content, recorder)?;
        recorder.members(tx, name::GROUP_USER_REMOVED, &new, &members.removed)?;
        recorder.members(tx, name::GROUP_USER_ADDED, &new, &members.added)?;
        if row.active != new.active {
            // In a fixed order, so that two units never wait for each other's counters.
            let mut deltas = [(row.active, -1), (new.active, 1)];
            deltas.sort_unstable();
            for (active, delta) in deltas {
                tx.count_add(directory_key, &rt.name, active, self.slot, delta)?;
            }
        }
        Ok(new)
    }

    fn delete(
        &self,
        tx: &mut Tx<'_>,
        row: &ResourceRow,
        condition: Option<&Condition>,
    ) -> Result<(), ServiceError> {
        let directory_key = self.directory.key;
        let (groups, reports) = self.lock_around(tx, row.key)?;
        let row = self.get(tx)?.ok_or_else(|| self.missing())?;
        check(condition, &row)?;
        let mut recorder = self.recorder();
        let mut group_rows = tx.resource_rows(directory_key, &groups)?;
        group_rows.sort_unstable_by_key(|group| group.key);
        if self.resource_type.is_user() {
            recorder.left(tx, &row, &group_rows)?;
        }
        recorder.deleted(tx, &row)?;
        for report in reports {
            self.forget_manager(tx, report, &mut recorder)?;
        }
        for group in &groups {
            tx.resource_touch(directory_key, *group, self.now)?;
        }
        let document = Document::stored(object(&row.doc));
        let columns = columns(&document, &self.resource_type, &self.directory.profile)?;
        tx.attribute_keys_change(directory_key, row.key, &columns.attributes, &[])?;
        tx.membership_delete_all(directory_key, row.key)?;
        tx.resource_delete(directory_key, row.key)?;
        tx.count_add(directory_key, &self.resource_type.name, row.active, self.slot, -1)?;
        Ok(())
    }

    /// Locks a resource that is to go and everything that refers to it: groups by key, then users by
    /// key, which is the order of every unit. What joined meanwhile is locked in another round.
    fn lock_around(&self, tx: &mut Tx<'_>, key: i64) -> Result<(Vec<i64>, Vec<i64>), ServiceError> {
        let directory_key = self.directory.key;
        loop {
            let groups = tx.membership_groups(directory_key, key)?;
            let reports = self.reports(tx, key)?;
            tx.membership_lock_groups(directory_key, &groups)?;
            let mut users: Vec<i64> = reports.iter().copied().chain([key]).collect();
            users.sort_unstable();
            for user in users {
                if user != key {
                    tx.membership_lock_groups(directory_key, &[user])?;
                } else if !tx.resource_lock_for_delete(directory_key, key)? {
                    return Err(self.missing());
                }
            }
            let unchanged = tx.membership_groups(directory_key, key)? == groups
                && self.reports(tx, key)? == reports;
            if unchanged {
                return Ok((groups, reports));
            }
        }
    }

    /// Keys of the other users who have this one as their manager.
    fn reports(&self, tx: &mut Tx<'_>, key: i64) -> Result<Vec<i64>, StoreError> {
        let index = self.resource_type.indexes.iter().find(|index| index.name == MANAGER);
        let Some(index) = index else { return Ok(Vec::new()) };
        let mut found = tx.attribute_holders(self.directory.key, index.path_id, &self.id)?;
        found.retain(|holder| *holder != key);
        Ok(found)
    }

    /// Takes the manager out of a user who had the one that goes.
    fn forget_manager(
        &self,
        tx: &mut Tx<'_>,
        key: i64,
        recorder: &mut Recorder<'_>,
    ) -> Result<(), ServiceError> {
        let Some(row) = tx.resource_rows(self.directory.key, &[key])?.pop() else { return Ok(()) };
        let mut document = object(&row.doc);
        if let Some(Value::Object(enterprise)) = document.get_mut(urn::ENTERPRISE_USER) {
            enterprise.shift_remove("manager");
        }
        let extra = row.extra.as_deref().map(object).unwrap_or_default();
        let (document, extra) = convert(&document, &extra, &self.resource_type);
        let edit = Edit { document, extra, members: Vec::new() };
        let site = Self { id: row.id.clone(), ..self.clone() };
        let prepared = Prepared::of(&row, edit, &site)?;
        site.update(tx, &row, &prepared, recorder)?;
        Ok(())
    }
}

pub(super) fn check(condition: Option<&Condition>, row: &ResourceRow) -> Result<(), ServiceError> {
    match condition {
        Some(condition) if !condition.holds_for(row.version) => Err(ScimError::new(
            412,
            format!(
                "The resource has version W/\"{}\", which If-Match does not name; read it again.",
                row.version
            ),
        )
        .into()),
        _ => Ok(()),
    }
}

/// The keys of a document; group names and externalIds are unique where the profile says so.
pub(super) fn columns(
    document: &Document,
    resource_type: &ResourceType,
    profile: &Profile,
) -> Result<Columns, ScimError> {
    let mut columns = extract::columns(document, resource_type)?;
    if let (true, true, Some(name)) =
        (profile.group_display_name_unique, resource_type.is_group(), &columns.display_key)
    {
        columns.claims.push(Claim {
            scope: GROUP_NAME.to_owned(),
            attribute: "displayName".to_owned(),
            key: name.clone(),
        });
    }
    let external_id = columns.external_id.as_ref().filter(|id| !id.is_empty());
    if let (true, Some(external_id)) = (profile.external_id_unique, external_id) {
        columns.claims.push(Claim {
            scope: format!("{EXTERNAL_ID}{}", resource_type.name),
            attribute: "externalId".to_owned(),
            key: external_id.clone(),
        });
    }
    Ok(columns)
}

/// Gives up the values that a resource no longer has and claims the new ones; the database decides
/// whether they are free.
pub(super) fn claim(
    tx: &mut Tx<'_>,
    directory_key: i64,
    resource_key: i64,
    old: &[Claim],
    new: &[Claim],
) -> Result<(), ServiceError> {
    for gone in old.iter().filter(|claim| !new.contains(claim)) {
        tx.unique_release(directory_key, &gone.scope, &gone.key, resource_key)?;
    }
    for claim in new.iter().filter(|claim| !old.contains(claim)) {
        match tx.unique_claim(directory_key, &claim.scope, &claim.key, resource_key) {
            Err(StoreError::Unique(UniqueRule::Scoped)) => {
                return Err(ScimError::uniqueness(format!(
                    "The attribute \"{}\" has a value that another resource of this directory has; \
                     it must be unique.",
                    claim.attribute
                ))
                .into());
            }
            claimed => claimed?,
        }
    }
    Ok(())
}

pub(super) fn content(
    document: &Document,
    extra: &Object,
    resource_type: &ResourceType,
    profile: &Profile,
) -> Result<ResourceContent, ServiceError> {
    let text = |name: &str| document.text(name).filter(|t| !t.is_empty()).map(str::to_owned);
    let mut extra = (!extra.is_empty()).then(|| Value::Object(extra.clone()).to_string());
    if extra.as_ref().is_some_and(|text| text.len() > MAX_EXTRA_BYTES) {
        extra = None;
    }
    let columns = columns(document, resource_type, profile)?;
    if columns.attributes.len().max(columns.claims.len()) > MAX_INDEXED_VALUES {
        return Err(ScimError::invalid_value(format!(
            "The resource has {} values of attributes that are indexed or unique, such as \"emails\"; \
             at most {MAX_INDEXED_VALUES} are allowed.",
            columns.attributes.len().max(columns.claims.len())
        ))
        .into());
    }
    let doc = document.to_json();
    if doc.len() > MAX_DOCUMENT_BYTES {
        return Err(ScimError::new(
            413,
            format!(
                "The resource is {} bytes large; at most {MAX_DOCUMENT_BYTES} are allowed.",
                doc.len()
            ),
        )
        .into());
    }
    Ok(ResourceContent { columns, display: text("displayName"), doc, extra })
}
