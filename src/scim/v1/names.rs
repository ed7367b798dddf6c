//! What SCIM 2.0 calls what a request names in SCIM 1.1.

use std::borrow::Cow;

use crate::scim::filter::{Filter, Literal, UnquotedValues, parse_attr_path, parse_filter};
use crate::scim::{AttrPath, ResourceType, urn};

/// The schema of users and of groups (Core Schema 1.1 §6, §8).
pub const CORE: &str = "urn:scim:schemas:core:1.0";

/// The Enterprise extension of users (Core Schema 1.1 §7).
pub const ENTERPRISE: &str = "urn:scim:schemas:extension:enterprise:1.0";

/// The manager's id, `value` in SCIM 2.0.
pub(super) const MANAGER_ID: &str = "managerId";

/// The SCIM 2.0 URI of a schema; one that SCIM 1.1 does not define is the same in both.
pub(super) fn newer_uri<'u>(uri: &'u str, resource_type: &'u ResourceType) -> &'u str {
    if uri.eq_ignore_ascii_case(CORE) {
        &resource_type.schema.id
    } else if uri.eq_ignore_ascii_case(ENTERPRISE) {
        urn::ENTERPRISE_USER
    } else {
        uri
    }
}

/// The SCIM 1.1 URI of a schema.
pub(super) fn older_uri<'u>(uri: &'u str, resource_type: &ResourceType) -> &'u str {
    if resource_type.is_base(uri) {
        CORE
    } else if uri.eq_ignore_ascii_case(urn::ENTERPRISE_USER) {
        ENTERPRISE
    } else {
        uri
    }
}

/// The name of an attribute, as `sortBy` and `meta.attributes` have it, with or without the URI of its
/// schema. What cannot be read stays: whoever reads it next says what is wrong with it.
pub fn attribute_name(text: &str, resource_type: &ResourceType) -> String {
    let text = text.trim();
    let renamed = [CORE, ENTERPRISE].iter().find_map(|uri| {
        let (front, rest) = text.split_at_checked(uri.len())?;
        let ends = rest.is_empty() || rest.starts_with([':', '.']);
        (ends && front.eq_ignore_ascii_case(uri))
            .then(|| format!("{}{rest}", newer_uri(uri, resource_type)))
    });
    let renamed = renamed.unwrap_or_else(|| text.to_owned());
    match parse_attr_path(&renamed) {
        Ok(mut path) if is_manager_id(&path) => {
            path.sub = Some("value".to_owned());
            path.to_string()
        }
        _ => renamed,
    }
}

fn is_manager_id(path: &AttrPath) -> bool {
    path.name.eq_ignore_ascii_case("manager")
        && path.sub.as_deref().is_some_and(|sub| sub.eq_ignore_ascii_case(MANAGER_ID))
}

/// Names with commas between them, as `attributes` has them.
pub fn attribute_list(text: &str, resource_type: &ResourceType) -> String {
    let names: Vec<String> =
        text.split(',').map(|name| attribute_name(name, resource_type)).collect();
    names.join(",")
}

/// A filter (REST API 1.1 §3.2.2.1). The grammar of SCIM 2.0 holds that of 1.1; only names differ. Text
/// that is no filter stays as it is.
pub fn filter<'t>(
    text: &'t str,
    unquoted: UnquotedValues,
    resource_type: &ResourceType,
) -> Cow<'t, str> {
    let Ok(filter) = parse_filter(text, unquoted) else { return Cow::Borrowed(text) };
    let renamed = renamed(filter.clone(), resource_type);
    match renamed == filter {
        true => Cow::Borrowed(text),
        false => Cow::Owned(renamed.to_string()),
    }
}

