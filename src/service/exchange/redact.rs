//! Takes secrets out of what is recorded. Pure.
//!
//! A member is a secret by its name, at any depth: the words below, and the attributes that the
//! directory's schemas never return. The value of a PATCH operation, or of a `{name, value}` pair, is
//! one by the path or name beside it. What cannot be read, and speaks of a secret, is not recorded.
//! Rather too much is removed than too little.

use std::collections::HashSet;

use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::scim::schema::{Attribute, Returned};
use crate::scim::{Object, Registry};

/// What stands where a secret stood.
pub(super) const REMOVED: &str = "[removed]";

/// Parts of names of secrets, in lower case and without anything but letters and digits.
const WORDS: [&str; 12] = [
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "passcode",
    "secret",
    "token",
    "authorization",
    "credential",
    "privatekey",
    "apikey",
    "bearer",
];

/// Members that name what the member `value` beside them is.
const NAMES: [&str; 5] = ["path", "name", "key", "attribute", "type"];

/// Secrets that are shorter are not looked for in other texts.
const SHORTEST: usize = 4;

/// How much of a long secret is looked for: a message may have cut it.
const BEGINNING: usize = 16;

pub(super) struct Redactor<'r> {
    /// Names of attributes that are never returned, in lower case.
    hidden: &'r HashSet<String>,
    /// What was removed.
    removed: Vec<String>,
}

/// The names of all attributes, in lower case, whose values no answer shows.
pub(super) fn hidden_names(registry: &Registry) -> HashSet<String> {
    fn collect(attributes: &[Attribute], names: &mut HashSet<String>) {
        for attribute in attributes {
            if attribute.returned == Returned::Never {
                names.insert(attribute.name.to_ascii_lowercase());
            }
            collect(&attribute.sub_attributes, names);
        }
    }
    let mut names = HashSet::new();
    for schema in registry.schemas() {
        collect(&schema.attributes, &mut names);
    }
    names
}

impl<'r> Redactor<'r> {
    pub(super) fn new(hidden: &'r HashSet<String>) -> Self {
        Self { hidden, removed: Vec::new() }
    }

