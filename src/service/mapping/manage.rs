//! The maps of a directory in the management API: shown, put, tried on stored users, and what they lack.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::attributes::{AttributeMap, AttributeRules, Fault};
use super::expression::USER_UNITS;
use super::follow::{GroupIds, ids_of};
use super::roles::{RoleMap, RoleRules};
use super::work::{Candidate, Which, apply, computed, covers, recorder};
use super::{Mapping, follow, raw, roles_in};
use crate::clock::Ids;
use crate::scim::Object;
use crate::scim::Registry;
use crate::service::administer::{ListPage, ListParameters, missing};
use crate::service::audit::{Entry, Target, action};
use crate::service::context::{Directory, State};
use crate::service::error::AdminError;
use crate::service::identity::Scope;
use crate::service::policy::InForce;
use crate::service::policy_work::rests;
use crate::service::seen::{app_view, object, slugs};
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::directory::DirectoryRow;
use crate::store::resource::ResourceRow;
use crate::store::{IdRange, StoreError, Tx, Walk};

/// Largest map, in bytes of JSON.
const MAX_BYTES: usize = 64 * 1024;

/// Users that a preview shows, by default and at most.
const PREVIEWED: (usize, usize) = (20, 100);

/// Units that the expressions of one preview may draw: what ten users may at most.
const PREVIEW_UNITS: u64 = 10 * USER_UNITS;

/// Users read when a small directory is brought to its map in the unit that stores it.
const AT_ONCE: i64 = 101;

/// `PUT …/attribute_map`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttributeMapChange {
    pub attributes: AttributeRules,
}

/// `GET …/attribute_map`.
#[derive(Clone, Debug, Serialize)]
pub struct AttributeMapView {
    pub attributes: AttributeRules,
    /// Not every user was brought to the maps yet.
    pub applying: bool,
    /// Users with an attribute that is required and missing, or whose expression has failed.
    pub users_with_faults: i64,
}

/// `GET …/role_map`.
#[derive(Clone, Debug, Serialize)]
pub struct RoleMapView {
    #[serde(flatten)]
    pub map: RoleRules,
    /// Not every user was brought to the maps yet.
    pub applying: bool,
}

/// Which stored users a preview shows: those named, or the next behind an id.
#[derive(Clone, Debug, Default)]
pub struct PreviewUsers {
    pub user_ids: Option<Vec<String>>,
    pub after: Option<String>,
    pub limit: Option<usize>,
}

/// `POST …/attribute_map/preview`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttributeMapPreview {
    pub attributes: AttributeRules,
    #[serde(default)]
    pub user_ids: Option<Vec<String>>,
    #[serde(default)]
    pub after: Option<String>,
    #[serde(default)]
    pub limit: Option<usize>,
}

/// `POST …/role_map/preview`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleMapPreview {
    #[serde(default)]
    pub rules: Vec<super::roles::RoleRule>,
    #[serde(default)]
    pub default_role: Option<String>,
    #[serde(default)]
    pub user_ids: Option<Vec<String>>,
    #[serde(default)]
    pub after: Option<String>,
    #[serde(default)]
    pub limit: Option<usize>,
}

/// A user of whom an attribute is missing or has failed.
#[derive(Clone, Debug, Serialize)]
pub struct FaultyUserView {
    #[serde(flatten)]
    user: Object,
    faults: Vec<Value>,
}

/// A map in place of the one before.
#[derive(Clone, Debug)]
enum Put {
    Attributes(Option<String>),
    Roles { text: Option<String>, groups: Vec<String> },
}

impl Service {
    pub async fn attribute_map(
        &self,
        access: &ApiAccess,
        id: &str,
    ) -> Result<AttributeMapView, ServiceError> {
        let row = self.directory_row(access, id).await?;
        let key = row.key;
        let count: Result<i64, StoreError> =
            self.store.get("faulty_count", move |tx| tx.faulty_count(Some(key))).await;
        let map = AttributeMap::stored(row.attribute_map.as_deref());
        Ok(AttributeMapView {
            attributes: map.map(|map| map.rules().clone()).unwrap_or_default(),
            applying: row.mapping_cursor.is_some(),
            users_with_faults: count?,
        })
    }

