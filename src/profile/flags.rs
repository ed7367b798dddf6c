//! The flags as an operator sees them: what each means, what it may be, and where its value in a
//! directory comes from.
//!
//! Nothing here is written twice: names, order and descriptions are those of `default.toml`, and the
//! values that a flag takes are asked of its type.

use serde::Serialize;
use serde_json::Value;

use super::{DEFAULT, Profile, shipped, table};
use crate::scim::Object;
use crate::scim::resource::validate::describe;

/// What is wrong with one override.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub flag: String,
    /// What was found and what is allowed.
    pub message: String,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    Default,
    Provider,
    Override,
}

/// A flag of a directory's profile.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Flag {
    #[serde(skip)]
    pub name: &'static str,
    /// What counts.
    pub value: Value,
    pub from: Origin,
    pub default: Value,
    /// What the provider's profile says, if it says something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<Value>,
    pub description: String,
}

/// All flags of a provider's profile with a directory's overrides on top, in the order of
/// `default.toml`. Overrides that are not understood do not count.
pub fn effective(provider: &str, overrides: &toml::Table) -> Vec<Flag> {
    let (defaults, provided) = (table(DEFAULT), table(shipped(provider)));
    let (overrides, _) = understood(overrides);
    let flags = comments(DEFAULT).into_iter().filter_map(|(name, description)| {
        let default = json(defaults.get(name)?);
        let provider = provided.get(name).map(json);
        let (value, from) = match (overrides.get(name), &provider) {
            (Some(own), _) => (json(own), Origin::Override),
            (None, Some(provider)) => (provider.clone(), Origin::Provider),
            (None, None) => (default.clone(), Origin::Default),
        };
        Some(Flag { name, value, from, default, provider, description })
    });
    flags.collect()
}

/// The faults of overrides as a client sends them; none when all can be set.
pub fn check(overrides: &Object) -> Vec<Fault> {
    overrides.iter().filter_map(|(flag, value)| fault(flag, value)).collect()
}

/// True for the name of a flag.
pub fn exists(flag: &str) -> bool {
    table(DEFAULT).contains_key(flag)
}

/// The overrides that this version understands, and what is wrong with the others.
pub(super) fn understood(overrides: &toml::Table) -> (toml::Table, Vec<Fault>) {
    let mut faults = Vec::new();
    let mut kept = overrides.clone();
    kept.retain(|flag, value| {
        let fault = fault(flag, &json(value));
        let good = fault.is_none();
        faults.extend(fault);
        good
    });
    (kept, faults)
}

fn fault(flag: &str, value: &Value) -> Option<Fault> {
    let message = if exists(flag) {
        let allowed = allowed(flag);
        if allowed.contains(value) {
            return None;
        }
        let words: Vec<String> = allowed.iter().map(Value::to_string).collect();
        let kind = if allowed.iter().all(Value::is_boolean) { "the booleans " } else { "" };
        format!("it is {}; allowed are {kind}{}.", describe(value), words.join(" and "))
    } else {
        let shown: String = flag.chars().filter(|c| !c.is_control()).take(80).collect();
        let names: Vec<&str> = comments(DEFAULT).into_iter().map(|(name, _)| name).collect();
        format!("\"{shown}\" is no flag of a profile; allowed are {}.", names.join(", "))
    };
    Some(Fault { flag: flag.to_owned(), message })
}

/// The values that a flag takes. Its type is given a word that no flag has, and says which it wants:
/// "unknown variant ``, expected `keep` or `refuse`". A switch says that it wants a boolean.
pub fn allowed(flag: &str) -> Vec<Value> {
    let mut flags = table(DEFAULT);
    flags.insert(flag.to_owned(), toml::Value::String(String::new()));
    let wanted = Profile::read(flags).err().unwrap_or_default();
    let wanted = wanted.rsplit_once("expected ").map_or("", |(_, wanted)| wanted);
    let words: Vec<Value> = wanted.split('`').skip(1).step_by(2).map(Value::from).collect();
    if words.is_empty() { vec![true.into(), false.into()] } else { words }
}

/// Each flag that a profile sets, with the comment above it on one line.
pub(super) fn comments(text: &str) -> Vec<(&str, String)> {
    let mut found = Vec::new();
    let mut comment: Vec<&str> = Vec::new();
    for line in text.lines() {
        if let Some(words) = line.strip_prefix('#') {
            comment.push(words.trim());
        } else {
            if let Some((name, _)) = line.split_once('=') {
                found.push((name.trim(), comment.join(" ")));
            }
            comment.clear();
        }
    }
    found
}

