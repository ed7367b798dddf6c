//! Whole documents against a resolved filter.

use serde_json::Value;

use super::ast::CompareOp;
use super::compare::{Operand, each, is_present, matches, values_of_sub};
use super::element::ElementFilter;
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
    /// True when the filter asks for the attribute of that name at the top of the document, so that
    /// it must be there before [`Resolved::matches`] is asked.
    pub fn mentions(&self, name: &str) -> bool {
        let is = |attr: &AttrRef<'_>| attr.extension.is_none() && attr.attribute.name == name;
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
