//! A create as one statement, where the database has such: the same as [`Creation::run`], for
//! resources that nothing but their own rows is about.

use std::sync::Arc;

use super::ServiceError;
use super::exchange::{Changed, Listed};
use super::policy::InForce;
use super::record::Recorder;
use super::unit::{Creation, Stored};
use crate::store::event::NewEvent;
use crate::store::resource::ResourceRow;
use crate::store::{NewResource, Single, WriteInto};

/// A create computed for the directory as it was read.
pub(super) struct SingleCreation {
    creation: Arc<Creation>,
    directory: WriteInto,
    /// The new row; its key is not known yet.
    row: ResourceRow,
    event: Option<NewEvent>,
    event_ids: Listed,
}

impl SingleCreation {
    /// `None` when the create has to look at other rows, or at policies that are about them.
    pub(super) fn of(creation: &Arc<Creation>) -> Option<Self> {
        let (site, content) = (&creation.site, &creation.content);
        let directory = &site.directory;
        let in_force = InForce { policies: directory.policies, changing: false };
        let looks_around = directory.identities.is_some()
            || directory.profile.hold_unknown_members
            || in_force.may_have_departed()
            || creation.revive.is_some()
            || !creation.members.is_empty()
            || !content.columns.claims.is_empty()
            || directory.excludes_new(&site.resource_type, &content.mapped);
        if looks_around {
            return None;
        }
        let active = content.columns.active;
        let policies = &directory.policies;
        let app_state = directory.state_of_new(policies, &site.resource_type, active, false);
        let row = site.new_row(0, content, app_state);
        let mut recorder = Recorder {
            directory,
            in_force,
            identities: None,
            ids: site.ids.clone(),
            now: site.now,
            event_ids: Listed::default(),
            // No group is waiting for more of a resource that is not there yet.
            has_intents: false,
            removal: None,
        };
        let event =
            app_state.is_visible().then(|| recorder.creation(&row, Some(&creation.told))).flatten();
        Some(Self {
            creation: Arc::clone(creation),
            directory: WriteInto {
                directory_key: directory.key,
                schema_version: directory.schema_version,
                settings: directory.settings.clone(),
            },
            row,
            event,
            event_ids: recorder.event_ids,
        })
    }

    /// `None` when the directory is no longer as it was read; the ordinary unit says what that means.
    pub(super) fn run(&self, single: Single<'_>) -> Result<Option<Stored>, ServiceError> {
        let (row, site) = (&self.row, &self.creation.site);
        let key = single.resource_create(&NewResource {
            directory: &self.directory,
            resource_type: &row.resource_type,
            id: &row.id,
            content: &self.creation.content,
            app_state: row.app_state,
            event: self.event.as_ref(),
            now: site.now,
        })?;
        let Some(key) = key else { return Ok(None) };
        site.trace.changed(|| Changed {
            after: Some(row.doc.clone()),
            event_ids: self.event_ids.clone(),
            ..site.unchanged("members")
        });
        Ok(Some(Stored { row: ResourceRow { key, ..row.clone() }, unfinished: false }))
    }
}
