//! Users as the app sees them, with the groups that have them directly.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;

use super::listing::{Effort, Listing};
use super::page::{Page, PageRequest};
use super::{Narrow, find_group, find_user, unnarrowed};
use crate::scim::key::text_key;
use crate::service::authenticate::Opened;
use crate::service::context::{Directory, State};
use crate::service::error::AdminError;
use crate::service::lifecycle::departed_row;
use crate::service::query::{SCAN_ROWS, SCAN_TIME};
use crate::service::seen::app_view;
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::departed::Departed;
use crate::store::resource::ResourceRow;
use crate::store::{IdRange, StoreError, Tx, Walk};

/// Which users a list shows.
#[derive(Clone, Debug)]
pub struct UserQuery {
    pub directory: Option<String>,
    /// Those whom the group has directly.
    pub group: Option<String>,
    /// The one whom the identity provider knows by that id. Needs `directory`.
    pub idp_id: Option<String>,
    /// Those who are shown with that address, in any letter case. Needs `directory`.
    pub email: Option<String>,
    pub page: PageRequest,
}

/// Bytes of groups on a page, as they are shown. A page that would have more ends before its limit, with
/// a cursor: `groups` repeats each group for every user who is in it.
const GROUPS_BYTES: usize = 8 * 1024 * 1024;

/// Groups by the key of the user who is in them, each group once.
#[derive(Default)]
struct GroupsOf {
    pairs: Vec<(i64, i64)>,
    groups: Vec<ResourceRow>,
}

impl GroupsOf {
    fn read(
        tx: &mut Tx<'_>,
        directory_key: i64,
        users: &[ResourceRow],
    ) -> Result<Self, StoreError> {
        let users: Vec<i64> = users.iter().map(|user| user.key).filter(|key| *key != 0).collect();
        let pairs = tx.membership_pairs(directory_key, &users)?;
        let mut keys: Vec<i64> = pairs.iter().map(|(_, group)| *group).collect();
        keys.sort_unstable();
        keys.dedup();
        let mut groups = tx.resource_rows(directory_key, &keys)?;
        groups.retain(|group| group.app_state.is_visible());
        groups.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        Ok(Self { pairs, groups })
    }

    /// The `directory_user` objects with `groups`, which is a list also when it is empty: all of them, or
    /// as many as have room, and at least one.
    fn shown(&self, directory: &Directory, users: Vec<ResourceRow>) -> Shown {
        let views: Vec<(i64, usize, Value)> = self
            .groups
            .iter()
            .filter_map(|group| {
                let view = app_view(directory, group)?;
                Some((group.key, view.to_string().len(), view))
            })
            .collect();
        let mut of_user: HashMap<i64, HashSet<i64>> = HashMap::new();
        for (user, group) in &self.pairs {
            of_user.entry(*user).or_default().insert(*group);
        }
        let mut shown = Shown { users: Vec::new(), is_cut: false };
        let mut bytes = 0_usize;
        for user in users {
            let keys = of_user.get(&user.key);
            let mut groups: Vec<&Value> = Vec::new();
            for (key, length, view) in &views {
                if keys.is_some_and(|keys| keys.contains(key)) {
                    groups.push(view);
                    bytes += length;
                }
            }
            if bytes > GROUPS_BYTES && !shown.users.is_empty() {
                shown.is_cut = true;
                return shown;
            }
            let Some(Value::Object(mut view)) = app_view(directory, &user) else { continue };
            let groups: Vec<Value> = groups.into_iter().cloned().collect();
            view.insert("groups".into(), groups.into());
            shown.users.push((user.id, Value::Object(view)));
        }
        shown
    }
}

/// Users by id, as they are shown.
struct Shown {
    users: Vec<(String, Value)>,
    /// There was no room for all.
    is_cut: bool,
}

/// What a list reads; `None` when it would have to look at too much.
type Found = Option<(Vec<ResourceRow>, GroupsOf)>;

