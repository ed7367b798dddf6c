//! PATCH on every shape, on base and extensions.

use std::time::Duration;

use serde_json::{Value, json};

use super::{ASSET, LAB, TEST, full, full_shown, load, plain, sent_part};
use crate::http::create;
use crate::on_both_databases;
use crate::support::{TestApp, patch};

on_both_databases![
    add_sets_every_shape,
    replace_sets_every_shape,
    remove_takes_away_every_shape,
    operations_without_a_path_name_their_attributes,
    add_to_a_resource_without_values_makes_them,
    immutable_values_are_set_once,
    read_only_and_required_values_are_refused,
    values_that_do_not_fit_are_refused_and_undo_the_rest,
    patch_that_changes_nothing_keeps_the_version,
    extension_comes_and_goes_with_its_schema,
];

/// Applies each row's operation to a fresh resource with a value everywhere; the pointer then shows
/// the value, and nothing else has changed.
fn assert_each(app: &TestApp, table: &[(Value, &str, Value)]) {
    load(app);
    for (index, (operation, pointer, expected)) in table.iter().enumerate() {
        let name = format!("r{index}");
        let id = create(&app.scim, "/TestResources", full(&name));
        let path = format!("/TestResources/{id}");
        let answer = app.scim.patch(&path, patch(json!([operation]))).expect(200);
        assert_eq!(answer.header("etag"), Some("W/\"2\""), "{operation}");
        let read = app.scim.get(&path).expect(200);
        let found = |body: &Value| body.pointer(pointer).cloned().unwrap_or(Value::Null);
        assert_eq!(found(&read.body), *expected, "{operation} in {}", read.text);
        let (mut before, mut after) = (full_shown(&name), sent_part(&read.body));
        let top = format!("/{}", pointer.split('/').nth(1).unwrap_or_default());
        for body in [&mut before, &mut after] {
            super::take(body, &top);
            super::take(body, "/schemas");
        }
        assert_eq!(after, before, "{operation}");
    }
}

fn op(op: &str, path: &str, value: Value) -> Value {
    let path = path.replace("ASSET", ASSET).replace("LAB", LAB).replace("TEST", TEST);
    json!({"op": op, "path": path, "value": value})
}

fn work() -> Value {
    json!({
        "value": "w@example.com", "type": "work", "primary": true, "rank": 1, "$ref": "../Users/1",
    })
}

fn home() -> Value {
    json!({"value": "h@example.com", "type": "home", "rank": 2})
}

fn asset(pointer: &str) -> String {
    format!("/{ASSET}{pointer}")
}

fn lab(pointer: &str) -> String {
    format!("/{LAB}{pointer}")
}

fn add_sets_every_shape(app: &TestApp) {
    let other = json!({"value": "o@example.com", "primary": true});
    let work_no_more = {
        let mut work = work();
        work["primary"] = json!(false);
        work
    };
    assert_each(
        app,
        &[
            (op("add", "name", json!("new")), "/name", json!("new")),
            (op("add", "COLOUR", json!("BLUE")), "/colour", json!("Blue")),
            (op("add", "flag", json!(false)), "/flag", json!(false)),
            (op("add", "ratio", json!(2)), "/ratio", json!(2)),
            (op("add", "TEST:count", json!(7)), "/count", json!(7)),
            (
                op("add", "since", json!("2000-01-01T00:00:00Z")),
                "/since",
                json!("2000-01-01T00:00:00Z"),
            ),
            (op("add", "blob", json!("AA==")), "/blob", json!("AA==")),
            (op("add", "page", json!("../x")), "/page", json!("../x")),
            (op("add", "tags", json!(["three"])), "/tags", json!(["One", "two", "three"])),
            (op("add", "tags", json!("three")), "/tags", json!(["One", "two", "three"])),
            (op("add", "scores", json!([3, 4])), "/scores", json!([3, -7, 4])),
            (op("add", "ratios", json!([3.5])), "/ratios", json!([0.5, 2, 3.5])),
            (op("add", "blobs", json!("Aw==")), "/blobs", json!(["AQ==", "Ag==", "Aw=="])),
            (
                op("add", "address", json!({"city": "Basel"})),
                "/address",
                json!({"street": "Long Street 1", "city": "Basel", "plot": "P1"}),
            ),
            (op("add", "address.street", json!("Short")), "/address/street", json!("Short")),
            (
                op("add", "contacts", json!([other])),
                "/contacts",
                json!([work_no_more, home(), other]),
            ),
            (
                op("add", "contacts[type eq \"home\"].rank", json!(9)),
                "/contacts/1",
                json!({"value": "h@example.com", "type": "home", "rank": 9}),
            ),
            (op("add", "ASSET:tag", json!("new")), &asset("/tag"), json!("new")),
            (
                op("add", "ASSET:slot.row", json!(9)),
                &asset("/slot"),
                json!({"row": 9, "seal": "S"}),
            ),
            (op("add", "LAB:rooms", json!([3])), &lab("/rooms"), json!([1, 2, 3])),
            (op("add", "LAB", json!({"rooms": [9]})), &lab("/rooms"), json!([1, 2, 9])),
        ],
    );
}

