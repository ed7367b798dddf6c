//! A user of Okta in SCIM: its state, its attributes, and who its manager is.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::pull::AccountState;
use crate::scim::{Object, urn};

/// What of a user or group is about how Okta is used, or a secret.
const NOT_TAKEN: [&str; 3] = ["credentials", "_links", "_embedded"];

/// Attributes of a profile that are SCIM attributes, by name.
const TOP: [(&str, &str); 8] = [
    ("displayName", "displayName"),
    ("nickName", "nickName"),
    ("title", "title"),
    ("userType", "userType"),
    ("preferredLanguage", "preferredLanguage"),
    ("locale", "locale"),
    ("timezone", "timezone"),
    ("profileUrl", "profileUrl"),
];

const NAME: [(&str, &str); 5] = [
    ("firstName", "givenName"),
    ("lastName", "familyName"),
    ("middleName", "middleName"),
    ("honorificPrefix", "honorificPrefix"),
    ("honorificSuffix", "honorificSuffix"),
];

const ADDRESS: [(&str, &str); 6] = [
    ("streetAddress", "streetAddress"),
    ("city", "locality"),
    ("state", "region"),
    ("zipCode", "postalCode"),
    ("countryCode", "country"),
    ("postalAddress", "formatted"),
];

const ENTERPRISE: [(&str, &str); 5] = [
    ("employeeNumber", "employeeNumber"),
    ("costCenter", "costCenter"),
    ("organization", "organization"),
    ("division", "division"),
    ("department", "department"),
];

/// What becomes of users in a status that is neither in use nor out of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum As {
    Active,
    Inactive,
    LeftOut,
}

impl As {
    pub(super) fn word(word: &str) -> Self {
        match word {
            "active" => Self::Active,
            "left_out" => Self::LeftOut,
            _ => Self::Inactive,
        }
    }

    fn state(self) -> Option<AccountState> {
        match self {
            Self::Active => Some(AccountState::Active),
            Self::Inactive => Some(AccountState::Inactive),
            Self::LeftOut => None,
        }
    }
}

/// What the configuration says about statuses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Statuses {
    pub(super) lockout_is_inactive: bool,
    pub(super) staged: As,
    pub(super) provisioned: As,
    pub(super) deprovisioned: As,
}

impl Statuses {
    /// The state of a user in that status; `None` inside for one who is left out.
    /// (Okta Users API, `status`.)
    pub(super) fn state(self, status: &str) -> Result<Option<AccountState>, String> {
        Ok(match status {
            "ACTIVE" | "PASSWORD_EXPIRED" | "RECOVERY" => Some(AccountState::Active),
            "LOCKED_OUT" if self.lockout_is_inactive => Some(AccountState::Inactive),
            "LOCKED_OUT" => Some(AccountState::Active),
            "STAGED" => self.staged.state(),
            "PROVISIONED" => self.provisioned.state(),
            "SUSPENDED" => Some(AccountState::Suspended),
            "DEPROVISIONED" => self.deprovisioned.state(),
            other => {
                return Err(format!(
                    "its status is \"{other}\"; known are STAGED, PROVISIONED, ACTIVE, RECOVERY, \
                     PASSWORD_EXPIRED, LOCKED_OUT, SUSPENDED and DEPROVISIONED."
                ));
            }
        })
    }
}

/// The object without what nobody may see or needs.
pub(super) fn taken(mut object: Object) -> Object {
    for name in NOT_TAKEN {
        object.shift_remove(name);
    }
    object
}

fn profile(object: &Object) -> Option<&Object> {
    object.get("profile")?.as_object()
}

/// An attribute of the profile that is a text with something in it.
pub(super) fn text<'o>(object: &'o Object, name: &str) -> Option<&'o str> {
    profile(object)?.get(name)?.as_str().map(str::trim).filter(|text| !text.is_empty())
}

/// Moves attributes of a profile to their names in SCIM.
struct Mapped<'o> {
    user: &'o Object,
    used: Vec<&'static str>,
}

