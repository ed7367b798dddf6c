//! The fields of a connector's configuration as a table: what is checked, what is published as JSON
//! Schema, what is a secret. One table, so that documents and checks never differ.

use serde_json::{Map, Value, json};

use crate::scim::Object;

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Text,
    /// Text that is never shown again.
    Secret,
    /// An address; where it changes its origin, secrets have to be sent again.
    Url,
    Switch,
    /// A whole number from the first to the second.
    Number(i64, i64),
    /// One of these words.
    Word(&'static [&'static str]),
    /// An object whose values are texts.
    Texts,
}

/// Who may set a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setter {
    Anyone,
    /// Never through a set-up link: whoever sets it reaches what only the operator should.
    Operator,
}

/// A field of a configuration.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    pub name: &'static str,
    pub shape: Shape,
    pub required: bool,
    pub setter: Setter,
    /// Media type of a text of several lines, such as a certificate; empty for others.
    pub media: &'static str,
    /// As JSON text; empty for none.
    pub default: &'static str,
    pub description: &'static str,
}

/// Of sources that lock accounts after wrong passwords.
pub const LOCKOUT_IS_INACTIVE: Field = Field::optional(
    "lockout_is_inactive",
    Shape::Switch,
    "false",
    "Whether an account that is locked for a time after wrong passwords is inactive. Otherwise it stays \
     active: a stranger's wrong passwords would end an employee's sessions.",
);

/// Longest text of a field, in bytes.
const MAX_TEXT: usize = 16 * 1024;

/// Longest word that is shown again where another one is meant, in characters: secrets are longer.
const MAX_WORD: usize = 20;

/// Most members of a field with texts.
const MAX_TEXTS: usize = 500;

/// Media type of certificates and keys in PEM. None is registered for both; this is the customary one.
pub const PEM: &str = "application/x-pem-file";

/// Media type of lists with one entry a line.
pub const TEXT: &str = "text/plain";

/// What stands for a secret when it is shown.
const MASK: &str = "********";

impl Field {
    const fn new(name: &'static str, shape: Shape, description: &'static str) -> Self {
        let setter = Setter::Anyone;
        Self { name, shape, required: false, setter, media: "", default: "", description }
    }

    pub const fn required(name: &'static str, shape: Shape, description: &'static str) -> Self {
        let field = Self::new(name, shape, description);
        Self { required: true, ..field }
    }

    pub const fn optional(
        name: &'static str,
        shape: Shape,
        default: &'static str,
        description: &'static str,
    ) -> Self {
        let field = Self::new(name, shape, description);
        Self { default, ..field }
    }

    pub const fn operator_only(self) -> Self {
        Self { setter: Setter::Operator, ..self }
    }

    /// The text is a document of that media type.
    pub const fn holding(self, media: &'static str) -> Self {
        Self { media, ..self }
    }

    fn schema(&self) -> Value {
        let mut schema = match self.shape {
            Shape::Text => json!({"type": "string"}),
            Shape::Secret => json!({"type": "string", "format": "password", "writeOnly": true}),
            Shape::Url => json!({"type": "string", "format": "uri"}),
            Shape::Switch => json!({"type": "boolean"}),
            Shape::Number(from, to) => {
                json!({"type": "integer", "minimum": from, "maximum": to})
            }
            Shape::Word(words) => json!({"type": "string", "enum": words}),
            Shape::Texts => {
                json!({"type": "object", "additionalProperties": {"type": "string"}})
            }
        };
        if let Some(members) = schema.as_object_mut() {
            members.insert("description".into(), self.description.into());
            if let Ok(default) = serde_json::from_str::<Value>(self.default) {
                members.insert("default".into(), default);
            }
            if !self.media.is_empty() {
                members.insert("contentMediaType".into(), self.media.into());
            }
            if self.setter == Setter::Operator {
                members.insert("operator_only".into(), true.into());
            }
        }
        schema
    }

    /// What is wrong with a value, as a sentence.
    fn check(&self, value: &Value) -> Result<(), String> {
        let wrong = |wanted: &str| Err(format!("it is {}; it must be {wanted}.", named(value)));
        match (self.shape, value) {
            (Shape::Text | Shape::Secret | Shape::Url, Value::String(text)) => check_text(text),
            (Shape::Text | Shape::Secret | Shape::Url, _) => wrong("a text"),
            (Shape::Switch, Value::Bool(_)) => Ok(()),
            (Shape::Switch, _) => wrong("true or false"),
            (Shape::Number(from, to), Value::Number(number)) => match number.as_i64() {
                Some(number) if (from..=to).contains(&number) => Ok(()),
                _ => Err(format!("it is {number}; allowed is {from} to {to}.")),
            },
            (Shape::Number(from, to), _) => wrong(&format!("a whole number from {from} to {to}")),
            (Shape::Word(words), Value::String(word)) if words.contains(&word.as_str()) => Ok(()),
            (Shape::Word(words), Value::String(word)) if word.chars().count() <= MAX_WORD => {
                Err(format!("it is \"{word}\"; it must be one of {}.", words.join(", ")))
            }
            (Shape::Word(words), _) => wrong(&format!("one of {}", words.join(", "))),
            (Shape::Texts, Value::Object(members)) => {
                if members.len() > MAX_TEXTS {
                    let count = members.len();
                    return Err(format!(
                        "it has {count} members; at most {MAX_TEXTS} are allowed."
                    ));
                }
                members.iter().try_for_each(|(name, value)| match value {
                    Value::String(text) => check_text(text),
                    _ => Err(format!("its member \"{name}\" must be a text.")),
                })
            }
            (Shape::Texts, _) => wrong("an object whose values are texts"),
        }
    }
}