fn replace_sets_every_shape(app: &TestApp) {
    let other = json!({"value": "o@example.com"});
    assert_each(
        app,
        &[
            (op("replace", "code", json!("X")), "/code", json!("X")),
            (op("replace", "flag", json!("False")), "/flag", json!(false)),
            (op("replace", "count", json!(-1)), "/count", json!(-1)),
            (op("replace", "count", json!(null)), "/count", json!(null)),
            (op("replace", "tags", json!(["x"])), "/tags", json!(["x"])),
            (op("replace", "tags", json!([])), "/tags", json!(null)),
            (op("replace", "tags[value eq \"two\"]", json!("x")), "/tags", json!(["One", "x"])),
            (
                op("replace", "dates", json!(["2000-01-01T00:00:00Z"])),
                "/dates",
                json!(["2000-01-01T00:00:00Z"]),
            ),
            (
                op("replace", "address", json!({"street": "S"})),
                "/address",
                json!({"street": "S", "city": "Bern", "plot": "P1"}),
            ),
            (op("replace", "contacts", json!([other])), "/contacts", json!([other])),
            (
                op("replace", "contacts[rank gt 1].type", json!("WORK")),
                "/contacts/1/type",
                json!("work"),
            ),
            (
                op("replace", "contacts[type eq \"home\"]", json!({"value": "n", "type": "home"})),
                "/contacts/1",
                json!({"value": "n", "type": "home"}),
            ),
            (
                op("replace", "contacts[type eq \"home\"].primary", json!(true)),
                "/contacts/0/primary",
                json!(false),
            ),
            (
                op("replace", "ASSET:slot", json!({"row": 5})),
                &asset("/slot"),
                json!({"row": 5, "seal": "S"}),
            ),
            (
                op("replace", "LAB:opened", json!("2001-01-01T00:00:00Z")),
                &lab("/opened"),
                json!("2001-01-01T00:00:00Z"),
            ),
            (op("replace", "LAB", json!({"rooms": [9]})), &lab("/rooms"), json!([9])),
        ],
    );
}

fn remove_takes_away_every_shape(app: &TestApp) {
    let remove = |path: &str| op("remove", path, json!(null));
    assert_each(
        app,
        &[
            (remove("code"), "/code", json!(null)),
            (remove("flag"), "/flag", json!(null)),
            (remove("tags"), "/tags", json!(null)),
            (remove("tags[value eq \"one\"]"), "/tags", json!(["two"])),
            (op("remove", "tags", json!(["two"])), "/tags", json!(["One"])),
            (op("remove", "scores", json!([3])), "/scores", json!([-7])),
            (remove("scores[value lt 0]"), "/scores", json!([3])),
            (remove("address.city"), "/address", json!({"street": "Long Street 1", "plot": "P1"})),
            (remove("contacts[type eq \"work\"]"), "/contacts", json!([home()])),
            (
                remove("contacts[type eq \"home\"].rank"),
                "/contacts/1",
                json!({"value": "h@example.com", "type": "home"}),
            ),
            (remove("contacts.type"), "/contacts/1", json!({"value": "h@example.com", "rank": 2})),
            (
                op("remove", "contacts", json!([{"value": "h@example.com"}])),
                "/contacts",
                json!([work()]),
            ),
            (remove("ASSET:slot.row"), &asset("/slot"), json!({"seal": "S"})),
            (remove("LAB:rooms[value eq 1]"), &lab("/rooms"), json!([2])),
            (remove("LAB:opened"), &lab("/opened"), json!(null)),
            (remove("LAB"), &lab(""), json!(null)),
        ],
    );
}

