//! Answers as bytes: stored documents with what is computed at read time spliced in.
//!
//! A document is served as it is stored, without parsing it, unless attributes are selected.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::query::{Found, Listed};
use super::record::object;
use crate::scim::resource::meta::etag;
use crate::scim::resource::{Meta, Projection};
use crate::scim::{Object, ResourceType, urn};

/// The URL of a resource.
pub fn location(base: &str, resource_type: &ResourceType, id: &str) -> String {
    format!("{base}{}/{id}", resource_type.endpoint)
}

/// A resource as an answer shows it; `base` is the SCIM base URL.
pub fn resource(
    found: &Found,
    resource_type: &ResourceType,
    projection: &Projection,
    base: &str,
) -> String {
    let mut text = String::with_capacity(found.row.doc.len() + 512);
    push_resource(&mut text, found, resource_type, projection, base);
    text
}

/// A ListResponse (RFC 7644 §3.4.2): always all five members.
pub fn list(
    listed: &Listed,
    resource_type: &ResourceType,
    projection: &Projection,
    base: &str,
) -> String {
    let mut text = format!(
        "{{\"schemas\":[\"{}\"],\"totalResults\":{},\"startIndex\":{},\"itemsPerPage\":{},\
         \"Resources\":[",
        urn::LIST_RESPONSE,
        listed.total,
        listed.start_index,
        listed.resources.len()
    );
    for (index, found) in listed.resources.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        push_resource(&mut text, found, resource_type, projection, base);
    }
    text.push_str("]}");
    text
}

fn push_resource(
    text: &mut String,
    found: &Found,
    resource_type: &ResourceType,
    projection: &Projection,
    base: &str,
) {
    if projection.is_default() && !resource_type.hides_attributes() {
        let document = found.row.doc.strip_suffix('}').unwrap_or(&found.row.doc);
        text.push_str(document);
        for (name, value) in computed(found, resource_type, base) {
            text.push_str(&format!(",\"{name}\":{value}"));
        }
        text.push('}');
        return;
    }
    let object = object_of(found, resource_type, base);
    let shown = projection.apply(object, resource_type);
    text.push_str(&Value::Object(shown).to_string());
}

/// The entity tag of the representation that shows these relations.
pub fn tag(found: &Found) -> String {
    etag(found.row.version, related(found).as_deref())
}

/// A digest of the groups that a user is in: joining and leaving does not move the user's version.
fn related(found: &Found) -> Option<String> {
    if found.groups.is_empty() {
        return None;
    }
    let mut digest = Sha256::new();
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
pub fn object_of(found: &Found, resource_type: &ResourceType, base: &str) -> Object {
    let mut document = object(&found.row.doc);
    for (name, value) in computed(found, resource_type, base) {
        document.insert(name.to_owned(), value);
    }
    document
}

/// `groups`, `members` and `meta`.
fn computed(found: &Found, resource_type: &ResourceType, base: &str) -> Vec<(&'static str, Value)> {
    let mut values = Vec::with_capacity(2);
    if !found.groups.is_empty() {
        let groups = found.groups.iter().map(|group| {
            json!({
                "value": group.group_id,
                "$ref": format!("{base}/Groups/{}", group.group_id),
                "display": group.display,
                "type": if group.direct { "direct" } else { "indirect" },
            })
        });
        values.push(("groups", groups.collect()));
    }
    if !found.members.is_empty() {
        let members = found.members.iter().map(|member| {
            let mut element = Object::new();
            element.insert("value".into(), member.id.clone().into());
            let reference = format!("{base}/{}s/{}", member.resource_type, member.id);
            element.insert("$ref".into(), reference.into());
            if let Some(display) = &member.display {
                element.insert("display".into(), display.clone().into());
            }
            element.insert("type".into(), member.resource_type.clone().into());
            Value::Object(element)
        });
        values.push(("members", members.collect()));
    }
    let row = &found.row;
    let meta = Meta {
        resource_type: resource_type.name.clone(),
        created: row.created,
        last_modified: row.modified,
        version: row.version,
        related: related(found),
        location: location(base, resource_type, &row.id),
    };
    values.push(("meta", meta.to_value()));
    values
}
