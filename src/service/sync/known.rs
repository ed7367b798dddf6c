//! What a plan compares a source with: what is stored of a directory, without its documents.

use super::drive::Job;
use crate::pull::Kind;
use crate::pull::plan::{Known, Stored};
use crate::service::{Service, ServiceError};
use crate::store::sync::KnownRow;
use crate::store::{StoreError, Tx};

/// Rows read at a time.
pub(super) const PAGE: i64 = 5_000;

impl Service {
    /// What is stored of a directory, without its documents.
    pub(super) async fn stored_of(&self, job: &Job) -> Result<Stored, ServiceError> {
        let key = job.row.key;
        let mut stored = Stored::default();
        for (kind, resource_type) in [(Kind::Account, "User"), (Kind::Group, "Group")] {
            let mut after = 0;
            loop {
                let page = move |tx: &mut Tx<'_>| tx.sync_known(key, resource_type, after, PAGE);
                let page: Result<_, StoreError> = self.store.read("sync_known", page).await;
                let page = page?;
                let Some(last) = page.last() else { break };
                after = last.key;
                page.into_iter().for_each(|row| stored.add(known(kind, row)));
            }
            let mut after = 0;
            loop {
                let page =
                    move |tx: &mut Tx<'_>| tx.handed_over_list(key, resource_type, after, PAGE);
                let page: Result<_, StoreError> = self.store.read("sync_handed_over", page).await;
                let page = page?;
                let Some(last) = page.last() else { break };
                after = last.key;
                page.into_iter().for_each(|row| stored.add_handed_over(known(kind, row)));
            }
        }
        let mut beyond = (0, 0);
        loop {
            let page: Result<_, StoreError> =
                self.store.read("sync_members", move |tx| tx.sync_members(key, beyond, PAGE)).await;
            let page = page?;
            let Some(last) = page.last() else { break };
            beyond = *last;
            page.iter().for_each(|(group, member)| stored.add_member(*group, *member));
        }
        let directory = &job.access.directory;
        if let Some(roles) = directory.mapping.group_roles() {
            let gives = |known: &&Known| roles.groups().contains(&known.id);
            stored.role_groups =
                stored.of_kind(Kind::Group).filter(gives).map(|known| known.key).collect();
        }
        Ok(stored)
    }
}

fn known(kind: Kind, row: KnownRow) -> Known {
    Known {
        key: row.key,
        kind,
        id: row.id,
        source_id: row.external_id,
        name: row.name.unwrap_or_default(),
        active: row.active,
        version: row.version,
        digest: row.digest,
    }
}
