//! The attribute map of a directory: what the app sees as `custom_attributes`, by expressions over what
//! the source sent. Pure.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::expression::{Expression, INLINE_DEPTH, Input, NoThread, Outcome, on_large_stack};
use crate::scim::Object;
use crate::service::error::{AdminError, ServiceError};
use crate::store::StoreError;

/// Most attributes of a map.
const MAX_ATTRIBUTES: usize = 100;

/// Largest `custom_attributes`, in bytes of JSON. What does not fit any more has failed.
const MAX_BYTES: usize = 64 * 1024;

/// Longest name, in characters.
const MAX_NAME: usize = 64;

/// Attributes that need no expression: name and the expression that stands for it. `department` and
/// `division` also come beside the extension (Entra ID).
const STANDARD: [(&str, &str); 20] = [
    ("addresses", "raw.addresses"),
    ("cost_center_name", "has(enterprise.costCenter) ? enterprise.costCenter : raw.costCenter"),
    ("department_name", "has(enterprise.department) ? enterprise.department : raw.department"),
    ("display_name", "raw.displayName"),
    ("division_name", "has(enterprise.division) ? enterprise.division : raw.division"),
    ("emails", "raw.emails"),
    (
        "employee_number",
        "has(enterprise.employeeNumber) ? enterprise.employeeNumber : raw.employeeNumber",
    ),
    ("employee_type", "raw.userType"),
    ("job_title", "has(raw.title) ? raw.title : enterprise.title"),
    ("locale", "raw.locale"),
    ("manager_id", "enterprise.manager.value"),
    ("manager_name", "enterprise.manager.displayName"),
    ("nickname", "raw.nickName"),
    (
        "organization_name",
        "has(enterprise.organization) ? enterprise.organization : raw.organization",
    ),
    ("phone_numbers", "raw.phoneNumbers"),
    ("preferred_language", "raw.preferredLanguage"),
    ("profile_url", "raw.profileUrl"),
    ("timezone", "raw.timezone"),
    ("user_type", "raw.userType"),
    ("username", "raw.userName"),
];

/// How an attribute is made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttributeRule {
    /// CEL; left out for an attribute of the standard ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
    /// Whether a user without it is listed.
    #[serde(default)]
    pub required: bool,
}

impl AttributeRule {
    /// The expression that counts.
    pub fn source(&self, name: &str) -> Option<&str> {
        let standard =
            || STANDARD.iter().find(|(known, _)| *known == name).map(|(_, source)| *source);
        self.expression.as_deref().or_else(standard)
    }
}

/// Attributes by name.
pub type AttributeRules = BTreeMap<String, AttributeRule>;

/// An attribute that is ready to be made; the error says why it cannot be.
struct Attribute {
    name: String,
    required: bool,
    expression: Result<Expression, String>,
}

/// The attribute map of a directory.
pub struct AttributeMap {
    rules: AttributeRules,
    /// Made for the first user.
    attributes: OnceLock<Vec<Attribute>>,
}

/// Why a user lacks an attribute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fault {
    /// It is required, and there is nothing that it could be made of.
    Missing,
    /// Its expression has no value that is allowed.
    Failed { message: String },
}

/// What a map makes of a user.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attributes {
    pub values: Object,
    pub faults: BTreeMap<String, Fault>,
    /// What the expressions cost.
    pub units: u64,
}

impl Attributes {
    /// As they are stored; `None` for none.
    pub fn values_text(&self) -> Option<String> {
        (!self.values.is_empty()).then(|| Value::Object(self.values.clone()).to_string())
    }

    pub fn faults_text(&self) -> Option<String> {
        (!self.faults.is_empty()).then(|| json!(self.faults).to_string())
    }
}

impl AttributeMap {
    /// From the stored text; `None` when there is none.
    pub fn stored(text: Option<&str>) -> Option<Self> {
        let rules: AttributeRules = serde_json::from_str(text?)
            .inspect_err(|error| tracing::warn!(%error, "an attribute map is not understood"))
            .ok()?;
        Some(Self { rules, attributes: OnceLock::new() })
    }

