//! How each identity provider's client says things. One line of evidence per provider; the details
//! are in the flows of `conformance/idp`.

use crate::scim::{ENTERPRISE, USER};

/// One client program.
pub(super) struct Manner {
    pub(super) name: &'static str,
    /// The directory's kind is `scim.` with this.
    pub(super) provider: &'static str,
    pub(super) write: Write,
    pub(super) activation: Activation,
    /// `None`: it pushes no groups.
    pub(super) members: Option<Members>,
    pub(super) leave: Leave,
    pub(super) emails: Emails,
    pub(super) lookup: Lookup,
    pub(super) schemas: [&'static str; 2],
    /// The URI under which it sends the enterprise extension.
    pub(super) enterprise: &'static str,
    /// It leaves `displayName` to the server.
    pub(super) names_itself: bool,
    /// A second group of the same name is 409.
    pub(super) unique_groups: bool,
    pub(super) media_type: &'static str,
    pub(super) user_agent: Option<&'static str>,
    /// What stands at the end of the path of a write.
    pub(super) tail: &'static str,
    /// JSON members that it adds to a user.
    pub(super) extras: &'static str,
}

/// How an update of a user is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Write {
    /// PUT of the whole user.
    Put,
    /// GET, then PUT of what came with the changes in it.
    PutEcho,
    Patch(Style),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// An operation with a path per attribute.
    Paths,
    /// The same with `Replace`, `Add`, and booleans as text with a capital.
    Capital,
    /// One `replace` without a path whose keys are paths.
    Dotted,
    /// Paths, and booleans as text.
    Text,
}

/// How a user is switched on and off.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Activation {
    /// Like every other change.
    Write,
    /// `{"op": "replace", "value": {"active": false}}`
    Pathless,
    Patch(Style),
}

/// How the members of a group are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Members {
    /// PUT of the whole group.
    Put,
    /// `replace members` with all of them; `remove members` when there are none.
    ReplaceAll,
    /// `add` and `remove` with lists.
    Lists,
    /// The same with `Add` and `Remove`, and `$ref: null`.
    CapitalLists,
    /// `add` with a list, `remove` with `members[value eq "…"]`.
    FilterPaths,
    /// A request for each member.
    OneByOne,
    /// An operation for each member, then a look at the group.
    OperationEach,
}

/// What becomes of a user who leaves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    Deactivate,
    Delete,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Emails {
    Work,
    Untyped,
    /// An object where the schema has a list.
    Object,
    None,
}

/// How a user is looked up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lookup {
    UserName,
    /// With spaces as `+`.
    Plus,
    /// With `&` at the end.
    Ampersand,
    Unquoted,
    /// `emails eq`
    Emails,
    /// `emails[type eq "work"].value eq`
    WorkEmail,
    ExternalId,
}

const SCIM_JSON: &str = "application/scim+json";

/// The RFC's own way; each provider says what differs.
const PLAIN: Manner = Manner {
    name: "plain",
    provider: "generic",
    write: Write::Patch(Style::Paths),
    activation: Activation::Write,
    members: Some(Members::Lists),
    leave: Leave::Delete,
    emails: Emails::Work,
    lookup: Lookup::UserName,
    schemas: [USER, ENTERPRISE],
    enterprise: ENTERPRISE,
    names_itself: false,
    unique_groups: false,
    media_type: SCIM_JSON,
    user_agent: None,
    tail: "",
    extras: "{}",
};

/// A password that some clients send. No answer may show it.
pub(super) const PASSWORD: &str = "t1meless-Placeholder";

