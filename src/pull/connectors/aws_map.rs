//! What a user or group of an identity store is in SCIM. The store has the shape of SCIM with names that
//! begin with a capital (AWS Identity Store API, types User and Group).

use serde_json::{Value, json};
use url::Url;

use crate::pull::AccountState;
use crate::scim::Object;
use crate::scim::urn;

/// The extension that is asked for and what it is of SCIM.
pub(super) const ENTERPRISE: &str = "aws:identitystore:enterprise";

/// Texts of the enterprise user (RFC 7643 §4.3).
const ENTERPRISE_TEXTS: [&str; 5] =
    ["employeeNumber", "costCenter", "organization", "division", "department"];

/// Members of a user that are taken as they are. Not the birth date, which nothing here needs, and not what
/// changes by itself (`UpdatedAt`, `Revision`).
const USER: [&str; 15] = [
    "UserName",
    "Name",
    "DisplayName",
    "NickName",
    "Emails",
    "Addresses",
    "PhoneNumbers",
    "UserType",
    "Title",
    "PreferredLanguage",
    "Locale",
    "Timezone",
    "Website",
    "Roles",
    "ExternalIds",
];

/// The attributes of a user, without the state.
pub(super) fn user(source: &Object) -> Object {
    let mut attributes = Object::new();
    for name in USER {
        if let Some(value) = source.get(name).and_then(taken) {
            attributes.insert(first_small(name), value);
        }
    }
    // An address in SCIM; people write other things there, and data of a picture.
    if let Some(url) = source.get("ProfileUrl").filter(|value| is_url(value)) {
        attributes.insert("profileUrl".to_owned(), url.clone());
    }
    let photos = source.get("Photos").and_then(Value::as_array).into_iter().flatten();
    let photos: Vec<Value> =
        photos.filter(|photo| photo.get("Value").is_some_and(is_url)).filter_map(taken).collect();
    if !photos.is_empty() {
        attributes.insert("photos".to_owned(), photos.into());
    }
    if let Some(enterprise) =
        source.get("Extensions").and_then(|all| enterprise(all.get(ENTERPRISE)?))
    {
        attributes.insert(urn::ENTERPRISE_USER.to_owned(), enterprise.into());
    }
    attributes
}

/// Older stores tell no state: their users are active.
pub(super) fn state(source: &Object) -> AccountState {
    match source.get("UserStatus").and_then(Value::as_str) {
        Some("DISABLED") => AccountState::Inactive,
        _ => AccountState::Active,
    }
}

/// The attributes of a group. It is given as a whole: what it lacks was taken away.
pub(super) fn group(source: &Object) -> Object {
    ["DisplayName", "Description", "ExternalIds"]
        .into_iter()
        .map(|name| (first_small(name), source.get(name).and_then(taken).unwrap_or_default()))
        .collect()
}

/// The enterprise extension; its names are those of SCIM in either letter case.
fn enterprise(source: &Value) -> Option<Object> {
    let given = taken(source)?;
    let mut found = Object::new();
    for name in ENTERPRISE_TEXTS {
        if let Some(text) = given.get(name).filter(|value| value.is_string()) {
            found.insert(name.to_owned(), text.clone());
        }
    }
    let manager = given.get("manager").and_then(|manager| {
        manager.as_str().or_else(|| manager.get("value").and_then(Value::as_str))
    });
    if let Some(manager) = manager {
        found.insert("manager".to_owned(), json!({"value": manager}));
    }
    (!found.is_empty()).then_some(found)
}

/// A value with the names of SCIM, without what holds nothing; `None` when nothing is left.
fn taken(value: &Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::Array(elements) => {
            let elements: Vec<Value> = elements.iter().filter_map(taken).collect();
            (!elements.is_empty()).then(|| elements.into())
        }
        Value::Object(members) => {
            let members: Object = members
                .iter()
                .filter_map(|(name, value)| Some((first_small(name), taken(value)?)))
                .collect();
            (!members.is_empty()).then(|| members.into())
        }
        other => Some(other.clone()),
    }
}

fn first_small(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}

