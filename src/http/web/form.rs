//! Forms made from a JSON Schema, such as that of a connector's configuration: what a page shows of it, and
//! the object that a sent form means. The portal and the console ask by the same forms.

use askama::Template;
use serde_json::{Map, Value};

use crate::scim::Object;

/// What stands before the name of a field in a form, as it does in errors about a configuration.
const CONFIG: &str = "config";

/// Words that are written in capitals.
const CAPITALS: [&str; 14] = [
    "api", "arn", "aws", "ca", "csv", "dn", "id", "json", "ldap", "pem", "scim", "tls", "url",
    "uuid",
];

/// The fields of a form, in the order of the schema: what has to be filled in first. A page shows them as
/// `{{ fields|safe }}`, with a summary of what is wrong above them.
#[derive(Template)]
#[template(path = "web/fields.html")]
pub(in crate::http) struct Fields {
    pub(in crate::http) all: Vec<Field>,
    faults: Vec<Fault>,
}

/// Something that is wrong with a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::http) struct Fault {
    /// Id of the field on the page; empty for what is about none.
    pub(in crate::http) id: String,
    /// What the field is called.
    pub(in crate::http) label: String,
    pub(in crate::http) sentence: String,
}

/// What is wrong with the field of that id.
pub(in crate::http) fn fault_of<'f>(faults: &'f [Fault], id: &str) -> Option<&'f str> {
    faults.iter().find(|fault| fault.id == id).map(|fault| fault.sentence.as_str())
}

/// A field as a page shows it.
pub(in crate::http) struct Field {
    /// Name in the form and in errors: `config.base_url`.
    pub(in crate::http) name: String,
    /// The same as an id of the page.
    pub(in crate::http) id: String,
    pub(in crate::http) label: String,
    pub(in crate::http) help: String,
    pub(in crate::http) control: Control,
    /// What stands in it; never a secret.
    pub(in crate::http) value: String,
    pub(in crate::http) required: bool,
    pub(in crate::http) operator_only: bool,
}

/// How a field is filled in.
pub(in crate::http) enum Control {
    Text,
    Address,
    /// Text of several lines, such as a certificate.
    LongText,
    /// A secret; left empty, the one that is stored stays.
    Secret {
        stored: bool,
    },
    LongSecret {
        stored: bool,
    },
    Switch {
        on: bool,
    },
    Number {
        least: i64,
        most: i64,
    },
    /// The words, and which of them is chosen.
    Choice(Vec<(String, bool)>),
    /// `name = value`, one a line.
    Pairs,
}

/// Whether a form makes a configuration or changes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Purpose {
    New,
    /// A field that was emptied is null: what was stored is taken away.
    Change,
}

/// What a form shows once more when its configuration was refused: what was sent, over what is stored.
/// Secrets are not sent back.
pub(in crate::http) fn again(schema: &Value, stored: &Object, sent: Object) -> Object {
    let mut values = stored.clone();
    for (name, value) in sent {
        let property = schema.pointer(&format!("/properties/{name}"));
        match property.filter(|property| !is_set(property, "writeOnly")) {
            Some(_) if value.is_null() => drop(values.shift_remove(&name)),
            Some(_) => drop(values.insert(name, value)),
            None => {}
        }
    }
    values
}

impl Fields {
    /// The form for a configuration as the API shows it (secrets masked), with what is wrong with it:
    /// field and sentence.
    pub(in crate::http) fn of(
        schema: &Value,
        values: &Object,
        errors: &[(String, String)],
    ) -> Self {
        Self::under(CONFIG, schema, values, errors)
    }

    /// The same of an object that has another name in errors.
    pub(in crate::http) fn under(
        place: &str,
        schema: &Value,
        values: &Object,
        errors: &[(String, String)],
    ) -> Self {
        let is_required = |name: &str| {
            let list = schema.get("required").and_then(Value::as_array);
            list.is_some_and(|list| list.iter().any(|required| required == name))
        };
        let field = |(name, property): (&String, &Value)| {
            let full = format!("{place}.{name}");
            let given = values.get(name).or_else(|| property.get("default"));
            Field {
                id: full.replace(['.', '_'], "-"),
                label: label(name),
                help: text(property, "description").to_owned(),
                control: Control::of(property, given),
                value: shown(property, given),
                required: is_required(name),
                operator_only: is_set(property, "operator_only"),
                name: full,
            }
        };
        let mut all: Vec<Field> = properties(schema).map(field).collect();
        all.sort_by_key(|field| !field.required);
        let of_field = |(name, sentence): &(String, String)| {
            let field = all.iter().find(|field| field.name == *name);
            Fault {
                id: field.map(|field| field.id.clone()).unwrap_or_default(),
                label: field.map_or_else(|| name.clone(), |field| field.label.clone()),
                sentence: sentence.clone(),
            }
        };
        Self { faults: errors.iter().map(of_field).collect(), all }
    }

