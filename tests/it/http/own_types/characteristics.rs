//! Every characteristic of RFC 7643 §7.

use std::time::Duration;

use serde_json::{Value, json};

use super::{ASSET, LAB, TEST, document, full, full_shown, load, plain, sent_part, take, with};
use crate::http::create;
use crate::on_both_databases;
use crate::support::{Answer, TestApp, patch};

on_both_databases![
    discovery_shows_the_schemas_as_they_were_put,
    what_is_never_returned_is_never_shown,
    hidden_values_survive_a_put_that_cannot_know_them,
    immutable_values_survive_a_put_and_are_not_changed_by_one,
    read_only_values_are_passed_over,
    canonical_values_give_the_spelling_and_allow_others,
    letter_case_counts_where_the_schema_says_so,
    unique_values_are_unique,
];

/// A schema as `/Schemas` shows it: with every characteristic, without what is ours.
fn written_out(attributes: &Value) -> Value {
    let each = attributes.as_array().expect("a list").iter();
    each.map(|attribute| {
        let mut whole = json!({
            "name": null, "type": null, "multiValued": false, "description": "", "required": false,
            "caseExact": false, "mutability": "readWrite", "returned": "default",
            "uniqueness": "none",
        });
        super::merge(&mut whole, attribute.clone());
        take(&mut whole, "/indexed");
        if let Some(subs) = attribute.get("subAttributes") {
            whole["subAttributes"] = written_out(subs);
        }
        whole
    })
    .collect()
}

fn discovery_shows_the_schemas_as_they_were_put(app: &TestApp) {
    load(app);
    let base = &app.directory.base_url;
    let listed = app.scim.get("/Schemas").expect(200);
    let put = document();
    for schema in put["schemas"].as_array().expect("a list") {
        let id = schema["id"].as_str().expect("text");
        let expected = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
            "id": id,
            "name": schema["name"],
            "description": schema["description"],
            "attributes": written_out(&schema["attributes"]),
            "meta": {"resourceType": "Schema", "location": format!("{base}/Schemas/{id}")},
        });
        let one = app.scim.get(&format!("/Schemas/{id}")).expect(200);
        assert_eq!(one.body, expected);
        assert!(!one.text.contains("indexed"), "{}", one.text);
        let list = listed.body["Resources"].as_array().expect("a list");
        assert_eq!(list.iter().filter(|listed| **listed == expected).count(), 1, "{id}");
    }
    assert_eq!(listed.total(), 6);
    let expected = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
        "id": "TestResource",
        "name": "TestResource",
        "endpoint": "/TestResources",
        "description": "Test resources",
        "schema": TEST,
        "schemaExtensions": [
            {"schema": ASSET, "required": true}, {"schema": LAB, "required": false},
        ],
        "meta": {
            "resourceType": "ResourceType",
            "location": format!("{base}/ResourceTypes/TestResource"),
        },
    });
    assert_eq!(app.scim.get("/ResourceTypes/testresource").expect(200).body, expected);
    let types = app.scim.get("/ResourceTypes").expect(200);
    assert_eq!(types.body["Resources"][2], expected);
    assert_eq!(types.total(), 3);
    // What was put is there to be read again.
    let path = format!("/api/v1/directories/{}/schemas", app.directory.id);
    assert_eq!(app.api.get(&path).expect(200).body, document());
}

const HIDDEN: [&str; 4] = ["hidden-secret", "hidden-lock", "hidden-key", "987654321"];

#[track_caller]
fn assert_hides(answer: &Answer) {
    for hidden in HIDDEN {
        assert!(!answer.text.contains(hidden), "{}", answer.text);
    }
    let headers = answer.headers.values().any(|value| HIDDEN.iter().any(|h| value.contains(h)));
    assert!(!headers);
}

