//! Changes of resources inside a unit.
//!
//! The unit locks the row, checks that it still has the version that the change was computed from,
//! and writes; if another writer was faster it computes again on what it has locked, so no update is
//! lost and every request ends.

use std::sync::Arc;

use super::ServiceError;
pub(super) use super::content::{EXTERNAL_ID, GROUP_NAME, claim, columns, content, mapped};
use super::context::{Directory, State};
pub(super) use super::creation::Creation;
use super::exchange::{Changed, Listed, Trace};
use super::identity::Scope;
use super::mapping::{Gate, follow};
use super::membership::{Group, guard_of};
use super::policy::{Fate, InForce};
pub(super) use super::prepared::Prepared;
use super::record::Recorder;
use super::{lifecycle, membership};
use crate::event::Reason;
use crate::scim::patch::MemberStep;
use crate::scim::resource::Document;
use crate::scim::resource::meta::Condition;
use crate::scim::{Object, ResourceType, ScimError};
use crate::store::brake::Brake;
use crate::store::pending::Guard;
use crate::store::resource::{AppSide, AppState, ResourceContent, ResourceRow};
use crate::store::{StoreError, Tx};

/// Where a change happens.
#[derive(Clone)]
pub(super) struct Site {
    pub(super) directory: Arc<Directory>,
    pub(super) resource_type: Arc<ResourceType>,
    pub(super) id: String,
    pub(super) now: i64,
    pub(super) ids: crate::clock::Ids,
    pub(super) trace: Trace,
    /// Most changes of members in one unit.
    pub(super) members_at_once: usize,
    /// Why whoever becomes inactive or goes does so, where it is not the word of a SCIM client.
    pub(super) removal: Option<Reason>,
}

/// A change that was stored.
pub(super) struct Stored {
    pub(super) row: ResourceRow,
    /// More of its members change in units of their own: [`super::intent`].
    pub(super) unfinished: bool,
}

impl Stored {
    fn whole(row: ResourceRow) -> Self {
        Self { row, unfinished: false }
    }
}

