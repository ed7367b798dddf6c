//! Whole documents against a resolved filter.

use serde_json::Value;

use super::ast::CompareOp;
use super::compare::{each, is_present, matches, values_of_sub};
use super::element::ElementFilter;
use super::operand::Operand;
use crate::scim::{AttrRef, Object};

/// A filter whose every name was found in the resource type and whose literals fit the types of
/// their attributes. Made by [`super::resolve`].
#[derive(Clone, Debug)]
pub enum Resolved<'t> {
    Or(Vec<Resolved<'t>>),
    And(Vec<Resolved<'t>>),
    Not(Box<Resolved<'t>>),
    /// `pr`
    Present(AttrRef<'t>),
    Compare(Comparison<'t>),
    /// Some element of the attribute matches.
    Element {
        attr: AttrRef<'t>,
        filter: Box<ElementFilter<'t>>,
    },
}

/// `attr op value`. The attribute's [leaf](AttrRef::leaf) is what is compared, except that null is
/// about the attribute as it was named.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison<'t> {
    pub attr: AttrRef<'t>,
    pub op: CompareOp,
    pub value: Operand,
}

impl Resolved<'_> {
    /// True when the resource matches. The document is canonical and complete: in schema spelling,
    /// with `id`, `meta` and whatever else the filter may ask for.
    pub fn matches(&self, doc: &Object) -> bool {
        match self {
            Self::Or(parts) => parts.iter().any(|part| part.matches(doc)),
            Self::And(parts) => parts.iter().all(|part| part.matches(doc)),
            Self::Not(inner) => !inner.matches(doc),
            Self::Present(attr) => attribute_is_present(attr, doc),
            Self::Compare(comparison) => comparison.matches(doc),
            Self::Element { attr, filter } => {
                elements(attr, doc).iter().any(|element| filter.matches(element))
            }
        }
    }
}

impl Resolved<'_> {
    /// True when the filter asks for an attribute of that name, so that it must be there before
    /// [`Resolved::matches`] is asked.
    pub fn mentions(&self, name: &str) -> bool {
        let is = |attr: &AttrRef<'_>| attr.attribute.name == name;
        match self {
            Self::Or(parts) | Self::And(parts) => parts.iter().any(|part| part.mentions(name)),
            Self::Not(inner) => inner.mentions(name),
            Self::Present(attr) | Self::Element { attr, .. } => is(attr),
            Self::Compare(comparison) => is(&comparison.attr),
        }
    }
}

impl Comparison<'_> {
    fn matches(&self, doc: &Object) -> bool {
        let leaf = self.attr.leaf();
        if self.value == Operand::Null {
            return attribute_is_present(&self.attr, doc) == (self.op == CompareOp::Ne);
        }
        let elements = elements(&self.attr, doc);
        match self.attr.sub.or_else(|| self.attr.attribute.value_sub()) {
            None => matches(leaf, self.op, &self.value, elements.iter()),
            Some(sub) => {
                let values = elements.iter().flat_map(|element| values_of_sub(element, sub));
                matches(leaf, self.op, &self.value, values)
            }
        }
    }
}

/// The values of the attribute itself, whatever sub-attribute is named.
fn elements<'d>(attr: &AttrRef<'_>, doc: &'d Object) -> &'d [Value] {
    let value = match attr.extension {
        None => doc.get(&attr.attribute.name),
        Some(schema) => doc.get(&schema.id).and_then(|inner| inner.get(&attr.attribute.name)),
    };
    value.map_or(&[], each)
}

