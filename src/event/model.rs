//! The normalised objects of the app-facing API: a directory user and a directory group, made from
//! SCIM documents.

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::stable::{Stable, StableObject};
use crate::scim::key::instant_text;
use crate::scim::{Object, urn};

/// The directory that an object belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'s> {
    pub directory_id: &'s str,
    pub organization_id: &'s str,
    /// A user without addresses has the userName as e-mail if it looks like one.
    pub email_from_user_name: bool,
}

/// The members of an object that the app sees, in their order. Most are written as they stand in the
/// document, and not copied for it.
pub struct Shown<'v>(Vec<(&'static str, Member<'v>)>);

enum Member<'v> {
    Value(Cow<'v, Value>),
    Object(Cow<'v, Object>),
}

impl Shown<'_> {
    /// As they are; [`super::stable::stabilise`] makes of it what is written.
    pub fn into_value(self) -> Value {
        let owned = self.0.into_iter().map(|(name, member)| {
            let member = match member {
                Member::Value(value) => value.into_owned(),
                Member::Object(object) => Value::Object(object.into_owned()),
            };
            (name.to_owned(), member)
        });
        Value::Object(owned.collect())
    }
}

/// In the form of [`super::stable`].
impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, member)| (name, member)))
    }
}

impl Serialize for Member<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Value(value) => Stable(value).serialize(serializer),
            Self::Object(object) => StableObject(object).serialize(serializer),
        }
    }
}

impl<'v> From<&'v Value> for Member<'v> {
    fn from(value: &'v Value) -> Self {
        Self::Value(Cow::Borrowed(value))
    }
}

impl From<Value> for Member<'_> {
    fn from(value: Value) -> Self {
        Self::Value(Cow::Owned(value))
    }
}

impl<'v> From<Cow<'v, Object>> for Member<'v> {
    fn from(object: Cow<'v, Object>) -> Self {
        Self::Object(object)
    }
}

impl From<&str> for Member<'_> {
    fn from(text: &str) -> Self {
        Value::from(text).into()
    }
}

impl From<String> for Member<'_> {
    fn from(text: String) -> Self {
        Value::from(text).into()
    }
}

/// A value of a document, or null.
impl<'v> From<Option<&'v Value>> for Member<'v> {
    fn from(value: Option<&'v Value>) -> Self {
        value.unwrap_or(&Value::Null).into()
    }
}

/// A stored user, seen by the app.
#[derive(Clone, Copy, Debug)]
pub struct UserView<'u> {
    pub id: &'u str,
    pub doc: &'u Object,
    /// What no schema knows.
    pub extra: Option<&'u Object>,
    pub active: bool,
    pub created: i64,
    pub modified: i64,
    /// What the attribute map of the directory makes of it.
    pub custom_attributes: Option<&'u Object>,
    /// Slugs, the highest first.
    pub roles: &'u [String],
}

impl<'u> UserView<'u> {
    /// The `directory_user` object without `groups`, as events carry it.
    pub fn shown(&self, subject: Subject<'u>) -> Shown<'u> {
        let name = |part: &str| self.doc.get("name").and_then(|name| name.get(part));
        let mut members = Vec::with_capacity(20);
        let mut put = |name: &'static str, member: Member<'u>| members.push((name, member));
        put("object", "directory_user".into());
        put("id", self.id.into());
        put("directory_id", subject.directory_id.into());
        put("organization_id", subject.organization_id.into());
        put("idp_id", idp_id(self.doc, self.id));
        put("email", self.email(subject));
        put("first_name", name("givenName").into());
        put("last_name", name("familyName").into());
        put("name", self.full_name());
        put("emails", self.doc.get("emails").map_or_else(|| json!([]).into(), Member::from));
        put("job_title", self.job_title().into());
        put("username", self.doc.get("userName").into());
        put("state", if self.active { "active" } else { "inactive" }.into());
        put("raw_attributes", raw_attributes(self.doc, self.extra).into());
        let custom = self.custom_attributes.map_or_else(Cow::default, Cow::Borrowed);
        put("custom_attributes", custom.into());
        // Both are left out when there is none.
        if let Some(highest) = self.roles.first() {
            put("role", json!({"slug": highest}).into());
            let roles = self.roles.iter().map(|slug| json!({"slug": slug}));
            put("roles", roles.collect::<Value>().into());
        }
        put("created_at", instant_text(self.created).into());
        put("updated_at", instant_text(self.modified).into());
        Shown(members)
    }

    /// The title; clients that have none in the core schema send one beside the enterprise extension.
    fn job_title(&self) -> Option<&'u Value> {
        let beside = || {
            let flat = self.extra?.get(&format!("{}:title", urn::ENTERPRISE_USER));
            flat.filter(|title| title.is_string())
        };
        self.doc.get("title").or_else(beside)
    }

