//! Streams as receivers make, change and remove them (SSF 1.0 §8.1).

use serde::Deserialize;
use serde_json::{Value, json};

use super::view::{StatusView, StreamView, audited};
use super::window::delivered;
use super::{MIN_VERIFICATION_INTERVAL, POLL, PUSH, missing, organizations, reaches};
use crate::event::set::{SUPPORTED, SubjectFormat};
use crate::service::administer::present;
use crate::service::audit::{Entry, Target, action};
use crate::service::error::AdminError;
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::stream::{StreamHealth, StreamPlace, StreamRow};
use crate::store::{StoreError, Tx};

/// Streams of one organization, or of all, at most; and of everybody.
const MAX_STREAMS: usize = 10;
const MAX_ALL_STREAMS: usize = 200;

/// Organizations that a stream names, at most.
const MAX_ORGANIZATIONS: usize = 100;

/// Longest texts, in bytes.
const MAX_DESCRIPTION_BYTES: usize = 500;
const MAX_URL_BYTES: usize = 1_024;
const MAX_HEADER_BYTES: usize = 4_096;
const MAX_STATE_BYTES: usize = 1_024;

/// Events that a stream asks for, at most; also those that do not exist here.
const MAX_EVENTS: usize = 100;

/// A stream as a receiver wants it. What only this server decides may be sent back as it was answered.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct StreamRequest {
    #[serde(default)]
    pub stream_id: Option<String>,
    #[serde(default)]
    delivery: Option<Delivery>,
    #[serde(default, deserialize_with = "present")]
    events_requested: Option<Option<Vec<String>>>,
    #[serde(default, deserialize_with = "present")]
    description: Option<Option<String>>,
    #[serde(default)]
    subject_format: Option<String>,
    /// Null: those of all that the key may see.
    #[serde(default, deserialize_with = "present")]
    organization_ids: Option<Option<Vec<String>>>,
    #[serde(default)]
    iss: Option<Value>,
    #[serde(default)]
    aud: Option<Value>,
    #[serde(default)]
    events_supported: Option<Value>,
    #[serde(default)]
    events_delivered: Option<Value>,
    #[serde(default)]
    min_verification_interval: Option<Value>,
}

#[derive(Clone, Debug, Deserialize)]
struct Delivery {
    method: String,
    #[serde(default)]
    endpoint_url: Option<String>,
    #[serde(default)]
    authorization_header: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct StatusRequest {
    pub stream_id: String,
    pub status: String,
    #[serde(default)]
    pub reason: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct VerificationRequest {
    pub stream_id: String,
    #[serde(default)]
    pub state: Option<String>,
}

/// What becomes of members that a change leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Absent {
    Stays,
    /// As in a new stream. Whose events count stays all the same.
    Default,
}

/// 400 for one field: SSF 1.0 knows no 422.
pub(super) fn invalid(field: &str, message: impl Into<String>) -> AdminError {
    AdminError { status: 400, ..AdminError::invalid(field, message) }
}

fn bounded(field: &str, text: &str, most: usize) -> Result<(), AdminError> {
    match text.len() <= most {
        true => Ok(()),
        false => Err(invalid(field, format!("it has {} bytes; allowed are {most}.", text.len()))),
    }
}

/// The organizations as they are stored. Those that the key does not see are like none.
fn scope(access: &ApiAccess, wanted: Option<Vec<String>>) -> Result<String, AdminError> {
    let field = "organization_ids";
    let Some(mut ids) = wanted.or_else(|| access.organization_ids.clone()) else {
        return Ok(String::new());
    };
    ids.sort_unstable();
    ids.dedup();
    if let Some(id) = ids.iter().find(|id| !access.reaches(id) || id.contains(',') || id.is_empty())
    {
        let id: String = id.chars().take(80).collect();
        return Err(invalid(field, format!("\"{id}\" names no organization.")));
    }
    match (1..=MAX_ORGANIZATIONS).contains(&ids.len()) {
        true => Ok(ids.join(",")),
        false => Err(invalid(
            field,
            format!(
                "name 1 to {MAX_ORGANIZATIONS} organizations; null is for all of them, with a key \
                 that is not limited."
            ),
        )),
    }
}

/// Whether organizations of a scope were named, or follow from the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Named,
    Key,
}

