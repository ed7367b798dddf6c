//! Checks what a client sent against the schema and spells it as the schema does
//! (RFC 7643 §2, §7; RFC 7644 §3.3, §3.5).

use std::fmt::Display;

use iri_string::spec::IriSpec;
use iri_string::validate;
use serde_json::Value;

use super::PathTo;
use super::elements::{distinct, order};
use crate::scim::key;
use crate::scim::schema::{Attribute, DataType, Kept, Mutability, ResourceType, Returned};
use crate::scim::{Object, ScimError};

/// How an attribute that no schema defines is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownAttributes {
    /// Kept apart in [`Notes::extra`]; not part of the resource.
    Keep,
    /// 400 `invalidSyntax`: the request does not conform to the schema (RFC 7644 §3.12).
    Refuse,
}

/// How a URI in `schemas` that the resource type does not have is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownSchemas {
    /// Left out and noted.
    Drop,
    /// 400 `invalidValue` (RFC 7643 §3).
    Refuse,
}

/// The choices that the RFC leaves to a service provider.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    pub unknown_attributes: UnknownAttributes,
    pub unknown_schemas: UnknownSchemas,
}

/// What was understood but did not become part of the resource.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Notes {
    /// Paths of values that were left out.
    pub ignored: Vec<String>,
    /// Values that no schema knows, by the name that the client used.
    pub extra: Object,
}

impl Notes {
    fn ignore(&mut self, path: String) {
        self.ignored.push(path);
    }

    /// Keeps a value that no schema knows; null takes it out. A password is kept nowhere.
    pub(crate) fn keep(&mut self, path: String, value: &Value) {
        if value.is_null() {
            self.extra.shift_remove(&path);
        } else if !names_password(&path) {
            self.extra.insert(path.clone(), without_passwords(value));
        }
        self.ignore(path);
    }
}

fn names_password(name: &str) -> bool {
    let mut words = name.split(|c: char| !c.is_ascii_alphanumeric());
    words.any(|word| word.eq_ignore_ascii_case("password"))
}

/// The value without what is called a password in it, at any depth.
fn without_passwords(value: &Value) -> Value {
    match value {
        Value::Array(elements) => elements.iter().map(without_passwords).collect(),
        Value::Object(members) => members
            .iter()
            .filter(|(name, _)| !names_password(name))
            .map(|(name, member)| (name.clone(), without_passwords(member)))
            .collect(),
        other => other.clone(),
    }
}

/// Longest `userName`, `externalId` and `displayName`, in bytes: they are index keys.
pub const MAX_KEY_BYTES: usize = 512;

/// The attributes of a POST or PUT body, checked one by one, spelled as the schema spells them.
///
/// Read-only attributes are left out (RFC 7644 §3.3), `members` and `password` too: membership is
/// not part of the document, and a password is accepted and dropped. The result still needs
/// [`super::Document::canonical`].
pub fn representation(
    body: Object,
    resource_type: &ResourceType,
    rules: Rules,
    notes: &mut Notes,
) -> Result<Object, ScimError> {
    let mut result = Object::with_capacity(body.len());
    for (name, value) in body {
        if name.eq_ignore_ascii_case("schemas") {
            check_schemas(&value, resource_type, rules, notes)?;
        } else if let Some(attribute) = resource_type.attribute(&name) {
            insert_attribute(
                &mut result,
                attribute,
                (name, value),
                PathTo::top(&attribute.name),
                rules,
                notes,
            )?;
        } else if let Some(extension) = resource_type.extension(&name) {
            let schema = &extension.schema;
            let inner = match value {
                Value::Object(inner) => inner,
                Value::Null => continue,
                other => return Err(wrong_type(&schema.id, "an object", &other)),
            };
            let extends = PathTo::extension(&schema.id);
            let mut checked = Object::with_capacity(inner.len());
            for (inner_name, inner_value) in inner {
                match schema.attribute(&inner_name) {
                    Some(attribute) => insert_attribute(
                        &mut checked,
                        attribute,
                        (inner_name, inner_value),
                        extends.then(&attribute.name),
                        rules,
                        notes,
                    )?,
                    None => {
                        let path = extends.then(&inner_name).to_string();
                        refuse_unknown(&path, rules)?;
                        notes.keep(path, &inner_value);
                    }
                }
            }
            let name = spelled(name, &schema.id);
            insert_once(&mut result, name, checked.into(), &extends)?;
        } else {
            refuse_unknown(&name, rules)?;
            notes.keep(name, &value);
        }
    }
    Ok(result)
}

