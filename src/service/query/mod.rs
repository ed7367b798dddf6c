//! Reading: one resource, or a list by filter, order and page (RFC 7644 §3.4).
//!
//! A filter that the database decides alone costs what it returns ([`walk`]). What is left over is
//! decided by the evaluator over the rows that the database narrowed down to, within a budget
//! ([`scan`]): the answer is exact, or 400 `tooMany`. Pages go by index or by cursor ([`cursor`]).

mod cursor;
mod list;
mod relations;
mod scan;
mod sort_key;
mod walk;

use std::sync::Arc;

pub(super) use cursor::{Anchors, Cursors};
pub use cursor::{CURSOR_SECONDS, open_cursor};
pub use relations::{Found, ManagerRow};
pub use scan::{SCAN_ROWS, SCAN_TIME};

use super::{Access, Service, ServiceError};
use crate::scim::resource::Projection;
use crate::scim::{ResourceType, ScimError};
use crate::store::member::MemberRow;
use crate::store::resource::ResourceRow;
use crate::store::{Single, StoreError, Tx};
use relations::{InOne, Relations, is_full, last_member, members_after};

/// One page of a list.
#[derive(Debug)]
pub struct Listed {
    pub total: i64,
    /// 1-based; `None` when the page was asked for by cursor.
    pub start_index: Option<u64>,
    pub next_cursor: Option<String>,
    pub previous_cursor: Option<String>,
    pub resources: Vec<Entry>,
}

/// One resource of a list, with its type and what is shown of it.
#[derive(Debug)]
pub struct Entry {
    pub resource_type: Arc<ResourceType>,
    pub projection: Arc<Projection>,
    pub found: Found,
}

/// What a write did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    New,
    Changed,
}

impl Service {
    /// One resource by id, of a large group with its first members.
    pub async fn get(
        &self,
        access: &Access,
        resource_type: &Arc<ResourceType>,
        id: &str,
        projection: &Projection,
    ) -> Result<Found, ServiceError> {
        let relations = Relations::of(resource_type, projection);
        let directory_key = access.directory.key;
        let (name, wanted) = (Arc::<str>::from(resource_type.name.as_str()), Arc::<str>::from(id));
        let read = {
            let (name, wanted) = (Arc::clone(&name), Arc::clone(&wanted));
            move |tx: &mut Tx<'_>| match tx.resource_get(directory_key, &name, &wanted)? {
                Some(row) => relations.load_first(tx, directory_key, row).map(Some),
                None => Ok(None),
            }
        };
        let found: Result<Option<Found>, StoreError> = match relations.in_one() {
            InOne::Row => self.store.lookup_one("resource_get", read).await,
            InOne::With(shown) => {
                let single = move |one: Single<'_>| match one.resource_find(
                    directory_key,
                    &name,
                    &wanted,
                    shown,
                )? {
                    Some(found) => Ok(Found::of(found).map(Some)),
                    None => Ok(Some(None)),
                };
                self.store.lookup_in_one("resource_get", single, read).await
            }
            InOne::No if relations.are_few() => self.store.lookup("resource_get", read).await,
            InOne::No => self.store.read("resource_get", read).await,
        };
        found?.ok_or_else(|| {
            let id: String = id.chars().take(80).collect();
            ScimError::not_found(&format!("{} \"{id}\"", resource_type.name)).into()
        })
    }

    /// A row that was just written, with its relations as they are now; of a large group with its first
    /// members.
    pub async fn with_relations(
        &self,
        access: &Access,
        resource_type: &ResourceType,
        row: ResourceRow,
        written: Written,
        projection: &Projection,
    ) -> Result<Found, ServiceError> {
        let mut relations = Relations::of(resource_type, projection);
        // A new resource is in a group only if one has waited for it; one that a create has brought
        // back may have been in some before.
        let is_new = written == Written::New && row.version == 1;
        let may_be_member = !is_new || access.directory.profile.hold_unknown_members;
        relations.groups &= may_be_member;
        if relations.is_none_for(&row) {
            return Ok(Found::alone(row));
        }
        let directory_key = access.directory.key;
        let is_one = relations.is_one_statement_for(&row);
        let load = move |tx: &mut Tx<'_>| relations.load_first(tx, directory_key, row.clone());
        let found: Result<Found, StoreError> = match is_one {
            true => self.store.lookup_one("relations", load).await,
            false if relations.are_few() => self.store.lookup("relations", load).await,
            false => self.store.read("relations", load).await,
        };
        Ok(found?)
    }

    /// True when the group has more members than that.
    pub async fn has_more_members(
        &self,
        access: &Access,
        group_key: i64,
        than: i64,
    ) -> Result<bool, ServiceError> {
        let directory_key = access.directory.key;
        let exceeds: Result<bool, StoreError> = self
            .store
            .get("member_exceeds", move |tx| tx.member_exceeds(directory_key, group_key, than))
            .await;
        Ok(exceeds?)
    }

    /// Puts the next members of a large group in the place of those that `found` has. Each page is a
    /// read of its own, so no read holds the database up: who joins or leaves meanwhile is shown or
    /// not, everybody else is shown once.
    pub async fn next_members(
        &self,
        directory_key: i64,
        mut found: Found,
    ) -> Result<Found, ServiceError> {
        let (group_key, after) = (found.row.key, last_member(&found));
        let page: Result<Vec<MemberRow>, StoreError> = self
            .store
            .get("member_page", move |tx| members_after(tx, directory_key, group_key, after))
            .await;
        found.members = page?;
        found.has_more_members = is_full(&found.members);
        Ok(found)
    }

    /// The resource with all of its members.
    pub async fn with_all_members(
        &self,
        access: &Access,
        found: Found,
    ) -> Result<Found, ServiceError> {
        let (mut all, mut page) = (found.members.clone(), found);
        while page.has_more_members {
            page = self.next_members(access.directory.key, page).await?;
            all.extend_from_slice(&page.members);
        }
        Ok(Found { members: all, ..page })
    }
}
