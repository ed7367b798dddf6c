//! Provider profiles: how one identity provider's SCIM client deviates, as data.
//!
//! A profile is a TOML file under `data/` that names only the flags in which it differs from
//! `default.toml`. A directory's settings may override single flags. The flags either switch on
//! rewrites of the request ([`rewrite`]) or choose between readings that the RFC leaves open; the
//! strict core is the same for all. [`detect`] tells from a request which client sent it.

pub mod detect;
pub mod flags;
pub mod rewrite;
#[cfg(test)]
mod rewrite_tests;

use serde::{Deserialize, Serialize};

use crate::scim::filter::UnquotedValues;
use crate::scim::list::NegativeCount;
use crate::scim::message::MissingSchemas;
use crate::scim::patch::op::{BodyRules, MissingPaths};
use crate::scim::patch::{
    ComplexReplace, PatchRules, SeveralMatches, UnknownPaths, UnmatchedReplace, WholeElements,
};
use crate::scim::resource::{Rules, UnknownAttributes, UnknownSchemas};

/// Keep what no schema knows beside the resource, or refuse the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unknown {
    Keep,
    Refuse,
}

/// Accept a deviation or refuse the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tolerance {
    Accept,
    Refuse,
}

/// What a PATCH with a value filter that matches nothing does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unmatched {
    Create,
    Refuse,
}

/// What a replace of a singular complex attribute does with the sub-attributes that it leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Replace {
    /// They stay.
    Merge,
    /// They go.
    Whole,
}

/// The answer to a PATCH.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PatchReply {
    /// 200 with the resource.
    Resource,
    /// 204.
    NoContent,
}

/// The reading of a negative `count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NegativePage {
    Zero,
    Max,
}

/// All flags of a profile. `data/default.toml` documents each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a profile are switches by nature")]
pub struct Profile {
    pub boolean_text: bool,
    pub complex_from_scalar: bool,
    pub array_from_object: bool,
    pub single_primary: bool,
    pub email_domain_case: bool,
    pub any_certificate: bool,
    pub legacy_urns: bool,
    pub json_in_roles: bool,
    pub display_name_from_name: bool,
    pub email_from_user_name: bool,
    pub unquoted_filter_values: bool,
    pub retry_percent_decoded: bool,
    pub group_display_name_unique: bool,
    pub external_id_unique: bool,
    pub unknown_attributes: Unknown,
    pub unknown_schemas: Unknown,
    pub unknown_patch_paths: Unknown,
    pub unknown_sort: Unknown,
    pub unmatched_replace: Unmatched,
    pub messages_without_schemas: Tolerance,
    pub bulk: bool,
    pub async_requests: bool,
    pub hold_unknown_members: bool,
    pub patch_without_path: Tolerance,
    pub complex_replace: Replace,
    pub patch_whole_elements: Tolerance,
    pub patch_several_matches: Tolerance,
    pub conditional_headers: Tolerance,
    pub group_patch_reply: PatchReply,
    pub user_patch_reply: PatchReply,
    pub patch: bool,
    pub negative_count: NegativePage,
}

const DEFAULT: &str = include_str!("data/default.toml");

/// What each provider's file says, besides the default profile.
const SHIPPED: [(&str, &str); 16] = [
    ("default", ""),
    ("generic", ""),
    ("rfc", include_str!("data/rfc.toml")),
    ("strict", include_str!("data/strict.toml")),
    ("entra", include_str!("data/entra.toml")),
    ("okta", include_str!("data/okta.toml")),
    ("onelogin", include_str!("data/onelogin.toml")),
    ("jumpcloud", include_str!("data/jumpcloud.toml")),
    ("pingfederate", include_str!("data/pingfederate.toml")),
    ("pingone", include_str!("data/pingone.toml")),
    ("google", include_str!("data/google.toml")),
    ("rippling", include_str!("data/rippling.toml")),
    ("cyberark", include_str!("data/cyberark.toml")),
    ("oracle", include_str!("data/oracle.toml")),
    ("keycloak", include_str!("data/keycloak.toml")),
    ("authentik", include_str!("data/authentik.toml")),
];