    pub async fn role_map(
        &self,
        access: &ApiAccess,
        id: &str,
    ) -> Result<RoleMapView, ServiceError> {
        let row = self.directory_row(access, id).await?;
        let map = RoleMap::stored(row.role_map.as_deref());
        Ok(RoleMapView {
            map: map.map(|map| map.rules().clone()).unwrap_or_default(),
            applying: row.mapping_cursor.is_some(),
        })
    }

    /// Puts an attribute map in place of the one before. At most 100 users are brought to it at once,
    /// more by the job.
    pub async fn attribute_map_put(
        &self,
        access: &ApiAccess,
        id: &str,
        change: AttributeMapChange,
    ) -> Result<AttributeMapView, ServiceError> {
        let row = self.directory_row(access, id).await?;
        let map = checked_attributes(change.attributes).await?;
        let text = (!map.rules().is_empty()).then(|| json!(map.rules()).to_string());
        refuse_large("attributes", text.as_deref())?;
        let audit = self.audit(access, action::ATTRIBUTE_MAP_CHANGED);
        self.map_put(row, Put::Attributes(text), audit).await?;
        self.attribute_map(access, id).await
    }

    /// Puts a role map in place of the one before; groups that it names must be there.
    pub async fn role_map_put(
        &self,
        access: &ApiAccess,
        id: &str,
        change: RoleRules,
    ) -> Result<RoleMapView, ServiceError> {
        let row = self.directory_row(access, id).await?;
        let map = RoleMap::checked(change)?;
        let text = (*map.rules() != RoleRules::default()).then(|| json!(map.rules()).to_string());
        refuse_large("rules", text.as_deref())?;
        let groups = map.groups().iter().cloned().collect();
        let audit = self.audit(access, action::ROLE_MAP_CHANGED);
        self.map_put(row, Put::Roles { text, groups }, audit).await?;
        self.role_map(access, id).await
    }

    async fn map_put(&self, row: DirectoryRow, put: Put, audit: Entry) -> Result<(), ServiceError> {
        let key = row.key;
        let (version, wanted) = (row.schema_version, put.applied(row));
        let directory = Arc::new(self.directory_of(wanted).await?);
        let users: Result<i64, StoreError> =
            self.store.get("mapping_users", move |tx| tx.count_total(key, "User")).await;
        // Of more users than one unit tells of the job works it out.
        let small = match users? < AT_ONCE {
            true => Some((version, self.candidates(&directory, Which::After(0, AT_ONCE)).await?)),
            false => None,
        };
        let unit = Unit {
            key,
            put,
            audit,
            registry: directory.registry.clone(),
            small,
            ids: self.clock.ids(),
            now: self.clock.now_ms(),
        };
        let mapped = self.store.write("mapping_put", move |tx| unit.run(tx)).await?;
        self.forget_access();
        self.mapping_wake.notify_one();
        self.mapping_metrics.mapped.inc_by(u64::try_from(mapped).unwrap_or(u64::MAX));
        Ok(())
    }

    /// What an attribute map would make of stored users. Nothing is stored.
    pub async fn attribute_map_preview(
        &self,
        access: &ApiAccess,
        id: &str,
        wanted: AttributeMapPreview,
    ) -> Result<Value, ServiceError> {
        let row = self.directory_row(access, id).await?;
        let map = checked_attributes(wanted.attributes).await?;
        let mapping = Mapping { attributes: Some(map), ..Mapping::default() };
        let AttributeMapPreview { user_ids, after, limit, .. } = wanted;
        self.map_preview(row, mapping, PreviewUsers { user_ids, after, limit }).await
    }