    /// The primary address, else the first one of type work, else of type home, else the first one that
    /// has no type: some clients send addresses as values alone.
    fn email(&self, subject: Subject<'_>) -> Member<'u> {
        let addresses = self.doc.get("emails").and_then(Value::as_array);
        let addresses = addresses.map_or(&[][..], Vec::as_slice);
        let with = |wanted: &dyn Fn(&Value) -> bool| {
            addresses.iter().find(|a| wanted(a)).and_then(|a| a.get("value"))
        };
        let of_type = |kind: &'static str| {
            move |a: &Value| a.get("type").and_then(Value::as_str) == Some(kind)
        };
        let found = with(&|a| a.get("primary") == Some(&Value::Bool(true)))
            .or_else(|| with(&of_type("work")))
            .or_else(|| with(&of_type("home")))
            .or_else(|| with(&|a| a.get("type").is_none()));
        let user_name = self.doc.get("userName").and_then(Value::as_str).unwrap_or_default();
        match found {
            Some(found) => found.into(),
            None if addresses.is_empty()
                && subject.email_from_user_name
                && looks_like_address(user_name) =>
            {
                user_name.into()
            }
            None => Value::Null.into(),
        }
    }

    fn full_name(&self) -> Member<'u> {
        let part = |name: &str| self.doc.get("name")?.get(name)?.as_str().filter(|t| !t.is_empty());
        if let Some(formatted) = part("formatted") {
            return formatted.into();
        }
        let parts: Vec<&str> =
            [part("givenName"), part("familyName")].into_iter().flatten().collect();
        if !parts.is_empty() {
            return parts.join(" ").into();
        }
        self.doc.get("displayName").into()
    }
}

/// A stored group, seen by the app.
#[derive(Clone, Copy, Debug)]
pub struct GroupView<'g> {
    pub id: &'g str,
    pub doc: &'g Object,
    pub extra: Option<&'g Object>,
    pub created: i64,
    pub modified: i64,
}

impl<'g> GroupView<'g> {
    /// The `directory_group` object.
    pub fn shown(&self, subject: Subject<'g>) -> Shown<'g> {
        Shown(vec![
            ("object", "directory_group".into()),
            ("id", self.id.into()),
            ("idp_id", idp_id(self.doc, self.id)),
            ("directory_id", subject.directory_id.into()),
            ("organization_id", subject.organization_id.into()),
            ("name", self.doc.get("displayName").into()),
            ("raw_attributes", raw_attributes(self.doc, self.extra).into()),
            ("created_at", instant_text(self.created).into()),
            ("updated_at", instant_text(self.modified).into()),
        ])
    }
}

/// The identity provider's own id: `externalId`, else the id.
fn idp_id<'v>(doc: &'v Object, id: &str) -> Member<'v> {
    doc.get("externalId").map_or_else(|| id.into(), Member::from)
}

/// What the source sent: the document and what no schema knows.
pub fn raw_attributes<'v>(doc: &'v Object, extra: Option<&Object>) -> Cow<'v, Object> {
    let mut raw = Cow::Borrowed(doc);
    for (name, value) in extra.into_iter().flatten() {
        raw.to_mut().entry(name.clone()).or_insert_with(|| value.clone());
    }
    raw
}

fn looks_like_address(text: &str) -> bool {
    text.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty() && domain.contains('.') && !text.contains(char::is_whitespace)
    })
}

/// Old values of what changed between two objects; `None` when nothing did. Inside `raw_attributes`
/// and `custom_attributes` only the changed keys; absent before is null; `updated_at` never counts.
pub fn previous_attributes(old: &Value, new: &Value) -> Option<Value> {
    let changed = changed_members(old.as_object()?, new.as_object()?, |name, old, new| {
        let nested = matches!(name, "raw_attributes" | "custom_attributes");
        match (nested, old, new) {
            (true, Value::Object(old), Value::Object(new)) => {
                changed_members(old, new, |_, old, _| Some(old.clone())).map(Value::Object)
            }
            _ => Some(old.clone()),
        }
    })?;
    Some(Value::Object(changed))
}