    /// A map that somebody sends, checked. All faults are told.
    pub fn checked(rules: AttributeRules) -> Result<Self, ServiceError> {
        if rules.len() > MAX_ATTRIBUTES {
            let message =
                format!("it has {} members; at most {MAX_ATTRIBUTES} are allowed.", rules.len());
            return Err(AdminError::invalid("attributes", message).into());
        }
        let map = Self { rules, attributes: OnceLock::new() };
        let mut faults = Vec::new();
        for attribute in map.attributes().map_err(StoreError::from)? {
            if let Err(message) = check_name(&attribute.name) {
                faults.push((format!("attributes.{}", shown(&attribute.name)), message));
            }
            if let Err(message) = &attribute.expression {
                let field = format!("attributes.{}.expression", shown(&attribute.name));
                faults.push((field, format!("{message}.")));
            }
        }
        let mut faults = faults.into_iter();
        match faults.next() {
            None => Ok(map),
            Some((field, message)) => {
                let mut error = AdminError::invalid(&field, message);
                error.errors.extend(faults);
                Err(error.into())
            }
        }
    }

    pub fn rules(&self) -> &AttributeRules {
        &self.rules
    }

    /// An attempt that found no thread is not kept.
    fn attributes(&self) -> Result<&[Attribute], NoThread> {
        if let Some(attributes) = self.attributes.get() {
            return Ok(attributes);
        }
        let compiled = |(name, rule): (&String, &AttributeRule)| Attribute {
            name: name.clone(),
            required: rule.required,
            expression: match rule.source(name) {
                Some(source) => Expression::compile(source),
                None => Err(format!("it must be there; only {} need none", standard_names())),
            },
        };
        let made = on_large_stack(|| self.rules.iter().map(compiled).collect::<Vec<_>>())?;
        Ok(self.attributes.get_or_init(|| made))
    }

    /// What the map makes of a user, by what events show as `raw_attributes`. What cannot be made is
    /// missing, and is listed; it fails only if nothing was evaluated.
    pub fn attributes_of(&self, raw: &Object) -> Result<Attributes, NoThread> {
        let attributes = self.attributes()?;
        let expressions = attributes.iter().filter_map(|one| one.expression.as_ref().ok());
        let (outcomes, units) = match expressions.map(Expression::depth).max() {
            Some(depth) if depth > INLINE_DEPTH => on_large_stack(|| outcomes(attributes, raw))?,
            _ => outcomes(attributes, raw),
        };
        let (mut made, mut bytes) = (Attributes { units, ..Attributes::default() }, 0);
        for (attribute, mut outcome) in attributes.iter().zip(outcomes) {
            if let Outcome::Value(value) = &outcome {
                bytes += value.to_string().len();
                if bytes > MAX_BYTES {
                    let message = format!("all values together are larger than {MAX_BYTES} bytes");
                    outcome = Outcome::Failed(message);
                }
            }
            let name = attribute.name.clone();
            match outcome {
                Outcome::Value(value) => {
                    made.values.insert(name, value);
                }
                Outcome::Absent if attribute.required => {
                    made.faults.insert(name, Fault::Missing);
                }
                Outcome::Absent => {}
                Outcome::Failed(message) => {
                    made.faults.insert(name, Fault::Failed { message });
                }
            }
        }
        Ok(made)
    }
}

/// What each expression makes of a user, and what all cost.
fn outcomes(attributes: &[Attribute], raw: &Object) -> (Vec<Outcome>, u64) {
    let mut input = Input::new(raw);
    let outcomes = attributes.iter().map(|attribute| match &attribute.expression {
        Ok(expression) => input.evaluate(expression),
        Err(message) => Outcome::Failed(message.clone()),
    });
    let outcomes = outcomes.collect();
    (outcomes, input.drawn())
}

/// Names of the attributes that need no expression.
pub fn standard() -> impl Iterator<Item = &'static str> {
    STANDARD.iter().map(|(name, _)| *name)
}

fn standard_names() -> String {
    STANDARD.map(|(name, _)| name).join(", ")
}

fn check_name(name: &str) -> Result<(), String> {
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic());
    let is_known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    match starts && name.len() <= MAX_NAME && name.chars().all(is_known) {
        true => Ok(()),
        false => Err(format!(
            "the name must begin with a letter and have at most {MAX_NAME} letters, digits, \"_\", \
             \"-\" and \".\", all of ASCII."
        )),
    }
}

