//! What a user or a group of Microsoft Graph is in SCIM. Pure.
//!
//! What Graph does not give is left out; what it gives as null is null: it was cleared.

use serde_json::{Value, json};

use crate::scim::Object;
use crate::scim::urn;

/// Properties of users that are read. Without `$select` Graph gives a few of them only, and leaves out
/// `accountEnabled`.
const USER: &[&str] = &[
    "id",
    "userPrincipalName",
    "accountEnabled",
    "displayName",
    "givenName",
    "surname",
    "mail",
    "otherMails",
    "proxyAddresses",
    "jobTitle",
    "department",
    "companyName",
    "employeeId",
    "employeeType",
    "employeeOrgData",
    "userType",
    "businessPhones",
    "mobilePhone",
    "streetAddress",
    "city",
    "state",
    "postalCode",
    "country",
    "preferredLanguage",
    "officeLocation",
    "onPremisesSamAccountName",
    // Only filters see those that follow.
    "onPremisesSyncEnabled",
    "onPremisesImmutableId",
    "externalUserState",
    "usageLocation",
    "createdDateTime",
    "employeeHireDate",
];

/// Properties of groups that are read.
pub(super) const GROUP: &str = "id,displayName,description,mail,mailEnabled,mailNickname,\
                                securityEnabled,groupTypes,visibility,onPremisesSyncEnabled";

/// How users are read and written down.
#[derive(Clone, Debug, Default)]
pub(super) struct Mapping {
    /// The property that becomes `userName`.
    pub(super) username: String,
    /// Further properties, which keep their names.
    pub(super) more: Vec<String>,
    /// Whether users are read with their managers.
    pub(super) managers: bool,
}

impl Mapping {
    /// `$select` of users.
    pub(super) fn select(&self) -> String {
        let more = self.more.iter().map(String::as_str).filter(|name| !USER.contains(name));
        USER.iter().copied().chain(more).collect::<Vec<_>>().join(",")
    }

    /// The attributes of a user, without state and type of the account.
    pub(super) fn user(&self, user: &Object) -> Object {
        let text = |name: &str| user.get(name).and_then(Value::as_str).filter(|t| !t.is_empty());
        let mut attributes = Object::new();
        if let Some(name) = text(&self.username).or_else(|| text("userPrincipalName")) {
            attributes.insert("userName".to_owned(), name.into());
        }
        for (from, to) in [
            ("displayName", "displayName"),
            ("jobTitle", "title"),
            ("preferredLanguage", "preferredLanguage"),
            ("officeLocation", "officeLocation"),
        ] {
            copy(user, from, &mut attributes, to);
        }
        let mut name = Object::new();
        copy(user, "givenName", &mut name, "givenName");
        copy(user, "surname", &mut name, "familyName");
        put_whole(&mut attributes, "name", name);
        match text("employeeType") {
            Some(kind) => attributes.insert("userType".to_owned(), kind.into()),
            // Users from before the property was there have none: they are members.
            None if user.contains_key("userType") => {
                let kind = text("userType").unwrap_or("Member");
                attributes.insert("userType".to_owned(), kind.into())
            }
            None => None,
        };
        let has = |names: &[&str]| names.iter().any(|name| user.contains_key(*name));
        if has(&["mail", "proxyAddresses", "otherMails"]) {
            attributes.insert("emails".to_owned(), list(emails(user)));
        }
        if has(&["businessPhones", "mobilePhone"]) {
            attributes.insert("phoneNumbers".to_owned(), list(phones(user)));
        }
        if has(&["streetAddress", "city", "state", "postalCode", "country"]) {
            attributes.insert("addresses".to_owned(), list(addresses(user)));
        }
        let enterprise = self.enterprise(user);
        match self.managers {
            true => put_whole(&mut attributes, urn::ENTERPRISE_USER, enterprise),
            // Who may have a manager has more than what was cleared.
            false if enterprise.is_empty() => {}
            false => {
                attributes.insert(urn::ENTERPRISE_USER.to_owned(), enterprise.into());
            }
        }
        for name in &self.more {
            copy(user, name, &mut attributes, name);
        }
        attributes
    }

