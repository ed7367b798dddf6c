//! Create, read, replace and delete.

use std::time::Duration;

use serde_json::{Value, json};

use super::{ASSET, LAB, TEST, full, full_shown, load, plain, sent_part, with};
use crate::http::{NOW, create, texts};
use crate::on_both_databases;
use crate::support::TestApp;

on_both_databases![
    resource_of_an_own_type_is_created_read_replaced_and_deleted,
    create_spells_and_orders_as_the_schema_does,
    values_must_fit_their_types,
    what_is_required_must_be_there,
    unknown_attributes_are_no_part_of_the_resource,
    ids_belong_to_their_type,
    resources_are_listed_by_type,
    conditions_work_on_versions,
    own_types_tell_the_app_nothing,
    types_that_are_not_there_are_404,
];

fn resource_of_an_own_type_is_created_read_replaced_and_deleted(app: &TestApp) {
    load(app);
    let made = app.scim.post("/TestResources", plain("one")).expect(201);
    let id = made.id();
    let location = format!("{}/TestResources/{id}", app.directory.base_url);
    assert!(id.starts_with("directory_resource_"), "{id}");
    assert_eq!(made.header("location"), Some(location.as_str()));
    assert_eq!(made.header("etag"), Some("W/\"1\""));
    assert_eq!(made.header("content-type"), Some("application/scim+json"));
    let expected = json!({
        "schemas": [TEST, ASSET],
        "id": id,
        "name": "one",
        ASSET: {"tag": "tag-one"},
        "meta": {
            "resourceType": "TestResource",
            "created": NOW,
            "lastModified": NOW,
            "version": "W/\"1\"",
            "location": location,
        },
    });
    assert_eq!(made.body, expected);
    let path = format!("/testresources/{id}");
    let read = app.scim.get(&path).expect(200);
    assert_eq!(read.body, expected);
    assert_eq!(read.header("etag"), Some("W/\"1\""));

    app.clock.advance(Duration::from_secs(60));
    let same = app.scim.put(&path, read.body).expect(200);
    assert_eq!(same.body, expected);
    let replaced = app.scim.put(&path, full("two")).expect(200);
    assert_eq!(replaced.header("etag"), Some("W/\"2\""));
    assert_eq!(replaced.body["meta"]["created"], NOW);
    assert_eq!(replaced.body["meta"]["lastModified"], "2025-06-15T15:07:40.000Z");
    assert_eq!(sent_part(&app.scim.get(&path).expect(200).body), full_shown("two"));

    app.scim.delete(&path).expect(204);
    app.scim.get(&path).expect_scim_error(404, None);
    assert_eq!(app.scim.get("/TestResources").total(), 0);
    assert_eq!(app.scim.filter("/TestResources", "name eq \"two\"").total(), 0);
    // What was unique is free again.
    create(&app.scim, "/TestResources", full("two"));
}

fn create_spells_and_orders_as_the_schema_does(app: &TestApp) {
    load(app);
    let asset = ASSET.to_uppercase();
    let sent = json!({
        asset: {"OWNER": "Ada", "Tag": "t"},
        "CONTACTS": [{"TYPE": "WORK", "Value": "a"}, {"value": "a", "type": "work"}],
        "colour": "rEd", "tags": ["b", "a", "b"], "NAME": "one", "scores": [], "page": null,
        "address": {"CITY": "Bern", "Street": "Long"}, "blob": "", "schemas": [],
    });
    let made = app.scim.post("/TestResources", sent).expect(201);
    let expected = json!({
        "schemas": [TEST, ASSET],
        "name": "one",
        "colour": "Red",
        "blob": "",
        "tags": ["b", "a"],
        "address": {"street": "Long", "city": "Bern"},
        "contacts": [{"value": "a", "type": "work"}],
        ASSET: {"tag": "t", "owner": "Ada"},
    });
    assert_eq!(sent_part(&made.body).to_string(), expected.to_string());
}

fn values_must_fit_their_types(app: &TestApp) {
    load(app);
    let asset_row = format!("{ASSET}:slot.row");
    let lab_rooms = format!("{LAB}:rooms");
    for (more, path, expected) in [
        (json!({"name": 7}), "name", "a string, but the request has the number 7"),
        (json!({"flag": "yes"}), "flag", "true or false, but the request has the string \"yes\""),
        (json!({"ratio": true}), "ratio", "a number, but the request has the boolean true"),
        (json!({"count": 1.5}), "count", "a whole number, but the request has the number 1.5"),
        (
            json!({"since": "soon"}),
            "since",
            "a date and time such as \"2021-06-25T19:07:33Z\", but the request has the string \
             \"soon\"",
        ),
        (json!({"blob": "é"}), "blob", "base64 text, but the request has the string \"é\""),
        (json!({"page": "a b"}), "page", "a URI, but the request has the string \"a b\""),
        (json!({"tags": "x"}), "tags", "an array, but the request has the string \"x\""),
        (json!({"scores": [1, "2"]}), "scores", "a whole number, but the request has the string"),
        (json!({"address": "x"}), "address", "an object, but the request has the string \"x\""),
        (json!({"contacts": ["x", [1]]}), "contacts", "an object, but the request has an array"),
        (
            json!({"contacts": [{"value": "a", "rank": "1"}]}),
            "contacts.rank",
            "a whole number, but the request has the string \"1\"",
        ),
        (
            json!({ASSET: {"tag": "t", "slot": {"row": "1"}}}),
            &asset_row,
            "a whole number, but the request has the string \"1\"",
        ),
        (json!({LAB: {"rooms": 1}}), &lab_rooms, "an array, but the request has the number 1"),
        (json!({LAB: [1]}), LAB, "an object, but the request has an array"),
    ] {
        let answer = app.scim.post("/TestResources", with("one", more.clone()));
        let detail = answer.expect_scim_error(400, Some("invalidValue"));
        let sentence = format!("The attribute \"{path}\" must be {expected}");
        assert!(detail.starts_with(&sentence), "{more}: {detail}");
    }
    assert_eq!(app.scim.get("/TestResources").total(), 0);
}

