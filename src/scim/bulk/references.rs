//! `bulkId:` references (RFC 7644 §3.7.2): where an operation has them, and their replacement.
//!
//! The RFC wants each replaced and does not say where one may stand. Here that is:
//! - the id in the operation's path;
//! - every string in `data` that begins with `bulkId:`, at any depth. Inside other text it means
//!   nothing;
//! - the last segment of a `$ref`, percent-encoded or not. What stands before it is kept;
//! - the strings in the filter of a PATCH path: `members[value eq "bulkId:x"]`.
//!
//! Names of members are never references.

use std::borrow::Cow;
use std::collections::HashSet;

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::{Method, Operation};
use crate::scim::filter::{Filter, Literal, TargetPath, parse_target_path};
use crate::scim::message::member;
use crate::scim::{Object, ScimError};

/// What stands before the bulkId.
const PREFIX: &str = "bulkId:";

/// What is known of the resource that a bulkId stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference<'i> {
    /// It has this id, or will have it when the step is done.
    Known(&'i str),
    /// Its POST was tried in vain.
    Failed,
    /// No POST of the request has that bulkId.
    Unknown,
}

impl Operation {
    /// The bulkIds of the resources that this operation refers to. A POST may refer to itself.
    pub fn references(&self) -> HashSet<String> {
        let mut names = HashSet::new();
        let id = self.id.as_deref().map(|id| (Place::Value, id));
        for (place, text) in id.into_iter().chain(texts(self.top(), &self.data)) {
            if place == Place::Target {
                let mut path = filtered_path(text);
                for (place, text) in path.iter_mut().flat_map(literals) {
                    names.extend(split(place, text).map(|(_, name)| name.into_owned()));
                }
            } else {
                names.extend(split(place, text).map(|(_, name)| name.into_owned()));
            }
        }
        names
    }

    /// Puts ids in the place of all references. After an error the operation cannot be run; some of
    /// its references are then replaced and some are not.
    ///
    /// Errors: 400 `invalidValue` for an unknown bulkId, 409 for a failed one.
    pub fn resolve<'i>(&mut self, id_of: impl Fn(&str) -> Reference<'i>) -> Result<(), ScimError> {
        let top = self.top();
        let id = self.id.as_mut().map(|id| (Place::Value, id));
        for (place, text) in id.into_iter().chain(texts_mut(top, &mut self.data)) {
            if place != Place::Target {
                replace(place, text, &id_of)?;
                continue;
            }
            let Some(mut path) = filtered_path(text) else { continue };
            let mut replaced = false;
            for (place, text) in literals(&mut path) {
                replaced |= replace(place, text, &id_of)?;
            }
            // A path without references stays as the client wrote it.
            if replaced {
                *text = path.to_string();
            }
        }
        Ok(())
    }

    fn top(&self) -> Place {
        if self.method == Method::Patch { Place::Patch } else { Place::Value }
    }
}

/// What a value is, by where it stands.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// The message of a PATCH.
    Patch,
    /// One of its operations.
    Op,
    /// One whose path is a `$ref`.
    RefOp,
    /// The path of one of them.
    Target,
    /// The value of a `$ref`.
    Ref,
    /// Anything else.
    Value,
}

impl Place {
    /// What an object is whose place is this.
    fn of(self, object: &Object) -> Self {
        let path = || member(object, "path").and_then(Value::as_str);
        if self == Self::Op && path().is_some_and(is_ref) { Self::RefOp } else { self }
    }

    /// What a member of such an object is.
    fn member(self, name: &str) -> Self {
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
        match self {
            Self::Patch if is("Operations") => Self::Op,
            Self::Op | Self::RefOp if is("path") => Self::Target,
            Self::RefOp if is("value") => Self::Ref,
            _ if is_ref(name) => Self::Ref,
            _ => Self::Value,
        }
    }
}

/// True for `$ref` and for paths that end in it.
fn is_ref(path: &str) -> bool {
    let last = path.trim().rsplit(['.', ':']).next();
    last.is_some_and(|name| name.eq_ignore_ascii_case("$ref"))
}

