//! What a SCIM path names. Pure: text in, target out.
//!
//! Doubled and trailing slashes are passed over, letter case of endpoints does not matter, and the
//! directory's key may stand in front (`/scim/v2/{external_key}/Users`).

use percent_encoding::percent_decode_str;

use crate::scim::urn;

/// A path below `/scim/v2`, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
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
    let segments = match segments.split_first() {
        Some((version, rest)) if version.eq_ignore_ascii_case("v2") => rest.to_vec(),
        Some((version, _)) if is_version(version) => {
            return Route { external_key: None, target: Target::Version(version.clone()) };
        }
        _ => segments,
    };
    let (external_key, rest) = match segments.split_first() {
        Some((first, rest)) if urn::is_external_key(first) => {
            (Some(first.to_ascii_uppercase()), rest)
        }
        _ => (None, segments.as_slice()),
    };
    Route { external_key, target: target(rest) }
}

/// `v1`, `v2.1`
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
            ("/v1.1", false, Target::Version("v1.1".into())),
            ("/vault", false, Target::Collection("vault".into())),
        ] {
            let route = parse(path);
            assert_eq!(route.target, target, "{path}");
            assert_eq!(route.external_key.as_deref(), with_key.then_some(key), "{path}");
        }
    }
}
