//! The role map of a directory: which groups, and which values of the SCIM attributes `roles` and
//! `entitlements` (RFC 7643 §4.1.2), give a user which roles of the app. Pure.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::scim::Object;
use crate::scim::key::text_key;
use crate::service::error::AdminError;

/// Most rules of a map.
const MAX_RULES: usize = 500;

/// Longest slug, and longest value or id in a rule, in bytes.
const MAX_SLUG: usize = 64;
const MAX_VALUE: usize = 512;

/// A rule: exactly one of `group`, `scim_role` and `entitlement` says who has the role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleRule {
    /// The slug that the app knows.
    pub role: String,
    /// The greater one is the higher.
    #[serde(default)]
    pub priority: i32,
    /// Id of a group that has the user directly or through other groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// A `value` of the user's `roles`, in any letter case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scim_role: Option<String>,
    /// A `value` of the user's `entitlements`, in any letter case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entitlement: Option<String>,
}

/// The role map of a directory, as it is sent, stored and shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleRules {
    #[serde(default)]
    pub rules: Vec<RoleRule>,
    /// The role of a user whom no rule gives one.
    #[serde(default)]
    pub default_role: Option<String>,
}

/// Whether two stored role maps say the same.
pub(in crate::service) fn same_roles(one: Option<&str>, other: Option<&str>) -> bool {
    let rules = |text| RoleMap::stored(text).map(|map| map.rules).unwrap_or_default();
    rules(one) == rules(other)
}

/// A role map, ready to be asked.
#[derive(Clone, Debug)]
pub struct RoleMap {
    rules: RoleRules,
    groups: HashSet<String>,
    /// A rule looks at the user's own attributes.
    reads_document: bool,
}

impl RoleMap {
    /// From the stored text; `None` when there is none.
    pub fn stored(text: Option<&str>) -> Option<Self> {
        let rules = serde_json::from_str(text?)
            .inspect_err(|error| tracing::warn!(%error, "a role map is not understood"))
            .ok()?;
        Some(Self::new(rules))
    }

    fn new(rules: RoleRules) -> Self {
        let groups = rules.rules.iter().filter_map(|rule| rule.group.clone()).collect();
        let reads = |rule: &RoleRule| rule.scim_role.is_some() || rule.entitlement.is_some();
        Self { groups, reads_document: rules.rules.iter().any(reads), rules }
    }

    /// A map that somebody sends, checked; whether its groups are there is for the store to say.
    pub fn checked(rules: RoleRules) -> Result<Self, AdminError> {
        if rules.rules.len() > MAX_RULES {
            let message =
                format!("it has {} elements; at most {MAX_RULES} are allowed.", rules.rules.len());
            return Err(AdminError::invalid("rules", message));
        }
        if let Some(slug) = &rules.default_role {
            check_slug("default_role", slug)?;
        }
        for (index, rule) in rules.rules.iter().enumerate() {
            check_slug(&format!("rules[{index}].role"), &rule.role)?;
            let sources = [&rule.group, &rule.scim_role, &rule.entitlement];
            let mut named = sources.into_iter().flatten();
            let (Some(value), None) = (named.next(), named.next()) else {
                let message = "it must have exactly one of group, scim_role and entitlement.";
                return Err(AdminError::invalid(&format!("rules[{index}]"), message));
            };
            if value.trim().is_empty() || value.len() > MAX_VALUE {
                let message = format!("what it goes by must have 1 to {MAX_VALUE} bytes.");
                return Err(AdminError::invalid(&format!("rules[{index}]"), message));
            }
        }
        Ok(Self::new(rules))
    }

    /// The same where nobody is in a group.
    pub fn without_groups(self) -> Self {
        let RoleRules { rules, .. } = self.rules;
        let rules = rules.into_iter().filter(|rule| rule.group.is_none()).collect();
        Self::new(RoleRules { rules, ..self.rules })
    }

    pub fn rules(&self) -> &RoleRules {
        &self.rules
    }

    /// Ids of the groups that rules name.
    pub fn groups(&self) -> &HashSet<String> {
        &self.groups
    }

    /// Whether roles follow from memberships.
    pub fn reads_groups(&self) -> bool {
        !self.groups.is_empty()
    }

    /// Whether roles follow from the user's own attributes.
    pub fn reads_document(&self) -> bool {
        self.reads_document
    }