/// All strings below an object, in its order. The nesting is the client's: no recursion.
fn texts(top: Place, data: &Object) -> impl Iterator<Item = (Place, &str)> {
    fn members(place: Place, object: &Object) -> impl Iterator<Item = (Place, &Value)> {
        let place = place.of(object);
        object.iter().rev().map(move |(name, value)| (place.member(name), value))
    }
    let mut waiting: Vec<(Place, &Value)> = members(top, data).collect();
    std::iter::from_fn(move || {
        while let Some((place, value)) = waiting.pop() {
            match value {
                Value::String(text) => return Some((place, text.as_str())),
                Value::Array(values) => {
                    waiting.extend(values.iter().rev().map(|value| (place, value)));
                }
                Value::Object(object) => waiting.extend(members(place, object)),
                Value::Null | Value::Bool(_) | Value::Number(_) => {}
            }
        }
        None
    })
}

/// [`texts`], to be changed.
fn texts_mut(top: Place, data: &mut Object) -> impl Iterator<Item = (Place, &mut String)> {
    fn members(place: Place, object: &mut Object) -> impl Iterator<Item = (Place, &mut Value)> {
        let place = place.of(object);
        object.iter_mut().rev().map(move |(name, value)| (place.member(name), value))
    }
    let mut waiting: Vec<(Place, &mut Value)> = members(top, data).collect();
    std::iter::from_fn(move || {
        while let Some((place, value)) = waiting.pop() {
            match value {
                Value::String(text) => return Some((place, text)),
                Value::Array(values) => {
                    waiting.extend(values.iter_mut().rev().map(|value| (place, value)));
                }
                Value::Object(object) => waiting.extend(members(place, object)),
                Value::Null | Value::Bool(_) | Value::Number(_) => {}
            }
        }
        None
    })
}

/// A path with a filter; only there can a path have a reference. One that cannot be read is an
/// error when the PATCH is read.
fn filtered_path(text: &str) -> Option<TargetPath> {
    let path = text.contains('[').then(|| parse_target_path(text).ok())??;
    path.filter.is_some().then_some(path)
}

/// The strings of the path's filter.
fn literals(path: &mut TargetPath) -> Vec<(Place, &mut String)> {
    let mut found = Vec::new();
    let mut waiting: Vec<&mut Filter> = path.filter.iter_mut().collect();
    while let Some(filter) = waiting.pop() {
        match filter {
            Filter::Or(parts) | Filter::And(parts) => waiting.extend(parts.iter_mut().rev()),
            Filter::Not(inner) => waiting.push(inner),
            Filter::Element { filter, .. } => waiting.push(filter),
            Filter::Compare { path, value: Literal::Text(text), .. } => {
                let place = if is_ref(&path.to_string()) { Place::Ref } else { Place::Value };
                found.push((place, text));
            }
            Filter::Compare { .. } | Filter::Present(_) => {}
        }
    }
    found
}

/// The text before a reference, and the bulkId; `None` when the text is no reference.
fn split(place: Place, text: &str) -> Option<(&str, Cow<'_, str>)> {
    if let Some(name) = text.strip_prefix(PREFIX) {
        return Some(("", name.into()));
    }
    if place != Place::Ref {
        return None;
    }
    let start = text.rfind('/')?.checked_add(1)?;
    let (before, last) = text.split_at_checked(start)?;
    let last = percent_decode_str(last).decode_utf8().ok()?;
    Some((before, last.strip_prefix(PREFIX)?.to_owned().into()))
}

/// Replaces the reference that the text is; false when it is none.
fn replace<'i>(
    place: Place,
    text: &mut String,
    id_of: impl Fn(&str) -> Reference<'i>,
) -> Result<bool, ScimError> {
    let Some((before, name)) = split(place, text) else { return Ok(false) };
    *text = match id_of(&name) {
        Reference::Known(id) => format!("{before}{id}"),
        Reference::Failed => {
            return Err(ScimError::new(
                409,
                format!(
                    "The operation refers to \"{PREFIX}{}\", but the POST with that bulkId failed.",
                    shown(&name)
                ),
            ));
        }
        Reference::Unknown => {
            return Err(ScimError::invalid_value(format!(
                "The operation refers to \"{PREFIX}{}\", but no POST of this request has that \
                 bulkId.",
                shown(&name)
            )));
        }
    };
    Ok(true)
}

