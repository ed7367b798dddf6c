//! Endpoints as operators and apps make, change and remove them.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::scope::{Scope, check_room};
use super::view::{EndpointView, HookView, audited};
use super::{missing, organizations, reaches};
use crate::clock::fill_random;
use crate::event::deliver::Health;
use crate::event::name;
use crate::event::sign::{SECRET_BYTES, SigningSecret};
use crate::scim::key::instant_text;
use crate::service::administer::{ListPage, ListParameters, present};
use crate::service::audit::{Target, action};
use crate::service::error::AdminError;
use crate::service::events::{Start, position_of};
use crate::service::read::{Page, PageRequest, collect};
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::webhook::EndpointRow;
use crate::store::{IdRange, ListRange, RangeFrom, StoreError, Walk};

const MAX_EVENTS: usize = 100;
const MAX_URL_BYTES: usize = 1_024;

/// Seconds that a secret and its successor sign together: a day; at most 30 days.
const OVERLAP: (i64, i64) = (24 * 60 * 60, 30 * 24 * 60 * 60);

/// A new endpoint as the SDKs send it. Members that other servers know are passed over.
#[derive(Clone, Debug, Deserialize)]
pub struct NewHook {
    pub endpoint_url: String,
    pub events: Vec<String>,
}

/// A change as the SDKs send it: what it leaves out stays as it is.
#[derive(Clone, Debug, Deserialize)]
pub struct HookChange {
    #[serde(default)]
    pub endpoint_url: Option<String>,
    #[serde(default)]
    pub status: Option<Status>,
    #[serde(default)]
    pub events: Option<Vec<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Enabled,
    Disabled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndpointState {
    Enabled,
    /// Nothing is sent until it is enabled; the position stays.
    Paused,
    /// The same, for good unless somebody changes his mind.
    Disabled,
}

impl EndpointState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Paused => "paused",
            Self::Disabled => "disabled",
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewEndpoint {
    pub endpoint_url: String,
    pub events: Vec<String>,
    /// Whose events count; without it those of all that the key may see.
    #[serde(default)]
    pub organization_ids: Option<Vec<String>>,
    #[serde(default)]
    pub state: Option<EndpointState>,
    /// Where it begins: `newest` unless it says otherwise, `oldest`, a position or the id of an event.
    #[serde(default)]
    pub after: Option<Place>,
}

/// A place in the log.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Place {
    Position(i64),
    Word(String),
}

