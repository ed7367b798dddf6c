//! What an entry of Active Directory is as a user. Pure.

use std::collections::BTreeSet;

use serde_json::Value;

use super::ldap_user::{address, email, phones, put, put_extra, put_list, put_object, set_manager};
use crate::pull::AccountState;
use crate::pull::ldap::Entry;
use crate::pull::ldap::ad::{Name, filetime};
use crate::scim::Object;
use crate::scim::urn::ENTERPRISE_USER;

/// Attributes that are asked for beside those of the configuration.
pub(super) const ATTRIBUTES: [&str; 34] = [
    "objectClass",
    "objectGUID",
    "sAMAccountName",
    "userPrincipalName",
    "cn",
    "sn",
    "givenName",
    "middleName",
    "displayName",
    "title",
    "mail",
    "proxyAddresses",
    "telephoneNumber",
    "mobile",
    "homePhone",
    "facsimileTelephoneNumber",
    "pager",
    "streetAddress",
    "postalAddress",
    "l",
    "st",
    "postalCode",
    "c",
    "employeeID",
    "employeeNumber",
    "employeeType",
    "department",
    "division",
    "company",
    "preferredLanguage",
    "manager",
    "userAccountControl",
    "accountExpires",
    "primaryGroupID",
];

/// `userAccountControl` as the server computes it, with what it does not keep in the attribute itself.
pub(super) const COMPUTED: &str = "msDS-User-Account-Control-Computed";

/// Bits of `userAccountControl` (MS-ADTS §2.2.16).
const ACCOUNT_DISABLE: i64 = 0x2;
const LOCKOUT: i64 = 0x10;

/// How users are read.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) user_name: String,
    /// Kept beside the user under their own names.
    pub(super) extra: Vec<String>,
    pub(super) lockout_is_inactive: bool,
    /// Milliseconds since 1970.
    pub(super) now: i64,
}

impl Reading {
    /// The user as SCIM has it, or what is wrong with it. `domain` is the name of the domain in the DNS.
    pub(super) fn attributes(&self, entry: &Entry, domain: &str) -> Result<Object, String> {
        let mut user = Object::new();
        user.insert("userName".to_owned(), self.user_name(entry, domain)?.into());
        let mut name = Object::new();
        for (part, attribute) in [
            ("formatted", "cn"),
            ("familyName", "sn"),
            ("givenName", "givenName"),
            ("middleName", "middleName"),
        ] {
            put(&mut name, part, entry.text(attribute));
        }
        put_object(&mut user, "name", name);
        put(&mut user, "displayName", entry.text("displayName").or_else(|| entry.text("cn")));
        put(&mut user, "title", entry.text("title"));
        put(&mut user, "userType", entry.text("employeeType"));
        put(&mut user, "preferredLanguage", entry.text("preferredLanguage"));
        put_list(&mut user, "emails", emails(entry));
        put_list(&mut user, "phoneNumbers", phones(entry));
        put_list(&mut user, "addresses", address(entry, "streetAddress").into_iter().collect());
        let mut work = Object::new();
        let number = entry.text("employeeID").or_else(|| entry.text("employeeNumber"));
        put(&mut work, "employeeNumber", number);
        put(&mut work, "department", entry.text("department"));
        put(&mut work, "division", entry.text("division"));
        put(&mut work, "organization", entry.text("company"));
        put_object(&mut user, ENTERPRISE_USER, work);
        if let Some(manager) = entry.text("manager").map(Name::parse) {
            set_manager(&mut user, &manager.guid.unwrap_or(manager.dn).to_lowercase());
        }
        for extra in &self.extra {
            // The server gives them in no order.
            let values: BTreeSet<&str> = entry.texts(extra).map(plain).collect();
            put_extra(&mut user, extra, &values.into_iter().collect::<Vec<_>>());
        }
        Ok(user)
    }

    /// An account without `userPrincipalName` has one all the same, which the server makes of the domain
    /// (MS-ADTS §5.1.1.1.1).
    fn user_name(&self, entry: &Entry, domain: &str) -> Result<String, String> {
        if let Some(name) = entry.text(&self.user_name) {
            return Ok(name.to_owned());
        }
        let account = entry.text("sAMAccountName");
        let implicit = account.filter(|_| self.user_name.eq_ignore_ascii_case("userPrincipalName"));
        implicit.map(|account| format!("{account}@{domain}")).ok_or_else(|| {
            let wanted = &self.user_name;
            format!("it has no \"{wanted}\", which is its userName (\"user_name_attribute\").")
        })
    }

    /// Whether the account is in use. A lockout after wrong passwords ends by itself.
    pub(super) fn state(&self, entry: &Entry) -> Result<AccountState, String> {
        let number = |name: &str| entry.text(name).and_then(|text| text.parse::<i64>().ok());
        let Some(control) = number("userAccountControl") else {
            return Err(
                "it has no \"userAccountControl\", or the account must not read it: whether it \
                 is disabled is not known."
                    .to_owned(),
            );
        };
        if control & ACCOUNT_DISABLE != 0 || self.has_expired(number("accountExpires")) {
            return Ok(AccountState::Inactive);
        }
        let is_locked = number(COMPUTED).is_some_and(|computed| computed & LOCKOUT != 0);
        Ok(match self.lockout_is_inactive && is_locked {
            true => AccountState::Suspended,
            false => AccountState::Active,
        })
    }

    /// 0 and the greatest number mean never.
    fn has_expired(&self, expires: Option<i64>) -> bool {
        expires.is_some_and(|at| (1..i64::MAX).contains(&at) && at <= filetime(self.now))
    }
}

