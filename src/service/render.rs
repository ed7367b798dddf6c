//! Answers as bytes: stored documents with what is computed at read time spliced in.
//!
//! A document is served as it is stored, without parsing it, unless attributes are selected or a
//! manager has to be shown inside it.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::query::{Found, Listed, ManagerRow};
use super::seen::object;
use crate::scim::resource::meta::etag;
use crate::scim::resource::project::strip_hidden;
use crate::scim::resource::{Meta, Projection};
use crate::scim::{Object, Registry, ResourceType, urn};
use crate::store::member::MemberRow;

/// What links in an answer are made of.
#[derive(Clone, Copy)]
pub struct Links<'l> {
    /// The SCIM base URL.
    pub base: &'l str,
    pub registry: &'l Registry,
}

impl Links<'_> {
    /// The URL of a resource whose type is known by name.
    fn to(self, type_name: &str, id: &str) -> Option<String> {
        let resource_type = self.registry.by_name(type_name)?;
        Some(location(self.base, resource_type, id))
    }
}

/// The URL of a resource.
pub fn location(base: &str, resource_type: &ResourceType, id: &str) -> String {
    format!("{base}{}/{id}", resource_type.endpoint)
}

/// A resource as an answer shows it.
pub fn resource(
    found: &Found,
    resource_type: &ResourceType,
    projection: &Projection,
    links: Links<'_>,
) -> String {
    let mut text = String::with_capacity(found.row.doc.len() + 512);
    push_resource(&mut text, found, resource_type, projection, links);
    text
}

/// A ListResponse (RFC 7644 §3.4.2): always all five members; by cursor with those of RFC 9865 in
/// the place of `startIndex`.
pub fn list(listed: &Listed, links: Links<'_>) -> String {
    let mut text =
        format!("{{\"schemas\":[\"{}\"],\"totalResults\":{},", urn::LIST_RESPONSE, listed.total);
    if let Some(start_index) = listed.start_index {
        text.push_str(&format!("\"startIndex\":{start_index},"));
    }
    // Cursors are made of characters that JSON does not escape.
    for (name, cursor) in
        [("previousCursor", &listed.previous_cursor), ("nextCursor", &listed.next_cursor)]
    {
        if let Some(cursor) = cursor {
            text.push_str(&format!("\"{name}\":\"{cursor}\","));
        }
    }
    text.push_str(&format!("\"itemsPerPage\":{},\"Resources\":[", listed.resources.len()));
    for (index, entry) in listed.resources.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        push_resource(&mut text, &entry.found, &entry.resource_type, &entry.projection, links);
    }
    text.push_str("]}");
    text
}

fn push_resource(
    text: &mut String,
    found: &Found,
    resource_type: &ResourceType,
    projection: &Projection,
    links: Links<'_>,
) {
    if projection.is_default() && !resource_type.hides_attributes() && found.manager.is_none() {
        let document = found.row.doc.strip_suffix('}').unwrap_or(&found.row.doc);
        text.push_str(document);
        if !found.groups.is_empty() {
            text.push_str(&format!(",\"groups\":{}", groups(found, links)));
        }
        if !found.members.is_empty() {
            text.push_str(",\"members\":[");
            push_members(text, &found.members, links);
            text.push(']');
        }
        text.push_str(&format!(",\"meta\":{}}}", meta(found, resource_type, links)));
        return;
    }
    let shown = shown(found, resource_type, projection, links);
    text.push_str(&Value::Object(shown).to_string());
}

/// What an answer shows of a resource.
pub fn shown(
    found: &Found,
    resource_type: &ResourceType,
    projection: &Projection,
    links: Links<'_>,
) -> Object {
    projection.apply(object_of(found, resource_type, links), resource_type)
}

/// What a client sent under the URIs of schemas that this server does not know.
pub fn kept_extensions(found: &Found, resource_type: &ResourceType) -> Object {
    let Some(extra) = &found.row.extra else { return Object::new() };
    let mut kept = object(extra);
    strip_hidden(&mut kept, resource_type);
    kept.retain(|name, value| name.contains(':') && value.is_object());
    kept
}

/// The entity tag of the representation that shows these relations.
pub fn tag(found: &Found) -> String {
    etag(found.row.version, related(found).as_deref())
}

/// A digest of the groups that a user is in and of its manager's name: neither moves the user's
/// version.
fn related(found: &Found) -> Option<String> {
    let manager = found.manager.as_ref().filter(|manager| manager.id.is_some());
    if found.groups.is_empty() && manager.is_none() {
        return None;
    }
    let mut digest = Sha256::new();
    if let Some(manager) = manager {
        digest.update(manager.display.as_deref().unwrap_or_default());
        digest.update([1]);
    }
    for group in &found.groups {
        for part in [group.group_id.as_str(), group.display.as_deref().unwrap_or_default()] {
            digest.update(part);
            digest.update([0]);
        }
        digest.update([u8::from(group.direct)]);
    }
    Some(digest.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect())
}