pub(super) const MANNERS: [Manner; 15] = [
    // Wizard applications: GET then PUT for everything, groups with all their members.
    Manner {
        name: "okta wizard",
        provider: "okta",
        write: Write::PutEcho,
        members: Some(Members::Put),
        leave: Leave::Deactivate,
        lookup: Lookup::Plus,
        unique_groups: true,
        user_agent: Some("Okta SCIM Client 1.0.0"),
        extras: r#"{"locale": "en-US", "groups": [], "password": "t1meless-Placeholder"}"#,
        ..PLAIN
    },
    // Catalogue applications: PATCH without a path for `active`, PATCH for groups.
    Manner {
        name: "okta catalogue",
        provider: "okta",
        write: Write::Put,
        activation: Activation::Pathless,
        members: Some(Members::FilterPaths),
        leave: Leave::Deactivate,
        unique_groups: true,
        user_agent: Some("Okta SCIM Client 1.0.0"),
        extras: r#"{"locale": "en-US", "password": "t1meless-Placeholder"}"#,
        ..PLAIN
    },
    Manner {
        name: "entra",
        provider: "entra",
        write: Write::Patch(Style::Capital),
        members: Some(Members::CapitalLists),
        lookup: Lookup::Plus,
        unique_groups: true,
        media_type: "application/scim+json; charset=utf-8",
        extras: r#"{"roles": [], "meta": {"resourceType": "User"}, "nickName": null}"#,
        ..PLAIN
    },
    // With the flag aadOptscim062020.
    Manner {
        name: "entra flagged",
        provider: "entra",
        write: Write::Patch(Style::Dotted),
        members: Some(Members::FilterPaths),
        lookup: Lookup::WorkEmail,
        unique_groups: true,
        media_type: "application/scim+json; charset=utf-8",
        tail: "?aadOptscim062020",
        extras: r#"{"roles": [], "meta": {"resourceType": "User"}}"#,
        ..PLAIN
    },
    Manner {
        name: "onelogin",
        provider: "onelogin",
        write: Write::Put,
        emails: Emails::Object,
        lookup: Lookup::Ampersand,
        schemas: [LEGACY_CORE, LEGACY_ENTERPRISE],
        enterprise: LEGACY_ENTERPRISE,
        user_agent: Some(""),
        tail: "?",
        unique_groups: true,
        ..PLAIN
    },
    Manner { name: "jumpcloud", provider: "jumpcloud", members: Some(Members::OneByOne), ..PLAIN },
    Manner {
        name: "pingfederate",
        provider: "pingfederate",
        write: Write::Put,
        members: Some(Members::Put),
        lookup: Lookup::Emails,
        unique_groups: true,
        ..PLAIN
    },
    Manner {
        name: "pingone",
        provider: "pingone",
        write: Write::Put,
        members: Some(Members::Lists),
        lookup: Lookup::ExternalId,
        unique_groups: true,
        ..PLAIN
    },
    Manner {
        name: "google",
        provider: "google",
        write: Write::Put,
        members: None,
        emails: Emails::None,
        names_itself: true,
        media_type: "application/json",
        user_agent: Some("Google-Auto-Provisioning"),
        ..PLAIN
    },
    Manner {
        name: "rippling",
        provider: "rippling",
        activation: Activation::Patch(Style::Paths),
        members: None,
        leave: Leave::Deactivate,
        ..PLAIN
    },
    Manner {
        name: "cyberark",
        provider: "cyberark",
        write: Write::Put,
        activation: Activation::Patch(Style::Paths),
        ..PLAIN
    },
    Manner {
        name: "oracle",
        provider: "oracle",
        activation: Activation::Patch(Style::Paths),
        members: Some(Members::FilterPaths),
        ..PLAIN
    },
    Manner {
        name: "keycloak put",
        provider: "keycloak",
        write: Write::Put,
        members: Some(Members::ReplaceAll),
        emails: Emails::Untyped,
        extras: r#"{"roles": [{"value": "offline_access"}], "groups": ["/staff"]}"#,
        ..PLAIN
    },
    Manner {
        name: "keycloak patch",
        provider: "keycloak",
        write: Write::Patch(Style::Text),
        members: Some(Members::ReplaceAll),
        ..PLAIN
    },
    Manner {
        name: "authentik",
        provider: "authentik",
        write: Write::Put,
        members: Some(Members::OperationEach),
        lookup: Lookup::Unquoted,
        extras: r#"{"photos": [], "nickName": "", "locale": ""}"#,
        ..PLAIN
    },
];

const LEGACY_CORE: &str = "urn:scim:schemas:core:2.0";
const LEGACY_ENTERPRISE: &str = "urn:scim:schemas:extension:enterprise:2.0";

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_provider_with_flows_has_a_manner() {
        // What every client may send is no client's manner.
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/idp");
        let flows: BTreeSet<String> = std::fs::read_dir(folder)
            .expect("the flows")
            .map(|entry| entry.expect("an entry"))
            .filter(|entry| entry.path().is_dir())
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| name != "generic")
            .collect();
        let manners = MANNERS.iter().map(|manner| manner.provider.to_owned()).collect();
        assert_eq!(flows, manners);
        for manner in &MANNERS {
            let extras: serde_json::Value = serde_json::from_str(manner.extras).expect("JSON");
            assert!(extras.is_object(), "{}", manner.name);
            let password = extras.get("password");
            assert!(password.is_none_or(|sent| sent == PASSWORD), "{}", manner.name);
        }
    }
}