/// A value as people see it: a name without the ids that it holds, and any other text as it is.
pub(super) fn plain(value: &str) -> &str {
    let name = Name::parse(value);
    if name.guid.is_some() { name.dn } else { value }
}

/// `mail` is the primary address, or without it the one of `proxyAddresses` whose kind stands in capitals. The
/// server gives them in no order.
fn emails(entry: &Entry) -> Vec<Value> {
    let proxies = entry.texts("proxyAddresses").filter_map(|address| address.split_once(':'));
    let mut proxies: Vec<_> =
        proxies.filter(|(kind, _)| kind.eq_ignore_ascii_case("smtp")).collect();
    // Capitals come first.
    proxies.sort_unstable();
    let mut addresses: Vec<&str> = Vec::new();
    for address in entry.text("mail").into_iter().chain(proxies.into_iter().map(|(_, at)| at)) {
        if !addresses.iter().any(|known| known.eq_ignore_ascii_case(address)) {
            addresses.push(address);
        }
    }
    addresses.into_iter().enumerate().map(email).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::pull::ldap::entry::tests::entry;

    const NOW: i64 = 1_577_836_800_000;

    fn reading() -> Reading {
        Reading {
            user_name: "userPrincipalName".into(),
            extra: vec!["extensionAttribute1".into(), "memberOf".into()],
            lockout_is_inactive: false,
            now: NOW,
        }
    }

    #[test]
    fn entry_becomes_a_user() {
        let person = entry(
            "CN=Ada Example,DC=corp,DC=test",
            &[
                ("userPrincipalName", &[b"ada@corp.test"]),
                ("sAMAccountName", &[b"ada"]),
                ("cn", &[b"Ada Example"]),
                ("sn", &[b"Example"]),
                ("givenName", &[b"Ada"]),
                ("mail", &[b"ada@example.com"]),
                (
                    "proxyAddresses",
                    &[
                        b"smtp:old@example.com",
                        b"sip:ada",
                        b"SMTP:Ada@example.com",
                        b"smtp:b@example.com",
                    ],
                ),
                ("streetAddress", &[b"1 Road"]),
                ("c", &[b"CH"]),
                ("employeeID", &[b"E1"]),
                ("employeeNumber", &[b"7"]),
                ("company", &[b"Corp"]),
                ("division", &[b"D"]),
                (
                    "manager",
                    &[b"<GUID=F555CB9C-798d-4e49-8daa-6a102d1557f0>;CN=Boss,DC=corp,DC=test"],
                ),
                ("memberOf", &[b"<GUID=b>;CN=B,DC=x", b"<GUID=c>;CN=A,DC=x"]),
                ("extensionAttribute1", &[b"<b>Zurich"]),
            ],
        );
        assert_eq!(
            Value::Object(reading().attributes(&person, "corp.test").expect("a user")),
            json!({
                "userName": "ada@corp.test",
                "name": {"formatted": "Ada Example", "familyName": "Example", "givenName": "Ada"},
                "displayName": "Ada Example",
                "emails": [
                    {"value": "ada@example.com", "type": "work", "primary": true},
                    {"value": "b@example.com", "type": "other"},
                    {"value": "old@example.com", "type": "other"},
                ],
                "addresses": [{"streetAddress": "1 Road", "country": "CH", "type": "work"}],
                ENTERPRISE_USER: {
                    "employeeNumber": "E1",
                    "division": "D",
                    "organization": "Corp",
                    "manager": {"value": "f555cb9c-798d-4e49-8daa-6a102d1557f0"},
                },
                "memberOf": ["CN=A,DC=x", "CN=B,DC=x"],
                "extensionAttribute1": "<b>Zurich",
            })
        );
    }

    #[test]
    fn names_and_addresses_are_found_where_the_usual_ones_are_not() {
        let person = entry(
            "CN=a",
            &[
                ("sAMAccountName", &[b"ada"]),
                ("proxyAddresses", &[b"smtp:b@x.test", b"SMTP:z@x.test"]),
            ],
        );
        let user = reading().attributes(&person, "corp.test").expect("a user");
        assert_eq!(user["userName"], "ada@corp.test");
        assert_eq!(
            user["emails"][0],
            json!({"value": "z@x.test", "type": "work", "primary": true})
        );
        let by_mail = Reading { user_name: "mail".into(), ..reading() };
        let error = by_mail.attributes(&person, "corp.test").expect_err("no mail");
        assert!(error.contains("\"mail\""), "{error}");
    }

    #[test]
    fn what_lasts_ends_an_access_and_a_lockout_does_not() {
        use AccountState::{Active, Inactive, Suspended};
        for (control, expires, computed, usual, strict) in [
            ("512", "0", "0", Active, Active),
            ("512", "9223372036854775807", "0", Active, Active),
            ("514", "0", "0", Inactive, Inactive),
            ("66050", "0", "16", Inactive, Inactive),
            ("512", "132223104000000000", "0", Inactive, Inactive),
            ("512", "132223104000000001", "0", Active, Active),
            ("512", "0", "16", Active, Suspended),
            // The password has expired; the bit of the attribute itself is not kept.
            ("528", "0", "8388608", Active, Active),
        ] {
            let entry = entry(
                "CN=a",
                &[
                    ("userAccountControl", &[control.as_bytes()]),
                    ("accountExpires", &[expires.as_bytes()]),
                    (COMPUTED, &[computed.as_bytes()]),
                ],
            );
            assert_eq!(reading().state(&entry), Ok(usual), "{control} {expires} {computed}");
            let reading = Reading { lockout_is_inactive: true, ..reading() };
            assert_eq!(reading.state(&entry), Ok(strict), "{control} {expires} {computed}");
        }
        assert!(reading().state(&entry("CN=a", &[])).is_err(), "nobody knows");
    }
}
