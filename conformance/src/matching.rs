//! The pure half of a flow: variables, JSON pointers and the comparison of an answer.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Variables by name.
pub type Vars = BTreeMap<String, String>;

/// Replaces every `${name}` in the text. A name that has no value is the error; a `${` that is
/// never closed is plain text.
pub fn substitute(text: &str, vars: &Vars) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        let Some((name, tail)) = after.split_once('}') else {
            out.push_str("${");
            rest = after;
            continue;
        };
        let value = vars.get(name).ok_or_else(|| format!("variable `{name}` has no value"))?;
        out.push_str(value);
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}

/// [`substitute`] in every string of a document, keys included.
pub fn substitute_json(value: &Value, vars: &Vars) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) => Value::String(substitute(text, vars)?),
        Value::Array(items) => {
            let items = items.iter().map(|item| substitute_json(item, vars));
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(key, value)| Ok((substitute(key, vars)?, substitute_json(value, vars)?)));
            Value::Object(members.collect::<Result<Map<_, _>, String>>()?)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    })
}

/// What the JSON pointer (RFC 6901) leads to: `~1` stands for `/`, `~0` for `~`, and the empty
/// pointer for the whole document.
pub fn pointer<'v>(value: &'v Value, pointer: &str) -> Option<&'v Value> {
    if pointer.is_empty() {
        return Some(value);
    }
    pointer.strip_prefix('/')?.split('/').try_fold(value, |value, token| match value {
        Value::Object(members) => members.get(&unescape(token)),
        Value::Array(items) => items.get(array_index(token)?),
        _ => None,
    })
}

fn unescape(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}

fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// Digits without a leading zero, as RFC 6901 §4 has it.
fn array_index(token: &str) -> Option<usize> {
    let plain = token == "0" || !token.starts_with(['0', '+']);
    plain.then(|| token.parse().ok()).flatten()
}

/// Where `found` does not contain `expected`; empty when it does.
///
/// Objects must have the listed keys with matching values, arrays an element for each listed one in
/// any order, everything else must be equal in type and value. `[]` asks for an array, `{}` for an
/// object.
pub fn differences(expected: &Value, found: &Value) -> Vec<String> {
    let mut differences = Vec::new();
    compare(expected, found, "", &mut differences);
    differences
}

fn compare(expected: &Value, found: &Value, at: &str, differences: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            for (key, expected) in expected {
                let at = format!("{at}/{}", escape(key));
                match found.get(key) {
                    Some(found) => compare(expected, found, &at, differences),
                    None => differences.push(format!("{at}: expected {}, absent", brief(expected))),
                }
            }
        }
        (Value::Array(expected), Value::Array(items)) => {
            for expected in expected {
                if !items.iter().any(|item| contains(expected, item)) {
                    differences.push(format!(
                        "{}: no element contains {}, found {}",
                        shown(at),
                        brief(expected),
                        brief(found)
                    ));
                }
            }
        }
        _ if expected == found => {}
        _ => differences.push(format!(
            "{}: expected {}, found {}",
            shown(at),
            brief(expected),
            brief(found)
        )),
    }
}

fn contains(expected: &Value, found: &Value) -> bool {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => expected
            .iter()
            .all(|(key, expected)| found.get(key).is_some_and(|found| contains(expected, found))),
        (Value::Array(expected), Value::Array(found)) => {
            expected.iter().all(|expected| found.iter().any(|found| contains(expected, found)))
        }
        _ => expected == found,
    }
}

fn shown(at: &str) -> &str {
    if at.is_empty() { "the document" } else { at }
}

/// The value as JSON, cut after 200 characters.
pub fn brief(value: &Value) -> String {
    cut(&value.to_string())
}