fn what_is_never_returned_is_never_shown(app: &TestApp) {
    load(app);
    let names = format!("attributes=secret,pin,address.lock,address,{LAB}:key,{LAB}");
    let made = app.scim.post(&format!("/TestResources?{names}"), full("one")).expect(201);
    let path = format!("/TestResources/{}", made.id());
    assert_hides(&made);
    assert_hides(&app.scim.put(&path, full("one")).expect(200));
    for query in ["", "?attributes=secret", "?excludedAttributes=name", &format!("?{names}")] {
        assert_hides(&app.scim.get(&format!("{path}{query}")).expect(200));
        assert_hides(&app.scim.get(&format!("/TestResources{query}")).expect(200));
    }
    let hidden = [
        ("secret", json!("hidden-secret")),
        ("pin", json!(987_654_321)),
        ("address", json!({"lock": "hidden-lock"})),
        (LAB, json!({"key": "hidden-key"})),
    ];
    for (path_text, value) in hidden {
        let operations = json!([{"op": "add", "path": path_text, "value": value}]);
        let answer = app.scim.patch(&format!("{path}?{names}"), patch(operations)).expect(200);
        assert_hides(&answer);
        let operations = json!([{"op": "add", "value": {path_text: value}}]);
        assert_hides(&app.scim.patch(&path, patch(operations)).expect(200));
    }
    // Errors neither: of a value of the wrong type, and of a filter in a path.
    for body in [
        with("two", json!({"secret": ["hidden-secret"]})),
        with("two", json!({"pin": "987654321"})),
        with("two", json!({"address": {"lock": ["hidden-lock"]}})),
        with("two", json!({LAB: {"key": "hidden-key\u{1}"}})),
    ] {
        let answer = app.scim.post("/TestResources", body);
        assert_hides(&answer);
        let detail = answer.expect_scim_error(400, Some("invalidValue"));
        assert!(detail.contains("is never returned, so its value is not shown"), "{detail}");
    }
    let operations = json!([{"op": "replace", "path": "pin", "value": "987654321"}]);
    let answer = app.scim.patch(&path, patch(operations));
    assert_hides(&answer);
    answer.expect_scim_error(400, Some("invalidValue"));
    let filter = "address[lock eq \"x\"].street";
    let operations = json!([{"op": "replace", "path": filter, "value": "x"}]);
    app.scim.patch(&path, patch(operations)).expect_scim_error(400, Some("invalidPath"));
}

fn hidden_values_survive_a_put_that_cannot_know_them(app: &TestApp) {
    load(app);
    let made = app.scim.post("/TestResources", full("one")).expect(201);
    let path = format!("/TestResources/{}", made.id());
    let before = stored(app, &made.id());
    // A client sends back what it was shown.
    let shown = app.scim.get(&path).expect(200);
    let answer = app.scim.put(&path, shown.body).expect(200);
    assert_eq!(answer.header("etag"), Some("W/\"1\""));
    assert_eq!(stored(app, &made.id()), before);
    // What it takes away takes its hidden parts along; what it never saw stays.
    app.scim.put(&path, plain("one")).expect(200);
    let left = stored(app, &made.id());
    assert_eq!(left["secret"], "hidden-secret");
    assert_eq!(left["pin"], 987_654_321);
    assert_eq!(left[LAB], json!({"hint": "Hint", "key": "hidden-key"}));
    assert_eq!(left.get("address"), None);
    // Null says that it is to go.
    let gone = with("one", json!({"secret": null, "pin": null, LAB: {"key": null, "hint": null}}));
    app.scim.put(&path, gone).expect(200);
}

/// The document as it is stored.
fn stored(app: &TestApp, id: &str) -> Value {
    let (directory, id) = (app.directory.id.clone(), id.to_owned());
    let service = app.service().clone();
    let row = app.wait(async move {
        service
            .store
            .read("stored", move |tx| {
                let directory = tx.directory_get(&directory)?.expect("the directory");
                tx.resource_get(directory.key, "TestResource", &id)
            })
            .await
    });
    let row = row.unwrap_or_else(|error: rollbook::store::StoreError| panic!("{error}"));
    serde_json::from_str(&row.expect("the resource").doc).expect("JSON")
}

fn immutable_values_survive_a_put_and_are_not_changed_by_one(app: &TestApp) {
    load(app);
    let made = app.scim.post("/TestResources", full("one")).expect(201);
    let path = format!("/TestResources/{}", made.id());
    let changes: [(&str, String); 4] = [
        ("/serial", "serial".into()),
        ("/address/plot", "address.plot".into()),
        (&format!("/{ASSET}/owner"), format!("{ASSET}:owner")),
        (&format!("/{ASSET}/slot/seal"), format!("{ASSET}:slot.seal")),
    ];
    for (pointer, named) in &changes {
        let mut body = full("one");
        *body.pointer_mut(pointer).expect("a value") = json!("other");
        let detail = app.scim.put(&path, body).expect_scim_error(400, Some("mutability"));
        let sentence =
            format!("The attribute \"{named}\" is immutable and already has another value.");
        assert_eq!(detail, sentence);
    }
    let mut body = full("one");
    for (pointer, _) in &changes {
        take(&mut body, pointer);
    }
    let answer = app.scim.put(&path, body).expect(200);
    assert_eq!(answer.header("etag"), Some("W/\"1\""));
    assert_eq!(sent_part(&app.scim.get(&path).expect(200).body), full_shown("one"));
    // One that has no value may get one, once.
    let path = format!("/TestResources/{}", create(&app.scim, "/TestResources", plain("two")));
    let set = with("two", json!({ASSET: {"tag": "t", "owner": "Ada"}}));
    assert_eq!(app.scim.put(&path, set).expect(200).body[ASSET]["owner"], "Ada");
    let other = with("two", json!({ASSET: {"tag": "t", "owner": "Eve"}}));
    app.scim.put(&path, other).expect_scim_error(400, Some("mutability"));
}