    fn enterprise(&self, user: &Object) -> Object {
        let mut enterprise = Object::new();
        for (from, to) in [
            ("employeeId", "employeeNumber"),
            ("department", "department"),
            ("companyName", "organization"),
        ] {
            copy(user, from, &mut enterprise, to);
        }
        match user.get("employeeOrgData") {
            Some(Value::Object(data)) => {
                copy(data, "division", &mut enterprise, "division");
                copy(data, "costCenter", &mut enterprise, "costCenter");
            }
            Some(_) => {
                enterprise.insert("division".to_owned(), Value::Null);
                enterprise.insert("costCenter".to_owned(), Value::Null);
            }
            None => {}
        }
        if self.managers {
            // Who has none is given without the member.
            let manager = user.get("manager").and_then(|manager| manager.get("id"));
            let manager = manager.map_or(Value::Null, |id| json!({"value": id}));
            enterprise.insert("manager".to_owned(), manager);
        }
        enterprise
    }
}

/// The attributes of a group.
pub(super) fn group(group: &Object) -> Object {
    let mut attributes = Object::new();
    for name in ["displayName", "description", "mail"] {
        copy(group, name, &mut attributes, name);
    }
    attributes
}

fn copy(from: &Object, name: &str, to: &mut Object, as_name: &str) {
    if let Some(value) = from.get(name) {
        let is_empty = value.as_str() == Some("");
        let value = if is_empty { Value::Null } else { value.clone() };
        to.insert(as_name.to_owned(), value);
    }
}

/// An object with nothing but nulls was cleared as a whole.
fn put_whole(attributes: &mut Object, name: &str, object: Object) {
    if !object.is_empty() {
        let is_cleared = object.values().all(Value::is_null);
        let value = if is_cleared { Value::Null } else { Value::Object(object) };
        attributes.insert(name.to_owned(), value);
    }
}

fn list(values: Vec<Value>) -> Value {
    if values.is_empty() { Value::Null } else { Value::Array(values) }
}

fn texts<'o>(object: &'o Object, name: &str) -> impl Iterator<Item = &'o str> {
    let values = object.get(name).and_then(Value::as_array).into_iter().flatten();
    values.filter_map(Value::as_str).filter(|text| !text.is_empty())
}

/// `mail` is the primary one, or that of the proxy addresses which says `SMTP:` in capitals.
fn emails(user: &Object) -> Vec<Value> {
    let mail = user.get("mail").and_then(Value::as_str).filter(|mail| !mail.is_empty());
    let proxies: Vec<(bool, &str)> = texts(user, "proxyAddresses")
        .filter_map(|proxy| {
            let (scheme, address) = proxy.split_once(':')?;
            scheme.eq_ignore_ascii_case("smtp").then_some((scheme == "SMTP", address))
        })
        .collect();
    let primary = mail.or_else(|| proxies.iter().find(|(first, _)| *first).map(|(_, a)| *a));
    let mut seen: Vec<String> = Vec::new();
    let mut emails = Vec::new();
    if let Some(primary) = primary {
        seen.push(primary.to_lowercase());
        emails.push(json!({"value": primary, "type": "work", "primary": true}));
    }
    for address in proxies.iter().map(|(_, address)| *address).chain(texts(user, "otherMails")) {
        if !seen.contains(&address.to_lowercase()) {
            seen.push(address.to_lowercase());
            emails.push(json!({"value": address, "type": "other"}));
        }
    }
    emails
}

fn phones(user: &Object) -> Vec<Value> {
    let business = texts(user, "businessPhones").map(|n| json!({"value": n, "type": "work"}));
    let mobile = user.get("mobilePhone").and_then(Value::as_str).filter(|n| !n.is_empty());
    business.chain(mobile.map(|n| json!({"value": n, "type": "mobile"}))).collect()
}