impl Service {
    /// Users in the order of their ids; those of a group in the order in which they came.
    pub async fn read_users(
        &self,
        access: &ApiAccess,
        query: UserQuery,
    ) -> Result<Page, ServiceError> {
        let range = query.page.range("directory_user")?;
        if query.directory.is_none() {
            if query.idp_id.is_some() {
                return Err(unnarrowed("idp_id", "the directory, too"));
            }
            if query.email.is_some() {
                return Err(unnarrowed("email", "the directory, too"));
            }
            if query.group.is_none() {
                return Err(unnarrowed("directory", "a directory or a group"));
            }
        }
        let group = query.group.map(|id| -> Narrow { ("The group", id, find_group) });
        let place = self.place(access, query.directory, group).await?;
        let listing = Listing {
            directory: Arc::clone(&place.directory),
            group: place.narrow,
            idp_id: query.idp_id,
            email: query.email.map(|email| text_key(&email, false)),
            range,
        };
        let field = if listing.idp_id.is_some() { "idp_id" } else { "email" };
        let is_gone = place.is_gone();
        let work = move |effort: Effort| {
            let listing = listing.clone();
            move |tx: &mut Tx<'_>| -> Result<Found, StoreError> {
                if is_gone {
                    return Ok(Some((Vec::new(), GroupsOf::default())));
                }
                let Some(rows) = listing.rows(tx, effort)? else { return Ok(None) };
                let groups = GroupsOf::read(tx, listing.directory.key, &rows)?;
                Ok(Some((rows, groups)))
            }
        };
        let mut found = self.store.read("read_users", work(Effort::Glance)).await?;
        if found.is_none() {
            // What many users have is looked through where that holds up nobody else.
            found = self.store.scan("read_users_search", work(Effort::Scan)).await?;
        }
        let (rows, groups) = found.ok_or_else(|| too_many(field))?;
        let shown = groups.shown(&place.directory, rows);
        let page = query.page.page_cut(shown.users, shown.is_cut, |(id, _)| id);
        Ok(page.map(|(_, view)| view))
    }

    /// The user, if the key may see it and the app sees it.
    pub async fn read_user(&self, access: &ApiAccess, id: &str) -> Result<Value, ServiceError> {
        let (access, id) = (access.clone(), id.to_owned());
        let found: Option<(Opened, ResourceRow, GroupsOf)> = self
            .store
            .read("read_user", move |tx| {
                let Some((directory_key, key)) = find_user(tx, &id)? else { return Ok(None) };
                let Some(opened) = Opened::read(tx, directory_key)? else { return Ok(None) };
                let is_shown = access.reaches(&opened.row.organization_id)
                    && opened.row.state != State::Deleting.as_str();
                let row = match (is_shown, key) {
                    (false, _) => None,
                    (true, 0) => {
                        let range = IdRange { walk: Walk::Up, beyond: None, limit: 1 };
                        let rows = tx.departed_range(directory_key, Departed::Id(&id), &range)?;
                        rows.into_iter().next().map(departed_row)
                    }
                    (true, _) => tx.resource_get(directory_key, "User", &id)?,
                };
                let Some(row) = row else { return Ok(None) };
                let groups = GroupsOf::read(tx, directory_key, std::slice::from_ref(&row))?;
                Ok::<_, StoreError>(Some((opened, row, groups)))
            })
            .await?;
        let shown = found.and_then(|(opened, row, groups)| {
            groups.shown(&self.opened_directory(&opened), vec![row]).users.pop()
        });
        shown.map(|(_, view)| view).ok_or_else(|| AdminError::not_found("The user").into())
    }
}

/// 422 for what more users have than a list may look through.
fn too_many(field: &str) -> AdminError {
    let message = format!(
        "so many users have it that the list would have to look through more than {SCAN_ROWS} of them, or \
         for longer than {} seconds; ask for one that fewer users have.",
        SCAN_TIME.as_secs()
    );
    AdminError::invalid(field, message)
}
