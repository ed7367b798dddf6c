//! What one resource of a SCIM server says, as it is taken.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::pull::{Envelope, Fault, Kind, Sink, SourceError, member};
use crate::scim::Object;
use crate::scim::key::instant_ms;

/// Longest id, in bytes: it is stored as `externalId`.
const MAX_ID: usize = 512;

/// What of a resource is not part of the user here, or has another meaning.
const NOT_TAKEN: [&str; 7] =
    ["id", "externalId", "meta", "schemas", "groups", "members", "password"];

/// What tells one resource of a list from another.
pub(super) fn id_text(resource: &Value) -> String {
    let id = resource.as_object().and_then(|resource| member(resource, "id"));
    id.map(Value::to_string).unwrap_or_default()
}

/// A time that a resource says of itself, in milliseconds since 1970.
pub(super) fn time(resource: &Object, name: &str) -> Option<i64> {
    instant_ms(member(resource, "meta")?.get(name)?.as_str()?)
}

/// When resources were changed, as they say it themselves.
#[derive(Default)]
pub(super) struct Times {
    pub(super) newest: Option<i64>,
    is_missing: bool,
}

impl Times {
    pub(super) fn note(&mut self, resource: &Object) {
        let modified = time(resource, "lastModified");
        self.newest = self.newest.max(modified);
        self.is_missing |= modified.is_none();
    }

    /// Whether every resource has shown one.
    pub(super) fn are_shown(&self) -> bool {
        self.newest.is_some() && !self.is_missing
    }
}

/// The id of a resource, or a fault.
fn id_of(
    resource: &Object,
    kind: Kind,
    sink: &mut dyn Sink,
) -> Result<Option<String>, SourceError> {
    let id = member(resource, "id").and_then(Value::as_str).unwrap_or_default();
    if (1..=MAX_ID).contains(&id.len()) {
        return Ok(Some(id.to_owned()));
    }
    let name = ["userName", "displayName"].iter().find_map(|name| member(resource, name)?.as_str());
    let place = name.unwrap_or("a resource").chars().take(80).collect();
    let message = format!("its \"id\" has {} bytes; 1 to {MAX_ID} are allowed.", id.len());
    sink.fault(Fault { kind, place, message })?;
    Ok(None)
}

/// Puts a user; its id.
pub(super) fn user(resource: Object, sink: &mut dyn Sink) -> Result<Option<String>, SourceError> {
    let Some(id) = id_of(&resource, Kind::Account, sink)? else { return Ok(None) };
    let attributes = taken(&resource);
    sink.put(Envelope::account(id.clone(), resource, attributes))?;
    Ok(Some(id))
}

/// Puts a group; its memberships, which follow the groups, by its id: of a group that is read twice the last
/// ones count.
pub(super) fn group(
    resource: Object,
    memberships: &mut BTreeMap<String, Vec<Envelope>>,
    sink: &mut dyn Sink,
) -> Result<(), SourceError> {
    let Some(id) = id_of(&resource, Kind::Group, sink)? else { return Ok(()) };
    let members = member(&resource, "members").and_then(Value::as_array).into_iter().flatten();
    let membership = |one: &Value| {
        let value = one.get("value")?.as_str()?;
        let payload = one.as_object().cloned().unwrap_or_default();
        Some(Envelope::membership(id.clone(), value.to_owned(), payload))
    };
    memberships.insert(id.clone(), members.filter_map(membership).collect());
    let attributes = taken(&resource);
    sink.put(Envelope::group(id, resource, attributes))
}

/// What is stored of a resource. The `externalId` that it has there is kept under another name.
fn taken(resource: &Object) -> Object {
    let is_taken = |name: &&String| !NOT_TAKEN.iter().any(|not| name.eq_ignore_ascii_case(not));
    let mut attributes: Object = resource
        .keys()
        .filter(is_taken)
        .filter_map(|name| Some((name.clone(), resource.get(name)?.clone())))
        .collect();
    if let Some(external_id) = member(resource, "externalId").filter(|value| value.is_string()) {
        attributes.insert("sourceExternalId".to_owned(), external_id.clone());
    }
    attributes
}