fn shown(name: &str) -> String {
    name.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(expression: &str, required: bool) -> AttributeRule {
        AttributeRule { expression: Some(expression.to_owned()), required }
    }

    fn raw() -> Object {
        let raw = json!({
            "userName": "ada@example.com",
            "title": "Engineer",
            "emails": [{"value": "ada@example.com", "type": "work"}],
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "R&D"},
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:badge": 7,
            "division": "West",
        });
        raw.as_object().expect("an object").clone()
    }

    #[test]
    fn standard_attributes_need_no_expression_and_all_of_them_compile() {
        let names = STANDARD.map(|(name, _)| name);
        assert!(names.is_sorted());
        let rules = names
            .map(|name| (name.to_owned(), AttributeRule { expression: None, required: false }));
        let map =
            AttributeMap::checked(rules.into_iter().collect()).unwrap_or_else(|e| panic!("{e:?}"));
        let made = map.attributes_of(&raw()).expect("a thread");
        assert_eq!(made.faults, BTreeMap::new());
        assert_eq!(
            Value::Object(made.values),
            json!({
                "department_name": "R&D",
                "division_name": "West",
                "emails": [{"type": "work", "value": "ada@example.com"}],
                "job_title": "Engineer",
                "username": "ada@example.com",
            })
        );
    }

    #[test]
    fn what_cannot_be_made_is_missing_and_listed() {
        let rules = [
            ("badge", rule("enterprise.badge", true)),
            ("absent", rule("raw.nowhere", false)),
            ("needed", rule("raw.nowhere.at.all", true)),
            ("null", rule("null", true)),
            ("sum", rule("raw.title + 1", false)),
            ("last", rule("raw.emails[7].value", true)),
        ];
        let rules = rules.map(|(name, rule)| (name.to_owned(), rule)).into_iter().collect();
        let map = AttributeMap::checked(rules).unwrap_or_else(|e| panic!("{e:?}"));
        let made = map.attributes_of(&raw()).expect("a thread");
        assert_eq!(made.values_text().as_deref(), Some("{\"badge\":7}"));
        let text = made.faults_text().expect("faults");
        let faults: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(faults["needed"], json!({"kind": "missing"}));
        assert_eq!(faults["null"], json!({"kind": "missing"}));
        assert_eq!(faults["last"], json!({"kind": "missing"}));
        assert_eq!(faults["sum"]["kind"], "failed");
        assert_eq!(faults.as_object().expect("an object").len(), 4);
        let back: BTreeMap<String, Fault> = serde_json::from_str(&text).expect("readable");
        assert_eq!(back, made.faults);
    }

    #[test]
    fn values_that_are_too_large_together_have_failed() {
        let mut raw = raw();
        raw.insert("title".to_owned(), "x".repeat(8_000).into());
        let rules = (10..20).map(|n| (format!("a{n}"), rule("raw.title", false)));
        let map = AttributeMap::checked(rules.collect()).unwrap_or_else(|e| panic!("{e:?}"));
        let made = map.attributes_of(&raw).expect("a thread");
        assert_eq!((made.values.len(), made.faults.len()), (8, 2));
        assert!(made.values_text().is_some_and(|text| text.len() <= MAX_BYTES + 1_000));
    }

    #[test]
    fn faults_of_a_map_are_all_told() {
        let rules = [
            ("1st", rule("raw.title", false)),
            ("good", rule("raw.title", false)),
            ("bad", rule("raw.title +", false)),
            ("no_standard", AttributeRule { expression: None, required: true }),
        ];
        let rules = rules.map(|(name, rule)| (name.to_owned(), rule)).into_iter().collect();
        let Some(ServiceError::Admin(error)) = AttributeMap::checked(rules).err() else {
            panic!("the map is refused");
        };
        let fields: Vec<&str> = error.errors.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(
            fields,
            ["attributes.1st", "attributes.bad.expression", "attributes.no_standard.expression"]
        );
        assert_eq!(error.status, 422);
    }
}
