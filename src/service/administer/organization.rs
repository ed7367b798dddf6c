//! Organizations: the customers.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{ListPage, ListParameters, check_external_id, check_name, present};
use crate::scim::key::instant_text;
use crate::service::audit::{Target, action};
use crate::service::error::AdminError;
use crate::service::{ApiAccess, Service, ServiceError, webhook};
use crate::store::organization::OrganizationRow;
use crate::store::{RangeFrom, StoreError};

#[derive(Clone, Debug, Serialize)]
pub struct OrganizationView {
    pub id: String,
    pub name: String,
    pub external_id: Option<String>,
    pub created_at: String,
    pub updated_at: String,
}

impl From<OrganizationRow> for OrganizationView {
    fn from(row: OrganizationRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            external_id: row.external_id,
            created_at: instant_text(row.created),
            updated_at: instant_text(row.modified),
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewOrganization {
    pub name: String,
    #[serde(default)]
    pub external_id: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrganizationChange {
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default, deserialize_with = "present")]
    pub external_id: Option<Option<String>>,
}

pub(in crate::service) fn missing() -> ServiceError {
    AdminError::not_found("The organization").into()
}

/// Keys that reach only some organizations make no others.
pub(in crate::service) fn refuse_limited_create(access: &ApiAccess) -> Result<(), AdminError> {
    let message = "This API key is limited to certain organizations and cannot create another.";
    match access.organization_ids {
        None => Ok(()),
        Some(_) => Err(AdminError::new(403, "forbidden", message)),
    }
}

/// The id is the operator's, and unique: a refusal would tell whether another organization has it.
pub(in crate::service) fn refuse_limited_external_id(access: &ApiAccess) -> Result<(), AdminError> {
    let message =
        "This API key is limited to certain organizations and cannot change their external_id.";
    match access.organization_ids {
        None => Ok(()),
        Some(_) => Err(AdminError::new(403, "forbidden", message)),
    }
}

fn target(row: &OrganizationRow) -> Target<'_> {
    Target::of_organization(&row.id, &row.id, Some(&row.name))
}

fn shown(row: &OrganizationRow) -> Value {
    json!(OrganizationView::from(row.clone()))
}

impl Service {
    pub async fn organization_create(
        &self,
        access: &ApiAccess,
        new: NewOrganization,
    ) -> Result<OrganizationView, ServiceError> {
        check_name(&new.name)?;
        check_external_id(new.external_id.as_deref())?;
        refuse_limited_create(access)?;
        let (id, now) = (self.clock.id("org"), self.clock.now_ms());
        let audit = self.audit(access, action::ORGANIZATION_CREATED);
        let row: OrganizationRow = self
            .store
            .write("organization_create", move |tx| {
                let external_id = new.external_id.as_deref();
                let row = tx.organization_insert(&id, &new.name, external_id, "{}", now)?;
                audit.write(tx, target(&row), Value::Null, shown(&row))?;
                Ok::<_, ServiceError>(row)
            })
            .await?;
        Ok(row.into())
    }

    /// The organization, if the key may see it.
    pub async fn organization_get(
        &self,
        access: &ApiAccess,
        id: &str,
    ) -> Result<OrganizationView, ServiceError> {
        if !access.reaches(id) {
            return Err(missing());
        }
        let id = id.to_owned();
        let row: Result<Option<OrganizationRow>, StoreError> =
            self.store.get("organization_get", move |tx| tx.organization_get(&id)).await;
        row?.map(Into::into).ok_or_else(missing)
    }

    pub async fn organization_list(
        &self,
        access: &ApiAccess,
        parameters: &ListParameters,
    ) -> Result<ListPage<OrganizationView>, ServiceError> {
        let range = parameters.range()?;
        let (reading, allowed) = (range.clone(), access.organization_ids.clone());
        let rows: Vec<OrganizationRow> = self
            .store
            .read("organization_list", move |tx| {
                let Some(allowed) = &allowed else { return tx.organization_list(&reading) };
                // A limited key names few organizations: each is looked up.
                let mut rows = Vec::new();
                for id in allowed {
                    rows.extend(tx.organization_get(id)?);
                }
                rows.sort_unstable_by(|a, b| b.id.cmp(&a.id));
                match &reading.from {
                    RangeFrom::Newest => {}
                    RangeFrom::After(id) => rows.retain(|row| row.id < *id),
                    RangeFrom::Before(id) => {
                        rows.retain(|row| row.id > *id);
                        rows.reverse();
                    }
                }
                rows.truncate(usize::try_from(reading.limit).unwrap_or(usize::MAX));
                Ok::<_, StoreError>(rows)
            })
            .await?;
        Ok(ListPage::of(&range, rows, |row| &row.id).map(Into::into))
    }

    pub async fn organization_update(
        &self,
        access: &ApiAccess,
        id: &str,
        change: OrganizationChange,
    ) -> Result<OrganizationView, ServiceError> {
        if !access.reaches(id) {
            return Err(missing());
        }
        if change.external_id.is_some() {
            refuse_limited_external_id(access)?;
        }
        if let Some(name) = &change.name {
            check_name(name)?;
        }
        check_external_id(change.external_id.as_ref().and_then(|id| id.as_deref()))?;
        let (id, now) = (id.to_owned(), self.clock.now_ms());
        let audit = self.audit(access, action::ORGANIZATION_UPDATED);
        let row: OrganizationRow = self
            .store
            .write("organization_update", move |tx| {
                let before = tx.organization_lock(&id)?.ok_or_else(missing)?;
                let name = change.name.as_ref().unwrap_or(&before.name);
                let external_id = change.external_id.as_ref().unwrap_or(&before.external_id);
                let (key, metadata) = (before.key, &before.metadata);
                tx.organization_update(key, name, external_id.as_deref(), metadata, now)?;
                let row = tx.organization_get(&id)?.ok_or_else(missing)?;
                audit.write(tx, target(&row), shown(&before), shown(&row))?;
                Ok::<_, ServiceError>(row)
            })
            .await?;
        Ok(row.into())
    }

    /// Removes an organization that has no directory any more.
    pub async fn organization_delete(
        &self,
        access: &ApiAccess,
        id: &str,
    ) -> Result<(), ServiceError> {
        if !access.reaches(id) {
            return Err(missing());
        }
        let id = id.to_owned();
        let audit = self.audit(access, action::ORGANIZATION_DELETED);
        self.store
            .write("organization_delete", move |tx| {
                let row = tx.organization_get(&id)?.ok_or_else(missing)?;
                webhook::leave(tx, &id)?;
                match tx.organization_delete(row.key) {
                    Err(StoreError::MissingReference) => Err(AdminError::new(
                        409,
                        "organization_has_directories",
                        "The organization still has directories; delete them first.",
                    )
                    .into()),
                    other => Ok::<_, ServiceError>(other?),
                }?;
                tx.stream_forget_organization(&id)?;
                audit.write(tx, target(&row), shown(&row), Value::Null)?;
                Ok(tx.audit_forget_later(&id)?)
            })
            .await
    }
}
