//! Which column of a file is which attribute: by the configuration, by a name that people use, or by the
//! attribute's own name. Other columns are kept beside the user under their own names.

use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::scim::schema::DataType;
use crate::scim::urn::ENTERPRISE_USER;
use crate::scim::{AttrPath, Object, Registry, ResourceType};

/// What a column is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// The source's stable id.
    ExternalId,
    Active,
    /// Names of groups.
    Groups,
    /// What is to be done with the row.
    Action,
    /// A part of the enterprise extension; the manager is named by the key of another row.
    Enterprise(String),
    Manager,
    Plain(String),
    Sub(String, String),
    /// Several values in one cell.
    Values(String),
    /// One value of a type, such as the work address.
    Typed(String, String),
    /// Kept as it is.
    Beside,
    Ignored,
}

/// Names that people give to columns, without spaces and signs, and what they mean.
const NAMES: [(&str, &str); 53] = [
    ("accountstatus", "active"),
    ("company", "urn:organization"),
    ("costcenter", "urn:costCenter"),
    ("costcentre", "urn:costCenter"),
    ("department", "urn:department"),
    ("division", "urn:division"),
    ("email", "emails[type eq \"work\"].value"),
    ("emailaddress", "emails[type eq \"work\"].value"),
    ("employeeid", "urn:employeeNumber"),
    ("employeenumber", "urn:employeeNumber"),
    ("employeetype", "userType"),
    ("enabled", "active"),
    ("externalid", "externalId"),
    ("familyname", "name.familyName"),
    ("firstname", "name.givenName"),
    ("forename", "name.givenName"),
    ("fullname", "displayName"),
    ("givenname", "name.givenName"),
    ("id", "externalId"),
    ("isactive", "active"),
    ("jobtitle", "title"),
    ("language", "preferredLanguage"),
    ("lastname", "name.familyName"),
    ("login", "userName"),
    ("mail", "emails[type eq \"work\"].value"),
    ("manager", "manager"),
    ("managerid", "manager"),
    ("middlename", "name.middleName"),
    ("mobile", "phoneNumbers[type eq \"mobile\"].value"),
    ("mobilephone", "phoneNumbers[type eq \"mobile\"].value"),
    ("name", "displayName"),
    ("nickname", "nickName"),
    ("organisation", "urn:organization"),
    ("organization", "urn:organization"),
    ("personnelnumber", "urn:employeeNumber"),
    ("phone", "phoneNumbers[type eq \"work\"].value"),
    ("phonenumber", "phoneNumbers[type eq \"work\"].value"),
    ("position", "title"),
    ("privateemail", "emails[type eq \"home\"].value"),
    ("sn", "name.familyName"),
    ("state", "active"),
    ("status", "active"),
    ("supervisor", "manager"),
    ("surname", "name.familyName"),
    ("timezone", "timezone"),
    ("uid", "externalId"),
    ("upn", "userName"),
    ("userid", "externalId"),
    ("userlogin", "userName"),
    ("userprincipalname", "userName"),
    ("workemail", "emails[type eq \"work\"].value"),
    ("workmail", "emails[type eq \"work\"].value"),
    ("workphone", "phoneNumbers[type eq \"work\"].value"),
];

/// Attributes that a file cannot set.
const NEVER: [&str; 5] = ["id", "meta", "schemas", "password", "members"];

static SCHEMAS: LazyLock<Registry> = LazyLock::new(Registry::builtin);

