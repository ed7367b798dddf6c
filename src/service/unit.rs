//! Changes of resources inside a unit.
//!
//! The unit locks the row, checks that it still has the version that the change was computed from,
//! and writes; if another writer was faster it computes again on what it has locked, so no update is
//! lost and every request ends.

use std::sync::Arc;

use serde_json::Value;

use super::ServiceError;
use super::context::{Directory, State};
use super::exchange::{Changed, Listed, Trace};
use super::policy::{Fate, InForce, Revive};
use super::record::{Recorder, Told, object};
use super::{lifecycle, membership};
use crate::profile::Profile;
use crate::scim::patch::MemberStep;
use crate::scim::resource::meta::Condition;
use crate::scim::resource::{Columns, Document, extract};
use crate::scim::schema::Claim;
use crate::scim::{Object, ResourceType, ScimError};
use crate::store::pending::Guard;
use crate::store::resource::{AppState, ResourceContent, ResourceRow};
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
    pub(super) trace: Trace,
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
    pub(super) told: Told,
    /// Makes of an inactive user who has the name what a PUT would make, where the directory brings
    /// such users back.
    pub(super) revive: Option<Arc<Editor>>,
}

impl Creation {
    pub(super) fn run(&self, tx: &mut Tx<'_>) -> Result<ResourceRow, ServiceError> {
        let mut recorder = self.site.open(tx, guard(&self.members))?;
        if let Some(row) = self.revived(tx, &mut recorder)? {
            return Ok(row);
        }
        let row = self.site.insert(tx, &self.content, &self.told, &mut recorder)?;
        self.join(tx, &row, &mut recorder)?;
        Ok(row)
    }

    /// The inactive user with that name and that externalId, brought back. Anybody else keeps the
    /// name: a namesake must never inherit a leaver's access.
    fn revived(
        &self,
        tx: &mut Tx<'_>,
        recorder: &mut Recorder<'_>,
    ) -> Result<Option<ResourceRow>, ServiceError> {
        let wanted = recorder.in_force.policies.revive_on_create == Revive::SameExternalId;
        let name = self.content.columns.user_name_key.as_deref();
        let (true, Some(edit), Some(name)) = (wanted, &self.revive, name) else { return Ok(None) };
        let Some(holder) = tx.user_by_name(self.site.directory.key, name)? else {
            return Ok(None);
        };
        let site = Site { id: holder.id, ..self.site.clone() };
        // By the policies that are stored now: a suspension may be left of those before.
        let (policies, edit) = (recorder.in_force.policies, Arc::clone(edit));
        let edit = move |row: &ResourceRow| match policies.state(row.active, row.suspended) {
            AppState::Active => Err(StoreError::Unique(UniqueRule::UserName).into()),
            AppState::Inactive | AppState::Hidden => edit(row),
        };
        let revision = Revision { site, condition: None, edit: Arc::new(edit) };
        revision.apply(tx, None, recorder)
    }

    /// Several new resources that refer to each other: all or none. The error names the one that
    /// failed.
    pub(super) fn run_circle(
        tx: &mut Tx<'_>,
        creations: &[&Self],
    ) -> Result<Vec<ResourceRow>, (usize, ServiceError)> {
        let mut made = Vec::with_capacity(creations.len());
        for (index, creation) in creations.iter().enumerate() {
            let open = creation.site.open(tx, guard(&creation.members));
            let mut recorder = open.map_err(|error| (index, error))?;
            let row = creation.site.insert(tx, &creation.content, &creation.told, &mut recorder);
            let row = row.map_err(|error| (index, error))?;
            made.push((creation, row, recorder));
        }
        let mut rows = Vec::with_capacity(made.len());
        for (index, (creation, row, mut recorder)) in made.into_iter().enumerate() {
            creation.join(tx, &row, &mut recorder).map_err(|error| (index, error))?;
            rows.push(row);
        }
        Ok(rows)
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
        let joined = lifecycle::joined(tx, recorder, row, &members.added)?;
        site.trace.changed(|| Changed {
            after: Some(row.doc.clone()),
            joined,
            waiting: members.waiting,
            event_ids: recorder.event_ids.clone(),
            ..site.unchanged("members")
        });
        Ok(())
    }
}

