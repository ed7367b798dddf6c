//! What is stored of a document: its text, its keys, and the values that must be unique.

use serde_json::Value;

use super::ServiceError;
use super::context::Directory;
use super::seen::object;
use crate::profile::Profile;
use crate::scim::resource::extract::{self, PERSON_NAMES};
use crate::scim::resource::{Columns, Document};
use crate::scim::schema::Claim;
use crate::scim::{Object, ResourceType, ScimError};
use crate::store::resource::{Mapped, ResourceContent};
use crate::store::{StoreError, Tx, UniqueRule};

/// Largest `extra`, in bytes of JSON; beyond it nothing unknown is kept.
const MAX_EXTRA_BYTES: usize = 64 * 1024;

/// Largest document, in bytes of JSON. A list answer holds many.
const MAX_DOCUMENT_BYTES: usize = 1024 * 1024;

/// Most values of indexed attributes: each is a row that the writer keeps.
const MAX_INDEXED_VALUES: usize = 1_000;

/// Scope of unique group names in `resource_unique`.
pub(super) const GROUP_NAME: &str = "group.displayName";

/// Scope of unique externalIds in `resource_unique`, with the name of the resource type behind it. No
/// scope of a schema begins so: they have a colon.
pub(super) const EXTERNAL_ID: &str = "externalId.";

/// The keys of a document; group names and externalIds are unique where the profile says so.
pub(super) fn columns(
    document: &Document,
    resource_type: &ResourceType,
    profile: &Profile,
) -> Result<Columns, ScimError> {
    let mut columns = extract::columns(document, resource_type)?;
    if let (true, true, Some(name)) =
        (profile.group_display_name_unique, resource_type.is_group(), &columns.display_key)
    {
        columns.claims.push(Claim {
            scope: GROUP_NAME.to_owned(),
            attribute: "displayName".to_owned(),
            key: name.clone(),
        });
    }
    let external_id = columns.external_id.as_ref().filter(|id| !id.is_empty());
    if let (true, Some(external_id)) = (profile.external_id_unique, external_id) {
        columns.claims.push(Claim {
            scope: format!("{EXTERNAL_ID}{}", resource_type.name),
            attribute: "externalId".to_owned(),
            key: external_id.clone(),
        });
    }
    Ok(columns)
}

/// Gives up the values that a resource no longer has and claims the new ones; the database decides
/// whether they are free.
pub(super) fn claim(
    tx: &mut Tx<'_>,
    directory_key: i64,
    resource_key: i64,
    old: &[Claim],
    new: &[Claim],
) -> Result<(), ServiceError> {
    for gone in old.iter().filter(|claim| !new.contains(claim)) {
        tx.unique_release(directory_key, &gone.scope, &gone.key, resource_key)?;
    }
    for claim in new.iter().filter(|claim| !old.contains(claim)) {
        match tx.unique_claim(directory_key, &claim.scope, &claim.key, resource_key) {
            Err(StoreError::Unique(UniqueRule::Scoped)) => {
                return Err(ScimError::uniqueness(format!(
                    "The attribute \"{}\" has a value that another resource of this directory has; \
                     it must be unique.",
                    claim.attribute
                ))
                .into());
            }
            claimed => claimed?,
        }
    }
    Ok(())
}

/// What is stored, without what the maps make of it: see [`mapped`].
pub(super) fn content(
    document: &Document,
    extra: &Object,
    resource_type: &ResourceType,
    directory: &Directory,
) -> Result<ResourceContent, ServiceError> {
    let text = |name: &str| document.text(name).filter(|t| !t.is_empty()).map(str::to_owned);
    let mut kept = (!extra.is_empty()).then(|| Value::Object(extra.clone()).to_string());
    if kept.as_ref().is_some_and(|text| text.len() > MAX_EXTRA_BYTES) {
        kept = None;
    }
    let columns = columns(document, resource_type, &directory.profile)?;
    // Names are indexed for the search for people, whatever a client sends.
    let indexed = columns.attributes.iter().filter(|entry| entry.path_id != PERSON_NAMES).count();
    let values = indexed.max(columns.claims.len());
    if values > MAX_INDEXED_VALUES {
        return Err(ScimError::invalid_value(format!(
            "The resource has {values} values of attributes that are indexed or unique, such as \"emails\"; \
             at most {MAX_INDEXED_VALUES} are allowed.",
        ))
        .into());
    }
    let doc = document.to_json();
    if doc.len() > MAX_DOCUMENT_BYTES {
        return Err(ScimError::new(
            413,
            format!(
                "The resource is {} bytes large; at most {MAX_DOCUMENT_BYTES} are allowed.",
                doc.len()
            ),
        )
        .into());
    }
    let mapped = Mapped::default();
    Ok(ResourceContent { columns, display: text("displayName"), doc, extra: kept, mapped })
}

/// What the maps make of what is to be stored. It may take its time.
pub(super) fn mapped(
    content: &ResourceContent,
    resource_type: &ResourceType,
    directory: &Directory,
) -> Result<Mapped, StoreError> {
    if directory.mapping.is_empty() || !resource_type.is_user() {
        return Ok(Mapped::default());
    }
    let extra = content.extra.as_deref().map(object);
    directory.mapping.mapped(resource_type, &object(&content.doc), extra.as_ref())
}
