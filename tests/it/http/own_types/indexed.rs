//! Indexed attributes of every type: found by the index, and the plan gives what the evaluator gives.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use rollbook::scim::filter::{UnquotedValues, parse_filter, resolve};
use rollbook::store::StoreError;
use rollbook::store::list::{Order, Walk};
use rollbook::store::plan::compile;

use super::{ASSET, LAB, encode, load, plain, test_resource, with};
use crate::http::create;
use crate::on_both_databases;
use crate::support::TestApp;

on_both_databases![plan_equals_evaluator, indexed_attributes_are_found_by_their_index];

/// Filters per run.
const FILTERS: usize = 300;

fn sample<T: std::fmt::Debug>(runner: &mut TestRunner, strategy: &impl Strategy<Value = T>) -> T {
    strategy.new_tree(runner).expect("a value").current()
}

fn text() -> impl Strategy<Value = Value> {
    let long = |end: &str| json!(format!("{}{end}", "x".repeat(299)));
    proptest::sample::select(vec![
        json!("a"),
        json!("A"),
        json!("ab"),
        json!("aB c"),
        json!("b"),
        json!("Ä"),
        json!("a\u{308}"),
        json!(" "),
        json!(""),
        long("x"),
        long("y"),
    ])
}

fn integer() -> impl Strategy<Value = Value> {
    proptest::sample::select(vec![json!(-3), json!(0), json!(7), json!(i64::MAX), json!(i64::MIN)])
}

fn decimal() -> impl Strategy<Value = Value> {
    proptest::sample::select(vec![
        json!(-3),
        json!(-0.5),
        json!(0),
        json!(0.0),
        json!(2.5),
        json!(1e9),
    ])
}

fn boolean() -> impl Strategy<Value = Value> {
    any::<bool>().prop_map(Value::from)
}

fn instant() -> impl Strategy<Value = Value> {
    proptest::sample::select(vec![
        json!("2021-06-25T19:07:33Z"),
        json!("2021-06-25T21:07:33+02:00"),
        json!("2021-06-25T19:07:33.001Z"),
        json!("1969-12-31T23:59:59Z"),
        json!("2021-01-01T00:00:00Z"),
    ])
}

fn maybe(strategy: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    proptest::option::of(strategy).prop_map(Value::from)
}

fn many(strategy: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    proptest::collection::vec(strategy, 0..3).prop_map(Value::from)
}

fn resources() -> impl Strategy<Value = Value> {
    let contact = (text(), maybe(boolean()), maybe(integer()))
        .prop_map(|(value, primary, rank)| {
            json!({"value": value, "type": "work", "primary": primary, "rank": rank})
        });
    let simple =
        (maybe(text()), maybe(boolean()), maybe(decimal()), maybe(integer()), maybe(instant()));
    (simple, many(text()), many(integer()), maybe(text()), many(contact), maybe(instant()))
        .prop_map(
            |((code, flag, ratio, count, since), tags, scores, city, mut contacts, opened)| {
                let mut primaries = 0;
                for contact in contacts.as_array_mut().expect("a list") {
                    primaries += usize::from(contact["primary"] == true);
                    if primaries > 1 {
                        contact["primary"] = json!(false);
                    }
                }
                json!({
                    "code": code, "flag": flag, "ratio": ratio, "count": count, "since": since,
                    "tags": tags, "scores": scores, "address": {"city": city}, "contacts": contacts,
                    LAB: {"opened": opened},
                })
            },
        )
}

fn comparison(
    name: &'static str,
    ops: &'static [&'static str],
    value: impl Strategy<Value = Value> + 'static,
) -> BoxedStrategy<String> {
    let name = name.replace("LAB", LAB).replace("ASSET", ASSET);
    (proptest::sample::select(ops), value)
        .prop_map(move |(op, value)| match op {
            "pr" => format!("{name} pr"),
            op => format!("{name} {op} {value}"),
        })
        .boxed()
}

fn filters() -> impl Strategy<Value = String> {
    const TEXT: &[&str] = &["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le", "pr"];
    const ORDER: &[&str] = &["eq", "ne", "gt", "ge", "lt", "le", "pr"];
    const EQUAL: &[&str] = &["eq", "ne", "pr"];
    let element = (text(), prop_oneof![Just("and"), Just("or")], integer()).prop_map(
        |(value, word, rank)| format!("contacts[value eq {value} {word} rank ge {rank}]"),
    );
    let leaf = prop_oneof![
        comparison("code", TEXT, text()),
        comparison("name", TEXT, text()),
        comparison("tags", TEXT, text()),
        comparison("address.city", TEXT, text()),
        comparison("contacts", TEXT, text()),
        comparison("contacts.value", TEXT, text()),
        comparison("ASSET:tag", TEXT, text()),
        comparison("flag", EQUAL, boolean()),
        comparison("contacts.primary", EQUAL, boolean()),
        comparison("ratio", ORDER, decimal()),
        comparison("count", ORDER, integer()),
        comparison("scores", ORDER, integer()),
        comparison("contacts.rank", ORDER, integer()),
        comparison("since", ORDER, instant()),
        comparison("LAB:opened", ORDER, instant()),
        comparison("count", &["eq", "ne"], Just(Value::Null)),
        element.boxed(),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) and ({b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) or ({b})")),
            inner.prop_map(|a| format!("not ({a})")),
        ]
    })
}

