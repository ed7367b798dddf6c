//! The SQL plan of a filter gives exactly what the evaluator gives, and the frequent filters are
//! answered by an index.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use rollbook::scim::Registry;
use rollbook::scim::filter::{UnquotedValues, parse_filter, resolve};
use rollbook::store::list::{Order, Walk};
use rollbook::store::plan::compile;

use crate::on_both_databases;
use crate::support::{Answer, ENTERPRISE, TestApp, group, user};

on_both_databases![plan_equals_evaluator, frequent_filters_use_an_index];

/// A condition on an index selects who knows how many; beside one that names a user it is decided on
/// that user's row.
#[test]
fn only_the_row_is_looked_at_where_one_resource_is_named() {
    let registry = Registry::builtin();
    let named = "userName eq \"ada\"";
    for (type_name, filter, is_exact, is_unique) in [
        ("User", named.to_owned(), true, true),
        ("User", format!("{named} and externalId sw \"1\""), true, true),
        ("User", format!("{named} and emails.value sw \"u\""), false, true),
        ("User", format!("{named} and (emails.value sw \"u\" or title eq \"x\")"), false, true),
        ("User", format!("{named} and (externalId pr and not (title eq \"x\"))"), false, true),
        ("User", format!("{named} and active eq true"), false, true),
        ("User", format!("{named} or emails.value sw \"u\""), true, false),
        ("User", format!("not ({named}) and emails.value sw \"u\""), true, false),
        ("Group", "id eq \"7\" and members eq \"8\"".to_owned(), true, false),
        ("Group", "members eq \"8\"".to_owned(), true, false),
    ] {
        let resource_type = registry.by_name(type_name).expect("a type");
        let parsed = parse_filter(&filter, UnquotedValues::Refuse).expect(&filter);
        let plan = compile(&resolve(&parsed, resource_type).expect(&filter), resource_type);
        assert_eq!((plan.exact, plan.predicate.is_unique()), (is_exact, is_unique), "{filter}");
        let text = format!("{:?}", plan.predicate);
        assert!(!(is_unique && text.contains("Indexed")), "{filter}: {text}");
    }
}

/// Filters per run.
const FILTERS: usize = 400;

fn runner() -> TestRunner {
    // The same filters and documents in every run: a failure can be looked at again.
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    TestRunner::new_with_rng(Config::default(), rng)
}

fn sample<T: std::fmt::Debug>(runner: &mut TestRunner, strategy: &impl Strategy<Value = T>) -> T {
    strategy.new_tree(runner).expect("a value").current()
}

/// Few values, so that filters hit: letter case, accents, spaces, forms, and text longer than the
/// index holds.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("a".to_owned()),
        Just("A".to_owned()),
        Just("ab".to_owned()),
        Just("aB c".to_owned()),
        Just("b".to_owned()),
        Just("Ä".to_owned()),
        Just("a\u{308}".to_owned()),
        Just("ａ".to_owned()),
        Just("straße".to_owned()),
        Just("\u{10FFFF}a".to_owned()),
        Just("x".repeat(300)),
        Just(format!("{}y", "x".repeat(299))),
    ]
}

fn users() -> impl Strategy<Value = Value> {
    let email = (text(), prop_oneof![Just("work"), Just("home")]);
    (
        proptest::option::of(text()),
        proptest::option::of(text()),
        proptest::option::of(text()),
        any::<bool>(),
        proptest::collection::vec(email, 0..3),
        proptest::option::of(text()),
    )
        .prop_map(|(external_id, title, family_name, active, emails, employee_number)| {
            let emails: Vec<Value> =
                emails.iter().map(|(v, t)| json!({"value": v, "type": t})).collect();
            json!({
                "externalId": external_id,
                "title": title,
                "name": {"familyName": family_name},
                "active": active,
                "emails": emails,
                ENTERPRISE: {"employeeNumber": employee_number},
            })
        })
}

fn comparison(names: Vec<String>) -> impl Strategy<Value = String> {
    let op = prop_oneof![
        Just("eq"),
        Just("ne"),
        Just("co"),
        Just("sw"),
        Just("ew"),
        Just("gt"),
        Just("ge"),
        Just("lt"),
        Just("le")
    ];
    (proptest::sample::select(names), op, text())
        .prop_map(|(name, op, value)| format!("{name} {op} {}", Value::from(value)))
}

fn filters(created: String) -> impl Strategy<Value = String> {
    let employee_number = format!("{ENTERPRISE}:employeeNumber");
    let names: Vec<String> = [
        "userName",
        "externalId",
        "title",
        "name.familyName",
        "emails.value",
        "emails",
        "displayName",
        "id",
        &employee_number,
    ]
    .map(str::to_owned)
    .to_vec();
    let present = names.clone();
    let meta_op = prop_oneof![Just("eq"), Just("ne"), Just("ge"), Just("lt")];
    let leaf = prop_oneof![
        6 => comparison(names),
        2 => proptest::sample::select(present).prop_map(|name| format!("{name} pr")),
        1 => prop_oneof![Just("active eq true".to_owned()), Just("active ne true".to_owned())],
        1 => meta_op.prop_map(move |op| format!("meta.created {op} \"{created}\"")),
        1 => Just("emails eq null".to_owned()),
        1 => Just("externalId ne null".to_owned()),
        2 => text().prop_map(|v| {
            format!("emails[type eq \"work\" and value eq {}]", Value::from(v))
        }),
        1 => text().prop_map(|v| {
            format!("emails[type eq \"home\" or value sw {}]", Value::from(v))
        }),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) and ({b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) or ({b})")),
            inner.prop_map(|a| format!("not ({a})")),
        ]
    })
}