/// A locked resource, and the groups that have it if they were locked before it.
type Locked = (ResourceRow, Option<Vec<i64>>);

/// Computes a change from what is stored.
pub(super) type Editor = dyn Fn(&ResourceRow) -> Result<Edit, ServiceError> + Send + Sync;

/// A change of a resource that exists.
pub(super) struct Revision {
    pub(super) site: Site,
    pub(super) condition: Option<Condition>,
    pub(super) edit: Arc<Editor>,
}

impl Revision {
    /// `prepared` is the change as it was computed before the unit, if it was.
    pub(super) fn run(
        &self,
        tx: &mut Tx<'_>,
        prepared: Option<&Prepared>,
    ) -> Result<ResourceRow, ServiceError> {
        // A unit that has to compute the change first may turn out to look for members.
        let guard = prepared.map_or(Guard::Look, |prepared| guard(&prepared.members));
        let mut recorder = self.site.open(tx, guard)?;
        self.apply(tx, prepared, &mut recorder)?.ok_or_else(|| self.site.missing())
    }

    /// `None` when there is no such resource.
    fn apply(
        &self,
        tx: &mut Tx<'_>,
        prepared: Option<&Prepared>,
        recorder: &mut Recorder<'_>,
    ) -> Result<Option<ResourceRow>, ServiceError> {
        let site = &self.site;
        let Some((row, mut groups)) = self.lock(tx, prepared, recorder)? else { return Ok(None) };
        check(self.condition.as_ref(), &row)?;
        let computed;
        let prepared = match prepared.filter(|prepared| prepared.version == row.version) {
            Some(prepared) => prepared,
            None => {
                computed = Prepared::of(&row, (self.edit)(&row)?, site)?;
                &computed
            }
        };
        if groups.is_none() && site.moves_memberships(&row, prepared, recorder) {
            // Another unit was faster by a moment and made this change one of memberships.
            groups = site.lock_with_groups(tx, row.key)?;
        }
        site.update(tx, &row, prepared, groups.as_deref(), recorder).map(Some)
    }

