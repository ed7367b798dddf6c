//! From names to attributes: what a filter says about one resource type.

use super::ast::{CompareOp, Filter, Literal};
use super::element::resolve_element;
use super::eval::{Comparison, Resolved};
use super::operand::fit;
use crate::scim::schema::{Resolution, Returned};
use crate::scim::{AttrPath, AttrRef, ResourceType, Schema, ScimError};

/// What a name is that the resource type does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownNames {
    /// 400 `invalidFilter`.
    Refuse,
    /// Unassigned: a query over several types (RFC 7644 §3.4.2.1).
    Unassigned,
}

/// Finds every name of the filter in the resource type and checks operators and literals.
///
/// Errors are 400 `invalidFilter`; the detail says which name or value, and what is allowed.
pub fn resolve<'t>(
    filter: &Filter,
    resource_type: &'t ResourceType,
) -> Result<Resolved<'t>, ScimError> {
    resolve_with(filter, resource_type, UnknownNames::Refuse)
}

/// Like [`resolve`], for a resource type that is one of several.
pub fn resolve_with<'t>(
    filter: &Filter,
    resource_type: &'t ResourceType,
    unknown: UnknownNames,
) -> Result<Resolved<'t>, ScimError> {
    let one = |part: &Filter| resolve_with(part, resource_type, unknown);
    let all = |parts: &[Filter]| -> Result<Vec<Resolved<'t>>, ScimError> {
        parts.iter().map(one).collect()
    };
    if let (UnknownNames::Unassigned, Some(path)) = (unknown, name_of(filter))
        && resource_type.resolve(path).is_none()
    {
        return Ok(unassigned(filter));
    }
    Ok(match filter {
        Filter::Or(parts) => Resolved::Or(all(parts)?),
        Filter::And(parts) => Resolved::And(all(parts)?),
        Filter::Not(inner) => Resolved::Not(Box::new(one(inner)?)),
        Filter::Present(path) => match resource_type.resolve(path) {
            Some(Resolution::Extension(extension)) => extension_present(extension.0),
            _ => Resolved::Present(find(path, resource_type)?),
        },
        Filter::Compare { path, op, value } => {
            let attr = find(path, resource_type)?;
            let (value, _) = fit(attr.leaf(), &attr.full_name(), *op, value)?;
            Resolved::Compare(Comparison { attr, op: *op, value })
        }
        Filter::Element { path, filter } => {
            let attr = find(path, resource_type)?;
            if let Some(sub) = attr.sub {
                return Err(ScimError::invalid_filter(format!(
                    "The sub-attribute \"{}\" cannot be followed by square brackets; name the \
                     attribute before them and \"{}\" inside.",
                    attr.full_name(),
                    sub.name
                )));
            }
            let filter = Box::new(resolve_element(filter, attr.attribute)?);
            Resolved::Element { attr, filter }
        }
    })
}

/// The name that a single condition is about.
fn name_of(filter: &Filter) -> Option<&AttrPath> {
    match filter {
        Filter::Or(_) | Filter::And(_) | Filter::Not(_) => None,
        Filter::Present(path) | Filter::Compare { path, .. } | Filter::Element { path, .. } => {
            Some(path)
        }
    }
}

/// What a condition on an attribute says that has no value: only `ne` and `eq null` hold.
fn unassigned(filter: &Filter) -> Resolved<'static> {
    let holds = match filter {
        Filter::Compare { op: CompareOp::Ne, value, .. } => *value != Literal::Null,
        Filter::Compare { op: CompareOp::Eq, value, .. } => *value == Literal::Null,
        _ => false,
    };
    if holds { Resolved::And(Vec::new()) } else { Resolved::Or(Vec::new()) }
}

/// An extension is there when one of its attributes is.
fn extension_present(schema: &Schema) -> Resolved<'_> {
    let visible = schema.attributes.iter().filter(|a| a.returned != Returned::Never);
    let present = |attribute| AttrRef { extension: Some(schema), attribute, sub: None };
    Resolved::Or(visible.map(present).map(Resolved::Present).collect())
}

