//! Custom attributes that the users of a directory could have, by the shapes that were seen.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::attributes::{AttributeMap, AttributeRule, AttributeRules, standard};
use super::raw;
use super::work::computed;
use crate::scim::{Object, Registry};
use crate::service::seen::object;
use crate::service::{ApiAccess, Service, ServiceError};
use crate::store::resource::ResourceRow;
use crate::store::{IdRange, StoreError, Walk};

/// Users who are looked at.
const LOOKED_AT: i64 = 100;

/// Most suggestions.
const MOST: usize = 60;

/// Longest example, in characters.
const EXAMPLE: usize = 80;

/// What every user has, or what is made of something else.
const PLAIN: [&str; 8] =
    ["schemas", "id", "meta", "externalId", "userName", "active", "groups", "password"];

/// An attribute that could be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suggestion {
    pub name: String,
    /// None for one of the standard ones.
    pub expression: Option<String>,
    /// How many of those looked at have it.
    pub seen: usize,
    pub looked_at: usize,
    pub example: String,
}

impl Service {
    /// What the newest users of a directory have that could be a custom attribute, what most have first. As
    /// long as there are none, what the users of its source have, once it was read or tried.
    pub async fn attribute_suggestions(
        &self,
        access: &ApiAccess,
        id: &str,
    ) -> Result<Vec<Suggestion>, ServiceError> {
        let row = self.directory_row(access, id).await?;
        let found = self.source_found(&row).await?;
        let directory = self.directory_of(row).await?;
        let key = directory.key;
        let users: Result<Vec<ResourceRow>, StoreError> = self
            .store
            .scan("mapping_shapes", move |tx| {
                let newest = IdRange { walk: Walk::Down, beyond: None, limit: LOOKED_AT };
                tx.app_list(key, "User", &newest)
            })
            .await;
        let users = users?;
        if users.is_empty() {
            return found.suggestions();
        }
        let place = std::sync::Arc::clone(&self.previews).acquire_owned().await;
        computed(move || {
            let _place = place;
            let Some(user) = directory.registry.by_name("User") else { return Ok(Vec::new()) };
            let seen = |row: &ResourceRow| {
                raw(user, &object(&row.doc), row.extra.as_deref().map(object).as_ref())
            };
            suggested(&users.iter().map(seen).collect::<Vec<_>>())
        })
        .await?
    }
}

/// The same of users who are not stored, of whom the first are looked at.
pub(in crate::service) fn suggested_by(
    registry: &Registry,
    users: impl Iterator<Item = Object>,
) -> Result<Vec<Suggestion>, ServiceError> {
    let Some(user) = registry.by_name("User") else { return Ok(Vec::new()) };
    let looked_at = usize::try_from(LOOKED_AT).unwrap_or(usize::MAX);
    let users: Vec<Object> =
        users.take(looked_at).map(|attributes| raw(user, &attributes, None)).collect();
    suggested(&users)
}

fn suggested(users: &[Object]) -> Result<Vec<Suggestion>, ServiceError> {
    let rules: AttributeRules =
        standard().map(|name| (name.to_owned(), AttributeRule::default())).collect();
    let map = AttributeMap::checked(rules)?;
    let mut found: BTreeMap<(String, Option<String>), (usize, String)> = BTreeMap::new();
    for raw in users {
        let made = map.attributes_of(raw).map_err(StoreError::from)?;
        let known = made.values.into_iter().map(|(name, value)| (name, None, value));
        for (name, expression, value) in known.chain(others(raw)) {
            let (seen, example) = found.entry((name, expression)).or_default();
            *seen += 1;
            if example.is_empty() {
                *example = shown(&value);
            }
        }
    }
    let one = |((name, expression), (seen, example))| Suggestion {
        name,
        expression,
        seen,
        looked_at: users.len(),
        example,
    };
    let mut suggestions: Vec<Suggestion> = found.into_iter().map(one).collect();
    // Stable: those that as many have stay in the order of their names.
    suggestions.sort_by_key(|suggestion| std::cmp::Reverse(suggestion.seen));
    suggestions.truncate(MOST);
    Ok(suggestions)
}

/// Plain values that no standard attribute reads, of the user and of its extensions.
fn others(raw: &Object) -> Vec<(String, Option<String>, Value)> {
    let mut found = Vec::new();
    for (name, value) in raw {
        match value {
            _ if PLAIN.contains(&name.as_str()) => {}
            Value::Object(members) if name.starts_with("urn:") && !name.contains('"') => {
                for (member, value) in members.iter().filter(|(_, value)| is_plain(value)) {
                    let place = format!("raw[\"{name}\"]");
                    found.extend(suggestion(&place, member, value));
                }
            }
            value if is_plain(value) => found.extend(suggestion("raw", name, value)),
            _ => {}
        }
    }
    found
}

fn is_plain(value: &Value) -> bool {
    matches!(value, Value::String(text) if !text.is_empty())
        || value.is_number()
        || value.is_boolean()
}

/// `None` for names that no expression could write, and for what a standard attribute reads.
fn suggestion(place: &str, member: &str, value: &Value) -> Option<(String, Option<String>, Value)> {
    let is_word = member.starts_with(|c: char| c.is_ascii_alphabetic())
        && member.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let expression = format!("{place}.{member}");
    let is_standard = standard()
        .filter_map(|name| AttributeRule::default().source(name).map(str::to_owned))
        .any(|source| source.split([' ', '(', ')']).any(|word| is_same(word, &expression, member)));
    (is_word && !is_standard).then(|| (snake(member), Some(expression), value.clone()))
}

/// Whether a standard expression reads that member: `raw.title`, or `enterprise.title` of the extension.
fn is_same(word: &str, expression: &str, member: &str) -> bool {
    word == expression
        || (expression.contains(":enterprise:") && word == format!("enterprise.{member}"))
}

/// `costCenter` as `cost_center`.
fn snake(name: &str) -> String {
    let mut text = String::new();
    for (index, letter) in name.chars().enumerate() {
        if letter.is_ascii_uppercase() && index > 0 {
            text.push('_');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}

fn shown(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.chars().take(EXAMPLE).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_most_have_comes_first_and_nothing_twice() {
        let user = |value: Value| value.as_object().expect("an object").clone();
        let users = [
            user(json!({"userName": "ada", "title": "Engineer", "badge": 7,
                "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "R&D"},
                "urn:x:custom": {"shoeSize": "42", "odd name": "x"}})),
            user(json!({"userName": "bob", "title": "Writer"})),
        ];
        let found = suggested(&users).expect("suggestions");
        let names: Vec<(&str, Option<&str>, usize)> =
            found.iter().map(|s| (s.name.as_str(), s.expression.as_deref(), s.seen)).collect();
        assert_eq!(
            names,
            [
                ("job_title", None, 2),
                ("username", None, 2),
                ("badge", Some("raw.badge"), 1),
                ("department_name", None, 1),
                ("shoe_size", Some("raw[\"urn:x:custom\"].shoeSize"), 1),
            ]
        );
        assert_eq!(found[2].example, "7");
        let rules = found
            .into_iter()
            .map(|s| (s.name, AttributeRule { expression: s.expression, required: false }));
        AttributeMap::checked(rules.collect()).expect("each of them can be put");
    }
}