fn operations_without_a_path_name_their_attributes(app: &TestApp) {
    let row = format!("{ASSET}:slot.row");
    let rooms = format!("{LAB}:rooms");
    assert_each(
        app,
        &[
            (json!({"op": "add", "value": {"count": 1}}), "/count", json!(1)),
            (json!({"op": "add", "value": {"tags": ["x"]}}), "/tags", json!(["One", "two", "x"])),
            (
                json!({"op": "replace", "value": {"address.city": "Basel"}}),
                "/address/city",
                json!("Basel"),
            ),
            (json!({"op": "replace", "value": {row: 4}}), &asset("/slot/row"), json!(4)),
            (json!({"op": "replace", "value": {ASSET: {"tag": "n"}}}), &asset("/tag"), json!("n")),
            (json!({"op": "add", "value": {rooms: [7]}}), &lab("/rooms"), json!([1, 2, 7])),
            (
                json!({"op": "replace", "value": {"id": "x", "level": 9, "meta": {}, "count": 1}}),
                "/count",
                json!(1),
            ),
        ],
    );
}

fn add_to_a_resource_without_values_makes_them(app: &TestApp) {
    load(app);
    let path = format!("/TestResources/{}", create(&app.scim, "/TestResources", plain("one")));
    let operations = json!([
        op("add", "tags", json!(["a"])),
        op("add", "contacts[type eq \"home\"].value", json!("h")),
        op("replace", "contacts[type eq \"work\"].value", json!("w")),
        op("add", "address.city", json!("Bern")),
        op("add", "LAB:rooms", json!([1])),
        op("add", "ASSET:slot.row", json!(1)),
        op("add", "serial", json!("S")),
    ]);
    let answer = app.scim.patch(&path, patch(operations)).expect(200);
    let expected = json!({
        "schemas": [TEST, ASSET, LAB],
        "name": "one",
        "tags": ["a"],
        "address": {"city": "Bern"},
        "contacts": [{"value": "h", "type": "home"}, {"value": "w", "type": "work"}],
        "serial": "S",
        ASSET: {"tag": "tag-one", "slot": {"row": 1}},
        LAB: {"rooms": [1]},
    });
    assert_eq!(sent_part(&answer.body), expected);
}

/// Each is a change of a value that is there.
fn immutable_values_are_set_once(app: &TestApp) {
    load(app);
    let path = format!("/TestResources/{}", create(&app.scim, "/TestResources", full("one")));
    for (operation, named) in [
        (op("replace", "serial", json!("other")), "serial"),
        (op("add", "serial", json!("s-one")), "serial"),
        (op("remove", "serial", json!(null)), "serial"),
        (json!({"op": "replace", "value": {"serial": "other"}}), "serial"),
        (op("replace", "address.plot", json!("P2")), "address.plot"),
        (op("remove", "address.plot", json!(null)), "address.plot"),
        (op("remove", "address", json!(null)), "address.plot"),
        (op("add", "address", json!({"plot": "P2"})), "address"),
        (op("replace", "ASSET:owner", json!("Eve")), "ASSET:owner"),
        (op("remove", "ASSET:owner", json!(null)), "ASSET:owner"),
        (op("replace", "ASSET", json!({"owner": "Eve"})), "ASSET:owner"),
        (op("replace", "ASSET:slot.seal", json!("T")), "ASSET:slot.seal"),
        (op("replace", "ASSET:slot", json!({"seal": "T"})), "ASSET:slot"),
        (op("remove", "ASSET", json!(null)), "ASSET:owner"),
    ] {
        let answer = app.scim.patch(&path, patch(json!([operation])));
        let detail = answer.expect_scim_error(400, Some("mutability"));
        let named = named.replace("ASSET", ASSET);
        let sentence = format!("The attribute \"{named}\" is immutable and already has a value.");
        assert_eq!(detail, sentence, "{operation}");
    }
    // The same value is no change, and a value that is not there may be set.
    for operation in
        [op("replace", "serial", json!("S-one")), op("add", "ASSET:slot.seal", json!("S"))]
    {
        let answer = app.scim.patch(&path, patch(json!([operation]))).expect(200);
        assert_eq!(answer.header("etag"), Some("W/\"1\""));
    }
    let path = format!("/TestResources/{}", create(&app.scim, "/TestResources", plain("two")));
    for operation in
        [op("add", "address.plot", json!("P")), op("add", "ASSET:slot.seal", json!("S"))]
    {
        app.scim.patch(&path, patch(json!([operation]))).expect(200);
    }
}