/// A bulkId for an error detail: long enough for every usual one, cut because it is the client's.
fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(64).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;
    use crate::scim::resource::fixture::object;

    fn operation(method: Method, data: Value) -> Operation {
        let id = (method != Method::Post).then(|| "1".to_owned());
        Operation { method, endpoint: "Users".into(), id, version: None, data: object(data) }
    }

    /// `x` is `X-1`, and so on; `failed` failed, `missing` is not there.
    fn id_of(name: &str) -> Reference<'static> {
        match name {
            "x" => Reference::Known("X-1"),
            "y" => Reference::Known("Y-2"),
            "a/b" => Reference::Known("AB-3"),
            "failed" => Reference::Failed,
            _ => Reference::Unknown,
        }
    }

    /// Data, the bulkIds in it, and the data after they are resolved.
    fn check(method: Method, data: &Value, names: &[&str], resolved: &Value) {
        let mut operation = operation(method, data.clone());
        let found: BTreeSet<String> = operation.references().into_iter().collect();
        assert_eq!(found, names.iter().map(|name| (*name).to_owned()).collect(), "{data}");
        assert_eq!(operation.resolve(id_of), Ok(()), "{data}");
        assert_eq!(operation.data, object(resolved.clone()), "{data}");
        assert!(operation.references().is_empty());
    }

    #[test]
    fn references_in_resources() {
        let manager = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
        let table = [
            (json!({}), vec![], json!({})),
            (
                json!({"m": [{"value": "bulkId:x", "type": "U"}, {"value": "2"}, "bulkId:y"]}),
                vec!["x", "y"],
                json!({"m": [{"value": "X-1", "type": "U"}, {"value": "2"}, "Y-2"]}),
            ),
            (
                json!({manager: {"manager": {"value": "bulkId:x", "$ref": "../Users/bulkId:x"}}}),
                vec!["x"],
                json!({manager: {"manager": {"value": "X-1", "$ref": "../Users/X-1"}}}),
            ),
            (
                json!({"a": [[{"b": [["bulkId:a/b"]]}]]}),
                vec!["a/b"],
                json!({"a": [[{"b": [["AB-3"]]}]]}),
            ),
            (
                json!({"m": [
                    {"$ref": "https://example.com/v2/Users/bulkId:x"}, {"$REF": "/Users/bulkId:y"},
                    {"$ref": "U/bulkId%3Aa%2Fb"}, {"$ref": "bulkId:x"}, {"m.$ref": ["U/bulkId:y"]}
                ]}),
                vec!["a/b", "x", "y"],
                json!({"m": [
                    {"$ref": "https://example.com/v2/Users/X-1"}, {"$REF": "/Users/Y-2"},
                    {"$ref": "U/AB-3"}, {"$ref": "X-1"}, {"m.$ref": ["U/Y-2"]}
                ]}),
            ),
        ];
        for (data, names, resolved) in table {
            check(Method::Post, &data, &names, &resolved);
            check(Method::Put, &data, &names, &resolved);
        }
    }

    #[test]
    fn what_is_no_reference_stays() {
        for data in [
            json!({"displayName": "see bulkId:x", "a": " bulkId:x", "b": "BulkId:x", "c": "x"}),
            json!({"profileUrl": "https://example.com/Users/bulkId:x"}),
            json!({"$ref": "https://example.com/Users/1"}),
            json!({"$ref": "https://example.com/bulkId:x/1"}),
            json!({"$ref": "https://example.com/xbulkId:x"}),
            json!({"$ref": "https://example.com/%ff"}),
            json!({"bulkId:x": 1, "b": true, "c": null}),
            // Not a PATCH: these are attributes of some resource type.
            json!({"Operations": [{"path": "members[value eq \"bulkId:x\"]"}]}),
        ] {
            check(Method::Post, &data, &[], &data);
        }
        for path in [
            "members[value eq \"see bulkId:x\"]",
            "MEMBERS[ value  EQ \"1\" ]",
            "members[value eq \"bulkId:x",
            "members[value eq bulkId:x]",
            "members[value pr]",
            "bulkId:x",
        ] {
            let data = json!({"Operations": [{"op": "remove", "path": path}]});
            check(Method::Patch, &data, &[], &data);
        }
    }

    #[test]
    fn references_in_patches() {
        let table = [
            (
                json!({"op": "add", "path": "members", "value": [{"value": "bulkId:x"}]}),
                vec!["x"],
                json!({"op": "add", "path": "members", "value": [{"value": "X-1"}]}),
            ),
            (
                json!({"op": "add", "value": {"m.value": "bulkId:x", "m.$ref": "/U/bulkId:y"}}),
                vec!["x", "y"],
                json!({"op": "add", "value": {"m.value": "X-1", "m.$ref": "/U/Y-2"}}),
            ),
            (
                json!({"op": "remove", "Path": "members[value eq \"bulkId:x\"]"}),
                vec!["x"],
                json!({"op": "remove", "Path": "members[value eq \"X-1\"]"}),
            ),
            (
                json!({"path": "m[not (a eq \"bulkId:x\") and (b pr or $ref ew \"/bulkId:y\")].d"}),
                vec!["x", "y"],
                json!({"path": "m[not (a eq \"X-1\") and (b pr or $ref ew \"/Y-2\")].d"}),
            ),
            (
                json!({"path": "m[value eq \"bulkId:a\\/b\" or b eq 1]"}),
                vec!["a/b"],
                json!({"path": "m[value eq \"AB-3\" or b eq 1]"}),
            ),
            (
                json!({"path": "urn:x:User:manager.$ref", "value": "https://e.com/U/bulkId:x"}),
                vec!["x"],
                json!({"path": "urn:x:User:manager.$ref", "value": "https://e.com/U/X-1"}),
            ),
            (
                json!({"path": "members[value eq \"bulkId:x\"].$ref", "value": "../U/bulkId:x"}),
                vec!["x"],
                json!({"path": "members[value eq \"X-1\"].$ref", "value": "../U/X-1"}),
            ),
            (
                json!({"path": "displayName", "value": "../U/bulkId:x"}),
                vec![],
                json!({"path": "displayName", "value": "../U/bulkId:x"}),
            ),
        ];
        for (op, names, resolved) in table {
            let patch = |op: Value| json!({"schemas": ["x"], "operations": [{"op": "add"}, op]});
            check(Method::Patch, &patch(op), &names, &patch(resolved));
        }
    }

    #[test]
    fn references_in_the_path() {
        let with_id = |id: &str| Operation {
            id: Some(id.to_owned()),
            ..operation(Method::Delete, json!({}))
        };
        let mut new = with_id("bulkId:x");
        assert_eq!(new.references(), HashSet::from(["x".to_owned()]));
        assert_eq!(new.resolve(id_of), Ok(()));
        assert_eq!(new, with_id("X-1"));
        for id in ["X-1", "Users/bulkId:x", "xbulkId:x"] {
            let mut old = with_id(id);
            assert!(old.references().is_empty());
            assert_eq!(old.resolve(|_| Reference::Unknown), Ok(()));
            assert_eq!(old, with_id(id));
        }
    }

    #[test]
    fn references_without_an_id_are_named() {
        let unknown = |name: &str| {
            ScimError::invalid_value(format!(
                "The operation refers to \"bulkId:{name}\", but no POST of this request has that \
                 bulkId."
            ))
        };
        let failed = ScimError::new(
            409,
            "The operation refers to \"bulkId:failed\", but the POST with that bulkId failed.",
        );
        let long = format!("bulkId:{}", "ü".repeat(100));
        let path = json!([{"path": "members[value eq \"bulkId:failed\"]"}]);
        let table = [
            (json!({"m": ["bulkId:x", "bulkId:missing"]}), unknown("missing")),
            (json!({"m": ["bulkId:x", "bulkId:failed"]}), failed.clone()),
            (
                json!({"m": [{"$ref": "/Users/bulkId:missing"}, "bulkId:failed"]}),
                unknown("missing"),
            ),
            (json!({"m": "bulkId:failed", "n": "bulkId:missing"}), failed.clone()),
            (json!({"Operations": path}), failed),
            (json!({"m": "bulkId:"}), unknown("")),
            (json!({"m": long}), unknown(&"ü".repeat(64))),
        ];
        for (data, error) in table {
            assert_eq!(operation(Method::Patch, data).resolve(id_of), Err(error));
        }
    }
}
