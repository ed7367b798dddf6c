//! Laws of the filter language, held against random filters, texts and documents.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Number, Value, json};

use super::*;
use crate::scim::{AttrPath, Object, Registry};

fn name() -> impl Strategy<Value = String> {
    "[$]?[a-zA-Z][a-zA-Z0-9_$-]{0,6}"
        .prop_filter("`not` is a word of the grammar", |name| !name.eq_ignore_ascii_case("not"))
}

fn path() -> impl Strategy<Value = AttrPath> {
    let schema = proptest::option::of("urn:[a-zA-Z0-9:._'-]{1,12}");
    (schema, name(), proptest::option::of(name())).prop_map(|(schema, name, sub)| AttrPath {
        schema,
        name,
        sub,
    })
}

fn literal() -> impl Strategy<Value = Literal> {
    let text = any::<String>().prop_map(|text| Literal::Text(text.replace('\0', "0")));
    let fraction = any::<f64>().prop_filter_map("JSON has no NaN", Number::from_f64);
    prop_oneof![
        Just(Literal::Null),
        any::<bool>().prop_map(Literal::Bool),
        any::<i64>().prop_map(|n| Literal::Number(n.into())),
        any::<u64>().prop_map(|n| Literal::Number(n.into())),
        fraction.prop_map(Literal::Number),
        text,
    ]
}

fn leaf() -> impl Strategy<Value = Filter> {
    let op = select(CompareOp::ALL.to_vec());
    prop_oneof![
        path().prop_map(Filter::Present),
        (path(), op, literal()).prop_map(|(path, op, value)| Filter::Compare { path, op, value }),
    ]
}

fn combined(leaf: impl Strategy<Value = Filter> + 'static) -> impl Strategy<Value = Filter> {
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 2..4).prop_map(Filter::any),
            vec(inner.clone(), 2..4).prop_map(Filter::all),
            inner.prop_map(|filter| Filter::Not(Box::new(filter))),
        ]
    })
}

fn filter() -> impl Strategy<Value = Filter> {
    let element = (path(), combined(leaf()))
        .prop_map(|(path, filter)| Filter::Element { path, filter: Box::new(filter) });
    combined(prop_oneof![3 => leaf(), 1 => element])
}

/// Pieces of filters in any order: mostly wrong, sometimes right.
fn soup() -> impl Strategy<Value = String> {
    let pieces = [
        "a",
        "b.c",
        "urn:x:1:d",
        "e[",
        "]",
        "].f",
        "(",
        ")",
        "not",
        "not (",
        " and ",
        " or ",
        " ",
        " eq ",
        " ne ",
        " pr",
        " gt ",
        "\"x\"",
        "\"\\u00e9\"",
        "\"",
        "\\",
        "1",
        "-1.50e3",
        "true",
        "null",
        "é",
        "\u{0}",
        "a pr",
        "b eq \"y\"",
        "e[a eq 1]",
        "e[a pr or b pr]",
    ];
    vec(select(pieces.to_vec()), 0..12).prop_map(|pieces| pieces.concat())
}

/// Filters over attributes that users have, with values that [`document`] makes.
fn known() -> impl Strategy<Value = Filter> {
    combined(select(CONDITIONS.to_vec()).prop_map(parsed))
}

const CONDITIONS: [&str; 24] = [
    "userName eq \"ann\"",
    "userName ne \"ANN\"",
    "userName sw \"b\"",
    "userName gt \"b\"",
    "displayName co \"é\"",
    "displayName ew \" x\"",
    "displayName pr",
    "displayName eq null",
    "displayName ne null",
    "active eq true",
    "active ne \"True\"",
    "emails pr",
    "emails eq \"ann\"",
    "emails ne \"ann\"",
    "emails.type eq \"work\"",
    "emails.primary eq false",
    "emails[type eq \"work\" and value eq \"bob\"]",
    "emails[primary eq false or not (value pr)]",
    "emails[type ne \"work\"].value sw \"b\"",
    "meta.lastModified ge \"2021-01-01T00:00:00+01:00\"",
    "meta.lastModified eq \"2021-01-01T00:00:00Z\"",
    "manager eq \"ann\"",
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User pr",
    "schemas eq \"URN:ietf:params:scim:schemas:core:2.0:user\"",
];

fn parsed(text: &str) -> Filter {
    parse_filter(text, UnquotedValues::Refuse).expect("a well-formed filter")
}

fn document() -> impl Strategy<Value = Object> {
    let text = || select(vec!["ann", "Bob", "b", "José", "Jose\u{301}", "a x", ""]);
    let optional = || proptest::option::of(text());
    let email =
        (optional(), proptest::option::of(select(vec!["work", "Home"])), any::<Option<bool>>());
    let instant =
        select(vec!["2020-12-31T23:00:00Z", "2021-01-01T00:00:00Z", "2021-06-01T00:00:00.5Z"]);
    (text(), optional(), any::<Option<bool>>(), vec(email, 0..3), instant, optional()).prop_map(
        |(user_name, display_name, active, emails, modified, manager)| {
            let emails: Vec<Value> = emails
                .into_iter()
                .map(|(value, kind, primary)| {
                    some([
                        ("value", json!(value)),
                        ("type", json!(kind)),
                        ("primary", json!(primary)),
                    ])
                })
                .collect();
            let manager = some([("value", json!(manager))]);
            let document = some([
                ("schemas", json!([crate::scim::urn::USER])),
                ("userName", json!(user_name)),
                ("displayName", json!(display_name)),
                ("active", json!(active)),
                ("emails", emails.into()),
                ("meta", json!({"lastModified": modified})),
                (crate::scim::urn::ENTERPRISE_USER, json!({"manager": manager})),
            ]);
            document.as_object().cloned().unwrap_or_default()
        },
    )
}

