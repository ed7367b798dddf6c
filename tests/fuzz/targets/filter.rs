//! Filters: text is read or refused; what is read has one canonical text; what resolves evaluates.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use rollbook::scim::filter::{
    Filter, MAX_FILTER_BYTES, UnknownNames, UnquotedValues, parse_filter, resolve_with,
};
use rollbook::scim::{ScimError, ScimType};
use rollbook_fuzz::mutate::{self, Frames};
use rollbook_fuzz::{SUBJECTS, Subject};

static WORDS: LazyLock<Vec<String>> =
    LazyLock::new(|| mutate::words(include_str!("../dict/filter.dict")));

const FRAMES: &Frames = &[
    ("(", ")"),
    ("not (", ")"),
    ("title pr and (", ")"),
    ("(", ") and not (b pr)"),
    ("", " or active eq true"),
    ("not (a pr) and ", ""),
    ("emails[", "]"),
    ("emails[type pr and (", ")]"),
    ("emails[", "].value pr"),
    ("ports[not (", ")]"),
];

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate::text(data, size, max_size, seed, &WORDS, FRAMES)
});

fuzz_target!(|text: &str| {
    for unquoted in [UnquotedValues::Refuse, UnquotedValues::Accept] {
        match parse_filter(text, unquoted) {
            Ok(filter) => check(&filter, unquoted),
            Err(error) => assert_refusal(&error),
        }
    }
});

fn check(filter: &Filter, unquoted: UnquotedValues) {
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
