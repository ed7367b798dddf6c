//! Paths: of `attributes` and `sortBy`, of PATCH operations, and lists of them in projections.

use rollbook::scim::filter::{MAX_FILTER_BYTES, TargetPath, parse_attr_path, parse_target_path};
use rollbook::scim::resource::Projection;
use rollbook::scim::{AttrPath, ResourceType, ScimError, ScimType};

use super::{SUBJECTS, Subject};
pub fn check(text: &str) {
    let attr = parse_attr_path(text);
    let target = parse_target_path(text);
    match &attr {
        Ok(attr) => {
            assert_eq!(parse_attr_path(&attr.to_string()).as_ref(), Ok(attr));
            // The name of an attribute is the path of a PATCH that names it.
            let named = TargetPath { attr: attr.clone(), filter: None, sub: None };
            assert_eq!(target.as_ref(), Ok(&named));
        }
        Err(error) => assert_refusal(error),
    }
    match &target {
        Ok(target) => {
            let canonical = target.to_string();
            if canonical.len() <= MAX_FILTER_BYTES {
                assert_eq!(parse_target_path(&canonical).as_ref(), Ok(target), "{canonical}");
            }
            assert!(target.sub.is_none() || target.filter.is_some(), "{canonical}");
            assert_eq!(attr.is_err(), target.filter.is_some(), "{canonical}");
        }
        Err(error) => assert_refusal(error),
    }
    if let Ok(attr) = &attr {
        for subject in SUBJECTS.iter() {
            check_meaning(attr, subject.resource_type);
        }
    }
    // One of them, because it takes far longer than the rest.
    if let Some(subject) = SUBJECTS.get(text.len() % SUBJECTS.len()) {
        check_projection(text, subject);
    }
}

/// The full name of what a path means is another path to the same.
fn check_meaning(attr: &AttrPath, resource_type: &ResourceType) {
    let Some(found) = resource_type.resolve_attribute(attr) else { return };
    let name = found.full_name();
    let again = parse_attr_path(&name).expect("the name of an attribute");
    let again = resource_type.resolve_attribute(&again).expect("the same attribute");
    assert_eq!(again.full_name(), name);
}

fn check_projection(names: &str, subject: &Subject) {
    for (attributes, excluded) in [(Some(names), None), (None, Some(names))] {
        let Ok(projection) = Projection::parse(attributes, excluded, subject.resource_type) else {
            continue;
        };
        let shown = projection.apply(subject.shown.clone(), subject.resource_type);
        assert_eq!(shown.get("id"), subject.shown.get("id"));
        assert!(shown.keys().all(|name| subject.shown.contains_key(name)));
        // A projection of its own answer shows the same.
        assert_eq!(projection.apply(shown.clone(), subject.resource_type), shown);
    }
}

fn assert_refusal(error: &ScimError) {
    assert_eq!((error.status, error.scim_type), (400, Some(ScimType::InvalidPath)), "{error:?}");
    assert!(error.detail.ends_with('.'), "{error:?}");
}
