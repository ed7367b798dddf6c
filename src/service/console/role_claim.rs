//! Roles that an OpenID provider gives: `groups:rollbook-owners=owner,staff=viewer`.

use std::collections::HashMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Role;

/// A claim, and which of its values give which role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoleClaim {
    claim: String,
    roles: Vec<(String, Role)>,
}

impl FromStr for RoleClaim {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || {
            format!(
                "\"{text}\" is not of the form <claim>:<value>=<role>,<value>=<role>, with the roles viewer, operator, owner"
            )
        };
        let (claim, list) = text.split_once(':').ok_or_else(form)?;
        let roles: Option<Vec<(String, Role)>> = list
            .split(',')
            .map(|pair| {
                let (value, role) = pair.rsplit_once('=')?;
                let value = value.trim();
                Some((value.to_owned(), Role::parse(role.trim())?)).filter(|_| !value.is_empty())
            })
            .collect();
        let claim = claim.trim().to_owned();
        match roles {
            Some(roles) if !claim.is_empty() => Ok(Self { claim, roles }),
            _ => Err(form()),
        }
    }
}

impl TryFrom<String> for RoleClaim {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<RoleClaim> for String {
    fn from(claim: RoleClaim) -> Self {
        let pairs = claim.roles.iter().map(|(value, role)| format!("{value}={}", role.as_str()));
        format!("{}:{}", claim.claim, pairs.collect::<Vec<_>>().join(","))
    }
}

impl RoleClaim {
    /// The greatest role that the claims give; the claim is a text or a list of texts.
    pub(super) fn role(&self, claims: &HashMap<String, Value>) -> Option<Role> {
        let value = claims.get(&self.claim)?;
        let has = |wanted: &str| match value {
            Value::Array(list) => list.iter().any(|one| one.as_str() == Some(wanted)),
            one => one.as_str() == Some(wanted),
        };
        self.roles.iter().filter(|(value, _)| has(value)).map(|(_, role)| *role).max()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn greatest_role_of_a_claim_counts() {
        let text = "groups:staff=viewer,cn=admins,dc=example=owner";
        assert!(text.parse::<RoleClaim>().is_err(), "a value has no comma");
        let claim: RoleClaim = "groups:staff=viewer, admins=owner".parse().expect("a claim");
        assert_eq!(String::from(claim.clone()), "groups:staff=viewer,admins=owner");
        for (value, role) in [
            (json!(["staff", "admins"]), Some(Role::Owner)),
            (json!(["staff"]), Some(Role::Viewer)),
            (json!("admins"), Some(Role::Owner)),
            (json!(["others"]), None),
            (json!(7), None),
        ] {
            let claims = HashMap::from([("groups".to_owned(), value)]);
            assert_eq!(claim.role(&claims), role);
        }
        for text in ["", "groups", "groups:", ":a=owner", "groups:a", "groups:a=king"] {
            assert!(text.parse::<RoleClaim>().is_err(), "{text}");
        }
    }
}
