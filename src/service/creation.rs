//! New resources inside a unit.

use std::sync::Arc;

use super::content::claim;
use super::exchange::Changed;
use super::membership::{Plan, guard_of};
use super::policy::Revive;
use super::record::{Recorder, Told};
use super::unit::{Editor, Revision, Site, Stored};
use super::{ServiceError, lifecycle, membership};
use crate::scim::patch::MemberStep;
use crate::store::pending::Guard;
use crate::store::resource::{AppState, NewRow, ResourceContent, ResourceRow};
use crate::store::{StoreError, Tx, UniqueRule};

/// A new resource.
pub(super) struct Creation {
    pub(super) site: Site,
    pub(super) content: ResourceContent,
    pub(super) members: Vec<MemberStep>,
    pub(super) told: Told,
    /// Makes of an inactive user who has the name what a PUT would make, where the directory brings
    /// such users back.
    pub(super) revive: Option<Arc<Editor>>,
    /// Who joins, if that was worked out before the unit.
    pub(super) plan: Option<Plan>,
}

impl Creation {
    pub(super) fn run(&self, tx: &mut Tx<'_>) -> Result<Stored, ServiceError> {
        let mut recorder = self.site.open(tx, guard_of(&self.members))?;
        if let Some(stored) = self.revived(tx, &mut recorder)? {
            return Ok(stored);
        }
        let row = self.insert(tx, &mut recorder)?;
        let unfinished = self.join(tx, &row, &mut recorder)?;
        Ok(Stored { row, unfinished })
    }

    /// Several new resources of one directory and one type: all or none; their keys. For changes that
    /// leave no record of a request.
    pub(super) fn run_all(tx: &mut Tx<'_>, creations: &[Self]) -> Result<Vec<i64>, ServiceError> {
        let is_plain = |creation: &Self| creation.revive.is_none() && creation.members.is_empty();
        let rows = match creations.first().filter(|_| creations.iter().all(is_plain)) {
            Some(first) => {
                let mut recorder = first.site.open(tx, Guard::Write)?;
                Self::insert_all(tx, creations, &mut recorder)?
            }
            None => {
                let stored = creations.iter().map(|creation| Ok(creation.run(tx)?.row));
                stored.collect::<Result<Vec<ResourceRow>, ServiceError>>()?
            }
        };
        Ok(rows.into_iter().map(|row| row.key).collect())
    }

    /// The resource without its members, which need not exist yet.
    fn insert(
        &self,
        tx: &mut Tx<'_>,
        recorder: &mut Recorder<'_>,
    ) -> Result<ResourceRow, ServiceError> {
        let rows = Self::insert_all(tx, std::slice::from_ref(self), recorder)?;
        Ok(rows.into_iter().next().ok_or(StoreError::MissingReference)?)
    }

    /// Each kind of row of all of them in as few statements as there can be.
    fn insert_all(
        tx: &mut Tx<'_>,
        creations: &[Self],
        recorder: &mut Recorder<'_>,
    ) -> Result<Vec<ResourceRow>, ServiceError> {
        let Some(Site { directory, resource_type: rt, .. }) = creations.first().map(|c| &c.site)
        else {
            return Ok(Vec::new());
        };
        let new: Vec<NewRow<'_>> = creations.iter().map(|c| c.new_row(recorder)).collect();
        let keys = tx.resources_insert(directory.key, &new)?;
        let rows = creations.iter().zip(&new).zip(keys);
        let rows: Vec<ResourceRow> = rows
            .map(|((creation, new), key)| {
                creation.site.new_row(key, &creation.content, new.app_state)
            })
            .collect();
        let made = || creations.iter().zip(&rows);
        for (creation, row) in made() {
            if row.excluded {
                tx.user_exclude(directory.key, row.key)?;
            }
            claim(tx, directory.key, row.key, &[], &creation.content.columns.claims)?;
        }
        let entries = made().flat_map(|(creation, row)| {
            creation.content.columns.attributes.iter().map(|entry| (row.key, entry))
        });
        tx.attribute_keys_add(directory.key, entries)?;
        for (creation, row) in made() {
            recorder.note_new(tx, row)?;
            if let Some(name) = &creation.content.columns.user_name_key {
                lifecycle::take_name(tx, recorder, name)?;
            }
        }
        let visible = made().filter(|(_, row)| row.app_state.is_visible());
        let visible: Vec<_> = visible.map(|(c, row)| (row, Some(&c.told))).collect();
        recorder.created(tx, &visible)?;
        for active in [false, true] {
            let count = rows.iter().filter(|row| row.active == active).count();
            if count > 0 {
                let count = i64::try_from(count).unwrap_or(i64::MAX);
                tx.count_add(directory.key, &rt.name, active, count)?;
            }
        }
        for (creation, row) in made() {
            creation.site.arrive(tx, row, None, &creation.content, recorder)?;
        }
        Ok(rows)
    }