impl<'o> Mapped<'o> {
    fn text(&mut self, name: &'static str) -> Option<&'o str> {
        let text = text(self.user, name);
        if text.is_some() {
            self.used.push(name);
        }
        text
    }

    fn object(&mut self, names: &[(&'static str, &str)]) -> Object {
        let given = names.iter().filter_map(|(from, to)| Some((*to, self.text(from)?)));
        given.map(|(to, text)| (to.to_owned(), text.into())).collect()
    }

    /// What is left: the organization's own attributes.
    fn own(&self) -> Object {
        let is_empty = |value: &Value| match value {
            Value::String(text) => text.trim().is_empty(),
            other => other.is_null(),
        };
        let is_left = |name: &str, value: &Value| !is_empty(value) && !self.used.contains(&name);
        let left = profile(self.user).into_iter().flatten().filter(|(n, v)| is_left(n, v));
        left.map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}

/// The SCIM attributes of a user, without `active` and the manager. What is none in SCIM stands under
/// `okta`, where it is out of the way of SCIM's own names.
pub(super) fn user_attributes(user: &Object) -> Object {
    let mut from = Mapped { user, used: Vec::new() };
    let mut attributes = Object::new();
    if let Some(login) = from.text("login") {
        attributes.insert("userName".to_owned(), login.into());
    }
    attributes.extend(from.object(&TOP));
    // One odd address is no reason to refuse the user.
    if attributes.get("profileUrl").and_then(Value::as_str).is_some_and(|url| !is_reference(url)) {
        attributes.shift_remove("profileUrl");
        from.used.retain(|name| *name != "profileUrl");
    }
    let mut put = |name: &str, value: Value| attributes.insert(name.to_owned(), value);
    let name = from.object(&NAME);
    if !name.is_empty() {
        put("name", name.into());
    }
    let mut emails = Vec::new();
    if let Some(email) = from.text("email") {
        emails.push(json!({"value": email, "type": "work", "primary": true}));
    }
    if let Some(second) = from.text("secondEmail")
        && text(user, "email").is_none_or(|email| !email.eq_ignore_ascii_case(second))
    {
        emails.push(json!({"value": second, "type": "other"}));
    }
    let mut phones = Vec::new();
    if let Some(phone) = from.text("primaryPhone") {
        phones.push(json!({"value": phone, "type": "work", "primary": true}));
    }
    if let Some(mobile) = from.text("mobilePhone") {
        phones.push(json!({"value": mobile, "type": "mobile"}));
    }
    for (name, values) in [("emails", emails), ("phoneNumbers", phones)] {
        if !values.is_empty() {
            put(name, values.into());
        }
    }
    let mut address = from.object(&ADDRESS);
    if !address.is_empty() {
        address.insert("type".to_owned(), "work".into());
        address.insert("primary".to_owned(), true.into());
        put("addresses", json!([address]));
    }
    let enterprise = from.object(&ENTERPRISE);
    if !enterprise.is_empty() {
        put(urn::ENTERPRISE_USER, enterprise.into());
    }
    let own = from.own();
    if !own.is_empty() {
        put("okta", own.into());
    }
    attributes
}

/// The SCIM attributes of a group.
pub(super) fn group_attributes(group: &Object) -> Object {
    let mut from = Mapped { user: group, used: Vec::new() };
    let mut attributes = from.object(&[("name", "displayName"), ("description", "description")]);
    let own = from.own();
    if !own.is_empty() {
        attributes.insert("okta".to_owned(), own.into());
    }
    attributes
}

/// Whether it can be a URI at all (RFC 3986 §2).
fn is_reference(text: &str) -> bool {
    !text.chars().any(|c| c.is_whitespace() || c.is_control() || "<>\"{}|\\^`[]%".contains(c))
}

/// Puts the manager's id where SCIM has it.
pub(super) fn set_manager(attributes: &mut Object, id: &str) {
    let enterprise = attributes.entry(urn::ENTERPRISE_USER).or_insert_with(|| json!({}));
    if let Some(enterprise) = enterprise.as_object_mut() {
        enterprise.insert("manager".to_owned(), json!({"value": id}));
    }
}

/// Whether a text has the form of a user's id: 20 characters that begin with 00u.
pub(super) fn is_user_id(text: &str) -> bool {
    text.len() == 20 && text.starts_with("00u") && text.chars().all(|c| c.is_ascii_alphanumeric())
}

/// Users by what a `managerId` may hold, which is free text: a login or a number. Ids speak for
/// themselves.
#[derive(Default)]
pub(super) struct Managers {
    logins: HashMap<String, String>,
    numbers: HashMap<String, Numbered>,
}

/// Who has an employee number. Numbers are used again: whoever left does not count beside who is there.
struct Numbered {
    id: String,
    is_gone: bool,
    is_shared: bool,
}

impl Managers {
    pub(super) fn add(&mut self, id: &str, user: &Object) {
        if let Some(login) = text(user, "login") {
            self.logins.insert(login.to_lowercase(), id.to_owned());
        }
        let Some(number) = text(user, "employeeNumber") else { return };
        let is_gone = user.get("status").and_then(Value::as_str) == Some("DEPROVISIONED");
        let new = Numbered { id: id.to_owned(), is_gone, is_shared: false };
        match self.numbers.get_mut(number) {
            None => {
                self.numbers.insert(number.to_owned(), new);
            }
            // A list that changes while it is read shows some twice.
            Some(known) if known.id == id => known.is_gone = is_gone,
            Some(known) if known.is_gone == is_gone => known.is_shared = true,
            Some(known) if known.is_gone => *known = new,
            Some(_) => {}
        }
    }

    /// The id of the user who is meant, if that is one.
    pub(super) fn find(&self, manager: &str) -> Option<&str> {
        if let Some(id) = self.logins.get(&manager.to_lowercase()) {
            return Some(id);
        }
        let numbered = self.numbers.get(manager).filter(|numbered| !numbered.is_shared)?;
        Some(&numbered.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Object {
        let Value::Object(object) = value else { panic!("an object") };
        object
    }

    #[test]
    fn statuses_are_states() {
        let usual = Statuses {
            lockout_is_inactive: false,
            staged: As::Inactive,
            provisioned: As::Active,
            deprovisioned: As::Inactive,
        };
        let other = Statuses {
            lockout_is_inactive: true,
            staged: As::Active,
            provisioned: As::LeftOut,
            deprovisioned: As::LeftOut,
        };
        use AccountState::{Active, Inactive, Suspended};
        for (status, by_usual, by_other) in [
            ("ACTIVE", Some(Active), Some(Active)),
            ("PASSWORD_EXPIRED", Some(Active), Some(Active)),
            ("RECOVERY", Some(Active), Some(Active)),
            ("LOCKED_OUT", Some(Active), Some(Inactive)),
            ("STAGED", Some(Inactive), Some(Active)),
            ("PROVISIONED", Some(Active), None),
            ("SUSPENDED", Some(Suspended), Some(Suspended)),
            ("DEPROVISIONED", Some(Inactive), None),
        ] {
            assert_eq!(usual.state(status), Ok(by_usual), "{status}");
            assert_eq!(other.state(status), Ok(by_other), "{status}");
        }
        assert!(usual.state("FROZEN").is_err_and(|message| message.contains("\"FROZEN\"")));
    }

    #[test]
    fn profile_becomes_scim_and_the_rest_stands_by_itself() {
        let user = object(json!({
            "id": "00u1", "status": "ACTIVE", "credentials": {"provider": {}}, "_links": {},
            "profile": {
                "login": "ada", "email": "ada@example.com", "secondEmail": "ADA@example.com",
                "firstName": "Ada", "lastName": "Lane", "displayName": "Ada Lane", "mobilePhone": null,
                "primaryPhone": "+1", "city": "Turin", "countryCode": "IT", "department": "R&D",
                "employeeNumber": "007", "managerId": "12", "title": "  ", "profileUrl": "not a url",
                "badge": 7, "emails": "mine", "active": ["x"], "costCenter": 9,
            },
        }));
        let expected = json!({
            "userName": "ada", "displayName": "Ada Lane",
            "name": {"givenName": "Ada", "familyName": "Lane"},
            "emails": [{"value": "ada@example.com", "type": "work", "primary": true}],
            "phoneNumbers": [{"value": "+1", "type": "work", "primary": true}],
            "addresses": [{"locality": "Turin", "country": "IT", "type": "work", "primary": true}],
            urn::ENTERPRISE_USER: {"employeeNumber": "007", "department": "R&D"},
            "okta": {
                "managerId": "12", "profileUrl": "not a url", "badge": 7, "emails": "mine",
                "active": ["x"], "costCenter": 9,
            },
        });
        assert_eq!(Value::Object(user_attributes(&user)), expected);
        assert_eq!(taken(user).keys().collect::<Vec<_>>(), ["id", "status", "profile"]);
        let group = object(json!({"profile": {"name": "Staff", "description": null, "tier": 1}}));
        let expected = json!({"displayName": "Staff", "okta": {"tier": 1}});
        assert_eq!(Value::Object(group_attributes(&group)), expected);
    }

    #[test]
    fn managers_are_found_by_login_and_by_a_number_that_is_theirs_alone() {
        let mut managers = Managers::default();
        for (id, login, number, status) in [
            ("a", "Boss@example.com", "1", "ACTIVE"),
            ("b", "left@example.com", "2", "DEPROVISIONED"),
            ("c", "again@example.com", "2", "ACTIVE"),
            ("d", "one@example.com", "3", "ACTIVE"),
            ("e", "two@example.com", "3", "SUSPENDED"),
            ("f", "gone@example.com", "4", "DEPROVISIONED"),
            ("d", "one@example.com", "3", "ACTIVE"),
        ] {
            let profile = json!({"login": login, "employeeNumber": number});
            managers.add(id, &object(json!({"status": status, "profile": profile})));
        }
        for (manager, found) in [
            ("boss@EXAMPLE.com", Some("a")),
            ("1", Some("a")),
            ("2", Some("c")),
            ("3", None),
            ("4", Some("f")),
            ("5", None),
        ] {
            assert_eq!(managers.find(manager), found, "{manager}");
        }
        assert!(is_user_id("00u1a2b3c4d5e6f7g8h9") && !is_user_id("00u1") && !is_user_id("00123"));
    }
}
