//! Value filters: the conditions in square brackets, about one element of an attribute.

use serde_json::Value;

use super::ast::{CompareOp, Filter};
use super::compare::{Operand, fit, is_present, matches, values_of_sub};
use super::resolve::never_returned;
use crate::scim::schema::{Attribute, Mutability, Returned};
use crate::scim::{AttrPath, ScimError};

/// A value filter whose every name is a sub-attribute of the attribute. Made by [`resolve_element`].
#[derive(Clone, Debug)]
pub struct ElementFilter<'t>(Node<'t>);

#[derive(Clone, Debug)]
enum Node<'t> {
    Or(Vec<Node<'t>>),
    And(Vec<Node<'t>>),
    Not(Box<Node<'t>>),
    Present(Part<'t>),
    Compare(Condition<'t>),
}

/// What a name in the brackets means.
#[derive(Clone, Copy, Debug)]
enum Part<'t> {
    Sub(&'t Attribute),
    /// `value` of a simple multi-valued attribute: the element itself.
    Whole(&'t Attribute),
}

#[derive(Clone, Debug)]
struct Condition<'t> {
    part: Part<'t>,
    op: CompareOp,
    operand: Operand,
    /// The literal as the client wrote it, in the attribute's type.
    written: Value,
}

/// Resolves a filter over the elements of one multi-valued or complex attribute. Names in it are
/// sub-attributes; `value` of a simple multi-valued attribute is the element itself.
///
/// Errors are 400 `invalidFilter`.
pub fn resolve_element<'t>(
    filter: &Filter,
    attribute: &'t Attribute,
) -> Result<ElementFilter<'t>, ScimError> {
    if !attribute.is_complex() && !attribute.multi_valued {
        return Err(ScimError::invalid_filter(format!(
            "The attribute \"{}\" has a single value of type {} and cannot be followed by square \
             brackets.",
            attribute.name,
            attribute.data_type.as_str()
        )));
    }
    if attribute.returned == Returned::Never {
        return Err(never_returned(&attribute.name));
    }
    node(filter, attribute).map(ElementFilter)
}

fn node<'t>(filter: &Filter, attribute: &'t Attribute) -> Result<Node<'t>, ScimError> {
    let all = |parts: &[Filter]| -> Result<Vec<Node<'t>>, ScimError> {
        parts.iter().map(|part| node(part, attribute)).collect()
    };
    Ok(match filter {
        Filter::Or(parts) => Node::Or(all(parts)?),
        Filter::And(parts) => Node::And(all(parts)?),
        Filter::Not(inner) => Node::Not(Box::new(node(inner, attribute)?)),
        Filter::Present(path) => Node::Present(part(path, attribute)?),
        Filter::Compare { path, op, value } => {
            let part = part(path, attribute)?;
            let (operand, written) = fit(part.leaf(), &part.full_name(attribute), *op, value)?;
            Node::Compare(Condition { part, op: *op, operand, written })
        }
        Filter::Element { path, .. } => {
            return Err(ScimError::invalid_filter(format!(
                "\"{}[…]\" holds \"{path}[…]\"; square brackets cannot be nested.",
                attribute.name
            )));
        }
    })
}

fn part<'t>(path: &AttrPath, attribute: &'t Attribute) -> Result<Part<'t>, ScimError> {
    let plain = path.schema.is_none() && path.sub.is_none();
    let found = match attribute.is_complex() {
        true => attribute.sub(&path.name).map(Part::Sub),
        false => path.name.eq_ignore_ascii_case("value").then_some(Part::Whole(attribute)),
    };
    match found.filter(|_| plain) {
        Some(part) if part.leaf().returned == Returned::Never => {
            Err(never_returned(&part.full_name(attribute)))
        }
        Some(part) => Ok(part),
        None => Err(ScimError::invalid_filter(format!(
            "The attribute \"{}\" has no sub-attribute \"{path}\".",
            attribute.name
        ))),
    }
}