fn is_url(value: &Value) -> bool {
    let url = value.as_str().and_then(|text| Url::parse(text).ok());
    url.is_some_and(|url| matches!(url.scheme(), "http" | "https"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Object {
        let Value::Object(object) = value else { panic!("an object") };
        object
    }

    #[test]
    fn user_is_what_it_is_in_scim() {
        let source = object(json!({
            "IdentityStoreId": "d-1", "UserId": "u1", "UserArn": "arn:…", "Revision": "7",
            "UserName": "ada@example.com", "DisplayName": "Ada L", "NickName": null, "Title": "",
            "Name": {"Formatted": "Ada Lane", "FamilyName": "Lane", "GivenName": "Ada",
                "MiddleName": null, "HonorificPrefix": "Dr."},
            "Emails": [{"Value": "ada@example.com", "Type": "work", "Primary": true}],
            "PhoneNumbers": [], "Addresses": [{"StreetAddress": "1 Way", "PostalCode": "1", "Primary": false}],
            "UserType": "Employee", "PreferredLanguage": "en", "Locale": "en-US",
            "Timezone": "Europe/Berlin", "UserStatus": "ENABLED", "Birthdate": "2000-01-01",
            "Website": "ada.example", "ProfileUrl": "intranet, third floor",
            "Photos": [{"Value": "iVBORw0KGgo="}, {"Value": "https://p.example/1.png", "Display": "Me"}],
            "Roles": [{"Value": "Researcher", "Primary": true}],
            "ExternalIds": [{"Issuer": "https://scim.aws.com/1", "Id": "hr-7"}],
            "CreatedAt": 1.7e9, "UpdatedAt": 1.7e9,
            "Extensions": {"aws:identitystore:enterprise": {"department": "R&D", "CostCenter": "7",
                "manager": {"value": "u2"}, "employeeNumber": 7, "other": "x"}},
        }));
        let expected = json!({
            "userName": "ada@example.com",
            "name": {"formatted": "Ada Lane", "familyName": "Lane", "givenName": "Ada",
                "honorificPrefix": "Dr."},
            "displayName": "Ada L",
            "emails": [{"value": "ada@example.com", "type": "work", "primary": true}],
            "addresses": [{"streetAddress": "1 Way", "postalCode": "1", "primary": false}],
            "userType": "Employee", "preferredLanguage": "en", "locale": "en-US",
            "timezone": "Europe/Berlin", "website": "ada.example",
            "roles": [{"value": "Researcher", "primary": true}],
            "externalIds": [{"issuer": "https://scim.aws.com/1", "id": "hr-7"}],
            "photos": [{"value": "https://p.example/1.png", "display": "Me"}],
            (urn::ENTERPRISE_USER): {"costCenter": "7", "department": "R&D", "manager": {"value": "u2"}},
        });
        assert_eq!(Value::Object(user(&source)), expected);
        let named = json!({"UserName": "b", "ProfileUrl": "https://b.example",
            "Extensions": {"aws:identitystore:enterprise": {"Manager": "u1"}}});
        let expected = json!({"userName": "b", "profileUrl": "https://b.example",
            (urn::ENTERPRISE_USER): {"manager": {"value": "u1"}}});
        assert_eq!(Value::Object(user(&object(named))), expected);
    }

    #[test]
    fn user_without_a_state_is_active() {
        for (status, expected) in [
            (json!({}), AccountState::Active),
            (json!({"UserStatus": null}), AccountState::Active),
            (json!({"UserStatus": "ENABLED"}), AccountState::Active),
            (json!({"UserStatus": "DISABLED"}), AccountState::Inactive),
        ] {
            assert_eq!(state(&object(status.clone())), expected, "{status}");
        }
    }

    #[test]
    fn what_a_group_lacks_is_empty() {
        let source = object(json!({"GroupId": "g", "DisplayName": "Admins", "Description": "",
            "ExternalIds": []}));
        let expected = json!({"displayName": "Admins", "description": null, "externalIds": null});
        assert_eq!(Value::Object(group(&source)), expected);
    }
}