fn some<const N: usize>(members: [(&str, Value); N]) -> Value {
    let present = members.into_iter().filter(|(_, value)| !value.is_null());
    present.map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>().into()
}

fn matches(filter: &Filter, document: &Object) -> bool {
    let registry = Registry::builtin();
    resolve(filter, registry.user()).expect("a filter over known attributes").matches(document)
}

fn not(filter: Filter) -> Filter {
    Filter::Not(Box::new(filter))
}

proptest! {
    #[test]
    fn canonical_text_reads_back(filter in filter()) {
        let text = filter.to_string();
        prop_assume!(text.len() <= MAX_FILTER_BYTES);
        prop_assert_eq!(parse_filter(&text, UnquotedValues::Refuse), Ok(filter));
    }

    #[test]
    fn whatever_is_read_reads_back(text in soup()) {
        for unquoted in [UnquotedValues::Refuse, UnquotedValues::Accept] {
            if let Ok(filter) = parse_filter(&text, unquoted) {
                prop_assert_eq!(parse_filter(&filter.to_string(), unquoted), Ok(filter));
            }
        }
        if let Ok(path) = parse_target_path(&text) {
            prop_assert_eq!(parse_target_path(&path.to_string()), Ok(path));
        }
        if let Ok(path) = parse_attr_path(&text) {
            prop_assert_eq!(parse_attr_path(&path.to_string()), Ok(path));
        }
    }

    #[test]
    fn target_path_reads_back(attr in path(), filter in proptest::option::of(combined(leaf())), sub in name()) {
        let sub = filter.is_some().then_some(sub);
        let path = TargetPath { attr, filter, sub };
        let text = path.to_string();
        prop_assume!(text.len() <= MAX_FILTER_BYTES);
        prop_assert_eq!(parse_target_path(&text), Ok(path));
    }

    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = parse_filter(&text, UnquotedValues::Refuse);
        let _ = parse_filter(&text, UnquotedValues::Accept);
        let _ = parse_target_path(&text);
        let _ = parse_attr_path(&text);
    }

    #[test]
    fn random_filters_resolve_or_are_refused(filter in filter()) {
        let registry = Registry::builtin();
        if let Err(error) = resolve(&filter, registry.user()) {
            prop_assert_eq!(error.scim_type, Some(crate::scim::ScimType::InvalidFilter));
        }
    }

    #[test]
    fn double_negation(filter in known(), doc in document()) {
        prop_assert_eq!(matches(&not(not(filter.clone())), &doc), matches(&filter, &doc));
    }

    #[test]
    fn de_morgan(a in known(), b in known(), doc in document()) {
        let (parts, negated) = (vec![a.clone(), b.clone()], vec![not(a), not(b)]);
        prop_assert_eq!(
            matches(&not(Filter::all(parts.clone())), &doc),
            matches(&Filter::any(negated.clone()), &doc)
        );
        prop_assert_eq!(
            matches(&not(Filter::any(parts)), &doc),
            matches(&Filter::all(negated), &doc)
        );
    }

    #[test]
    fn not_equal_is_not_equal(path in select(vec!["userName", "displayName", "emails", "emails.type", "manager"]),
                              value in select(vec!["ann", "work", "José", ""]), doc in document()) {
        let eq = parsed(&format!("{path} eq {}", json!(value)));
        let ne = parsed(&format!("{path} ne {}", json!(value)));
        prop_assert_eq!(matches(&ne, &doc), !matches(&eq, &doc));
    }

    #[test]
    fn null_is_absence(path in select(vec!["userName", "displayName", "emails", "emails.type", "name", "manager"]),
                       doc in document()) {
        let present = matches(&parsed(&format!("{path} pr")), &doc);
        prop_assert_eq!(matches(&parsed(&format!("{path} eq null")), &doc), !present);
        prop_assert_eq!(matches(&parsed(&format!("{path} ne null")), &doc), present);
    }

    #[test]
    fn one_condition_in_brackets_is_a_sub_attribute(
        condition in select(vec!["type eq \"work\"", "value sw \"b\"", "primary eq false", "value pr"]),
        doc in document(),
    ) {
        let brackets = parsed(&format!("emails[{condition}]"));
        let dotted = parsed(&format!("emails.{condition}"));
        prop_assert_eq!(matches(&brackets, &doc), matches(&dotted, &doc));
    }

    #[test]
    fn a_seed_matches_its_filter(filter in vec(select(vec![
        "type eq \"work\"", "value eq \"x\"", "primary eq \"True\"", "display eq null", "type eq \"WORK\"",
    ]), 1..4)) {
        let filter = parsed(&filter.join(" and "));
        let registry = Registry::builtin();
        let emails = registry.user().attribute("emails").expect("users have emails");
        let resolved = resolve_element(&filter, emails).expect("a filter over emails");
        if let Some(seed) = resolved.seed() {
            prop_assert!(resolved.matches(&Value::Object(seed.into_iter().collect())));
        }
    }
}