fn insert_attribute(
    into: &mut Object,
    attribute: &Attribute,
    (name, value): (String, Value),
    path: PathTo<'_>,
    rules: Rules,
    notes: &mut Notes,
) -> Result<(), ScimError> {
    if attribute.mutability == Mutability::ReadOnly {
        return Ok(());
    }
    if attribute.kept != Kept::InDocument {
        return refuse_unknown_subs(attribute, &value, rules);
    }
    match attribute_value(attribute, value, &path, rules, notes)? {
        Some(value) => insert_once(into, spelled(name, &attribute.name), value, &path),
        None => Ok(()),
    }
}

/// The name as the schema spells it: most clients spell it so themselves.
fn spelled(name: String, schema: &str) -> String {
    if name == schema { name } else { schema.to_owned() }
}

fn insert_once(
    into: &mut Object,
    name: String,
    value: Value,
    path: &PathTo<'_>,
) -> Result<(), ScimError> {
    match into.insert(name, value) {
        None => Ok(()),
        Some(_) => Err(ScimError::invalid_syntax(format!(
            "The attribute \"{path}\" stands twice in the request, in different letter case."
        ))),
    }
}

/// A name that no schema knows, as [`UnknownAttributes`] has it.
pub(crate) fn refuse_unknown(path: impl Display, rules: Rules) -> Result<(), ScimError> {
    match rules.unknown_attributes {
        UnknownAttributes::Keep => Ok(()),
        UnknownAttributes::Refuse => Err(ScimError::invalid_syntax(format!(
            "The attribute \"{path}\" is not defined by the schemas of this resource type."
        ))),
    }
}

/// The same for the sub-attributes of a value that is not checked as a part of the document.
pub(crate) fn refuse_unknown_subs(
    attribute: &Attribute,
    value: &Value,
    rules: Rules,
) -> Result<(), ScimError> {
    if rules.unknown_attributes == UnknownAttributes::Keep {
        return Ok(());
    }
    let elements = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    for name in elements.iter().filter_map(Value::as_object).flat_map(Object::keys) {
        if attribute.sub(name).is_none() {
            refuse_unknown(PathTo::top(&attribute.name).then(name), rules)?;
        }
    }
    Ok(())
}

fn check_schemas(
    value: &Value,
    resource_type: &ResourceType,
    rules: Rules,
    notes: &mut Notes,
) -> Result<(), ScimError> {
    let uris = match value {
        Value::Array(uris) => uris,
        Value::Null => return Ok(()),
        other => return Err(wrong_type("schemas", "an array of URIs", other)),
    };
    check_schema_uris(uris, resource_type, rules, notes)?;
    let base_missing =
        !uris.iter().any(|uri| uri.as_str().is_some_and(|uri| resource_type.is_base(uri)));
    if base_missing && !uris.is_empty() && rules.unknown_schemas == UnknownSchemas::Refuse {
        return Err(ScimError::invalid_value(format!(
            "The attribute \"schemas\" must contain \"{}\".",
            resource_type.schema.id
        )));
    }
    Ok(())
}

/// The URIs that a request puts into `schemas`.
pub(crate) fn check_schema_uris(
    uris: &[Value],
    resource_type: &ResourceType,
    rules: Rules,
    notes: &mut Notes,
) -> Result<(), ScimError> {
    for uri in uris {
        let Value::String(uri) = uri else {
            return Err(wrong_type("schemas", "an array of URIs", uri));
        };
        if resource_type.is_base(uri) || resource_type.extension(uri).is_some() {
            continue;
        }
        match rules.unknown_schemas {
            UnknownSchemas::Drop => notes.ignore(format!("schemas[\"{uri}\"]")),
            UnknownSchemas::Refuse => {
                let mut known = vec![resource_type.schema.id.as_str()];
                known.extend(resource_type.extensions.iter().map(|e| e.schema.id.as_str()));
                return Err(ScimError::invalid_value(format!(
                    "The attribute \"schemas\" names \"{uri}\", which the resource type {} does \
                     not have; allowed are {}.",
                    resource_type.name,
                    known.join(", ")
                )));
            }
        }
    }
    Ok(())
}