fn plan_equals_evaluator(app: &TestApp) {
    load(app);
    // The same filters and documents in every run: a failure can be looked at again.
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[9; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let strategy = resources();
    for n in 0..50 {
        let body = sample(&mut runner, &strategy);
        create(&app.scim, "/TestResources", with(&format!("a{n}"), body));
    }
    let all = app.scim.get("/TestResources?count=1000").expect(200);
    let all = all.body["Resources"].as_array().expect("a list").clone();
    assert_eq!(all.len(), 50);
    let resource_type = test_resource();
    let strategy = filters();
    let mut exact = 0;
    for _ in 0..FILTERS {
        let text = sample(&mut runner, &strategy);
        let filter = parse_filter(&text, UnquotedValues::Refuse).expect(&text);
        let resolved = resolve(&filter, &resource_type).expect(&text);
        exact += usize::from(compile(&resolved, &resource_type).exact);
        let expected: BTreeSet<&str> = all
            .iter()
            .filter(|resource| resolved.matches(resource.as_object().expect("an object")))
            .filter_map(|resource| resource["id"].as_str())
            .collect();
        let path = format!("/TestResources?count=1000&filter={}", encode(&text));
        let answer = app.scim.get(&path).expect(200);
        let found = answer.ids();
        let found: BTreeSet<&str> = found.iter().map(String::as_str).collect();
        assert_eq!(found, expected, "{text}");
        assert_eq!(answer.total(), expected.len() as u64, "{text}");
    }
    assert!(exact > FILTERS / 4, "many filters are decided by the database alone: {exact}");
    assert!(exact < FILTERS, "and some are not");
}

fn indexed_attributes_are_found_by_their_index(app: &TestApp) {
    load(app);
    for n in 0..300 {
        let body = with(
            &format!("n{n}"),
            json!({
                "code": format!("c{n}"), "flag": n == 7, "ratio": n, "count": n,
                "since": format!("2021-01-01T00:{:02}:{:02}Z", n / 60, n % 60),
                "tags": [format!("t{n}")], "scores": [n], "address": {"city": format!("y{n}")},
                "contacts": [{"value": format!("v{n}"), "rank": n, "primary": n == 7}],
                LAB: {"opened": format!("2021-01-01T00:{:02}:{:02}Z", n / 60, n % 60)},
            }),
        );
        create(&app.scim, "/TestResources", body);
    }
    app.database.analyze();
    let (tag, opened) = (format!("{ASSET}:tag"), format!("{LAB}:opened"));
    for filter in [
        "name eq \"n7\"",
        "code eq \"c7\"",
        "flag eq true",
        "ratio eq 7",
        "count eq 7",
        "since eq \"2021-01-01T00:00:07Z\"",
        "tags eq \"t7\"",
        "scores eq 7",
        "address.city eq \"y7\"",
        "contacts eq \"v7\"",
        "contacts.value sw \"v77\"",
        "contacts[value eq \"v7\" and rank gt 1]",
        "contacts.rank eq 7",
        "contacts.primary eq true",
        &format!("{tag} eq \"tag-n7\""),
        &format!("{opened} eq \"2021-01-01T00:00:07Z\""),
    ] {
        assert_eq!(app.scim.filter("/TestResources", filter).total(), 1, "{filter}");
        let plan = explained(app, filter);
        // SQLite does not name the index of a table without row ids.
        let named = plan.contains("resource_attr") || plan.contains("SEARCH a USING PRIMARY KEY");
        let by_whole_key = plan.contains("key = a.resource_key");
        let walks = plan.contains("INDEX resource_type (")
            || (plan.contains("using resource_type ") && !by_whole_key);
        assert!(named && !walks, "{filter}:\n{plan}");
        assert!(!plan.contains("Seq Scan") && !plan.contains("SCAN r"), "{filter}:\n{plan}");
    }
    // How many a range holds is an estimate, and with it whether rows are then read one by one.
    for filter in ["since lt \"2021-01-01T00:00:01Z\"", "count ge 299", "ratio lt 1"] {
        assert_eq!(app.scim.filter("/TestResources", filter).total(), 1, "{filter}");
        let plan = explained(app, filter);
        let named = plan.contains("resource_attr") || plan.contains("SEARCH a USING PRIMARY KEY");
        assert!(named, "{filter}:\n{plan}");
    }
    assert_eq!(app.scim.filter("/TestResources", "label eq \"x\"").total(), 0);
    let plan = explained(app, "label eq \"x\"");
    assert!(!plan.contains("resource_attr"), "no index was asked for:\n{plan}");
    create(&app.scim, "/TestResources", plain("last"));
}

/// How the database looks for what the filter names.
fn explained(app: &TestApp, filter: &str) -> String {
    let resource_type = test_resource();
    let parsed = parse_filter(filter, UnquotedValues::Refuse).expect(filter);
    let resolved = resolve(&parsed, &resource_type).expect(filter);
    let predicate = compile(&resolved, &resource_type).predicate;
    let (id, service) = (app.directory.id.clone(), app.service().clone());
    let plan: Result<Vec<String>, StoreError> = app.wait(async move {
        service
            .store
            .read("explain", move |tx| {
                let row = tx.directory_get(&id)?.expect("the directory");
                tx.resource_walk_explained(&Walk {
                    directory_key: row.key,
                    resource_type: "TestResource",
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
    plan.expect("a plan").join("\n")
}
