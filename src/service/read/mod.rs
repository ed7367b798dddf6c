//! The read API: what the company's app sees of directories, users, groups and organizations.
//!
//! The objects are those that events carry, made by the same functions. What a policy hides from the
//! app is hidden here, too. Lists go by id, so that a cursor stays valid when its row is gone, and are
//! read along an index; users of a group go by key.

mod directory;
mod group;
mod listing;
mod organization;
mod page;
mod user;

pub use directory::DirectoryQuery;
pub use group::GroupQuery;
pub use organization::{OrganizationInput, OrganizationPatch, OrganizationQuery};
pub(super) use page::collect;
pub use page::{Metadata, Order, Page, PageRequest, PageWords};
pub use user::UserQuery;

use std::sync::Arc;

use super::authenticate::Opened;
use super::context::{Directory, State};
use super::error::AdminError;
use super::{ApiAccess, Service, ServiceError};
use crate::store::{StoreError, Tx};

/// A directory that a list is of, and the resource in it that narrows the list.
struct Place {
    directory: Arc<Directory>,
    /// Key of the group or user; zero for one that is in no group.
    narrow: Option<i64>,
}

impl Place {
    /// The app takes what is in a directory that is being deleted for gone.
    fn is_gone(&self) -> bool {
        self.directory.state == State::Deleting
    }
}

/// Finds a resource that a list is narrowed to: its directory and its key.
type Find = fn(&mut Tx<'_>, &str) -> Result<Option<(i64, i64)>, StoreError>;

/// What a list is narrowed to: what it is called, its id, and how it is found.
type Narrow = (&'static str, String, Find);

fn find_group(tx: &mut Tx<'_>, id: &str) -> Result<Option<(i64, i64)>, StoreError> {
    let found = tx.resource_locate("Group", id)?.filter(|found| found.app_state.is_visible());
    Ok(found.map(|found| (found.directory_key, found.key)))
}

fn find_user(tx: &mut Tx<'_>, id: &str) -> Result<Option<(i64, i64)>, StoreError> {
    match tx.resource_locate("User", id)? {
        Some(found) if found.app_state.is_visible() => Ok(Some((found.directory_key, found.key))),
        Some(_) => Ok(None),
        None => Ok(tx.departed_locate(id)?.map(|directory_key| (directory_key, 0))),
    }
}

impl Service {
    /// The directory of a list, named itself or by a resource in it; 404 for what the key may not see.
    async fn place(
        &self,
        access: &ApiAccess,
        directory: Option<String>,
        narrow: Option<Narrow>,
    ) -> Result<Place, ServiceError> {
        let access = access.clone();
        let missing = |what: &str| ServiceError::from(AdminError::not_found(what));
        let found: Result<_, ServiceError> = self
            .store
            .read("read_place", move |tx| {
                let reached = |opened: Option<Opened>| {
                    opened.filter(|opened| access.reaches(&opened.row.organization_id))
                };
                let named = match &directory {
                    None => None,
                    Some(id) => {
                        let row = tx.directory_get(id)?.ok_or_else(|| missing("The directory"))?;
                        let opened = reached(Opened::read(tx, row.key)?);
                        Some(opened.ok_or_else(|| missing("The directory"))?)
                    }
                };
                let Some((what, id, find)) = &narrow else {
                    return Ok((named.ok_or_else(|| missing("The directory"))?, None));
                };
                let (directory_key, key) = find(tx, id)?.ok_or_else(|| missing(what))?;
                let opened = match named {
                    None => reached(Opened::read(tx, directory_key)?),
                    named => named.filter(|named| named.row.key == directory_key),
                };
                Ok((opened.ok_or_else(|| missing(what))?, Some(key)))
            })
            .await;
        let (opened, narrow) = found?;
        let place = Place { directory: self.opened_directory(&opened), narrow };
        match place.is_gone() && place.narrow.is_some() {
            // The resource went with its directory.
            true => Err(ServiceError::from(AdminError::not_found("The directory"))),
            false => Ok(place),
        }
    }
}

/// 422 for a list that is of no directory.
fn unnarrowed(field: &str, words: &str) -> ServiceError {
    AdminError::invalid(field, format!("name {words}; the list is of one directory.")).into()
}