fn addresses(user: &Object) -> Vec<Value> {
    let mut address = Object::new();
    for (from, to) in [
        ("streetAddress", "streetAddress"),
        ("city", "locality"),
        ("state", "region"),
        ("postalCode", "postalCode"),
        ("country", "country"),
    ] {
        if user.get(from).and_then(Value::as_str).is_some_and(|text| !text.is_empty()) {
            copy(user, from, &mut address, to);
        }
    }
    if address.is_empty() {
        return Vec::new();
    }
    address.insert("type".to_owned(), "work".into());
    vec![Value::Object(address)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Object {
        let Value::Object(object) = value else { panic!("an object") };
        object
    }

    fn mapping() -> Mapping {
        Mapping {
            username: "userPrincipalName".to_owned(),
            more: vec!["extension_1_cost".to_owned()],
            managers: true,
        }
    }

    #[test]
    fn user_is_written_down_in_scim() {
        let user = object(json!({
            "id": "1", "userPrincipalName": "ada@example.com", "accountEnabled": false,
            "displayName": "Ada", "givenName": "Ada", "surname": "", "jobTitle": "Engineer",
            "mail": "Ada@example.com", "otherMails": ["home@example.net"],
            "proxyAddresses": ["SMTP:ada@example.com", "smtp:a@example.com", "x500:/o=x", "SIP:a"],
            "employeeId": "7", "department": "R&D", "employeeOrgData": {"costCenter": "c1"},
            "userType": null, "businessPhones": ["+1"], "mobilePhone": null, "city": "Ghent",
            "manager": {"id": "2"}, "extension_1_cost": 5,
        }));
        let expected = json!({
            "userName": "ada@example.com", "displayName": "Ada",
            "title": "Engineer", "name": {"givenName": "Ada", "familyName": null},
            "userType": "Member",
            "emails": [
                {"value": "Ada@example.com", "type": "work", "primary": true},
                {"value": "a@example.com", "type": "other"},
                {"value": "home@example.net", "type": "other"},
            ],
            "phoneNumbers": [{"value": "+1", "type": "work"}],
            "addresses": [{"locality": "Ghent", "type": "work"}],
            urn::ENTERPRISE_USER: {"employeeNumber": "7", "department": "R&D", "costCenter": "c1",
                "manager": {"value": "2"}},
            "extension_1_cost": 5,
        });
        assert_eq!(Value::Object(mapping().user(&user)), expected);
    }

    #[test]
    fn what_is_not_given_is_left_out_and_what_is_cleared_is_null() {
        let without = Mapping { managers: false, ..mapping() };
        let sparse = object(json!({"id": "1", "jobTitle": null, "mail": null}));
        let attributes = Value::Object(without.user(&sparse));
        assert_eq!(attributes, json!({"title": null, "emails": null}));
        let cleared = object(json!({"id": "1", "givenName": null, "surname": null,
            "department": null, "mobilePhone": null, "city": null}));
        let mut expected = json!({"name": null, "phoneNumbers": null, "addresses": null,
            urn::ENTERPRISE_USER: null});
        assert_eq!(Value::Object(mapping().user(&cleared)), expected);
        // A manager of whom nothing is known is not cleared along with it.
        expected[urn::ENTERPRISE_USER] = json!({"department": null});
        assert_eq!(Value::Object(without.user(&cleared)), expected);
    }

    #[test]
    fn name_is_the_property_that_was_chosen_or_the_principal_name() {
        let by_mail = Mapping { username: "mail".to_owned(), ..Mapping::default() };
        for (user, name) in [
            (
                json!({"userPrincipalName": "a@example.com", "mail": "m@example.com"}),
                "m@example.com",
            ),
            (json!({"userPrincipalName": "a@example.com", "mail": null}), "a@example.com"),
        ] {
            assert_eq!(by_mail.user(&object(user))["userName"], name);
        }
    }
}