    /// True when a name or path speaks of a secret.
    pub(super) fn is_secret(&self, name: &str) -> bool {
        let squeezed: String =
            name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
        if WORDS.iter().any(|word| squeezed.contains(word)) {
            return true;
        }
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '$');
        name.to_ascii_lowercase().split(|c| !is_part(c)).any(|part| self.hidden.contains(part))
    }

    /// Removes the secrets of a JSON value.
    pub(super) fn value(&mut self, value: &mut Value) {
        match value {
            Value::Array(elements) => elements.iter_mut().for_each(|element| self.value(element)),
            Value::Object(object) => self.object(object),
            _ => {}
        }
    }

    fn object(&mut self, object: &mut Object) {
        let named = object.iter().any(|(name, value)| {
            NAMES.iter().any(|known| name.eq_ignore_ascii_case(known))
                && value.as_str().is_some_and(|text| self.is_secret(text))
        });
        for (name, value) in object.iter_mut() {
            let is_name = NAMES.iter().any(|known| name.eq_ignore_ascii_case(known));
            if self.is_secret(name) || (named && name.eq_ignore_ascii_case("value")) {
                self.remove(value);
            } else if let (true, true, Value::String(text)) = (named, is_name, &mut *value) {
                self.path(text);
            } else {
                self.value(value);
            }
        }
    }

    /// What a path about a secret compares with is a secret too: `password[value eq "…"]`.
    fn path(&mut self, text: &mut String) {
        if let Some(at) = text.find(['[', '"', ' ']).filter(|_| self.is_secret(text)) {
            let literals: Vec<String> =
                text.split('"').skip(1).step_by(2).map(str::to_owned).collect();
            self.removed.extend(literals);
            text.truncate(at);
            text.push_str(REMOVED);
        }
    }

    /// Replaces a value and remembers the texts in it.
    pub(super) fn remove(&mut self, value: &mut Value) {
        if !value.is_null() {
            self.remember(value);
            *value = REMOVED.into();
        }
    }

    fn remember(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.removed.push(text.clone()),
            Value::Number(number) => self.removed.push(number.to_string()),
            Value::Array(elements) => elements.iter().for_each(|element| self.remember(element)),
            Value::Object(members) => members.values().for_each(|member| self.remember(member)),
            _ => {}
        }
    }

    /// A body that is no JSON as text, or nothing when a secret may be in it.
    pub(super) fn unreadable(&self, body: &str) -> Option<String> {
        // An escape or an encoding may hide a name.
        let hides = body.contains("\\u") || body.contains('%');
        (!hides && !self.is_secret(body)).then(|| body.to_owned())
    }

    /// The path of a request without the secrets of its query string.
    pub(super) fn request_path(&mut self, path: &str) -> String {
        let Some((path, query)) = path.split_once('?') else { return path.to_owned() };
        let pairs: Vec<String> = query.split('&').map(|pair| self.pair(pair)).collect();
        format!("{path}?{}", pairs.join("&"))
    }

    fn pair(&mut self, pair: &str) -> String {
        let Some((name, value)) = pair.split_once('=') else { return pair.to_owned() };
        let (known, decoded) = (decode(name), decode(value));
        // A filter on a secret compares it with something; a list of names does not.
        let compares = decoded.contains(' ') || decoded.contains('"') || decoded.contains('%');
        if self.is_secret(&known) {
            self.removed.push(decoded);
        } else if compares && self.is_secret(&decoded) {
            let words = decoded.split(['"', ' ', '(', ')', '[', ']']).filter(|w| !w.is_empty());
            let literals = words.clone().zip(words.skip(1)).filter(|(operator, _)| {
                ["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"]
                    .iter()
                    .any(|known| operator.eq_ignore_ascii_case(known))
            });
            self.removed.extend(literals.map(|(_, literal)| literal.to_owned()));
        } else {
            return pair.to_owned();
        }
        format!("{name}={REMOVED}")
    }

    /// Takes what was removed elsewhere out of a text such as the detail of an error.
    pub(super) fn scrub(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in self.removed.iter().filter(|secret| secret.len() >= SHORTEST) {
            text = text.replace(secret.as_str(), REMOVED);
            let beginning: String = secret.chars().take(BEGINNING).collect();
            if beginning.len() < secret.len() {
                let mut from = 0;
                while let Some(at) = text.get(from..).and_then(|rest| rest.find(&beginning)) {
                    let at = from + at;
                    let rest = text.get(at..).unwrap_or_default();
                    let length = rest.find('"').unwrap_or(rest.len()).max(1);
                    let end = (at + length..=text.len()).find(|end| text.is_char_boundary(*end));
                    text.replace_range(at..end.unwrap_or(text.len()), REMOVED);
                    from = at + REMOVED.len();
                }
            }
        }
        text
    }
}