/// Providers that have a directory kind `scim.<provider>`.
pub const PROVIDERS: [&str; 16] = [
    "generic",
    "rfc",
    "strict",
    "entra",
    "okta",
    "onelogin",
    "jumpcloud",
    "pingfederate",
    "pingone",
    "google",
    "rippling",
    "cyberark",
    "oracle",
    "keycloak",
    "authentik",
    "default",
];

/// The text of a provider's file; empty for one that has none.
fn shipped(provider: &str) -> &'static str {
    SHIPPED.iter().find(|(name, _)| *name == provider).map_or("", |(_, text)| *text)
}

impl Profile {
    /// The profile of a provider with a directory's overrides on top. A provider without a profile
    /// of its own has the default one. The error is a sentence that names the wrong key or value.
    pub fn of(provider: &str, overrides: &toml::Table) -> Result<Self, String> {
        let mut flags = table(DEFAULT);
        flags.extend(table(shipped(provider)));
        flags.extend(overrides.clone());
        Self::read(flags)
    }

    /// Like [`Profile::of`], for overrides that an earlier version of the program stored: those that
    /// this one does not understand are left out and told.
    pub fn of_stored(provider: &str, overrides: &toml::Table) -> (Self, Vec<flags::Fault>) {
        let (understood, faults) = flags::understood(overrides);
        (Self::of(provider, &understood).unwrap_or_else(|_| Self::shipped_default()), faults)
    }

    #[expect(clippy::expect_used, reason = "the shipped default profile is compiled in and tested")]
    fn shipped_default() -> Self {
        Self::read(table(DEFAULT)).expect("the default profile is complete")
    }

    fn read(flags: toml::Table) -> Result<Self, String> {
        // JSON says more about a wrong value than TOML does.
        let flags = serde_json::to_value(flags).map_err(|error| error.to_string())?;
        serde_path_to_error::deserialize(flags).map_err(|error| {
            match (error.path().to_string(), error.inner()) {
                (path, inner) if path == "." => inner.to_string(),
                (flag, inner) => format!("{flag}: {inner}"),
            }
        })
    }

    pub fn value_rules(&self) -> Rules {
        Rules {
            unknown_attributes: match self.unknown_attributes {
                Unknown::Keep => UnknownAttributes::Keep,
                Unknown::Refuse => UnknownAttributes::Refuse,
            },
            unknown_schemas: match self.unknown_schemas {
                Unknown::Keep => UnknownSchemas::Drop,
                Unknown::Refuse => UnknownSchemas::Refuse,
            },
        }
    }

    pub fn patch_rules(&self) -> PatchRules {
        PatchRules {
            values: self.value_rules(),
            unknown_paths: match self.unknown_patch_paths {
                Unknown::Keep => UnknownPaths::Skip,
                Unknown::Refuse => UnknownPaths::Refuse,
            },
            unmatched_replace: match self.unmatched_replace {
                Unmatched::Create => UnmatchedReplace::Create,
                Unmatched::Refuse => UnmatchedReplace::Refuse,
            },
            complex_replace: match self.complex_replace {
                Replace::Merge => ComplexReplace::Merge,
                Replace::Whole => ComplexReplace::Whole,
            },
            whole_elements: match self.patch_whole_elements {
                Tolerance::Accept => WholeElements::Accept,
                Tolerance::Refuse => WholeElements::Refuse,
            },
            several_matches: match self.patch_several_matches {
                Tolerance::Accept => SeveralMatches::Change,
                Tolerance::Refuse => SeveralMatches::Refuse,
            },
        }
    }

    /// What a message without its URI in `schemas` is.
    pub fn missing_schemas(&self) -> MissingSchemas {
        match self.messages_without_schemas {
            Tolerance::Accept => MissingSchemas::Accept,
            Tolerance::Refuse => MissingSchemas::Refuse,
        }
    }

    /// What a PATCH request may leave out.
    pub fn patch_body_rules(&self) -> BodyRules {
        BodyRules {
            schemas: self.missing_schemas(),
            paths: match self.patch_without_path {
                Tolerance::Accept => MissingPaths::Accept,
                Tolerance::Refuse => MissingPaths::Refuse,
            },
        }
    }

