//! Attribute paths: how a request names an attribute (RFC 7644 §3.10) and what that name means for
//! a resource type.

use std::fmt;

use super::schema::{Attribute, Schema};

/// A name as a request writes it: `[URN ":"] attrName ["." subAttr]`. Nothing is known yet about
/// whether the attribute exists; `ResourceType::resolve` decides that.
///
/// The split of a URN path is by its last colon, so a path that names a whole schema
/// (`urn:…:2.0:User`) or uses the legacy dot form (`urn:…:2.0:User.manager`) is told apart only when
/// it is resolved.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AttrPath {
    /// The schema URI in front, without the colon that separates it.
    pub schema: Option<String>,
    pub name: String,
    pub sub: Option<String>,
}

impl AttrPath {
    pub fn name(name: &str) -> Self {
        Self { schema: None, name: name.to_owned(), sub: None }
    }

    pub fn sub(name: &str, sub: &str) -> Self {
        Self { schema: None, name: name.to_owned(), sub: Some(sub.to_owned()) }
    }
}

impl fmt::Display for AttrPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(f, "{schema}:")?;
        }
        f.write_str(&self.name)?;
        if let Some(sub) = &self.sub {
            write!(f, ".{sub}")?;
        }
        Ok(())
    }
}

/// An attribute of a resource type, found: where it stands in a document and what its schema says.
#[derive(Clone, Copy, Debug)]
pub struct AttrRef<'t> {
    /// The extension schema whose object holds the attribute; `None` for the base schema and the
    /// common attributes, which stand at the top of the document.
    pub extension: Option<&'t Schema>,
    pub attribute: &'t Attribute,
    pub sub: Option<&'t Attribute>,
}

impl<'t> AttrRef<'t> {
    /// The definition that decides type and case: the sub-attribute when one is named; for a
    /// complex attribute without one, its `value` (RFC 7644 §3.4.2.2: `emails eq "x"`).
    pub fn leaf(&self) -> &'t Attribute {
        self.sub.or_else(|| self.attribute.value_sub()).unwrap_or(self.attribute)
    }

    /// The name in schema spelling, as error details and plans write it.
    pub fn full_name(&self) -> String {
        let mut name = String::new();
        if let Some(extension) = self.extension {
            name.push_str(&extension.id);
            name.push(':');
        }
        name.push_str(&self.attribute.name);
        if let Some(sub) = self.sub {
            name.push('.');
            name.push_str(&sub.name);
        }
        name
    }
}

impl PartialEq for AttrRef<'_> {
    /// Two references are equal when they name the same place of the same resource type.
    fn eq(&self, other: &Self) -> bool {
        self.full_name() == other.full_name()
    }
}