/// The scope without organizations that are gone. One that was named and does not exist is refused.
fn existing(tx: &mut Tx<'_>, scope: &str, origin: Origin) -> Result<String, ServiceError> {
    let Some(ids) = organizations(scope) else { return Ok(String::new()) };
    let mut kept = Vec::new();
    for id in ids {
        match tx.organization_get(&id)? {
            Some(_) => kept.push(id),
            None if origin == Origin::Key => {}
            None => {
                let message = format!("\"{id}\" names no organization.");
                return Err(invalid("organization_ids", message).into());
            }
        }
    }
    match kept.is_empty() {
        true => Err(invalid("organization_ids", "none of the key's organizations is left.").into()),
        false => Ok(kept.join(",")),
    }
}

fn target(row: &StreamRow) -> Target<'_> {
    Target::serving(&row.scope, &row.id, row.description.as_deref())
}

/// There is room for a stream of that scope, which is stored already.
fn check_room(tx: &mut Tx<'_>, scope: &str) -> Result<(), ServiceError> {
    let all = tx.stream_scopes()?;
    let names = |scope: &str, id: &str| scope.split(',').any(|other| other == id);
    let full = scope
        .split(',')
        .find(|id| all.iter().filter(|(_, other)| names(other, id)).count() > MAX_STREAMS);
    let message = match full {
        Some("") => format!("There are {MAX_STREAMS} streams for all organizations already"),
        Some(id) => format!("There are {MAX_STREAMS} streams for the organization {id} already"),
        None if all.len() > MAX_ALL_STREAMS => {
            format!("There are {MAX_ALL_STREAMS} streams already")
        }
        None => return Ok(()),
    };
    let message = format!("{message}; delete one of them first.");
    Err(AdminError::new(409, "too_many_streams", message).into())
}

/// What a change takes from those who deliver meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Taken {
    /// Failures of before do not count any more.
    failures: bool,
    /// The status is the operator's, whatever it has become.
    status: bool,
}

impl Service {
    /// What a receiver may not decide is as this server has it.
    fn check_own(&self, row: &StreamRow, request: &StreamRequest) -> Result<(), AdminError> {
        let own = [
            ("iss", &request.iss, json!(self.public_url)),
            ("aud", &request.aud, json!(self.stream_audience(&row.id))),
            ("events_supported", &request.events_supported, json!(SUPPORTED)),
            (
                "events_delivered",
                &request.events_delivered,
                json!(delivered(row.events.as_deref())),
            ),
            (
                "min_verification_interval",
                &request.min_verification_interval,
                json!(MIN_VERIFICATION_INTERVAL),
            ),
        ];
        for (field, sent, own) in own {
            if sent.as_ref().is_some_and(|sent| *sent != own) {
                let message = format!("the transmitter decides it; leave it out, or send {own}.");
                return Err(invalid(field, message));
            }
        }
        Ok(())
    }