fn check_text(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("it must not be empty.".to_owned());
    }
    if text.len() > MAX_TEXT {
        return Err(format!("it has {} bytes; at most {MAX_TEXT} are allowed.", text.len()));
    }
    match text.contains('\0') {
        true => Err("it contains the character U+0000.".to_owned()),
        false => Ok(()),
    }
}

/// A value in a sentence; no text of it is shown, which may be a secret in the wrong place.
fn named(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The fields as a JSON Schema (draft 2020-12). `operator_only` and `writeOnly` say what they say.
pub fn schema(title: &str, fields: &[Field]) -> Value {
    let properties: Map<String, Value> =
        fields.iter().map(|field| (field.name.to_owned(), field.schema())).collect();
    let required: Vec<&str> =
        fields.iter().filter(|field| field.required).map(|field| field.name).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "type": "object",
        "additionalProperties": false,
        "required": required,
        "properties": properties,
    })
}

/// Every fault of a configuration: the field and a sentence.
pub fn check(config: &Object, fields: &[Field]) -> Vec<(String, String)> {
    let mut faults = Vec::new();
    for (name, value) in config {
        let place = format!("config.{}", name.chars().take(80).collect::<String>());
        match fields.iter().find(|field| field.name == name) {
            None => {
                let known: Vec<&str> = fields.iter().map(|field| field.name).collect();
                faults.push((
                    place,
                    format!("there is no such field; known are {}.", known.join(", ")),
                ));
            }
            Some(field) => {
                if let Err(message) = field.check(value) {
                    faults.push((place, message));
                }
            }
        }
    }
    for field in fields.iter().filter(|field| field.required && !config.contains_key(field.name)) {
        faults.push((format!("config.{}", field.name), "it is required.".to_owned()));
    }
    faults
}

/// The configuration that is shown: secrets as a mask with their last four characters.
pub fn masked(config: &Object, fields: &[Field]) -> Object {
    let shown = |(name, value): (&String, &Value)| {
        let is_open = fields.iter().any(|f| f.name == name && f.shape != Shape::Secret);
        let value = match (is_open, value.as_str()) {
            (true, _) => value.clone(),
            (false, text) => mask(text.unwrap_or_default()).into(),
        };
        (name.clone(), value)
    };
    config.iter().map(shown).collect()
}

/// A short secret shows nothing of itself.
fn mask(secret: &str) -> String {
    let count = secret.chars().count();
    let tail: String = secret.chars().skip(count.saturating_sub(4)).collect();
    if count >= 16 { format!("{MASK}{tail}") } else { MASK.to_owned() }
}

/// A changed configuration: members that are sent count, null takes one away, what is shown of a secret
/// stands for the secret. Where an address moves to another origin, no secret goes along: whoever could
/// change the one could otherwise read the other.
pub fn merged(old: &Object, change: &Object, fields: &[Field]) -> Object {
    let mut new = old.clone();
    let shown = masked(old, fields);
    let mut sent = Vec::new();
    for (name, value) in change {
        if value.is_null() {
            new.shift_remove(name);
        } else if shown.get(name) != Some(value) || old.get(name) == Some(value) {
            new.insert(name.clone(), value.clone());
            sent.push(name.as_str());
        }
    }
    let of_shape = |shape: Shape| fields.iter().filter(move |field| field.shape == shape);
    let moved = of_shape(Shape::Url).any(|field| {
        // An address that is left out is the vendor's own, or another field's.
        let usual = serde_json::from_str::<Value>(field.default).ok();
        let in_force = |config: &Object| config.get(field.name).cloned().or_else(|| usual.clone());
        let (before, after) = (in_force(old), in_force(&new));
        let origins = origins_of(after.as_ref());
        let is_there = before.is_some() || after.is_some();
        is_there && (origins.is_none() || origins_of(before.as_ref()) != origins)
    });
    if moved {
        for field in of_shape(Shape::Secret).filter(|field| !sent.contains(&field.name)) {
            new.shift_remove(field.name);
        }
    }
    new
}

/// Scheme, host and port of each of the addresses in a field. Addresses that are no web addresses have no
/// origin of their own (RFC 6454 §4), but they lead somewhere as well.
fn origins_of(value: Option<&Value>) -> Option<Vec<(String, String, Option<u16>)>> {
    let origin = |text: &str| {
        let url = url::Url::parse(text).ok()?;
        let host = url.host_str()?.to_ascii_lowercase();
        Some((url.scheme().to_owned(), host, url.port_or_known_default()))
    };
    value?.as_str()?.split_whitespace().map(origin).collect()
}

