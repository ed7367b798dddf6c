//! What an entry is as a user: `inetOrgPerson` (RFC 2798) and the schemas beside it. Pure.

use serde_json::{Value, json};

use crate::pull::AccountState;
use crate::pull::ldap::Entry;
use crate::scim::Object;
use crate::scim::urn::ENTERPRISE_USER;

/// Attributes that are asked for beside those of the configuration. What is operational comes only by its
/// name.
pub(super) const ATTRIBUTES: [&str; 34] = [
    "objectClass",
    "cn",
    "sn",
    "givenName",
    "displayName",
    "title",
    "uid",
    "mail",
    "telephoneNumber",
    "mobile",
    "homePhone",
    "facsimileTelephoneNumber",
    "pager",
    "street",
    "postalAddress",
    "l",
    "st",
    "postalCode",
    "c",
    "employeeNumber",
    "employeeType",
    "departmentNumber",
    "ou",
    "o",
    "preferredLanguage",
    "manager",
    "shadowExpire",
    "nsAccountLock",
    "loginDisabled",
    "pwdAccountLockedTime",
    "modifyTimestamp",
    "entryUUID",
    "nsUniqueId",
    "ipaUniqueID",
];

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// How users are read.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) user_name: String,
    pub(super) mail: String,
    /// Kept beside the user under their own names.
    pub(super) extra: Vec<String>,
    /// Attributes with the value that makes inactive; `*` for any.
    pub(super) inactive_when: Vec<(String, String)>,
    pub(super) lockout_is_inactive: bool,
    /// Milliseconds since 1970.
    pub(super) now: i64,
}

impl Reading {
    /// The user as SCIM has it, or what is wrong with it. The manager is left out.
    pub(super) fn attributes(&self, entry: &Entry) -> Result<Object, String> {
        let Some(user_name) = entry.text(&self.user_name) else {
            return Err(format!(
                "it has no \"{}\", which is its userName (\"user_name_attribute\").",
                self.user_name
            ));
        };
        let mut user = Object::new();
        user.insert("userName".to_owned(), user_name.into());
        let mut name = Object::new();
        for (part, attribute) in
            [("formatted", "cn"), ("familyName", "sn"), ("givenName", "givenName")]
        {
            put(&mut name, part, entry.text(attribute));
        }
        put_object(&mut user, "name", name);
        put(&mut user, "displayName", entry.text("displayName").or_else(|| entry.text("cn")));
        put(&mut user, "title", entry.text("title"));
        put(&mut user, "userType", entry.text("employeeType"));
        put(&mut user, "preferredLanguage", entry.text("preferredLanguage"));
        let emails: Vec<Value> = entry.texts(&self.mail).enumerate().map(email).collect();
        put_list(&mut user, "emails", emails);
        put_list(&mut user, "phoneNumbers", phones(entry));
        put_list(&mut user, "addresses", address(entry, "street").into_iter().collect());
        let mut work = Object::new();
        put(&mut work, "employeeNumber", entry.text("employeeNumber"));
        let department = entry.text("departmentNumber").or_else(|| entry.text("ou"));
        put(&mut work, "department", department);
        put(&mut work, "organization", entry.text("o"));
        put_object(&mut user, ENTERPRISE_USER, work);
        for extra in &self.extra {
            put_extra(&mut user, extra, &entry.texts(extra).collect::<Vec<_>>());
        }
        Ok(user)
    }

    /// Whether the account is in use. A lock that ends by itself is no end.
    pub(super) fn state(&self, entry: &Entry) -> AccountState {
        let locked = entry.text("pwdAccountLockedTime");
        let is_suspended = entry.is_true("nsAccountLock")
            || entry.is_true("loginDisabled")
            || locked.is_some_and(is_for_good)
            || (self.lockout_is_inactive && locked.is_some());
        if is_suspended {
            return AccountState::Suspended;
        }
        let has_ended = self.inactive_when.iter().any(|(attribute, value)| {
            entry.texts(attribute).any(|found| value == "*" || found.eq_ignore_ascii_case(value))
        });
        match has_ended || self.has_expired(entry) {
            true => AccountState::Inactive,
            false => AccountState::Active,
        }
    }

