//! Accounts: made, changed and removed. There is always an owner, once there was one.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::link::new_link;
use super::{Role, SessionView};
use crate::auth::password;
use crate::scim::key::instant_text;
use crate::service::administer::{ListPage, ListParameters, check_name};
use crate::service::audit::{Target, action};
use crate::service::error::AdminError;
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::admin::{AdminRow, SessionRow};
use crate::store::{StoreError, Tx};

/// Longest address (RFC 5321 §4.5.3.1.3).
const MAX_EMAIL: usize = 254;

/// Sessions of one administrator that are shown.
const SESSIONS_SHOWN: i64 = 100;

#[derive(Clone, Debug, Serialize)]
pub struct AdminView {
    object: &'static str,
    pub id: String,
    pub email: String,
    pub name: String,
    pub role: Role,
    /// False until a password was chosen.
    pub has_password: bool,
    pub last_sign_in_at: Option<String>,
    pub created_at: String,
    pub updated_at: String,
    /// Where the password is chosen, once. Shown when it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invitation_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invitation_expires_at: Option<String>,
}

impl From<AdminRow> for AdminView {
    fn from(row: AdminRow) -> Self {
        Self {
            object: "admin",
            id: row.id,
            email: row.email,
            name: row.name,
            role: Role::stored(&row.role),
            has_password: row.password.is_some(),
            last_sign_in_at: row.last_sign_in.map(instant_text),
            created_at: instant_text(row.created),
            updated_at: instant_text(row.modified),
            invitation_url: None,
            invitation_expires_at: None,
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewAdmin {
    pub email: String,
    pub name: String,
    pub role: Role,
    /// Without one the answer has a link by which it is chosen.
    #[serde(default)]
    pub password: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminChange {
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub role: Option<Role>,
    #[serde(default)]
    pub password: Option<String>,
}

pub(super) fn missing() -> ServiceError {
    AdminError::not_found("The administrator").into()
}

/// Keys that reach only some organizations have nothing to do with who sees all of them.
fn refuse_limited(access: &ApiAccess) -> Result<(), AdminError> {
    match access.organization_ids {
        None => Ok(()),
        Some(_) => Err(AdminError::new(
            403,
            "forbidden",
            "This API key is limited to certain organizations and cannot manage administrators.",
        )),
    }
}

/// What an address is recognised by.
pub(super) fn email_key(email: &str) -> String {
    email.trim().to_lowercase()
}

fn check_email(email: &str) -> Result<(), AdminError> {
    let refused = |message: &str| Err(AdminError::invalid("email", message));
    let email = email.trim();
    if email.len() > MAX_EMAIL {
        return refused("it must have at most 254 bytes.");
    }
    if email.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return refused("it must not contain spaces or control characters.");
    }
    match email.rsplit_once('@') {
        Some((name, host)) if !name.is_empty() && !host.is_empty() => Ok(()),
        _ => refused("it must be an e-mail address: name@example.com."),
    }
}

pub(super) fn check_password(text: &str, email: &str) -> Result<(), AdminError> {
    let refused = |message: String| Err(AdminError::invalid("password", message));
    let chars = text.chars().count();
    if chars < password::MIN_CHARS {
        let least = password::MIN_CHARS;
        return refused(format!("it has {chars} characters; at least {least} are needed."));
    }
    if text.len() > password::MAX_BYTES {
        return refused(format!("it must have at most {} bytes.", password::MAX_BYTES));
    }
    if text.to_lowercase() == email_key(email) {
        return refused("it must not be the e-mail address.".to_owned());
    }
    Ok(())
}

/// Whether nobody but that account is an owner, by the ids of all owners.
pub(super) fn is_last(owners: &[String], id: &str) -> bool {
    !owners.is_empty() && owners.iter().all(|owner| owner == id)
}

/// Fails when the change would leave nobody who may decide on administrators. Owners are held until the unit
/// ends, before the account itself: of two who go at once one stays.
fn keep_an_owner(tx: &mut Tx<'_>, id: &str) -> Result<(), ServiceError> {
    if is_last(&tx.admin_ids_locked(Role::Owner.as_str())?, id) {
        let message = "This is the last owner; make another administrator an owner first.";
        return Err(AdminError::new(409, "last_owner", message).into());
    }
    Ok(())
}

impl Service {
    /// A row for a new account, checked, with its password hashed.
    pub(super) async fn admin_row(&self, new: &NewAdmin) -> Result<AdminRow, ServiceError> {
        check_email(&new.email)?;
        check_name(&new.name)?;
        let hashed = match &new.password {
            Some(text) => {
                check_password(text, &new.email)?;
                Some(self.password_hash(text).await?)
            }
            None => None,
        };
        let now = self.clock.now_ms();
        Ok(AdminRow {
            id: self.clock.id("admin"),
            email: new.email.trim().to_owned(),
            email_key: email_key(&new.email),
            name: new.name.trim().to_owned(),
            role: new.role.as_str().to_owned(),
            password: hashed,
            created: now,
            modified: now,
            last_sign_in: None,
            subject: None,
        })
    }

    /// An account; without a password also the link by which one is chosen, below `public_url`.
    pub async fn admin_create(
        &self,
        access: &ApiAccess,
        new: NewAdmin,
        public_url: &str,
    ) -> Result<AdminView, ServiceError> {
        refuse_limited(access)?;
        let row = self.admin_row(&new).await?;
        let (link, text) = new_link(self);
        let (stored, invited) = (row.clone(), row.password.is_none());
        let expires = link.expires;
        let audit = self.audit(access, action::ADMINISTRATOR_CREATED);
        self.store
            .write("admin_create", move |tx| {
                tx.admin_insert(&stored)?;
                audit.write(tx, target(&stored), Value::Null, shown(&stored))?;
                if invited {
                    link.put(tx, Some(&stored.id))?;
                }
                // Whoever was to make the first account comes too late.
                Ok::<_, ServiceError>(tx.admin_link_delete_of(None)?)
            })
            .await?;
        tracing::info!(admin = row.id, by = access.key_id, "an administrator was made");
        let view = AdminView::from(row);
        Ok(match invited {
            true => view.invited(public_url, &text, expires),
            false => view,
        })
    }

    /// Another link by which the administrator chooses a password; the one before it ends.
    pub async fn admin_invite(
        &self,
        access: &ApiAccess,
        id: &str,
        public_url: &str,
    ) -> Result<AdminView, ServiceError> {
        refuse_limited(access)?;
        let ((link, text), id) = (new_link(self), id.to_owned());
        let expires = link.expires;
        let audit = self.audit(access, action::ADMINISTRATOR_INVITED);
        let row = self
            .store
            .write("admin_invite", move |tx| {
                let row = tx.admin_lock(&id)?.ok_or_else(missing)?;
                link.put(tx, Some(&id))?;
                let until = json!({"invitation_expires_at": instant_text(expires)});
                audit.write(tx, target(&row), Value::Null, until)?;
                Ok::<_, ServiceError>(row)
            })
            .await?;
        Ok(AdminView::from(row).invited(public_url, &text, expires))
    }

    pub async fn admin_get(&self, access: &ApiAccess, id: &str) -> Result<AdminView, ServiceError> {
        refuse_limited(access)?;
        let id = id.to_owned();
        let row: Result<Option<AdminRow>, StoreError> =
            self.store.get("admin_get", move |tx| tx.admin_get(&id)).await;
        row?.map(Into::into).ok_or_else(missing)
    }

    pub async fn admin_list(
        &self,
        access: &ApiAccess,
        parameters: &ListParameters,
    ) -> Result<ListPage<AdminView>, ServiceError> {
        refuse_limited(access)?;
        let range = parameters.range()?;
        let reading = range.clone();
        let rows: Result<Vec<AdminRow>, StoreError> =
            self.store.get("admin_list", move |tx| tx.admin_list(&reading)).await;
        Ok(ListPage::of(&range, rows?, |row| &row.id).map(Into::into))
    }

    /// Another role or password ends every session of the account, and its link.
    pub async fn admin_update(
        &self,
        access: &ApiAccess,
        id: &str,
        change: AdminChange,
    ) -> Result<AdminView, ServiceError> {
        refuse_limited(access)?;
        if let Some(name) = &change.name {
            check_name(name)?;
        }
        let before = self.admin_get(access, id).await?;
        let hashed = match &change.password {
            Some(text) => {
                check_password(text, &before.email)?;
                Some(self.password_hash(text).await?)
            }
            None => None,
        };
        let (id, now) = (id.to_owned(), self.clock.now_ms());
        let audit = self.audit(access, action::ADMINISTRATOR_UPDATED);
        let row = self
            .store
            .write("admin_update", move |tx| {
                if change.role.is_some_and(|role| role != Role::Owner) {
                    keep_an_owner(tx, &id)?;
                }
                let mut row = tx.admin_lock(&id)?.ok_or_else(missing)?;
                let before = shown(&row);
                if let Some(name) = &change.name {
                    row.name = name.trim().to_owned();
                }
                let role = change.role.map(Role::as_str).filter(|role| *role != row.role);
                if let Some(role) = role {
                    row.role = role.to_owned();
                }
                if let Some(hashed) = &hashed {
                    row.password = Some(hashed.clone());
                }
                if role.is_some() || hashed.is_some() {
                    // Who holds a link was invited to something else.
                    tx.admin_link_delete_of(Some(&id))?;
                    tx.admin_session_delete_all(&id)?;
                }
                row.modified = now;
                tx.admin_update(&row)?;
                let mut after = shown(&row);
                if let (Some(_), Some(members)) = (&hashed, after.as_object_mut()) {
                    members.insert("password_changed".into(), true.into());
                }
                audit.write(tx, target(&row), before, after)?;
                Ok::<_, ServiceError>(row)
            })
            .await?;
        tracing::info!(admin = row.id, by = access.key_id, "an administrator was changed");
        Ok(row.into())
    }

    /// Removes the account with its sessions.
    pub async fn admin_delete(&self, access: &ApiAccess, id: &str) -> Result<(), ServiceError> {
        refuse_limited(access)?;
        let gone = id.to_owned();
        let audit = self.audit(access, action::ADMINISTRATOR_DELETED);
        self.store
            .write("admin_delete", move |tx| {
                keep_an_owner(tx, &gone)?;
                let row = tx.admin_lock(&gone)?.ok_or_else(missing)?;
                tx.admin_delete(&gone)?;
                Ok::<_, ServiceError>(audit.write(tx, target(&row), shown(&row), Value::Null)?)
            })
            .await?;
        tracing::info!(admin = id, by = access.key_id, "an administrator was removed");
        Ok(())
    }

    /// The browsers in which the administrator is signed in, newest first.
    pub async fn admin_sessions(
        &self,
        access: &ApiAccess,
        id: &str,
    ) -> Result<Vec<SessionView>, ServiceError> {
        refuse_limited(access)?;
        let (id, now) = (id.to_owned(), self.clock.now_ms());
        let rows: Vec<SessionRow> = self
            .store
            .read("admin_sessions", move |tx| {
                tx.admin_get(&id)?.ok_or_else(missing)?;
                Ok::<_, ServiceError>(tx.admin_session_list(&id, now, SESSIONS_SHOWN)?)
            })
            .await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    /// Ends that session of the administrator, or without one all of them.
    pub async fn admin_session_end(
        &self,
        access: &ApiAccess,
        id: &str,
        session: Option<&str>,
    ) -> Result<(), ServiceError> {
        refuse_limited(access)?;
        let (id, session) = (id.to_owned(), session.map(str::to_owned));
        let audit = self.audit(access, action::ADMINISTRATOR_SIGNED_OUT);
        self.store
            .write("admin_session_end", move |tx| {
                let row = tx.admin_get(&id)?.ok_or_else(missing)?;
                match &session {
                    None => tx.admin_session_delete_all(&id).map(drop)?,
                    Some(session) if tx.admin_session_delete(&id, session)? => {}
                    Some(_) => return Err(AdminError::not_found("The session").into()),
                }
                let sessions = session.as_deref().unwrap_or("all");
                let before = json!({"session": sessions});
                Ok::<_, ServiceError>(audit.write(tx, target(&row), before, Value::Null)?)
            })
            .await
    }
}

pub(super) fn target(row: &AdminRow) -> Target<'_> {
    Target::of_server(&row.id, Some(&row.email))
}

/// The account as the audit log keeps it.
pub(super) fn shown(row: &AdminRow) -> Value {
    json!({"email": row.email, "name": row.name, "role": row.role})
}

impl AdminView {
    fn invited(self, public_url: &str, text: &str, expires: i64) -> Self {
        Self {
            invitation_url: Some(super::link::address(public_url, text)),
            invitation_expires_at: Some(instant_text(expires)),
            ..self
        }
    }
}
