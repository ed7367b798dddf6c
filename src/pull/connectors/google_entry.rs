//! What users and groups of the Directory API (directory_v1) are in SCIM. Pure.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::pull::AccountState;
use crate::scim::{Object, urn};

/// What an administrator asks for about single users.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    /// Names of custom schemas that are kept; `*` for all.
    pub(super) custom_schemas: Vec<String>,
    /// Whether who has never signed in on the web is active all the same.
    pub(super) web_login_is_active: bool,
}

/// What is kept beside the user under its own name: no schema knows it.
const BESIDE: [&str; 4] = ["orgUnitPath", "isAdmin", "isDelegatedAdmin", "suspensionReason"];

pub(super) fn text<'o>(object: &'o Object, name: &str) -> &'o str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn flag(object: &Object, name: &str) -> bool {
    object.get(name).and_then(Value::as_bool).unwrap_or_default()
}

/// The objects of a list; none where there is no list, as Google leaves empty ones out.
fn objects<'o>(object: &'o Object, name: &str) -> impl Iterator<Item = &'o Object> {
    let list = object.get(name).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_object)
}

/// Suspended comes before archived: it is told apart.
pub(super) fn state(user: &Object, wanted: &Wanted) -> AccountState {
    let never_signed_in = text(user, "suspensionReason") == "WEB_LOGIN_REQUIRED";
    let is_suspended = flag(user, "suspended") && !(never_signed_in && wanted.web_login_is_active);
    match (is_suspended, flag(user, "archived")) {
        (true, _) => AccountState::Suspended,
        (false, true) => AccountState::Inactive,
        (false, false) => AccountState::Active,
    }
}

/// Every address of a user in lower case, the primary one first.
pub(super) fn addresses(user: &Object) -> impl Iterator<Item = String> {
    let list = |name: &str| user.get(name).and_then(Value::as_array).into_iter().flatten();
    let primary = user.get("primaryEmail").into_iter();
    let all = primary.chain(list("aliases")).chain(list("nonEditableAliases"));
    all.filter_map(Value::as_str).map(str::to_lowercase)
}

/// The address of the manager in lower case; empty for none.
pub(super) fn manager_address(user: &Object) -> String {
    let mut managers = objects(user, "relations").filter(|one| text(one, "type") == "manager");
    managers.next().map(|one| text(one, "value").to_lowercase()).unwrap_or_default()
}

/// Whether a user is in that organizational unit or below it.
pub(super) fn is_below(user: &Object, unit: &str) -> bool {
    let path = text(user, "orgUnitPath").to_lowercase();
    let unit = unit.trim_end_matches('/').to_lowercase();
    path.strip_prefix(&unit).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A user without its state; `manager` is the id of the manager.
pub(super) fn account(user: &Object, manager: Option<&str>, wanted: &Wanted) -> Object {
    let mut attributes = Object::new();
    let mut set = |name: &str, value: Value| {
        if !is_nothing(&value) {
            attributes.insert(name.to_owned(), value);
        }
    };
    let nothing = Object::new();
    let name = user.get("name").and_then(Value::as_object).unwrap_or(&nothing);
    let organization = primary(user, "organizations").unwrap_or(&nothing);
    set("userName", text(user, "primaryEmail").into());
    set(
        "name",
        filled([
            ("givenName", text(name, "givenName")),
            ("familyName", text(name, "familyName")),
            ("formatted", text(name, "fullName")),
        ])
        .into(),
    );
    set("displayName", text(name, "fullName").into());
    set("title", text(organization, "title").into());
    set("preferredLanguage", language(user).into());
    set("emails", emails(user));
    set("phoneNumbers", phones(user));
    set("addresses", postal(user));
    let mut number = objects(user, "externalIds").filter(|one| text(one, "type") == "organization");
    let mut enterprise = filled([
        ("employeeNumber", number.next().map(|one| text(one, "value")).unwrap_or_default()),
        ("costCenter", text(organization, "costCenter")),
        ("organization", text(organization, "name")),
        ("department", text(organization, "department")),
    ]);
    if let Some(manager) = manager {
        enterprise.insert("manager".to_owned(), json!({"value": manager}));
    }
    set(urn::ENTERPRISE_USER, enterprise.into());
    for name in BESIDE {
        set(name, user.get(name).cloned().unwrap_or_default());
    }
    set("customSchemas", custom(user, &wanted.custom_schemas));
    attributes
}

/// Somebody of another organization, of whom Google tells the address alone.
pub(super) fn external(address: &str) -> Object {
    let emails = json!([{"value": address, "primary": true}]);
    [("userName".to_owned(), address.into()), ("emails".to_owned(), emails)].into_iter().collect()
}

pub(super) fn group(group: &Object) -> Object {
    let name =
        [text(group, "name"), text(group, "email")].into_iter().find(|name| !name.is_empty());
    let mut attributes = Object::new();
    attributes.insert("displayName".to_owned(), name.unwrap_or_default().into());
    for name in ["email", "description"] {
        // An empty description has been taken away.
        let value = Some(text(group, name)).filter(|text| !text.is_empty());
        attributes.insert(name.to_owned(), value.into());
    }
    attributes
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn filled<'t>(members: impl IntoIterator<Item = (&'t str, &'t str)>) -> Object {
    let filled = members.into_iter().filter(|(_, text)| !text.is_empty());
    filled.map(|(name, text)| (name.to_owned(), text.into())).collect()
}

/// The object of a list that is marked as primary, else the first one.
fn primary<'o>(user: &'o Object, name: &str) -> Option<&'o Object> {
    objects(user, name).find(|one| flag(one, "primary")).or_else(|| objects(user, name).next())
}

