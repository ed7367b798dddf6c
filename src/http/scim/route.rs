//! What a SCIM path names. Pure: text in, target out.
//!
//! Doubled and trailing slashes are passed over, letter case of endpoints does not matter, and the
//! directory's key may stand in front (`/scim/v2/{external_key}/Users`).

use percent_encoding::percent_decode_str;

use crate::scim::urn;

/// A version of the protocol that is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// SCIM 1.1
    V1,
    /// SCIM 2.0
    V2,
}

impl Version {
    /// What stands in front of every path of the version.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::V1 => "/scim/v1",
            Self::V2 => "/scim/v2",
        }
    }

    /// As records name it.
    pub(super) fn number(self) -> &'static str {
        match self {
            Self::V1 => "1.1",
            Self::V2 => "2.0",
        }
    }
}

/// A path below `/scim`, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) version: Version,
    /// The directory that the path names.
    pub(super) external_key: Option<String>,
    pub(super) target: Target,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    ServiceProviderConfig,
    Schemas,
    Schema(String),
    ResourceTypes,
    ResourceType(String),
    /// `/Users`
    Collection(String),
    /// `/Users/{id}`
    Resource(String, String),
    /// `/`
    Root,
    /// `/.search`, or `/Users/.search`
    Search(Option<String>),
    /// `/Me`
    Me,
    /// `/Bulk`
    Bulk,
    /// `/Async/{txn}`: how a request that is answered later went.
    Async(String),
    /// `/openapi.json`
    OpenApi,
    /// A path that asks for XML by its suffix (REST API 1.1, Data Input/Output Formats).
    Xml,
    /// A version of the protocol that is not served (RFC 7644 §3.13).
    Version(String),
    Unknown,
}

impl Target {
    /// The endpoint of a resource or of a collection, and the id if the path names one.
    pub(super) fn resource(&self) -> Option<(&str, &str)> {
        match self {
            Self::Resource(endpoint, id) => Some((endpoint, id)),
            Self::Collection(endpoint) => Some((endpoint, "")),
            _ => None,
        }
    }
}

/// Reads the path behind `/scim`. Without a version the newest is meant (RFC 7644 §3.13).
pub(super) fn parse(tail: &str) -> Route {
    let segments: Vec<String> = tail
        .split('/')
        .filter(|segment| !segment.is_empty())
        .map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned())
        .collect();
    let (version, segments) = match segments.split_first() {
        Some((version, rest)) if version.eq_ignore_ascii_case("v2") => (Version::V2, rest),
        Some((version, rest)) if version.eq_ignore_ascii_case("v1") => (Version::V1, rest),
        Some((version, _)) if is_version(version) => {
            let target = Target::Version(version.clone());
            return Route { version: Version::V2, external_key: None, target };
        }
        _ => (Version::V2, segments.as_slice()),
    };
    let (external_key, rest) = match segments.split_first() {
        Some((first, rest)) if urn::is_external_key(first) => {
            (Some(first.to_ascii_uppercase()), rest)
        }
        _ => (None, segments),
    };
    let target = match version {
        Version::V1 => target_v1(rest),
        Version::V2 => target(rest),
    };
    Route { version, external_key, target }
}

/// `v3`, `v2.1`
fn is_version(segment: &str) -> bool {
    segment.strip_prefix(['v', 'V']).is_some_and(|number| {
        number.starts_with(|c: char| c.is_ascii_digit())
            && number.chars().all(|c| c.is_ascii_digit() || c == '.')
    })
}

fn target(segments: &[String]) -> Target {
    let is = |segment: &str, name: &str| segment.eq_ignore_ascii_case(name);
    match segments {
        [only] if is(only, "ServiceProviderConfig") => Target::ServiceProviderConfig,
        [only] if is(only, "Schemas") => Target::Schemas,
        [only] if is(only, "ResourceTypes") => Target::ResourceTypes,
        [first, uri] if is(first, "Schemas") => Target::Schema(uri.clone()),
        [first, name] if is(first, "ResourceTypes") => Target::ResourceType(name.clone()),
        segments if segments.iter().any(|s| s.contains(char::is_control)) => Target::Unknown,
        [only] if is(only, "Bulk") => Target::Bulk,
        [only] if is(only, "Me") => Target::Me,
        [only] if is(only, "openapi.json") => Target::OpenApi,
        [first, txn] if is(first, "Async") => Target::Async(txn.clone()),
        [] => Target::Root,
        [only] if is(only, ".search") => Target::Search(None),
        [endpoint, last] if is(last, ".search") => Target::Search(Some(endpoint.clone())),
        [endpoint] => Target::Collection(endpoint.clone()),
        [endpoint, id] => Target::Resource(endpoint.clone(), id.clone()),
        _ => Target::Unknown,
    }
}

