//! The form of a source: questions from the fields of its kind, answers as its configuration. Pure.
//!
//! Fields that only the operator may set are no questions, so that no answer sets them.

use serde_json::Value;

use crate::pull::SourceKind;
use crate::pull::field::{Field, Setter, Shape};
use crate::scim::Object;
use crate::service::error::AdminError;

/// Fields of several lines: keys, certificates, lists.
const OF_LINES: [&str; 7] = [
    "ca_pem",
    "certificate",
    "private_key",
    "service_account_key",
    "org_units",
    "org_units_excluded",
    "group_emails",
];

/// Words that are written in capitals.
const CAPITALS: [&str; 12] =
    ["url", "id", "dn", "ca", "pem", "csv", "api", "arn", "aws", "uuid", "scim", "ldap"];

/// How a question is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    Line,
    Lines,
    Address,
    Secret,
    SecretLines,
    Switch {
        on: bool,
    },
    Number {
        least: i64,
        most: i64,
    },
    Choice {
        words: &'static [&'static str],
    },
    /// `name = value` on each line.
    Pairs,
}

/// A field of the form.
#[derive(Clone, Debug)]
pub struct Question {
    pub name: &'static str,
    pub label: String,
    pub help: &'static str,
    pub required: bool,
    pub control: Control,
    /// What the field holds; nothing of a secret.
    pub value: String,
    /// A secret is stored, which is kept when the field stays empty.
    pub kept: bool,
    /// What is wrong with the answer.
    pub fault: Option<String>,
}

/// The questions of a kind with the configuration that is stored, in which secrets are masked.
pub fn questions(kind: &SourceKind, config: &Object) -> Vec<Question> {
    askable(kind).map(|field| question(field, config.get(field.name))).collect()
}

/// The questions again, with the answers that were given and what is wrong with them.
pub fn questioned<'f>(
    kind: &SourceKind,
    config: &Object,
    given: impl Fn(&str) -> &'f str,
    error: &AdminError,
) -> Vec<Question> {
    let fault = |name: &str| {
        let place = format!("config.{name}");
        error.errors.iter().find(|(field, _)| *field == place).map(|(_, fault)| fault.clone())
    };
    let asked = questions(kind, config).into_iter().map(|mut question| {
        let answer = given(question.name);
        match &mut question.control {
            Control::Switch { on } => *on = !answer.is_empty(),
            Control::Secret | Control::SecretLines => {}
            _ => answer.clone_into(&mut question.value),
        }
        Question { fault: fault(question.name), ..question }
    });
    asked.collect()
}

/// The configuration of the answers. In place of a stored one, what was left empty is taken away, but for
/// secrets, which stay.
pub fn answers<'f>(
    kind: &SourceKind,
    stored: Option<&Object>,
    given: impl Fn(&str) -> &'f str,
) -> Object {
    let mut config = Object::new();
    for field in askable(kind) {
        let answer = answer(field, given(field.name));
        let is_stored = stored.is_some_and(|stored| stored.contains_key(field.name));
        match answer {
            Some(value) if is_stored || !is_default(field, &value) => {
                config.insert(field.name.to_owned(), value);
            }
            None if is_stored && field.shape != Shape::Secret => {
                config.insert(field.name.to_owned(), Value::Null);
            }
            _ => {}
        }
    }
    config
}

fn askable(kind: &SourceKind) -> impl Iterator<Item = &'static Field> {
    let fields: &'static [Field] = kind.fields;
    // What cannot be left out comes first.
    let open = |required: bool| {
        fields.iter().filter(move |f| f.setter == Setter::Anyone && f.required == required)
    };
    open(true).chain(open(false))
}

fn is_default(field: &Field, value: &Value) -> bool {
    serde_json::from_str::<Value>(field.default).is_ok_and(|default| default == *value)
}

fn question(field: &'static Field, stored: Option<&Value>) -> Question {
    let usual = serde_json::from_str::<Value>(field.default).ok();
    let value = stored.or(usual.as_ref());
    let is_long = OF_LINES.contains(&field.name);
    let control = match field.shape {
        Shape::Secret if is_long => Control::SecretLines,
        Shape::Secret => Control::Secret,
        Shape::Text if is_long => Control::Lines,
        Shape::Text => Control::Line,
        Shape::Url => Control::Address,
        Shape::Switch => Control::Switch { on: value == Some(&Value::Bool(true)) },
        Shape::Number(least, most) => Control::Number { least, most },
        Shape::Word(words) => Control::Choice { words },
        Shape::Texts => Control::Pairs,
    };
    let is_secret = field.shape == Shape::Secret;
    Question {
        name: field.name,
        label: label(field.name),
        help: field.description,
        required: field.required,
        control,
        value: if is_secret { String::new() } else { value.map(written).unwrap_or_default() },
        kept: is_secret && stored.is_some(),
        fault: None,
    }
}

