//! Filters: text is read or refused; what is read has one canonical text; what resolves evaluates.

use rollbook::scim::filter::{
    Filter, MAX_FILTER_BYTES, UnknownNames, UnquotedValues, parse_filter, resolve_with,
};
use rollbook::scim::{ScimError, ScimType};

use super::{SUBJECTS, Subject};
pub fn check(text: &str) {
    for unquoted in [UnquotedValues::Refuse, UnquotedValues::Accept] {
        match parse_filter(text, unquoted) {
            Ok(filter) => check_meaning(&filter, unquoted),
            Err(error) => assert_refusal(&error),
        }
    }
}

fn check_meaning(filter: &Filter, unquoted: UnquotedValues) {
    let canonical = filter.to_string();
    if canonical.len() <= MAX_FILTER_BYTES {
        let again = parse_filter(&canonical, unquoted);
        assert_eq!(again.as_ref(), Ok(filter), "{canonical}");
    }
    assert!(filter.terms() > 0);
    for subject in SUBJECTS.iter() {
        let strict = evaluate(filter, subject, UnknownNames::Refuse);
        let among_several = evaluate(filter, subject, UnknownNames::Unassigned);
        // Where every name is known, it does not matter how unknown ones are read.
        assert!(strict.is_none() || strict == among_several, "{canonical}");
    }
}

/// Whether the subject's document matches; `None` when the filter is refused for its type.
fn evaluate(filter: &Filter, subject: &Subject, unknown: UnknownNames) -> Option<bool> {
    let resolve = |filter: &Filter| match resolve_with(filter, subject.resource_type, unknown) {
        Ok(resolved) => Some(resolved.matches(&subject.shown)),
        Err(error) => {
            assert_refusal(&error);
            None
        }
    };
    let matches = resolve(filter);
    // An unknown name in a negation is still unassigned, so this holds for it as well.
    let negated = Filter::Not(Box::new(filter.clone()));
    assert_eq!(resolve(&negated), matches.map(|matches| !matches), "{filter}");
    matches
}

fn assert_refusal(error: &ScimError) {
    assert_eq!((error.status, error.scim_type), (400, Some(ScimType::InvalidFilter)), "{error:?}");
    assert!(error.detail.ends_with('.'), "{error:?}");
}