/// The value of an attribute, checked and spelled; `None` when it means unassigned
/// (RFC 7643 §2.5).
pub fn attribute_value(
    attribute: &Attribute,
    value: Value,
    path: &PathTo<'_>,
    rules: Rules,
    notes: &mut Notes,
) -> Result<Option<Value>, ScimError> {
    if !attribute.multi_valued {
        return single_value(attribute, value, path, rules, notes);
    }
    many_values(attribute, value, path, rules, notes).map_err(|e| unshown(attribute, path, e))
}

fn many_values(
    attribute: &Attribute,
    value: Value,
    path: &PathTo<'_>,
    rules: Rules,
    notes: &mut Notes,
) -> Result<Option<Value>, ScimError> {
    let elements = match value {
        Value::Null => return Ok(None),
        Value::Array(elements) => elements,
        other => return Err(wrong_type(path, "an array", &other)),
    };
    let mut checked: Vec<Value> = Vec::with_capacity(elements.len());
    for element in elements {
        checked.extend(single_value(attribute, element, path, rules, notes)?);
    }
    Ok((!checked.is_empty()).then(|| Value::Array(distinct(attribute, checked))))
}

/// One value of an attribute: the value of a singular one, or one element of a multi-valued one.
pub fn single_value(
    attribute: &Attribute,
    value: Value,
    path: &PathTo<'_>,
    rules: Rules,
    notes: &mut Notes,
) -> Result<Option<Value>, ScimError> {
    if value.is_null() {
        return Ok(None);
    }
    let checked = match attribute.data_type {
        DataType::Complex => complex_value(attribute, value, path, rules, notes),
        _ => simple_value(attribute, value, path),
    };
    checked.map_err(|error| unshown(attribute, path, error))
}

/// No error shows what no answer shows.
fn unshown(attribute: &Attribute, path: &PathTo<'_>, error: ScimError) -> ScimError {
    if attribute.returned != Returned::Never {
        return error;
    }
    ScimError::invalid_value(format!(
        "The attribute \"{path}\" is never returned, so its value is not shown here; it does not \
         fit the definition of the attribute, which has the type {}.",
        attribute.data_type.as_str()
    ))
}

fn complex_value(
    attribute: &Attribute,
    value: Value,
    path: &PathTo<'_>,
    rules: Rules,
    notes: &mut Notes,
) -> Result<Option<Value>, ScimError> {
    let members = match value {
        Value::Object(members) => members,
        other => return Err(wrong_type(path, "an object", &other)),
    };
    let mut found = Object::with_capacity(members.len());
    for (name, member) in members {
        let Some(sub) = attribute.sub(&name) else {
            let unknown = path.then(&name);
            refuse_unknown(unknown, rules)?;
            notes.ignore(unknown.to_string());
            continue;
        };
        if sub.mutability == Mutability::ReadOnly {
            continue;
        }
        let sub_path = path.then(&sub.name);
        if let Some(member) = attribute_value(sub, member, &sub_path, rules, notes)? {
            insert_once(&mut found, spelled(name, &sub.name), member, &sub_path)?;
        }
    }
    if found.is_empty() {
        return Ok(None);
    }
    order(attribute, &mut found);
    Ok(Some(Value::Object(found)))
}