    /// What a role map would make of stored users. Nothing is stored.
    pub async fn role_map_preview(
        &self,
        access: &ApiAccess,
        id: &str,
        wanted: RoleMapPreview,
    ) -> Result<Value, ServiceError> {
        let row = self.directory_row(access, id).await?;
        let RoleMapPreview { rules, default_role, user_ids, after, limit } = wanted;
        let map = RoleMap::checked(RoleRules { rules, default_role })?;
        let (key, groups) = (row.key, map.groups().iter().cloned().collect::<Vec<String>>());
        self.store.get("role_groups", move |tx| refuse_unknown_groups(tx, key, &groups)).await?;
        let mapping = Mapping { roles: Some(roles_in(&row, map)), ..Mapping::default() };
        self.map_preview(row, mapping, PreviewUsers { user_ids, after, limit }).await
    }

    async fn map_preview(
        &self,
        row: DirectoryRow,
        mapping: Mapping,
        wanted: PreviewUsers,
    ) -> Result<Value, ServiceError> {
        let limit = wanted.limit.unwrap_or(PREVIEWED.0);
        if !(1..=PREVIEWED.1).contains(&limit) {
            let message = format!("it is {limit}; allowed is 1 to {}.", PREVIEWED.1);
            return Err(AdminError::invalid("limit", message).into());
        }
        if wanted.user_ids.as_ref().is_some_and(|ids| ids.len() > PREVIEWED.1) {
            let message = format!("it names more than {} users.", PREVIEWED.1);
            return Err(AdminError::invalid("user_ids", message).into());
        }
        let limit = wanted.user_ids.as_ref().map_or(limit, Vec::len);
        let directory = Arc::new(self.directory_of(row).await?);
        let (key, follows) = (directory.key, mapping.group_roles().is_some());
        let read = move |tx: &mut Tx<'_>| {
            let users = preview_users(tx, key, &wanted, limit)?;
            let keys: Vec<i64> = users.iter().map(|user| user.key).collect();
            let groups = match follows {
                true => follow::group_ids(tx, key, &keys)?,
                false => GroupIds::new(),
            };
            Ok::<_, ServiceError>((users, groups))
        };
        let (mut users, groups) = self.store.scan("mapping_preview", read).await?;
        let more = users.len() > limit;
        users.truncate(limit);
        let last = users.last().map(|user| user.id.clone()).filter(|_| more);
        // The threads are those that verify secrets, too.
        let place = Arc::clone(&self.previews).acquire_owned().await;
        let shown = computed(move || {
            let _place = place;
            previewed(&directory, &mapping, &users, &groups)
        })
        .await??;
        let changed = shown.iter().filter(|user| user.get("before") != user.get("after")).count();
        Ok(json!({"data": shown, "changed": changed, "list_metadata": {"after": last}}))
    }

    /// Users, newest first, with an attribute that is required and missing, or whose expression has
    /// failed.
    pub async fn attribute_faults(
        &self,
        access: &ApiAccess,
        id: &str,
        parameters: &ListParameters,
    ) -> Result<ListPage<FaultyUserView>, ServiceError> {
        let range = parameters.range()?;
        let row = self.directory_row(access, id).await?;
        let directory = self.directory_of(row).await?;
        let (key, reading) = (directory.key, range.clone());
        let rows: Result<_, StoreError> =
            self.store.get("faulty_list", move |tx| tx.faulty_list(key, &reading)).await;
        let page = ListPage::of(&range, rows?, |user| &user.row.id);
        Ok(page.map(|user| {
            let faults: BTreeMap<String, Fault> =
                serde_json::from_str(&user.faults).unwrap_or_default();
            let faults = faults.into_iter().map(|(name, fault)| shown_fault(&name, &fault));
            FaultyUserView { user: who(&directory, &user.row), faults: faults.collect() }
        }))
    }
}

/// Compiles where it holds up nobody.
async fn checked_attributes(rules: AttributeRules) -> Result<AttributeMap, ServiceError> {
    computed(move || AttributeMap::checked(rules)).await?
}

fn refuse_large(field: &str, text: Option<&str>) -> Result<(), AdminError> {
    match text.map_or(0, str::len) {
        bytes if bytes > MAX_BYTES => {
            let message =
                format!("all of it is {bytes} bytes large; at most {MAX_BYTES} are allowed.");
            Err(AdminError::invalid(field, message))
        }
        _ => Ok(()),
    }
}