    /// `shadowExpire` is the day from which nobody logs in, in days since 1970 (RFC 2307 §2.2); what is
    /// not above 0 is no day.
    fn has_expired(&self, entry: &Entry) -> bool {
        let day = entry.text("shadowExpire").and_then(|day| day.parse::<i64>().ok());
        day.is_some_and(|day| day > 0 && day.saturating_mul(DAY_MS) <= self.now)
    }
}

/// Whether a lock does not end by itself: it is from the first moment of all (draft-behera-ldap-password-policy
/// §5.3.3), which may be written with seconds and parts of them.
fn is_for_good(locked: &str) -> bool {
    let time = locked.strip_prefix("00000101").and_then(|time| time.strip_suffix('Z'));
    time.is_some_and(|time| time.chars().all(|c| matches!(c, '0' | '.' | ',')))
}

/// Sets the manager by the source's id.
pub(super) fn set_manager(user: &mut Object, manager: &str) {
    let slot = user.entry(ENTERPRISE_USER).or_insert_with(|| json!({}));
    if let Value::Object(work) = slot {
        work.insert("manager".to_owned(), json!({"value": manager}));
    }
}

pub(super) fn put(object: &mut Object, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        object.insert(name.to_owned(), value.into());
    }
}

pub(super) fn put_object(object: &mut Object, name: &str, value: Object) {
    if !value.is_empty() {
        object.insert(name.to_owned(), Value::Object(value));
    }
}

pub(super) fn put_list(object: &mut Object, name: &str, values: Vec<Value>) {
    if !values.is_empty() {
        object.insert(name.to_owned(), Value::Array(values));
    }
}

/// An attribute that is kept under its own name.
pub(super) fn put_extra(user: &mut Object, name: &str, values: &[&str]) {
    match values {
        [] => {}
        [one] => put(user, name, Some(one)),
        several => {
            user.insert(name.to_owned(), json!(several));
        }
    }
}

/// The first address that the server gives is the primary one.
pub(super) fn email((index, address): (usize, &str)) -> Value {
    match index {
        0 => json!({"value": address, "type": "work", "primary": true}),
        _ => json!({"value": address, "type": "other"}),
    }
}

pub(super) fn phones(entry: &Entry) -> Vec<Value> {
    let kinds = [
        ("telephoneNumber", "work"),
        ("mobile", "mobile"),
        ("homePhone", "home"),
        ("facsimileTelephoneNumber", "fax"),
        ("pager", "pager"),
    ];
    let of_kind = |(attribute, kind)| {
        entry.texts(attribute).map(move |number| json!({"value": number, "type": kind}))
    };
    kinds.into_iter().flat_map(of_kind).collect()
}

/// The address, whose street is in the attribute of that name.
pub(super) fn address(entry: &Entry, street: &str) -> Option<Value> {
    let mut address = Object::new();
    put(&mut address, "streetAddress", entry.text(street));
    // Lines of a postal address end with a dollar sign (RFC 4517 §3.3.28).
    if let Some(lines) = entry.text("postalAddress") {
        put(&mut address, "formatted", Some(&lines.replace('$', "\n")));
    }
    for (part, attribute) in
        [("locality", "l"), ("region", "st"), ("postalCode", "postalCode"), ("country", "c")]
    {
        put(&mut address, part, entry.text(attribute));
    }
    if address.is_empty() {
        return None;
    }
    put(&mut address, "type", Some("work"));
    Some(Value::Object(address))
}

