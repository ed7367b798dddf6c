//! Groups as the app sees them.

use serde_json::Value;

use super::page::{Page, PageRequest};
use super::{Narrow, find_user, unnarrowed};
use crate::service::authenticate::Opened;
use crate::service::context::State;
use crate::service::error::AdminError;
use crate::service::seen::app_view;
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::StoreError;
use crate::store::resource::ResourceRow;

/// Which groups a list shows: those of a directory, or those that a user is in directly.
#[derive(Clone, Debug)]
pub struct GroupQuery {
    pub directory: Option<String>,
    pub user: Option<String>,
    pub page: PageRequest,
}

impl Service {
    /// Groups in the order of their ids.
    pub async fn read_groups(
        &self,
        access: &ApiAccess,
        query: GroupQuery,
    ) -> Result<Page, ServiceError> {
        let range = query.page.range("directory_group")?;
        if query.directory.is_none() && query.user.is_none() {
            return Err(unnarrowed("directory", "a directory or a user"));
        }
        let user = query.user.map(|id| -> Narrow { ("The user", id, find_user) });
        let place = self.place(access, query.directory, user).await?;
        let (key, user, is_gone) = (place.directory.key, place.narrow, place.is_gone());
        let rows: Vec<ResourceRow> = self
            .store
            .read("read_groups", move |tx| match user {
                _ if is_gone => Ok(Vec::new()),
                Some(user) => tx.app_groups_of(key, user, &range),
                None => tx.app_list(key, "Group", &range),
            })
            .await?;
        let page = query.page.page(rows, |row: &ResourceRow| &row.id);
        Ok(page.map(|row| app_view(&place.directory, &row).unwrap_or_default()))
    }

    /// The group, if the key may see it.
    pub async fn read_group(&self, access: &ApiAccess, id: &str) -> Result<Value, ServiceError> {
        let (access, id) = (access.clone(), id.to_owned());
        let found: Option<(Opened, ResourceRow)> = self
            .store
            .read("read_group", move |tx| {
                let Some(place) = tx.resource_locate("Group", &id)? else { return Ok(None) };
                let Some(opened) = Opened::read(tx, place.directory_key)? else { return Ok(None) };
                let is_shown = place.app_state.is_visible()
                    && access.reaches(&opened.row.organization_id)
                    && opened.row.state != State::Deleting.as_str();
                let row = match is_shown {
                    true => tx.resource_get(place.directory_key, "Group", &id)?,
                    false => None,
                };
                Ok::<_, StoreError>(row.map(|row| (opened, row)))
            })
            .await?;
        let view = found.and_then(|(opened, row)| app_view(&self.opened_directory(&opened), &row));
        view.ok_or_else(|| AdminError::not_found("The group").into())
    }
}
