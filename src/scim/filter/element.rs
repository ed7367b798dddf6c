//! Value filters: the conditions in square brackets, about one element of an attribute.

use serde_json::Value;

use super::ast::{CompareOp, Filter};
use super::compare::{is_present, matches, values_of_sub};
use super::operand::{Operand, fit};
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{UnquotedValues, parse_filter};
    use super::*;

    fn rooms() -> Attribute {
        let sub = |name: &str, data_type: &str, mutability: &str, returned: &str| {
            json!({
                "name": name, "type": data_type, "multiValued": false, "description": "",
                "required": false, "caseExact": false, "mutability": mutability,
                "returned": returned, "uniqueness": "none"
            })
        };
        let mut rooms = sub("rooms", "complex", "readWrite", "default");
        rooms["multiValued"] = true.into();
        rooms["subAttributes"] = json!([
            sub("value", "string", "readWrite", "default"),
            sub("type", "string", "readWrite", "default"),
            sub("number", "integer", "readWrite", "default"),
            sub("primary", "boolean", "readWrite", "default"),
            sub("floor", "integer", "readOnly", "default"),
            sub("code", "string", "writeOnly", "never")
        ]);
        serde_json::from_value(rooms).unwrap()
    }

    fn tags() -> Attribute {
        serde_json::from_value(json!({
            "name": "tags", "type": "string", "multiValued": true, "description": "",
            "required": false, "caseExact": false, "mutability": "readWrite",
            "returned": "default", "uniqueness": "none"
        }))
        .unwrap()
    }

    fn element_filter<'t>(text: &str, attribute: &'t Attribute) -> ElementFilter<'t> {
        let filter = parse_filter(text, UnquotedValues::Refuse).unwrap();
        resolve_element(&filter, attribute).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn elements_match() {
        let rooms = rooms();
        let element = json!({"value": "R1", "type": "Office", "number": 12});
        for (text, expected) in [
            ("value eq \"r1\" and number gt 11", true),
            ("TYPE eq \"office\"", true),
            ("primary eq false", true),
            ("primary ne true", true),
            ("primary pr", false),
            ("primary eq null", true),
            ("floor ne 3", true),
            ("not (number le 12)", false),
            ("type sw \"x\" or number eq 12", true),
        ] {
            assert_eq!(element_filter(text, &rooms).matches(&element), expected, "{text}");
        }
    }

    #[test]
    fn value_of_a_simple_attribute_is_the_element() {
        let tags = tags();
        let filter = element_filter("value eq \"A\" or value sw \"b\"", &tags);
        assert!(filter.matches(&json!("a")) && filter.matches(&json!("Bc")));
        assert!(!filter.matches(&json!("c")));
        assert!(element_filter("value pr", &tags).matches(&json!("x")));
        assert_eq!(element_filter("value eq \"A\"", &tags).seed(), None);
        let wanted = element_filter("value eq \"A\"", &tags).wanted_values();
        assert_eq!(wanted, Some(vec!["A".to_owned()]));
        let other = parse_filter("type pr", UnquotedValues::Refuse).unwrap();
        assert!(resolve_element(&other, &tags).is_err());
    }

    #[test]
    fn never_returned_sub_attributes_are_refused() {
        let filter = parse_filter("code sw \"1\"", UnquotedValues::Refuse).unwrap();
        assert_eq!(
            resolve_element(&filter, &rooms()).unwrap_err().detail,
            "The attribute \"rooms.code\" is never returned and cannot be used in a filter."
        );
    }

    #[test]
    fn seeds() {
        let rooms = rooms();
        let table = [
            ("type eq \"Work\"", Some(json!({"type": "Work"}))),
            (
                "Type eq \"work\" and primary eq \"True\" and number eq 3",
                Some(json!({"type": "work", "primary": true, "number": 3})),
            ),
            ("type eq \"a\" and value eq null", Some(json!({"type": "a"}))),
            ("type eq \"a\" and type eq \"a\"", Some(json!({"type": "a"}))),
            ("type eq \"a\" and type eq \"b\"", None),
            ("type eq \"a\" or type eq \"b\"", None),
            ("not (type eq \"a\")", None),
            ("type eq \"a\" and value pr", None),
            ("type ne \"a\"", None),
            ("type sw \"a\"", None),
            ("floor eq 3", None),
        ];
        for (text, expected) in table {
            let seed = element_filter(text, &rooms).seed();
            let seed = seed.map(|pairs| Value::Object(pairs.into_iter().collect()));
            assert_eq!(seed, expected, "{text}");
        }
    }

    #[test]
    fn wanted_and_required_values() {
        let rooms = rooms();
        let table = [
            ("value eq \"R1\"", Some(vec!["R1"]), Some("r1")),
            ("value eq \"R1\" or Value eq \"R2\"", Some(vec!["R1", "R2"]), None),
            ("value eq \"R1\" and type pr", None, Some("r1")),
            ("value eq \"R1\" or type pr", None, None),
            ("value ne \"R1\"", None, None),
            ("value eq null", None, None),
            ("type eq \"R1\"", None, None),
        ];
        for (text, wanted, required) in table {
            let filter = element_filter(text, &rooms);
            let found = filter.wanted_values();
            let found =
                found.as_ref().map(|ids| ids.iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!(found, wanted, "{text}");
            assert_eq!(filter.required_value(), required, "{text}");
        }
    }
}
