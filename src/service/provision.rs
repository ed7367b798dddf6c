//! Create, replace, patch and delete (RFC 7644 §3.3, §3.5, §3.6), for every resource type alike.
//!
//! What can be computed without the database is computed before the unit: rewriting, validation,
//! patching, index keys. The unit locks the row, checks that it still has the version that was
//! computed from, and writes; if another writer was faster it computes again on what it has locked,
//! so no update is lost and every request ends.

use std::sync::Arc;

use serde_json::Value;

use super::authenticate::Access;
use super::context::{Directory, State};
use super::membership;
use super::record::{Recorder, object};
use super::{Service, ServiceError};
use crate::event::name;
use crate::profile::{Profile, rewrite};
use crate::scim::patch::{self, MemberStep, members, op};
use crate::scim::resource::meta::Condition;
use crate::scim::resource::{Columns, Document, Notes, doc, extract, validate};
use crate::scim::schema::Claim;
use crate::scim::{Object, ResourceType, ScimError};
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

/// Where a change happens.
#[derive(Clone)]
struct Site {
    directory: Arc<Directory>,
    resource_type: Arc<ResourceType>,
    id: String,
    now: i64,
    ids: crate::clock::Ids,
    slot: i32,
}

/// What an edit makes of a document.
struct Edit {
    document: Document,
    extra: Object,
    members: Vec<MemberStep>,
}

impl Service {
    fn site(&self, access: &Access, resource_type: &Arc<ResourceType>, id: String) -> Site {
        Site {
            directory: Arc::clone(&access.directory),
            resource_type: Arc::clone(resource_type),
            id,
            now: self.clock.now_ms(),
            ids: self.clock.ids(),
            slot: self.clock.slot(16),
        }
    }

    /// POST: stores a new resource.
    pub async fn create(
        &self,
        access: &Access,
        resource_type: &Arc<ResourceType>,
        mut body: Object,
    ) -> Result<ResourceRow, ServiceError> {
        let profile = &access.directory.profile;
        rewrite::representation(&mut body, resource_type, profile);
        let members = members::of_representation(&body, resource_type)?;
        let mut notes = Notes::default();
        let mut attributes =
            validate::representation(&body, resource_type, profile.value_rules(), &mut notes)?;
        default_active(&mut attributes, resource_type, true);
        let site = self.site(access, resource_type, self.clock.id(&resource_type.id_prefix));
        let document = Document::canonical(attributes, &site.id, resource_type)?;
        let content = content(&document, &notes.extra, resource_type, profile)?;
        let steps: Vec<MemberStep> = members.map(MemberStep::Add).into_iter().collect();
        let created =
            self.store.write("resource_create", move |tx| site.create(tx, &content, &steps)).await;
        self.notice(created)
    }

    /// PUT: replaces the resource. Attributes that are left out are cleared, but `active` and what
    /// the client cannot have seen keep their values: nobody gains or loses access by an omission.
    pub async fn replace(
        &self,
        access: &Access,
        resource_type: &Arc<ResourceType>,
        id: &str,
        condition: Option<Condition>,
        mut body: Object,
    ) -> Result<ResourceRow, ServiceError> {
        let profile = &access.directory.profile;
        rewrite::representation(&mut body, resource_type, profile);
        let members = replaced_members(&body, resource_type)?;
        let mut notes = Notes::default();
        let attributes =
            validate::representation(&body, resource_type, profile.value_rules(), &mut notes)?;
        let (rt, id_text) = (Arc::clone(resource_type), id.to_owned());
        let edit = move |row: &ResourceRow| -> Result<Edit, ServiceError> {
            let old = object(&row.doc);
            let mut new = attributes.clone();
            doc::keep_unseen(&mut new, &old, &rt);
            default_active(&mut new, &rt, row.active);
            refuse_immutable_changes(&old, &new, &rt)?;
            Ok(Edit {
                document: Document::canonical(new, &id_text, &rt)?,
                extra: notes.extra.clone(),
                members: members.clone(),
            })
        };
        self.update(self.site(access, resource_type, id.to_owned()), condition, edit).await
    }