/// Refuses rules about groups that are not in the directory.
fn refuse_unknown_groups(
    tx: &mut Tx<'_>,
    directory_key: i64,
    ids: &[String],
) -> Result<(), ServiceError> {
    let found = tx.member_keys_of(directory_key, ids)?;
    let keys: Vec<i64> = found.iter().map(|(key, _)| *key).collect();
    let kinds = tx.resource_kinds(directory_key, &keys)?;
    let groups: HashSet<i64> =
        kinds.into_iter().filter(|(_, kind)| kind == "Group").map(|(key, _)| key).collect();
    let known: HashSet<&str> =
        found.iter().filter(|(key, _)| groups.contains(key)).map(|(_, id)| id.as_str()).collect();
    let mut unknown: Vec<&str> =
        ids.iter().map(String::as_str).filter(|id| !known.contains(id)).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    unknown.sort_unstable();
    let shown: Vec<String> = unknown
        .iter()
        .take(5)
        .map(|id| format!("\"{}\"", id.chars().take(80).collect::<String>()))
        .collect();
    let message = format!("{} is no id of a group in this directory.", shown.join(", "));
    Err(AdminError::invalid("rules", message).into())
}

impl Put {
    /// The directory as it is to be.
    fn applied(&self, row: DirectoryRow) -> DirectoryRow {
        match self {
            Self::Attributes(text) => DirectoryRow { attribute_map: text.clone(), ..row },
            Self::Roles { text, .. } => DirectoryRow { role_map: text.clone(), ..row },
        }
    }
}

impl Put {
    /// The map of that kind that a directory has.
    fn rules(&self, row: &DirectoryRow) -> Value {
        let text = match self {
            Self::Attributes(_) => &row.attribute_map,
            Self::Roles { .. } => &row.role_map,
        };
        object(text.as_deref().unwrap_or("{}")).into()
    }
}

/// The unit that stores a map.
struct Unit {
    key: i64,
    put: Put,
    audit: Entry,
    registry: Registry,
    /// What the map makes of all users of a small directory, and the version of the rules by which that
    /// was worked out.
    small: Option<(i64, Vec<Candidate>)>,
    ids: Ids,
    now: i64,
}

impl Unit {
    /// Answers how many users were changed at once.
    fn run(&self, tx: &mut Tx<'_>) -> Result<usize, ServiceError> {
        let state = tx.directory_lock_exclusive(self.key)?;
        let state = state.as_deref().and_then(State::parse);
        if state.is_none_or(|state| state == State::Deleting) {
            return Err(missing());
        }
        let before = tx.directory_by_key(self.key)?.ok_or_else(missing)?;
        let shared = tx.directory_share(self.key)?.ok_or_else(missing)?;
        if shared.converting {
            let message = "A change of this directory's schemas is under way; try again.";
            return Err(AdminError::new(409, "schema_change_under_way", message).into());
        }
        if let Put::Roles { groups, .. } = &self.put {
            refuse_unknown_groups(tx, self.key, groups)?;
        }
        let wanted = self.put.applied(before.clone());
        // The same map is applied once more, without which nobody could repair what is stored.
        if (&wanted.attribute_map, &wanted.role_map) != (&before.attribute_map, &before.role_map) {
            let (attributes, roles) = (wanted.attribute_map.as_deref(), wanted.role_map.as_deref());
            tx.mapping_set(self.key, attributes, roles, self.now)?;
        }
        let (old, new) = (self.put.rules(&before), self.put.rules(&wanted));
        self.audit.write(tx, Target::directory(&before), old, new)?;
        let all = self.small.as_ref().filter(|(version, _)| *version == before.schema_version);
        let all = all.filter(|_| !rests(Some(state.unwrap_or(State::Error))));
        if let Some((_, candidates)) = all
            && before.mapping_cursor.is_none()
            && covers(tx, &before, candidates)?
        {
            let directory = Directory::from_row(&wanted, self.registry.clone());
            let in_force = InForce::new(&shared.settings, shared.policy_cursor);
            let identities = Scope::enter(tx, &directory)?;
            let (ids, now) = (self.ids.clone(), self.now);
            let mut recorder = recorder(&directory, in_force, identities, ids, now);
            let candidates: Vec<&Candidate> = candidates.iter().collect();
            return Ok(apply(tx, &mut recorder, &candidates)?);
        }
        tx.mapping_cursor_set(self.key, Some(0))?;
        Ok(0)
    }
}