/// The configuration with the defaults of what it leaves out.
pub fn with_defaults(config: &Object, fields: &[Field]) -> Object {
    let mut whole = config.clone();
    for field in fields {
        if let Ok(default) = serde_json::from_str::<Value>(field.default) {
            whole.entry(field.name).or_insert(default);
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: &[Field] = &[
        Field::required("base_url", Shape::Url, "Where it is."),
        Field::required("token", Shape::Secret, "What opens it."),
        Field::optional("pages", Shape::Number(1, 10), "5", "How many."),
        Field::optional("paging", Shape::Word(&["auto", "index"]), "\"auto\"", "How."),
        Field::optional("columns", Shape::Texts, "", "Which."),
        Field::optional("wide", Shape::Switch, "false", "Whether.").operator_only(),
    ];

    fn object(value: Value) -> Object {
        let Value::Object(object) = value else { panic!("an object") };
        object
    }

    #[test]
    fn every_fault_is_told_and_no_secret_is() {
        let config = object(json!({
            "base_url": 7, "pages": 11, "paging": "zigzag", "columns": {"a": 1}, "wide": "s3cret",
            "other": "s3cret",
        }));
        let faults = check(&config, FIELDS);
        let fields: Vec<&str> = faults.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "config.base_url",
                "config.pages",
                "config.paging",
                "config.columns",
                "config.wide",
                "config.other",
                "config.token",
            ]
        );
        assert!(!format!("{faults:?}").contains("s3cret"));
        assert_eq!(faults[2].1, "it is \"zigzag\"; it must be one of auto, index.");
        let token = object(json!({"paging": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"}));
        assert!(!format!("{:?}", check(&token, FIELDS)).contains("eyJ"));
        let good = object(json!({"base_url": "https://a.example", "token": "x", "pages": 1}));
        assert_eq!(check(&good, FIELDS), []);
        assert_eq!(with_defaults(&good, FIELDS)["paging"], "auto");
    }

    #[test]
    fn schema_says_what_is_checked() {
        let schema = schema("Test", FIELDS);
        assert_eq!(schema["required"], json!(["base_url", "token"]));
        assert_eq!(schema["properties"]["token"]["writeOnly"], true);
        assert_eq!(schema["properties"]["wide"]["operator_only"], true);
        assert_eq!(schema["properties"]["pages"]["default"], 5);
        assert_eq!(schema["additionalProperties"], false);
    }

    #[test]
    fn secrets_are_masked_kept_and_left_behind_by_a_move() {
        let old =
            object(json!({"base_url": "https://a.example/x", "token": "0123456789abcdefWXYZ"}));
        let shown = masked(&old, FIELDS);
        assert_eq!(shown["token"], "********WXYZ");
        assert_eq!(shown["base_url"], "https://a.example/x");
        let short = object(json!({"token": "short"}));
        assert_eq!(masked(&short, FIELDS)["token"], "********");
        // What was shown may be sent back.
        assert_eq!(merged(&old, &shown, FIELDS), old);
        let path = object(json!({"base_url": "https://a.example/y", "pages": 2}));
        assert_eq!(merged(&old, &path, FIELDS)["token"], old["token"]);
        let elsewhere = object(json!({"base_url": "https://b.example/x"}));
        assert!(!merged(&old, &elsewhere, FIELDS).contains_key("token"));
        let mut both = elsewhere.clone();
        both.insert("token".into(), "********WXYZ".into());
        assert!(!merged(&old, &both, FIELDS).contains_key("token"), "a mask is no secret");
        both.insert("token".into(), "new".into());
        assert_eq!(merged(&old, &both, FIELDS)["token"], "new");
        for (from, to, is_kept) in [
            ("ldaps://a.example", "ldaps://a.example/", true),
            ("ldaps://a.example ldaps://b.example", "ldaps://a.example ldaps://b.example", true),
            ("ldaps://a.example", "ldaps://a.example ldaps://c.example", false),
            ("ldaps://a.example", "ldap://a.example", false),
            ("nonsense", "nonsense", false),
        ] {
            let old = object(json!({"base_url": from, "token": "0123456789abcdefWXYZ"}));
            let kept = merged(&old, &object(json!({"base_url": to, "pages": 1})), FIELDS);
            assert_eq!(kept.contains_key("token"), is_kept, "{from} {to}");
        }
        // What was left out is the vendor's own address.
        let usual = object(json!({"token": "0123456789abcdefWXYZ", "pages": 1}));
        let named = merged(&usual, &elsewhere, FIELDS);
        assert!(!named.contains_key("token"), "{named:?}");
        assert_eq!(merged(&usual, &object(json!({"pages": 2})), FIELDS)["token"], usual["token"]);
        let without = object(json!({"token": null}));
        assert!(!merged(&old, &without, FIELDS).contains_key("token"));
    }
}