    /// The roles of a user, the highest first: by falling priority, then by slug. `groups` are the ids of
    /// all groups that have the user, directly or not.
    pub fn roles_of(&self, document: &Object, groups: &HashSet<&str>) -> Vec<String> {
        let (roles, entitlements) = match self.reads_document {
            true => (values(document, "roles"), values(document, "entitlements")),
            false => (HashSet::new(), HashSet::new()),
        };
        let holds = |set: &HashSet<String>, value: &Option<String>| {
            value.as_ref().is_some_and(|value| set.contains(&text_key(value, false)))
        };
        let mut found: BTreeMap<&str, i32> = BTreeMap::new();
        for rule in &self.rules.rules {
            let given = rule.group.as_ref().is_some_and(|group| groups.contains(group.as_str()))
                || holds(&roles, &rule.scim_role)
                || holds(&entitlements, &rule.entitlement);
            if given {
                let priority = found.entry(&rule.role).or_insert(rule.priority);
                *priority = rule.priority.max(*priority);
            }
        }
        let mut found: Vec<(&str, i32)> = found.into_iter().collect();
        // The sort is stable: equal ones stay in the order of their slugs.
        found.sort_by_key(|(_, priority)| std::cmp::Reverse(*priority));
        let slugs: Vec<String> = found.into_iter().map(|(slug, _)| slug.to_owned()).collect();
        match (slugs.is_empty(), &self.rules.default_role) {
            (true, Some(slug)) => vec![slug.clone()],
            _ => slugs,
        }
    }

    /// The same as it is stored; `None` for none.
    pub fn text_of(&self, document: &Object, groups: &HashSet<&str>) -> Option<String> {
        let slugs = self.roles_of(document, groups);
        (!slugs.is_empty()).then(|| Value::from(slugs).to_string())
    }
}

/// The values of a multi-valued attribute, as comparison keys. An element that is a text is its value.
fn values(document: &Object, name: &str) -> HashSet<String> {
    let elements = document.get(name).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let value = |element: &Value| {
        let value = element.get("value").unwrap_or(element);
        value.as_str().map(|value| text_key(value, false))
    };
    elements.iter().filter_map(value).collect()
}

fn check_slug(field: &str, slug: &str) -> Result<(), AdminError> {
    let is_known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    match (1..=MAX_SLUG).contains(&slug.len()) && slug.chars().all(is_known) {
        true => Ok(()),
        false => {
            let found: String = slug.chars().take(80).collect();
            let message = format!(
                "it is \"{found}\"; a slug has 1 to {MAX_SLUG} lower-case letters, digits, \"-\" and \
                 \"_\", all of ASCII."
            );
            Err(AdminError::invalid(field, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: Value) -> RoleMap {
        let rules = serde_json::from_value(value).expect("rules");
        RoleMap::checked(rules).unwrap_or_else(|error| panic!("{error:?}"))
    }

    #[test]
    fn highest_priority_comes_first() {
        let map = map(json!({
            "rules": [
                {"role": "viewer", "group": "g1"},
                {"role": "admin", "priority": 10, "scim_role": "Administrator"},
                {"role": "editor", "priority": 5, "entitlement": "E-1"},
                {"role": "auditor", "priority": 5, "group": "g2"},
                {"role": "viewer", "priority": 7, "group": "g2"},
            ],
            "default_role": "guest",
        }));
        let user = |value: Value| value.as_object().expect("an object").clone();
        for (document, groups, expected) in [
            (json!({}), vec![], vec!["guest"]),
            (json!({}), vec!["g1"], vec!["viewer"]),
            (json!({}), vec!["g1", "g2"], vec!["viewer", "auditor"]),
            (json!({"roles": [{"value": "ADMINISTRATOR"}]}), vec!["g1"], vec!["admin", "viewer"]),
            (
                json!({"roles": ["administrator"], "entitlements": [{"value": "e-1"}]}),
                vec!["g2"],
                vec!["admin", "viewer", "auditor", "editor"],
            ),
            (
                json!({"roles": [{"display": "Administrator"}], "entitlements": "x"}),
                vec![],
                vec!["guest"],
            ),
        ] {
            let groups: HashSet<&str> = groups.into_iter().collect();
            assert_eq!(map.roles_of(&user(document.clone()), &groups), expected, "{document}");
        }
    }

    #[test]
    fn without_a_default_there_are_none() {
        let map = map(json!({"rules": [{"role": "a", "group": "g"}]}));
        assert_eq!(map.text_of(&Object::new(), &HashSet::new()), None);
        assert_eq!(map.text_of(&Object::new(), &HashSet::from(["g"])).as_deref(), Some("[\"a\"]"));
        assert!(map.reads_groups() && !map.reads_document());
    }

    #[test]
    fn rules_that_are_not_clear_are_refused() {
        for (value, field) in [
            (json!({"rules": [{"role": "a"}]}), "rules[0]"),
            (json!({"rules": [{"role": "a", "group": "g", "scim_role": "r"}]}), "rules[0]"),
            (json!({"rules": [{"role": "a", "entitlement": " "}]}), "rules[0]"),
            (json!({"rules": [{"role": "A b", "group": "g"}]}), "rules[0].role"),
            (json!({"rules": [{"role": "", "group": "g"}]}), "rules[0].role"),
            (json!({"default_role": "Ä"}), "default_role"),
        ] {
            let rules = serde_json::from_value(value.clone()).expect("rules");
            let error = RoleMap::checked(rules).expect_err("refused");
            assert_eq!((error.status, error.errors[0].0.as_str()), (422, field), "{value}");
        }
    }
}