fn find<'t>(path: &AttrPath, resource_type: &'t ResourceType) -> Result<AttrRef<'t>, ScimError> {
    let attr = match resource_type.resolve(path) {
        Some(Resolution::Attribute(attr)) => attr,
        Some(Resolution::Extension(extension)) => {
            return Err(ScimError::invalid_filter(format!(
                "\"{}\" names a whole extension, which can only be followed by pr; name one of its \
                 attributes.",
                extension.0.id
            )));
        }
        None => {
            return Err(ScimError::invalid_filter(format!(
                "The resource type \"{}\" has no attribute \"{path}\".",
                resource_type.name
            )));
        }
    };
    let hidden = [Some(attr.attribute), attr.sub, Some(attr.leaf())];
    if hidden.into_iter().flatten().any(|a| a.returned == Returned::Never) {
        return Err(never_returned(&attr.full_name()));
    }
    Ok(attr)
}

/// The refusal of an attribute that no answer holds: comparing would reveal it bit by bit.
pub(super) fn never_returned(name: &str) -> ScimError {
    ScimError::invalid_filter(format!(
        "The attribute \"{name}\" is never returned and cannot be used in a filter."
    ))
}

#[cfg(test)]
mod tests {
    use super::super::{UnquotedValues, parse_filter};
    use super::*;
    use crate::scim::{Registry, ScimType};

    #[test]
    fn refusals_say_what_is_wrong() {
        let table = [
            ("foo eq \"x\"", "The resource type \"User\" has no attribute \"foo\"."),
            ("name.foo pr", "The resource type \"User\" has no attribute \"name.foo\"."),
            ("urn:x:2.0 pr", "The resource type \"User\" has no attribute \"urn:x:2.0\"."),
            ("a pr or members pr", "The resource type \"User\" has no attribute \"a\"."),
            (
                "not (name eq \"x\")",
                "The attribute \"name\" is complex and cannot be compared; name one of its \
                 sub-attributes, such as \"name.formatted\".",
            ),
            (
                "password pr",
                "The attribute \"password\" is never returned and cannot be used in a filter.",
            ),
            (
                "urn:ietf:params:scim:schemas:core:2.0:User:Password sw \"a\"",
                "The attribute \"password\" is never returned and cannot be used in a filter.",
            ),
            (
                "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User eq null",
                "\"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User\" names a whole \
                 extension, which can only be followed by pr; name one of its attributes.",
            ),
            (
                "emails.type[value pr]",
                "The sub-attribute \"emails.type\" cannot be followed by square brackets; name the \
                 attribute before them and \"type\" inside.",
            ),
            (
                "userName[value eq \"x\"]",
                "The attribute \"userName\" has a single value of type string and cannot be followed \
                 by square brackets.",
            ),
            ("emails[foo pr]", "The attribute \"emails\" has no sub-attribute \"foo\"."),
            (
                "emails[emails.type pr]",
                "The attribute \"emails\" has no sub-attribute \"emails.type\".",
            ),
            (
                "active gt true",
                "The operator gt cannot be used with the attribute \"active\" of type boolean; allowed \
                 are eq, ne and pr.",
            ),
            (
                "userName eq 5",
                "The attribute \"userName\" of type string cannot be compared with 5; allowed is a \
                 string in quotation marks, such as \"5\".",
            ),
        ];
        let registry = Registry::builtin();
        for (text, detail) in table {
            let filter = parse_filter(text, UnquotedValues::Refuse).unwrap();
            let error = resolve(&filter, registry.user()).expect_err(text);
            assert_eq!((error.status, error.scim_type), (400, Some(ScimType::InvalidFilter)));
            assert_eq!(error.detail, detail, "{text}");
        }
    }
}