    /// The configuration that a form means: what is as usual is left out, so that it may change for those who
    /// did not set it. What does not fit its type stays text: the service says what is wrong with it. A secret
    /// that was left empty is left out.
    pub(in crate::http) fn read<'f>(
        schema: &Value,
        get: impl Fn(&str) -> &'f str,
        purpose: Purpose,
    ) -> Object {
        let mut config = Self::read_under(CONFIG, schema, get, purpose);
        let usual = |name: &str| schema.get("properties")?.get(name)?.get("default");
        for (name, value) in &mut config {
            if usual(name) == Some(&*value) {
                *value = Value::Null;
            }
        }
        if purpose == Purpose::New {
            config.retain(|_, value| !value.is_null());
        }
        config
    }

    /// All of an object that has another name in errors.
    pub(in crate::http) fn read_under<'f>(
        place: &str,
        schema: &Value,
        get: impl Fn(&str) -> &'f str,
        purpose: Purpose,
    ) -> Object {
        let mut config = Object::new();
        for (name, property) in properties(schema) {
            let value = match (meant(property, get(&format!("{place}.{name}"))), purpose) {
                (Some(value), _) => value,
                (None, Purpose::Change) if !is_set(property, "writeOnly") => Value::Null,
                (None, _) => continue,
            };
            config.insert(name.clone(), value);
        }
        config
    }
}

/// What stands in a field that was sent; `None` for nothing. A secret is taken as it is: it may begin or end
/// with a blank.
fn meant(property: &Value, sent: &str) -> Option<Value> {
    // Text areas send CRLF.
    let sent = sent.replace("\r\n", "\n");
    let trimmed = match (is_set(property, "writeOnly"), is_long(property)) {
        (true, true) => sent.trim_end_matches('\n'),
        (true, false) => &sent,
        (false, _) => sent.trim(),
    };
    match text(property, "type") {
        "boolean" => Some(Value::Bool(trimmed == "on")),
        _ if trimmed.is_empty() => None,
        "integer" => Some(trimmed.parse::<i64>().map_or_else(|_| trimmed.into(), Value::from)),
        "object" => Some(pairs(trimmed)),
        _ => Some(trimmed.into()),
    }
}

impl Control {
    fn of(property: &Value, given: Option<&Value>) -> Self {
        let is_long = is_long(property);
        if is_set(property, "writeOnly") {
            let stored = given.is_some();
            return if is_long { Self::LongSecret { stored } } else { Self::Secret { stored } };
        }
        let words = property.get("enum").and_then(Value::as_array);
        match (text(property, "type"), words) {
            (_, Some(words)) => {
                let words = words.iter().filter_map(Value::as_str);
                let chosen = given.and_then(Value::as_str);
                Self::Choice(words.map(|word| (word.to_owned(), chosen == Some(word))).collect())
            }
            ("boolean", _) => Self::Switch { on: given == Some(&Value::Bool(true)) },
            ("integer", _) => {
                let bound = |name: &str| property.get(name).and_then(Value::as_i64);
                let (least, most) = (bound("minimum"), bound("maximum"));
                Self::Number { least: least.unwrap_or(0), most: most.unwrap_or(i64::MAX) }
            }
            ("object", _) => Self::Pairs,
            _ if is_long => Self::LongText,
            _ if text(property, "format") == "uri" => Self::Address,
            _ => Self::Text,
        }
    }
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::iter)
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Whether the text has several lines.
fn is_long(property: &Value) -> bool {
    property.get("contentMediaType").is_some()
}

fn is_set(property: &Value, name: &str) -> bool {
    property.get(name) == Some(&Value::Bool(true))
}

/// What stands in a field.
fn shown(property: &Value, given: Option<&Value>) -> String {
    match given {
        _ if is_set(property, "writeOnly") => String::new(),
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Object(members)) => {
            let line = |(name, value): (&String, &Value)| {
                format!("{name} = {}", value.as_str().unwrap_or_default())
            };
            members.iter().map(line).collect::<Vec<_>>().join("\n")
        }
        Some(other) => other.to_string(),
    }
}

/// `name = value` lines as an object; text that holds another line is no such list.
fn pairs(sent: &str) -> Value {
    let lines = sent.lines().map(str::trim).filter(|line| !line.is_empty());
    let pair = |line: &str| {
        let (name, value) = line.split_once('=')?;
        Some((name.trim().to_owned(), Value::from(value.trim())))
    };
    let members: Option<Map<String, Value>> = lines.map(pair).collect();
    members.map_or_else(|| sent.into(), Value::Object)
}