/// What an edit makes of a document.
pub(super) struct Edit {
    pub(super) document: Document,
    pub(super) extra: Object,
    pub(super) members: Vec<MemberStep>,
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
    ) -> Result<Stored, ServiceError> {
        // A unit that has to compute the change first may turn out to look for members.
        let guard = prepared.map_or(Guard::Look, |prepared| guard_of(&prepared.members));
        let mut recorder = self.site.open(tx, guard)?;
        self.apply(tx, prepared, &mut recorder)?.ok_or_else(|| self.site.missing())
    }

    /// `None` when there is no such resource.
    pub(super) fn apply(
        &self,
        tx: &mut Tx<'_>,
        prepared: Option<&Prepared>,
        recorder: &mut Recorder<'_>,
    ) -> Result<Option<Stored>, ServiceError> {
        let site = &self.site;
        let Some((row, mut groups)) = self.lock(tx, prepared, recorder)? else { return Ok(None) };
        check(self.condition.as_ref(), &row)?;
        let computed;
        let prepared = prepared.filter(|prepared| prepared.version == row.version);
        // A change of its members in several units began before the row was read, and is known of, or
        // has moved the version since.
        if recorder.has_intents || prepared.is_none() {
            site.refuse_during_intent(tx, row.key)?;
        }
        let prepared = match prepared {
            Some(prepared) => prepared,
            None => {
                computed = Prepared::whole(&row, (self.edit)(&row)?, site)?;
                &computed
            }
        };
        if groups.is_none() && site.moves_memberships(&row, prepared, recorder) {
            // Another unit was faster by a moment and made this change one of memberships.
            groups = site.lock_with_groups(tx, row.key, recorder)?;
        }
        site.update(tx, &row, prepared, groups.as_deref(), recorder).map(Some)
    }

    /// Locks the resource; for a user who comes or goes for the app the groups first.
    fn lock(
        &self,
        tx: &mut Tx<'_>,
        prepared: Option<&Prepared>,
        recorder: &mut Recorder<'_>,
    ) -> Result<Option<Locked>, ServiceError> {
        let site = &self.site;
        if site.resource_type.is_user() && recorder.in_force.may_move_memberships() {
            let Some(row) = site.get(tx)? else { return Ok(None) };
            check(self.condition.as_ref(), &row)?;
            let moves = match prepared.filter(|prepared| prepared.version == row.version) {
                Some(prepared) => site.moves_memberships(&row, prepared, recorder),
                None => {
                    // What the filter says is worked out with what the maps make of it.
                    let edit = (self.edit)(&row)?;
                    let prepared = match site.directory.mapping.gate {
                        Gate::Open => Prepared::of(&row, edit, site)?,
                        _ => Prepared::whole(&row, edit, site)?,
                    };
                    site.moves_memberships(&row, &prepared, recorder)
                }
            };
            if moves {
                let Some(groups) = site.lock_with_groups(tx, row.key, recorder)? else {
                    return Ok(None);
                };
                return Ok(site.get(tx)?.map(|row| (row, Some(groups))));
            }
        }
        Ok(site.lock(tx)?.map(|row| (row, None)))
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

    /// The members of a resource, as they are changed now.
    pub(super) fn group(&self, key: i64, now: i64) -> Group<'_> {
        Group {
            directory: &self.directory,
            resource_type: &self.resource_type,
            key,
            now,
            at_once: self.members_at_once,
        }
    }

    /// Until a change of the members of a group is done, nothing else changes the group.
    pub(super) fn refuse_during_intent(
        &self,
        tx: &mut Tx<'_>,
        key: i64,
    ) -> Result<(), ServiceError> {
        let may_be = self.resource_type.is_group();
        match may_be && tx.intent_get(self.directory.key, key)?.is_some() {
            true => Err(ServiceError::MembersChange),
            false => Ok(()),
        }
    }

    fn lock(&self, tx: &mut Tx<'_>) -> Result<Option<ResourceRow>, StoreError> {
        tx.resource_lock(self.directory.key, &self.resource_type.name, &self.id)
    }

    /// Keeps the directory from being deleted while the unit runs, and groups from missing a member
    /// that comes meanwhile. The policies are those that are stored now.
    pub(super) fn open(&self, tx: &mut Tx<'_>, guard: Guard) -> Result<Recorder<'_>, ServiceError> {
        match tx.directory_share(self.directory.key)? {
            None => Err(ScimError::new(403, "This directory is being deleted.").into()),
            Some(shared) if shared.state == State::Deleting.as_str() => {
                Err(ScimError::new(403, "This directory is being deleted.").into())
            }
            // The app goes on seeing everybody as they were.
            Some(shared) if shared.state == State::Disabled.as_str() => {
                Err(ScimError::new(403, "This directory is disabled by its operator.").into())
            }
            Some(shared) if shared.brake.as_deref() == Some(Brake::Undoing.as_str()) => {
                Err(ServiceError::UndoRuns)
            }
            // The document was checked against schemas that are no longer the directory's.
            Some(shared)
                if shared.converting || shared.schema_version != self.directory.schema_version =>
            {
                Err(ServiceError::SchemasChange)
            }
            Some(shared) => {
                let in_force = InForce::new(&shared.settings, shared.policy_cursor);
                // Before any resource is locked.
                let identities = match self.concerns_identities(&in_force) {
                    true => Scope::enter(tx, &self.directory)?,
                    false => None,
                };
                membership::guard(tx, &self.directory, guard)?;
                Ok(Recorder {
                    directory: &self.directory,
                    in_force,
                    identities,
                    ids: self.ids.clone(),
                    now: self.now,
                    event_ids: Listed::default(),
                    has_intents: shared.has_intents,
                    removal: self.removal,
                })
            }
        }
    }

    /// Whether a change of it may change what the app sees of a user.
    pub(super) fn concerns_identities(&self, in_force: &InForce) -> bool {
        self.resource_type.is_user() || in_force.may_lift()
    }

    /// The resource for the record of the request.
    pub(super) fn unchanged(&self, relation: &'static str) -> Changed {
        let resource_type = self.resource_type.name.clone();
        Changed { resource_type, id: self.id.clone(), relation, ..Changed::default() }
    }

    pub(super) fn new_row(
        &self,
        key: i64,
        content: &ResourceContent,
        app_state: AppState,
    ) -> ResourceRow {
        ResourceRow {
            key,
            id: self.id.clone(),
            resource_type: self.resource_type.name.clone(),
            active: content.columns.active,
            doc: content.doc.clone(),
            extra: content.extra.clone(),
            version: 1,
            created: self.now,
            modified: self.now,
            app_state,
            suspended: false,
            excluded: self.directory.excludes_new(&self.resource_type, &content.mapped),
            groupless_since: None,
            custom_attributes: content.mapped.custom_attributes.clone(),
            roles: content.mapped.roles.clone(),
        }
    }

    /// Groups that wait for the externalId that the resource has now take it in.
    pub(super) fn arrive(
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
            lifecycle::moved(tx, recorder, &group, &[], &[row.key])?;
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
        let (active, excluded) = (prepared.content.columns.active, prepared.excludes(row));
        let fate = recorder.in_force.policies.fate(row, active, excluded);
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
    ) -> Result<Stored, ServiceError> {
        let (directory_key, rt) = (self.directory.key, &self.resource_type);
        let content = &prepared.content;
        // A request that waited for the lock may have come before the one it waited for.
        let now = self.now.max(row.modified);
        let rewrites = !prepared.same_content(row);
        let (active, excluded) = (content.columns.active, prepared.excludes(row));
        let fate = match self.resource_type.is_user() {
            true => recorder.in_force.policies.fate(row, active, excluded),
            false => Fate { state: row.app_state, strips: false },
        };
        let app_state = match groups {
            None if fate.moves_memberships(row.app_state) => row.app_state,
            _ => fate.state,
        };
        if rt.is_user() {
            recorder.switches(tx, row, active)?;
            if excluded && !row.excluded && active && row.app_state == AppState::Active {
                recorder.excludes(tx)?;
            }
        }
        let (custom_attributes, roles) = match rewrites {
            true => (
                content.mapped.custom_attributes.clone(),
                follow::roles_after(tx, &self.directory, row, content, fate.strips)?,
            ),
            false => (row.custom_attributes.clone(), row.roles.clone()),
        };
        if rewrites {
            // The row is locked and its version was compared: this cannot miss.
            let app = AppSide { state: app_state, roles: roles.as_deref(), excluded };
            let written =
                tx.resource_update(directory_key, row.key, row.version, content, app, now)?;
            if !written {
                return Err(StoreError::MissingReference.into());
            }
            let (old, new) = (&prepared.old_columns.claims, &content.columns.claims);
            claim(tx, directory_key, row.key, old, new)?;
            let (old, new) = (&prepared.old_columns.attributes, &content.columns.attributes);
            tx.attribute_keys_change(directory_key, row.key, old, new)?;
        }
        let group = self.group(row.key, now);
        let members = membership::apply(tx, group, &prepared.members, prepared.plan.as_ref())?;
        if !rewrites && members.is_empty() {
            self.trace.changed(|| Changed {
                before: Some(row.doc.clone()),
                after: Some(row.doc.clone()),
                waiting: members.waiting,
                ..self.unchanged("members")
            });
            return Ok(Stored::whole(row.clone()));
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
            excluded,
            custom_attributes,
            roles,
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
        let [left, joined] =
            lifecycle::moved(tx, recorder, &new, &members.removed, &members.added)?;
        if row.active != new.active {
            // In a fixed order, so that two units never wait for each other's counters.
            let mut deltas = [(row.active, -1), (new.active, 1)];
            deltas.sort_unstable();
            for (active, delta) in deltas {
                tx.count_add(directory_key, &rt.name, active, delta)?;
            }
        }
        let unfinished = members.planned.is_some();
        // A user leaves groups, a group loses members.
        let (relation, left) = match self.resource_type.is_user() {
            true => ("groups", stripped),
            false => ("members", members.all_left(left)),
        };
        self.trace.changed(|| Changed {
            before: Some(row.doc.clone()),
            after: Some(new.doc.clone()),
            joined: members.all_joined(joined),
            left,
            waiting: members.waiting,
            event_ids: recorder.event_ids.clone(),
            ..self.unchanged(relation)
        });
        Ok(Stored { row: new, unfinished })
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