fn what_is_required_must_be_there(app: &TestApp) {
    load(app);
    let tag = format!("{ASSET}:tag");
    for (sent, path) in [
        (json!({"schemas": [TEST], ASSET: {"tag": "t"}}), "name"),
        (json!({"schemas": [TEST], "name": null, ASSET: {"tag": "t"}}), "name"),
        (json!({"schemas": [TEST], "name": "one"}), ASSET),
        (json!({"schemas": [TEST, ASSET], "name": "one", ASSET: {}}), ASSET),
        (json!({"schemas": [TEST, ASSET], "name": "one", ASSET: {"owner": "a"}}), &tag),
        (with("one", json!({"contacts": [{"type": "work"}]})), "contacts.value"),
    ] {
        let detail = app
            .scim
            .post("/TestResources", sent.clone())
            .expect_scim_error(400, Some("invalidValue"));
        let sentence =
            format!("The attribute \"{path}\" is required, but the resource has no value for it.");
        assert_eq!(detail, sentence, "{sent}");
    }
    let path = format!("/TestResources/{}", create(&app.scim, "/TestResources", plain("one")));
    let without = json!({"schemas": [TEST], "name": "one"});
    app.scim.put(&path, without).expect_scim_error(400, Some("invalidValue"));
    assert_eq!(app.scim.get(&path).expect(200).header("etag"), Some("W/\"1\""));
}

fn unknown_attributes_are_no_part_of_the_resource(app: &TestApp) {
    load(app);
    let sent =
        with("one", json!({"hat": 1, "urn:x:y": {"a": 1}, "userName": "u", "active": false}));
    let made = app.scim.post("/TestResources", sent).expect(201);
    assert_eq!(sent_part(&made.body), plain("one"));
}

fn ids_belong_to_their_type(app: &TestApp) {
    load(app);
    let user = create(&app.scim, "/Users", json!({"userName": "ada"}));
    let own = create(&app.scim, "/TestResources", plain("one"));
    app.scim.get(&format!("/TestResources/{user}")).expect_scim_error(404, None);
    app.scim.get(&format!("/Users/{own}")).expect_scim_error(404, None);
    app.scim.delete(&format!("/Groups/{own}")).expect_scim_error(404, None);
    app.scim.put(&format!("/TestResources/{user}"), plain("x")).expect_scim_error(404, None);
    app.scim.get(&format!("/TestResources/{own}")).expect(200);
}

fn resources_are_listed_by_type(app: &TestApp) {
    load(app);
    create(&app.scim, "/Users", json!({"userName": "ada"}));
    for name in ["c", "a", "b"] {
        create(&app.scim, "/TestResources", plain(name));
    }
    let list = app.scim.get("/TestResources");
    assert_eq!(texts(&list, "name"), ["c", "a", "b"]);
    let page = app.scim.get("/TestResources?startIndex=2&count=1");
    assert_eq!((page.total(), texts(&page, "name")), (3, vec!["a".to_owned()]));
    assert_eq!(app.scim.get("/Users").total(), 1);
    let full = app.scim.get("/TestResources?count=0").expect(200);
    assert_eq!(full.body["Resources"], json!([]));
}

fn conditions_work_on_versions(app: &TestApp) {
    load(app);
    let path = format!("/TestResources/{}", create(&app.scim, "/TestResources", plain("one")));
    let send = |method: &str, tag: &str, body: Option<Value>| {
        let header = if method == "GET" { "If-None-Match" } else { "If-Match" };
        app.scim.send(method, &path, &[(header, tag)], body.map(|body| body.to_string()))
    };
    assert_eq!(send("GET", "W/\"1\"", None).status, 304);
    send("PUT", "W/\"2\"", Some(plain("two"))).expect_scim_error(412, None);
    send("DELETE", "W/\"2\"", None).expect_scim_error(412, None);
    send("PUT", "W/\"1\"", Some(plain("two"))).expect(200);
    assert_eq!(send("GET", "W/\"1\"", None).status, 200);
    send("DELETE", "W/\"2\"", None).expect(204);
}

fn own_types_tell_the_app_nothing(app: &TestApp) {
    load(app);
    let path = format!("/TestResources/{}", create(&app.scim, "/TestResources", full("one")));
    app.scim.put(&path, full("one")).expect(200);
    app.scim.delete(&path).expect(204);
    assert_eq!(app.event_names(&app.directory), Vec::<String>::new());
}

fn types_that_are_not_there_are_404(app: &TestApp) {
    app.scim.get("/TestResources").expect_scim_error(404, None);
    load(app);
    app.scim.get("/TestResources").expect(200);
    app.scim.get("/TestResource").expect_scim_error(404, None);
    let path = format!("/api/v1/directories/{}/schemas", app.directory.id);
    app.api.put(&path, json!({})).expect(200);
    app.scim.get("/TestResources").expect_scim_error(404, None);
    app.scim.post("/TestResources", plain("one")).expect_scim_error(404, None);
}
