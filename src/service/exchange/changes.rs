//! What a request changed, as a list of `{path, old, new}`. Pure.
//!
//! A complex attribute and an extension are compared member by member; a multi-valued attribute is one
//! value. Members of a group, which are many, are counted and the first ones named.

use serde_json::{Value, json};

use super::redact::Redactor;
use super::trace::{Changed, Listed};
use crate::scim::Object;

/// Most changes of one resource that are listed.
const MAX_CHANGES: usize = 200;

/// Longest value, in bytes of JSON.
const MAX_VALUE_BYTES: usize = 4 * 1024;

/// Whether the values themselves are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Values {
    Shown,
    Hidden,
}

/// What the change did, without secrets.
pub(super) fn of(
    changed: &Changed,
    (before, after): (&Object, &Object),
    values: Values,
    redactor: &mut Redactor<'_>,
) -> Vec<Value> {
    let mut differences = Vec::new();
    compare(before, after, "", &mut differences);
    let more = differences.len().saturating_sub(MAX_CHANGES);
    let mut list: Vec<Value> = differences
        .into_iter()
        .take(MAX_CHANGES)
        .map(|difference| difference.shown(values, redactor))
        .collect();
    if more > 0 {
        list.push(json!({"more": more}));
    }
    let related =
        [("added", &changed.joined), ("removed", &changed.left), ("pending", &changed.waiting)];
    let mut relation = Object::new();
    for (name, ids) in related.into_iter().filter(|(_, ids)| ids.count > 0) {
        relation.insert(name.to_owned(), counted(ids, values));
    }
    if !relation.is_empty() {
        relation.shift_insert(0, "path".to_owned(), changed.relation.into());
        list.push(relation.into());
    }
    list
}

fn counted(ids: &Listed, values: Values) -> Value {
    match values {
        Values::Shown => json!({"count": ids.count, "first": ids.first}),
        Values::Hidden => json!({"count": ids.count}),
    }
}

struct Difference {
    path: String,
    old: Option<Value>,
    new: Option<Value>,
}

impl Difference {
    fn shown(self, values: Values, redactor: &mut Redactor<'_>) -> Value {
        let is_secret = redactor.is_secret(&self.path);
        let mut change = Object::new();
        change.insert("path".to_owned(), self.path.into());
        for (name, value) in [("old", self.old), ("new", self.new)] {
            let Some(mut value) = value else { continue };
            if values == Values::Hidden {
                continue;
            }
            if is_secret {
                redactor.remove(&mut value);
            } else {
                redactor.value(&mut value);
            }
            let text = value.to_string();
            if text.len() > MAX_VALUE_BYTES {
                let end = (0..=MAX_VALUE_BYTES).rev().find(|end| text.is_char_boundary(*end));
                let text = text.get(..end.unwrap_or(0)).unwrap_or_default();
                value = format!("{text}… (cut)").into();
            }
            change.insert(name.to_owned(), value);
        }
        change.into()
    }
}

fn compare(old: &Object, new: &Object, prefix: &str, found: &mut Vec<Difference>) {
    let names = old.keys().chain(new.keys().filter(|name| !old.contains_key(*name)));
    for name in
        names.filter(|name| !prefix.is_empty() || !matches!(name.as_str(), "id" | "schemas"))
    {
        let (before, after) = (old.get(name), new.get(name));
        if before == after {
            continue;
        }
        // A URI ends with a colon before the attribute, a complex attribute with a dot.
        let path = format!("{prefix}{name}");
        let separator = if prefix.is_empty() && name.contains(':') { ':' } else { '.' };
        let empty = Object::new();
        match (inner(before, &empty), inner(after, &empty)) {
            (Some(before), Some(after)) => {
                compare(before, after, &format!("{path}{separator}"), found);
            }
            _ => found.push(Difference { path, old: before.cloned(), new: after.cloned() }),
        }
    }
}

/// The members of an object; none of a value that is not there.
fn inner<'v>(value: Option<&'v Value>, empty: &'v Object) -> Option<&'v Object> {
    match value {
        None => Some(empty),
        Some(value) => value.as_object(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn changes(before: Option<Value>, after: Option<Value>, values: Values) -> Value {
        let hidden = HashSet::from(["pin".to_owned()]);
        let object = |value: Option<Value>| -> Object {
            value.and_then(|value| value.as_object().cloned()).unwrap_or_default()
        };
        let documents = (&object(before), &object(after));
        of(&Changed::default(), documents, values, &mut Redactor::new(&hidden)).into()
    }

    #[test]
    fn differences_between_two_documents() {
        let extension = "urn:example:User";
        for (before, after, expected) in [
            (
                json!({"title": "a"}),
                json!({"title": "b"}),
                json!([{"path": "title", "old": "a", "new": "b"}]),
            ),
            (json!({"title": "a"}), json!({}), json!([{"path": "title", "old": "a"}])),
            (json!({}), json!({"active": true}), json!([{"path": "active", "new": true}])),
            (
                json!({"name": {"givenName": "a", "familyName": "b"}}),
                json!({"name": {"givenName": "c", "familyName": "b"}}),
                json!([{"path": "name.givenName", "old": "a", "new": "c"}]),
            ),
            (
                json!({}),
                json!({extension: {"department": "x"}}),
                json!([{"path": "urn:example:User:department", "new": "x"}]),
            ),
            (
                json!({"emails": [{"value": "a"}]}),
                json!({"emails": [{"value": "b"}]}),
                json!([{"path": "emails", "old": [{"value": "a"}], "new": [{"value": "b"}]}]),
            ),
            (
                json!({"pin": "1", "a": {"secret": "2"}}),
                json!({"pin": "3", "a": {"secret": "4"}}),
                json!([{"path": "pin", "old": "[removed]", "new": "[removed]"},
                    {"path": "a.secret", "old": "[removed]", "new": "[removed]"}]),
            ),
            (json!({"id": "1", "schemas": ["a"]}), json!({"id": "1", "schemas": ["b"]}), json!([])),
            (json!({"a": 1}), json!({"a": 1}), json!([])),
        ] {
            let found = changes(Some(before), Some(after), Values::Shown);
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn values_can_be_left_out() {
        let found = changes(None, Some(json!({"title": "a"})), Values::Hidden);
        assert_eq!(found, json!([{"path": "title"}]));
    }

    #[test]
    fn members_are_counted_and_the_first_ones_named() {
        let mut joined = Listed::default();
        for n in 0..3 {
            joined.push(&format!("m{n}"), 2);
        }
        let changed = Changed { relation: "members", joined, ..Changed::default() };
        let hidden = HashSet::new();
        let documents = (&Object::new(), &Object::new());
        let list = of(&changed, documents, Values::Shown, &mut Redactor::new(&hidden));
        let expected = json!([{"path": "members", "added": {"count": 3, "first": ["m0", "m1"]}}]);
        assert_eq!(Value::from(list), expected);
    }

    #[test]
    fn what_is_very_long_is_cut() {
        let many: Object = (0..250).map(|n| (format!("a{n}"), json!(n))).collect();
        let found = changes(None, Some(many.into()), Values::Shown);
        assert_eq!(found.as_array().map(Vec::len), Some(201));
        assert_eq!(found[200], json!({"more": 50}));
        let found = changes(None, Some(json!({"a": "é".repeat(5_000)})), Values::Shown);
        let text = found[0]["new"].as_str().expect("text");
        assert!(text.ends_with("(cut)") && text.len() < 4_200);
    }
}
