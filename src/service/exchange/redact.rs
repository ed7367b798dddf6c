//! Takes secrets out of what is recorded. Pure.
//!
//! A member is a secret by its name, at any depth: the words below, and the attributes that the
//! directory's schemas never return. The value of a PATCH operation, or of a `{name, value}` pair, is
//! one by the path or name beside it. What cannot be read, and speaks of a secret, is not recorded.
//! Rather too much is removed than too little.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::{BTreeSet, HashSet};

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

/// How many different secrets are looked for in other texts. With more, no such text is kept.
const MAX_REMEMBERED: usize = 256;

/// Longest text in which secrets are looked for, in bytes; a longer one is not kept.
const LONGEST: usize = 16 * 1024;

/// How many bytes are looked through for one record, each counted once for every secret. What comes
/// later is not kept.
const MAX_LOOKED_AT: usize = 128 * 1024 * 1024;

pub(super) struct Redactor<'r> {
    /// Names of attributes that are never returned, in lower case.
    hidden: &'r HashSet<String>,
    /// What was removed, the longest first: a shorter one may be a part of it.
    removed: BTreeSet<(Reverse<usize>, String)>,
    /// There were more than are remembered.
    too_many: bool,
    /// Bytes that may still be looked at.
    left: Cell<usize>,
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

/// True when one of [`WORDS`] is in the name. Every member of every record is asked about: searching for
/// each word in turn took a fourth of the time that a record costs.
fn names_secret(name: &str) -> bool {
    let mut squeezed = String::with_capacity(name.len());
    for c in name.chars().filter(|c| c.is_alphanumeric()) {
        squeezed.extend(c.to_lowercase());
    }
    let begins = |(at, c): (usize, char)| {
        matches!(c, 'p' | 's' | 't' | 'a' | 'c' | 'b')
            && squeezed.get(at..).is_some_and(|rest| WORDS.iter().any(|w| rest.starts_with(w)))
    };
    squeezed.char_indices().any(begins)
}

impl<'r> Redactor<'r> {
    pub(super) fn new(hidden: &'r HashSet<String>) -> Self {
        Self { hidden, removed: BTreeSet::new(), too_many: false, left: Cell::new(MAX_LOOKED_AT) }
    }