/// The source's id in an attribute of that name.
pub(super) fn id_in(entry: &Entry, attribute: &str) -> Option<String> {
    if attribute.to_ascii_lowercase().ends_with("guid") {
        let bytes = entry.bytes(attribute)?;
        return Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect());
    }
    let id = entry.text(attribute)?;
    let is_uuid = attribute.eq_ignore_ascii_case("entryUUID");
    Some(if is_uuid { id.to_lowercase() } else { id.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pull::ldap::entry::tests::entry;

    fn reading() -> Reading {
        Reading {
            user_name: "uid".into(),
            mail: "mail".into(),
            extra: vec!["roomNumber".into(), "carLicense".into()],
            inactive_when: vec![("employeeType".into(), "former".into())],
            lockout_is_inactive: false,
            now: 20_000 * DAY_MS,
        }
    }

    #[test]
    fn entry_becomes_a_user() {
        let person = entry(
            "uid=ada,dc=x",
            &[
                ("uid", &[b"ada"]),
                ("cn", &[b"Ada Example"]),
                ("sn", &[b"Example"]),
                ("givenName", &[b"Ada"]),
                ("mail", &[b"ada@example.com", b"a@example.com"]),
                ("telephoneNumber", &[b"+1 555 1"]),
                ("mobile", &[b"+1 555 2"]),
                ("postalAddress", &[b"1 Road$Town"]),
                ("l", &[b"Town"]),
                ("employeeNumber", &[b"E1"]),
                ("departmentNumber", &[b"R&D"]),
                ("roomNumber", &[b"7"]),
                ("carLicense", &[b"A 1", b"B 2"]),
                ("title", &[b""]),
            ],
        );
        let mut user = reading().attributes(&person).expect("a user");
        set_manager(&mut user, "boss");
        assert_eq!(
            Value::Object(user),
            json!({
                "userName": "ada",
                "name": {"formatted": "Ada Example", "familyName": "Example", "givenName": "Ada"},
                "displayName": "Ada Example",
                "emails": [
                    {"value": "ada@example.com", "type": "work", "primary": true},
                    {"value": "a@example.com", "type": "other"},
                ],
                "phoneNumbers": [
                    {"value": "+1 555 1", "type": "work"},
                    {"value": "+1 555 2", "type": "mobile"},
                ],
                "addresses": [{"formatted": "1 Road\nTown", "locality": "Town", "type": "work"}],
                ENTERPRISE_USER: {
                    "employeeNumber": "E1",
                    "department": "R&D",
                    "manager": {"value": "boss"},
                },
                "roomNumber": "7",
                "carLicense": ["A 1", "B 2"],
            })
        );
        let error = reading().attributes(&entry("cn=a", &[("cn", &[b"a"])])).expect_err("no uid");
        assert!(error.contains("\"uid\""), "{error}");
    }

    #[test]
    fn locks_that_last_are_told_from_those_that_end() {
        use AccountState::{Active, Inactive, Suspended};
        for (attribute, value, usual, strict) in [
            ("pwdAccountLockedTime", "000001010000Z", Suspended, Suspended),
            ("pwdAccountLockedTime", "00000101000000Z", Suspended, Suspended),
            ("pwdAccountLockedTime", "00000101000000.000Z", Suspended, Suspended),
            ("pwdAccountLockedTime", "00000101000001Z", Active, Suspended),
            ("pwdAccountLockedTime", "20261121093000Z", Active, Suspended),
            ("nsAccountLock", "true", Suspended, Suspended),
            ("nsAccountLock", "FALSE", Active, Active),
            ("loginDisabled", "TRUE", Suspended, Suspended),
            ("shadowExpire", "20000", Inactive, Inactive),
            ("shadowExpire", "20001", Active, Active),
            ("shadowExpire", "-1", Active, Active),
            ("shadowExpire", "0", Active, Active),
            ("employeeType", "Former", Inactive, Inactive),
            ("employeeType", "employee", Active, Active),
        ] {
            let entry = entry("uid=a", &[(attribute, &[value.as_bytes()])]);
            assert_eq!(reading().state(&entry), usual, "{attribute} {value}");
            let reading = Reading { lockout_is_inactive: true, ..reading() };
            assert_eq!(reading.state(&entry), strict, "{attribute} {value}");
        }
        let any = Reading { inactive_when: vec![("ou".into(), "*".into())], ..reading() };
        assert_eq!(any.state(&entry("uid=a", &[("ou", &[b"x"])])), Inactive);
    }

    #[test]
    fn ids_are_text_or_bytes() {
        let entry = entry(
            "uid=a",
            &[("entryUUID", &[b"5EB1-a"]), ("GUID", &[b"\x01\xffabc"]), ("ipaUniqueID", &[b"x"])],
        );
        assert_eq!(id_in(&entry, "entryuuid").as_deref(), Some("5eb1-a"));
        assert_eq!(id_in(&entry, "GUID").as_deref(), Some("01ff616263"));
        assert_eq!(id_in(&entry, "ipaUniqueID").as_deref(), Some("x"));
        assert_eq!(id_in(&entry, "nsUniqueId"), None);
    }
}
