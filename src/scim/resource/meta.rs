//! `meta` and the entity tag (RFC 7643 §3.1, RFC 7644 §3.14).

use serde_json::{Value, json};

use crate::scim::key;

/// What the server knows about a resource besides its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    pub resource_type: String,
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub created: i64,
    pub last_modified: i64,
    pub version: i64,
    /// A digest of the groups that the representation shows, if it shows any.
    pub related: Option<String>,
    /// The URL that serves the resource.
    pub location: String,
}

impl Meta {
    /// The `meta` attribute.
    pub fn to_value(&self) -> Value {
        json!({
            "resourceType": self.resource_type,
            "created": key::instant_text(self.created),
            "lastModified": key::instant_text(self.last_modified),
            "version": etag(self.version, self.related.as_deref()),
            "location": self.location,
        })
    }
}

/// The entity tag of a representation. Weak: two answers with the same tag have the same content,
/// not always the same bytes.
///
/// The groups of a user change without a new version of the user, so a representation that shows
/// groups carries a digest of them behind the version.
pub fn etag(version: i64, related: Option<&str>) -> String {
    match related {
        None => format!("W/\"{version}\""),
        Some(digest) => format!("W/\"{version}-{digest}\""),
    }
}

/// A condition of `If-Match` or `If-None-Match` (RFC 9110 §13.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// `*`
    Any,
    Tags(Vec<String>),
}

impl Condition {
    /// Reads the header value; blanks and empty members are passed over.
    pub fn parse(header: &str) -> Self {
        if header.trim() == "*" {
            return Self::Any;
        }
        Self::Tags(
            header
                .split(',')
                .map(opaque)
                .filter(|tag| !tag.is_empty())
                .map(str::to_owned)
                .collect(),
        )
    }

    /// True when a tag names the version, whatever the representation showed beside it: what a
    /// write asks. The comparison is weak; clients are known to drop `W/` or the quotes.
    pub fn holds_for(&self, version: i64) -> bool {
        self.any_tag(|tag| tag.split('-').next() == Some(&version.to_string()))
    }

    /// True when a tag names exactly this representation: what a conditional read asks.
    pub fn names(&self, etag: &str) -> bool {
        self.any_tag(|tag| tag == opaque(etag))
    }

    fn any_tag(&self, is_named: impl Fn(&str) -> bool) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => tags.iter().any(|tag| is_named(tag)),
        }
    }
}

fn opaque(tag: &str) -> &str {
    let tag = tag.trim();
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    tag.trim_matches('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn condition_compares_weakly() {
        for header in ["W/\"3\"", "\"3\"", "3", "\"1\", W/\"3\"", "*", "W/\"3-ab\""] {
            assert!(Condition::parse(header).holds_for(3), "{header}");
        }
        for header in ["W/\"4\"", "", "\"33\"", "W/\"4-3\""] {
            assert!(!Condition::parse(header).holds_for(3), "{header}");
        }
    }

    #[test]
    fn read_condition_names_the_whole_representation() {
        let tag = etag(3, Some("ab"));
        for (header, named) in
            [("W/\"3-ab\"", true), ("*", true), ("W/\"3\"", false), ("W/\"3-cd\"", false)]
        {
            assert_eq!(Condition::parse(header).names(&tag), named, "{header}");
        }
    }
}