fn json(value: &toml::Value) -> Value {
    // A value that JSON cannot hold is allowed nowhere either.
    serde_json::to_value(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::super::{PROVIDERS, SHIPPED};
    use super::*;

    fn profile(text: &str) -> toml::Table {
        text.parse().unwrap()
    }

    #[test]
    fn every_flag_is_described_and_takes_its_default() {
        let described = comments(DEFAULT);
        let names: BTreeSet<&str> = described.iter().map(|(name, _)| *name).collect();
        let defaults = table(DEFAULT);
        assert_eq!(names, defaults.keys().map(String::as_str).collect());
        let typed = serde_json::to_value(Profile::shipped_default()).unwrap();
        assert_eq!(names, typed.as_object().unwrap().keys().map(String::as_str).collect());
        for (name, description) in described {
            assert!(description.ends_with('.') && description.len() > 20, "{name}: {description}");
            assert!(!description.contains("---") && !description.contains('\n'), "{name}");
            let allowed = allowed(name);
            assert!(allowed.len() == 2, "{name}: {allowed:?}");
            assert!(allowed.contains(&json(&defaults[name])), "{name}: {allowed:?}");
            for value in allowed {
                let overrides = Object::from_iter([(name.to_owned(), value)]);
                assert_eq!(check(&overrides), [], "{name}");
                let overrides = toml::Table::try_from(&overrides).unwrap();
                assert!(Profile::of("default", &overrides).is_ok(), "{name}");
            }
        }
    }

    #[test]
    fn every_flag_of_a_provider_has_its_evidence() {
        const OWN: [&str; 4] = ["default", "generic", "rfc", "strict"];
        for (provider, text) in SHIPPED.iter().filter(|(name, _)| !OWN.contains(name)) {
            assert!(text.starts_with("# ") && text.contains('('), "{provider} names its sources");
            let found = comments(text);
            let names: BTreeSet<&str> = found.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, table(text).keys().map(String::as_str).collect(), "{provider}");
            for (flag, comment) in &found {
                // A comment of its own, with the source in parentheses.
                assert!(comment.contains('(') && comment.ends_with('.'), "{provider}: {flag}");
            }
            let says_so = text.contains("No flag differs") || text.contains("No flag\n# differs");
            assert_eq!(found.is_empty(), says_so, "{provider}");
        }
    }

    #[test]
    fn what_the_profiles_differ_in() {
        let table: [(&str, &[&str]); 12] = [
            (
                "entra",
                &[
                    "json_in_roles=true",
                    "email_from_user_name=true",
                    "unquoted_filter_values=true",
                    "retry_percent_decoded=true",
                    "group_display_name_unique=true",
                    "group_patch_reply=\"no_content\"",
                ],
            ),
            ("okta", &["group_display_name_unique=true"]),
            ("onelogin", &["legacy_urns=true", "group_display_name_unique=true"]),
            ("jumpcloud", &[]),
            (
                "pingfederate",
                &[
                    "unquoted_filter_values=true",
                    "negative_count=\"max\"",
                    "group_display_name_unique=true",
                ],
            ),
            ("pingone", &["group_display_name_unique=true"]),
            ("google", &["display_name_from_name=true", "email_from_user_name=true"]),
            ("rippling", &[]),
            ("cyberark", &[]),
            ("oracle", &[]),
            ("keycloak", &["hold_unknown_members=true"]),
            ("authentik", &["unquoted_filter_values=true", "bulk=false"]),
        ];
        for (provider, expected) in table {
            let found: Vec<String> = effective(provider, &toml::Table::new())
                .into_iter()
                .filter(|flag| flag.from == Origin::Provider)
                .map(|flag| format!("{}={}", flag.name, flag.value))
                .collect();
            assert_eq!(found, expected, "{provider}");
        }
    }

    #[test]
    fn effective_profile_is_what_counts() {
        let own = profile("boolean_text = false\nunknown_sort = \"refuse\"");
        for provider in PROVIDERS {
            let shown: Object = effective(provider, &own)
                .into_iter()
                .map(|flag| (flag.name.to_owned(), flag.value))
                .collect();
            let counts = Profile::of(provider, &own).unwrap();
            assert_eq!(Value::Object(shown), serde_json::to_value(counts).unwrap(), "{provider}");
        }
    }

    #[test]
    fn values_tell_where_they_come_from() {
        let own =
            profile("bulk = true\nboolean_text = false\nnegative_count = 7\nno_such_flag = true");
        let flags = effective("authentik", &own);
        let of = |name: &str| {
            let flag = flags.iter().find(|flag| flag.name == name).unwrap();
            (flag.value.clone(), flag.from, flag.default.clone(), flag.provider.clone())
        };
        let (yes, no) = (json!(true), json!(false));
        for (name, expected) in [
            ("bulk", (yes.clone(), Origin::Override, yes.clone(), Some(no.clone()))),
            ("boolean_text", (no.clone(), Origin::Override, yes.clone(), None)),
            ("unquoted_filter_values", (yes.clone(), Origin::Provider, no.clone(), Some(yes))),
            ("legacy_urns", (no.clone(), Origin::Default, no, None)),
            ("negative_count", (json!("zero"), Origin::Default, json!("zero"), None)),
        ] {
            assert_eq!(of(name), expected, "{name}");
        }
        assert!(flags.iter().all(|flag| flag.name != "no_such_flag"));
    }

    #[test]
    fn faults_say_what_was_found_and_what_is_allowed() {
        for (flag, value, message) in [
            (
                "boolean_text",
                json!("yes"),
                "it is the string \"yes\"; allowed are the booleans true and false.",
            ),
            ("bulk", json!(null), "it is null; allowed are the booleans true and false."),
            (
                "unmatched_replace",
                json!("perhaps"),
                "it is the string \"perhaps\"; allowed are \"create\" and \"refuse\".",
            ),
            ("negative_count", json!(7), "it is the number 7; allowed are \"zero\" and \"max\"."),
            (
                "group_patch_reply",
                json!(["resource"]),
                "it is an array; allowed are \"resource\" and \"no_content\".",
            ),
        ] {
            let faults = check(&Object::from_iter([(flag.to_owned(), value)]));
            assert_eq!(faults, [Fault { flag: flag.into(), message: message.into() }]);
        }
        let unknown = check(&Object::from_iter([("boolean_txt".to_owned(), json!(true))]));
        let [Fault { flag, message }] = unknown.as_slice() else { panic!("{unknown:?}") };
        assert_eq!(flag, "boolean_txt");
        let start = "\"boolean_txt\" is no flag of a profile; allowed are boolean_text, ";
        assert!(message.starts_with(start) && message.ends_with(", async_requests."), "{message}");
        let good = Object::from_iter([("bulk".to_owned(), json!(false))]);
        assert_eq!(check(&good), []);
    }
}