    /// True when failures of before say nothing of what is tried now.
    fn set_delivery(&self, row: &mut StreamRow, delivery: &Delivery) -> Result<bool, AdminError> {
        let url = delivery.endpoint_url.as_deref();
        match delivery.method.as_str() {
            POLL => {
                let own = format!("{}/poll", self.stream_audience(&row.id));
                if let Some(url) = url.filter(|url| *url != own) {
                    let url: String = url.chars().take(200).collect();
                    let message = format!(
                        "it is \"{url}\"; where a stream is polled the transmitter decides. Leave it \
                         out."
                    );
                    return Err(invalid("delivery.endpoint_url", message));
                }
                (row.method, row.endpoint_url) = ("poll".to_owned(), None);
                row.authorization_header = None;
                Ok(true)
            }
            PUSH => {
                let field = "delivery.endpoint_url";
                let url = url.ok_or_else(|| invalid(field, "a pushed stream needs it."))?;
                bounded(field, url, MAX_URL_BYTES)?;
                self.streams.outbound.check(url).map_err(|fault| invalid(field, fault))?;
                // A header goes nowhere but where it was meant for.
                let is_other = row.endpoint_url.as_deref() != Some(url);
                if is_other {
                    row.authorization_header = None;
                }
                if let Some(header) = &delivery.authorization_header {
                    let field = "delivery.authorization_header";
                    bounded(field, header, MAX_HEADER_BYTES)?;
                    if !header.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
                        return Err(invalid(field, "it has characters that no header may have."));
                    }
                    let sealed = self.streams.seal.seal(row.id.as_bytes(), header.as_bytes());
                    row.authorization_header = Some(sealed);
                }
                (row.method, row.endpoint_url) = ("push".to_owned(), Some(url.to_owned()));
                // A header that is sent is one that was mended.
                Ok(is_other || delivery.authorization_header.is_some())
            }
            other => {
                let other: String = other.chars().take(80).collect();
                let message = format!("it is \"{other}\"; allowed are {PUSH} and {POLL}.");
                Err(invalid("delivery.method", message))
            }
        }
    }

    /// Makes the row what the receiver wants, but for whose events it gets. True when failures of before say
    /// nothing of what is tried now.
    fn set_stream(
        &self,
        row: &mut StreamRow,
        request: &StreamRequest,
        absent: Absent,
    ) -> Result<bool, AdminError> {
        self.check_own(row, request)?;
        let is_new = match &request.delivery {
            Some(delivery) => self.set_delivery(row, delivery)?,
            None if absent == Absent::Default => {
                (row.method, row.endpoint_url) = ("poll".to_owned(), None);
                row.authorization_header = None;
                true
            }
            None => false,
        };
        match (&request.events_requested, absent) {
            (Some(Some(uris)), _) => {
                if uris.len() > MAX_EVENTS || uris.iter().any(|uri| uri.len() > MAX_URL_BYTES) {
                    let message =
                        format!("name at most {MAX_EVENTS} events of {MAX_URL_BYTES} bytes each.");
                    return Err(invalid("events_requested", message));
                }
                row.events = Some(json!(uris).to_string());
            }
            (Some(None), _) | (None, Absent::Default) => row.events = None,
            (None, Absent::Stays) => {}
        }
        match (&request.description, absent) {
            (Some(description), _) => {
                bounded(
                    "description",
                    description.as_deref().unwrap_or_default(),
                    MAX_DESCRIPTION_BYTES,
                )?;
                row.description.clone_from(description);
            }
            (None, Absent::Default) => row.description = None,
            (None, Absent::Stays) => {}
        }
        let format = match (&request.subject_format, absent) {
            (Some(text), _) => SubjectFormat::parse(text).ok_or_else(|| {
                let text: String = text.chars().take(80).collect();
                let message = format!("it is \"{text}\"; allowed are iss_sub and email.");
                invalid("subject_format", message)
            })?,
            (None, Absent::Default) => SubjectFormat::IssSub,
            (None, Absent::Stays) => return Ok(is_new),
        };
        row.subject_format = format.as_str().to_owned();
        Ok(is_new)
    }

    /// Makes a stream. It gets what happens from now on.
    pub async fn stream_create(
        &self,
        access: &ApiAccess,
        request: StreamRequest,
    ) -> Result<StreamView, ServiceError> {
        let now = self.clock.now_ms();
        let mut row = StreamRow {
            id: self.clock.id("stream"),
            scope: String::new(),
            description: None,
            method: "poll".to_owned(),
            endpoint_url: None,
            authorization_header: None,
            events: None,
            subject_format: SubjectFormat::IssSub.as_str().to_owned(),
            status: "enabled".to_owned(),
            status_since: now,
            status_cause: None,
            status_reason: None,
            version: 1,
            place: StreamPlace {
                position: 0,
                acked: "[]".to_owned(),
                missed: 0,
                refused: 0,
                last_refusal: None,
            },
            health: StreamHealth::default(),
            verification: None,
            verified_at: None,
            created: now,
            modified: now,
        };
        self.set_stream(&mut row, &request, Absent::Default)?;
        let wanted = request.organization_ids.flatten();
        let origin = if wanted.is_some() { Origin::Named } else { Origin::Key };
        row.scope = scope(access, wanted)?;
        self.ensure_signing_key().await?;
        let audit = self.audit(access, action::STREAM_CREATED);
        let stored: StreamRow = self
            .store
            .write("stream_create", move |tx| {
                let mut row = row.clone();
                row.scope = existing(tx, &row.scope, origin)?;
                row.place.position = tx.log_position()?;
                tx.stream_insert(&row)?;
                check_room(tx, &row.scope)?;
                audit.write(tx, target(&row), Value::Null, audited(&row))?;
                Ok::<_, ServiceError>(row)
            })
            .await?;
        self.streams.changed.notify_waiters();
        Ok(self.stream_view(stored))
    }

    pub async fn stream_get(
        &self,
        access: &ApiAccess,
        id: &str,
    ) -> Result<StreamView, ServiceError> {
        Ok(self.stream_view(self.stream_row(access, id).await?))
    }

    /// Every stream that the key may see.
    pub async fn stream_list(&self, access: &ApiAccess) -> Result<Vec<StreamView>, ServiceError> {
        #[expect(clippy::redundant_closure_for_method_calls, reason = "its lifetime is too narrow")]
        let rows: Result<Vec<StreamRow>, StoreError> =
            self.store.get("stream_list", |tx| tx.stream_list()).await;
        let seen = rows?.into_iter().filter(|row| reaches(access, &row.scope));
        Ok(seen.map(|row| self.stream_view(row)).collect())
    }

    /// The same with what is known of the deliveries of each.
    pub async fn stream_statuses(
        &self,
        access: &ApiAccess,
    ) -> Result<Vec<(StreamView, StatusView)>, ServiceError> {
        let read: Result<(Vec<StreamRow>, i64), StoreError> = self
            .store
            .read("stream_statuses", |tx| Ok((tx.stream_list()?, tx.log_position()?)))
            .await;
        let (rows, end) = read?;
        let seen = rows.into_iter().filter(|row| reaches(access, &row.scope));
        let both =
            |row: StreamRow| (self.stream_view(row.clone()), self.stream_status_view(row, end));
        Ok(seen.map(both).collect())
    }

    /// Changes what is named.
    pub async fn stream_update(
        &self,
        access: &ApiAccess,
        request: StreamRequest,
    ) -> Result<StreamView, ServiceError> {
        self.stream_change(access, request, Absent::Stays).await
    }

    /// Puts another configuration in the place of the one before.
    pub async fn stream_replace(
        &self,
        access: &ApiAccess,
        request: StreamRequest,
    ) -> Result<StreamView, ServiceError> {
        self.stream_change(access, request, Absent::Default).await
    }

    async fn stream_change(
        &self,
        access: &ApiAccess,
        request: StreamRequest,
        absent: Absent,
    ) -> Result<StreamView, ServiceError> {
        let id = request.stream_id.clone();
        let id = id.ok_or_else(|| invalid("stream_id", "name the stream that is meant."))?;
        let before = self.stream_row(access, &id).await?;
        let mut row = before.clone();
        let failures = self.set_stream(&mut row, &request, absent)?;
        if let Some(wanted) = request.organization_ids {
            row.scope = scope(access, wanted)?;
        }
        row.modified = self.clock.now_ms();
        let taken = Taken { failures, ..Taken::default() };
        let audit = self.audit(access, action::STREAM_UPDATED);
        let changed = self.stream_store_change(before, row, taken, audit).await?;
        Ok(self.stream_view(changed))
    }

    /// Stores a change by an operator, unless another one came before it. What those who deliver have stored
    /// since `before` was read stays, but for what is taken.
    async fn stream_store_change(
        &self,
        before: StreamRow,
        row: StreamRow,
        taken: Taken,
        audit: Entry,
    ) -> Result<StreamRow, ServiceError> {
        let changed: StreamRow = self
            .store
            .write("stream_update", move |tx| {
                let stored = tx.stream_lock(&before.id)?.ok_or_else(missing)?;
                if stored.version != before.version {
                    let message = "Another request has changed this stream; try again.";
                    return Err(AdminError::new(409, "stream_changed", message).into());
                }
                let shown = audited(&stored);
                let mut row = StreamRow {
                    place: stored.place,
                    verification: stored.verification,
                    verified_at: stored.verified_at,
                    ..row.clone()
                };
                row.health = match taken.failures {
                    true => {
                        let last_success = stored.health.last_success;
                        StreamHealth { last_success, ..StreamHealth::default() }
                    }
                    false => stored.health,
                };
                if !taken.status {
                    row.status.clone_from(&stored.status);
                    (row.status_cause, row.status_reason) =
                        (stored.status_cause, stored.status_reason);
                }
                if row.status == stored.status {
                    row.status_since = stored.status_since;
                }
                if row.scope != before.scope {
                    row.scope = existing(tx, &row.scope, Origin::Named)?;
                    // What a receiver has said of others is not for those who see the stream now.
                    row.place.last_refusal = None;
                }
                if stored.status == "disabled" && row.status != "disabled" {
                    // What happens while a stream is disabled is not kept for it (SSF 1.0 §8.1.2).
                    row.place.position = tx.log_position()?;
                    row.place.acked = "[]".to_owned();
                }
                tx.stream_update(&row)?;
                if row.scope != before.scope {
                    check_room(tx, &row.scope)?;
                }
                audit.write(tx, target(&row), shown, audited(&row))?;
                Ok::<_, ServiceError>(row)
            })
            .await?;
        self.streams.changed.notify_waiters();
        Ok(changed)
    }

    pub async fn stream_delete(&self, access: &ApiAccess, id: &str) -> Result<(), ServiceError> {
        let audit = self.audit(access, action::STREAM_DELETED);
        let (id, access) = (id.to_owned(), access.clone());
        self.store
            .write("stream_delete", move |tx| {
                let row = tx.stream_lock(&id)?.filter(|row| reaches(&access, &row.scope));
                let row = row.ok_or_else(missing)?;
                tx.stream_delete(&id)?;
                audit.write(tx, target(&row), audited(&row), Value::Null)?;
                Ok::<_, ServiceError>(())
            })
            .await?;
        self.streams.changed.notify_waiters();
        Ok(())
    }

    pub async fn stream_status(
        &self,
        access: &ApiAccess,
        id: &str,
    ) -> Result<StatusView, ServiceError> {
        let row = self.stream_row(access, id).await?;
        #[expect(clippy::redundant_closure_for_method_calls, reason = "its lifetime is too narrow")]
        let end: Result<i64, StoreError> =
            self.store.get("log_position", |tx| tx.log_position()).await;
        Ok(self.stream_status_view(row, end?))
    }

    pub async fn stream_status_set(
        &self,
        access: &ApiAccess,
        request: StatusRequest,
    ) -> Result<StatusView, ServiceError> {
        let before = self.stream_row(access, &request.stream_id).await?;
        let mut row = before.clone();
        if !["enabled", "paused", "disabled"].contains(&request.status.as_str()) {
            let status: String = request.status.chars().take(80).collect();
            let message = format!("it is \"{status}\"; allowed are enabled, paused and disabled.");
            return Err(invalid("status", message).into());
        }
        let reason = request.reason.filter(|reason| !reason.is_empty());
        bounded("reason", reason.as_deref().unwrap_or_default(), MAX_DESCRIPTION_BYTES)?;
        let now = self.clock.now_ms();
        row.status_since = now;
        let is_enabled = request.status == "enabled";
        row.status_cause = (!is_enabled).then(|| "operator".to_owned());
        (row.status, row.status_reason, row.modified) = (request.status, reason, now);
        // Who enables a stream wants it tried at once, also one that was enabled all the time.
        let taken = Taken { failures: true, status: true };
        let audit = self.audit(access, action::STREAM_UPDATED);
        let changed = self.stream_store_change(before, row, taken, audit).await?;
        self.stream_status(access, &changed.id).await
    }

    /// Has a verification event sent, with what was asked for or before what waits.
    pub async fn stream_verify(
        &self,
        access: &ApiAccess,
        request: VerificationRequest,
    ) -> Result<(), ServiceError> {
        if let Some(state) = &request.state {
            bounded("state", state, MAX_STATE_BYTES)?;
        }
        let now = self.clock.now_ms();
        let asked = json!({"at": now, "state": request.state}).to_string();
        let (id, access) = (request.stream_id, access.clone());
        self.store
            .write("stream_verify", move |tx| {
                let row = tx.stream_lock(&id)?.filter(|row| reaches(&access, &row.scope));
                let row = row.ok_or_else(missing)?;
                let again = row.verified_at.map(|at| at + MIN_VERIFICATION_INTERVAL * 1_000);
                if again.is_some_and(|again| now < again) {
                    let message = format!(
                        "A stream may be verified every {MIN_VERIFICATION_INTERVAL} seconds \
                         (min_verification_interval)."
                    );
                    return Err(AdminError::new(429, "too_many_requests", message).into());
                }
                // Whoever delivers goes on: what it has sent would be sent again otherwise.
                Ok::<_, ServiceError>(tx.stream_verify(&id, &asked, now)?)
            })
            .await?;
        self.streams.changed.notify_waiters();
        Ok(())
    }
}