fn language(user: &Object) -> &str {
    let mut languages =
        objects(user, "languages").filter(|one| !text(one, "languageCode").is_empty());
    let first = languages.next();
    let preferred =
        first.into_iter().chain(languages).find(|one| text(one, "preference") == "preferred");
    preferred.or(first).map(|one| text(one, "languageCode")).unwrap_or_default()
}

/// The types that SCIM suggests (RFC 7643 §4.1.2); Google knows more of them.
fn type_of(one: &Object) -> &'static str {
    match text(one, "type") {
        "work" | "main" | "company_main" => "work",
        "home" => "home",
        "mobile" | "work_mobile" => "mobile",
        "home_fax" | "work_fax" | "other_fax" => "fax",
        "pager" | "work_pager" => "pager",
        _ => "other",
    }
}

/// The primary address, those that were entered, and aliases, each once.
fn emails(user: &Object) -> Value {
    let primary = text(user, "primaryEmail");
    let mut seen = HashSet::from([primary.to_lowercase()]);
    let mut emails = Vec::new();
    if !primary.is_empty() {
        emails.push(json!({"value": primary, "type": "work", "primary": true}));
    }
    let entered = objects(user, "emails").map(|one| (text(one, "address"), type_of(one)));
    let aliases = user.get("aliases").and_then(Value::as_array).into_iter().flatten();
    let aliases = aliases.filter_map(|alias| Some((alias.as_str()?, "other")));
    for (address, type_name) in entered.chain(aliases) {
        if !address.is_empty() && seen.insert(address.to_lowercase()) {
            emails.push(json!({"value": address, "type": type_name}));
        }
    }
    emails.into()
}

fn phones(user: &Object) -> Value {
    let mut seen = HashSet::new();
    let mut has_primary = false;
    let mut phones = Vec::new();
    for one in objects(user, "phones") {
        let (number, type_name) = (text(one, "value"), type_of(one));
        if number.is_empty() || !seen.insert((number, type_name)) {
            continue;
        }
        let mut phone = filled([("value", number), ("type", type_name)]);
        // One of them at most (RFC 7643 §2.4).
        if flag(one, "primary") && !std::mem::replace(&mut has_primary, true) {
            phone.insert("primary".to_owned(), true.into());
        }
        phones.push(Value::Object(phone));
    }
    phones.into()
}

fn postal(user: &Object) -> Value {
    let mut has_primary = false;
    let address = |one: &Object| {
        let mut address = filled([
            ("formatted", text(one, "formatted")),
            ("streetAddress", text(one, "streetAddress")),
            ("locality", text(one, "locality")),
            ("region", text(one, "region")),
            ("postalCode", text(one, "postalCode")),
            // A code of ISO 3166-1 (RFC 7643 §4.1.2); the name of a country stands in `formatted`.
            ("country", text(one, "countryCode")),
        ]);
        if address.is_empty() {
            return None;
        }
        let type_name = match type_of(one) {
            named @ ("work" | "home") => named,
            _ => "other",
        };
        address.insert("type".to_owned(), type_name.into());
        if flag(one, "primary") && !std::mem::replace(&mut has_primary, true) {
            address.insert("primary".to_owned(), true.into());
        }
        Some(Value::Object(address))
    };
    objects(user, "addresses").filter_map(address).collect()
}

/// The custom schemas that are wanted, as Google has them.
fn custom(user: &Object, wanted: &[String]) -> Value {
    let Some(schemas) = user.get("customSchemas").and_then(Value::as_object) else {
        return Value::Null;
    };
    let is_wanted = |name: &str| wanted.iter().any(|wanted| wanted == "*" || wanted == name);
    let kept = schemas.iter().filter(|(name, _)| is_wanted(name));
    Value::Object(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
}

#[cfg(test)]
#[path = "google_entry_tests.rs"]
mod tests;