fn attribute_is_present(attr: &AttrRef<'_>, doc: &Object) -> bool {
    elements(attr, doc).iter().any(|element| match attr.sub {
        None => is_present(element),
        Some(sub) => element.get(&sub.name).is_some_and(is_present),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{UnquotedValues, parse_filter, resolve};
    use super::*;
    use crate::scim::Registry;

    fn document() -> Object {
        let document = json!({
            "schemas": [
                "urn:ietf:params:scim:schemas:core:2.0:User",
                "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
            ],
            "id": "directory_user_01",
            "externalId": "Ext1",
            "userName": "BJensen",
            "name": {"givenName": "Barbara", "familyName": "Jose\u{301}"},
            "title": "",
            "active": true,
            "emails": [
                {"value": "b@work.example", "type": "work", "primary": true},
                {"value": "b@home.example", "type": "home"}
            ],
            "groups": [{"value": "directory_group_01", "display": "Staff"}],
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {
                "department": "Sales",
                "manager": {"value": "directory_user_02"}
            },
            "meta": {
                "resourceType": "User",
                "lastModified": "2021-06-25T19:07:33.155Z",
                "location": "https://scim.example/v2/Users/directory_user_01"
            }
        });
        document.as_object().cloned().unwrap()
    }

    fn matches(text: &str) -> bool {
        matches_with(text, UnquotedValues::Refuse)
    }

    fn matches_with(text: &str, unquoted: UnquotedValues) -> bool {
        let registry = Registry::builtin();
        let filter = parse_filter(text, unquoted).unwrap();
        resolve(&filter, registry.user())
            .unwrap_or_else(|error| panic!("{text}: {error}"))
            .matches(&document())
    }

    #[test]
    fn filters_that_match() {
        for text in [
            "userName eq \"bjensen\"",
            "name.familyName eq \"JOS\u{c9}\"",
            "urn:ietf:params:scim:schemas:core:2.0:User:userName sw \"bj\"",
            "externalId eq \"Ext1\"",
            "externalId ne \"ext1\"",
            "id eq \"directory_user_01\" and manager eq \"directory_user_02\"",
            "meta.resourceType eq \"User\"",
            "meta.lastModified gt \"2021-06-25T21:07:33.154+02:00\"",
            "active eq true and (meta.lastModified ge \"2021-06-25T19:07:33.1550000Z\")",
            "active eq \"True\"",
            "emails eq \"B@HOME.example\"",
            "emails.type eq \"work\"",
            "emails[type eq \"home\" and value co \"@home\"]",
            "emails[type eq \"work\"].value eq \"b@work.example\"",
            "emails[primary eq \"False\" and type eq \"home\"]",
            "emails.primary eq false",
            "emails[not (primary pr)]",
            "emails[type ne \"work\"]",
            "not (emails.type ne \"work\")",
            "title eq null and not (title pr) and title eq \"\"",
            "nickName ne \"x\" and nickName eq null and name ne null",
            "emails pr and name pr and name.givenName pr",
            "schemas eq \"URN:ietf:params:scim:schemas:core:2.0:user\"",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department eq \"sales\"",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User.department eq \"sales\"",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value pr",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User pr",
            "manager[value eq \"directory_user_02\"]",
            "groups.display eq \"staff\"",
            "groups eq \"directory_group_01\"",
            "userName eq \"x\" and title pr or active eq true",
        ] {
            assert!(matches(text), "{text}");
        }
    }

    #[test]
    fn unquoted_values_are_read_by_type() {
        for (text, expected) in [
            ("userName eq bjensen", true),
            ("active eq TRUE", true),
            ("active ne null", true),
            ("name eq null", false),
            ("nickName eq null", false),
            ("nickName ne null", true),
            ("meta.lastModified eq 2021-06-25T19:07:33.155Z", true),
        ] {
            assert_eq!(matches_with(text, UnquotedValues::Accept), expected, "{text}");
        }
    }

    #[test]
    fn filters_that_do_not_match() {
        for text in [
            "userName eq \"jensen\"",
            "externalId eq \"ext1\"",
            "id eq \"DIRECTORY_USER_01\"",
            "active ne true",
            "emails ne \"b@home.example\"",
            "emails[type eq \"work\" and value co \"@home\"]",
            "emails[type eq \"home\"].value eq \"b@work.example\"",
            "emails[primary eq false and primary eq true]",
            "phoneNumbers pr or phoneNumbers.primary eq false or phoneNumbers[primary eq false]",
            "nickName eq \"\" or nickName gt \"\" or nickName co \"\"",
            "meta.location eq \"https://scim.example/V2/Users/directory_user_01\"",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:costCenter pr",
            "userName eq \"bjensen\" and (title pr or active eq false)",
        ] {
            assert!(!matches(text), "{text}");
        }
    }
}