    /// PATCH: applies the operations, all or none.
    pub async fn patch(
        &self,
        access: &Access,
        resource_type: &Arc<ResourceType>,
        id: &str,
        condition: Option<Condition>,
        body: &Object,
    ) -> Result<ResourceRow, ServiceError> {
        let profile = Arc::clone(&access.directory.profile);
        let mut ops = op::parse(body, profile.missing_schemas())?;
        rewrite::patch(&mut ops, resource_type, &profile);
        let (ops, members) = members::split(ops, resource_type)?;
        let rt = Arc::clone(resource_type);
        let edit = move |row: &ResourceRow| -> Result<Edit, ServiceError> {
            let document = Document::stored(object(&row.doc));
            let extra = row.extra.as_deref().map(object).unwrap_or_default();
            let mut notes = Notes { extra, ..Notes::default() };
            let document = match ops.is_empty() {
                true => document,
                false => patch::apply(&document, &ops, &rt, profile.patch_rules(), &mut notes)?,
            };
            Ok(Edit { document, extra: notes.extra, members: members.clone() })
        };
        self.update(self.site(access, resource_type, id.to_owned()), condition, edit).await
    }

    async fn update(
        &self,
        site: Site,
        condition: Option<Condition>,
        edit: impl Fn(&ResourceRow) -> Result<Edit, ServiceError> + Send + 'static,
    ) -> Result<ResourceRow, ServiceError> {
        let reading = site.clone();
        let found: Result<_, StoreError> =
            self.store.get("resource_get", move |tx| reading.get(tx)).await;
        let row = found?.ok_or_else(|| site.missing())?;
        check(condition.as_ref(), &row)?;
        let prepared = Prepared::of(&row, edit(&row)?, &site)?;
        if prepared.changes_nothing(&row) {
            return Ok(row);
        }
        let updated = self
            .store
            .write("resource_update", move |tx| {
                site.share_directory(tx)?;
                let row = site.lock(tx)?.ok_or_else(|| site.missing())?;
                check(condition.as_ref(), &row)?;
                if row.version == prepared.version {
                    return site.update(tx, &row, &prepared);
                }
                let again = Prepared::of(&row, edit(&row)?, &site)?;
                site.update(tx, &row, &again)
            })
            .await;
        self.notice(updated)
    }

    /// A request that found other schemas than it was let in with makes the next one read them.
    fn notice<T>(&self, result: Result<T, ServiceError>) -> Result<T, ServiceError> {
        result.inspect_err(|error| {
            if matches!(error, ServiceError::SchemasChange) {
                self.forget_access();
            }
        })
    }

    /// DELETE: the resource, its memberships and its keys are gone at once.
    pub async fn delete(
        &self,
        access: &Access,
        resource_type: &Arc<ResourceType>,
        id: &str,
        condition: Option<Condition>,
    ) -> Result<(), ServiceError> {
        let site = self.site(access, resource_type, id.to_owned());
        let deleted = self
            .store
            .write("resource_delete", move |tx| {
                site.share_directory(tx)?;
                let row = site.get(tx)?.ok_or_else(|| site.missing())?;
                check(condition.as_ref(), &row)?;
                site.delete(tx, &row, condition.as_ref())
            })
            .await;
        self.notice(deleted)
    }
}

/// A computed change, with the version that it was computed from.
struct Prepared {
    version: i64,
    content: ResourceContent,
    old_columns: Columns,
    members: Vec<MemberStep>,
}

impl Prepared {
    fn of(row: &ResourceRow, edit: Edit, site: &Site) -> Result<Self, ServiceError> {
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

    fn changes_nothing(&self, row: &ResourceRow) -> bool {
        self.members.is_empty() && self.same_content(row)
    }
}

impl Site {
    fn missing(&self) -> ServiceError {
        let id: String = self.id.chars().take(80).collect();
        ScimError::not_found(&format!("{} \"{id}\"", self.resource_type.name)).into()
    }

    fn get(&self, tx: &mut Tx<'_>) -> Result<Option<ResourceRow>, StoreError> {
        tx.resource_get(self.directory.key, &self.resource_type.name, &self.id)
    }