fn plain_name(header: &str) -> String {
    header.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

impl Target {
    /// What a header means by itself.
    pub(super) fn of_header(header: &str) -> Self {
        if header.is_empty() {
            return Self::Ignored;
        }
        let plain = plain_name(header);
        if let Ok(known) = NAMES.binary_search_by_key(&plain.as_str(), |(name, _)| name) {
            let path = NAMES.get(known).map_or("", |(_, path)| path);
            return Self::parse(&path.replace("urn:", &format!("{ENTERPRISE_USER}:")))
                .unwrap_or(Self::Beside);
        }
        let base = header.split(['.', '[']).next().unwrap_or_default().trim();
        // Under such a name it would be read as the attribute.
        let is_path = SCHEMAS.user().attribute(base).is_some() || header.starts_with("urn:");
        let otherwise = if is_path { Self::Ignored } else { Self::Beside };
        Self::parse(header).unwrap_or(otherwise)
    }

    /// Reads what the configuration says: a path of SCIM, or one of the words of this connector.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let word = |word: &str| text.eq_ignore_ascii_case(word);
        if text.is_empty() || word("ignore") {
            return Ok(Self::Ignored);
        }
        for (name, target) in [
            ("externalId", Self::ExternalId),
            ("active", Self::Active),
            ("groups", Self::Groups),
            ("action", Self::Action),
            ("manager", Self::Manager),
        ] {
            if word(name) {
                return Ok(target);
            }
        }
        if NEVER.iter().any(|name| word(name)) {
            return Err(format!("\"{text}\" cannot be set by a file"));
        }
        let user = SCHEMAS.user();
        match typed(text) {
            Some((name, kind)) => Self::of_typed(user, name, kind),
            None => Self::of_path(user, text),
        }
        .ok_or_else(|| {
            format!(
                "\"{text}\" is no attribute of a user that a cell can hold; write it as userName, \
                 name.givenName, emails[type eq \"work\"].value or {ENTERPRISE_USER}:department"
            )
        })
    }

    fn of_typed(user: &ResourceType, name: &str, kind: &str) -> Option<Self> {
        let attribute = user.attribute(name)?;
        let fits = attribute.multi_valued && attribute.value_sub().is_some();
        fits.then(|| Self::Typed(attribute.name.clone(), kind.to_owned()))
    }

    fn of_path(user: &ResourceType, text: &str) -> Option<Self> {
        if let Some(name) = text.strip_prefix(ENTERPRISE_USER).and_then(|t| t.strip_prefix(':')) {
            if name.eq_ignore_ascii_case("manager") || name.eq_ignore_ascii_case("manager.value") {
                return Some(Self::Manager);
            }
            let schema = &user.extension(ENTERPRISE_USER)?.schema;
            let attribute = schema.attribute(name).filter(|attribute| !attribute.is_complex())?;
            return Some(Self::Enterprise(attribute.name.clone()));
        }
        let path = match text.split_once('.') {
            Some((name, sub)) => AttrPath::sub(name, sub),
            None => AttrPath::name(text),
        };
        let found = user.resolve_attribute(&path)?;
        let name = found.attribute.name.clone();
        let holds_text = |kind: DataType| matches!(kind, DataType::String | DataType::Reference);
        match found.sub {
            Some(sub) if !found.attribute.multi_valued && holds_text(sub.data_type) => {
                Some(Self::Sub(name, sub.name.clone()))
            }
            Some(_) => None,
            None if found.attribute.multi_valued => {
                found.attribute.value_sub().is_some().then_some(Self::Values(name))
            }
            None => holds_text(found.attribute.data_type).then_some(Self::Plain(name)),
        }
    }

    /// Whether two columns with it would be one too many.
    pub(super) fn is_single(&self) -> bool {
        !matches!(self, Self::Beside | Self::Ignored)
    }

    /// Sets the value of a cell; an empty one is empty on purpose.
    pub(super) fn set(&self, attributes: &mut Object, header: &str, cell: &str, separator: &str) {
        let value = || if cell.is_empty() { Value::Null } else { cell.into() };
        match self {
            Self::Plain(name) => {
                attributes.insert(name.clone(), value());
            }
            Self::Beside => {
                attributes.insert(header.to_owned(), value());
            }
            Self::Sub(name, sub) => {
                set_in(attributes, name, sub, value());
            }
            Self::Enterprise(name) => {
                set_in(attributes, ENTERPRISE_USER, name, value());
            }
            Self::Manager => {
                let manager = if cell.is_empty() { Value::Null } else { json!({"value": cell}) };
                set_in(attributes, ENTERPRISE_USER, "manager", manager);
            }
            Self::Values(name) => {
                let values: Vec<Value> =
                    pieces(cell, separator).map(|piece| json!({"value": piece})).collect();
                extend(attributes, name, values);
            }
            Self::Typed(name, kind) => {
                let values = match cell.is_empty() {
                    true => Vec::new(),
                    false => vec![json!({"value": cell, "type": kind})],
                };
                extend(attributes, name, values);
            }
            Self::ExternalId | Self::Active | Self::Groups | Self::Action | Self::Ignored => {}
        }
    }
}