fn read_only_and_required_values_are_refused(app: &TestApp) {
    load(app);
    let path = format!("/TestResources/{}", create(&app.scim, "/TestResources", full("one")));
    for (operation, scim_type) in [
        (op("add", "level", json!(1)), "mutability"),
        (op("replace", "address.floor", json!(1)), "mutability"),
        (op("remove", "name", json!(null)), "mutability"),
        (op("replace", "name", json!(null)), "invalidValue"),
        (op("remove", "ASSET:tag", json!(null)), "mutability"),
        (op("replace", "ASSET:tag", json!(null)), "invalidValue"),
        (op("remove", "contacts[type eq \"work\"].value", json!(null)), "mutability"),
        (op("add", "contacts", json!([{"type": "other"}])), "invalidValue"),
    ] {
        let answer = app.scim.patch(&path, patch(json!([operation])));
        assert_eq!(answer.body["scimType"], scim_type, "{operation}: {}", answer.text);
        answer.expect_scim_error(400, Some(scim_type));
    }
    let read = app.scim.get(&path).expect(200);
    assert_eq!(sent_part(&read.body), full_shown("one"));
}

fn values_that_do_not_fit_are_refused_and_undo_the_rest(app: &TestApp) {
    load(app);
    let path = format!("/TestResources/{}", create(&app.scim, "/TestResources", full("one")));
    for operation in [
        op("add", "count", json!("1")),
        op("add", "flag", json!(1)),
        op("replace", "since", json!("soon")),
        op("add", "blobs", json!(["é"])),
        op("add", "pages", json!(["a b"])),
        op("add", "scores", json!([1.5])),
        op("replace", "address", json!("x")),
        op("add", "contacts", json!([{"value": "a", "rank": "1"}])),
        op("replace", "LAB", json!([1])),
        op("add", "LAB:rooms", json!(["1"])),
    ] {
        let operations = json!([op("add", "tags", json!(["gone"])), operation]);
        let answer = app.scim.patch(&path, patch(operations));
        answer.expect_scim_error(400, Some("invalidValue"));
    }
    let read = app.scim.get(&path).expect(200);
    assert_eq!(sent_part(&read.body), full_shown("one"));
    assert_eq!(read.header("etag"), Some("W/\"1\""));
    let answer =
        app.scim.patch(&path, patch(json!([op("replace", "contacts[hat eq 1]", json!({}))])));
    answer.expect_scim_error(400, Some("invalidPath"));
}

fn patch_that_changes_nothing_keeps_the_version(app: &TestApp) {
    load(app);
    let path = format!("/TestResources/{}", create(&app.scim, "/TestResources", full("one")));
    app.clock.advance(Duration::from_secs(60));
    for operation in [
        op("replace", "colour", json!("RED")),
        op("add", "tags", json!(["two"])),
        op("add", "contacts", json!([{"value": "h@example.com", "type": "HOME"}])),
        op("remove", "tags[value eq \"none\"]", json!(null)),
        op("add", "LAB:rooms", json!([1])),
        op("replace", "secret", json!("hidden-secret")),
    ] {
        let answer = app.scim.patch(&path, patch(json!([operation]))).expect(200);
        assert_eq!(answer.header("etag"), Some("W/\"1\""), "{operation}");
    }
}

fn extension_comes_and_goes_with_its_schema(app: &TestApp) {
    load(app);
    let path = format!("/TestResources/{}", create(&app.scim, "/TestResources", plain("one")));
    let filter = format!("{LAB}:opened pr");
    let add = op("add", "LAB:opened", json!("2020-01-01T00:00:00Z"));
    let with = app.scim.patch(&path, patch(json!([add]))).expect(200);
    assert_eq!(with.body["schemas"], json!([TEST, ASSET, LAB]));
    assert_eq!(app.scim.filter("/TestResources", &filter).total(), 1);
    let remove = op("remove", "LAB", json!(null));
    let without = app.scim.patch(&path, patch(json!([remove]))).expect(200);
    assert_eq!(without.body["schemas"], json!([TEST, ASSET]));
    assert_eq!(app.scim.filter("/TestResources", &filter).total(), 0);
    let required = op("remove", "ASSET", json!(null));
    app.scim.patch(&path, patch(json!([required]))).expect_scim_error(400, Some("invalidValue"));
}