fn renamed(filter: Filter, resource_type: &ResourceType) -> Filter {
    let all = |parts: Vec<Filter>| -> Vec<Filter> {
        parts.into_iter().map(|part| renamed(part, resource_type)).collect()
    };
    match filter {
        Filter::Or(parts) => Filter::Or(all(parts)),
        Filter::And(parts) => Filter::And(all(parts)),
        Filter::Not(inner) => Filter::Not(Box::new(renamed(*inner, resource_type))),
        Filter::Present(path) => Filter::Present(renamed_path(path, resource_type)),
        Filter::Compare { path, op, value } => {
            let value = match value {
                Literal::Text(uri) if path.name.eq_ignore_ascii_case("schemas") => {
                    Literal::Text(newer_uri(&uri, resource_type).to_owned())
                }
                value => value,
            };
            Filter::Compare { path: renamed_path(path, resource_type), op, value }
        }
        Filter::Element { path, filter } => {
            Filter::Element { path: renamed_path(path, resource_type), filter }
        }
    }
}

fn renamed_path(path: AttrPath, resource_type: &ResourceType) -> AttrPath {
    parse_attr_path(&attribute_name(&path.to_string(), resource_type)).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::Registry;

    const USER_URN: &str = urn::USER;
    const ENTERPRISE_URN: &str = urn::ENTERPRISE_USER;

    #[test]
    fn names_with_and_without_a_schema() {
        let registry = Registry::builtin();
        for (old, new) in [
            ("userName", "userName".to_owned()),
            (" name.givenName ", "name.givenName".to_owned()),
            ("urn:scim:schemas:core:1.0:userName", format!("{USER_URN}:userName")),
            ("URN:SCIM:schemas:core:1.0:name.familyName", format!("{USER_URN}:name.familyName")),
            ("urn:scim:schemas:core:1.0.title", format!("{USER_URN}.title")),
            ("urn:scim:schemas:core:1.0", USER_URN.to_owned()),
            ("urn:scim:schemas:core:1.00", "urn:scim:schemas:core:1.00".to_owned()),
            ("urn:scim:schemas:extension:enterprise:1.0", ENTERPRISE_URN.to_owned()),
            (
                "urn:scim:schemas:extension:enterprise:1.0:manager.managerId",
                format!("{ENTERPRISE_URN}:manager.value"),
            ),
            ("manager.MANAGERID", "manager.value".to_owned()),
            ("managerId", "managerId".to_owned()),
            ("urn:okta:custom:group:1.0", "urn:okta:custom:group:1.0".to_owned()),
            ("not a name", "not a name".to_owned()),
            ("é", "é".to_owned()),
        ] {
            assert_eq!(attribute_name(old, registry.user()), new, "{old}");
        }
        let list = "id, urn:scim:schemas:core:1.0:userName,,manager.managerId";
        let expected = format!("id,{USER_URN}:userName,,manager.value");
        assert_eq!(attribute_list(list, registry.user()), expected);
    }

    #[test]
    fn filters() {
        let registry = Registry::builtin();
        for (old, new) in [
            ("userName  EQ \"a\"", "userName  EQ \"a\"".to_owned()),
            ("userName eq bob", "userName eq bob".to_owned()),
            ("((", "((".to_owned()),
            (
                "urn:scim:schemas:core:1.0:userName sw \"a\" and (title pr or nickName eq \"\\\"\")",
                format!("{USER_URN}:userName sw \"a\" and (title pr or nickName eq \"\\\"\")"),
            ),
            (
                "urn:scim:schemas:extension:enterprise:1.0:manager.managerId eq \"7\"",
                format!("{ENTERPRISE_URN}:manager.value eq \"7\""),
            ),
            (
                "not (urn:scim:schemas:extension:enterprise:1.0 pr)",
                format!("not ({ENTERPRISE_URN} pr)"),
            ),
            (
                "schemas eq \"urn:scim:schemas:extension:enterprise:1.0\"",
                format!("schemas eq \"{ENTERPRISE_URN}\""),
            ),
            (
                "urn:scim:schemas:core:1.0:emails[type eq \"work\"]",
                format!("{USER_URN}:emails[type eq \"work\"]"),
            ),
        ] {
            assert_eq!(filter(old, UnquotedValues::Refuse, registry.user()), new, "{old}");
        }
        let bare = filter("manager.managerId eq 007", UnquotedValues::Accept, registry.user());
        assert_eq!(bare, "manager.value eq 007");
    }
}