    fn lock(&self, tx: &mut Tx<'_>) -> Result<Option<ResourceRow>, StoreError> {
        tx.resource_lock(self.directory.key, &self.resource_type.name, &self.id)
    }

    /// Keeps the directory from being deleted while the unit runs.
    fn share_directory(&self, tx: &mut Tx<'_>) -> Result<(), ServiceError> {
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
            Some(_) => Ok(()),
        }
    }

    fn recorder(&self) -> Recorder<'_> {
        Recorder { directory: &self.directory, ids: self.ids.clone(), now: self.now }
    }

    fn create(
        &self,
        tx: &mut Tx<'_>,
        content: &ResourceContent,
        members: &[MemberStep],
    ) -> Result<ResourceRow, ServiceError> {
        let directory_key = self.directory.key;
        self.share_directory(tx)?;
        let rt = &self.resource_type;
        let key = tx.resource_insert(directory_key, &rt.name, &self.id, content, self.now)?;
        claim(tx, directory_key, key, &[], &content.columns.claims)?;
        tx.attribute_keys_change(directory_key, key, &[], &content.columns.attributes)?;
        let members = membership::apply(tx, &self.directory, rt, key, members)?;
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
        let mut recorder = self.recorder();
        recorder.created(tx, &row)?;
        recorder.members(tx, name::GROUP_USER_ADDED, &row, &members.added)?;
        tx.count_add(directory_key, &rt.name, row.active, self.slot, 1)?;
        Ok(row)
    }

    fn update(
        &self,
        tx: &mut Tx<'_>,
        row: &ResourceRow,
        prepared: &Prepared,
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
        let members = membership::apply(tx, &self.directory, rt, row.key, &prepared.members)?;
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
        let mut recorder = self.recorder();
        recorder.updated(tx, row, &new)?;
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
        // Groups are locked before the member; if it joined another group meanwhile, again.
        let groups = loop {
            let groups = tx.membership_groups(directory_key, row.key)?;
            tx.membership_lock_groups(directory_key, &groups)?;
            if !tx.resource_lock_for_delete(directory_key, row.key)? {
                return Err(self.missing());
            }
            if tx.membership_groups(directory_key, row.key)? == groups {
                break groups;
            }
        };
        let row = self.get(tx)?.ok_or_else(|| self.missing())?;
        check(condition, &row)?;
        let mut recorder = self.recorder();
        let mut group_rows = tx.resource_rows(directory_key, &groups)?;
        group_rows.sort_unstable_by_key(|group| group.key);
        if self.resource_type.is_user() {
            recorder.left(tx, &row, &group_rows)?;
        }
        recorder.deleted(tx, &row)?;
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
}

fn check(condition: Option<&Condition>, row: &ResourceRow) -> Result<(), ServiceError> {
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

/// The keys of a document; group names are unique where the profile says so.
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

fn content(
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
    let display = text("displayName").or_else(|| text("userName"));
    Ok(ResourceContent { columns, display, doc, extra })
}

/// A PUT of a group sets exactly the members that it lists; one that lists none empties the group.
fn replaced_members(
    body: &Object,
    resource_type: &ResourceType,
) -> Result<Vec<MemberStep>, ScimError> {
    if members::members_attribute(resource_type).is_none() {
        return Ok(Vec::new());
    }
    let ids = members::of_representation(body, resource_type)?.unwrap_or_default();
    Ok(vec![MemberStep::Set(ids)])
}

/// `active` is always part of a user: a filter must find what an answer shows.
fn default_active(attributes: &mut Object, resource_type: &ResourceType, active: bool) {
    if resource_type.is_user() {
        attributes.entry("active").or_insert_with(|| active.into());
    }
}

/// An immutable attribute that has a value keeps it; leaving it out of a PUT is no change.
fn refuse_immutable_changes(
    old: &Object,
    new: &Object,
    resource_type: &ResourceType,
) -> Result<(), ScimError> {
    match doc::changed_immutable(old, new, resource_type) {
        Some(path) => Err(ScimError::mutability(format!(
            "The attribute \"{path}\" is immutable and already has another value."
        ))),
        None => Ok(()),
    }
}
