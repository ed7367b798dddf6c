//! Users as the app sees them, with the groups that have them directly.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;

use super::page::{Page, PageRequest, collect};
use super::{Find, find_group, find_user, unnarrowed};
use crate::scim::key::text_key;
use crate::scim::schema::cut;
use crate::service::authenticate::Opened;
use crate::service::context::{Directory, State};
use crate::service::error::AdminError;
use crate::service::lifecycle::departed_row;
use crate::service::record::app_view;
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

/// The index of addresses.
const EMAILS: &str = "emails.value";

/// A list inside a unit.
#[derive(Clone)]
struct Listing {
    directory: Arc<Directory>,
    group: Option<i64>,
    idp_id: Option<String>,
    /// As a comparison key.
    email: Option<String>,
    range: IdRange,
}

impl Listing {
    fn rows(&self, tx: &mut Tx<'_>) -> Result<Vec<ResourceRow>, StoreError> {
        let key = self.directory.key;
        if self.idp_id.is_none() && self.email.is_none() {
            return match self.group {
                Some(group) => tx.app_members(key, group, &self.range),
                None => {
                    let rows = tx.app_list(key, "User", &self.range)?;
                    let departed = tx.departed_range(key, Departed::All, &self.range)?;
                    Ok(self.sorted(rows.into_iter().chain(departed.into_iter().map(departed_row))))
                }
            };
        }
        let mut rows = match (&self.idp_id, &self.email) {
            (Some(idp_id), _) => self.of_idp_id(tx, idp_id)?,
            (None, Some(email)) => self.of_email(tx, email)?,
            (None, None) => Vec::new(),
        };
        if let Some(group) = self.group {
            let mut members = Vec::new();
            for row in rows {
                if tx.member_exists(key, group, row.key)? {
                    members.push(row);
                }
            }
            rows = members;
        }
        Ok(self.sorted(rows.into_iter()))
    }

    /// The `externalId`, or the id of one who has none.
    fn of_idp_id(&self, tx: &mut Tx<'_>, idp_id: &str) -> Result<Vec<ResourceRow>, StoreError> {
        let (key, range) = (self.directory.key, &self.range);
        let mut rows = collect(
            range,
            |range| tx.app_users_by_external_id(key, idp_id, range),
            |row| self.is_wanted(row),
            |row| &row.id,
        )?;
        let by_id = tx.resource_get(key, "User", idp_id)?;
        let by_id = by_id.filter(|row| row.app_state.is_visible() && self.is_in_range(&row.id));
        rows.extend(by_id.filter(|row| self.is_wanted(row)));
        for wanted in [Departed::ExternalId(idp_id), Departed::Id(idp_id)] {
            rows.extend(self.departed(tx, wanted)?);
        }
        Ok(rows)
    }

    fn of_email(&self, tx: &mut Tx<'_>, email: &str) -> Result<Vec<ResourceRow>, StoreError> {
        let (key, range) = (self.directory.key, &self.range);
        let user = self.directory.registry.by_name("User");
        let index = user.and_then(|user| user.indexes.iter().find(|index| index.name == EMAILS));
        let mut rows = match index {
            None => Vec::new(),
            Some(index) => collect(
                range,
                |range| tx.app_users_by_attribute(key, index.path_id, cut(email), range),
                |row| self.is_wanted(row),
                |row| &row.id,
            )?,
        };
        // Whoever has no address may be shown with the user name in its place.
        let named = tx.user_by_name(key, email)?;
        let named = named.filter(|row| row.app_state.is_visible() && self.is_in_range(&row.id));
        rows.extend(named.filter(|row| self.is_wanted(row)));
        rows.extend(self.departed(tx, Departed::Email(email))?);
        Ok(rows)
    }

    fn departed(
        &self,
        tx: &mut Tx<'_>,
        wanted: Departed<'_>,
    ) -> Result<Vec<ResourceRow>, StoreError> {
        let key = self.directory.key;
        collect(
            &self.range,
            |range| {
                Ok(tx.departed_range(key, wanted, range)?.into_iter().map(departed_row).collect())
            },
            |row| self.is_wanted(row),
            |row: &ResourceRow| &row.id,
        )
    }

    fn is_in_range(&self, id: &str) -> bool {
        self.range.beyond.as_deref().is_none_or(|beyond| match self.range.walk {
            Walk::Up => id > beyond,
            Walk::Down => id < beyond,
        })
    }

    /// Whether the app is shown what was asked for; an index finds more.
    fn is_wanted(&self, row: &ResourceRow) -> bool {
        let Some(view) = app_view(&self.directory, row) else { return false };
        let text = |name: &str| view.get(name).and_then(Value::as_str);
        let has_id = self.idp_id.as_deref().is_none_or(|id| text("idp_id") == Some(id));
        let has_email = self
            .email
            .as_deref()
            .is_none_or(|email| text("email").is_some_and(|shown| text_key(shown, false) == email));
        has_id && has_email
    }

    /// Each row once, in the order of the range and no more than it asks for.
    fn sorted(&self, rows: impl Iterator<Item = ResourceRow>) -> Vec<ResourceRow> {
        let mut rows: Vec<ResourceRow> = rows.collect();
        rows.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        rows.dedup_by(|a, b| a.id == b.id);
        if self.range.walk == Walk::Down {
            rows.reverse();
        }
        rows.truncate(usize::try_from(self.range.limit).unwrap_or(usize::MAX));
        rows
    }
}

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
        groups.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        Ok(Self { pairs, groups })
    }

    /// The `directory_user` objects with `groups`, which is a list also when it is empty.
    fn shown(&self, directory: &Directory, users: Vec<ResourceRow>) -> Vec<(String, Value)> {
        let views: Vec<(i64, Value)> = self
            .groups
            .iter()
            .filter_map(|group| Some((group.key, app_view(directory, group)?)))
            .collect();
        let mut of_user: HashMap<i64, HashSet<i64>> = HashMap::new();
        for (user, group) in &self.pairs {
            of_user.entry(*user).or_default().insert(*group);
        }
        let shown = users.into_iter().filter_map(|user| {
            let mut view = app_view(directory, &user)?;
            let keys = of_user.get(&user.key);
            let groups =
                views.iter().filter(|(key, _)| keys.is_some_and(|keys| keys.contains(key)));
            let groups: Vec<Value> = groups.map(|(_, view)| view.clone()).collect();
            view.as_object_mut()?.insert("groups".into(), groups.into());
            Some((user.id, view))
        });
        shown.collect()
    }
}

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
        let group = query.group.map(|id| ("The group", id, find_group as Find));
        let place = self.place(access, query.directory, group).await?;
        let listing = Listing {
            directory: Arc::clone(&place.directory),
            group: place.narrow,
            idp_id: query.idp_id,
            email: query.email.map(|email| text_key(&email, false)),
            range,
        };
        let is_gone = place.is_gone();
        let (rows, groups) = self
            .store
            .read("read_users", move |tx| {
                if is_gone {
                    return Ok((Vec::new(), GroupsOf::default()));
                }
                let rows = listing.rows(tx)?;
                let groups = GroupsOf::read(tx, listing.directory.key, &rows)?;
                Ok::<_, StoreError>((rows, groups))
            })
            .await?;
        let shown = groups.shown(&place.directory, rows);
        Ok(query.page.page(shown, |(id, _)| id).map(|(_, view)| view))
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
            groups.shown(&self.opened_directory(&opened), vec![row]).pop()
        });
        shown.map(|(_, view)| view).ok_or_else(|| AdminError::not_found("The user").into())
    }
}