/// `base_url` as people write it: "Base URL".
fn label(name: &str) -> String {
    let words = name.split('_').enumerate().map(|(index, word)| match word {
        word if CAPITALS.contains(&word) => word.to_ascii_uppercase(),
        word if index == 0 => {
            let mut letters = word.chars();
            let first = letters.next().map(|letter| letter.to_ascii_uppercase());
            first.into_iter().chain(letters).collect()
        }
        word => word.to_owned(),
    });
    words.collect::<Vec<String>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        json!({
            "required": ["token"],
            "properties": {
                "pages": {"type": "integer", "minimum": 1, "maximum": 10, "default": 5},
                "token": {"type": "string", "format": "password", "writeOnly": true},
                "base_url": {"type": "string", "format": "uri"},
                "columns": {"type": "object"},
                "paging": {"type": "string", "enum": ["auto", "index"], "default": "auto"},
                "wide": {"type": "boolean", "default": false, "operator_only": true},
            },
        })
    }

    fn read(pairs: &[(&str, &'static str)], purpose: Purpose) -> Value {
        let sent: HashMap<&str, &str> = pairs.iter().copied().collect();
        let get = |name: &str| sent.get(name).copied().unwrap_or_default();
        Value::Object(Fields::read(&schema(), get, purpose))
    }

    #[test]
    fn what_has_to_be_filled_in_comes_first_and_secrets_are_not_shown() {
        let values = json!({"token": "********abcd", "columns": {"Mail": "emails"}, "pages": 7});
        let Value::Object(values) = values else { panic!("an object") };
        let errors = [
            ("config.pages".to_owned(), "it is 70; allowed is 1 to 10.".to_owned()),
            ("name".to_owned(), "it must not be empty.".to_owned()),
        ];
        let fields = Fields::of(&schema(), &values, &errors);
        let shown: Vec<(&str, &str, &str)> = fields
            .all
            .iter()
            .map(|field| (field.name.as_str(), field.label.as_str(), field.value.as_str()))
            .collect();
        let expected = [
            ("config.token", "Token", ""),
            ("config.pages", "Pages", "7"),
            ("config.base_url", "Base URL", ""),
            ("config.columns", "Columns", "Mail = emails"),
            ("config.paging", "Paging", "auto"),
            ("config.wide", "Wide", "false"),
        ];
        assert_eq!(shown, expected);
        assert!(matches!(fields.all[0].control, Control::Secret { stored: true }));
        let sentence = fault_of(&fields.faults, &fields.all[1].id);
        assert_eq!(sentence, Some("it is 70; allowed is 1 to 10."));
        assert_eq!(fields.all[2].id, "config-base-url");
        let faults: Vec<(&str, &str)> =
            fields.faults.iter().map(|fault| (fault.id.as_str(), fault.label.as_str())).collect();
        assert_eq!(faults, [("config-pages", "Pages"), ("", "name")]);
        let page = fields.to_string();
        for part in [
            "<a href=\"#config-pages\">Pages</a>: it is 70; allowed is 1 to 10.",
            "aria-describedby=\"config-pages-hint config-pages-fault\" aria-invalid=\"true\"",
            "name: it must not be empty.",
        ] {
            assert!(page.contains(part), "{page}");
        }
        assert!(!page.contains("abcd"), "{page}");
    }

    #[test]
    fn what_is_sent_becomes_a_configuration() {
        let sent = [
            ("config.token", ""),
            ("config.pages", "7"),
            ("config.base_url", " https://a.example \r\n"),
            ("config.columns", "Mail = emails[type eq \"work\"].value\r\n\r\nNotes=ignore"),
            ("config.wide", "on"),
        ];
        let new = json!({
            "pages": 7, "base_url": "https://a.example",
            "columns": {"Mail": "emails[type eq \"work\"].value", "Notes": "ignore"}, "wide": true,
        });
        assert_eq!(read(&sent, Purpose::New), new);
        // A secret that was left empty stays; whatever else was emptied goes.
        let changed = json!({
            "pages": null, "base_url": null, "columns": null, "paging": null, "wide": null,
        });
        assert_eq!(read(&[], Purpose::Change), changed);
        let wrong = read(&[("config.pages", "many"), ("config.columns", "x")], Purpose::New);
        assert_eq!(wrong, json!({"pages": "many", "columns": "x"}));
        // What is as usual is not stored, so that it may change for those who did not set it.
        let usual = [("config.pages", "5"), ("config.paging", "auto")];
        assert_eq!(read(&usual, Purpose::New), json!({}));
    }

    #[test]
    fn secrets_are_taken_as_they_are() {
        assert_eq!(read(&[("config.token", " a b\t ")], Purpose::New), json!({"token": " a b\t "}));
        let key = json!({"properties": {"key": {
            "type": "string", "writeOnly": true, "contentMediaType": "application/x-pem-file",
        }}});
        let sent = "-----BEGIN X-----\r\nabc\r\n-----END X-----\r\n";
        let read = Fields::read(&key, |_| sent, Purpose::New);
        assert_eq!(read["key"], "-----BEGIN X-----\nabc\n-----END X-----");
    }

    #[test]
    fn refused_form_shows_what_was_sent_over_what_is_stored() {
        let values = json!({"token": "********", "pages": 7, "base_url": "https://a.example"});
        let Value::Object(stored) = values else { panic!("an object") };
        let sent = json!({"token": "new", "pages": null, "base_url": "b"});
        let Value::Object(sent) = sent else { panic!("an object") };
        let shown = again(&schema(), &stored, sent);
        assert_eq!(Value::Object(shown), json!({"token": "********", "base_url": "b"}));
    }
}