impl<'t> Part<'t> {
    fn leaf(self) -> &'t Attribute {
        match self {
            Self::Sub(leaf) | Self::Whole(leaf) => leaf,
        }
    }

    fn full_name(self, attribute: &Attribute) -> String {
        match self {
            Self::Sub(sub) => format!("{}.{}", attribute.name, sub.name),
            Self::Whole(_) => attribute.name.clone(),
        }
    }

    fn is_present(self, element: &Value) -> bool {
        match self {
            Self::Sub(sub) => element.get(&sub.name).is_some_and(is_present),
            Self::Whole(_) => is_present(element),
        }
    }

    /// True for the part that is the element's value.
    fn is_value(self) -> bool {
        match self {
            Self::Sub(sub) => sub.name == "value",
            Self::Whole(_) => true,
        }
    }
}

impl ElementFilter<'_> {
    /// True when the element matches. Its names are in schema spelling.
    pub fn matches(&self, element: &Value) -> bool {
        self.0.matches(element)
    }

    /// The sub-attributes that an element must have to match, as (name, value): the `eq` conditions
    /// of a filter that is only those, joined by `and`. PATCH makes a new element of them.
    ///
    /// `None` when the filter holds anything else, contradicts itself, names a sub-attribute that
    /// clients cannot set, or is about elements that are no objects. `eq null` adds nothing.
    pub fn seed(&self) -> Option<Vec<(String, Value)>> {
        let mut seed: Vec<(String, Value)> = Vec::new();
        for node in self.0.conjuncts() {
            let Node::Compare(Condition {
                part: Part::Sub(sub),
                op: CompareOp::Eq,
                operand,
                written,
            }) = node
            else {
                return None;
            };
            if *operand == Operand::Null {
                continue;
            }
            if sub.mutability == Mutability::ReadOnly {
                return None;
            }
            let value =
                if sub.multi_valued { Value::from(vec![written.clone()]) } else { written.clone() };
            match seed.iter().find(|(name, _)| *name == sub.name) {
                Some((_, known)) if *known == value => {}
                Some(_) => return None,
                None => seed.push((sub.name.clone(), value)),
            }
        }
        Some(seed)
    }

    /// The values that the client listed, as it wrote them: for `value eq "x"`, or several of those
    /// joined by `or`. `None` for any other filter.
    pub fn wanted_values(&self) -> Option<Vec<String>> {
        let nodes = match &self.0 {
            Node::Or(parts) => parts.as_slice(),
            single => std::slice::from_ref(single),
        };
        let written = |node: &Node<'_>| match node.value_wanted()? {
            Condition { written: Value::String(text), .. } => Some(text.clone()),
            _ => None,
        };
        nodes.iter().map(written).collect()
    }

    /// The comparison key that `value` must have, if the filter demands one: `value eq "x"`, alone
    /// or joined to others by `and`. The store looks such an element up in an index.
    pub fn required_value(&self) -> Option<&str> {
        self.0.conjuncts().iter().find_map(|node| match &node.value_wanted()?.operand {
            Operand::Text(key) => Some(key.as_str()),
            _ => None,
        })
    }
}

impl<'t> Node<'t> {
    fn matches(&self, element: &Value) -> bool {
        match self {
            Self::Or(parts) => parts.iter().any(|part| part.matches(element)),
            Self::And(parts) => parts.iter().all(|part| part.matches(element)),
            Self::Not(inner) => !inner.matches(element),
            Self::Present(part) => part.is_present(element),
            Self::Compare(condition) => condition.matches(element),
        }
    }

    /// The conditions that must all hold.
    fn conjuncts(&self) -> &[Self] {
        match self {
            Self::And(parts) => parts,
            single => std::slice::from_ref(single),
        }
    }

    /// The condition, if it is `value eq …`.
    fn value_wanted(&self) -> Option<&Condition<'t>> {
        match self {
            Self::Compare(condition) => {
                (condition.op == CompareOp::Eq && condition.part.is_value()).then_some(condition)
            }
            _ => None,
        }
    }
}

impl Condition<'_> {
    fn matches(&self, element: &Value) -> bool {
        if self.operand == Operand::Null {
            return self.part.is_present(element) == (self.op == CompareOp::Ne);
        }
        let values = match self.part {
            Part::Sub(sub) => values_of_sub(element, sub),
            Part::Whole(_) => std::slice::from_ref(element),
        };
        matches(self.part.leaf(), self.op, &self.operand, values.iter())
    }
}
