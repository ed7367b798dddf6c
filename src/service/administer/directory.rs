//! Directories: created with their first token, changed, and deleted in two steps.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::profile;
use super::token::issue;
use super::told::{activated, audited, deleted};
use super::{TokenView, check_name};
use crate::auth::{Secret, SecretKind, hash};
use crate::clock::{Clock, Ids};
use crate::event::{Reason, name};
use crate::pull::SourceKind;
use crate::scim::key::instant_text;
use crate::service::audit::{Entry, Target, action};
use crate::service::authenticate::TokenScope;
use crate::service::brake;
use crate::service::client::ClientView;
use crate::service::context::{Kind, Settings, State};
use crate::service::disconnect::{note_stop, refuse_unready};
use crate::service::error::AdminError;
use crate::service::policy_work::Done;
use crate::service::sync::config::SourceView;
use crate::service::{ApiAccess, Service, ServiceError, sync};
use crate::store::app_read::AppCounts;
use crate::store::directory::DirectoryRow;
use crate::store::event::NewEvent;
use crate::store::pending::PendingRow;
use crate::store::sync::SyncRow;
use crate::store::token::TokenRow;
use crate::store::{StoreError, Tx};

#[derive(Clone, Debug, Serialize)]
pub struct DirectoryView {
    pub id: String,
    pub organization_id: String,
    pub external_key: String,
    pub name: String,
    pub kind: String,
    pub state: String,
    /// Its accounts say what the identities of the organization are.
    pub primary: bool,
    /// Not of a directory that is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scim: Option<ScimUrls>,
    pub settings: Value,
    /// Of a directory that is read, with its secrets masked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<Value>,
    pub client: ClientView,
    pub metadata: CountsView,
    pub last_request_at: Option<String>,
    pub last_sync_at: Option<String>,
    pub last_sync_counts: Option<Value>,
    pub last_error: Option<String>,
    /// Of a directory that is read by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_sync_at: Option<String>,
    pub created_at: String,
    pub updated_at: String,
    /// Only in the answer to a create.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenView>,
}

/// How many users and groups the app sees.
#[derive(Clone, Debug, Serialize)]
pub struct CountsView {
    pub users: UserCounts,
    pub groups: i64,
}

#[derive(Clone, Debug, Serialize)]
pub struct UserCounts {
    pub active: i64,
    pub inactive: i64,
}

impl CountsView {
    fn of(counts: AppCounts) -> Self {
        let users = UserCounts { active: counts.active, inactive: counts.inactive };
        Self { users, groups: counts.groups }
    }
}

/// What an administrator pastes into the identity provider.
#[derive(Clone, Debug, Serialize)]
pub struct ScimUrls {
    pub base_url: String,
    pub v1_base_url: String,
}

impl DirectoryView {
    fn of(row: DirectoryRow, client: ClientView, counts: AppCounts, public_url: &str) -> Self {
        let key = &row.external_key;
        Self {
            scim: Some(ScimUrls {
                base_url: format!("{public_url}/scim/v2/{key}"),
                v1_base_url: format!("{public_url}/scim/v1/{key}"),
            }),
            config: None,
            settings: serde_json::from_str(&row.settings).unwrap_or_else(|_| json!({})),
            client,
            metadata: CountsView::of(counts),
            last_request_at: row.last_request.map(instant_text),
            last_sync_at: None,
            last_sync_counts: None,
            last_error: None,
            next_sync_at: None,
            created_at: instant_text(row.created),
            updated_at: instant_text(row.modified),
            id: row.id,
            organization_id: row.organization_id,
            external_key: row.external_key,
            name: row.name,
            kind: row.kind,
            state: row.state,
            primary: row.primary,
            token: None,
        }
    }