impl Place {
    pub(super) fn start(&self, field: &str) -> Result<Start, AdminError> {
        match self {
            Self::Position(position) => Start::parse(field, &position.to_string()),
            Self::Word(word) => Start::parse(field, word),
        }
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointChange {
    #[serde(default)]
    pub endpoint_url: Option<String>,
    #[serde(default)]
    pub events: Option<Vec<String>>,
    /// Null: those of all that the key may see.
    #[serde(default, deserialize_with = "present")]
    pub organization_ids: Option<Option<Vec<String>>>,
    #[serde(default)]
    pub state: Option<EndpointState>,
}

impl From<HookChange> for EndpointChange {
    fn from(change: HookChange) -> Self {
        Self {
            endpoint_url: change.endpoint_url,
            events: change.events,
            organization_ids: None,
            state: change.status.map(|status| match status {
                Status::Enabled => EndpointState::Enabled,
                Status::Disabled => EndpointState::Disabled,
            }),
        }
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretRotation {
    /// Seconds that both secrets sign.
    #[serde(default)]
    pub overlap: Option<i64>,
}

fn check_events(events: &[String]) -> Result<String, AdminError> {
    let mut sorted: Vec<&str> = Vec::new();
    for event in events {
        if !name::may_be_sent(event) {
            let event: String = event.chars().filter(|c| !c.is_control()).take(80).collect();
            let known = name::ALL.join(", ");
            let message = format!(
                "\"{event}\" is no event; those of directories are {known}, and the server's own \
                 begin with rollbook."
            );
            return Err(AdminError::invalid("events", message));
        }
        if !sorted.contains(&event.as_str()) {
            sorted.push(event);
        }
    }
    match (1..=MAX_EVENTS).contains(&sorted.len()) {
        true => Ok(Value::from(sorted).to_string()),
        false => {
            let message = format!("it must name 1 to {MAX_EVENTS} events.");
            Err(AdminError::invalid("events", message))
        }
    }
}

fn new_secret() -> SigningSecret {
    let mut bytes = [0; SECRET_BYTES];
    fill_random(&mut bytes);
    SigningSecret::of(bytes)
}

impl Service {
    /// Refuses an address that is never called.
    fn check_endpoint_url(&self, url: &str) -> Result<(), AdminError> {
        let invalid = |message: String| AdminError {
            status: 422,
            code: "invalid_url",
            message: format!("The field \"endpoint_url\" is not valid: {message}"),
            errors: vec![("endpoint_url".to_owned(), message)],
            retry_after: None,
        };
        if url.len() > MAX_URL_BYTES {
            return Err(invalid(format!(
                "it has {} bytes; allowed are {MAX_URL_BYTES}.",
                url.len()
            )));
        }
        self.webhooks.outbound.check(url).map_err(invalid)
    }

    /// Stores a new endpoint; answers it with its secret.
    async fn webhook_store(
        &self,
        access: &ApiAccess,
        new: NewEndpoint,
    ) -> Result<(EndpointRow, SigningSecret), ServiceError> {
        self.check_endpoint_url(&new.endpoint_url)?;
        let (id, now, secret) = (self.clock.id("we"), self.clock.now_ms(), new_secret());
        let state = new.state.unwrap_or(EndpointState::Enabled);
        let scope = Scope::of(access, new.organization_ids)?;
        let row = EndpointRow {
            scope: String::new(),
            url: new.endpoint_url,
            events: check_events(&new.events)?,
            secret: self.webhooks.sealed(&id, &secret),
            previous_secret: None,
            previous_until: None,
            state: state.as_str().to_owned(),
            state_since: now,
            state_reason: (state != EndpointState::Enabled).then(|| "operator".to_owned()),
            version: 1,
            position: 0,
            missed: 0,
            attempts: 0,
            head_since: None,
            head_position: None,
            failing_since: None,
            last_success: None,
            probed: None,
            next_at: 0,
            created: now,
            modified: now,
            id,
        };
        let after = new.after.map_or(Ok(Start::Newest), |after| after.start("after"))?;
        let (allowed, owner) = (access.organization_ids.clone(), access.owner());
        let audit = self.audit(access, action::WEBHOOK_CREATED);
        let stored: EndpointRow = self
            .store
            .write("webhook_create", move |tx| {
                let scope = scope.stored(tx)?;
                let position = position_of(tx, &after, allowed.as_deref(), &owner)?;
                let row = EndpointRow { scope, position, ..row.clone() };
                tx.webhook_insert(&row)?;
                check_room(tx, &row.scope)?;
                audit.write(tx, target(&row), Value::Null, audited(&row))?;
                Ok::<_, ServiceError>(row)
            })
            .await?;
        self.webhooks.notify();
        Ok((stored, secret))
    }

    /// Makes an endpoint as the SDKs do.
    pub async fn hook_create(
        &self,
        access: &ApiAccess,
        new: NewHook,
    ) -> Result<HookView, ServiceError> {
        let new = NewEndpoint {
            endpoint_url: new.endpoint_url,
            events: new.events,
            organization_ids: None,
            state: None,
            after: None,
        };
        let (row, _) = self.webhook_store(access, new).await?;
        Ok(self.hook_view(row))
    }

    pub async fn webhook_create(
        &self,
        access: &ApiAccess,
        new: NewEndpoint,
    ) -> Result<EndpointView, ServiceError> {
        let (row, secret) = self.webhook_store(access, new).await?;
        Ok(self.webhook_view(row).await?.with_secret(secret.text()))
    }

    fn hook_view(&self, row: EndpointRow) -> HookView {
        let secrets = self.webhooks.secrets(&row, self.clock.now_ms());
        HookView::of(row, secrets.ok().as_ref())
    }

    async fn webhook_view(&self, row: EndpointRow) -> Result<EndpointView, ServiceError> {
        let mut views = self.webhook_views(vec![row]).await?;
        views.pop().ok_or_else(missing)
    }

    async fn webhook_views(
        &self,
        rows: Vec<EndpointRow>,
    ) -> Result<Vec<EndpointView>, ServiceError> {
        let known: Result<_, StoreError> = self
            .store
            .read("webhook_state", |tx| Ok((tx.log_position()?, tx.webhook_parked_counts()?)))
            .await;
        let (end, parked) = known?;
        let now = self.clock.now_ms();
        let count = |id: &str| {
            parked.iter().find(|(endpoint, _)| endpoint == id).map_or(0, |(_, count)| *count)
        };
        Ok(rows
            .into_iter()
            .map(|row| {
                let parked = count(&row.id);
                EndpointView::of(row, end, parked, now)
            })
            .collect())
    }

    /// The endpoint, if the key may see it.
    pub(in crate::service) async fn webhook_row(
        &self,
        access: &ApiAccess,
        id: &str,
    ) -> Result<EndpointRow, ServiceError> {
        let id = id.to_owned();
        let row: Result<Option<EndpointRow>, StoreError> =
            self.store.get("webhook_get", move |tx| tx.webhook_get(&id)).await;
        row?.filter(|row| reaches(access, &row.scope)).ok_or_else(missing)
    }

    pub async fn webhook_get(
        &self,
        access: &ApiAccess,
        id: &str,
    ) -> Result<EndpointView, ServiceError> {
        let row = self.webhook_row(access, id).await?;
        self.webhook_view(row).await
    }

    async fn webhook_rows(
        &self,
        access: &ApiAccess,
        range: IdRange,
    ) -> Result<Vec<EndpointRow>, ServiceError> {
        let access = access.clone();
        let rows: Result<Vec<EndpointRow>, StoreError> = self
            .store
            .read("webhook_list", move |tx| {
                let seen = |row: &EndpointRow| reaches(&access, &row.scope);
                collect(&range, |range| tx.webhook_range(range), seen, |row| &row.id)
            })
            .await;
        Ok(rows?)
    }

    /// A page of the list that the SDKs read.
    pub async fn hook_list(
        &self,
        access: &ApiAccess,
        page: PageRequest,
    ) -> Result<Page<HookView>, ServiceError> {
        let rows = self.webhook_rows(access, page.range("we")?).await?;
        let views = rows.into_iter().map(|row| self.hook_view(row)).collect();
        Ok(page.page(views, |view| &view.id))
    }

    pub async fn webhook_list(
        &self,
        access: &ApiAccess,
        parameters: &ListParameters,
    ) -> Result<ListPage<EndpointView>, ServiceError> {
        let range = parameters.range()?;
        let rows = self.webhook_rows(access, id_range(&range)).await?;
        let views = self.webhook_views(rows).await?;
        Ok(ListPage::of(&range, views, |view| &view.id))
    }

    /// Changes an endpoint; answers what it was changed to.
    async fn webhook_change(
        &self,
        access: &ApiAccess,
        id: &str,
        change: EndpointChange,
    ) -> Result<EndpointRow, ServiceError> {
        if let Some(url) = &change.endpoint_url {
            self.check_endpoint_url(url)?;
        }
        let events = change.events.as_deref().map(check_events).transpose()?;
        let scope = change.organization_ids.map(|ids| Scope::of(access, ids)).transpose()?;
        let (url, state) = (change.endpoint_url, change.state);
        let audit = self.audit(access, action::WEBHOOK_UPDATED);
        let (id, access, now) = (id.to_owned(), access.clone(), self.clock.now_ms());
        let changed: EndpointRow = self
            .store
            .write("webhook_update", move |tx| {
                let row = tx.webhook_lock(&id)?.filter(|row| reaches(&access, &row.scope));
                let mut row = row.ok_or_else(missing)?;
                let shown = audited(&row);
                let (before, selected) = (row.scope.clone(), row.events.clone());
                if let Some(scope) = &scope {
                    row.scope = scope.stored(tx)?;
                }
                if let Some(events) = &events {
                    row.events.clone_from(events);
                }
                if (&row.scope, &row.events) != (&before, &selected) {
                    // The next event may be another one.
                    row.next_at = 0;
                }
                if let Some(url) = url.as_ref().filter(|url| **url != row.url) {
                    row.url.clone_from(url);
                    renew(&mut row);
                }
                if let Some(state) = state.filter(|state| state.as_str() != row.state) {
                    row.state = state.as_str().to_owned();
                    row.state_since = now;
                    let is_enabled = state == EndpointState::Enabled;
                    row.state_reason = (!is_enabled).then(|| "operator".to_owned());
                }
                // One that waits for its next try is enabled already, and is to try now.
                if state.is_some() {
                    renew(&mut row);
                }
                row.modified = now;
                tx.webhook_update(&row)?;
                if row.scope != before {
                    check_room(tx, &row.scope)?;
                }
                // A key that reaches the organizations of now must not see those of before.
                if let Some(ids) = organizations(&row.scope).filter(|_| row.scope != before) {
                    tx.webhook_narrow(&row.id, &ids)?;
                }
                audit.write(tx, target(&row), shown, audited(&row))?;
                Ok::<_, ServiceError>(row)
            })
            .await?;
        self.webhooks.notify();
        Ok(changed)
    }

    /// Changes an endpoint as the SDKs do.
    pub async fn hook_update(
        &self,
        access: &ApiAccess,
        id: &str,
        change: HookChange,
    ) -> Result<HookView, ServiceError> {
        let row = self.webhook_change(access, id, change.into()).await?;
        Ok(self.hook_view(row))
    }

    pub async fn webhook_update(
        &self,
        access: &ApiAccess,
        id: &str,
        change: EndpointChange,
    ) -> Result<EndpointView, ServiceError> {
        let row = self.webhook_change(access, id, change).await?;
        self.webhook_view(row).await
    }

    pub async fn webhook_delete(&self, access: &ApiAccess, id: &str) -> Result<(), ServiceError> {
        let audit = self.audit(access, action::WEBHOOK_DELETED);
        let (id, access) = (id.to_owned(), access.clone());
        self.store
            .write("webhook_delete", move |tx| {
                let row = tx.webhook_lock(&id)?.filter(|row| reaches(&access, &row.scope));
                let row = row.ok_or_else(missing)?;
                tx.webhook_delete(&id)?;
                audit.write(tx, target(&row), audited(&row), Value::Null)?;
                Ok::<_, ServiceError>(())
            })
            .await
    }

    /// Makes a new secret. The one before signs as well until the overlap is over.
    pub async fn webhook_rotate(
        &self,
        access: &ApiAccess,
        id: &str,
        rotation: SecretRotation,
    ) -> Result<EndpointView, ServiceError> {
        let overlap = rotation.overlap.unwrap_or(OVERLAP.0);
        if !(0..=OVERLAP.1).contains(&overlap) {
            let message = format!("it is {overlap}; allowed is 0 to {} seconds.", OVERLAP.1);
            return Err(AdminError::invalid("overlap", message).into());
        }
        let (secret, now) = (new_secret(), self.clock.now_ms());
        let sealed = self.webhooks.sealed(id, &secret);
        let audit = self.audit(access, action::WEBHOOK_ROTATED);
        let (id, access) = (id.to_owned(), access.clone());
        let changed: EndpointRow = self
            .store
            .write("webhook_rotate", move |tx| {
                let row = tx.webhook_lock(&id)?.filter(|row| reaches(&access, &row.scope));
                let mut row = row.ok_or_else(missing)?;
                if overlap > 0 && row.previous_until.is_some_and(|until| until > now) {
                    let message = "A secret is being rotated already; wait until its overlap is \
                                   over, or rotate with \"overlap\": 0, which ends both.";
                    return Err(AdminError::new(409, "rotation_in_progress", message).into());
                }
                let before = std::mem::replace(&mut row.secret, sealed.clone());
                row.previous_secret = (overlap > 0).then_some(before);
                row.previous_until = (overlap > 0).then_some(now + overlap * 1_000);
                row.modified = now;
                tx.webhook_update(&row)?;
                let until = row.previous_until.map(instant_text);
                let after = json!({"previous_secret_until": until});
                audit.write(tx, target(&row), Value::Null, after)?;
                Ok::<_, ServiceError>(row)
            })
            .await?;
        self.webhooks.notify();
        Ok(self.webhook_view(changed).await?.with_secret(secret.text()))
    }
}

fn target(row: &EndpointRow) -> Target<'_> {
    Target::serving(&row.scope, &row.id, Some(&row.url))
}

/// Failures of before do not count any more.
fn renew(row: &mut EndpointRow) {
    let health = Health {
        attempts: row.attempts,
        head_since: row.head_since,
        failing_since: row.failing_since,
        last_success: row.last_success,
        probed: row.probed,
    };
    let Health { attempts, head_since, failing_since, probed, .. } = health.renewed();
    (row.attempts, row.head_since, row.failing_since, row.probed, row.next_at) =
        (attempts, head_since, failing_since, probed, 0);
}

/// The same stretch, newest first where it has no direction.
fn id_range(range: &ListRange) -> IdRange {
    let (walk, beyond) = match &range.from {
        RangeFrom::Newest => (Walk::Down, None),
        RangeFrom::After(id) => (Walk::Down, Some(id.clone())),
        RangeFrom::Before(id) => (Walk::Up, Some(id.clone())),
    };
    IdRange { walk, beyond, limit: range.limit }
}