/// The text, cut after 200 characters.
pub fn cut(text: &str) -> String {
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", text.split_at(end).0),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn vars() -> Vars {
        let pairs = [("id", "42"), ("urn", "urn:x:User"), ("odd", "${id}")];
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    #[test]
    fn substitute_replaces_known_names() {
        for (text, expected) in [
            ("", Ok("")),
            ("/Users/${id}?", Ok("/Users/42?")),
            ("${id}${id}", Ok("4242")),
            ("$id {id} $", Ok("$id {id} $")),
            ("$${id}", Ok("$42")),
            ("open ${id", Ok("open ${id")),
            ("${odd}", Ok("${id}")),
            ("é${id}é", Ok("é42é")),
            ("${who}", Err("variable `who` has no value")),
            ("${}", Err("variable `` has no value")),
        ] {
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(substitute(text, &vars()), expected, "{text}");
        }
    }

    #[test]
    fn substitute_json_reaches_keys_and_strings_alone() {
        let before = json!({"${urn}": {"a": ["${id}", 1, true, null]}, "id": "x${id}"});
        let after = json!({"urn:x:User": {"a": ["42", 1, true, null]}, "id": "x42"});
        assert_eq!(substitute_json(&before, &vars()), Ok(after));
        assert!(substitute_json(&json!({"${who}": 1}), &vars()).is_err());
        assert!(substitute_json(&json!(["${who}"]), &vars()).is_err());
    }

    #[test]
    fn substitute_json_keeps_the_order_of_keys() {
        let value = json!({"schemas": [], "Operations": [], "a": 1});
        assert_eq!(
            substitute_json(&value, &vars()).unwrap().to_string(),
            r#"{"schemas":[],"Operations":[],"a":1}"#
        );
    }

    #[test]
    fn pointer_follows_keys_and_indexes() {
        let value = json!({
            "": 0, "a": {"b": [10, {"c": 20}]}, "x/y": 1, "m~n": 2, "~1": 3,
            "urn:x:User": {"manager": 4}, "name.givenName": 5, "nil": null, "s": "text",
        });
        for (path, expected) in [
            ("", Some(value.clone())),
            ("/", Some(json!(0))),
            ("/a/b/0", Some(json!(10))),
            ("/a/b/1/c", Some(json!(20))),
            ("/a/b/2", None),
            ("/a/b/-", None),
            ("/a/b/00", None),
            ("/a/b/01", None),
            ("/a/b/+1", None),
            ("/a/b/x", None),
            ("/x~1y", Some(json!(1))),
            ("/m~0n", Some(json!(2))),
            ("/~01", Some(json!(3))),
            ("/urn:x:User/manager", Some(json!(4))),
            ("/name.givenName", Some(json!(5))),
            ("/nil", Some(Value::Null)),
            ("/s/0", None),
            ("/A", None),
            ("a", None),
        ] {
            assert_eq!(pointer(&value, path), expected.as_ref(), "{path}");
        }
    }

    #[test]
    fn differences_name_the_place() {
        for (expected, found, differences_expected) in [
            (json!({}), json!({"a": 1}), vec![]),
            (json!({"a": 1}), json!({"a": 1, "b": 2}), vec![]),
            (json!({"a": {"b": true}}), json!({"a": {"b": true, "c": 0}}), vec![]),
            (json!({"a": []}), json!({"a": [1, 2]}), vec![]),
            (json!([{"v": 2}, {"v": 1}]), json!([{"v": 1, "t": 0}, {"v": 2}]), vec![]),
            (json!([[1]]), json!([[2, 1]]), vec![]),
            (json!(null), json!(null), vec![]),
            (json!({"a": 1}), json!({}), vec!["/a: expected 1, absent"]),
            (json!({"a": null}), json!({}), vec!["/a: expected null, absent"]),
            (json!({"a": 1}), json!({"A": 1}), vec!["/a: expected 1, absent"]),
            (json!({"a": 1}), json!({"a": "1"}), vec!["/a: expected 1, found \"1\""]),
            (json!({"a": true}), json!({"a": "True"}), vec!["/a: expected true, found \"True\""]),
            (json!({"a": []}), json!({"a": {}}), vec!["/a: expected [], found {}"]),
            (
                json!({"x/y": {"~": 1}}),
                json!({"x/y": {"~": 2}}),
                vec!["/x~1y/~0: expected 1, found 2"],
            ),
            (
                json!({"a": [{"v": 1}, {"v": 3}]}),
                json!({"a": [{"v": 1}]}),
                vec![r#"/a: no element contains {"v":3}, found [{"v":1}]"#],
            ),
            (
                json!({"a": 1, "b": 2}),
                json!({"a": 0, "b": 0}),
                vec!["/a: expected 1, found 0", "/b: expected 2, found 0"],
            ),
            (json!(1), json!(2), vec!["the document: expected 1, found 2"]),
            (json!([1]), json!([]), vec!["the document: no element contains 1, found []"]),
        ] {
            assert_eq!(
                differences(&expected, &found),
                differences_expected,
                "{expected} in {found}"
            );
        }
    }

    #[test]
    fn cut_counts_characters() {
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(&"é".repeat(200)), "é".repeat(200));
        assert_eq!(cut(&"é".repeat(201)), format!("{}…", "é".repeat(200)));
    }
}