/// A value as the field holds it.
fn written(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(members) => {
            let line = |(name, value): (&String, &Value)| {
                format!("{name} = {}", value.as_str().unwrap_or_default())
            };
            members.iter().map(line).collect::<Vec<_>>().join("\n")
        }
        other => other.to_string(),
    }
}

/// What an answer stands for; `None` for nothing. What is no number is left to the check of the field.
fn answer(field: &Field, text: &str) -> Option<Value> {
    let trimmed = text.trim();
    match field.shape {
        Shape::Switch => return Some(Value::Bool(!trimmed.is_empty())),
        _ if trimmed.is_empty() => return None,
        _ => {}
    }
    Some(match field.shape {
        Shape::Number(..) => {
            trimmed.parse::<i64>().map_or_else(|_| Value::from(trimmed), Value::from)
        }
        Shape::Texts => {
            let pair = |line: &str| {
                let (name, value) = line.split_once('=').unwrap_or((line, ""));
                (name.trim().to_owned(), Value::from(value.trim()))
            };
            let lines = trimmed.lines().filter(|line| !line.trim().is_empty());
            Value::Object(lines.map(pair).collect())
        }
        // Browsers send CRLF.
        _ => Value::from(trimmed.replace("\r\n", "\n")),
    })
}

/// `bind_dn` as `Bind DN`.
fn label(name: &str) -> String {
    let word = |(index, word): (usize, &str)| match CAPITALS.contains(&word) {
        true => word.to_ascii_uppercase(),
        false if index == 0 => {
            let mut letters = word.chars();
            let first = letters.next().map(|c| c.to_ascii_uppercase());
            first.into_iter().chain(letters).collect()
        }
        false => word.to_owned(),
    };
    name.split('_').enumerate().map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::pull::connectors::ALL;

    fn ldap() -> &'static SourceKind {
        SourceKind::named("pull.ldap").expect("a kind")
    }

    #[test]
    fn operators_fields_are_neither_asked_nor_answered() {
        let mut found = 0;
        for kind in ALL {
            let asked: Vec<&str> =
                questions(kind, &Object::new()).iter().map(|question| question.name).collect();
            let config = answers(kind, None, |_| "1");
            for field in kind.fields.iter().filter(|field| field.setter == Setter::Operator) {
                found += 1;
                assert!(!asked.contains(&field.name), "{} {}", kind.name, field.name);
                assert!(!config.contains_key(field.name), "{} {}", kind.name, field.name);
            }
        }
        assert!(found > 0, "some kinds have such fields");
    }

    #[test]
    fn fields_of_lines_are_fields_of_connectors() {
        let known = |name: &str| ALL.iter().any(|kind| kind.fields.iter().any(|f| f.name == name));
        for name in OF_LINES {
            assert!(known(name), "{name}");
        }
    }

    #[test]
    fn empty_secret_stays_and_other_empty_answers_are_taken_away() {
        let stored =
            json!({"url": "ldaps://a.example", "bind_dn": "cn=a", "bind_password": "********"});
        let stored = stored.as_object().expect("an object").clone();
        let asked = questions(ldap(), &stored);
        let password = asked.iter().find(|q| q.name == "bind_password").expect("a question");
        assert!(password.kept && password.value.is_empty());
        let config = answers(ldap(), Some(&stored), |name| match name {
            "url" => " ldaps://b.example ",
            _ => "",
        });
        assert_eq!(config["url"], "ldaps://b.example");
        assert_eq!(config["bind_dn"], Value::Null);
        assert!(!config.contains_key("bind_password"));
    }

    #[test]
    fn labels_are_words() {
        for (name, expected) in [
            ("bind_dn", "Bind DN"),
            ("url", "URL"),
            ("user_base", "User base"),
            ("api_token", "API token"),
        ] {
            assert_eq!(label(name), expected);
        }
    }
}