    fn new_row(&self, recorder: &Recorder<'_>) -> NewRow<'_> {
        let (site, content) = (&self.site, &self.content);
        let excluded = site.directory.excludes_new(&site.resource_type, &content.mapped);
        let (policies, active) = (&recorder.in_force.policies, content.columns.active);
        NewRow {
            resource_type: &site.resource_type.name,
            id: &site.id,
            content,
            app_state: site.directory.state_of_new(policies, &site.resource_type, active, excluded),
            now: site.now,
        }
    }

    /// The inactive user with that name and that externalId, brought back. Anybody else keeps the
    /// name: a namesake must never inherit a leaver's access.
    fn revived(
        &self,
        tx: &mut Tx<'_>,
        recorder: &mut Recorder<'_>,
    ) -> Result<Option<Stored>, ServiceError> {
        let wanted = recorder.in_force.policies.revive_on_create == Revive::SameExternalId;
        let name = self.content.columns.user_name_key.as_deref();
        let (true, Some(edit), Some(name)) = (wanted, &self.revive, name) else { return Ok(None) };
        let Some(holder) = tx.user_by_name(self.site.directory.key, name)? else {
            return Ok(None);
        };
        let site = Site { id: holder.id, ..self.site.clone() };
        // By the policies that are stored now: a suspension may be left of those before.
        let (policies, edit) = (recorder.in_force.policies, Arc::clone(edit));
        let edit = move |row: &ResourceRow| match policies.state(row.active, row.suspended, false) {
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
    ) -> Result<Vec<Stored>, (usize, ServiceError)> {
        let mut made = Vec::with_capacity(creations.len());
        for (index, creation) in creations.iter().enumerate() {
            let open = creation.site.open(tx, guard_of(&creation.members));
            let mut recorder = open.map_err(|error| (index, error))?;
            let row = creation.insert(tx, &mut recorder).map_err(|error| (index, error))?;
            made.push((creation, row, recorder));
        }
        let mut rows = Vec::with_capacity(made.len());
        for (index, (creation, row, mut recorder)) in made.into_iter().enumerate() {
            let joined = creation.join(tx, &row, &mut recorder);
            let unfinished = joined.map_err(|error| (index, error))?;
            rows.push(Stored { row, unfinished });
        }
        Ok(rows)
    }

    /// Takes the members in; true when there are more of them than go into this unit.
    fn join(
        &self,
        tx: &mut Tx<'_>,
        row: &ResourceRow,
        recorder: &mut Recorder<'_>,
    ) -> Result<bool, ServiceError> {
        let site = &self.site;
        let group = site.group(row.key, site.now);
        let members = membership::apply(tx, group, &self.members, self.plan.as_ref())?;
        let [_, joined] = lifecycle::moved(tx, recorder, row, &[], &members.added)?;
        let unfinished = members.planned.is_some();
        site.trace.changed(|| Changed {
            after: Some(row.doc.clone()),
            joined: members.all_joined(joined),
            waiting: members.waiting,
            event_ids: recorder.event_ids.clone(),
            ..site.unchanged("members")
        });
        Ok(unfinished)
    }
}