fn resources(answer: &Answer) -> Vec<Value> {
    answer.body["Resources"].as_array().expect("a list").clone()
}

fn plan_equals_evaluator(app: &TestApp) {
    let mut runner = runner();
    let strategy = users();
    for n in 0..60 {
        let mut body = sample(&mut runner, &strategy);
        let name = sample(&mut runner, &text());
        body["userName"] = format!("{name}{n}").into();
        app.scim.post("/Users", body).expect(201);
        app.clock.advance(std::time::Duration::from_millis(1));
    }
    let all = resources(&app.scim.get("/Users?count=1000"));
    assert_eq!(all.len(), 60);
    let registry = Registry::builtin();
    let created = all[30]["meta"]["created"].as_str().expect("a date").to_owned();
    let strategy = filters(created);
    let mut exact = 0;
    for n in 0..FILTERS {
        let mut text = sample(&mut runner, &strategy);
        if n % 4 == 0 {
            // One user is named: the rest is decided another way.
            let name = all[n % all.len()]["userName"].clone();
            text = format!("userName eq {name} and ({text})");
        }
        let filter = parse_filter(&text, UnquotedValues::Refuse).expect(&text);
        let resolved = resolve(&filter, registry.user()).expect(&text);
        exact += usize::from(compile(&resolved, registry.user()).exact);
        let expected: BTreeSet<&str> = all
            .iter()
            .filter(|resource| resolved.matches(resource.as_object().expect("an object")))
            .filter_map(|resource| resource["id"].as_str())
            .collect();
        let answer = app.scim.get(&format!(
            "/Users?count=1000&filter={}",
            percent_encoding::utf8_percent_encode(&text, percent_encoding::NON_ALPHANUMERIC)
        ));
        let found = answer.clone().expect(200).ids();
        let found: BTreeSet<&str> = found.iter().map(String::as_str).collect();
        assert_eq!(found, expected, "{text}");
        assert_eq!(answer.total(), expected.len() as u64, "{text}");
    }
    assert!(exact > FILTERS / 8, "many filters are decided by the database alone: {exact}");
    assert!(exact < FILTERS, "and some are not");
}

fn frequent_filters_use_an_index(app: &TestApp) {
    for n in 0..300 {
        app.scim.post("/Users", user(&format!("user{n}@example.com"))).expect(201);
    }
    // Of one group every index costs the same.
    for n in 0..60 {
        app.scim.post("/Groups", group(&format!("Sales {n}"), &[])).expect(201);
    }
    app.database.analyze();
    let registry = Registry::builtin();
    for (type_name, filter, index) in [
        ("User", "userName eq \"user7@example.com\"", "resource_user_name"),
        ("User", "userName sw \"user7@example.com\"", "resource_user_name"),
        (
            "User",
            "userName eq \"user7@example.com\" and emails.value sw \"u\"",
            "resource_user_name",
        ),
        ("Group", "id eq \"7\" and members eq \"8\"", "resource_id"),
        ("User", "externalId eq \"7\"", "resource_external_id"),
        ("Group", "displayName eq \"sales\"", "resource_display"),
        ("User", "emails[type eq \"work\" and value eq \"user7@example.com\"]", "resource_attr"),
        ("User", "emails.value eq \"user7@example.com\"", "resource_attr"),
    ] {
        let resource_type = registry.by_name(type_name).expect("a type");
        let parsed = parse_filter(filter, UnquotedValues::Refuse).expect(filter);
        let predicate =
            compile(&resolve(&parsed, resource_type).expect(filter), resource_type).predicate;
        let (id, name) = (app.directory.id.clone(), type_name.to_owned());
        let service = app.service().clone();
        let plan = app.wait(async move {
            service
                .store
                .read("explain", move |tx| {
                    let row = tx.directory_get(&id)?.expect("the directory");
                    tx.resource_walk_explained(&Walk {
                        directory_key: row.key,
                        resource_type: &name,
                        predicate: &predicate,
                        order: Order::Key,
                        rising: true,
                        beyond: None,
                        offset: 0,
                        limit: 100,
                    })
                })
                .await
        });
        let plan = plan.unwrap_or_else(|error: rollbook::store::StoreError| panic!("{error}"));
        let plan = plan.join("\n");
        // SQLite does not name the index of a table without row ids.
        let named = plan.contains(index) || plan.contains("SEARCH a USING PRIMARY KEY");
        // PostgreSQL may fetch the rows of an index entry through that index, by their whole key.
        let by_whole_key = plan.contains("key = a.resource_key");
        let walks = plan.contains("INDEX resource_type (")
            || (plan.contains("using resource_type ") && !by_whole_key);
        assert!(named && !walks, "{filter}:\n{plan}");
        assert!(!plan.contains("Seq Scan") && !plan.contains("SCAN r"), "{filter}:\n{plan}");
    }
}
