//! Where a value stands in a resource, for whoever has something to say about it. Most values are in order,
//! so it is written out only then.

use std::fmt;

/// `name.givenName`, `urn:…:User:department`: the way to a value.
#[derive(Clone, Copy, Debug)]
pub struct PathTo<'p> {
    within: Option<&'p PathTo<'p>>,
    name: &'p str,
    /// What stands between it and what is in it.
    between: char,
}

impl<'p> PathTo<'p> {
    /// An attribute of the resource type's own schema, or a path as it was sent.
    pub fn top(name: &'p str) -> Self {
        Self { within: None, name, between: '.' }
    }

    /// The object of an extension.
    pub fn extension(uri: &'p str) -> Self {
        Self { within: None, name: uri, between: ':' }
    }

    /// An attribute of an extension, or a sub-attribute.
    pub fn then(&'p self, name: &'p str) -> Self {
        Self { within: Some(self), name, between: '.' }
    }

    /// Whether it is that attribute of the resource type's own schema.
    pub fn is(&self, name: &str) -> bool {
        self.within.is_none() && self.name == name
    }
}

impl fmt::Display for PathTo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(within) = self.within {
            write!(f, "{within}{}", within.between)?;
        }
        f.write_str(self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_written_as_clients_write_them() {
        let name = PathTo::top("name");
        assert_eq!(name.then("givenName").to_string(), "name.givenName");
        let extension = PathTo::extension("urn:example:Extra");
        let badge = extension.then("badge");
        assert_eq!(badge.then("colour").to_string(), "urn:example:Extra:badge.colour");
        assert!(name.is("name"));
        assert!(!badge.is("badge"));
    }
}