    /// True when a name or path speaks of a secret.
    pub(super) fn is_secret(&self, name: &str) -> bool {
        if names_secret(name) {
            return true;
        }
        if self.hidden.is_empty() {
            return false;
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
            } else if let (true, Value::String(text)) =
                (name.eq_ignore_ascii_case("filter"), &mut *value)
            {
                self.filter(text);
            } else {
                self.value(value);
            }
        }
    }

    /// What a path about a secret compares with is a secret too: `password[value eq "…"]`.
    fn path(&mut self, text: &mut String) {
        if let Some(at) = text.find(['[', '"', ' ']).filter(|_| self.is_secret(text)) {
            self.literals(text.get(at..).unwrap_or_default());
            text.truncate(at);
            text.push_str(REMOVED);
        }
    }

    /// A filter that speaks of a secret is removed as a whole, also one that cannot be read; true
    /// when it was.
    fn filter(&mut self, text: &mut String) -> bool {
        let is_secret = self.is_secret(text);
        if is_secret {
            self.literals(text);
            REMOVED.clone_into(text);
        }
        is_secret
    }

    /// Remembers a text, everything in it that stands in quotes, and its words.
    fn literals(&mut self, text: &str) {
        self.keep_in_mind(text);
        for literal in text.split('"').skip(1).step_by(2) {
            self.literal(literal);
            // As it is when its escapes are read.
            if let Ok(read) = serde_json::from_str::<String>(&format!("\"{literal}\"")) {
                self.literal(&read);
            }
        }
        let separates = |c: char| c.is_whitespace() || matches!(c, '"' | '(' | ')' | '[' | ']');
        for word in text.split(separates) {
            // The name of the attribute tells nothing, and a message without it even less.
            let name = word.to_ascii_lowercase();
            if !WORDS.contains(&name.as_str()) && !self.hidden.contains(&name) {
                self.literal(word);
            }
        }
    }

    /// Messages quote what they name: by its quotes a short one is found too.
    fn literal(&mut self, text: &str) {
        match text.len() {
            0 => {}
            1..SHORTEST => {
                self.removed.insert((Reverse(text.len() + 2), format!("\"{text}\"")));
            }
            _ => self.keep_in_mind(text),
        }
    }

    fn keep_in_mind(&mut self, text: &str) {
        if self.too_many || text.len() < SHORTEST || REMOVED.contains(text) {
            return;
        }
        self.removed.insert((Reverse(text.len()), text.to_owned()));
        if self.removed.len() > MAX_REMEMBERED {
            self.too_many = true;
            self.removed.clear();
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
            Value::String(text) => self.keep_in_mind(text),
            Value::Number(number) => self.keep_in_mind(&number.to_string()),
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
        if self.too_many {
            return format!("{path}?{REMOVED}");
        }
        let pairs: Vec<String> = query.split('&').map(|pair| self.pair(pair)).collect();
        format!("{path}?{}", pairs.join("&"))
    }

    fn pair(&mut self, pair: &str) -> String {
        let Some((name, value)) = pair.split_once('=') else { return pair.to_owned() };
        let (known, mut decoded) = (decode(name), decode(value));
        // A filter on a secret compares it with something; a list of names does not.
        let compares = known.eq_ignore_ascii_case("filter") || decoded.contains([' ', '"', '%']);
        if self.is_secret(&known) {
            self.keep_in_mind(&decoded);
        } else if !compares || !self.filter(&mut decoded) {
            return pair.to_owned();
        }
        format!("{name}={REMOVED}")
    }

    /// Takes what was removed elsewhere out of a text such as the detail of an error.
    pub(super) fn scrub(&self, text: &str) -> String {
        if self.removed.is_empty() && !self.too_many {
            return text.to_owned();
        }
        let cost = self.removed.len().saturating_mul(text.len());
        let left = self.left.get().checked_sub(cost);
        self.left.set(left.unwrap_or(0));
        if self.too_many || text.len() > LONGEST || left.is_none() {
            return REMOVED.to_owned();
        }
        let mut text = text.to_owned();
        for (_, secret) in &self.removed {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), REMOVED);
            }
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
    fn every_word_is_found_wherever_it_stands() {
        for word in WORDS {
            for name in
                [word.to_owned(), format!("x{word}"), format!("a-{word}S"), format!("É{word}")]
            {
                assert!(names_secret(&name) && names_secret(&name.to_uppercase()), "{name}");
            }
        }
        assert!(!names_secret("displayName") && !names_secret("") && !names_secret("passwo"));
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
            // In a search.
            (
                json!({"filter": "password eq \"x\"", "attributes": ["userName"]}),
                json!({"filter": REMOVED, "attributes": ["userName"]}),
            ),
            (
                json!({"Filter": "userName eq \"password\" and badge sw 7"}),
                json!({"Filter": REMOVED}),
            ),
            (
                json!({"filter": "userName eq \"a\"", "sortBy": "password"}),
                json!({"filter": "userName eq \"a\"", "sortBy": "password"}),
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
            ("/Users?filter=password(hunter22)", "/Users?filter=[removed]"),
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

    #[test]
    fn what_a_filter_compares_a_secret_with_is_taken_out_of_messages() {
        let hidden = HashSet::from(["badge".to_owned()]);
        for (filter, message, kept) in [
            (
                "password \"hunter22\"",
                "\"hunter22\" is no operator of password",
                "\"[removed]\" is no operator of password",
            ),
            ("password eq \"my two words\" x", "found my two words.", "found [removed]."),
            ("password eq \"my two words\" x", "found words.", "found [removed]."),
            ("badge eq \"a7\"", "found \"a7\".", "found [removed]."),
            ("badge eq a7", "found \"a7\".", "found [removed]."),
            ("(badge eq \"hunt\\u0065r\")", "found \"hunter\".", "found \"[removed]\"."),
            ("password hunter22", "in password hunter22", "in [removed]"),
            ("userName hunter22", "in userName hunter22", "in userName hunter22"),
        ] {
            let mut of_body = Redactor::new(&hidden);
            of_body.value(&mut json!({ "filter": filter }));
            assert_eq!(of_body.scrub(message), kept, "{filter}");
            let mut of_path = Redactor::new(&hidden);
            of_path.request_path(&format!("/Users?filter={}", filter.replace(' ', "+")));
            assert_eq!(of_path.scrub(message), kept, "{filter}");
        }
    }

    #[test]
    fn many_secrets_are_not_remembered_and_no_text_is_kept_beside_them() {
        let hidden = HashSet::new();
        // The same secret again and again is one.
        let mut redactor = Redactor::new(&hidden);
        redactor.value(&mut json!({"tokens": vec!["hunter22"; 200_000]}));
        assert_eq!(redactor.removed.len(), 1);
        assert_eq!(redactor.scrub("found hunter22"), "found [removed]");

        for (count, path, message) in [
            (MAX_REMEMBERED, "/Users?count=1", "found nothing"),
            (MAX_REMEMBERED + 1, "/Users?[removed]", REMOVED),
            (300_000, "/Users?[removed]", REMOVED),
        ] {
            let mut redactor = Redactor::new(&hidden);
            let secrets: Vec<String> = (0..count).map(|n| format!("secret-{n}")).collect();
            redactor.value(&mut json!({ "tokens": secrets }));
            assert!(redactor.removed.len() <= MAX_REMEMBERED, "{count}");
            assert_eq!(redactor.scrub("found nothing"), message, "{count}");
            assert_eq!(redactor.request_path("/Users?count=1"), path, "{count}");
        }
    }

    #[test]
    fn looking_for_secrets_ends() {
        let hidden = HashSet::new();
        let mut redactor = Redactor::new(&hidden);
        let text = "x".repeat(LONGEST);
        assert_eq!(redactor.scrub(&format!("{text}x")).len(), LONGEST + 1, "there is no secret");
        let secrets: Vec<String> = (0..MAX_REMEMBERED).map(|n| format!("secret-{n}")).collect();
        redactor.value(&mut json!({ "tokens": secrets }));
        assert_eq!(redactor.scrub(&format!("{text}x")), REMOVED, "too long");
        let kept = (0..1_000).filter(|_| redactor.scrub(&text) != REMOVED).count();
        assert!((1..=MAX_LOOKED_AT / LONGEST / MAX_REMEMBERED).contains(&kept), "{kept}");
    }
}