fn decode(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn redacted(mut value: Value) -> Value {
        let hidden = HashSet::from(["badge".to_owned()]);
        Redactor::new(&hidden).value(&mut value);
        value
    }

    #[test]
    fn secrets_in_bodies() {
        for (sent, kept) in [
            (json!({"password": "t1meMa$heen"}), json!({"password": REMOVED})),
            (
                json!({"PassWord": 1, "a": [{"b": {"userPassword": {"x": 1}}}]}),
                json!({"PassWord": REMOVED, "a": [{"b": {"userPassword": REMOVED}}]}),
            ),
            (
                json!({"client_secret": "x", "access-token": "y", "Authorization": "z"}),
                json!({"client_secret": REMOVED, "access-token": REMOVED, "Authorization": REMOVED}),
            ),
            (
                json!({"credentials": [{"value": "x"}], "apiKey": "y", "private_key": "z"}),
                json!({"credentials": REMOVED, "apiKey": REMOVED, "private_key": REMOVED}),
            ),
            // By the path of a PATCH operation.
            (
                json!({"Operations": [{"op": "replace", "path": "password", "value": "x"}]}),
                json!({"Operations": [{"op": "replace", "path": "password", "value": REMOVED}]}),
            ),
            (
                json!({"Operations": [{"op": "Add", "Path": "urn:x:User:passWord", "Value": {"a": 1}}]}),
                json!({"Operations": [{"op": "Add", "Path": "urn:x:User:passWord", "Value": REMOVED}]}),
            ),
            (
                json!({"Operations": [{"op": "replace", "value": {"password": "x", "title": "y"}}]}),
                json!({"Operations": [{"op": "replace", "value": {"password": REMOVED, "title": "y"}}]}),
            ),
            (
                json!({"Operations": [{"op": "remove", "path": "tokens[value eq \"abc\"]"}]}),
                json!({"Operations": [{"op": "remove", "path": "tokens[removed]"}]}),
            ),
            // In a bulk request.
            (
                json!({"Operations": [{"path": "/Users", "data": {"password": "x", "userName": "u"}}]}),
                json!({"Operations": [{"path": "/Users", "data": {"password": REMOVED, "userName": "u"}}]}),
            ),
            // By the name beside it.
            (
                json!({"attributes": [{"name": "password", "value": "x"}]}),
                json!({"attributes": [{"name": "password", "value": REMOVED}]}),
            ),
            // By the schemas of the directory.
            (
                json!({"urn:x": {"Badge": "77"}, "number": {"badge": ["1"]}}),
                json!({"urn:x": {"Badge": REMOVED}, "number": {"badge": REMOVED}}),
            ),
            (
                json!({"path": "urn:x:badge", "value": "77"}),
                json!({"path": "urn:x:badge", "value": REMOVED}),
            ),
            // What is no secret stays.
            (
                json!({"password": null, "userName": "password", "emails": [{"value": "a@example.com", "type": "work"}]}),
                json!({"password": null, "userName": "password", "emails": [{"value": "a@example.com", "type": "work"}]}),
            ),
        ] {
            assert_eq!(redacted(sent.clone()), kept, "{sent}");
        }
    }

    #[test]
    fn secrets_in_paths_of_requests() {
        let hidden = HashSet::from(["badge".to_owned()]);
        for (sent, kept) in [
            ("/Users", "/Users"),
            ("/Users?filter=userName+eq+%22a%22", "/Users?filter=userName+eq+%22a%22"),
            ("/Users?access_token=abc&count=1", "/Users?access_token=[removed]&count=1"),
            ("/Users?filter=password%20eq%20%22abc%22", "/Users?filter=[removed]"),
            ("/Users?filter=p%61ssword+eq+abc", "/Users?filter=[removed]"),
            ("/Users?filter=badge+eq+7", "/Users?filter=[removed]"),
            ("/Users?excludedAttributes=password", "/Users?excludedAttributes=password"),
        ] {
            assert_eq!(Redactor::new(&hidden).request_path(sent), kept);
        }
    }

    #[test]
    fn text_that_is_no_json_is_kept_only_when_it_speaks_of_no_secret() {
        let hidden = HashSet::new();
        let redactor = Redactor::new(&hidden);
        for (text, kept) in [
            ("{\"userName\": \"a", true),
            ("{\"password\": \"a", false),
            ("{\"pass_word\": \"a", false),
            ("{\"p\\u0061ssword\": \"a", false),
            ("client%5Fs%65cret=1", false),
            ("", true),
        ] {
            assert_eq!(redactor.unreadable(text).is_some(), kept, "{text}");
        }
    }

    #[test]
    fn secret_is_taken_out_of_messages() {
        let hidden = HashSet::new();
        let mut redactor = Redactor::new(&hidden);
        redactor.value(&mut json!({"password": "hunter22", "token": "0123456789abcdefghijklmnop"}));
        for (text, kept) in [
            ("found \"hunter22\".", "found \"[removed]\"."),
            ("found \"0123456789abcdefghij\" and", "found \"[removed]\" and"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(redactor.scrub(text), kept);
        }
    }
}