    /// True when what the interoperability profile demands of a service provider beyond the RFCs
    /// holds (draft-zollner-scim-interop-profile), so that `/ServiceProviderConfig` may say so.
    pub fn follows_interop_profile(&self) -> bool {
        self.unknown_attributes == Unknown::Refuse
            && self.unknown_schemas == Unknown::Refuse
            && self.unknown_patch_paths == Unknown::Refuse
            && self.patch_without_path == Tolerance::Refuse
            && self.complex_replace == Replace::Whole
    }

    pub fn unquoted_values(&self) -> UnquotedValues {
        if self.unquoted_filter_values { UnquotedValues::Accept } else { UnquotedValues::Refuse }
    }

    pub fn negative_count(&self) -> NegativeCount {
        match self.negative_count {
            NegativePage::Zero => NegativeCount::Zero,
            NegativePage::Max => NegativeCount::Max,
        }
    }
}

#[expect(clippy::expect_used, reason = "the files are compiled in and a test reads them")]
fn table(text: &str) -> toml::Table {
    text.parse().expect("shipped profiles are well formed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_profile_is_complete_and_known() {
        for provider in PROVIDERS {
            Profile::of(provider, &toml::Table::new()).expect(provider);
        }
        let mut shipped = SHIPPED.map(|(name, _)| name);
        let mut providers = PROVIDERS;
        shipped.sort_unstable();
        providers.sort_unstable();
        assert_eq!(shipped, providers);
    }

    #[test]
    fn stored_override_that_is_not_understood_falls_back_alone() {
        let overrides: toml::Table =
            "boolean_text = false\nnegative_count = 7\ngone_flag = true\n".parse().expect("TOML");
        let (profile, faults) = Profile::of_stored("okta", &overrides);
        let expected: toml::Table = "boolean_text = false".parse().expect("TOML");
        assert_eq!(Ok(profile), Profile::of("okta", &expected));
        let names: Vec<&str> = faults.iter().map(|fault| fault.flag.as_str()).collect();
        assert_eq!(names, ["gone_flag", "negative_count"]);
    }

    #[test]
    fn override_with_unknown_key_is_refused() {
        let overrides = toml::Table::from_iter([("boolean_txt".to_owned(), true.into())]);
        let message = Profile::of("okta", &overrides).expect_err("unknown key");
        assert!(message.contains("boolean_txt") && message.contains("boolean_text"), "{message}");
    }

    #[test]
    fn strict_profile_is_the_rfc_profile_and_more() {
        let strict = Profile::of("strict", &toml::Table::new()).expect("shipped");
        let narrower: toml::Table = r#"
            group_display_name_unique = true
            unknown_attributes = "refuse"
            patch_without_path = "refuse"
            complex_replace = "whole"
            patch_whole_elements = "refuse"
            patch_several_matches = "refuse"
            conditional_headers = "refuse"
        "#
        .parse()
        .expect("a table");
        assert_eq!(Ok(strict), Profile::of("rfc", &narrower));
    }

    #[test]
    fn only_a_profile_that_refuses_what_the_interop_profile_forbids_follows_it() {
        for provider in PROVIDERS {
            let profile = Profile::of(provider, &toml::Table::new()).expect(provider);
            assert_eq!(profile.follows_interop_profile(), provider == "strict", "{provider}");
        }
        for (flag, value, follows) in [
            ("unknown_attributes", "keep", false),
            ("unknown_schemas", "keep", false),
            ("unknown_patch_paths", "keep", false),
            ("patch_without_path", "accept", false),
            ("complex_replace", "merge", false),
            ("patch_whole_elements", "accept", true),
            ("conditional_headers", "accept", true),
        ] {
            let overrides = toml::Table::from_iter([(flag.to_owned(), value.into())]);
            let profile = Profile::of("strict", &overrides).expect(flag);
            assert_eq!(profile.follows_interop_profile(), follows, "{flag}");
        }
    }

    #[test]
    fn rfc_profile_has_no_leniency() {
        let rfc = Profile::of("rfc", &toml::Table::new()).expect("shipped");
        assert!(!rfc.boolean_text && !rfc.unquoted_filter_values && !rfc.single_primary);
        assert_eq!(rfc.unmatched_replace, Unmatched::Refuse);
        assert_eq!(rfc.unknown_schemas, Unknown::Refuse);
    }
}