fn simple_value(
    attribute: &Attribute,
    value: Value,
    path: &PathTo<'_>,
) -> Result<Option<Value>, ScimError> {
    let expected = expectation(attribute.data_type);
    let text = || checked_text(&value, path, expected);
    let fits = match attribute.data_type {
        DataType::String => match canonical_text(attribute, text()?) {
            Some(canonical) => return Ok(Some(canonical.into())),
            None => true,
        },
        DataType::Boolean => value.is_boolean(),
        // `1e2` and `4.0` are fractions by form (RFC 7643 §2.3.4).
        DataType::Integer => value.is_i64() || value.is_u64(),
        DataType::Decimal => value.is_number(),
        DataType::DateTime => key::instant_ms(text()?).is_some(),
        DataType::Binary => key::is_base64(text()?),
        DataType::Reference => match text()? {
            "" => return Ok(None),
            // An IRI is written as it is read; the URI that it stands for follows from it.
            text => validate::iri_reference::<IriSpec>(text).is_ok(),
        },
        DataType::Complex => false,
    };
    match fits {
        true => Ok(Some(value)),
        false => Err(wrong_type(path, expected, &value)),
    }
}

fn expectation(data_type: DataType) -> &'static str {
    match data_type {
        DataType::String => "a string",
        DataType::Boolean => "true or false",
        DataType::Decimal => "a number",
        DataType::Integer => "a whole number",
        DataType::DateTime => "a date and time such as \"2021-06-25T19:07:33Z\"",
        DataType::Binary => "base64 text",
        DataType::Reference => "a URI",
        DataType::Complex => "an object",
    }
}

/// Text without control characters; tab and line breaks are part of addresses.
fn checked_text<'v>(
    value: &'v Value,
    path: &PathTo<'_>,
    expected: &str,
) -> Result<&'v str, ScimError> {
    let text = value.as_str().ok_or_else(|| wrong_type(path, expected, value))?;
    let control = text.chars().find(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r'));
    if let Some(control) = control {
        return Err(ScimError::invalid_value(format!(
            "The attribute \"{path}\" contains the control character U+{:04X}, which is not \
             allowed.",
            u32::from(control)
        )));
    }
    let is_key = || ["userName", "externalId", "displayName"].iter().any(|name| path.is(name));
    if text.len() > MAX_KEY_BYTES && is_key() {
        return Err(ScimError::invalid_value(format!(
            "The attribute \"{path}\" is {} bytes long; at most {MAX_KEY_BYTES} are allowed.",
            text.len()
        )));
    }
    Ok(text)
}

/// The schema's spelling of a canonical value (RFC 7643 §2.4), where the text has another one.
fn canonical_text<'a>(attribute: &'a Attribute, text: &str) -> Option<&'a str> {
    let canonical = || attribute.canonical_values.iter().find(|c| c.eq_ignore_ascii_case(text));
    let canonical = if attribute.case_exact { None } else { canonical() };
    canonical.map(String::as_str).filter(|canonical| *canonical != text)
}

/// 400 `invalidValue` that names the attribute, what was found and what is allowed.
pub fn wrong_type(path: impl Display, expected: &str, found: &Value) -> ScimError {
    ScimError::invalid_value(format!(
        "The attribute \"{path}\" must be {expected}, but the request has {}.",
        describe(found)
    ))
}

/// What a JSON value is, for an error detail. Values are cut, and objects are not shown.
pub fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(b) => format!("the boolean {b}"),
        Value::Number(n) => format!("the number {n}"),
        Value::String(text) => {
            let shown: String = text.chars().take(40).filter(|c| !c.is_control()).collect();
            format!("the string \"{shown}\"")
        }
        Value::Array(_) => "an array".into(),
        Value::Object(_) => "an object".into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fixture::{LENIENT, device};
    use super::*;

    #[test]
    fn errors_do_not_show_what_is_never_returned() {
        let device = device();
        for (name, value, path, data_type) in [
            ("pin", json!(4711), "pin", "string"),
            ("pin", json!("47\u{0}11"), "pin", "string"),
            ("ports", json!([{"value": "a", "code": 4711}]), "ports.code", "string"),
            ("vault", json!({"code": ["4711"]}), "vault.code", "string"),
        ] {
            let attribute = device.attribute(name).unwrap();
            let name = PathTo::top(name);
            let error =
                attribute_value(attribute, value.clone(), &name, LENIENT, &mut Notes::default())
                    .unwrap_err();
            let detail = format!(
                "The attribute \"{path}\" is never returned, so its value is not shown here; it does \
                 not fit the definition of the attribute, which has the type {data_type}."
            );
            assert_eq!(error, ScimError::invalid_value(detail), "{value}");
        }
    }
}
