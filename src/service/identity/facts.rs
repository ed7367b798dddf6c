//! What an identity knows of an account, taken from what the app is shown of the user. Pure.

use serde_json::Value;

use crate::scim::key::text_key;
use crate::scim::{Object, urn};
use crate::store::identity_account::AccountRow;

/// Members of a profile.
pub(super) const PROFILE: [&str; 5] = ["title", "department", "phone", "start_date", "end_date"];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::service) struct Facts {
    pub(super) active: bool,
    pub(super) email: Option<String>,
    /// Lower-case.
    pub(super) email_key: Option<String>,
    pub(super) name_key: Option<String>,
    /// JSON object with those members of [`PROFILE`] that the user has, as texts.
    pub(super) profile: String,
    /// SCIM has deleted the user, whom the app still sees.
    pub(super) departed: bool,
}

impl Facts {
    /// From a `directory_user`.
    pub(in crate::service) fn of(view: &Value) -> Self {
        let email = text(view.get("email"));
        Self {
            active: view.get("state").and_then(Value::as_str) == Some("active"),
            email_key: email.as_deref().map(|email| text_key(email, false)),
            name_key: text(view.get("name"))
                .map(|name| text_key(&name, false))
                .filter(|name| !name.is_empty()),
            email,
            profile: Value::Object(profile(view)).to_string(),
            departed: false,
        }
    }

    /// The same of a user whom SCIM has deleted: the address may be somebody else's by now.
    pub(in crate::service) fn departed(self) -> Self {
        Self { departed: true, ..self }
    }

    /// Whether an account is stored as these.
    pub(super) fn are_those_of(&self, row: &AccountRow) -> bool {
        (self.active, self.departed, &self.email, &self.email_key, &self.name_key, &self.profile)
            == (row.active, row.departed, &row.email, &row.email_key, &row.name_key, &row.profile)
    }

    /// The domain of the address.
    pub(super) fn domain(&self) -> Option<&str> {
        let (_, domain) = self.email_key.as_deref()?.rsplit_once('@')?;
        (!domain.is_empty()).then_some(domain)
    }
}

/// A text that says something.
fn text(value: Option<&Value>) -> Option<String> {
    value.and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// What a directory has mapped goes before what the identity provider sent.
fn profile(view: &Value) -> Object {
    let custom = |name: &str| text(view.get("custom_attributes").and_then(|all| all.get(name)));
    let raw = view.get("raw_attributes");
    let enterprise = raw.and_then(|raw| raw.get(urn::ENTERPRISE_USER));
    let values = [
        text(view.get("job_title")),
        custom("department").or_else(|| text(enterprise.and_then(|user| user.get("department")))),
        custom("phone").or_else(|| phone(raw?.get("phoneNumbers")?)),
        custom("start_date"),
        custom("end_date"),
    ];
    let known = PROFILE.into_iter().zip(values);
    known.filter_map(|(name, value)| Some((name.to_owned(), value?.into()))).collect()
}

/// The primary number, else the first one of type work, else the first one.
fn phone(numbers: &Value) -> Option<String> {
    let numbers = numbers.as_array()?;
    let is_primary = |number: &&Value| number.get("primary") == Some(&Value::Bool(true));
    let is_work = |number: &&Value| number.get("type").and_then(Value::as_str) == Some("work");
    let found = numbers.iter().find(is_primary).or_else(|| numbers.iter().find(is_work));
    text(found.or_else(|| numbers.first())?.get("value"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn address_and_name_are_compared_without_letter_case() {
        let facts = Facts::of(&json!({"state": "active", "email": "Ada@Example.COM",
            "name": " Ada  LANE", "job_title": "Lead"}));
        assert!(facts.active);
        assert_eq!(facts.email.as_deref(), Some("Ada@Example.COM"));
        assert_eq!(facts.email_key.as_deref(), Some("ada@example.com"));
        assert_eq!(facts.domain(), Some("example.com"));
        assert_eq!(facts.name_key.as_deref(), Some("ada  lane"));
        let nothing = Facts::of(&json!({"state": "inactive", "email": null, "name": ""}));
        assert_eq!((nothing.active, nothing.domain(), &nothing.name_key), (false, None, &None));
        for odd in ["ada", "ada@", ""] {
            assert_eq!(Facts::of(&json!({"email": odd})).domain(), None, "{odd}");
        }
    }

    #[test]
    fn profile_comes_from_what_was_mapped_then_from_what_was_sent() {
        let sent = json!({
            "job_title": "Lead",
            "raw_attributes": {
                (urn::ENTERPRISE_USER): {"department": "Lab"},
                "phoneNumbers": [{"value": "1"}, {"value": "2", "type": "work"}],
            },
            "custom_attributes": {},
        });
        let read = |view: &Value| -> Value {
            serde_json::from_str(&Facts::of(view).profile).expect("JSON")
        };
        assert_eq!(read(&sent), json!({"title": "Lead", "department": "Lab", "phone": "2"}));
        let mut mapped = sent;
        mapped["custom_attributes"] =
            json!({"department": "Field", "phone": "3", "start_date": "2031-01-01"});
        let profile = read(&mapped);
        assert_eq!((&profile["department"], &profile["phone"]), (&json!("Field"), &json!("3")));
        assert_eq!(profile["start_date"], "2031-01-01");
        mapped["raw_attributes"]["phoneNumbers"][0]["primary"] = true.into();
        mapped["custom_attributes"] = json!({});
        assert_eq!(read(&mapped)["phone"], "1");
        assert_eq!(read(&json!({"job_title": ""})), json!({}));
    }
}