/// The pieces of a cell with several values.
pub(super) fn pieces<'c>(cell: &'c str, separator: &'c str) -> impl Iterator<Item = &'c str> {
    cell.split(separator).map(str::trim).filter(|piece| !piece.is_empty())
}

/// Sets a member of the object of that name.
fn set_in(attributes: &mut Object, name: &str, member: &str, value: Value) {
    let slot = attributes.entry(name).or_insert_with(|| json!({}));
    if let Value::Object(object) = slot {
        object.insert(member.to_owned(), value);
    }
}

/// Several columns may add to one list. The first address is the primary one.
fn extend(attributes: &mut Object, name: &str, values: Vec<Value>) {
    let slot = attributes.entry(name).or_insert_with(|| json!([]));
    if let Value::Array(elements) = slot {
        for mut value in values {
            if let (true, "emails", Some(members)) =
                (elements.is_empty(), name, value.as_object_mut())
            {
                members.insert("primary".to_owned(), true.into());
            }
            elements.push(value);
        }
    }
}

/// `emails[type eq "work"].value` as its attribute and type.
fn typed(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.split_once('[')?;
    let rest = rest.strip_prefix("type eq ")?;
    let (kind, rest) = rest.strip_prefix('"')?.split_once('"')?;
    matches!(rest, "]" | "].value").then_some((name, kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_understood_as_people_write_them() {
        assert!(NAMES.is_sorted_by_key(|(name, _)| name));
        for (name, path) in NAMES {
            assert_ne!(Target::of_header(name), Target::Beside, "{path}");
        }
        let typed = |name: &str, kind: &str| Target::Typed(name.into(), kind.into());
        for (header, target) in [
            ("E-Mail", typed("emails", "work")),
            ("First Name", Target::Sub("name".into(), "givenName".into())),
            ("first_name", Target::Sub("name".into(), "givenName".into())),
            ("ID", Target::ExternalId),
            ("External ID", Target::ExternalId),
            ("externalid", Target::ExternalId),
            ("USERNAME", Target::Plain("userName".into())),
            ("Job title", Target::Plain("title".into())),
            ("Cost Center", Target::Enterprise("costCenter".into())),
            ("Manager", Target::Manager),
            ("Status", Target::Active),
            ("Groups", Target::Groups),
            ("emails", Target::Values("emails".into())),
            ("name.honorificPrefix", Target::Sub("name".into(), "honorificPrefix".into())),
            ("password", Target::Ignored),
            ("meta", Target::Ignored),
            ("Shoe size", Target::Beside),
            ("emails.value", Target::Ignored),
            ("urn:example:x", Target::Ignored),
            ("", Target::Ignored),
        ] {
            assert_eq!(Target::of_header(header), target, "{header}");
        }
    }

    #[test]
    fn configured_targets_are_checked() {
        for text in ["shoeSize", "name", "name.size", "emails.value", "password", "emails[x]"] {
            let error = Target::parse(text).expect_err(text);
            assert!(error.contains(text), "{error}");
        }
        let manager = format!("{ENTERPRISE_USER}:manager.value");
        assert_eq!(Target::parse(&manager), Ok(Target::Manager));
        assert_eq!(Target::parse("ignore"), Ok(Target::Ignored));
    }

    #[test]
    fn cells_become_attributes_and_empty_ones_are_empty_on_purpose() {
        let mut attributes = Object::new();
        for (target, cell) in [
            ("title", ""),
            ("name.givenName", "Ada"),
            ("emails[type eq \"work\"].value", "ada@example.com"),
            ("emails", "a@example.com; b@example.com"),
            ("phoneNumbers[type eq \"work\"].value", ""),
            ("manager", "7"),
        ] {
            Target::parse(target).expect(target).set(&mut attributes, target, cell, ";");
        }
        Target::Beside.set(&mut attributes, "Shoe size", "41", ";");
        assert_eq!(
            Value::Object(attributes),
            json!({
                "title": null,
                "name": {"givenName": "Ada"},
                "emails": [
                    {"value": "ada@example.com", "type": "work", "primary": true},
                    {"value": "a@example.com"},
                    {"value": "b@example.com"},
                ],
                "phoneNumbers": [],
                ENTERPRISE_USER: {"manager": {"value": "7"}},
                "Shoe size": "41",
            })
        );
    }
}