fn changed_members(
    old: &Object,
    new: &Object,
    describe: impl Fn(&str, &Value, &Value) -> Option<Value>,
) -> Option<Object> {
    let mut changed = Object::new();
    let names = old.keys().chain(new.keys().filter(|name| !old.contains_key(*name)));
    for name in names.filter(|name| *name != "updated_at") {
        let (before, after) =
            (old.get(name).unwrap_or(&Value::Null), new.get(name).unwrap_or(&Value::Null));
        if before != after
            && let Some(value) = describe(name, before, after)
        {
            changed.insert(name.clone(), value);
        }
    }
    (!changed.is_empty()).then_some(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn previous_attributes_hold_exactly_what_changed() {
        let old =
            json!({"a": 1, "b": [1], "updated_at": "x", "raw_attributes": {"t": "A", "u": 1}});
        let new = json!({"a": 1, "b": [2], "updated_at": "y",
            "raw_attributes": {"t": "B", "u": 1, "n": true}, "added": 1});
        let expected = json!({"b": [1], "raw_attributes": {"t": "A", "n": null}, "added": null});
        assert_eq!(previous_attributes(&old, &new), Some(expected));
        let only_time = json!({"a": 1, "b": [1], "updated_at": "z",
            "raw_attributes": {"t": "A", "u": 1}});
        assert_eq!(previous_attributes(&old, &only_time), None);
    }

    #[test]
    fn email_is_primary_then_work_then_home() {
        let subject =
            Subject { directory_id: "d", organization_id: "o", email_from_user_name: true };
        for (doc, expected) in [
            (
                json!({"emails": [{"value": "h", "type": "home"}, {"value": "w", "type": "work"}]}),
                json!("w"),
            ),
            (
                json!({"emails": [{"value": "w", "type": "work"}, {"value": "p", "primary": true}]}),
                json!("p"),
            ),
            (
                json!({"emails": [{"value": "o", "type": "other"}], "userName": "a@b.c"}),
                Value::Null,
            ),
            (
                json!({"emails": [{"value": "o", "type": "other"}, {"value": "n"}, {"value": "m"}]}),
                json!("n"),
            ),
            (json!({"userName": "a@b.c"}), json!("a@b.c")),
            (json!({"userName": "a b@b.c"}), Value::Null),
        ] {
            let doc = doc.as_object().expect("object").clone();
            let view = nobody(&doc);
            assert_eq!(view.shown(subject).into_value()["email"], expected);
        }
    }

    fn nobody(doc: &Object) -> UserView<'_> {
        UserView {
            id: "u",
            doc,
            extra: None,
            active: true,
            created: 0,
            modified: 0,
            custom_attributes: None,
            roles: &[],
        }
    }

    #[test]
    fn roles_are_left_out_when_there_are_none() {
        let subject =
            Subject { directory_id: "d", organization_id: "o", email_from_user_name: true };
        let doc = Object::new();
        let plain = nobody(&doc).shown(subject).into_value();
        assert!(plain.get("role").is_none() && plain.get("roles").is_none());
        assert_eq!(plain["custom_attributes"], json!({}));
        let custom = json!({"badge": 7});
        let roles = ["admin".to_owned(), "viewer".to_owned()];
        let custom_attributes = custom.as_object();
        let view = UserView { roles: &roles, custom_attributes, ..nobody(&doc) }
            .shown(subject)
            .into_value();
        assert_eq!(view["role"], json!({"slug": "admin"}));
        assert_eq!(view["roles"], json!([{"slug": "admin"}, {"slug": "viewer"}]));
        assert_eq!(view["custom_attributes"], custom);
        let previous = previous_attributes(&plain, &view);
        let expected = json!({"custom_attributes": {"badge": null}, "role": null, "roles": null});
        assert_eq!(previous, Some(expected));
    }

    #[test]
    fn job_title_may_stand_beside_the_extension() {
        let subject =
            Subject { directory_id: "d", organization_id: "o", email_from_user_name: true };
        let (doc, extra) =
            (Object::new(), json!({(format!("{}:title", urn::ENTERPRISE_USER)): "Lead"}));
        let view =
            UserView { extra: extra.as_object(), ..nobody(&doc) }.shown(subject).into_value();
        assert_eq!(view["job_title"], "Lead");
    }
}