    /// The same of a directory that is read.
    fn read(self, source: SourceView) -> Self {
        Self {
            scim: None,
            config: Some(source.config),
            last_sync_at: source.last_sync.map(instant_text),
            last_sync_counts: source.last_counts,
            last_error: source.last_error,
            next_sync_at: source.next_sync.map(instant_text),
            ..self
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewDirectory {
    pub organization_id: String,
    pub name: String,
    pub kind: String,
    #[serde(default)]
    pub settings: Option<Value>,
    #[serde(default)]
    pub config: Option<Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectoryChange {
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub state: Option<String>,
    #[serde(default)]
    pub settings: Option<Value>,
    #[serde(default)]
    pub config: Option<Value>,
}

pub(in crate::service) fn missing() -> ServiceError {
    AdminError::not_found("The directory").into()
}

/// Reads settings of a directory of that kind and tries them: what is stored is known to work.
pub(in crate::service) fn checked_settings(
    settings: Option<&Value>,
    kind: &str,
) -> Result<String, AdminError> {
    let Some(value) = settings.filter(|value| !value.is_null()) else { return Ok("{}".into()) };
    if !value.is_object() {
        return Err(AdminError::invalid("settings", "it must be an object."));
    }
    if let Some(overrides) = value.get("profile").and_then(Value::as_object) {
        profile::check(overrides, "settings.profile")?;
    }
    let settings: Settings = serde_path_to_error::deserialize(value).map_err(|error| {
        let (path, inner) = (error.path().to_string(), error.into_inner());
        let field = if path == "." { "settings".into() } else { format!("settings.{path}") };
        AdminError::invalid(&field, format!("{inner}."))
    })?;
    settings.records.check().map_err(|(field, message)| {
        AdminError::invalid(&format!("settings.records.{field}"), message)
    })?;
    sync::settings::check(&settings, kind)?;
    Ok(value.to_string())
}

/// A directory and its first token, if it is to have one, decided but not stored.
pub(super) struct Draft {
    id: String,
    pub(super) external_key: String,
    name: String,
    kind: String,
    settings: String,
    state: State,
    token: Option<TokenRow>,
    /// Of the token; empty without one.
    pub(super) secret: String,
    ids: Ids,
    now: i64,
}

/// What a directory is called in the addresses that identity providers are given.
fn external_key(id: &str) -> String {
    id.rsplit('_').next().unwrap_or_default().to_owned()
}

impl Draft {
    /// With a token that is made by that API key, if it is one.
    pub(super) fn new(
        clock: &Clock,
        name: String,
        kind: String,
        settings: String,
        made_by: Option<String>,
    ) -> Self {
        let bare = Self::bare(clock, name, kind, settings);
        let secret = Secret::generate(SecretKind::Directory, clock);
        let token = TokenRow {
            id: secret.id,
            directory_key: 0,
            suffix: secret.suffix,
            hash: hash::hash(&secret.text),
            scope: TokenScope::Write.as_str().to_owned(),
            user_id: None,
            expires: None,
            created: bare.now,
            last_used: None,
            made_by,
        };
        Self { token: Some(token), secret: secret.text, ..bare }
    }

    /// Of a directory that is read: the app is told of it after the first read.
    pub(super) fn read(clock: &Clock, name: String, kind: String, settings: String) -> Self {
        Self { state: State::Validating, ..Self::bare(clock, name, kind, settings) }
    }

    /// The same with an id that was made before.
    pub(super) fn under(self, id: String) -> Self {
        Self { external_key: external_key(&id), id, ..self }
    }

    /// Without a token.
    pub(super) fn bare(clock: &Clock, name: String, kind: String, settings: String) -> Self {
        let (id, now) = (clock.id("directory"), clock.now_ms());
        Self {
            external_key: external_key(&id),
            id,
            name,
            kind,
            settings,
            state: State::Linked,
            token: None,
            secret: String::new(),
            ids: clock.ids(),
            now,
        }
    }

    /// Stores directory, token and their events.
    pub(super) fn store(
        &self,
        tx: &mut Tx<'_>,
        organization_key: i64,
    ) -> Result<DirectoryRow, ServiceError> {
        let mut ids = self.ids.clone();
        let key = tx.directory_insert(&crate::store::directory::NewDirectory {
            organization_key,
            id: self.id.clone(),
            external_key: self.external_key.clone(),
            name: self.name.clone(),
            kind: self.kind.clone(),
            state: self.state.as_str().to_owned(),
            settings: self.settings.clone(),
            config: "{}".to_owned(),
            now: self.now,
        })?;
        let row = tx.directory_by_key(key)?.ok_or_else(missing)?;
        if self.state == State::Validating {
            return Ok(row);
        }
        let domains = tx.domain_list(std::slice::from_ref(&row.organization_id))?;
        let activated = NewEvent {
            id: ids.next("event"),
            event: name::ACTIVATED,
            resource_id: row.id.clone(),
            member_id: None,
            data: activated(&row, &domains).to_string().into(),
            reason: None,
            created: self.now,
        };
        tx.event_append(key, &activated)?;
        if let Some(token) = &self.token {
            let token = TokenRow { directory_key: key, ..token.clone() };
            issue(tx, &row, &token, &mut ids, self.now)?;
        }
        Ok(row)
    }
}

fn no_organization(id: &str) -> ServiceError {
    let id: String = id.chars().take(80).collect();
    AdminError::not_found(&format!("The organization \"{id}\"")).into()
}

impl Service {
    pub async fn directory_create(
        &self,
        access: &ApiAccess,
        new: NewDirectory,
    ) -> Result<DirectoryView, ServiceError> {
        check_name(&new.name)?;
        Kind::parse(&new.kind).map_err(|e| AdminError::invalid("kind", e))?;
        let settings = checked_settings(new.settings.as_ref(), &new.kind)?;
        let source = self.source_checked(access, &new.kind, new.config.as_ref())?;
        if !access.reaches(&new.organization_id) {
            return Err(no_organization(&new.organization_id));
        }
        let draft = match &source {
            None => {
                let made_by = Some(access.key_id.clone());
                Draft::new(&self.clock, new.name, new.kind, settings, made_by)
            }
            // Nobody pushes into it.
            Some(_) => Draft::read(&self.clock, new.name, new.kind, settings),
        };
        let (token, secret) = (draft.token.clone(), draft.secret.clone());
        let (syncs, now) = (Arc::clone(&self.syncs), self.clock.now_ms());
        let organization_id = new.organization_id;
        let audit = self.audit(access, action::DIRECTORY_CREATED);
        let row: Result<DirectoryRow, ServiceError> = self
            .store
            .write("directory_create", move |tx| {
                let organization = tx
                    .organization_get(&organization_id)?
                    .ok_or_else(|| no_organization(&organization_id))?;
                let row = draft.store(tx, organization.key)?;
                if let Some(source) = &source {
                    source.store(tx, &row, &syncs, now)?;
                }
                let made = audited(tx, &syncs, &row)?;
                audit.write(tx, Target::directory(&row), Value::Null, made)?;
                Ok(row)
            })
            .await;
        let mut view = self.directory_view(row?).await?;
        view.token = token.map(|token| TokenView::with_secret(token, secret));
        Ok(view)
    }

    /// The directory's row, if the key may see it.
    pub(in crate::service) async fn directory_row(
        &self,
        access: &ApiAccess,
        id: &str,
    ) -> Result<DirectoryRow, ServiceError> {
        let wanted = id.to_owned();
        let row: Result<Option<DirectoryRow>, StoreError> =
            self.store.get("directory_get", move |tx| tx.directory_get(&wanted)).await;
        row?.filter(|row| access.reaches(&row.organization_id)).ok_or_else(missing)
    }

    pub async fn directory_get(
        &self,
        access: &ApiAccess,
        id: &str,
    ) -> Result<DirectoryView, ServiceError> {
        self.directory_view(self.directory_row(access, id).await?).await
    }

    pub(in crate::service) async fn directory_view(
        &self,
        row: DirectoryRow,
    ) -> Result<DirectoryView, ServiceError> {
        let mut views = self.directory_views(vec![row]).await?;
        views.pop().ok_or_else(missing)
    }

    pub(super) async fn directory_views(
        &self,
        rows: Vec<DirectoryRow>,
    ) -> Result<Vec<DirectoryView>, ServiceError> {
        let mut clients = self.clients(&rows).await?.into_iter();
        let keys: Vec<i64> = rows.iter().map(|row| row.key).collect();
        let counts: Result<HashMap<i64, AppCounts>, StoreError> =
            self.store.get("directory_counts", move |tx| tx.app_counts(&keys)).await;
        let mut counts = counts?;
        let read = rows.iter().filter(|row| SourceKind::named(&row.kind).is_some());
        let read: Vec<i64> = read.map(|row| row.key).collect();
        let sources: Result<Vec<SyncRow>, StoreError> = match read.is_empty() {
            true => Ok(Vec::new()),
            false => self.store.get("sync_rows", move |tx| tx.sync_rows(&read)).await,
        };
        let sources = sources?;
        let view = |row: DirectoryRow| {
            let client = clients.next().unwrap_or_else(|| ClientView::nobody(&row.kind));
            let source = sources.iter().find(|source| source.directory_key == row.key);
            let source = source.map(|source| self.syncs.view(&row, source));
            let counts = counts.remove(&row.key).unwrap_or_default();
            let view = DirectoryView::of(row, client, counts, &self.public_url);
            match source {
                Some(source) => view.read(source),
                None => view,
            }
        };
        Ok(rows.into_iter().map(view).collect())
    }

    /// Member values that wait for their resources, oldest first, at most 500.
    pub async fn pending_members(
        &self,
        access: &ApiAccess,
        id: &str,
    ) -> Result<Value, ServiceError> {
        let row = self.directory_row(access, id).await?;
        let rows: Result<Vec<PendingRow>, StoreError> =
            self.store.get("pending_list", move |tx| tx.pending_list(row.key, 500)).await;
        let shown = rows?.into_iter().map(|row| {
            json!({
                "group_id": row.group_id,
                "group": row.display,
                "value": row.value,
                "since": instant_text(row.created),
            })
        });
        Ok(json!({"data": shown.collect::<Vec<Value>>()}))
    }

    pub async fn directory_update(
        &self,
        access: &ApiAccess,
        id: &str,
        change: DirectoryChange,
    ) -> Result<DirectoryView, ServiceError> {
        let row = self.directory_row(access, id).await?;
        if let Some(name) = &change.name {
            check_name(name)?;
        }
        let source = self.changed_source(access, &row, change.config.as_ref()).await?;
        let state = match change.state.as_deref() {
            None => None,
            Some(word @ ("linked" | "paused" | "disabled")) => Some(word.to_owned()),
            Some(other) => {
                let message = format!("it is \"{other}\"; allowed are linked, paused, disabled.");
                return Err(AdminError::invalid("state", message).into());
            }
        };
        let settings = match &change.settings {
            None => None,
            some => Some(checked_settings(some.as_ref(), &row.kind)?),
        };
        let (syncs, now, ids) = (Arc::clone(&self.syncs), self.clock.now_ms(), self.clock.ids());
        let made_by = access.key_id.clone();
        let work = match &settings {
            Some(_) => Some(self.policy_work(row.key).await?),
            None => None,
        };
        let audit = self.audit(access, action::DIRECTORY_UPDATED);
        let updated: Result<_, ServiceError> = self
            .store
            .write("directory_update", move |tx| {
                let locked = tx.directory_lock_exclusive(row.key)?;
                if locked.as_deref().is_none_or(|state| state == "deleting") {
                    return Err(missing());
                }
                let row = tx.directory_by_key(row.key)?.ok_or_else(missing)?;
                note_stop(tx, &made_by, &row, state.as_deref(), now)?;
                let before = audited(tx, &syncs, &row)?;
                let settings = settings.as_ref().unwrap_or(&row.settings);
                profile::switch_rules(tx, &row, settings)?;
                tx.directory_update(
                    row.key,
                    change.name.as_ref().unwrap_or(&row.name),
                    state.as_ref().unwrap_or(&row.state),
                    settings,
                    &row.config,
                    now,
                )?;
                let done = match &work {
                    Some(work) => work.after_change(tx, &row, settings)?,
                    None => Done::default(),
                };
                let row = tx.directory_by_key(row.key)?.ok_or_else(missing)?;
                let kind = SourceKind::named(&row.kind);
                if let Some(source) = &source {
                    source.replace(tx, &row, &syncs, now)?;
                } else if let (Some(kind), Some(_)) = (kind, &work) {
                    let next = sync::config::next_after_change(kind, &row.settings, now);
                    tx.sync_schedule_set(row.key, next)?;
                }
                if kind.is_some() && (source.is_some() || work.is_some()) {
                    sync::outdate(tx, &mut ids.clone(), now, &row)?;
                }
                let after = audited(tx, &syncs, &row)?;
                audit.write(tx, Target::directory(&row), before, after)?;
                Ok((row, done))
            })
            .await;
        let (row, done) = updated?;
        self.forget_access();
        self.count_policy_work(done);
        self.directory_view(row).await
    }

    /// What a directory that is read would be read by after a change; `None` where nothing changes.
    async fn changed_source(
        &self,
        access: &ApiAccess,
        row: &DirectoryRow,
        change: Option<&Value>,
    ) -> Result<Option<sync::config::Checked>, ServiceError> {
        let Some(change) = change.filter(|change| !change.is_null()) else { return Ok(None) };
        let key = row.key;
        let source: Result<Option<SyncRow>, StoreError> =
            self.store.get("sync_get", move |tx| tx.sync_get(key)).await;
        match source? {
            Some(source) => Ok(self.source_changed(access, row, &source, change)?),
            None => Ok(sync::config::refuse(Some(change)).map(|()| None)?),
        }
    }

    /// Begins the deletion: tokens die and the one event is written at once; the rows go later, see
    /// [`Service::purge_deleted_directories`].
    pub async fn directory_delete(&self, access: &ApiAccess, id: &str) -> Result<(), ServiceError> {
        let key = self.directory_row(access, id).await?.key;
        let ending = self.directory_ending(self.audit(access, action::DIRECTORY_DELETED));
        self.store
            .write("directory_deleting", move |tx| {
                match tx.directory_lock_exclusive(key)?.ok_or_else(missing)?.as_str() {
                    "deleting" => Ok(()),
                    _ => ending.begin(tx, key),
                }
            })
            .await?;
        self.forget_access();
        Ok(())
    }

    /// A deletion that is begun in a unit of somebody's own.
    pub(in crate::service) fn directory_ending(&self, audit: Entry) -> Ending {
        let (ids, now) = (self.clock.ids(), self.clock.now_ms());
        Ending { syncs: Arc::clone(&self.syncs), audit, ids, now }
    }
}

/// The end of a directory, as far as one unit goes.
pub(in crate::service) struct Ending {
    syncs: Arc<sync::Syncs>,
    audit: Entry,
    ids: Ids,
    now: i64,
}

impl Ending {
    /// Begins it in a unit that has the directory for itself.
    pub(in crate::service) fn begin(&self, tx: &mut Tx<'_>, key: i64) -> Result<(), ServiceError> {
        let (mut ids, now) = (self.ids.clone(), self.now);
        let row = tx.directory_by_key(key)?.ok_or_else(missing)?;
        // Nobody makes it the primary one behind this look: that takes the directory as well.
        refuse_unready(tx, &row)?;
        let before = audited(tx, &self.syncs, &row)?;
        self.audit.write(tx, Target::directory(&row), before, Value::Null)?;
        brake::let_go(tx, key, &mut ids, now)?;
        let deleting = State::Deleting.as_str();
        tx.directory_update(key, &row.name, deleting, &row.settings, &row.config, now)?;
        tx.token_delete_all(key)?;
        let event = NewEvent {
            id: ids.next("event"),
            event: name::DELETED,
            resource_id: row.id.clone(),
            member_id: None,
            data: deleted(&row).to_string().into(),
            reason: Some(Reason::DirectoryDeleted),
            created: now,
        };
        Ok(tx.event_append(key, &event)?)
    }
}

/// Locks the directory for a change of its tokens.
pub(super) fn lock(tx: &mut Tx<'_>, key: i64) -> Result<(), ServiceError> {
    match tx.directory_share(key)? {
        Some(shared) if shared.state != State::Deleting.as_str() => Ok(()),
        _ => Err(missing()),
    }
}
