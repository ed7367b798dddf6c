//! From names to attributes: what a filter says about one resource type.

use super::ast::Filter;
use super::compare::fit;
use super::element::resolve_element;
use super::eval::{Comparison, Resolved};
use crate::scim::schema::{Resolution, Returned};
use crate::scim::{AttrPath, AttrRef, ResourceType, Schema, ScimError};

/// Finds every name of the filter in the resource type and checks operators and literals.
///
/// Errors are 400 `invalidFilter`; the detail says which name or value, and what is allowed.
pub fn resolve<'t>(
    filter: &Filter,
    resource_type: &'t ResourceType,
) -> Result<Resolved<'t>, ScimError> {
    let all = |parts: &[Filter]| -> Result<Vec<Resolved<'t>>, ScimError> {
        parts.iter().map(|part| resolve(part, resource_type)).collect()
    };
    Ok(match filter {
        Filter::Or(parts) => Resolved::Or(all(parts)?),
        Filter::And(parts) => Resolved::And(all(parts)?),
        Filter::Not(inner) => Resolved::Not(Box::new(resolve(inner, resource_type)?)),
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