/// The users of a preview, one more than wanted when there are more behind them.
fn preview_users(
    tx: &mut Tx<'_>,
    directory_key: i64,
    wanted: &PreviewUsers,
    limit: usize,
) -> Result<Vec<ResourceRow>, ServiceError> {
    let Some(ids) = &wanted.user_ids else {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
        let range = IdRange { walk: Walk::Up, beyond: wanted.after.clone(), limit };
        return Ok(tx.app_list(directory_key, "User", &range)?);
    };
    let mut users = Vec::with_capacity(ids.len());
    for id in ids {
        let user = tx.resource_get(directory_key, "User", id)?;
        let user = user.filter(|user| user.app_state.is_visible());
        users.push(user.ok_or_else(|| {
            let id: String = id.chars().take(80).collect();
            AdminError::not_found(&format!("The user \"{id}\""))
        })?);
    }
    Ok(users)
}

/// The users before and after.
fn previewed(
    directory: &Directory,
    mapping: &Mapping,
    users: &[ResourceRow],
    groups: &GroupIds,
) -> Result<Vec<Value>, ServiceError> {
    let (mut shown, mut units) = (Vec::with_capacity(users.len()), 0);
    for (number, user) in users.iter().enumerate() {
        if units > PREVIEW_UNITS {
            let message = format!(
                "the expressions take more steps than a preview has for {} users: it ended after \
                 {number}; ask for fewer.",
                users.len()
            );
            return Err(AdminError::invalid("attributes", message).into());
        }
        let (user, drawn) = before_and_after(directory, mapping, user, groups)?;
        units += drawn;
        shown.push(user);
    }
    Ok(shown)
}

/// A user before and after, and what the expressions cost.
fn before_and_after(
    directory: &Directory,
    mapping: &Mapping,
    row: &ResourceRow,
    groups: &GroupIds,
) -> Result<(Value, u64), StoreError> {
    let (document, extra) = (object(&row.doc), row.extra.as_deref().map(object));
    let (mut shown, mut units) = (who(directory, row), 0);
    if let Some(map) = &mapping.attributes {
        let user = directory.registry.by_name("User");
        let raw = user.map(|user| raw(user, &document, extra.as_ref())).unwrap_or_default();
        let made = map.attributes_of(&raw)?;
        units = made.units;
        let faults = made.faults.iter().map(|(name, fault)| shown_fault(name, fault));
        let before = row.custom_attributes.as_deref().map(object).unwrap_or_default();
        shown.insert("before".to_owned(), before.into());
        shown.insert("faults".to_owned(), faults.collect::<Vec<Value>>().into());
        shown.insert("after".to_owned(), made.values.into());
    }
    if let Some(map) = &mapping.roles {
        let after = map.roles_of(&document, &ids_of(groups, row.key));
        let before = row.roles.as_deref().map(slugs).unwrap_or_default();
        shown.insert("before".to_owned(), before.into());
        shown.insert("after".to_owned(), after.into());
    }
    Ok((shown.into(), units))
}

/// Who a user is, for people who read a list.
fn who(directory: &Directory, row: &ResourceRow) -> Object {
    let view = app_view(directory, row).unwrap_or_default();
    let part = |name: &str| view.get(name).cloned().unwrap_or_default();
    let mut who = Object::new();
    who.insert("user_id".to_owned(), row.id.clone().into());
    for name in ["idp_id", "username", "email", "state"] {
        who.insert(name.to_owned(), part(name));
    }
    who
}

fn shown_fault(name: &str, fault: &Fault) -> Value {
    let mut shown = json!({"attribute": name});
    if let (Some(members), Value::Object(fault)) = (shown.as_object_mut(), json!(fault)) {
        members.extend(fault);
    }
    shown
}