    /// Locks the resource; for a user who comes or goes for the app the groups first.
    fn lock(
        &self,
        tx: &mut Tx<'_>,
        prepared: Option<&Prepared>,
        recorder: &Recorder<'_>,
    ) -> Result<Option<Locked>, ServiceError> {
        let site = &self.site;
        if site.resource_type.is_user() && recorder.in_force.may_move_memberships() {
            let Some(row) = site.get(tx)? else { return Ok(None) };
            check(self.condition.as_ref(), &row)?;
            let moves = match prepared.filter(|prepared| prepared.version == row.version) {
                Some(prepared) => site.moves_memberships(&row, prepared, recorder),
                None => {
                    let prepared = Prepared::of(&row, (self.edit)(&row)?, site)?;
                    site.moves_memberships(&row, &prepared, recorder)
                }
            };
            if moves {
                let Some(groups) = site.lock_with_groups(tx, row.key)? else { return Ok(None) };
                return Ok(site.get(tx)?.map(|row| (row, Some(groups))));
            }
        }
        Ok(site.lock(tx)?.map(|row| (row, None)))
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
    /// that comes meanwhile. The policies are those that are stored now.
    pub(super) fn open(&self, tx: &mut Tx<'_>, guard: Guard) -> Result<Recorder<'_>, ServiceError> {
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
            Some(shared) => {
                membership::guard(tx, &self.directory, guard)?;
                Ok(Recorder {
                    directory: &self.directory,
                    in_force: InForce::new(&shared.settings, shared.policy_cursor),
                    ids: self.ids.clone(),
                    now: self.now,
                    event_ids: Listed::default(),
                })
            }
        }
    }

    /// The resource for the record of the request.
    pub(super) fn unchanged(&self, relation: &'static str) -> Changed {
        let resource_type = self.resource_type.name.clone();
        Changed { resource_type, id: self.id.clone(), relation, ..Changed::default() }
    }

    /// The resource without its members, which need not exist yet.
    fn insert(
        &self,
        tx: &mut Tx<'_>,
        content: &ResourceContent,
        told: &Told,
        recorder: &mut Recorder<'_>,
    ) -> Result<ResourceRow, ServiceError> {
        let directory_key = self.directory.key;
        let rt = &self.resource_type;
        let app_state = match rt.is_user() {
            true => recorder.in_force.policies.state(content.columns.active, false),
            false => AppState::Active,
        };
        let key =
            tx.resource_insert(directory_key, &rt.name, &self.id, content, app_state, self.now)?;
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
            app_state,
            suspended: false,
            groupless_since: None,
        };
        if let Some(name) = &content.columns.user_name_key {
            lifecycle::take_name(tx, recorder, name)?;
        }
        if app_state.is_visible() {
            recorder.created_as_told(tx, &row, told)?;
        }
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
            lifecycle::joined(tx, recorder, &group, &[row.key])?;
        }
        Ok(())
    }

    /// Whether the change makes a user come or go for the app, or leave the groups.
    fn moves_memberships(
        &self,
        row: &ResourceRow,
        prepared: &Prepared,
        recorder: &Recorder<'_>,
    ) -> bool {
        let fate = recorder.in_force.policies.fate(row, prepared.content.columns.active);
        self.resource_type.is_user() && fate.moves_memberships(row.app_state)
    }

    /// Writes a change. `groups` are those of a user, where they are locked; without them the app
    /// goes on seeing or not seeing the user as before.
    pub(super) fn update(
        &self,
        tx: &mut Tx<'_>,
        row: &ResourceRow,
        prepared: &Prepared,
        groups: Option<&[i64]>,
        recorder: &mut Recorder<'_>,
    ) -> Result<ResourceRow, ServiceError> {
        let (directory_key, rt) = (self.directory.key, &self.resource_type);
        let content = &prepared.content;
        // A request that waited for the lock may have come before the one it waited for.
        let now = self.now.max(row.modified);
        let rewrites = !prepared.same_content(row);
        let fate = match self.resource_type.is_user() {
            true => recorder.in_force.policies.fate(row, content.columns.active),
            false => Fate { state: AppState::Active, strips: false },
        };
        let app_state = match groups {
            None if fate.moves_memberships(row.app_state) => row.app_state,
            _ => fate.state,
        };
        if rewrites {
            // The row is locked and its version was compared: this cannot miss.
            let written =
                tx.resource_update(directory_key, row.key, row.version, content, app_state, now)?;
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
            self.trace.changed(|| Changed {
                before: Some(row.doc.clone()),
                after: Some(row.doc.clone()),
                waiting: members.waiting,
                ..self.unchanged("members")
            });
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
            app_state,
            ..row.clone()
        };
        let (old_name, new_name) =
            (&prepared.old_columns.user_name_key, &content.columns.user_name_key);
        if let (true, Some(name)) = (old_name != new_name, new_name) {
            lifecycle::take_name(tx, recorder, name)?;
        }
        let mut groups = groups.unwrap_or_default();
        let mut stripped = Listed::default();
        if fate.strips {
            stripped = lifecycle::strip(tx, recorder, row, groups)?;
            groups = &[];
        }
        match self.resource_type.is_user() {
            true => lifecycle::tell(tx, recorder, row, &new, groups)?,
            false => recorder.updated(tx, row, &new, None)?,
        }
        let external_id = prepared.old_columns.external_id.as_deref();
        self.arrive(tx, &new, external_id, content, recorder)?;
        lifecycle::lock_moved(tx, recorder, &members)?;
        let left = lifecycle::left(tx, recorder, &new, &members.removed)?;
        let joined = lifecycle::joined(tx, recorder, &new, &members.added)?;
        if row.active != new.active {
            // In a fixed order, so that two units never wait for each other's counters.
            let mut deltas = [(row.active, -1), (new.active, 1)];
            deltas.sort_unstable();
            for (active, delta) in deltas {
                tx.count_add(directory_key, &rt.name, active, self.slot, delta)?;
            }
        }
        // A user leaves groups, a group loses members.
        let (relation, left) = match self.resource_type.is_user() {
            true => ("groups", stripped),
            false => ("members", left),
        };
        self.trace.changed(|| Changed {
            before: Some(row.doc.clone()),
            after: Some(new.doc.clone()),
            joined,
            left,
            waiting: members.waiting,
            event_ids: recorder.event_ids.clone(),
            ..self.unchanged(relation)
        });
        Ok(new)
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