/// The whole resource as an object, before projection.
pub fn object_of(found: &Found, resource_type: &ResourceType, links: Links<'_>) -> Object {
    let mut document = object(&found.row.doc);
    if let Some(manager) = &found.manager {
        show_manager(&mut document, manager, links);
    }
    for (name, value) in computed(found, resource_type, links) {
        document.insert(name.to_owned(), value);
    }
    document
}

/// `manager.$ref` and `manager.displayName` follow from `manager.value` (RFC 7643 §4.3); without
/// such a user there are none, whatever a client sent.
fn show_manager(document: &mut Object, manager: &ManagerRow, links: Links<'_>) {
    let enterprise = document.get_mut(urn::ENTERPRISE_USER).and_then(Value::as_object_mut);
    let Some(shown) = enterprise.and_then(|e| e.get_mut("manager")?.as_object_mut()) else {
        return;
    };
    shown.shift_remove("$ref");
    let reference = manager.id.as_deref().and_then(|id| links.to("User", id));
    if let Some(reference) = reference {
        shown.insert("$ref".into(), reference.into());
    }
    if let Some(display) = &manager.display {
        shown.insert("displayName".into(), display.clone().into());
    }
}

/// A large group in pieces: all but its members, up to the first of them.
pub fn head(
    found: &Found,
    resource_type: &ResourceType,
    projection: &Projection,
    links: Links<'_>,
) -> String {
    let without = Found { members: Vec::new(), ..found.clone() };
    let mut text = resource(&without, resource_type, projection, links);
    text.pop();
    let comma = if text.len() > 1 { "," } else { "" };
    text.push_str(&format!("{comma}\"members\":["));
    text
}

/// What ends a resource that [`head`] began.
pub const TAIL: &str = "]}";

/// A page of members, separated by commas, as the group shows them.
pub fn members(
    found: &Found,
    resource_type: &ResourceType,
    projection: &Projection,
    links: Links<'_>,
) -> String {
    let mut text = String::with_capacity(found.members.len() * 256);
    if projection.is_default() && !resource_type.hides_attributes() {
        push_members(&mut text, &found.members, links);
        return text;
    }
    let all = found.members.iter().map(|member| member_value(member, links));
    let group = Object::from_iter([("members".to_owned(), all.collect::<Value>())]);
    let shown = projection.apply(group, resource_type);
    let shown = shown.get("members").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for (index, member) in shown.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(&member.to_string());
    }
    text
}

/// Members as text, without values in between: a page of groups may show many.
fn push_members(text: &mut String, members: &[MemberRow], links: Links<'_>) {
    for (index, member) in members.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(&format!("{{\"value\":{}", json!(member.id)));
        if let Some(reference) = links.to(&member.resource_type, &member.id) {
            text.push_str(&format!(",\"$ref\":{}", json!(reference)));
        }
        if let Some(display) = &member.display {
            text.push_str(&format!(",\"display\":{}", json!(display)));
        }
        text.push_str(&format!(",\"type\":{}}}", json!(member.resource_type)));
    }
}

fn member_value(member: &MemberRow, links: Links<'_>) -> Value {
    let mut element = Object::new();
    element.insert("value".into(), member.id.clone().into());
    if let Some(reference) = links.to(&member.resource_type, &member.id) {
        element.insert("$ref".into(), reference.into());
    }
    if let Some(display) = &member.display {
        element.insert("display".into(), display.clone().into());
    }
    element.insert("type".into(), member.resource_type.clone().into());
    Value::Object(element)
}

/// `groups`, `members` and `meta`.
fn computed(
    found: &Found,
    resource_type: &ResourceType,
    links: Links<'_>,
) -> Vec<(&'static str, Value)> {
    let mut values = Vec::with_capacity(2);
    if !found.groups.is_empty() {
        values.push(("groups", groups(found, links)));
    }
    if !found.members.is_empty() {
        let members = found.members.iter().map(|member| member_value(member, links));
        values.push(("members", members.collect()));
    }
    values.push(("meta", meta(found, resource_type, links)));
    values
}

fn groups(found: &Found, links: Links<'_>) -> Value {
    let groups = found.groups.iter().map(|group| {
        json!({
            "value": group.group_id,
            "$ref": links.to("Group", &group.group_id),
            "display": group.display,
            "type": if group.direct { "direct" } else { "indirect" },
        })
    });
    groups.collect()
}

fn meta(found: &Found, resource_type: &ResourceType, links: Links<'_>) -> Value {
    let row = &found.row;
    let meta = Meta {
        resource_type: resource_type.name.clone(),
        created: row.created,
        last_modified: row.modified,
        version: row.version,
        related: related(found),
        location: location(links.base, resource_type, &row.id),
    };
    meta.to_value()
}
