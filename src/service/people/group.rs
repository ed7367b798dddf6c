//! One group with the users whom it has directly.

use serde::Serialize;

use super::search::PersonView;
use crate::service::administer::ListParameters;
use crate::service::error::AdminError;
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::{IdRange, StoreError, Walk};

/// A group and a page of its members, in the order in which they came.
#[derive(Clone, Debug, Serialize)]
pub struct GroupView {
    pub group: PersonView,
    pub directory_name: String,
    pub members: Vec<PersonView>,
    /// Where the next page begins.
    pub after: Option<String>,
}

impl Service {
    pub async fn group(
        &self,
        access: &ApiAccess,
        id: &str,
        page: &ListParameters,
    ) -> Result<GroupView, ServiceError> {
        let limit = page.range()?.limit;
        let (access, id, beyond) = (access.clone(), id.to_owned(), page.after.clone());
        let found: Result<Option<GroupView>, StoreError> = self
            .store
            .read("group", move |tx| {
                let Some((key, row)) = tx.person_row("Group", &id)? else { return Ok(None) };
                let directory = tx.directory_by_key(key)?;
                let Some(directory) = directory.filter(|row| access.reaches(&row.organization_id))
                else {
                    return Ok(None);
                };
                let range = IdRange { walk: Walk::Up, beyond: beyond.clone(), limit };
                let mut rows = tx.app_members(key, row.key, &range)?;
                let wanted = usize::try_from(limit - 1).unwrap_or_default();
                let more = rows.len() > wanted;
                rows.truncate(wanted);
                let view = |row| PersonView::of(row, &directory.organization_id, &directory.id);
                Ok(Some(GroupView {
                    group: view(&row),
                    after: rows.last().filter(|_| more).map(|row| row.id.clone()),
                    members: rows.iter().map(view).collect(),
                    directory_name: directory.name.clone(),
                }))
            })
            .await;
        found?.ok_or_else(|| AdminError::not_found("The group").into())
    }
}
