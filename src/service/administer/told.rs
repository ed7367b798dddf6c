//! What others are told of a directory: the app in its events, the audit log in its rows.

use serde_json::{Value, json};

use crate::pull::SourceKind;
use crate::scim::key::instant_text;
use crate::service::context::State;
use crate::service::seen::object;
use crate::service::sync::Syncs;
use crate::store::directory::DirectoryRow;
use crate::store::organization::DomainRow;
use crate::store::{StoreError, Tx};

/// `type` of the app-facing API.
pub(in crate::service) fn app_type(kind: &str) -> &str {
    match kind {
        "scim.okta" => "okta scim v2.0",
        "scim.entra" => "azure scim v2.0",
        "scim.onelogin" => "onelogin scim v2.0",
        "scim.jumpcloud" => "jump cloud scim v2.0",
        "scim.pingfederate" => "pingfederate scim v2.0",
        "scim.rippling" => "rippling scim v2.0",
        "scim.cyberark" => "cyberark scim v2.0",
        "scim.generic" => "generic scim v2.0",
        other => other,
    }
}

/// What the app is told of a directory that it may look at.
pub(in crate::service) fn activated(row: &DirectoryRow, domains: &[DomainRow]) -> Value {
    let shown = domains
        .iter()
        .map(|d| json!({"object": "organization_domain", "id": d.id, "domain": d.domain}));
    let domains: Vec<Value> = shown.collect();
    let mut data = deleted(row);
    if let Some(object) = data.as_object_mut() {
        object.insert("external_key".into(), row.external_key.clone().into());
        object.insert("domains".into(), domains.into());
    }
    data
}

pub(super) fn deleted(row: &DirectoryRow) -> Value {
    let state = State::parse(&row.state).unwrap_or(State::Error);
    json!({
        "object": "directory",
        "id": row.id,
        "organization_id": row.organization_id,
        "type": app_type(&row.kind),
        "state": state.in_events(),
        "name": row.name,
        "created_at": instant_text(row.created),
        "updated_at": instant_text(row.modified),
    })
}

/// What operators set of it; of one that is read with its configuration, whose secrets are masked.
pub(in crate::service) fn audited(
    tx: &mut Tx<'_>,
    syncs: &Syncs,
    row: &DirectoryRow,
) -> Result<Value, StoreError> {
    let mut shown = json!({
        "id": row.id,
        "name": row.name,
        "kind": row.kind,
        "state": row.state,
        "settings": object(&row.settings),
    });
    if SourceKind::named(&row.kind).is_some()
        && let (Some(source), Some(members)) = (tx.sync_get(row.key)?, shown.as_object_mut())
    {
        members.insert("config".into(), syncs.view(row, &source).config);
    }
    Ok(shown)
}
