//! What has to hold for every input: a function for each target, and the resource types, documents and
//! profiles that they share.
//!
//! The tests of the workspace compile these too, and give them `corpus`.

pub mod bulk;
pub mod cursor;
pub mod filter;
pub mod patch;
pub mod path;

use std::sync::LazyLock;

use rollbook::profile::Profile;
use rollbook::scim::resource::{Document, Notes, Rules, validate};
use rollbook::scim::schema::OwnSchemas;
use rollbook::scim::{Object, Registry, ResourceType};
use serde_json::{Value, json};

/// The built-in types, and one of a directory's own with every characteristic that those lack.
pub static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    let builtin = Registry::builtin();
    let own = object(serde_json::from_str(include_str!("device.json")).expect("JSON"));
    OwnSchemas::parse(&own, &builtin).expect("sound schemas").added_to(&builtin)
});

/// A resource type and a document of it, as a POST would have stored it.
pub struct Subject {
    pub resource_type: &'static ResourceType,
    pub document: Document,
    /// The document with what the server adds to it: what a filter is asked about.
    pub shown: Object,
}

/// Users, groups and devices.
pub static SUBJECTS: LazyLock<Vec<Subject>> = LazyLock::new(|| {
    let members = json!([
        {"value": "directory_user_02", "type": "User", "display": "Bob"},
        {"value": "directory_group_02", "type": "Group"}
    ]);
    vec![
        subject(
            "User",
            include_str!("user.json"),
            json!({
                "groups": [{"value": "directory_group_01", "type": "direct", "display": "Staff"}]
            }),
        ),
        subject(
            "Group",
            r#"{"displayName": "Staff", "externalId": "g-1"}"#,
            json!({
                "members": members
            }),
        ),
        subject("Device", include_str!("device_body.json"), json!({})),
    ]
});

fn subject(name: &str, body: &str, added: Value) -> Subject {
    let resource_type = REGISTRY.by_name(name).expect("a known type");
    let body = object(serde_json::from_str(body).expect("JSON"));
    let rules = profile("rfc").value_rules();
    let document = stored(&body, resource_type, rules).expect("a valid body");
    let mut shown = document.as_object().clone();
    shown.extend(object(added));
    shown.insert(
        "meta".into(),
        json!({
            "resourceType": name,
            "created": "2021-06-25T19:07:33.155Z",
            "lastModified": "2024-02-29T00:00:00Z",
            "location": format!("https://example.com/scim/v2/{name}s/id1"),
            "version": "W/\"3\""
        }),
    );
    Subject { resource_type, document, shown }
}

/// The document that a POST of this body would store under `id1`; `None` when it is refused.
pub fn stored(body: &Object, resource_type: &ResourceType, rules: Rules) -> Option<Document> {
    let checked =
        validate::representation(body.clone(), resource_type, rules, &mut Notes::default()).ok()?;
    Document::canonical(checked, "id1", resource_type).ok()
}

/// A shipped profile.
pub fn profile(name: &str) -> Profile {
    Profile::of(name, &Default::default()).expect("a shipped profile")
}

/// What most directories have, the RFC's own, and the strictest.
pub static PROFILES: LazyLock<[Profile; 3]> =
    LazyLock::new(|| ["default", "rfc", "strict"].map(profile));

/// The value as an object; anything else is empty.
pub fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        _ => Object::new(),
    }
}