fn read_only_values_are_passed_over(app: &TestApp) {
    load(app);
    let sent = with("one", json!({"level": 7, "address": {"city": "Bern", "floor": 3}, "id": "x"}));
    let made = app.scim.post("/TestResources", sent.clone()).expect(201);
    assert_eq!(sent_part(&made.body), with("one", json!({"address": {"city": "Bern"}})));
    let path = format!("/TestResources/{}", made.id());
    assert_eq!(app.scim.put(&path, sent).expect(200).body, made.body);
    let operations = json!([{"op": "replace", "value": {"level": 7, "address": {"floor": 3}}}]);
    assert_eq!(app.scim.patch(&path, patch(operations)).expect(200).body, made.body);
}

fn canonical_values_give_the_spelling_and_allow_others(app: &TestApp) {
    load(app);
    for (index, (sent, stored)) in
        [("rEd", "Red"), ("GREEN", "Green"), ("Violet", "Violet")].into_iter().enumerate()
    {
        let more = json!({"colour": sent, "contacts": [{"value": "a", "type": "WORK"}]});
        let made = app.scim.post("/TestResources", with(&index.to_string(), more)).expect(201);
        assert_eq!(made.body["colour"], stored);
        assert_eq!(made.body["contacts"][0]["type"], "work");
    }
}

fn letter_case_counts_where_the_schema_says_so(app: &TestApp) {
    load(app);
    for (name, code) in [("one", "abc"), ("two", "ABC")] {
        create(&app.scim, "/TestResources", with(name, json!({"code": code, "label": code})));
    }
    assert_eq!(app.scim.filter("/TestResources", "code eq \"abc\"").total(), 1);
    assert_eq!(app.scim.filter("/TestResources", "label eq \"abc\"").total(), 2);
}

fn unique_values_are_unique(app: &TestApp) {
    load(app);
    app.clock.advance(Duration::from_secs(1));
    let ada = create(&app.scim, "/TestResources", full("one"));
    let tag = format!("{ASSET}:tag");
    let conflict = |answer: Answer, named: &str| {
        let detail = answer.expect_scim_error(409, Some("uniqueness"));
        let sentence = format!(
            "The attribute \"{named}\" has a value that another resource of this directory has; it \
             must be unique."
        );
        assert_eq!(detail, sentence);
    };
    conflict(app.scim.post("/TestResources", with("ONE ", json!({ASSET: {"tag": "x"}}))), "name");
    conflict(app.scim.post("/TestResources", with("x", json!({"serial": "S-one"}))), "serial");
    let taken = with("x", json!({ASSET: {"tag": "TAG-one"}}));
    conflict(app.scim.post("/TestResources", taken), &tag);
    assert_eq!(app.scim.get("/TestResources").total(), 1);
    // Another letter case is another value where case counts.
    let two = create(&app.scim, "/TestResources", with("two", json!({"serial": "s-ONE"})));
    let path = format!("/TestResources/{two}");
    conflict(app.scim.put(&path, with("one", json!({"serial": "s-ONE"}))), "name");
    let operations = json!([{"op": "replace", "path": tag, "value": "tag-ONE"}]);
    conflict(app.scim.patch(&path, patch(operations)), &tag);
    assert_eq!(app.scim.get(&path).expect(200).header("etag"), Some("W/\"1\""));
    // The own value is no conflict, and a value that is given up is free.
    let path = format!("/TestResources/{ada}");
    let mut renamed = full("one");
    renamed["name"] = json!("ONE");
    app.scim.put(&path, renamed.clone()).expect(200);
    renamed["name"] = json!("three");
    app.scim.put(&path, renamed).expect(200);
    create(&app.scim, "/TestResources", with("one", json!({ASSET: {"tag": "free"}})));
}