/// The target of a path of SCIM 1.1, where a suffix may say which format is meant.
fn target_v1(segments: &[String]) -> Target {
    let is = |segment: &str, name: &str| segment.eq_ignore_ascii_case(name);
    let mut segments = segments.to_vec();
    if let Some(last) = segments.last_mut() {
        let suffix = last.rsplit_once('.').map(|(name, suffix)| (name.len(), suffix));
        match suffix {
            Some((_, suffix)) if is(suffix, "xml") => return Target::Xml,
            Some((length, suffix)) if is(suffix, "json") => last.truncate(length),
            _ => {}
        }
    }
    match segments.as_slice() {
        [only] if is(only, "ServiceProviderConfigs") || is(only, "ServiceProviderConfig") => {
            Target::ServiceProviderConfig
        }
        [only] if is(only, "Schemas") => Target::Schemas,
        [first, id] if is(first, "Schemas") => Target::Schema(id.clone()),
        segments if segments.iter().any(|s| s.contains(char::is_control)) => Target::Unknown,
        [only] if is(only, "Bulk") => Target::Bulk,
        [endpoint] => Target::Collection(endpoint.clone()),
        [endpoint, id] => Target::Resource(endpoint.clone(), id.clone()),
        _ => Target::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_their_targets() {
        let key = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
        for (path, with_key, target) in [
            ("/Users", false, Target::Collection("Users".into())),
            ("/users/", false, Target::Collection("users".into())),
            ("//Users//1", false, Target::Resource("Users".into(), "1".into())),
            ("/01ARZ3NDEKTSV4RRFFQ69G5FAV/Groups", true, Target::Collection("Groups".into())),
            ("/01arz3ndektsv4rrffq69g5fav/Schemas", true, Target::Schemas),
            ("/Schemas/urn:a%3Ab", false, Target::Schema("urn:a:b".into())),
            ("/serviceproviderconfig", false, Target::ServiceProviderConfig),
            ("/Users/1/2", false, Target::Unknown),
            ("/Users/a%00b", false, Target::Unknown),
            ("/Me", false, Target::Me),
            ("/bulk", false, Target::Bulk),
            ("/Me/x", false, Target::Resource("Me".into(), "x".into())),
            ("/openapi.json", false, Target::OpenApi),
            ("/async/txn_1", false, Target::Async("txn_1".into())),
            ("/Users/.search", false, Target::Search(Some("Users".into()))),
            ("/01ARZ3NDEKTSV4RRFFQ69G5FAV/.Search", true, Target::Search(None)),
            ("", false, Target::Root),
            ("/v2", false, Target::Root),
            ("/V2/01ARZ3NDEKTSV4RRFFQ69G5FAV/Users", true, Target::Collection("Users".into())),
            ("/v9/Users", false, Target::Version("v9".into())),
            ("/v1.1/Users", false, Target::Version("v1.1".into())),
            ("/vault", false, Target::Collection("vault".into())),
        ] {
            let route = parse(path);
            assert_eq!(route.target, target, "{path}");
            assert_eq!(route.external_key.as_deref(), with_key.then_some(key), "{path}");
            assert_eq!(route.version, Version::V2, "{path}");
        }
    }

    #[test]
    fn paths_of_scim_1_1() {
        let key = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
        let user = |id: &str| Target::Resource("Users".into(), id.into());
        for (path, with_key, target) in [
            ("/v1/Users", false, Target::Collection("Users".into())),
            ("//V1//01arz3ndektsv4rrffq69g5fav/Groups/", true, Target::Collection("Groups".into())),
            ("/v1/Users.json", false, Target::Collection("Users".into())),
            ("/v1/Users/1.JSON", false, user("1")),
            ("/v1/Users/a.b", false, user("a.b")),
            ("/v1/Users/.json", false, user("")),
            ("/v1/Users.xml", false, Target::Xml),
            ("/v1/Users/1.xml", false, Target::Xml),
            ("/v1/ServiceProviderConfigs", false, Target::ServiceProviderConfig),
            ("/v1/serviceproviderconfig.json", false, Target::ServiceProviderConfig),
            ("/v1/Schemas", false, Target::Schemas),
            (
                "/v1/Schemas/urn:scim:schemas:core:1.0:User",
                false,
                Target::Schema("urn:scim:schemas:core:1.0:User".into()),
            ),
            ("/v1/Bulk", false, Target::Bulk),
            ("/v1/Me", false, Target::Collection("Me".into())),
            ("/v1/Users/.search", false, user(".search")),
            ("/v1/Users/1/2", false, Target::Unknown),
            ("/v1/Users/%01", false, Target::Unknown),
            ("/v1", false, Target::Unknown),
        ] {
            let route = parse(path);
            assert_eq!(route.target, target, "{path}");
            assert_eq!(route.external_key.as_deref(), with_key.then_some(key), "{path}");
            assert_eq!(route.version, Version::V1, "{path}");
        }
    }
}
